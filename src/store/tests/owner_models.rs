//! Models of ownership: one writer at a time, and the next one goes on where the one before ended.

use loom::thread;

use super::explore_within;
use crate::key::IdRef;
use crate::record::{Kind, Mode, Node, Patch, SchemaSource, Token};
use crate::store::fault::{Fault, inject};
use crate::store::{Entity, EntityWriter, Field, Missing, Slot, Stamp, Store, StoreConfig};
use crate::sync::Arc;

/// The number in the slot; 0 before the first.
fn number(slot: &Slot, fields: [Field; 2]) -> u64 {
    let (_, [x, y]) = slot.read(fields);
    assert_eq!(x.u64().ok(), y.u64().ok(), "torn");
    x.u64().unwrap_or(0)
}

/// Publishes a number in two fields.
fn publish(writer: &mut EntityWriter, number: u64) {
    let (mut patch, text) = (Patch::new(), number.to_string());
    let schema = writer.schema();
    patch.object(schema.layout(), Node::ROOT);
    for name in ["x", "y"] {
        let node = match schema.layout().find(&[name]) {
            Some(node) => node,
            None => schema.add(Node::ROOT, name).expect("room"),
        };
        patch.set(schema, node, Token::new(Kind::Number, text.as_bytes()));
    }
    let at = writer.locate(IdRef::Int(1), Missing::Insert).expect("room");
    let stamp = Stamp {
        mode: Mode::Merge,
        ..Stamp::default()
    };
    writer.publish(at, &patch, &stamp);
}

/// Counts one up, as the owner, if nobody else is. Says whether it did.
fn count_up(entity: &Arc<Entity>, name: &str, fields: [Field; 2]) -> bool {
    let Ok(mut writer) = entity.claim(name.into()) else {
        return false;
    };
    let slot = entity.slot(IdRef::Int(1)).expect("room");
    let before = number(&slot, fields);
    publish(&mut writer, before + 1);
    assert_eq!(
        number(&slot, fields),
        before + 1,
        "somebody else writes as well"
    );
    true
}

fn hands() {
    let store = Store::new(StoreConfig::default());
    let entity = store.entity("e").expect("room");
    let fields = ["x", "y"].map(|name| entity.schema().field(&[name]).expect("room"));
    let mut first = entity.claim("first".into()).expect("free");
    publish(&mut first, 1);
    let slot = entity.slot(IdRef::Int(1)).expect("room");
    let other = thread::spawn({
        let entity = entity.clone();
        move || count_up(&entity, "other", fields)
    });
    publish(&mut first, 2);
    // Its claim returns with it, and whoever claims next has seen all that it did.
    drop(first);
    let seen = number(&slot, fields);
    assert!(seen >= 2, "backwards");
    let counted = other.join().expect("no panic");
    assert_eq!(number(&slot, fields), 2 + u64::from(counted), "one is lost");
}

#[test]
fn the_next_owner_goes_on_where_the_last_one_ended() {
    explore_within(Some(2), hands);
}

#[test]
#[should_panic = "one is lost"]
fn two_owners_at_once_lose_what_one_of_them_writes() {
    inject(Fault::ClaimTaken, || explore_within(Some(2), hands));
}
