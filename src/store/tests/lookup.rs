use serde_json::json;

use super::kit::{owner, publish, whole};
use crate::key::IdRef;
use crate::store::{Lookup, Missing, Slot, StoreConfig};
use crate::sync::Arc;

#[test]
fn what_was_found_is_known_until_it_is_purged() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made by its owner");
    let (slot, _) = publish(&mut writer, "1", &json!({"a": 1}), whole());
    let id = IdRef::Text("1");
    let number = |slot: &Slot| Some(slot.number());
    let mut lookup = Lookup::new(entity);
    assert_eq!(lookup.known(id, number), None, "not yet");
    assert!(Arc::ptr_eq(&lookup.find(id).expect("there"), &slot));
    assert_eq!(lookup.known(id, number), Some(slot.number()));
    assert_eq!(lookup.known(IdRef::Int(1), number), None, "another id");
    assert!(lookup.find(IdRef::Text("2")).is_none());

    let at = writer.locate(id, Missing::Ignore).expect("there");
    writer.purge(at);
    assert!(lookup.find(id).is_none(), "it was purged");
    assert_eq!(lookup.known(id, number), None, "and forgotten");
    let (slot, _) = publish(&mut writer, "1", &json!({"a": 2}), whole());
    assert!(Arc::ptr_eq(&lookup.find(id).expect("again"), &slot));
    let at = writer.locate(id, Missing::Ignore).expect("there");
    writer.purge(at);
    let (slot, _) = publish(&mut writer, "1", &json!({"a": 3}), whole());
    assert!(Arc::ptr_eq(&lookup.find(id).expect("the one now"), &slot));
}
