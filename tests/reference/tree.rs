//! A JSON value that keeps its tokens, and the two merges.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON value. Members are known by their decoded names and have no order; of a repeated name the
/// last one counts. Everything that is no object is the text it came as.
#[derive(Clone, PartialEq, Eq)]
pub enum Tree {
    Token(String),
    Object(BTreeMap<String, Self>),
}

/// The members of an object in the order in which they came.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl Tree {
    /// Reads a text that is one JSON value; `None` when it is not.
    pub fn parse(text: &str) -> Option<Self> {
        let raw: &RawValue = serde_json::from_str(text).ok()?;
        Self::from_raw(raw)
    }

    fn from_raw(raw: &RawValue) -> Option<Self> {
        let text = raw.get();
        if !text.starts_with('{') {
            return Some(Self::Token(text.to_owned()));
        }
        let Members(members) = serde_json::from_str(text).ok()?;
        let members = members
            .into_iter()
            .map(|(name, raw)| Some((name, Self::from_raw(raw)?)));
        members.collect::<Option<_>>().map(Self::Object)
    }

    /// `{}`.
    pub fn empty() -> Self {
        Self::Object(BTreeMap::new())
    }

    /// A member of an object.
    pub fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            Self::Token(_) => None,
        }
    }

    /// A text, decoded.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Token(token) => serde_json::from_str(token).ok(),
            Self::Object(_) => None,
        }
    }

    /// An integer that is written as one.
    pub fn integer(&self) -> Option<i128> {
        match self {
            Self::Token(token) => token.parse().ok(),
            Self::Object(_) => None,
        }
    }

    /// An integer that is not negative.
    pub fn number(&self) -> Option<u64> {
        self.integer().and_then(|number| u64::try_from(number).ok())
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Self::Token(token) if token == "null")
    }

    /// RFC 7396, section 2, line by line.
    pub fn merged(self, patch: Self) -> Self {
        let Self::Object(patch) = patch else {
            return patch;
        };
        let mut target = match self {
            Self::Object(members) => members,
            Self::Token(_) => BTreeMap::new(),
        };
        for (name, value) in patch {
            if value.is_null() {
                target.remove(&name);
            } else {
                let old = target
                    .remove(&name)
                    .unwrap_or_else(|| Self::Token("null".to_owned()));
                target.insert(name, old.merged(value));
            }
        }
        Self::Object(target)
    }

    /// `{...old, ...patch}`: null is a value. What is no object replaces and is replaced.
    pub fn shallow(self, patch: Self) -> Self {
        match (self, patch) {
            (Self::Object(mut old), Self::Object(patch)) => {
                old.extend(patch);
                Self::Object(old)
            }
            (_, patch) => patch,
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = match self {
            Self::Token(token) => return f.write_str(token),
            Self::Object(members) => members,
        };
        f.write_str("{")?;
        for (at, (name, value)) in members.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let name = serde_json::to_string(name).map_err(|_| fmt::Error)?;
            write!(f, "{comma}{name}:{value}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
