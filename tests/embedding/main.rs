//! What a service that embeds the cache leans on: handles that go anywhere, enumeration, types,
//! writing from outside, ownership, and bounds.

#[path = "../kit/mod.rs"]
mod kit;
mod owners;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::thread;

use kit::{BOOK, LONG, TRADE, open, patch, remove, say, venue, whole};
use serde::{Deserialize, Deserializer};
use tickcache::feed::{Covers, Envelope, Refusal};
use tickcache::key::Id;
use tickcache::record::Decimal;
use tickcache::{
    AttachError, Cache, Changes, CutError, Desc, Entity, Feed, Freshness, LocalFeed,
    NotReadyReason, Reasons, SetError, Slot, Snapshot, TypedSlot, Watch,
};

const fn goes_anywhere<T: Clone + Send + Sync + 'static>() {}
const fn moves<T: Send + 'static>() {}

/// Checked when this file is compiled.
const _: () = {
    goes_anywhere::<Cache>();
    goes_anywhere::<Entity>();
    goes_anywhere::<Slot>();
    goes_anywhere::<Snapshot>();
    goes_anywhere::<TypedSlot<Decimal>>();
    moves::<Watch>();
    moves::<Changes>();
    moves::<LocalFeed<Envelope>>();
};

fn id_texts(slots: impl IntoIterator<Item = Slot>) -> Vec<String> {
    slots
        .into_iter()
        .map(|slot| slot.id().to_string())
        .collect()
}

#[test]
fn enumeration_shows_what_has_a_value() {
    let (cache, mut feed) = open(venue());
    let book = cache.entity(BOOK);
    let asked_for = book.slot("nobody writes it");
    assert!(book.is_empty() && book.iter().next().is_none());
    for id in ["1", r#""1""#, "0", r#""""#, "-7", "18446744073709551615"] {
        say(&mut feed, whole(id, r#"{"n":1}"#));
    }
    assert_eq!(
        book.len(),
        6,
        "7 and \"7\" differ, 0 and the empty text are ids"
    );
    say(&mut feed, remove("0"));
    let ids: Vec<_> = book.ids().collect();
    let expected: [Id; 5] = [
        1.into(),
        "1".into(),
        "".into(),
        (-7).into(),
        u64::MAX.into(),
    ];
    assert_eq!(
        (book.len(), &ids[..]),
        (5, &expected[..]),
        "in the order of first appearance"
    );
    assert_eq!(
        id_texts(book.iter()),
        ["1", "1", "", "-7", "18446744073709551615"]
    );
    assert!(book.find(2).is_none() && book.find(1).is_some());
    assert_eq!(asked_for.freshness(), Freshness::Empty);
    let names: Vec<_> = cache
        .entities()
        .iter()
        .map(|entity| entity.name().to_owned())
        .collect();
    assert_eq!(names, [BOOK, TRADE]);
}

#[test]
fn an_order_kept_incrementally_is_the_order_of_a_full_sort() {
    let (cache, mut feed) = open(venue());
    let book = cache.entity(BOOK);
    let (mut top, mut all) = (book.top(5, Desc("q")), book.sorted_by(tickcache::Asc("q")));
    let mut model = BTreeMap::new();
    let mut random = 1u64;
    for step in 0..2000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (id, q) = ((random >> 33) % 40, (random >> 40) % 50);
        match (random >> 20) % 8 {
            0 => {
                say(&mut feed, remove(&id.to_string()));
                model.remove(&id);
            }
            1 => {
                say(&mut feed, patch(&id.to_string(), r#"{"q":null}"#));
                model.remove(&id);
            }
            2..=4 => {
                say(
                    &mut feed,
                    whole(&id.to_string(), &format!(r#"{{"q":{q}}}"#)),
                );
                model.insert(id, q);
            }
            // As text, with trailing zeros: the same number.
            _ => {
                say(
                    &mut feed,
                    whole(&id.to_string(), &format!(r#"{{"q":"{q}.00"}}"#)),
                );
                model.insert(id, q);
            }
        }
        if step % 7 == 0 {
            let mut sorted: Vec<_> = model.iter().map(|(id, q)| (*q, Id::from(*id))).collect();
            sorted.sort();
            let ids = |sorted: &[(u64, Id)]| -> Vec<String> {
                sorted.iter().map(|(_, id)| id.to_string()).collect()
            };
            assert_eq!(id_texts(all.slots()), ids(&sorted));
            sorted.reverse();
            sorted.truncate(5);
            assert_eq!(id_texts(top.slots()), ids(&sorted));
            assert_eq!(top.len(), model.len());
        }
    }
    let rows = top.rows();
    assert_eq!(rows.len(), 5);
    let values: Vec<_> = rows
        .iter()
        .map(|row| row.decimal("q").expect("a number"))
        .collect();
    assert!(values.is_sorted_by(|a, b| a >= b), "{values:?}");
}

thread_local! {
    static DECODED: Cell<u32> = const { Cell::new(0) };
}

/// Counts how often it is decoded on this thread.
#[derive(Debug, PartialEq)]
struct Counted(u64);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            n: u64,
        }
        DECODED.set(DECODED.get() + 1);
        Fields::deserialize(deserializer).map(|fields| Self(fields.n))
    }
}

#[test]
fn a_typed_slot_decodes_each_version_once() {
    let (cache, mut feed) = open(venue());
    let typed = cache.entity(BOOK).typed::<Counted>().expect("any type");
    let slot = typed.slot(1);
    assert_eq!(
        slot.live().expect_err("empty").freshness(),
        Freshness::Empty
    );
    for number in 1..=3 {
        say(&mut feed, whole("1", &format!(r#"{{"n":{number}}}"#)));
        for reader in [&slot, &slot.clone(), &slot] {
            assert_eq!(*reader.live().expect("live"), Counted(number));
        }
        assert_eq!(DECODED.get(), u32::try_from(number).expect("few"));
    }
    say(&mut feed, whole("1", r#"{"n":3}"#));
    feed.close();
    assert!(
        slot.live()
            .expect_err("stale")
            .reasons()
            .contains(Reasons::DISCONNECTED)
    );
    feed.open();
    assert_eq!(
        DECODED.get(),
        3,
        "neither what changes nothing nor a refused read decodes"
    );
    say(&mut feed, whole("1", r#"{"n":"three"}"#));
    let error = slot.live().expect_err("no number");
    assert_eq!(error.freshness(), Freshness::Live);
    assert!(
        error
            .decode_error()
            .is_some_and(|e| e.to_string().contains('n')),
        "{error}"
    );
    let mut watch = slot.watch();
    assert!(watch.wait(LONG).expect("the present value").live().is_err());
    say(&mut feed, whole("1", r#"{"n":4}"#));
    let decoded = DECODED.get();
    let tick = watch.wait(LONG).expect("news");
    assert_eq!(tick.live().expect("live"), &Counted(4));
    assert_eq!(
        (tick.live().expect("live"), tick.conflated()),
        (&Counted(4), 0)
    );
    assert_eq!(DECODED.get(), decoded + 1);
}

#[test]
fn numbers_keep_every_digit() {
    #[derive(Deserialize)]
    struct Quote {
        #[serde(rename = "b")]
        bid: Decimal,
        #[serde(rename = "q")]
        quantity: Decimal,
        u: u64,
    }
    let (cache, mut feed) = open(venue());
    let value = r#"{"b":"0.10000000000000000001","q":1.50e-8,"u":18446744073709551615}"#;
    say(&mut feed, whole("1", value));
    let typed = cache
        .entity(BOOK)
        .typed::<Quote>()
        .expect("any type")
        .slot(1);
    let quote = typed.live().expect("live");
    assert_eq!(quote.bid, Decimal::new(10_000_000_000_000_000_001, 20));
    assert_eq!(quote.bid.to_string(), "0.10000000000000000001");
    assert_eq!(quote.quantity, "0.000000015".parse().expect("a decimal"));
    assert_eq!(quote.u, u64::MAX);
    let snapshot = cache.entity(BOOK).slot(1).snapshot();
    assert_eq!(
        snapshot.record().get("q").json().as_deref(),
        Ok("1.50e-8"),
        "the token as it came"
    );
}

#[test]
fn a_cut_shows_every_slot_as_of_one_message() {
    let (cache, mut feed) = open(Feed::events().whole().entities(["a", "b"]));
    let both = |n: u64| {
        format!(
            r#"[{{"entity":"a","id":1,"payload":{{"n":{n}}}}},{{"entity":"b","id":1,"payload":{{"n":{n}}}}}]"#
        )
    };
    say(&mut feed, both(0));
    let slots = [cache.entity("a").slot(1), cache.entity("b").slot(1)];
    let writer = thread::spawn(move || {
        for n in 1..=20_000 {
            say(&mut feed, both(n));
        }
        feed
    });
    let (mut last, mut turn, mut cuts) = (0, 0, 0u32);
    while last < 20_000 {
        let cut = match cache.cut(&slots) {
            Ok(cut) => cut,
            Err(busy) => {
                assert!(busy.is_retryable());
                continue;
            }
        };
        let numbers: Vec<_> = cut
            .records()
            .map(|record| record.get("n").u64().expect("a number"))
            .collect();
        assert_eq!(numbers[0], numbers[1], "torn at turn {}", cut.turn());
        assert!(numbers[0] >= last && cut.turn() >= turn, "never back");
        assert!(cut.freshness().all(|freshness| freshness.is_live()));
        (last, turn, cuts) = (numbers[0], cut.turn(), cuts + 1);
    }
    assert!(cuts > 0);
    let feed = writer.join().expect("the writer");
    let nobodys = cache.entity("c").slot(1);
    let error = cache
        .cut([&slots[0], &nobodys])
        .expect_err("no common owner");
    assert_eq!(error, CutError::DifferentFeeds);
    drop(feed);
}

#[test]
fn beyond_a_bound_messages_are_refused_and_counted() {
    let settings = Cache::builder().max_ids(2).max_entities(2).max_value(64);
    let cache = settings.build().expect("a cache");
    let mut feed = cache.local(Feed::events().whole()).expect("attached");
    feed.open();
    let event = |entity: &str, id: u64, payload: &str| {
        format!(r#"{{"entity":"{entity}","id":{id},"payload":{payload}}}"#)
    };
    let mut send = |text: String| feed.message(&mut text.into_bytes());
    for id in 1..=3 {
        send(event("a", id, r#"{"n":1}"#)).expect("a third id is no fault of the message");
    }
    send(event("b", 1, "{}")).expect("the second entity");
    assert_eq!(send(event("c", 1, "{}")), Err(Refusal::EntitiesFull));
    let long = format!(r#"{{"n":"{}"}}"#, "x".repeat(64));
    assert_eq!(send(event("a", 1, &long)), Err(Refusal::TooLarge));
    assert_eq!(send("no JSON".to_owned()), Err(Refusal::Malformed));
    let a = cache.entity("a");
    assert_eq!(
        (a.len(), a.slot(1).snapshot().record().to_json()),
        (2, r#"{"n":1}"#.to_owned())
    );
    let counters = feed.counters();
    assert_eq!(
        (counters.patches_refused, counters.applied, counters.refused),
        (1, 3, 3)
    );
    let refused = [
        (Refusal::Malformed, 1),
        (Refusal::TooLarge, 1),
        (Refusal::EntitiesFull, 1),
    ];
    assert_eq!(counters.refused_by, refused);
    assert!(counters.balanced(), "{counters:?}");
    for slot in [a.slot(3), cache.entity("c").slot(1)] {
        assert_eq!(slot.freshness(), Freshness::Empty);
        let error = slot
            .wait_ready(std::time::Duration::ZERO)
            .expect_err("it will never come");
        assert_eq!(
            error.missing()[0].reason,
            NotReadyReason::LimitReached,
            "{slot:?}"
        );
        assert!(slot.snapshot().record().is_absent() && slot.watch().take().is_some());
    }
}

#[test]
fn a_value_with_too_many_fields_is_a_document_alone() {
    let cache = Cache::builder().max_fields(8).build().expect("a cache");
    let mut feed = cache.local(venue()).expect("attached");
    feed.open();
    let book = cache.entity(BOOK);
    say(&mut feed, whole("1", r#"{"a":1,"b":2}"#));
    let fields = book.fields(["a", "b"]).expect("room");
    let members: Vec<_> = (0..40).map(|n| format!(r#""x{n}":{n}"#)).collect();
    say(
        &mut feed,
        whole("2", &format!(r#"{{"a":7,{},"b":8}}"#, members.join(","))),
    );
    let numbers = |id: u64| {
        let slot = book.slot(id);
        let values = slot.live(fields).expect("live");
        values.map(|value| value.u64().expect("a number"))
    };
    assert_eq!(
        (numbers(1), numbers(2)),
        ([1, 2], [7, 8]),
        "fields read either form"
    );
    assert_eq!(book.slot(2).snapshot().record().get("x39").u64(), Ok(39));
    say(&mut feed, patch("2", r#"{"a":9,"x39":null,"y":{"z":1}}"#));
    say(&mut feed, patch("1", r#"{"b":3}"#));
    assert_eq!((numbers(1), numbers(2)), ([1, 3], [9, 8]));
    let record = book.slot(2).snapshot();
    assert!(record.record().get("x39").is_missing());
    assert_eq!(record.record().path(&["y", "z"]).u64(), Ok(1));
    let error = book
        .fields(["c", "d", "e", "f", "g", "h", "i", "j"])
        .expect_err("no room");
    assert!(error.to_string().contains("max_fields"), "{error}");
    assert!(feed.counters().balanced());
}

#[test]
fn handles_outlive_the_cache_and_keep_the_last_value() {
    let (cache, mut feed) = open(venue());
    say(&mut feed, whole("1", r#"{"n":1}"#));
    let slot = cache.entity(BOOK).slot(1);
    let mut watch = slot.watch();
    watch.take();
    drop((cache, feed));
    assert_eq!(slot.freshness(), Freshness::Stale(Reasons::STOPPED));
    assert_eq!(slot.snapshot().record().to_json(), r#"{"n":1}"#);
    assert_eq!(
        watch.wait(LONG).expect("it has stopped").freshness(),
        slot.freshness()
    );
    assert!(watch.wait(LONG).is_err(), "and no more");
}

#[test]
fn a_field_of_another_entity_reads_as_missing() {
    let (cache, mut feed) = open(venue());
    say(&mut feed, whole("1", r#"{"n":1}"#));
    let [foreign] = cache.entity(TRADE).fields(["n"]).expect("room");
    let [value] = cache.entity(BOOK).slot(1).live([foreign]).expect("live");
    assert!(value.is_missing());
}
