//! JSON text of one message to patches, and records back to JSON text.
//!
//! [`Decoder`] checks a message and lists its items; [`Message`] and [`Value`] are cheap handles
//! into that list; [`compile`] turns an object into a [`record::Patch`](crate::record::Patch);
//! [`write_record`] and its siblings go the other way. Nothing here knows a clock, a socket or
//! whether a patch will be applied.
//!
//! * **Nothing is converted.** A value is handled as the token that was received. No digit of a
//!   number, no escape of a text and no space inside an array is ever changed.
//! * **What is accepted** is RFC 8259, in UTF-8, without a byte order mark, nested at most as deep
//!   as the decoder was told. Numbers of any size are accepted, since they are kept as text. An
//!   escape that names half a surrogate pair (`"\ud800"`) is refused: it is no Unicode text and
//!   could never be handed to a reader as one.
//! * **A repeated name** is compared unescaped, and its last value counts.
//! * **Steady state allocates nothing**: the decoder keeps its buffers, and the handles borrow from
//!   them.
//!
//! `tape` is the only file that names simd-json. `learned` lets most messages be taken apart without
//! a parser: it keeps templates of the literal bytes between the values of messages that came
//! before. What it accepts equals, token for token, what the parser accepts; handles are the same.

mod compile;
mod integer;
mod items;
mod learned;
mod number;
mod pick;
mod plan;
mod pointer;
mod tape;
mod value;
mod write;

pub use compile::{Refused, compile, tree};
pub(crate) use integer::digits;
pub use learned::LayoutCounts;
pub use pointer::{BadPointer, Pointer};
pub use tape::{Decoder, JsonError, Message};
pub use value::{BadId, Elements, Members, Name, Value};
pub use write::{write_record, write_string, write_tree, write_value};

#[cfg(test)]
mod tests;
