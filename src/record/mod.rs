//! Values, and how a message changes them. Pure and total: no threads, no clock, no atomics, and
//! no message that can fail once it is compiled.
//!
//! An entity has one [`Schema`], an append-only trie of member names that all its ids share. A
//! JSON object is its leaves: every node of the trie has a cell of 16 bytes in the record, which
//! keeps the token as it came. Objects on the way have a cell too, so that an empty object and a
//! missing one differ. Arrays are one token. A value that is no object is one token, in the
//! root's cell.
//!
//! A message is compiled once into a [`Patch`], a list of operations on nodes, and [`apply`]
//! writes the cells that differ: exact RFC 7396, `{...old, ...new}` or replacement ([`Mode`]),
//! without building a tree. Change detection is a comparison of words, since the same token is
//! always the same words.
//!
//! Tokens beyond 4 KiB, and records with more names than the schema may hold, live in a
//! [`Document`] beside the cells. Reads work on both forms.
//!
//! Numbers are parsed when read ([`Value`]), exactly if asked ([`Decimal`]).

mod cell;
mod composed;
mod de;
mod decimal;
mod digits;
mod document;
#[cfg(test)]
mod harness;
mod merge;
mod number;
mod patch;
#[expect(
    clippy::module_inception,
    reason = "the record is what the room is about"
)]
mod record;
mod schema;
mod text;
mod value;

pub use cell::{
    ABSENT, INLINE_TOKEN, Kind, MAX_CELLS, OBJECT, SHORT_TOKEN, Token, is_absent, is_document,
    is_object, is_whole, used_cells,
};
pub use composed::{Composed, ComposedFull, MAX_TREES};
pub use de::TypeError;
pub use decimal::Decimal;
#[cfg(feature = "rust_decimal")]
pub use decimal::NotExact;
pub use document::{Document, LongTexts, Tree};
pub use merge::{Cells, Change, Mode, apply, fits, migrate};
pub(crate) use merge::{apply_rest, apply_short, is_direct};
pub use patch::{Operation, Patch};
pub(crate) use patch::{Planned, Tokens};
pub use record::{Record, RecordRef};
pub use schema::{
    Layout, Limits, MAX_NAME_BYTES, MAX_WIDE_CELLS, Node, Region, Schema, SchemaFull, SchemaSource,
};
pub use value::{FieldError, INLINE_VALUE, Value};
