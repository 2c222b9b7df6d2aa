//! Identity: which value a message is about, and which result a query is about.
//!
//! An entity is an opaque name (`Arc<str>`), an [`Id`] says which of its values. Ids keep their
//! type: the integer `7` and the text `"7"` are two ids. `0` and `""` are ids like any other;
//! "no id" is said with `Option`, and means the whole entity.
//!
//! A query is named by a [`Key`], a path of typed [`Part`]s, written with [`key!`](crate::key!).
//! A key of an entity's name and an id names the slot that feeds write.

mod id;
mod macros;
mod packed;
mod part;
mod path;
mod same;
mod text;

#[cfg(test)]
mod tests;

pub use id::{Id, IdRef};
pub(crate) use packed::PackedId;
pub use part::{Members, Part};
pub use path::Key;
pub(crate) use same::same;
pub use text::KeyError;
