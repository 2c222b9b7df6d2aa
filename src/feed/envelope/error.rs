//! Why there is no envelope.

use thiserror::Error;

use crate::json::BadPointer;

/// Why an envelope cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// A pointer is none (RFC 6901).
    #[error("{text:?} for {setting}: {error}")]
    Pointer {
        /// Which setting.
        setting: &'static str,
        /// What was given.
        text: String,
        /// What is wrong with it.
        error: BadPointer,
    },
    /// No entity was given.
    #[error("an envelope needs an entity: a constant or a pointer")]
    NoEntity,
    /// No id was given.
    #[error("an envelope needs a pointer to the id")]
    NoId,
    /// Something in a file is not what it has to be.
    #[error("line {line}, column {column}: {key}: {message}")]
    File {
        /// The line, from 1 on.
        line: usize,
        /// The character of the line, from 1 on.
        column: usize,
        /// The key, with those of the tables that it is in.
        key: String,
        /// What was expected, and what is there.
        message: String,
    },
}
