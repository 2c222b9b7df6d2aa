//! JSON values and how messages change them, written down as plainly as RFC 7396 puts it: what the
//! compiled form is compared with, in the tests and in the fuzz target. Reads with serde_json.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// How a message is laid over the value before it.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    Merge,
    MergeNull,
    Shallow,
    Replace,
}

/// A JSON value without the order of members; numbers as they were written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

impl Json {
    /// Reads a text that nests arrays and objects at most `depth` deep; `None` if it is not JSON.
    pub(super) fn read(text: &[u8], depth: u32) -> Option<Self> {
        // As `RawValue`, because serde_json's own numbers are floats and its own depth is 127.
        Self::from_raw(
            serde_json::from_str(std::str::from_utf8(text).ok()?).ok()?,
            depth,
        )
    }

    fn from_raw(raw: &RawValue, depth: u32) -> Option<Self> {
        let text = raw.get();
        Some(match text.as_bytes().first()? {
            b'n' => Self::Null,
            b't' => Self::Bool(true),
            b'f' => Self::Bool(false),
            b'"' => Self::String(serde_json::from_str(text).ok()?),
            b'[' => {
                let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                let below = depth.checked_sub(1)?;
                Self::Array(
                    elements
                        .into_iter()
                        .map(|e| Self::from_raw(e, below))
                        .collect::<Option<_>>()?,
                )
            }
            b'{' => {
                let members = serde_json::from_str::<Members<'_>>(text).ok()?.0;
                let below = depth.checked_sub(1)?;
                let read = members
                    .into_iter()
                    .map(|(n, v)| Some((n, Self::from_raw(v, below)?)));
                // All of them are read, and the last of a repeated name stays.
                Self::Object(read.collect::<Option<Vec<_>>>()?.into_iter().collect())
            }
            _ => Self::Number(text.to_owned()),
        })
    }

    /// What `old`, if there is one, becomes by a message with this value.
    pub(super) fn onto(&self, old: Option<Self>, how: How) -> Self {
        match (self, how) {
            (Self::Object(members), How::Merge) => merge(old, members),
            (Self::Object(members), How::MergeNull) => nested(old, members),
            (Self::Object(members), How::Shallow) => {
                let mut all = old.map_or_else(BTreeMap::new, Self::into_members);
                all.extend(members.clone());
                Self::Object(all)
            }
            _ => self.clone(),
        }
    }

    fn into_members(self) -> BTreeMap<String, Self> {
        match self {
            Self::Object(members) => members,
            _ => BTreeMap::new(),
        }
    }
}

/// `MergePatch` of RFC 7396, section 2, for a patch that is an object.
fn merge(old: Option<Json>, patch: &BTreeMap<String, Json>) -> Json {
    let mut all = old.map_or_else(BTreeMap::new, Json::into_members);
    for (name, value) in patch {
        match value {
            Json::Null => {
                all.remove(name);
            }
            Json::Object(members) => {
                let merged = merge(all.remove(name), members);
                all.insert(name.clone(), merged);
            }
            _ => {
                all.insert(name.clone(), value.clone());
            }
        }
    }
    Json::Object(all)
}

/// Objects merge, anything else replaces, `null` too.
fn nested(old: Option<Json>, patch: &BTreeMap<String, Json>) -> Json {
    let mut all = old.map_or_else(BTreeMap::new, Json::into_members);
    for (name, value) in patch {
        let value = match value {
            Json::Object(members) => nested(all.remove(name), members),
            _ => value.clone(),
        };
        all.insert(name.clone(), value);
    }
    Json::Object(all)
}

/// The members of an object, repeated names included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}
