use serde_json::json;

use super::kit::{owner, publish, whole};
use crate::key::{Id, IdRef};
use crate::store::{Lookup, Missing, Slot, StoreConfig};
use crate::sync::Arc;

#[test]
fn what_was_found_is_known_until_it_is_purged() {
    // Held in the table, and by the slot alone.
    for id in ["1", "fifteen bytes :", "sixteen bytes ::"] {
        known_until_purged(id);
    }
}

fn known_until_purged(id: &str) {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made by its owner");
    let (slot, _) = publish(&mut writer, id, &json!({"a": 1}), whole());
    let text = id;
    let id = IdRef::Text(id);
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
    let (slot, _) = publish(&mut writer, text, &json!({"a": 2}), whole());
    assert!(Arc::ptr_eq(&lookup.find(id).expect("again"), &slot));
    let at = writer.locate(id, Missing::Ignore).expect("there");
    writer.purge(at);
    let (slot, _) = publish(&mut writer, text, &json!({"a": 3}), whole());
    assert!(Arc::ptr_eq(&lookup.find(id).expect("the one now"), &slot));
}

#[test]
fn many_ids_are_each_found_and_known() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made by its owner");
    let mut lookup = Lookup::new(entity.clone());
    let ids: Vec<Id> = (0..500_i64)
        .map(|number| match number % 3 {
            0 => Id::from(number),
            1 => Id::from(format!("S{number}")),
            _ => Id::from(format!("an id of more bytes {number}")),
        })
        .collect();
    for id in &ids {
        let at = writer.locate(id.as_ref(), Missing::Insert).expect("room");
        let slot = writer.slot(at).expect("located").clone();
        assert_eq!(lookup.known(id.as_ref(), |_| Some(())), None, "not yet");
        assert!(Arc::ptr_eq(
            &lookup.find(id.as_ref()).expect("there"),
            &slot
        ));
    }
    for id in &ids {
        let own = lookup.known(id.as_ref(), |slot| Some(slot.own_id().clone()));
        assert_eq!(own.as_ref(), Some(id));
    }
}
