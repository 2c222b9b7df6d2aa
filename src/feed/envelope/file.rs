//! An envelope in a TOML file.

use toml::de::DeTable;

use super::{Envelope, EnvelopeError};
use crate::feed::protocol::Covers;
use crate::feed::reading::Ids;

mod link;
mod reader;
mod rules;
mod takes;

use reader::{Doc, Read, Table, error_at};

impl Envelope {
    /// An envelope from the text of a TOML file.
    ///
    /// # Errors
    /// [`EnvelopeError::File`] names the line, the key, and what was expected there.
    pub fn from_toml(text: &str) -> Result<Self, EnvelopeError> {
        let parsed = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            error_at(text, at, "(TOML)", error.message())
        })?;
        let doc = Doc::new(text);
        envelope(&Table::root(&doc, &parsed), &doc)
    }
}

fn envelope(file: &Table<'_>, doc: &Doc<'_>) -> Read<Envelope> {
    let name = file.need("name", "what the feed is called")?.some_text()?;
    let (rules, constants) = rules::rules(file.get("rule"))?;
    let entities = file.get("entities");
    let listed = entities.as_ref().map(|item| item.texts()).transpose()?;
    if let (Some(item), Some(listed)) = (&entities, &listed) {
        let constant = |rule: &super::Rule| {
            let data = rule.data.as_ref()?;
            data.entity.as_constant().map(str::to_owned)
        };
        let mut constants = rules.iter().filter_map(constant);
        if let Some(name) = constants.find(|name| !listed.contains(&&**name)) {
            return Err(item.fail(format!(
                "expected every entity that a rule names; {name:?} is missing"
            )));
        }
    }
    let listed = listed.map(|names| names.into_iter().map(Into::into).collect());
    let covers = file.get("covers").map(|item| covers(&item)).transpose()?;
    let covers = covers.unwrap_or(Covers::Nothing);
    let mut envelope = Envelope::of(name.into(), rules, listed, covers);
    envelope.constants = constants;
    envelope.each = file.get("each").map(|at| at.pointer(true)).transpose()?;
    let channel = file.get("channel").map(|item| takes::borrowed(&item));
    envelope.channel = channel.transpose()?;
    let numbering = file.get("numbering").map(|item| takes::take(&item, false));
    envelope.numbering = numbering.transpose()?;
    let ids = file.get("ids");
    let ids = ids.map(|item| item.word(&[("typed", Ids::Typed), ("text", Ids::Text)]));
    envelope.ids = ids.transpose()?.unwrap_or_default();
    link::read(file, &mut envelope)?;
    file.finish()?;
    doc.check_learned(|table| envelope.tables.has(table))?;
    if envelope.rules.is_empty() {
        return Err(file.fail("`rule` is missing: expected at least one rule, under [[rule]]"));
    }
    Ok(envelope)
}

fn covers(item: &reader::Item<'_>) -> Read<Covers> {
    if item.as_array().is_some() {
        let names = item.texts()?.into_iter().map(Into::into);
        return Ok(Covers::Listed(names.collect()));
    }
    let unowned = item.word(&[("nothing", false), ("unowned", true)])?;
    Ok(if unowned {
        Covers::Unowned
    } else {
        Covers::Nothing
    })
}

#[cfg(test)]
mod tests;
