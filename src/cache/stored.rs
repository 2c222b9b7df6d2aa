//! What the results of queries look like outside the process: in a JSON text, or in a file.
//!
//! This is plain data and knows no cache: who gathers it and who takes it over decide what of it
//! counts. A text is one JSON object, with one query on each line:
//!
//! ```json
//! {"format":"tickcache.queries","version":1,"saved_at":1763840000000000000,"buster":"v7","queries":[
//! {"key":["job",42],"updated_at":1763839999000000000,"sequence":7,"value":{"state":"done"}},
//! {"key":["jobs"],"updated_at":1763839999000000000,"ids":[42,"b"]}
//! ]}
//! ```
//!
//! Instants are nanoseconds since the Unix epoch. `buster`, `sequence` and `partial` are left out
//! where they say nothing. A reader ignores members that it does not know, and refuses a version
//! that it does not know.

mod file;
mod format;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::value::RawValue;

use crate::Time;
use crate::key::{Id, Key};

/// The results of queries at one instant, to be kept outside the process.
///
/// ```
/// use tickcache::{JsonText, Stored, StoredQuery, StoredValue, Time, key};
///
/// let price = StoredValue::Whole(JsonText::new(r#"{"price":"99.950"}"#)?);
/// let mut stored = Stored::new(Time::from_nanos(2_000));
/// stored.queries.push(StoredQuery::new(key!["book", "X"], price, Time::from_nanos(1_000)));
///
/// let json = stored.to_json();
/// assert_eq!(Stored::from_json(&json)?, stored);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// When it was gathered.
    pub saved_at: Time,
    /// What the application called the form of its data then, if it did: see [`Stored::checked`].
    pub buster: Option<String>,
    /// The results, in any order. Where a key stands twice, the newer one is meant.
    pub queries: Vec<StoredQuery>,
}

/// The result of one query.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredQuery {
    /// Which query.
    pub key: Key,
    /// Its result.
    pub value: StoredValue,
    /// When the result came in.
    pub updated_at: Time,
    /// The source's sequence number of the result, if it has one.
    pub sequence: Option<u64>,
    /// Whether only some of the value's fields are known.
    pub partial: bool,
}

/// What a query's result is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoredValue {
    /// A value of its own.
    Whole(JsonText),
    /// The members of a list, in order; each is stored as a query of its own.
    List(Vec<Id>),
}

/// A JSON value as text: no digit of a number, no escape and no space inside it is ever changed.
///
/// Equal if the texts are. Its syntax has been checked, how deep it is nested has not.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonText(Box<str>);

/// Why nothing was read, or the file was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoredError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory that it is about.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It was written in another version of the format.
    #[error("stored queries of format version {found}; this build reads version {supported} only")]
    Version {
        /// The version it says.
        found: u64,
        /// The version that can be read.
        supported: u64,
    },
    /// It ends too early: it is empty, or the rest of it was lost. (One that ends within a number
    /// may be [`StoredError::Malformed`] by that number.)
    #[error("stored queries end too early, at line {line} column {column}")]
    Truncated {
        /// Where it ends, counted from 1.
        line: usize,
        /// The byte in that line, counted from 1.
        column: usize,
    },
    /// It is not what was written by [`Stored::to_json`].
    #[error("stored queries cannot be read: {reason}, at line {line} column {column}")]
    Malformed {
        /// Where, counted from 1; for a value out of place, where it ends.
        line: usize,
        /// The byte in that line, counted from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// It is older than the reader wants.
    #[error("stored queries are {age:?} old, and {max:?} is the most that is wanted")]
    TooOld {
        /// How old it is.
        age: Duration,
        /// How old it may be.
        max: Duration,
    },
    /// It was written for another form of the application's data.
    #[error("stored queries are for {found:?}, not for {expected:?}")]
    Buster {
        /// The buster it was written with.
        found: Option<String>,
        /// The one that the reader wants.
        expected: Option<String>,
    },
}

impl Stored {
    /// Nothing yet, gathered at this instant.
    #[must_use]
    pub const fn new(saved_at: Time) -> Self {
        Self {
            saved_at,
            buster: None,
            queries: Vec::new(),
        }
    }

    /// As JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        format::to_json(self)
    }

    /// What this JSON text, written by [`Stored::to_json`], holds.
    ///
    /// # Errors
    /// [`StoredError::Truncated`], [`StoredError::Version`], or [`StoredError::Malformed`] for
    /// everything else that is wrong with the text. Nothing is taken from a text that is refused.
    pub fn from_json(json: &str) -> Result<Self, StoredError> {
        format::from_json(json)
    }

    /// Writes the JSON text to a file, in place of the one that may be there.
    ///
    /// Whoever opens the path finds the old file or the new one, whole, also after a crash: the new
    /// one is written beside it under a name of its own, flushed to the device, renamed, and the
    /// directory flushed. Of several writers the last counts. A file that was there hands on its
    /// permissions, not its owner; a symbolic link stays, and what it leads to is replaced.
    ///
    /// Blocks until the device has it: not for a task of an async executor.
    ///
    /// # Errors
    /// [`StoredError::Io`]; the old file is then still in place, unless it was the last step, the
    /// directory's flush, that failed. A process that is killed meanwhile may leave a file
    /// `.name.….tmp` behind.
    pub fn write_file(&self, path: impl AsRef<Path>) -> Result<(), StoredError> {
        file::replace(path.as_ref(), |out| format::write(self, out))
    }

    /// What a file written by [`Stored::write_file`] holds. Blocks while it reads.
    ///
    /// # Errors
    /// [`StoredError::Io`], among others if there is no such file; else as [`Stored::from_json`].
    pub fn read_file(path: impl AsRef<Path>) -> Result<Self, StoredError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| StoredError::Io {
            path: path.to_owned(),
            source,
        })?;
        format::from_bytes(&bytes)
    }

    /// The same, if it is at most `max_age` old at `now` and was gathered under this `buster`.
    ///
    /// A buster names the form of the application's data: an application that changes the form
    /// changes the name, and never sees data of the old form. [`Duration::MAX`] takes data of any
    /// age; what was saved after `now`, by a clock that has been set back, counts as new.
    ///
    /// # Errors
    /// [`StoredError::Buster`], [`StoredError::TooOld`].
    pub fn checked(
        self,
        now: Time,
        max_age: Duration,
        buster: Option<&str>,
    ) -> Result<Self, StoredError> {
        if self.buster.as_deref() != buster {
            return Err(StoredError::Buster {
                found: self.buster,
                expected: buster.map(str::to_owned),
            });
        }
        let age = now.since(self.saved_at);
        if age > max_age {
            return Err(StoredError::TooOld { age, max: max_age });
        }
        Ok(self)
    }
}

impl StoredQuery {
    /// A result that came in at this instant, without a sequence number, with all its fields.
    #[must_use]
    pub const fn new(key: Key, value: StoredValue, updated_at: Time) -> Self {
        Self {
            key,
            value,
            updated_at,
            sequence: None,
            partial: false,
        }
    }

    /// Whether it is newer than a result of this instant and sequence number: by the numbers where
    /// both have one, else by the instants. Of equal age is not newer.
    #[must_use]
    pub fn is_newer_than(&self, updated_at: Time, sequence: Option<u64>) -> bool {
        match (self.sequence, sequence) {
            (Some(ours), Some(theirs)) => ours > theirs,
            _ => self.updated_at > updated_at,
        }
    }
}

impl JsonText {
    /// This text, without the spaces around the value.
    ///
    /// # Errors
    /// If it is not one JSON value.
    pub fn new(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<&RawValue>(json).map(Self::from)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&RawValue> for JsonText {
    fn from(value: &RawValue) -> Self {
        Self(value.get().into())
    }
}

impl fmt::Display for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
