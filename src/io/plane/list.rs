//! A list: which values of an entity, in which order. The values themselves are in their slots.

use hashbrown::HashSet;

use super::fetch_error::{FetchError, NotAList};
use super::fetched::not_json;
use super::settings::ListShape;
use crate::Time;

use crate::json::{Decoder, Value};
use crate::key::Id;
use crate::store::{Entity, Slot};
use crate::sync::{Arc, ArcSwap};

/// Items that are handed to an entity's owner in one command. The owner, a feed's thread, reads its
/// socket between two of them.
pub(super) const LAND_CHUNK: usize = if cfg!(test) { 16 } else { 64 };

/// A list as readers see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    /// The ids in the order of the answer.
    pub(crate) ids: Arc<[Id]>,
    /// Their slots, in the same order.
    pub(crate) slots: Arc<[Arc<Slot>]>,
    /// When it was last known whole; `None`: it never was.
    pub(crate) whole_at: Option<Time>,
    /// The invalidations that it is good for.
    pub(crate) stamp: u64,
    pub(crate) sequence: Option<u64>,
    /// It is from an earlier process, and not confirmed since.
    pub(crate) restored: bool,
    /// Raised by every change.
    pub(crate) version: u64,
}

impl Members {
    /// The same, known whole at this time.
    pub(super) fn known_at(self, at: Time) -> Self {
        Self {
            whole_at: Some(at),
            ..self
        }
    }
}

/// Which values of an entity, in which order.
#[derive(Debug)]
pub(crate) struct List {
    entity: Arc<Entity>,
    members: ArcSwap<Members>,
}

impl List {
    pub(super) fn new(entity: Arc<Entity>) -> Self {
        Self {
            entity,
            members: ArcSwap::new(Arc::default()),
        }
    }

    pub(crate) fn entity(&self) -> &Arc<Entity> {
        &self.entity
    }

    /// The newest version.
    pub(crate) fn members(&self) -> Arc<Members> {
        self.members.load_full()
    }

    /// Swaps the members. Called under the plane's lock; the slots were looked up before.
    pub(super) fn put(&self, members: Members) -> Arc<Members> {
        let version = self.members.load().version + 1;
        self.members.swap(Arc::new(Members { version, ..members }))
    }

    /// The ids as the entity knows them, each once, at its first place.
    pub(super) fn distinct<'a>(&self, ids: impl Iterator<Item = &'a Id>) -> Vec<Id> {
        let mut seen = HashSet::<Id, foldhash::fast::RandomState>::default();
        ids.map(|id| self.entity.canonical(id.as_ref()))
            .filter(|id| seen.insert(id.clone()))
            .collect()
    }

    /// The slots of these ids, made where there is none.
    pub(super) fn slots(&self, ids: &[Id]) -> Arc<[Arc<Slot>]> {
        ids.iter()
            .map(|id| self.entity.slot_or_detached(id.as_ref()))
            .collect()
    }
}

/// Takes the answer of a list apart: what `make` makes of every item that `shape` finds and its id.
///
/// # Errors
/// The text is not JSON, there is no array, an item is no object with an id, or `make` refuses it.
pub(super) fn items<T>(
    json: &[u8],
    shape: &ListShape,
    max_depth: u32,
    mut make: impl FnMut(Id, Value<'_>) -> Result<T, FetchError>,
) -> Result<Vec<T>, FetchError> {
    let mut decoder = Decoder::new(max_depth);
    let message = decoder.decode(json).map_err(not_json)?;
    let array = message.root().at(&shape.items);
    let array = array.filter(|array| array.kind() == crate::record::Kind::Array);
    let array = array.ok_or_else(|| FetchError::not_a_list(None, NotAList::NoArray))?;
    let item = |(index, item): (usize, Value<'_>)| {
        let wrong = |why| FetchError::not_a_list(index, why);
        if !item.is_object() {
            return Err(wrong(NotAList::NoObject));
        }
        let id = item.at(&shape.id).map(|id| id.id());
        let id = match id {
            Some(Ok(Some(id))) => id.to_owned(),
            Some(Ok(None)) | None => return Err(wrong(NotAList::NoId)),
            Some(Err(_)) => return Err(wrong(NotAList::BadId)),
        };
        make(id, item)
    };
    array.elements().enumerate().map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::plane::fetch_error::FetchErrorKind;
    use crate::json::Pointer;

    fn shape(items: &str, id: &str) -> ListShape {
        ListShape {
            items: Pointer::new(items).expect("a pointer"),
            id: Pointer::new(id).expect("a pointer"),
        }
    }

    fn wrong(json: &str, shape: &ListShape) -> (Option<usize>, NotAList) {
        let made = items(json.as_bytes(), shape, 64, |_, _| Ok(()));
        let error = made.expect_err("no list");
        match error.kind() {
            FetchErrorKind::NotAList { index, why } => (*index, *why),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn items_are_found_by_pointers_and_keep_their_text() {
        let json = r#"{"page":{"rows":[ {"key":{"id":7}, "p": 1.50}, {"key":{"id":"7"}} ]}}"#;
        let found = items(
            json.as_bytes(),
            &shape("/page/rows", "/key/id"),
            64,
            |id, item| Ok((id, item.raw().to_vec())),
        );
        let found = found.expect("a list");
        let first = (Id::from(7), br#"{"key":{"id":7}, "p": 1.50}"#.to_vec());
        let second = (Id::from("7"), br#"{"key":{"id":"7"}}"#.to_vec());
        assert_eq!(found, [first, second]);
    }

    #[test]
    fn what_is_no_list_is_refused_as_a_whole() {
        let plain = shape("", "/id");
        assert_eq!(wrong(r#"{"id":1}"#, &plain), (None, NotAList::NoArray));
        let far = shape("/rows", "/id");
        assert_eq!(wrong("[]", &far), (None, NotAList::NoArray));
        assert_eq!(
            wrong(r#"[{"id":1},2]"#, &plain),
            (Some(1), NotAList::NoObject)
        );
        assert_eq!(wrong(r#"[{"id":1},{}]"#, &plain), (Some(1), NotAList::NoId));
        assert_eq!(wrong(r#"[{"id":null}]"#, &plain), (Some(0), NotAList::NoId));
        assert_eq!(wrong(r#"[{"id":1.5}]"#, &plain), (Some(0), NotAList::BadId));
        let text = items(b"[{", &plain, 64, |_, _| Ok(())).expect_err("no JSON");
        assert!(
            matches!(text.kind(), FetchErrorKind::NotJson(_)),
            "{text:?}"
        );
    }
}
