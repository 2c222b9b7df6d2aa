//! Reading TOML with errors that name the line, the key, and what was expected.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::feed::envelope::EnvelopeError;
use crate::json::Pointer;

/// How alike a wrong word and a known one have to be for the known one to be suggested.
const ALIKE: f64 = 0.7;

pub(super) type Read<T> = Result<T, EnvelopeError>;

/// The text of the file, and what has to be looked at once it is read.
#[derive(Debug)]
pub(super) struct Doc<'t> {
    text: &'t str,
    /// Tables of learned texts that something looks into: where, the key, the table.
    looked: RefCell<Vec<(usize, String, String)>>,
}

impl<'t> Doc<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            looked: RefCell::default(),
        }
    }

    /// Refuses tables that nothing is learned into.
    pub(super) fn check_learned(&self, is_taught: impl Fn(&str) -> bool) -> Read<()> {
        let looked = self.looked.borrow();
        match looked.iter().find(|(_, _, table)| !is_taught(table)) {
            None => Ok(()),
            Some((at, key, table)) => Err(error_at(
                self.text,
                *at,
                key,
                format!("expected a table that a rule teaches by `learn`, found {table:?}"),
            )),
        }
    }
}

/// One value of the file, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Item<'d> {
    doc: &'d Doc<'d>,
    span: Range<usize>,
    pub(super) key: String,
    value: &'d DeValue<'d>,
}

/// A table of the file. Which keys were asked for is remembered, so that others can be refused.
#[derive(Debug)]
pub(super) struct Table<'d> {
    doc: &'d Doc<'d>,
    span: Range<usize>,
    pub(super) key: String,
    table: &'d DeTable<'d>,
    asked: RefCell<Vec<&'static str>>,
}

/// An error at a place of the text.
pub(super) fn error_at(doc: &str, at: usize, key: &str, message: impl Display) -> EnvelopeError {
    let before = doc.get(..at).unwrap_or(doc);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    EnvelopeError::File {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        key: key.to_owned(),
        message: message.to_string(),
    }
}

/// Several words as `"a", "b" or "c"`.
pub(super) fn one_of<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let quoted: Vec<_> = words.into_iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// `; did you mean "x"?`, if a known word is like this one.
fn suggestion<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> String {
    let alike = known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(word, known), known))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    alike.map_or_else(String::new, |(_, known)| {
        format!("; did you mean {known:?}?")
    })
}

impl<'d> Table<'d> {
    pub(super) fn root(doc: &'d Doc<'d>, table: &'d Spanned<DeTable<'d>>) -> Self {
        Self {
            doc,
            span: 0..0,
            key: String::new(),
            table: table.get_ref(),
            asked: RefCell::default(),
        }
    }

    fn path(&self, key: &str) -> String {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let key = if key.chars().all(bare) {
            key.to_owned()
        } else {
            format!("{key:?}")
        };
        if self.key.is_empty() {
            key
        } else {
            format!("{}.{key}", self.key)
        }
    }

    /// The value under a key.
    pub(super) fn get(&self, key: &'static str) -> Option<Item<'d>> {
        self.asked.borrow_mut().push(key);
        let value = self.table.get(key)?;
        Some(Item {
            doc: self.doc,
            span: value.span(),
            key: self.path(key),
            value: value.get_ref(),
        })
    }

    /// The value under a key that must be there.
    pub(super) fn need(&self, key: &'static str, what: &str) -> Read<Item<'d>> {
        self.get(key).ok_or_else(|| self.lacks(key, what))
    }

    /// An error about a key that is not there, or is there with another spelling.
    pub(super) fn lacks(&self, key: &str, what: &str) -> EnvelopeError {
        let asked = self.asked.borrow();
        let misspelt = self.table.keys().find(|found| {
            let word = &**found.get_ref();
            !asked.contains(&word) && strsim::jaro_winkler(word, key) >= ALIKE
        });
        match misspelt {
            None => self.fail(format!("`{key}` is missing: expected {what}")),
            Some(found) => error_at(
                self.doc.text,
                found.span().start,
                &self.path(found.get_ref()),
                format!("unknown key; did you mean {key:?}?"),
            ),
        }
    }

    /// All keys and values, in the order of the file.
    pub(super) fn entries(&self) -> Vec<(&'d str, Item<'d>)> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| {
                let item = Item {
                    doc: self.doc,
                    span: value.span(),
                    key: self.path(key.get_ref()),
                    value: value.get_ref(),
                };
                (&**key.get_ref(), item)
            })
            .collect();
        entries.sort_by_key(|(_, item)| item.span.start);
        entries
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Refuses what is there under keys that nobody has asked for.
    pub(super) fn finish(&self) -> Read<()> {
        let asked = self.asked.borrow();
        let mut unknown: Vec<_> = self
            .table
            .keys()
            .filter(|key| !asked.contains(&&**key.get_ref()))
            .collect();
        unknown.sort_by_key(|key| key.span().start);
        let Some(key) = unknown.first() else {
            return Ok(());
        };
        let mut known = asked.clone();
        known.sort_unstable();
        known.dedup();
        let word = &**key.get_ref();
        let suggestion = suggestion(word, known.iter().copied());
        Err(error_at(
            self.doc.text,
            key.span().start,
            &self.path(word),
            format!(
                "unknown key; expected {}{suggestion}",
                one_of(known.iter().copied())
            ),
        ))
    }

    /// An error about the table itself.
    pub(super) fn fail(&self, message: impl Display) -> EnvelopeError {
        let key = if self.key.is_empty() {
            "(file)"
        } else {
            &self.key
        };
        error_at(self.doc.text, self.span.start, key, message)
    }
}

impl<'d> Item<'d> {
    /// An error about this value.
    pub(super) fn fail(&self, message: impl Display) -> EnvelopeError {
        error_at(self.doc.text, self.span.start, &self.key, message)
    }

    /// It should have been something else.
    pub(super) fn expected(&self, what: impl Display) -> EnvelopeError {
        let found = match self.value {
            DeValue::String(text) => format!("{text:?}"),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Array(items) if items.is_empty() => "an empty array".to_owned(),
            DeValue::Table(table) if table.is_empty() => "an empty table".to_owned(),
            DeValue::Array(_) => "an array".to_owned(),
            other => format!("a {}", other.type_str()),
        };
        self.fail(format!("expected {what}, found {found}"))
    }

    /// The text, if it is one.
    pub(super) fn as_text(&self) -> Option<&'d str> {
        self.value.as_str()
    }

    pub(super) fn text(&self) -> Read<&'d str> {
        self.as_text().ok_or_else(|| self.expected("a text"))
    }

    /// A text that is not empty.
    pub(super) fn some_text(&self) -> Read<&'d str> {
        let text = self.text()?;
        if text.is_empty() {
            return Err(self.expected("a text that is not empty"));
        }
        Ok(text)
    }

    /// The name of a table of learned texts.
    pub(super) fn learned(&self) -> Read<&'d str> {
        let table = self.some_text()?;
        let noted = (self.span.start, self.key.clone(), table.to_owned());
        self.doc.looked.borrow_mut().push(noted);
        Ok(table)
    }

    pub(super) fn bool(&self) -> Read<bool> {
        self.value
            .as_bool()
            .ok_or_else(|| self.expected("`true` or `false`"))
    }

    /// A whole number of at least 1.
    pub(super) fn count(&self) -> Read<usize> {
        let number = self.integer().filter(|number| *number > 0);
        number
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(|| self.expected("a whole number of at least 1"))
    }

    pub(super) fn integer(&self) -> Option<i64> {
        let integer = self.value.as_integer()?;
        i64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    /// A time span in seconds, of more than zero.
    pub(super) fn seconds(&self) -> Read<Duration> {
        let seconds = match self.value {
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            _ => self.integer().map(|number| number as f64),
        };
        seconds
            .filter(|seconds| *seconds > 0.0)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|span| !span.is_zero())
            .ok_or_else(|| self.expected("seconds, a number of more than 0"))
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Read<T> {
        let all = || one_of(words.iter().map(|(word, _)| *word));
        let Some(text) = self.as_text() else {
            return Err(self.expected(all()));
        };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(*value),
            None => {
                let suggestion = suggestion(text, words.iter().map(|(word, _)| *word));
                Err(self.fail(format!("expected {}, found {text:?}{suggestion}", all())))
            }
        }
    }

    /// A pointer; the empty one, which is all of it, if `whole` says so.
    pub(super) fn pointer(&self, whole: bool) -> Read<Pointer> {
        let expected = "a pointer, which begins with `/`";
        let text = self.as_text().ok_or_else(|| self.expected(expected))?;
        if text.is_empty() && !whole {
            return Err(self.expected("a pointer that is not empty: the whole of it is no text"));
        }
        Pointer::new(text).map_err(|error| {
            if text.starts_with('/') {
                self.fail(format!("expected {expected}, found {text:?}: {error}"))
            } else {
                self.expected(expected)
            }
        })
    }

    pub(super) fn as_table(&self) -> Option<Table<'d>> {
        Some(Table {
            doc: self.doc,
            span: self.span.clone(),
            key: self.key.clone(),
            table: self.value.as_table()?,
            asked: RefCell::default(),
        })
    }

    pub(super) fn table(&self, what: &str) -> Read<Table<'d>> {
        self.as_table().ok_or_else(|| self.expected(what))
    }

    /// The elements, if it is an array; counted from 1 in their keys.
    pub(super) fn as_array(&self) -> Option<Vec<Self>> {
        let elements = self.value.as_array()?.iter().enumerate();
        Some(
            elements
                .map(|(i, element)| Self {
                    doc: self.doc,
                    span: element.span(),
                    key: format!("{}[{}]", self.key, i + 1),
                    value: element.get_ref(),
                })
                .collect(),
        )
    }

    /// One or, in an array, several; none is an error.
    pub(super) fn one_or_more(&self, what: &str) -> Read<Vec<Self>> {
        match self.as_array() {
            None => Ok(vec![self.clone()]),
            Some(items) if items.is_empty() => Err(self.expected(what)),
            Some(items) => Ok(items),
        }
    }

    /// A text, a number or a truth value as it is written in JSON; or an array of such.
    pub(super) fn words(&self) -> Read<Vec<String>> {
        let what = "a text, a number, `true`, `false`, or an array of such";
        let one = |item: &Self| match item.value {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) if number.radix() == 10 => Ok(number.to_string()),
            DeValue::Float(number) => Ok(number.to_string()),
            DeValue::Boolean(value) => Ok(value.to_string()),
            _ => Err(item.expected(what)),
        };
        self.one_or_more(what)?.iter().map(one).collect()
    }

    /// A text, or an array of texts.
    pub(super) fn texts(&self) -> Read<Vec<&'d str>> {
        self.one_or_more("a text, or an array of texts")?
            .iter()
            .map(Self::some_text)
            .collect()
    }
}
