//! From what the cache holds to a type of the user's, once for each version.

use std::fmt;

use serde::de::DeserializeOwned;

use super::source::{Content, Held};
use super::state::Version;
use crate::cache::slot::Snapshot;
use crate::io::plane::Left;
use crate::record::{
    Document, Kind, Record, RecordRef, Schema, SchemaSource, Token, Tree, TypeError,
};
use crate::store;
use crate::sync::{Arc, ArcSwapOption};

/// The last version that was decoded. Whoever asks for that version again shares the value.
pub(super) struct Decoder<T>(ArcSwapOption<Decoded<T>>);

struct Decoded<T> {
    version: Version,
    value: Result<Arc<T>, TypeError>,
}

impl<T> Decoder<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(ArcSwapOption::new(None)))
    }
}

impl<T: DeserializeOwned> Decoder<T> {
    /// The data as `T`; `None` if there is none.
    pub(super) fn decode(&self, content: &Content) -> Option<Result<Arc<T>, TypeError>> {
        if matches!(content.held, Held::None) {
            return None;
        }
        if let Some(known) = self.0.load_full()
            && known.version == content.version
        {
            return Some(known.value.clone());
        }
        let value = read(&content.held)?.map(Arc::new);
        self.0.store(Some(Arc::new(Decoded {
            version: content.version.clone(),
            value: value.clone(),
        })));
        Some(value)
    }
}

impl<T> fmt::Debug for Decoder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

/// What is held, as `T`; `None` if nothing is.
pub(super) fn read<T: DeserializeOwned>(held: &Held) -> Option<Result<T, TypeError>> {
    match held {
        Held::None => None,
        Held::Slot(snapshot) => Some(snapshot.deserialize()),
        Held::Document(tree) => Some(from_tree(tree)),
        Held::List(items) => Some(from_tree(&assembled(items.iter().map(Snapshot::record)))),
    }
}

/// What a query has left behind, as `T`.
pub(super) fn read_left<T: DeserializeOwned>(left: &Left) -> Option<Result<T, TypeError>> {
    match left {
        Left::Document(shown) => shown.tree.as_ref().map(from_tree),
        Left::Slot(snapshot) => Some(snapshot.record().deserialize()),
        Left::List(items) => {
            let records = items.iter().map(store::Snapshot::record);
            Some(from_tree(&assembled(records)))
        }
    }
}

/// A JSON value as `T`.
pub(super) fn from_tree<T: DeserializeOwned>(tree: &Tree) -> Result<T, TypeError> {
    // A value that lives in a document has no cells, so any layout serves.
    let schema = Schema::default();
    let document = Document::Whole(tree.clone());
    RecordRef::new(schema.layout(), &[], Some(&document)).deserialize()
}

/// A list as one array, without the items that have no value.
fn assembled<'a>(items: impl Iterator<Item = &'a Record>) -> Tree {
    let mut json = vec![b'['];
    for item in items.filter(|item| !item.is_absent()) {
        if json.len() > 1 {
            json.push(b',');
        }
        item.as_ref().write_json(&mut json);
    }
    json.push(b']');
    Tree::token(Token::new(Kind::Array, &json))
}
