//! Recorded traffic, and made messages of every preset's shape: what does it cost to take them apart,
//! and to take them in?
//!
//! The recordings are those in the folder that `TICKCACHE_CAPTURES` names (default:
//! `../shared/captures`); where there is none, this says so and goes on with the made ones, which are
//! varied from the samples in `tests/data/venues`. Everything is in memory. The first half of each
//! recording warms up and is not counted: slots are made there, and snapshots of megabytes come
//! there. `received to readable` is the whole way through a preset into a cache, in batches of 64; its
//! peer parses into a `serde_json::Value`, digs out what the preset maps, and merges it into a DashMap.
//! The others take messages apart and do nothing with them.

use std::collections::HashSet;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dashmap::DashMap;
use recording::{Recording, recordings};
use serde_json::Value;
use support::cpu::thread_cpu;
use support::json::merge_serde;
use support::paired::Contest;
use tickcache::cache::{Cache, Feed};
use tickcache::feed::Protocol;
use tickcache::json::Decoder;
use tickcache::record::Kind;

mod support;

#[path = "support/routes.rs"]
mod routes;

#[allow(dead_code, unreachable_pub, reason = "shared with a test")]
#[path = "../tests/captures/recording.rs"]
mod recording;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// At most so many messages make a batch: about what one read of a socket brings.
const BATCH: usize = 64;

/// A turn is a whole recording.
const ROUNDS: usize = 9;

/// How often each sample is varied.
const VARIANTS: u64 = 200;

/// A preset: its name, and what it costs to take a recording in.
type Preset = (&'static str, fn(&Recording) -> Duration);

macro_rules! presets {
    ($($name:literal: $feed:expr;)*) => {
        [$(($name, (|recording| take_in($feed, recording)) as fn(&Recording) -> Duration),)*]
    };
}

fn presets() -> Vec<Preset> {
    presets! {
        "binance-spot": Feed::binance_spot();
        "binance-usdm": Feed::binance_usdm();
        "binance-coinm": Feed::binance_coinm();
        "bybit-linear": Feed::bybit_linear();
        "bybit-inverse": Feed::bybit_inverse();
        "bybit-spot": Feed::bybit_spot();
        "coinbase-exchange": Feed::coinbase_exchange();
        "coinbase-advanced": Feed::coinbase_advanced();
        "kraken-v1": Feed::kraken_v1();
        "kraken-v2": Feed::kraken_v2();
        "kraken-futures": Feed::kraken_futures();
        "okx": Feed::okx();
        "deribit": Feed::deribit();
        "alpaca-stocks": Feed::alpaca_stocks().venue(|venue| venue.credentials("key", "secret"));
        "polygon-stocks": Feed::polygon_stocks().venue(|venue| venue.key("key"));
    }
    .into()
}

/// From where on messages count.
fn half(recording: &Recording) -> usize {
    recording.texts.len() / 2
}

/// The CPU time for the second half of a recording, from bytes to values.
fn take_in<P: Protocol>(feed: Feed<P>, recording: &Recording) -> Duration {
    let cache = Cache::builder().build().expect("a cache");
    // Nobody answers a login that is not in the recording.
    let feed = feed.settings(|settings| settings.answer_timeout = Duration::MAX);
    let mut feed = cache.local(feed).expect("the feed");
    let (mut bytes, mut took, from) = (Vec::new(), Duration::ZERO, half(recording));
    for connection in &recording.connections {
        feed.open();
        let (start, end) = (connection.start, connection.end);
        let middle = from.clamp(start, end);
        for (range, counts) in [(start..middle, false), (middle..end, true)] {
            let before = thread_cpu();
            for lot in recording.texts[range].chunks(BATCH) {
                let mut batch = feed.batch();
                for text in lot {
                    bytes.clear();
                    bytes.extend_from_slice(text.as_bytes());
                    // What is refused is counted.
                    let _ = batch.message(&mut bytes);
                }
            }
            if counts {
                took += thread_cpu() - before;
            }
        }
        feed.close();
    }
    drop(feed);
    cache
        .close_blocking(Duration::from_secs(5))
        .expect("the threads end");
    took
}

/// The same as a plain stack does it.
fn take_in_plainly(venue: &str, recording: &Recording) -> Duration {
    let map: DashMap<(String, String), Value> = DashMap::new();
    let take = |text: &String| {
        let message: Value = serde_json::from_str(text).expect("valid");
        for (entity, id, value, whole) in routes::values(venue, message) {
            match map.get_mut(&(entity.clone(), id.clone())) {
                Some(mut held) if !whole => merge_serde(&mut held, value),
                Some(mut held) => *held = value,
                None => {
                    map.insert((entity, id), value);
                }
            }
        }
    };
    let (first, second) = recording.texts.split_at(half(recording));
    first.iter().filter(|text| is_json(text)).for_each(take);
    let start = thread_cpu();
    second.iter().filter(|text| is_json(text)).for_each(take);
    thread_cpu() - start
}

/// Venues also send single words.
fn is_json(text: &str) -> bool {
    text.starts_with(['{', '['])
}

/// The numbers in a value, as texts or not, as `f64`.
fn sum(value: tickcache::json::Value<'_>) -> f64 {
    match value.kind() {
        Kind::Object => value.members().map(|(_, member)| sum(member)).sum(),
        Kind::Array => value.elements().map(sum).sum(),
        Kind::Number | Kind::String => tickcache::record::Value::from_token(value.token())
            .f64()
            .unwrap_or(0.0),
        _ => 0.0,
    }
}

/// What is done with each message.
type With = Box<dyn FnMut(&[u8])>;

fn contest(group: &str, (venue, take_in): Preset, recording: &Recording) {
    let texts: Vec<_> = recording.texts[half(recording)..]
        .iter()
        .filter(|text| is_json(text))
        .map(String::as_bytes)
        .collect();
    let per = texts.len() as f64;
    let each = |mut with: With| {
        let texts = &texts;
        move |times| {
            for _ in 0..times {
                texts.iter().for_each(|text| with(black_box(text)));
            }
        }
    };
    let times = |mut once: Box<dyn FnMut() -> Duration>| {
        move |times| (0..times).map(|_| once()).sum::<Duration>()
    };
    let (mut decoder, mut reading) = (Decoder::new(128), Decoder::new(128));
    let mut buffers = simd_json::Buffers::default();
    let mut owned_buffers = simd_json::Buffers::default();
    let (mut copy, mut owned_copy) = (Vec::new(), Vec::new());
    let mut tape = simd_json::Tape::null();
    let (played, plain) = (copied(recording), copied(recording));
    Contest::new(format!("{group}/{}", recording.name))
        .rounds(ROUNDS)
        .measured(
            "tickcache, received to readable",
            recording.texts.len().div_ceil(2) as f64,
            times(Box::new(move || take_in(&played))),
        )
        .row_of(
            "tickcache, taken apart",
            per,
            each(Box::new(move |text| {
                black_box(decoder.decode(text).expect("valid").root().kind());
            })),
        )
        .row_of(
            "tickcache, taken apart and read to f64",
            per,
            each(Box::new(move |text| {
                black_box(sum(reading.decode(text).expect("valid").root()));
            })),
        )
        .numbers()
        .measured(
            "serde_json Value, DashMap",
            recording.texts.len().div_ceil(2) as f64,
            times(Box::new(move || take_in_plainly(venue, &plain))),
        )
        .row_of(
            "serde_json Value",
            per,
            each(Box::new(|text| {
                drop(black_box(
                    serde_json::from_slice::<Value>(text).expect("valid"),
                ));
            })),
        )
        .row_of(
            "simd-json OwnedValue, reused Buffers",
            per,
            each(Box::new(move |text| {
                owned_copy.clear();
                owned_copy.extend_from_slice(text);
                let value =
                    simd_json::to_owned_value_with_buffers(&mut owned_copy, &mut owned_buffers);
                drop(black_box(value.expect("valid")));
            })),
        )
        .row_of(
            "simd-json tape, all reused",
            per,
            each(Box::new(move |text| {
                copy.clear();
                copy.extend_from_slice(text);
                let mut filled = std::mem::replace(&mut tape, simd_json::Tape(Vec::new())).reset();
                simd_json::fill_tape(&mut copy, &mut buffers, &mut filled).expect("valid");
                tape = filled.reset();
            })),
        )
        .row_of(
            "sonic-rs Value",
            per,
            each(Box::new(|text| {
                drop(black_box(
                    sonic_rs::from_slice::<sonic_rs::Value>(text).expect("valid"),
                ));
            })),
        )
        .run();
}

fn copied(recording: &Recording) -> Recording {
    Recording {
        name: recording.name.clone(),
        texts: recording.texts.clone(),
        connections: recording.connections.clone(),
    }
}

/// Whose recording it is.
fn preset_of(name: &str) -> Option<Preset> {
    let fits = |(preset, _): &Preset| name.starts_with(preset);
    presets().into_iter().find(fits)
}

/// The message again, `by` later: numbers of five digits and more rise, and fractions are others.
fn later(text: &str, by: u64) -> String {
    let mut out = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes[at..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        if digits == 0 {
            let next = text[at..].chars().next().map_or(1, char::len_utf8);
            out.push_str(&text[at..at + next]);
            at += next;
            continue;
        }
        let (run, before) = (&text[at..at + digits], bytes[..at].last().copied());
        let begins = matches!(before, Some(b'"' | b':' | b',' | b'[' | b'-' | b' '));
        let (rises, turns) = (digits >= 5 && begins, digits >= 2 && before == Some(b'.'));
        match run.parse::<u64>() {
            Ok(number) if rises => out.push_str(&format!("{:0digits$}", number + by)),
            Ok(number) if turns => {
                let number = (number + by) % 10_u64.saturating_pow(digits as u32);
                out.push_str(&format!("{number:0digits$}"));
            }
            _ => out.push_str(run),
        }
        at += digits;
    }
    out
}

/// A long recording made of a short one: what was said at first once, the rest again and again.
fn varied(sample: Recording) -> Recording {
    let mut texts = sample.texts.clone();
    let values = |text: &&String| is_json(text) && !text.contains("subscri");
    for by in 1..=VARIANTS {
        let again = sample
            .texts
            .iter()
            .filter(values)
            .map(|text| later(text, by));
        texts.extend(again);
    }
    let different: HashSet<_> = texts.iter().collect();
    assert!(different.len() as u64 > VARIANTS, "messages are varied");
    let connection = 0..texts.len();
    Recording {
        name: sample.name,
        texts,
        connections: vec![connection],
    }
}

fn main() {
    let folder = std::env::var_os("TICKCACHE_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures"),
        PathBuf::from,
    );
    if folder.is_dir() {
        for path in recordings(&folder) {
            let recording = Recording::open(&path);
            match preset_of(&recording.name) {
                Some(preset) => contest("captures", preset, &recording),
                None => eprintln!("captures/{}: of no preset, left out", recording.name),
            }
        }
    } else {
        eprintln!(
            "no recordings in {}: only made messages are measured (TICKCACHE_CAPTURES names another folder)",
            folder.display()
        );
    }
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/venues");
    for path in recordings(&samples) {
        let recording = varied(Recording::open(&path));
        let preset = preset_of(&recording.name).expect("a sample of every preset");
        contest("shapes", preset, &recording);
    }
}
