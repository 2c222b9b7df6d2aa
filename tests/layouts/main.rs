//! Messages whose layout was learned mean exactly what they mean to a parser.
//!
//! Every stream of messages is taken twice, by an intake that learns layouts and by one that parses
//! every message: same classes and refusals, same patches and removals, same records. And every
//! value of every message looks the same through its handles.

#![allow(missing_docs, reason = "a test binary")]

mod handles;
#[allow(dead_code, reason = "shared with another test")]
#[path = "../mutation/mod.rs"]
mod mutation;
#[allow(dead_code, reason = "shared with another test")]
#[path = "../captures/recording.rs"]
mod recording;
mod replay;
mod streams;
mod twins;

use std::path::{Path, PathBuf};

use mutation::Rng;
use recording::{Recording, recordings};
use streams::Stream;
use tickcache::Envelope;
use tickcache::feed::presets::{
    AlpacaStocks, Binance, BinanceMarket, Bybit, BybitCategory, CoinbaseAdvanced, CoinbaseExchange,
    Deribit, Events, Exchange, KrakenFutures, KrakenV1, KrakenV2, Okx, PolygonStocks,
};
use tickcache::feed::{Ids, Missing, Protocol};
use tickcache::record::Mode;
use twins::{Counted, Twins};

/// Messages of which the first may all be parsed: each layout has to be seen twice.
const FIRST: usize = 100;
/// Messages that are made of each sample.
const ROUNDS: usize = 400;

/// Takes a stream of messages twice and compares.
type Compare = fn(&str, &mut dyn Iterator<Item = Vec<u8>>) -> Counted;

macro_rules! protocols {
    ($($name:literal: $protocol:expr;)*) => {
        [$(($name, (|name, messages| compare(name, || $protocol, messages)) as Compare),)*]
    };
}

fn compare<P: Protocol>(
    name: &str,
    protocol: impl Fn() -> P,
    messages: &mut dyn Iterator<Item = Vec<u8>>,
) -> Counted {
    let mut twins = Twins::new(name, protocol);
    for message in messages {
        twins.take(&message);
    }
    twins.finish(FIRST)
}

/// The presets, by the beginning of the names of their recordings.
fn presets() -> Vec<(&'static str, Compare)> {
    protocols! {
        "binance-spot": Exchange::of(Binance::of(BinanceMarket::Spot));
        "binance-usdm": Exchange::of(Binance::of(BinanceMarket::Usdm));
        "binance-coinm": Exchange::of(Binance::of(BinanceMarket::Coinm));
        "bybit-linear": Exchange::of(Bybit::of(BybitCategory::Linear));
        "bybit-inverse": Exchange::of(Bybit::of(BybitCategory::Inverse));
        "bybit-spot": Exchange::of(Bybit::of(BybitCategory::Spot));
        "coinbase-exchange": Exchange::of(CoinbaseExchange::default());
        "coinbase-advanced": Exchange::of(CoinbaseAdvanced::default());
        "kraken-v1": Exchange::of(KrakenV1::default());
        "kraken-v2": Exchange::of(KrakenV2::default());
        "kraken-futures": Exchange::of(KrakenFutures::default());
        "okx": Exchange::of(Okx);
        "deribit": Exchange::of(Deribit::default());
        "alpaca-stocks": Exchange::of(AlpacaStocks::default());
        "polygon-stocks": Exchange::of(PolygonStocks::default());
    }
    .into()
}

/// Small messages of every preset, and of plain events and of an envelope.
fn samples(name: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/venues");
    let text = std::fs::read_to_string(folder.join(format!("{name}.jsonl"))).expect("the samples");
    text.lines().map(str::to_owned).collect()
}

const EVENTS: [&str; 6] = [
    r#"{"entity":"ticker","id":"BTCUSDT","payload":{"bid":"61837.63","bidSize":3.788260,"active":true,"stats":{"high":null,"low":{"day":1,"week":-0.5}},"tags":["a",{"b":[]}]}}"#,
    r#"{"entity":"ticker","id":400900217,"payload":{"ask":1.5,"note":"0123456789abcdef0123456789","empty":{}}}"#,
    r#"{"entity":"ticker","id":7,"payload":[1,{"a":[]},"x"]}"#,
    r#"{"entity":"ticker","id":"x","payload":null}"#,
    r#"{"entity":"job","id":"a"}"#,
    r#"[{"entity":"job","id":1,"payload":{"status":"done","rows":[]}},{"entity":"ticker"}]"#,
];

#[test]
fn mutated_messages_of_every_preset_mean_the_same_with_and_without_layouts() {
    for (name, compare) in presets() {
        let mut stream = Stream::new(&samples(name), Rng::new(0x5eed ^ name.len() as u64));
        let counted = compare(
            name,
            &mut stream.by_ref().take(ROUNDS * samples(name).len()),
        );
        assert!(counted.hits > counted.messages / 4, "{name}: {counted:?}");
        assert!(counted.patches > 0, "{name}: {counted:?}");
    }
}

#[test]
fn mutated_events_mean_the_same_with_and_without_layouts() {
    let events = EVENTS.map(str::to_owned);
    let modes = protocols! {
        "merge": Events::new().missing(Missing::Insert);
        "shallow": Events::new().merge(Mode::Shallow).ids(Ids::Text);
        "whole": Events::new().whole();
        "null": Events::new().merge(Mode::MergeNull).other_shapes();
        "envelope": envelope();
    };
    for (name, compare) in modes {
        let mut stream = Stream::new(&events, Rng::new(0xf00d ^ name.len() as u64));
        let counted = compare(name, &mut stream.by_ref().take(2 * ROUNDS * EVENTS.len()));
        assert!(counted.hits > counted.messages / 4, "{name}: {counted:?}");
        assert!(counted.patches > 0, "{name}: {counted:?}");
    }
}

/// Walks into everything that an envelope can walk into.
fn envelope() -> Envelope {
    Envelope::builder("envelope")
        .entity("/entity")
        .id("/id")
        .payload("/payload")
        .missing(Missing::Insert)
        .build()
        .expect("the pointers are right")
}

#[test]
fn every_handle_shows_the_same() {
    let texts: Vec<String> = presets()
        .iter()
        .flat_map(|(name, _)| samples(name))
        .chain(EVENTS.map(str::to_owned))
        .collect();
    for (at, pair) in texts.chunks(2).enumerate() {
        let stream = Stream::new(pair, Rng::new(at as u64));
        handles::compare(&mut stream.take(ROUNDS));
    }
}

/// Recordings that fit less often, and why.
const EXCEPTIONS: [(&str, f64, &str); 1] = [(
    "bybit-linear",
    0.9,
    "(a delta names only what has changed: there are more layouts than a decoder keeps)",
)];

#[test]
fn recordings_mean_the_same_and_mostly_have_a_known_layout() {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/captures");
    let folder = std::env::var_os("TICKCACHE_CAPTURES").map_or(beside, PathBuf::from);
    if !folder.is_dir() {
        return eprintln!(
            "skipped: {} is not there; set TICKCACHE_CAPTURES",
            folder.display()
        );
    }
    let mut low = Vec::new();
    for path in recordings(&folder) {
        let recording = Recording::open(&path);
        let name = &*recording.name;
        let Some((_, compare)) = presets()
            .into_iter()
            .find(|(preset, _)| name.starts_with(preset))
        else {
            eprintln!("{name}: no preset");
            continue;
        };
        let mut messages = recording.texts.iter().map(|text| text.clone().into_bytes());
        let counted = compare(name, &mut messages);
        let exception = EXCEPTIONS
            .iter()
            .find(|(known, ..)| name.starts_with(known));
        let (least, why) = exception.map_or((0.99, ""), |(_, least, why)| (*least, *why));
        eprintln!(
            "{name}: {} messages, {:.2} % fit after the first {FIRST} ({} layouts learned) {why}",
            counted.messages,
            100.0 * counted.rate,
            counted.learned,
        );
        if counted.rate < least {
            low.push((name.to_owned(), counted));
        }
    }
    assert!(low.is_empty(), "{low:?}");
}

#[test]
fn the_seeds_of_the_fuzz_target_make_no_difference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/layouts");
    let mut hits = 0;
    let Ok(seeds) = std::fs::read_dir(&folder) else {
        return eprintln!("skipped: {} is not packaged", folder.display());
    };
    for entry in seeds {
        let mut seed = std::fs::read(entry.expect("a seed").path()).expect("a seed");
        for choice in b'0'..b'8' {
            seed[0] = choice;
            hits += replay::replay(&seed);
            // Cut short anywhere, and with any byte changed.
            for at in (1..seed.len()).step_by(7) {
                replay::replay(&seed[..at]);
                let was = std::mem::replace(&mut seed[at], b"\"\\,]}0 \x80"[at % 8]);
                replay::replay(&seed);
                seed[at] = was;
            }
        }
    }
    assert!(hits > 200, "{hits}");
}
