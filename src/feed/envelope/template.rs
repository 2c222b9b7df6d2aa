//! Texts to be sent, with places that are filled in when they are.

use std::fmt::{self, Write as _};

use super::cut::Case;
use crate::feed::protocol::Subscription;
use crate::json::{Pointer, Value};

/// What a place is filled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(Box<str>),
    /// The number of a request.
    Request,
    /// The number of texts sent before.
    Count,
    Channel(Case),
    Id(Case),
    /// Lists of what a request asks for.
    Streams,
    Channels(Case),
    Ids(Case),
    /// What stands in the message that is answered, as JSON.
    Member(Pointer),
}

/// Where a template is used, and so what its places may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// For a request: its number, channels and ids, lists.
    Request,
    /// For one stream: its channel and id.
    Stream,
    /// For a sign of life: how many were sent before.
    Beat,
    /// For the answer to a message: what stands in it.
    Reply,
    /// As it is.
    Opening,
}

impl Use {
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Request => &["request", "channel", "id", "streams", "channels", "ids"],
            Self::Stream => &["channel", "id"],
            Self::Beat => &["count"],
            Self::Reply | Self::Opening => &[],
        }
    }
}

/// A text with places. Its `Debug` shows no text, which may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

/// How lists are written.
#[derive(Clone, Debug)]
pub(super) struct Lists {
    pub(super) stream: Option<Template>,
    /// How a stream without an id is written.
    pub(super) bare: Option<Template>,
    pub(super) separator: Box<str>,
    /// Around each channel and each id.
    pub(super) quote: Box<str>,
}

impl Template {
    /// The template written as `text`. A place is `{name}` or `{name:lower}`, `{name:upper}`; in a
    /// reply also `{/pointer}`. Any other brace is text.
    pub(super) fn new(text: &str, used: Use) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            match place(&from[1..], used)? {
                Some((part, len)) => {
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain).into()));
                    }
                    parts.push(part);
                    rest = &from[1 + len..];
                }
                None => {
                    plain.push('{');
                    rest = &from[1..];
                }
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Ok(Self(parts))
    }

    pub(super) fn has(&self, test: impl Fn(&Part) -> bool) -> bool {
        self.0.iter().any(test)
    }

    /// Whether a text that begins as JSON is JSON, once its places are filled.
    #[cfg(feature = "toml")]
    pub(super) fn check_json(&self) -> Result<(), String> {
        // Lists are checked with how their elements are written.
        if self.has(|part| matches!(part, Part::Streams | Part::Channels(_) | Part::Ids(_))) {
            return Ok(());
        }
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Channel(_) | Part::Id(_) => text.push('x'),
                _ => text.push('1'),
            }
        }
        check_json(&text)
    }

    /// The text of a request.
    pub(super) fn request(&self, number: u64, streams: &[&Subscription], lists: &Lists) -> String {
        let mut out = String::new();
        let first = streams.first();
        for part in &self.0 {
            match part {
                Part::Request => push_number(&mut out, number),
                Part::Channel(case) => {
                    push_text(&mut out, first.map_or("", |s| &s.channel), *case);
                }
                Part::Id(case) => push_text(&mut out, first.map_or("", |s| &s.id), *case),
                Part::Streams => {
                    for (i, stream) in streams.iter().enumerate() {
                        if i > 0 {
                            out.push_str(&lists.separator);
                        }
                        let bare = lists.bare.as_ref().filter(|_| stream.id.is_empty());
                        if let Some(template) = bare.or(lists.stream.as_ref()) {
                            template.stream(stream, &mut out);
                        }
                    }
                }
                Part::Channels(case) => {
                    list(&mut out, streams.iter().map(|s| &*s.channel), *case, lists);
                }
                Part::Ids(case) => {
                    let ids = streams.iter().map(|s| &*s.id).filter(|id| !id.is_empty());
                    list(&mut out, ids, *case, lists);
                }
                Part::Text(text) => out.push_str(text),
                Part::Count | Part::Member(_) => {}
            }
        }
        out
    }

    /// The text for one stream.
    pub(super) fn stream(&self, stream: &Subscription, out: &mut String) {
        for part in &self.0 {
            match part {
                Part::Channel(case) => push_text(out, &stream.channel, *case),
                Part::Id(case) => push_text(out, &stream.id, *case),
                Part::Text(text) => out.push_str(text),
                _ => {}
            }
        }
    }

    /// A text as it is, or with the number of those before it.
    pub(super) fn counted(&self, count: u64) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Count => push_number(&mut out, count),
                Part::Text(text) => out.push_str(text),
                _ => {}
            }
        }
        out
    }

    /// The answer to a message; `None` if it lacks what the answer has to hold.
    pub(super) fn answer<'a>(
        &self,
        member: impl Fn(&Pointer) -> Option<Value<'a>>,
    ) -> Option<String> {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Member(pointer) => {
                    out.push_str(std::str::from_utf8(member(pointer)?.raw()).ok()?);
                }
                Part::Text(text) => out.push_str(text),
                _ => {}
            }
        }
        Some(out)
    }
}

/// A text that begins as JSON does has to be JSON.
#[cfg(feature = "toml")]
pub(super) fn check_json(text: &str) -> Result<(), String> {
    if !text.trim_start().starts_with(['{', '[']) {
        return Ok(());
    }
    let mut decoder = crate::json::Decoder::new(64);
    match decoder.decode(text.as_bytes()) {
        Ok(_) => Ok(()),
        // The text itself may hold a key.
        Err(error) => Err(format!(
            "expected JSON, since the text begins as JSON does: {error}"
        )),
    }
}

/// The place that begins behind a brace, and how long it is with the brace at its end.
fn place(from: &str, used: Use) -> Result<Option<(Part, usize)>, String> {
    let Some(end) = from.find('}') else {
        return Ok(None);
    };
    let inside = &from[..end];
    if inside.starts_with('/') && used == Use::Reply {
        let pointer = Pointer::new(inside).map_err(|error| format!("`{{{inside}}}`: {error}"))?;
        return Ok(Some((Part::Member(pointer), end + 1)));
    }
    let (name, letters) = inside.split_once(':').unwrap_or((inside, ""));
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase());
    if !is_name {
        return Ok(None);
    }
    let case = match letters {
        "" => Case::AsIs,
        "lower" => Case::Lower,
        "upper" => Case::Upper,
        _ => {
            return Err(format!(
                "`{{{inside}}}`: after `:` expected `lower` or `upper`"
            ));
        }
    };
    if !used.names().contains(&name) {
        let known: Vec<_> = used.names().iter().map(|n| format!("`{{{n}}}`")).collect();
        let known = match used {
            Use::Reply => "`{/pointer}`".to_owned(),
            Use::Opening => "no places".to_owned(),
            _ => known.join(", "),
        };
        return Err(format!("`{{{inside}}}` is unknown here: expected {known}"));
    }
    let part = match name {
        "request" => Part::Request,
        "count" => Part::Count,
        "channel" => Part::Channel(case),
        "id" => Part::Id(case),
        "streams" => Part::Streams,
        "channels" => Part::Channels(case),
        _ => Part::Ids(case),
    };
    Ok(Some((part, end + 1)))
}

fn push_number(out: &mut String, number: u64) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{number}");
}

/// The text as it has to stand inside a JSON string.
fn push_text(out: &mut String, text: &str, case: Case) {
    let from = out.len();
    out.push_str(text);
    case.apply(out, from);
    let special = |b: u8| b == b'"' || b == b'\\' || b < 0x20;
    if out.as_bytes()[from..].iter().copied().any(special) {
        let plain = out.split_off(from);
        for c in plain.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                c if u32::from(c) < 0x20 => {
                    let _ = write!(out, "\\u{:04x}", u32::from(c));
                }
                c => out.push(c),
            }
        }
    }
}

fn list<'a>(
    out: &mut String,
    texts: impl Iterator<Item = &'a str> + Clone,
    case: Case,
    lists: &Lists,
) {
    for (i, text) in texts.enumerate() {
        if i > 0 {
            out.push_str(&lists.separator);
        }
        out.push_str(&lists.quote);
        push_text(out, text, case);
        out.push_str(&lists.quote);
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("parts", &self.0.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
