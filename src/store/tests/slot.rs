//! What a slot does, one case at a time.

mod fields;

use serde_json::json;

use super::kit::{compile, json_of, owner, publish, whole};
use crate::key::IdRef;
use crate::record::{Limits, Mode};
use crate::store::{
    ConfiguredLate, EntityConfig, Link, Locate, Missing, Outcome, SlotReader, Stamp, State,
    StoreConfig, StoreFull, TurnCounter, Watched, cut, flags,
};
use crate::sync::Arc;
use crate::time::Time;

fn at(nanos: u64) -> Stamp {
    Stamp {
        received_at: Time::from_nanos(nanos),
        ..Stamp::default()
    }
}

#[test]
fn a_slot_may_be_there_before_its_value() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made");
    let slot = entity.slot("a".into()).expect("room");
    assert_eq!(slot.head().state, State::Empty);
    assert!(slot.snapshot().record().is_absent());
    assert_eq!(json_of(&slot), None);
    assert_eq!(
        writer.locate("a".into(), Missing::Ignore),
        Err(Locate::Missing)
    );
    let (same, outcome) = publish(&mut writer, "a", &json!({"x": 1}), whole());
    assert!(Arc::ptr_eq(&slot, &same));
    assert_eq!(outcome, Outcome::Applied);
    assert_eq!((slot.head().state, slot.head().epoch), (State::Present, 1));
    assert_eq!(json_of(&slot), Some(json!({"x": 1})));
    assert_eq!((entity.len(), entity.ids()), (1, 1));
}

#[test]
fn fields_are_of_one_version_and_follow_growth() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made");
    // Before anything came: the field is made by who asks.
    let field = |path: &[&str]| entity.schema().field(path).expect("room");
    let [x, deep, later] = [field(&["x"]), field(&["s", "v"]), field(&["later"])];
    let (slot, _) = publish(
        &mut writer,
        "a",
        &json!({"x": 1.5, "s": {"v": "text"}}),
        whole(),
    );
    let mut reader = SlotReader::new(slot.clone());
    let (head, [a, b, c]) = reader.read([x, deep, later]);
    assert_eq!(
        (head.epoch, a.f64(), b.str().as_deref()),
        (1, Ok(1.5), Ok("text"))
    );
    assert!(c.is_missing());
    let long = "a text that is much longer than thirty bytes and takes several cells";
    for text in ["sixteen bytes ..", long] {
        let (_, outcome) = publish(&mut writer, "a", &json!({"later": text, "n": text}), at(0));
        assert_eq!(outcome, Outcome::Applied);
        let (_, [a, c]) = slot.read([x, later]);
        assert_eq!((a.f64(), c.str().as_deref()), (Ok(1.5), Ok(text)));
        assert_eq!(reader.read([x, later]), slot.read([x, later]));
    }
    assert_eq!(writer.growths(), 2);
    assert_eq!(reader.epoch(), slot.epoch());
    assert_eq!(slot.head().epoch, 3);
}

#[test]
fn long_texts_and_outgrown_records_are_read_like_others() {
    let limits = Limits {
        max_fields: 3,
        ..Limits::default()
    };
    let (store, mut writer) = owner(StoreConfig {
        limits,
        ..StoreConfig::default()
    });
    let entity = store.find("tests").expect("made");
    let [a, b] = ["a", "b"].map(|name| entity.schema().field(&[name]).expect("room"));
    let text = "x".repeat(9_000);
    let (slot, _) = publish(&mut writer, "1", &json!({"a": text, "b": 2}), whole());
    for turn in 0..5 {
        let (_, [text_of, number]) = slot.read([a, b]);
        assert_eq!(text_of.str().as_deref(), Ok(&*text));
        assert_eq!(number.i64(), Ok(2 + turn));
        publish(&mut writer, "1", &json!({"b": 3 + turn}), at(0));
    }
    let many = json!({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5});
    publish(&mut writer, "1", &many, whole());
    assert_eq!(json_of(&slot), Some(many));
    assert_eq!(slot.read([b]).1[0].i64(), Ok(2));
    assert_eq!(slot.snapshot().record().get("e").i64(), Ok(5));
    publish(&mut writer, "1", &json!({"a": 7}), whole());
    assert_eq!(json_of(&slot), Some(json!({"a": 7})));
    assert_eq!(
        writer.retired().len(),
        1,
        "documents are handed out to be dropped"
    );
}

#[test]
fn a_message_without_news_stores_its_times_only() {
    let (_store, mut writer) = owner(StoreConfig::default());
    let stamp = Stamp {
        sequence: Some(7),
        received_at: Time::from_nanos(1),
        ..whole()
    };
    let (slot, _) = publish(&mut writer, "a", &json!({"x": 1}), stamp);
    let stamp = Stamp {
        sequence: Some(8),
        source_time: 5,
        ..at(2)
    };
    let (_, outcome) = publish(&mut writer, "a", &json!({"x": 1}), stamp);
    let head = slot.head();
    assert_eq!((outcome, head.epoch), (Outcome::Unchanged, 1));
    assert_eq!((head.sequence, head.source_time), (Some(8), 5));
    assert_eq!(
        (head.received_at.as_nanos(), head.whole_at.as_nanos()),
        (2, 1)
    );
    let stamp = Stamp {
        received_at: Time::from_nanos(3),
        ..whole()
    };
    let (_, outcome) = publish(&mut writer, "a", &json!({"x": 1}), stamp);
    let head = slot.head();
    assert_eq!((outcome, head.sequence), (Outcome::Unchanged, Some(8)));
    assert_eq!(
        (head.received_at.as_nanos(), head.whole_at.as_nanos()),
        (3, 3)
    );
}

#[test]
fn stamps_are_renewed_by_whole_messages_and_carried_by_patches() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made");
    entity.set_link(
        1,
        Link {
            generation: 1,
            bits: 0,
        },
    );
    let whole_now = |link| Stamp { link, ..whole() };
    let first = entity.link().load();
    let (slot, _) = publish(&mut writer, "a", &json!({"x": 1}), whole_now(first));
    assert_eq!((slot.head().link, slot.link()), (first, first));
    entity.set_link(
        1,
        Link {
            generation: 2,
            bits: 0,
        },
    );
    let second = entity.link().load();
    assert_ne!(first, second);
    let patch = Stamp {
        link: second,
        ..at(1)
    };
    publish(&mut writer, "a", &json!({"x": 2}), patch);
    assert_eq!(slot.head().link, first, "a patch makes nothing live");
    publish(
        &mut writer,
        "a",
        &json!({"x": 3}),
        Stamp { trust: 0, ..patch },
    );
    assert_eq!(slot.head().link, second);
    entity.set_link(
        1,
        Link {
            generation: 3,
            bits: 0,
        },
    );
    // The same value as before the loss: a publication, since the stamp moves.
    let third = entity.link().load();
    let (_, outcome) = publish(&mut writer, "a", &json!({"x": 3}), whole_now(third));
    assert_eq!((outcome, slot.head().link), (Outcome::Applied, third));
}

#[test]
fn an_invalidation_is_undone_only_by_what_was_read_after_it() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made");
    let (slot, _) = publish(&mut writer, "a", &json!({"x": 1}), whole());
    let is_valid = || slot.head().invalidation >= slot.invalidation();
    assert!(is_valid());
    let all = || store.invalidate_all();
    let of_entity = || entity.invalidate();
    let of_slot = || slot.invalidate();
    for invalidate in [&all as &dyn Fn(), &of_entity, &of_slot] {
        let before = slot.seen();
        writer.begin_batch();
        invalidate();
        assert!(slot.moved(&before) && !is_valid());
        // Both were read before it.
        publish(&mut writer, "a", &json!({"x": 2}), at(1));
        publish(&mut writer, "a", &json!({"x": 2}), whole());
        assert!(!is_valid());
        writer.begin_batch();
        publish(&mut writer, "a", &json!({"x": 3}), at(1));
        assert!(!is_valid(), "a patch makes nothing valid");
        let sum = slot.invalidation();
        let (_, outcome) = publish(&mut writer, "a", &json!({"x": 3}), whole());
        assert!(is_valid() && outcome == Outcome::Applied);
        // A fetch is good for what was known when it began.
        publish(
            &mut writer,
            "a",
            &json!({"x": 4}),
            Stamp {
                invalidation: Some(sum),
                ..whole()
            },
        );
        assert!(is_valid());
        invalidate();
        publish(
            &mut writer,
            "a",
            &json!({"x": 5}),
            Stamp {
                invalidation: Some(sum),
                ..whole()
            },
        );
        assert!(!is_valid());
        writer.begin_batch();
        publish(&mut writer, "a", &json!({"x": 5}), whole());
    }
}

#[test]
fn flags_come_with_patches_and_marks_and_go_with_whole_messages() {
    let (_store, mut writer) = owner(StoreConfig::default());
    let (slot, _) = publish(&mut writer, "a", &json!({"x": 1}), at(1));
    assert_eq!(slot.head().flags, flags::PARTIAL);
    let ix = writer
        .locate("a".into(), Missing::Ignore)
        .expect("it is there");
    assert_eq!(writer.mark(ix, flags::GAP, 3), Outcome::Applied);
    assert_eq!(writer.mark(ix, flags::GAP, 4), Outcome::Unchanged);
    let head = slot.head();
    assert_eq!(
        (head.flags, head.turn, head.epoch),
        (flags::PARTIAL | flags::GAP, 3, 2)
    );
    assert_eq!(json_of(&slot), Some(json!({"x": 1})));
    publish(&mut writer, "a", &json!({"x": 2}), at(2));
    assert_eq!(slot.head().flags, flags::PARTIAL | flags::GAP);
    publish(
        &mut writer,
        "a",
        &json!({"x": 2}),
        Stamp {
            flags: flags::RESTORED,
            ..whole()
        },
    );
    assert_eq!(slot.head().flags, flags::RESTORED);
    publish(&mut writer, "a", &json!({"x": 2}), whole());
    assert_eq!((slot.head().flags, slot.head().epoch), (0, 5));
}

#[test]
fn a_removed_slot_is_revived_in_place_from_blank() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made");
    let x = entity.schema().field(&["x"]).expect("room");
    let text = "y".repeat(5_000);
    let stamp = Stamp {
        sequence: Some(3),
        ..whole()
    };
    let (slot, _) = publish(&mut writer, "a", &json!({"x": 1, "t": text}), stamp);
    let ix = writer
        .locate("a".into(), Missing::Ignore)
        .expect("it is there");
    assert_eq!(writer.remove(ix, &at(2)), Outcome::Applied);
    assert_eq!(writer.remove(ix, &at(3)), Outcome::Unchanged);
    let head = slot.head();
    assert_eq!(
        (head.state, head.epoch, head.sequence),
        (State::Removed, 2, Some(3))
    );
    assert_eq!(
        (head.received_at.as_nanos(), head.flags, entity.len()),
        (3, 0, 0)
    );
    assert!(slot.read([x]).1[0].is_missing());
    assert!(slot.snapshot().record().is_absent());
    assert_eq!(json_of(&slot), None);
    assert_eq!(
        writer.locate("a".into(), Missing::Ignore),
        Err(Locate::Missing)
    );
    publish(&mut writer, "a", &json!({"y": 2}), at(4));
    assert_eq!(json_of(&slot), Some(json!({"y": 2})));
    let head = slot.head();
    assert_eq!(
        (head.state, head.flags, entity.len()),
        (State::Present, flags::PARTIAL, 1)
    );
}

#[test]
fn a_purged_slot_is_dead_and_its_successor_starts_above() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made");
    let (old, _) = publish(&mut writer, "a", &json!({"x": 1}), whole());
    publish(&mut writer, "b", &json!({"x": 1}), whole());
    let ix = writer
        .locate("a".into(), Missing::Ignore)
        .expect("it is there");
    writer.purge(ix);
    writer.purge(ix);
    assert_eq!((old.head().state, old.head().epoch), (State::Dead, 2));
    assert_eq!(writer.head(ix).state, State::Dead);
    assert_eq!((entity.len(), entity.ids()), (1, 1));
    assert!(entity.find("a".into()).is_none());
    let new = entity.slot("a".into()).expect("room");
    assert!(!Arc::ptr_eq(&old, &new));
    assert_eq!((new.head().state, new.head().epoch), (State::Empty, 2));
    publish(&mut writer, "a", &json!({"x": 1}), whole());
    assert_eq!(new.head().epoch, 3);
    assert_eq!(new.number(), old.number(), "numbers are used again");
}

#[test]
fn there_is_one_owner_at_a_time_and_the_next_one_copies_in_full() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made");
    let (slot, _) = publish(&mut writer, "a", &json!({"x": 1, "y": 1}), whole());
    publish(&mut writer, "a", &json!({"later": 1}), at(1));
    let taken = entity.claim("another".into()).expect_err("it is owned");
    assert_eq!(&*taken.by, "tests");
    drop(writer);
    let mut writer = entity.claim("another".into()).expect("returned");
    assert_eq!(entity.owner().as_deref(), Some("another"));
    publish(&mut writer, "a", &json!({"x": 2}), at(2));
    assert_eq!(json_of(&slot), Some(json!({"x": 2, "y": 1, "later": 1})));
    assert_eq!(slot.head().epoch, 3);
}

#[test]
fn bounds_are_kept() {
    let config = StoreConfig {
        max_entities: 2,
        max_ids: 3,
        max_empty: 1,
        ..StoreConfig::default()
    };
    let (store, mut writer) = owner(config);
    let entity = store.find("tests").expect("made");
    store.entity("two").expect("room");
    assert_eq!(store.entity("three").map(|_| ()), Err(StoreFull::Entities));
    assert_eq!(store.entities().len(), 2);
    entity.slot("a".into()).expect("room");
    // Readers may not use up all ids.
    assert_eq!(entity.slot("b".into()).map(|_| ()), Err(StoreFull::Ids));
    publish(&mut writer, "c", &json!(1), whole());
    publish(&mut writer, "d", &json!(2), whole());
    assert_eq!(
        writer.locate("e".into(), Missing::Insert),
        Err(Locate::Full)
    );
    publish(&mut writer, "a", &json!(3), whole());
    assert_eq!((entity.len(), entity.ids()), (3, 3));
}

#[test]
fn ids_keep_their_type_unless_the_entity_says_otherwise() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made");
    let integer = entity.slot(IdRef::Int(7)).expect("room");
    let text = entity.slot(IdRef::Text("7")).expect("room");
    assert!(!Arc::ptr_eq(&integer, &text));
    let text_ids = EntityConfig {
        text_ids: true,
        missing: Missing::Insert,
    };
    assert_eq!(entity.configure(text_ids), Err(ConfiguredLate));
    let other = store.entity("other").expect("room");
    assert_eq!(other.configure(text_ids), Ok(()));
    assert_eq!(other.config(), text_ids);
    let integer = other.slot(IdRef::Int(-7)).expect("room");
    let text = other.slot(IdRef::Text("-7")).expect("room");
    assert!(Arc::ptr_eq(&integer, &text));
    assert_eq!(integer.id(), IdRef::Text("-7"));
    assert!(other.find(IdRef::Int(i128::MIN)).is_none());
    let mut other = other.claim("tests".into()).expect("free");
    let ix = other
        .locate(IdRef::Int(-7), Missing::Insert)
        .expect("it is there");
    assert_eq!(other.locate(IdRef::Text("-7"), Missing::Insert), Ok(ix));
    assert_eq!(ix.number(), text.number());
    assert_eq!(
        writer.locate(IdRef::Int(8), Missing::Ignore),
        Err(Locate::Missing)
    );
}

#[test]
fn takers_of_one_epoch_share_one_snapshot() {
    let (_store, mut writer) = owner(StoreConfig::default());
    let (slot, _) = publish(&mut writer, "a", &json!({"x": 1}), at(1));
    let first = slot.snapshot();
    publish(&mut writer, "a", &json!({"x": 1}), at(2));
    let second = slot.snapshot();
    assert!(first.is_same(&second));
    let times = [first.head, second.head].map(|head| head.received_at.as_nanos());
    assert_eq!(times, [1, 2], "times are those of the call");
    publish(&mut writer, "a", &json!({"x": 2}), at(3));
    let third = slot.snapshot();
    assert!(!first.is_same(&third));
    assert_eq!(
        (first.record().get("x").i64(), third.record().get("x").i64()),
        (Ok(1), Ok(2))
    );
}

#[test]
fn a_slot_that_grows_without_end_is_kept_as_a_document() {
    let (_store, mut writer) = owner(StoreConfig::default());
    let mut all = json!({});
    for field in 0..500 {
        let name = format!("field {field}");
        all[&name] = json!(field);
        let (slot, outcome) = publish(&mut writer, "a", &json!({ &name: field }), at(1));
        assert_eq!(outcome, Outcome::Applied);
        assert_eq!(json_of(&slot).as_ref(), Some(&all));
    }
    assert!(writer.growths() < 100, "{}", writer.growths());
    // A new slot of the entity has room for all from the start.
    let before = writer.growths();
    let (slot, _) = publish(&mut writer, "b", &all, whole());
    assert_eq!(json_of(&slot), Some(all));
    assert_eq!(writer.growths(), before);
}

#[test]
fn a_cut_is_of_one_finished_turn() {
    let (store, mut writer) = owner(StoreConfig::default());
    let counter = TurnCounter::new();
    let entity = store.find("tests").expect("made");
    let never = entity.slot("never".into()).expect("room");
    let turn = |turn| Stamp { turn, ..whole() };
    let (a, _) = publish(&mut writer, "a", &json!(1), turn(1));
    let (b, _) = publish(&mut writer, "b", &json!(1), turn(1));
    counter.finish(1);
    let taken = cut(&counter, &[&a, &b, &never]).expect("nothing moves");
    assert_eq!(taken.turn, 1);
    let texts: Vec<String> = taken
        .values
        .iter()
        .map(|(_, record)| record.to_json())
        .collect();
    assert_eq!(texts, ["1", "1", ""]);
    publish(&mut writer, "a", &json!(2), turn(2));
    assert!(cut(&counter, &[&b]).is_ok());
    assert!(
        cut(&counter, &[&a, &b]).is_err(),
        "a ring of two has only what is unfinished"
    );
    counter.finish(2);
    let ix = writer
        .locate("b".into(), Missing::Ignore)
        .expect("it is there");
    writer.remove(ix, &turn(3));
    counter.finish(3);
    let taken = cut(&counter, &[&a, &b]).expect("nothing moves");
    let states: Vec<State> = taken.values.iter().map(|(head, _)| head.state).collect();
    assert_eq!(states, [State::Present, State::Removed]);
}
