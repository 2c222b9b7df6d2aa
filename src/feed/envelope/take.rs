//! One thing that is read from a message: where it stands, and which part of it.

use std::fmt;

use super::cut::{Case, Cut};
use super::tables::Tables;
use crate::feed::reading::{self, TimeUnit};
use crate::json::{BadPointer, Pointer, Value};
use crate::record::Kind;

/// A value of a message, and the ones that it was reached through.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s, 'a> {
    pub(super) value: Value<'a>,
    /// Its name, if it is a member of an object that is gone through.
    pub(super) key: Option<&'a str>,
    pub(super) outer: Option<&'s Self>,
}

impl<'s, 'a> Scope<'s, 'a> {
    pub(super) const fn message(value: Value<'a>) -> Self {
        Self {
            value,
            key: None,
            outer: None,
        }
    }

    pub(super) fn at(&self, pointer: &Pointer, origin: Origin) -> Option<Value<'a>> {
        match origin {
            Origin::Item => self.value.at(pointer),
            Origin::Outer => self.outer?.value.at(pointer),
            Origin::Message => self.outermost().value.at(pointer),
            Origin::Nearest => self.outwards().find_map(|scope| scope.value.at(pointer)),
        }
    }

    fn outermost(&self) -> &Self {
        let mut scope = self;
        while let Some(outer) = scope.outer {
            scope = outer;
        }
        scope
    }

    fn outwards(&self) -> impl Iterator<Item = &Scope<'s, 'a>> {
        std::iter::successors(Some(self), |scope| scope.outer)
    }

    /// The name of this member, as it stands in the message, if it is there.
    fn name_of(&self, object: &Pointer, origin: Origin, name: &str) -> Option<&'a str> {
        let named = |object: Value<'a>| {
            let mut names = object.members().map(|(member, _)| member.as_str());
            names.find(|member| *member == name)
        };
        match origin {
            Origin::Nearest => self
                .outwards()
                .find_map(|scope| named(scope.value.at(object)?)),
            origin => named(self.at(object, origin)?),
        }
    }

    /// The name of the innermost member that is gone through, or of one further out.
    fn key(&self, outwards: usize) -> Option<&'a str> {
        self.outwards().filter_map(|scope| scope.key).nth(outwards)
    }
}

/// From where a pointer is followed, where items of a message are gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Origin {
    /// From the item or, where it has nothing there, from what the item is in, and so on.
    #[default]
    Nearest,
    /// From the item only.
    Item,
    /// From what the item is in only.
    Outer,
    /// From the whole message only.
    Message,
}

#[derive(Clone, Debug)]
enum Source {
    At(Pointer, Origin),
    /// A text that is no pointer; reported when the envelope is built.
    Bad(Box<str>, BadPointer),
    Constant(Box<str>),
    Key(usize),
    /// The name of a member, if it is there, of what stands at a pointer.
    NameOf(Pointer, Origin, Box<str>),
    Join(Box<[Take]>, Box<str>),
}

/// What is read from a message for an entity, an id, a number, a condition: a JSON pointer or a
/// constant, the part of the text that counts, and what is read if there is nothing.
///
/// `Take::at("/topic").after(":")` reads `BTC-USDT` from `{"topic":"/market/ticker:BTC-USDT"}`. A
/// `&str` is a pointer. Cuts are made in the order in which they are given; where a separator is
/// not in the text, there is nothing.
#[derive(Clone, Debug)]
#[must_use]
pub struct Take {
    source: Source,
    cuts: Vec<Cut>,
    table: Option<Box<str>>,
    case: Case,
    prefix: Box<str>,
    suffix: Box<str>,
    or: Option<Box<Self>>,
}

/// What was found: a value as it came, or a text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'x> {
    Value(Value<'x>),
    Text(&'x str),
}

impl<'x> Found<'x> {
    /// A text, the digits of a number, `true` or `false`; nothing else has a text.
    pub(super) fn text(self) -> Option<&'x str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Value(value) => scalar(value),
        }
    }
}

fn scalar(value: Value<'_>) -> Option<&str> {
    match value.kind() {
        Kind::String | Kind::EscapedString => value.str(),
        Kind::Number | Kind::True | Kind::False => std::str::from_utf8(value.raw()).ok(),
        _ => None,
    }
}

impl Take {
    fn of(source: Source) -> Self {
        Self {
            source,
            cuts: Vec::new(),
            table: None,
            case: Case::AsIs,
            prefix: "".into(),
            suffix: "".into(),
            or: None,
        }
    }

    /// What stands at a JSON pointer.
    pub fn at(pointer: &str) -> Self {
        Self::of(match Pointer::new(pointer) {
            Ok(pointer) => Source::At(pointer, Origin::Nearest),
            Err(error) => Source::Bad(pointer.into(), error),
        })
    }

    /// This text, whatever the message holds.
    pub fn constant(text: &str) -> Self {
        Self::of(Source::Constant(text.into()))
    }

    /// The name of the member that is gone through, where the items are the members of an object;
    /// `outwards` counts such names from the innermost on.
    pub fn key(outwards: usize) -> Self {
        Self::of(Source::Key(outwards))
    }

    /// The name of the member that a pointer leads to, if it is there: for messages that tell by
    /// the presence of a member what they are.
    pub fn name_of(pointer: &str) -> Self {
        let (object, name) = pointer.rsplit_once('/').unwrap_or_default();
        Self::of(match (Pointer::new(pointer), Pointer::new(object)) {
            (Ok(_), Ok(object)) if !pointer.is_empty() => {
                let name = name.replace("~1", "/").replace("~0", "~");
                Source::NameOf(object, Origin::Nearest, name.into())
            }
            _ => Source::Bad(pointer.into(), BadPointer),
        })
    }

    /// Several texts, put together with a separator between them; nothing if one is missing.
    pub fn join(parts: impl IntoIterator<Item = Self>, separator: &str) -> Self {
        Self::of(Source::Join(parts.into_iter().collect(), separator.into()))
    }

    /// From where the pointer is followed.
    pub fn from(mut self, origin: Origin) -> Self {
        if let Source::At(_, from) | Source::NameOf(_, from, _) = &mut self.source {
            *from = origin;
        }
        self
    }

    /// The text before the first of this separator.
    pub fn before(self, separator: &str) -> Self {
        self.cut(Cut::Before(separator.into()))
    }

    /// The text before the last of this separator.
    pub fn before_last(self, separator: &str) -> Self {
        self.cut(Cut::BeforeLast(separator.into()))
    }

    /// The text after the first of this separator.
    pub fn after(self, separator: &str) -> Self {
        self.cut(Cut::After(separator.into()))
    }

    /// The text after the last of this separator.
    pub fn after_last(self, separator: &str) -> Self {
        self.cut(Cut::AfterLast(separator.into()))
    }

    /// The text between the first of a separator and the next one after it.
    pub fn between(self, first: &str, second: &str) -> Self {
        self.after(first).before(second)
    }

    /// One part of the text between separators: the first is 0, the last is -1.
    pub fn part(self, separator: &str, part: i32) -> Self {
        self.cut(Cut::Part(separator.into(), part))
    }

    fn cut(mut self, cut: Cut) -> Self {
        self.cuts.push(cut);
        self
    }

    /// As [`before`](Self::before), where a text without the separator counts whole.
    pub(super) fn until(self, separator: &str) -> Self {
        self.cut(Cut::Until(separator.into()))
    }

    /// What was learned under the text.
    pub(super) fn learned(mut self, table: &str) -> Self {
        self.table = Some(table.into());
        self
    }

    /// In small letters.
    pub const fn lower(mut self) -> Self {
        self.case = Case::Lower;
        self
    }

    /// In capital letters.
    pub const fn upper(mut self) -> Self {
        self.case = Case::Upper;
        self
    }

    /// What is put before the text.
    pub fn prepend(mut self, text: &str) -> Self {
        self.prefix = text.into();
        self
    }

    /// What is put after the text.
    pub fn append(mut self, text: &str) -> Self {
        self.suffix = text.into();
        self
    }

    /// What is read where this finds nothing.
    pub fn or(mut self, other: Self) -> Self {
        self.or = Some(Box::new(match self.or.take() {
            Some(first) => first.or(other),
            None => other,
        }));
        self
    }

    /// The first text that should be a pointer and is none.
    pub(super) fn bad(&self) -> Option<(&str, BadPointer)> {
        let own = match &self.source {
            Source::Bad(text, error) => Some((&**text, *error)),
            Source::Join(parts, _) => parts.iter().find_map(Self::bad),
            _ => None,
        };
        own.or_else(|| self.or.as_deref()?.bad())
    }

    /// The text, if it is the same for every message.
    pub(super) fn as_constant(&self) -> Option<&str> {
        match &self.source {
            Source::Constant(text) if !self.is_made() => Some(text),
            _ => None,
        }
    }

    /// Whether it reads but parts of the message as they are, so that what it reads lives as long
    /// as the message.
    pub(super) fn is_borrowed(&self) -> bool {
        let own = !self.is_made()
            && self.table.is_none()
            && matches!(
                self.source,
                Source::At(..) | Source::Key(_) | Source::NameOf(..)
            );
        own && self.or.as_deref().is_none_or(Self::is_borrowed)
    }

    pub(super) fn put_before(&mut self, prefix: &str) {
        self.prefix = format!("{prefix}{}", self.prefix).into();
        if let Some(or) = &mut self.or {
            or.put_before(prefix);
        }
    }

    /// Whether its text has to be put together.
    fn is_made(&self) -> bool {
        self.case != Case::AsIs
            || !self.prefix.is_empty()
            || !self.suffix.is_empty()
            || matches!(self.source, Source::Join(..))
    }

    /// What it reads. `scratch` holds the text if it has to be put together.
    #[inline]
    pub(super) fn find<'x>(
        &'x self,
        scope: &Scope<'_, 'x>,
        tables: &'x Tables,
        scratch: &'x mut String,
    ) -> Option<Found<'x>> {
        let mut take = self;
        loop {
            if take.is_made() {
                scratch.clear();
                if take.write(scope, tables, scratch).is_some() {
                    return Some(Found::Text(scratch));
                }
            } else if let Some(found) = take.plain(scope, tables) {
                return Some(found);
            }
            take = take.or.as_deref()?;
        }
    }

    /// What it reads, where nothing has to be put together.
    #[inline]
    fn plain<'x>(&'x self, scope: &Scope<'_, 'x>, tables: &'x Tables) -> Option<Found<'x>> {
        let found = match &self.source {
            Source::At(pointer, origin) => Found::Value(scope.at(pointer, *origin)?),
            Source::Constant(text) => Found::Text(text),
            Source::Key(outwards) => Found::Text(scope.key(*outwards)?),
            Source::NameOf(object, origin, name) => {
                Found::Text(scope.name_of(object, *origin, name)?)
            }
            Source::Bad(..) | Source::Join(..) => return None,
        };
        if self.cuts.is_empty() && self.table.is_none() {
            return Some(found);
        }
        let text = cut(&self.cuts, found.text()?)?;
        Some(Found::Text(match &self.table {
            None => text,
            Some(table) => tables.look_up(table, text)?,
        }))
    }

    /// Puts the text together behind what `out` holds; it is of no use if this yields `None`.
    fn write(&self, scope: &Scope<'_, '_>, tables: &Tables, out: &mut String) -> Option<()> {
        out.push_str(&self.prefix);
        let from = out.len();
        if let Source::Join(parts, separator) = &self.source {
            for (i, part) in parts.iter().enumerate() {
                if i > 0 {
                    out.push_str(separator);
                }
                part.write_first(scope, tables, out)?;
            }
        } else {
            out.push_str(self.plain(scope, tables)?.text()?);
        }
        self.case.apply(out, from);
        out.push_str(&self.suffix);
        Some(())
    }

    fn write_first(&self, scope: &Scope<'_, '_>, tables: &Tables, out: &mut String) -> Option<()> {
        let from = out.len();
        if self.write(scope, tables, out).is_some() {
            return Some(());
        }
        out.truncate(from);
        self.or.as_deref()?.write_first(scope, tables, out)
    }

    /// What it reads, for as long as the message lives. Constants and texts that would have to be
    /// put together do not.
    pub(super) fn borrowed<'a>(&self, scope: &Scope<'_, 'a>) -> Option<Value<'a>> {
        let own = match &self.source {
            Source::At(pointer, origin) => scope.at(pointer, *origin),
            _ => None,
        };
        own.or_else(|| self.or.as_deref()?.borrowed(scope))
    }

    /// The text that it reads before anything is put to it, for as long as the message lives.
    pub(super) fn borrowed_text<'a>(&self, scope: &Scope<'_, 'a>) -> Option<&'a str> {
        let text = match &self.source {
            Source::At(pointer, origin) => scope.at(pointer, *origin).and_then(scalar),
            Source::Key(outwards) => scope.key(*outwards),
            Source::NameOf(object, origin, name) => scope.name_of(object, *origin, name),
            _ => None,
        };
        let own = text.and_then(|text| cut(&self.cuts, text));
        own.or_else(|| self.or.as_deref()?.borrowed_text(scope))
    }

    /// The whole number that it reads, bare or in a text.
    pub(super) fn number(
        &self,
        scope: &Scope<'_, '_>,
        tables: &Tables,
        scratch: &mut String,
    ) -> Option<u64> {
        match self.find(scope, tables, scratch)? {
            Found::Value(value) => reading::number(value),
            Found::Text(text) if text.starts_with(|c: char| c.is_ascii_digit()) => {
                text.parse().ok()
            }
            Found::Text(_) => None,
        }
    }

    /// The time that it reads, in nanoseconds since the Unix epoch.
    pub(super) fn nanos(
        &self,
        unit: TimeUnit,
        scope: &Scope<'_, '_>,
        tables: &Tables,
        scratch: &mut String,
    ) -> Option<u64> {
        nanos(unit, self.find(scope, tables, scratch)?.text()?)
    }
}

impl From<&str> for Take {
    fn from(pointer: &str) -> Self {
        Self::at(pointer)
    }
}

impl From<&String> for Take {
    fn from(pointer: &String) -> Self {
        Self::at(pointer)
    }
}

fn cut<'a>(cuts: &[Cut], text: &'a str) -> Option<&'a str> {
    cuts.iter().try_fold(text, |text, cut| cut.apply(text))
}

/// Nanoseconds since the Unix epoch of a time, with or without decimals, exactly. Decimals beyond
/// nanoseconds are cut off.
fn nanos(unit: TimeUnit, text: &str) -> Option<u64> {
    let digits: u32 = match unit {
        TimeUnit::Rfc3339 => return reading::rfc3339(text),
        TimeUnit::Seconds => 9,
        TimeUnit::Milliseconds => 6,
        TimeUnit::Microseconds => 3,
        TimeUnit::Nanoseconds => 0,
    };
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let kept = &decimals[..decimals.len().min(digits as usize)];
    let part = match kept.len() as u32 {
        0 => 0,
        len => kept.parse::<u64>().ok()? * 10_u64.pow(digits - len),
    };
    whole.checked_mul(10_u64.pow(digits))?.checked_add(part)
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

#[cfg(test)]
mod tests;
