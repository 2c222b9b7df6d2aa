//! What targets have found, written out: the shortest history of each, by name.

use tickcache::feed::{Envelope, EnvelopeBuilder, MessageKind, Policy, Rule};
use tickcache::testing::TestFeed;
use tickcache::{Feed, Freshness, Slot};

fn venue() -> EnvelopeBuilder {
    Envelope::builder("venue")
        .entity("/e")
        .entities(["e"])
        .id("/i")
        .payload("/v")
        .kind("/k")
        .word("whole", MessageKind::Whole)
        .word("patch", MessageKind::Patch)
}

fn feed(envelope: EnvelopeBuilder) -> (Slot, TestFeed<Envelope>) {
    let feed = Feed::envelope(envelope.build().expect("the pointers are right"));
    let (cache, feed) = TestFeed::new(feed);
    (cache.entity("e").slot(1), feed)
}

fn json(slot: &Slot) -> String {
    slot.snapshot().record().to_json()
}

/// A handle goes on with the slot that its id gets after a purge, and so does the number of its
/// publications: whoever compares it to see whether there is news would wait for ever.
#[test]
fn the_epoch_of_a_handle_moves_after_a_purge() {
    let (slot, mut feed) = feed(venue());
    let say = |feed: &mut TestFeed<Envelope>, n: u32| {
        let text = format!(r#"{{"k":"whole","e":"e","i":1,"v":{n}}}"#);
        feed.message(&text).expect("nothing is wrong with it");
    };
    say(&mut feed, 1);
    let first = slot.epoch();
    drop(slot.purge().expect("room"));
    feed.settle();
    say(&mut feed, 2);
    let second = slot.epoch();
    assert!(second > first, "{second} after {first}");
    assert_eq!(second, slot.snapshot().epoch());
    say(&mut feed, 3);
    assert!(slot.epoch() > second);
    assert_eq!(json(&slot), "3");
}

/// A write has no number, and keeps that of the source. Where each connection counts anew, the number
/// of the connection before means nothing: held on to, it would make older all that the new one says,
/// under a value that reads live.
#[test]
fn a_write_does_not_carry_a_number_into_the_next_connection() {
    for rule in [Rule::SparseRising, Rule::RisingEqualAllowed] {
        let (slot, mut feed) = feed(venue().sequence("/q", Policy::restarting(rule)));
        let say = |feed: &mut TestFeed<Envelope>, q: u32| {
            let text = format!(r#"{{"k":"whole","e":"e","i":1,"q":{q},"v":{q}}}"#);
            feed.message(&text).expect("nothing is wrong with it");
        };
        say(&mut feed, 1_000);
        feed.disconnect();
        feed.reconnect();
        drop(slot.set(&0).expect("room"));
        feed.settle();
        assert_eq!(slot.freshness(), Freshness::Live);
        say(&mut feed, 1);
        assert_eq!(json(&slot), "1", "{rule:?}");
        say(&mut feed, 2);
        assert_eq!(json(&slot), "2", "{rule:?}");
    }
}

/// The same of a chain: what follows nothing that was seen on this connection is no continuation.
#[test]
fn a_change_does_not_continue_a_number_of_the_connection_before() {
    let policy = Policy::restarting(Rule::ContiguousPerKey);
    let (slot, mut feed) = feed(venue().sequence("/q", policy));
    let say = |feed: &mut TestFeed<Envelope>, kind: &str, q: u32| {
        let text = format!(r#"{{"k":"{kind}","e":"e","i":1,"q":{q},"v":{{"n":{q}}}}}"#);
        feed.message(&text).expect("nothing is wrong with it");
    };
    say(&mut feed, "whole", 7);
    feed.disconnect();
    feed.reconnect();
    drop(slot.set_json(r#"{"n":0}"#).expect("room"));
    feed.settle();
    let gaps = feed.counters().gaps;
    // The first change of this connection: there is no number yet that it could have to follow.
    say(&mut feed, "patch", 1);
    assert_eq!((feed.counters().gaps, feed.counters().older), (gaps, 0));
    assert_eq!(json(&slot), r#"{"n":1}"#);
    say(&mut feed, "patch", 3);
    assert_eq!(feed.counters().gaps, gaps + 1, "2 is missing");
    assert!(!slot.freshness().is_live());
}
