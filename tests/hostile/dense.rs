//! JSON that is all structure, up to ten megabytes of it: what a parser makes of a byte is bounded, the
//! rest of the connection goes on, and what was needed is given back.
//!
//! Two numbers are held: the bytes that were asked for, by the allocator, and the pages that were
//! written to for one message, by the kernel (Linux). A parser asks for room for the worst and mostly
//! leaves it.

use std::io::Write;

use tickcache::feed::Refusal;
use tickcache::ws::Limits;
use tickcache::{Cache, Freshness};

use crate::counting::{Meter, alone};
use crate::kit::{BESIDE, LONG, feed, frame, until};
use crate::server::{Server, event};

/// Long enough to be taken apart elsewhere, and to be a large one for the parser.
const LONG_ONE: usize = 2_000_000;
const LONGEST: usize = 10_000_000;

/// The most bytes that are asked for, and written to, for a byte of a message.
const ASKED: usize = 40;
const WRITTEN: usize = 20;

/// Pages of the process that were in memory at most since they were last counted, in bytes; `None`
/// where the system does not say.
fn most_resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Counts them from here on; whether the system does.
fn count_resident() -> Option<usize> {
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    most_resident()
}

/// `start`, then `again` as often as it takes for `length` bytes, then `end`.
fn dense(length: usize, start: &str, again: &str, end: &str) -> String {
    let times = (length - start.len() - end.len()) / again.len();
    [start, &again.repeat(times), end].concat()
}

/// Ways to be all structure, and what becomes of each.
fn messages(length: usize) -> Vec<(&'static str, String, Refusal)> {
    let dense = |start: &str, again: &str, end: &str| dense(length, start, again, end);
    let payload = r#"{"entity":"job","id":1,"payload":"#;
    vec![
        ("numbers", dense("[", "0,", "0]"), Refusal::Shape),
        ("empty arrays", dense("[", "[],", "0]"), Refusal::Shape),
        ("empty objects", dense("[", "{},", "0]"), Refusal::NoEntity),
        ("open arrays", dense("", "[", ""), Refusal::TooDeep),
        ("open objects", dense("", "{\"\":", ""), Refusal::TooDeep),
        ("commas", dense("", ",", ""), Refusal::Malformed),
        ("quotes", dense("[", "\"\",", "0]"), Refusal::Shape),
        (
            "an escape, and numbers",
            dense("[\"\\n\",", "0,", "0]"),
            Refusal::Shape,
        ),
        (
            "a number beyond 64 bits, and others",
            dense("[1e400,", "0,", "0]"),
            Refusal::Shape,
        ),
        (
            "deep arrays",
            dense(
                "[",
                &format!("{}{},", "[".repeat(100), "]".repeat(100)),
                "0]",
            ),
            Refusal::Shape,
        ),
        (
            "numbers as a value",
            dense(&format!("{payload}["), "0,", "0]}"),
            Refusal::TooLarge,
        ),
        (
            "members as a value",
            dense(&format!("{payload}{{"), "\"\":0,", "\"\":0}}"),
            Refusal::TooLarge,
        ),
        (
            "events",
            dense(
                "[",
                "{\"entity\":\"job\",\"id\":1},",
                "{\"entity\":\"job\"}]",
            ),
            Refusal::TooMany,
        ),
    ]
}

/// Has a feed take a message `times` over, between two others.
fn takes(what: &str, message: &str, by: Refusal, times: usize, is_bulk: bool) {
    let bytes = frame(0x81, message.as_bytes());
    let length = message.len();
    let limits = Limits {
        max_message: length,
        ..Limits::default()
    };
    let server = Server::start(move |mut connection| {
        connection = connection.say(&event(1));
        for _ in 0..times {
            let said = connection.socket.get_mut().write_all(&bytes);
            said.expect("the client bears it");
        }
        connection.say(&event(2)).hold()
    });
    let cache = Cache::builder().build().expect("a cache");
    let resident = count_resident();
    let meter = Meter::start();
    let mut watch = cache.entity("job").slot(1).watch();
    let limited = feed(&server.url()).limits(limits).settings(|settings| {
        if !is_bulk {
            settings.bulk_above = usize::MAX;
        }
    });
    let attached = cache.attach(limited).expect("attached");
    while until(&mut watch, Freshness::is_live) != 2 {}
    // Whoever is through with 2 may not be through with what came before it, elsewhere.
    while attached.counters().refused < times as u64 {
        std::thread::yield_now();
    }
    let asked = meter.peak();
    assert!(
        asked <= ASKED * length + 4 * BESIDE,
        "{what}: {} bytes a byte were asked for",
        asked / length
    );
    // The system's allocator keeps pages of messages before: those are no more than was asked for.
    if let Some((before, most)) = resident.zip(most_resident()).filter(|_| times == 1) {
        let written = most.saturating_sub(before);
        assert!(
            written <= WRITTEN * length + 4 * BESIDE,
            "{what}: {} bytes a byte were written to",
            written / length
        );
    }
    let counters = attached.counters();
    assert_eq!(
        (counters.opens, counters.messages),
        (1, 2 + times as u64),
        "{what}"
    );
    let of_size = counters
        .refused_by
        .iter()
        .any(|(reason, count)| (*reason, *count) == (by, times as u64));
    assert!(of_size, "{what}: {:?}", counters.refused_by);
    cache.close_blocking(LONG).expect("every thread ends");
}

#[test]
fn dense_messages_cost_a_bounded_number_of_bytes_each() {
    let _alone = alone();
    for (what, message, by) in messages(LONG_ONE) {
        takes(what, &message, by, 1, true);
    }
    let (what, message, by) = messages(LONGEST).remove(0);
    takes(what, &message, by, 1, true);
}

/// One is taken apart, as many as the longest message allows wait for that, and one is on its way:
/// a server that sends them faster is not read meanwhile.
#[test]
fn dense_messages_one_after_the_other_cost_what_one_does() {
    let _alone = alone();
    let (what, message, by) = messages(LONG_ONE).remove(0);
    takes(what, &message, by, 12, true);
}

/// On the feed's own thread, whose parser lives on.
#[test]
fn what_a_dense_message_needed_is_given_back() {
    let _alone = alone();
    let (what, message, by) = messages(LONG_ONE).remove(0);
    takes(what, &message, by, 3, false);
    // By the parser alone: with the message after it nothing is left of a large one.
    let mut decoder = tickcache::json::Decoder::new(128);
    let meter = Meter::start();
    assert!(decoder.decode(message.as_bytes()).is_ok());
    assert!(meter.growth() > LONG_ONE);
    assert!(decoder.decode(b"[1]").is_ok());
    let kept = meter.growth();
    assert!(kept < 64 << 10, "{kept} bytes are kept");
}

/// Ids and names of entities are kept for as long as the cache lives: what one costs is not for
/// the server to say.
#[test]
fn long_ids_and_names_are_not_kept() {
    const NAMES: usize = 60;
    let _alone = alone();
    let server = Server::start(|mut connection| {
        let long = "x".repeat(200 << 10);
        for n in 0..NAMES {
            let about = |entity: &str, id: &str| {
                format!(r#"{{"entity":"{entity}","id":"{id}","payload":{{"n":1}}}}"#)
            };
            connection = connection
                .say(&about("job", &format!("{n}{long}")))
                .say(&about(&format!("{n}{long}"), "1"))
                .say(&format!(r#"{{"entity":"job","id":"{n}i{long}"}}"#));
        }
        connection.say(&event(2)).hold()
    });
    let cache = Cache::builder().build().expect("a cache");
    let meter = Meter::start();
    let mut watch = cache.entity("job").slot(1).watch();
    // Any entity may be named.
    let feed = tickcache::Feed::events().whole().url(&server.url());
    let attached = cache.attach(feed).expect("attached");
    assert_eq!(until(&mut watch, Freshness::is_live), 2);
    let counters = attached.counters();
    assert_eq!(
        (counters.patches_refused, counters.refused),
        (NAMES as u64, NAMES as u64)
    );
    assert_eq!((cache.entities().len(), cache.entity("job").len()), (1, 1));
    drop(attached);
    let grown = meter.growth();
    assert!(grown <= 3 * BESIDE, "{grown} bytes");
    cache.close_blocking(LONG).expect("every thread ends");
}

/// Members by the thousand, all different or all the same, in a value that is within its bound:
/// what merging them takes grows with their number, not with its square. (Squared, this would take
/// hours.)
#[test]
fn members_by_the_thousand_are_merged_in_time() {
    let _alone = alone();
    let cache = Cache::builder().build().expect("a cache");
    let feed = tickcache::Feed::events()
        .missing(tickcache::Missing::Insert)
        .entities(["v"]);
    let mut feed = cache.local(feed).expect("nothing else is attached");
    feed.open();
    let members = |name: fn(usize) -> String, value: &str| {
        let members: Vec<_> = (0..80_000)
            .map(|at| format!("\"{}\":{value}", name(at)))
            .collect();
        members.join(",")
    };
    for name in [
        |at| format!("{at}"),
        |_| "same".to_owned(),
        |at| format!("{}", at % 7),
    ] {
        for value in ["1", "{}"] {
            let members = members(name, value);
            let message = format!(r#"{{"entity":"v","id":1,"payload":{{{members}}}}}"#);
            feed.message_text(&message).expect("within the bounds");
        }
    }
    assert!(feed.counters().balanced());
}
