//! The JSON text of stored queries, both ways.
//!
//! A text is read twice: once for its syntax and its version, so that a later version may change
//! whatever it likes and is still refused by its name, then for what it holds.

use std::fmt;
use std::io::{self, Write};
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{JsonText, Stored, StoredError, StoredQuery, StoredValue};
use crate::Time;
use crate::json::write_string;
use crate::key::{Id, Key, Part};

/// Tells these texts from any other JSON.
const FORMAT: &str = "tickcache.queries";

/// Grows when a reader of the version before would misread what is written now.
const VERSION: u64 = 1;

pub(super) fn to_json(stored: &Stored) -> String {
    let mut out = Vec::new();
    write(stored, &mut out).expect("memory takes what it is given");
    String::from_utf8(out).expect("only text was written")
}

pub(super) fn write(stored: &Stored, out: &mut impl Write) -> io::Result<()> {
    let saved_at = stored.saved_at.as_nanos();
    write!(
        out,
        r#"{{"format":"{FORMAT}","version":{VERSION},"saved_at":{saved_at}"#
    )?;
    if let Some(buster) = &stored.buster {
        let mut text = Vec::new();
        write_string(buster, &mut text);
        out.write_all(br#","buster":"#)?;
        out.write_all(&text)?;
    }
    out.write_all(br#","queries":["#)?;
    for (at, query) in stored.queries.iter().enumerate() {
        out.write_all(if at > 0 { b",\n" } else { b"\n" })?;
        write_query(query, out)?;
    }
    out.write_all(b"\n]}\n")
}

fn write_query(query: &StoredQuery, out: &mut impl Write) -> io::Result<()> {
    let updated_at = query.updated_at.as_nanos();
    write!(out, r#"{{"key":{},"updated_at":{updated_at}"#, query.key)?;
    if let Some(sequence) = query.sequence {
        write!(out, r#","sequence":{sequence}"#)?;
    }
    if query.partial {
        out.write_all(br#","partial":true"#)?;
    }
    match &query.value {
        StoredValue::Whole(value) => write!(out, r#","value":{value}}}"#),
        StoredValue::List(ids) => {
            let ids: Part = Part::array(ids.iter().map(Part::from));
            write!(out, r#","ids":{ids}}}"#)
        }
    }
}

pub(super) fn from_bytes(bytes: &[u8]) -> Result<Stored, StoredError> {
    let json = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        StoredError::Malformed {
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            column: 1 + before
                .iter()
                .rev()
                .take_while(|byte| **byte != b'\n')
                .count(),
            reason: "not UTF-8".to_owned(),
        }
    })?;
    from_json(json)
}

pub(super) fn from_json(json: &str) -> Result<Stored, StoredError> {
    let Head(version) = serde_json::from_str(json).map_err(refused)?;
    if version != VERSION {
        return Err(StoredError::Version {
            found: version,
            supported: VERSION,
        });
    }
    serde_json::from_str(json).map_err(refused)
}

fn refused(error: serde_json::Error) -> StoredError {
    let (line, column) = (error.line(), error.column());
    if error.is_eof() {
        return StoredError::Truncated { line, column };
    }
    let mut reason = error.to_string();
    if let Some(at) = reason.rfind(" at line ") {
        reason.truncate(at);
    }
    StoredError::Malformed {
        line,
        column,
        reason,
    }
}

/// The version that a text says.
struct Head(u64);

/// An object that is read member by member.
trait FromMembers: Sized {
    /// What it is, for messages.
    const WHAT: &'static str;

    fn from_members<'de, A: MapAccess<'de>>(members: Members<A>) -> Result<Self, A::Error>;
}

/// The members of an object, as they come.
struct Members<A>(A);

impl<'de, A: MapAccess<'de>> Members<A> {
    fn next_name(&mut self) -> Result<Option<String>, A::Error> {
        self.0.next_key()
    }

    /// The value of the member whose name came last, which must not have come before.
    fn value<T: Deserialize<'de>>(
        &mut self,
        name: &'static str,
        into: &mut Option<T>,
    ) -> Result<(), A::Error> {
        if into.replace(self.0.next_value()?).is_some() {
            return Err(A::Error::duplicate_field(name));
        }
        Ok(())
    }

    fn skip(&mut self) -> Result<(), A::Error> {
        self.0.next_value::<IgnoredAny>().map(|_| ())
    }
}

fn required<T, E: Error>(value: Option<T>, name: &'static str) -> Result<T, E> {
    value.ok_or_else(|| E::missing_field(name))
}

fn object<'de, T: FromMembers, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: FromMembers> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(T::WHAT)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::from_members(Members(map))
        }
    }

    deserializer.deserialize_map(Object(PhantomData))
}

impl FromMembers for Head {
    const WHAT: &'static str = "an object with stored queries";

    fn from_members<'de, A: MapAccess<'de>>(mut members: Members<A>) -> Result<Self, A::Error> {
        let (mut format, mut version) = (None::<&RawValue>, None);
        while let Some(name) = members.next_name()? {
            match &*name {
                "format" => members.value("format", &mut format)?,
                "version" => members.value("version", &mut version)?,
                _ => members.skip()?,
            }
        }
        let format = format.map_or("", RawValue::get);
        if serde_json::from_str::<String>(format).ok().as_deref() != Some(FORMAT) {
            return Err(A::Error::custom(format_args!(
                "no `\"format\":\"{FORMAT}\"`, so it is something else"
            )));
        }
        Ok(Self(required(version, "version")?))
    }
}

impl FromMembers for Stored {
    const WHAT: &'static str = Head::WHAT;

    fn from_members<'de, A: MapAccess<'de>>(mut members: Members<A>) -> Result<Self, A::Error> {
        let (mut saved_at, mut buster, mut queries) = (None, None, None);
        while let Some(name) = members.next_name()? {
            match &*name {
                "saved_at" => members.value("saved_at", &mut saved_at)?,
                "buster" => members.value("buster", &mut buster)?,
                "queries" => members.value("queries", &mut queries)?,
                _ => members.skip()?,
            }
        }
        Ok(Self {
            saved_at: Time::from_nanos(required(saved_at, "saved_at")?),
            buster: buster.flatten(),
            queries: required(queries, "queries")?,
        })
    }
}

impl FromMembers for StoredQuery {
    const WHAT: &'static str = "an object with one query";

    fn from_members<'de, A: MapAccess<'de>>(mut members: Members<A>) -> Result<Self, A::Error> {
        let (mut key, mut updated_at, mut sequence) = (None::<&RawValue>, None, None);
        let (mut partial, mut value) = (None, None::<&RawValue>);
        let mut ids = None::<&RawValue>;
        while let Some(name) = members.next_name()? {
            match &*name {
                "key" => members.value("key", &mut key)?,
                "updated_at" => members.value("updated_at", &mut updated_at)?,
                "sequence" => members.value("sequence", &mut sequence)?,
                "partial" => members.value("partial", &mut partial)?,
                "value" => members.value("value", &mut value)?,
                "ids" => members.value("ids", &mut ids)?,
                _ => members.skip()?,
            }
        }
        let value = match (value, ids) {
            (Some(value), None) => StoredValue::Whole(JsonText::from(value)),
            (None, Some(ids)) => StoredValue::List(list(ids).map_err(A::Error::custom)?),
            _ => return Err(A::Error::custom("a query needs one of `value` and `ids`")),
        };
        let key = Key::from_json(required(key, "key")?.get()).map_err(A::Error::custom)?;
        Ok(Self {
            key,
            value,
            updated_at: Time::from_nanos(required(updated_at, "updated_at")?),
            sequence: sequence.flatten(),
            partial: partial.unwrap_or(false),
        })
    }
}

/// Ids are written as the parts of a key are, and have to be texts or integers.
fn list(ids: &RawValue) -> Result<Vec<Id>, String> {
    let parts = Key::from_json(ids.get()).map_err(|error| format!("`ids`: {error}"))?;
    let id = |part: &Part| match part {
        Part::Text(text) => Ok(Id::from(text.clone())),
        Part::Int(number) => Ok(Id::from(*number)),
        _ => Err(format!("`ids`: {part} is neither a text nor an integer")),
    };
    parts.parts().iter().map(id).collect()
}

macro_rules! deserialize {
    ($($object:ty)*) => {$(
        impl<'de> Deserialize<'de> for $object {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                object(deserializer)
            }
        }
    )*};
}

deserialize!(Head Stored StoredQuery);
