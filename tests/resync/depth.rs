//! Numbered changes and their snapshot, by the rules of Binance: the stream first, the snapshot under
//! it. With messages of our own, and with the recordings, which hold the snapshot in line.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use serde_json::Value;
use tickcache::feed::{MessageKind, Policy, Rule};
use tickcache::testing::TestFeed;
use tickcache::{Cache, Envelope, Feed, Fetched, Freshness, Missing, Reasons, Slot};

use crate::kit::{Desk, ms};

/// Spot: `U` follows the `u` before. Futures: `pu` is it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Market {
    Spot,
    Futures,
}

impl Market {
    fn envelope(self) -> Envelope {
        let rule = match self {
            Self::Spot => Rule::ContiguousRange,
            Self::Futures => Rule::Chained,
        };
        let envelope = Envelope::builder("book")
            .constant_entity("depth")
            .id("/data/s")
            .payload("/data")
            .kind("/data/e")
            .word("depthUpdate", MessageKind::Patch)
            .missing(Missing::Insert)
            .sequence("/data/u", Policy::continuing(rule))
            .first_sequence("/data/U");
        let envelope = match self {
            Self::Spot => envelope,
            Self::Futures => envelope.previous_sequence("/data/pu"),
        };
        envelope.build().expect("an envelope")
    }

    fn change(self, first: u64, last: u64, previous: u64) -> String {
        let pu = match self {
            Self::Spot => String::new(),
            Self::Futures => format!(r#","pu":{previous}"#),
        };
        format!(
            r#"{{"data":{{"e":"depthUpdate","s":"X","U":{first},"u":{last}{pu},"b":{{"p{last}":"{last}"}}}}}}"#
        )
    }
}

struct Book {
    _cache: Cache,
    feed: TestFeed<Envelope>,
    desk: Desk,
    slot: Slot,
}

impl Book {
    fn new(market: Market, symbol: &str) -> Self {
        let desk = Desk::new();
        let feed = Feed::envelope(market.envelope()).resync(desk.fetcher());
        let (cache, feed) = TestFeed::new(feed.resync_after(ms(100)));
        Self {
            slot: cache.entity("depth").slot(symbol),
            _cache: cache,
            feed,
            desk,
        }
    }

    fn hear(&mut self, text: &str) {
        self.feed.message(text).expect("taken");
        self.feed.settle();
    }

    fn pass(&mut self, millis: u64) {
        self.feed.advance(ms(millis));
        self.feed.settle();
    }

    fn answer(&mut self, last: u64) {
        let text = format!(r#"{{"lastUpdateId":{last},"b":{{"old":"1"}}}}"#);
        self.desk.answer(Ok(Fetched::json(text).as_of(last)));
        self.pass(0);
    }

    fn is_live(&self) -> bool {
        self.slot.freshness().is_live()
    }

    fn value(&self) -> Value {
        let text = self.slot.snapshot().record().to_json();
        serde_json::from_str(&text).expect("JSON")
    }

    fn gaps(&self) -> u64 {
        self.feed.counters().gaps
    }
}

#[test]
fn the_stream_comes_first_and_is_laid_over_the_snapshot() {
    for market in [Market::Spot, Market::Futures] {
        let mut book = Book::new(market, "X");
        book.hear(&market.change(11, 15, 10));
        assert_eq!(
            book.slot.freshness(),
            Freshness::Stale(Reasons::PARTIAL),
            "changes alone are no book"
        );
        book.pass(200);
        assert_eq!(book.desk.last().sequence, Some(15));
        book.hear(&market.change(16, 20, 15));
        book.hear(&market.change(21, 25, 20));
        // Within the second of the changes: 16 to 18 are in it, 19 to 25 are not.
        book.answer(18);
        assert!(book.is_live(), "{market:?}");
        let value = book.value();
        assert_eq!(
            value["b"],
            serde_json::json!({"old": "1", "p20": "20", "p25": "25"})
        );
        book.hear(&market.change(26, 30, 25));
        assert!(book.is_live());
        assert_eq!(
            (book.gaps(), book.slot.read_all(|view| view.sequence())),
            (0, Some(30))
        );
    }
}

#[test]
fn a_snapshot_older_than_the_first_change_is_fetched_again() {
    for market in [Market::Spot, Market::Futures] {
        let mut book = Book::new(market, "X");
        book.hear(&market.change(11, 15, 10));
        book.pass(200);
        book.answer(9);
        assert_eq!(book.slot.freshness(), Freshness::Stale(Reasons::PARTIAL));
        book.pass(3_000);
        assert_eq!(book.desk.asked(), 2);
        book.answer(17);
        assert!(book.is_live());
        // Of what comes now the first ends before the answer, the second spans it.
        book.hear(&market.change(16, 16, 15));
        book.hear(&market.change(17, 22, 16));
        assert!(book.is_live(), "{market:?}: {}", book.slot.freshness());
        assert_eq!((book.gaps(), book.feed.counters().older), (0, 1));
        assert_eq!(
            book.value()["b"],
            serde_json::json!({"old": "1", "p22": "22"})
        );
    }
}

#[test]
fn a_hole_behind_the_snapshot_is_a_gap_and_starts_over() {
    for market in [Market::Spot, Market::Futures] {
        let mut book = Book::new(market, "X");
        book.hear(&market.change(11, 15, 10));
        book.pass(200);
        book.answer(17);
        book.hear(&market.change(20, 22, 19));
        assert_eq!(
            book.slot.freshness(),
            Freshness::Stale(Reasons::GAP),
            "{market:?}: 18 and 19 are missing"
        );
        book.pass(200);
        assert_eq!(book.desk.last().reason, Reasons::GAP);
        book.hear(&market.change(23, 25, 22));
        book.answer(24);
        assert!(book.is_live());
        assert_eq!((book.gaps(), book.desk.asked()), (1, 2));
        assert_eq!(
            book.value()["b"],
            serde_json::json!({"old": "1", "p25": "25"})
        );
    }
}

#[test]
fn a_recording_lands_without_a_gap() {
    let spot = ("binance-spot-btcusdt-20240808", Market::Spot, 8);
    let futures = ("binance-usdm-btcusdt-20240808-start", Market::Futures, 55);
    for (name, market, line) in [spot, futures] {
        let Some(lines) = recording(name) else {
            println!("skipped: no recording {name}");
            continue;
        };
        play(&lines, market, line);
    }
}

/// Plays a recording whose snapshot stands in this line, counted from 1.
fn play(lines: &[String], market: Market, snapshot: usize) {
    let mut book = Book::new(market, "BTCUSDT");
    let changes = |lines: &[String]| -> Vec<Value> {
        let values = lines
            .iter()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        let data = values.map(|mut value: Value| value["data"].take());
        data.filter(|data| data["e"] == "depthUpdate").collect()
    };
    let answer: Value = serde_json::from_str(&lines[snapshot - 1]).expect("JSON");
    let last = answer["lastUpdateId"].as_u64().expect("a number");
    for (n, line) in lines.iter().enumerate() {
        if n + 1 == snapshot {
            assert_eq!(book.desk.waiting(), 1);
            assert!(changes(&lines[..n]).last().expect("some")["u"].as_u64() > Some(last));
            let reply = Fetched::json(line.as_bytes()).as_of(last);
            book.desk.answer(Ok(reply));
            book.pass(0);
            assert!(book.is_live(), "{market:?}: {}", book.slot.freshness());
            continue;
        }
        // Other channels are unmapped here.
        book.feed.message(line).expect("taken");
        if n == 0 {
            // The answer is on its way from here on.
            book.pass(200);
        }
    }
    assert!(book.is_live());
    let counters = book.feed.counters();
    assert_eq!(
        (counters.gaps, counters.older, counters.duplicate),
        (0, 0, 0)
    );
    assert_eq!(book.desk.asked(), 1);
    // The reference: members of the answer, and over them those of each change after it.
    let mut expected: BTreeMap<String, Value> = serde_json::from_value(answer).expect("an object");
    for change in changes(lines) {
        if change["u"].as_u64() > Some(last) {
            expected.extend(change.as_object().expect("an object").clone());
        }
    }
    let value: BTreeMap<String, Value> = serde_json::from_value(book.value()).expect("an object");
    assert_eq!(value, expected);
}

fn recording(name: &str) -> Option<Vec<String>> {
    let folder = std::env::var_os("TICKCACHE_CAPTURES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/captures"),
        PathBuf::from,
    );
    let file = std::fs::File::open(folder.join(format!("{name}.jsonl.gz"))).ok()?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("gzip");
    Some(text.lines().map(str::to_owned).collect())
}
