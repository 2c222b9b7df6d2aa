//! Models of what goes on beside the values: generations of links, and counts of doubts. What marks do is in
//! `marks_models.rs`.
//!
//! None of it travels with a publication. So each order that is claimed here is one that nothing else
//! would give, and on the machines that run the tests none of them would be missed.

use loom::thread;

use super::explore;
use crate::key::IdRef;
use crate::record::{Kind, Node, Patch, Token};
use crate::store::head::flags;
use crate::store::{
    Entity, EntityWriter, Link, Missing, Outcome, Slot, SlotIx, Stamp, Store, StoreConfig,
};
use crate::sync::Arc;

fn entity() -> Arc<Entity> {
    let store = Store::new(StoreConfig::default());
    store.entity("e").expect("room")
}

/// An owner of one slot, which has a value.
fn owner(entity: &Arc<Entity>) -> (EntityWriter, SlotIx, Arc<Slot>) {
    let mut writer = entity.claim("model".into()).expect("free");
    let at = writer.locate(IdRef::Int(1), Missing::Insert).expect("room");
    let slot = writer.slot(at).expect("located").clone();
    publish(&mut writer, at, b"before");
    (writer, at, slot)
}

/// Publishes a whole value that is good for what was invalidated before this batch.
fn publish(writer: &mut EntityWriter, at: SlotIx, text: &[u8]) {
    let mut patch = Patch::new();
    let token = Token::new(Kind::String, text);
    patch.set(writer.schema(), Node::ROOT, token);
    let stamp = Stamp {
        whole: true,
        ..Stamp::default()
    };
    assert_eq!(writer.publish(at, &patch, &stamp), Outcome::Applied);
}

/// An open marks everything before it raises the generation. A value that has both stamps would be
/// live in between.
#[test]
fn who_sees_an_open_sees_what_it_has_invalidated() {
    explore(|| {
        let entity = entity();
        let opened = entity.clone();
        let opening = thread::spawn(move || {
            opened.invalidate();
            opened.update_link(0, |part| Link {
                generation: part.generation + 1,
                ..part
            });
        });
        let link = Link::from_word(entity.link().load());
        let sum = entity.invalidations();
        assert!(link.generation == 0 || sum == 1, "live for a moment");
        opening.join().expect("no panic");
    });
}

/// A patch of a trusted source renews a stamp with the word of a link, unless the value is from before
/// its last gap. Who has the word of a gap and not the gap would confirm what has a hole.
#[test]
fn who_sees_the_word_of_a_gap_sees_the_gap() {
    explore(|| {
        let entity = entity();
        let torn = entity.clone();
        let losing = thread::spawn(move || {
            torn.update_link(0, |part| Link {
                generation: part.generation + 1,
                bits: Link::GAP,
            });
        });
        let link = Link::from_word(entity.link().load());
        let gap = Link::from_word(entity.link().torn());
        assert!(gap.generation >= link.generation, "a hole is confirmed");
        losing.join().expect("no panic");
    });
}

/// A value that has come into doubt is looked for once: when the count of doubts has moved.
#[test]
fn who_sees_the_count_of_doubts_sees_the_doubt() {
    explore(|| {
        let entity = entity();
        let (mut writer, at, slot) = owner(&entity);
        let doubting = thread::spawn(move || {
            writer.mark(at, flags::GAP, 2);
            writer.suspect();
            assert!(writer.take_suspect());
        });
        if entity.suspects() == 1 {
            assert_ne!(slot.head().flags & flags::GAP, 0, "nobody will look again");
        }
        doubting.join().expect("no panic");
    });
}
