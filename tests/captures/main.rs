//! Recorded traffic of every venue that has a preset, through memory and through a real WebSocket,
//! against a reference reducer.
//!
//! The recordings are those in the folder that `TICKCACHE_CAPTURES` names (default:
//! `../shared/captures`), whatever it holds, and small ones with invented prices in `tests/data/venues`. A
//! recording is read by the preset with which its name begins; one with another name is tried with
//! every preset.

#![cfg(feature = "net")]
#![allow(missing_docs, reason = "a test binary")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{Ran, both};
use recording::{Recording, recordings};
use reference::Reference;
use tickcache::Feed;
use tree::Tree;
use venues::Read;

mod engine;
mod recording;
mod reference;
#[allow(dead_code, unreachable_pub, reason = "shared with another test")]
#[path = "../reference/tree.rs"]
mod tree;
mod venues;

/// A preset, and what its messages mean.
struct Preset {
    name: &'static str,
    read: Read,
    run: fn(&Arc<Recording>) -> [Ran; 2],
}

macro_rules! presets {
    ($($name:literal: $feed:expr, $read:path;)*) => {
        [$(Preset {
            name: $name,
            read: $read,
            run: |recording| both(|| $feed, recording),
        },)*]
    };
}

fn presets() -> Vec<Preset> {
    presets! {
        "binance-spot": Feed::binance_spot(), venues::binance_spot;
        "binance-usdm": Feed::binance_usdm(), venues::binance_futures;
        "binance-coinm": Feed::binance_coinm(), venues::binance_futures;
        "bybit-linear": Feed::bybit_linear(), venues::bybit;
        "bybit-inverse": Feed::bybit_inverse(), venues::bybit;
        "bybit-spot": Feed::bybit_spot(), venues::bybit;
        "coinbase-exchange": Feed::coinbase_exchange(), venues::coinbase_exchange;
        "coinbase-advanced": Feed::coinbase_advanced(), venues::coinbase_advanced;
        "kraken-v1": Feed::kraken_v1(), venues::kraken_v1;
        "kraken-v2": Feed::kraken_v2(), venues::kraken_v2;
        "kraken-futures": Feed::kraken_futures(), venues::kraken_futures;
        "okx": Feed::okx(), venues::okx;
        "deribit": Feed::deribit(), venues::deribit;
        "alpaca-stocks": Feed::alpaca_stocks().venue(|venue| venue.credentials("key", "secret")), venues::alpaca;
        "polygon-stocks": Feed::polygon_stocks().venue(|venue| venue.key("key")), venues::polygon;
    }
    .into()
}

/// Plays a recording; what is wrong with what became of it.
fn problems(preset: &Preset, recording: &Arc<Recording>) -> Vec<String> {
    let mut reference = Reference::default();
    let mut out = Vec::new();
    for (at, message) in recording.texts.iter().enumerate() {
        let said = Tree::parse(message).and_then(|message| (preset.read)(&message));
        if reference.message(preset.name, said).is_none() && !is_bare(message) {
            let shown: String = message.chars().take(200).collect();
            out.push(format!(
                "the reference does not know message {}: {shown}",
                at + 1
            ));
        }
    }
    for (way, ran) in ["memory", "websocket"].iter().zip((preset.run)(recording)) {
        let told = differences(&reference, &ran, recording.connections.len());
        out.extend(
            told.into_iter()
                .map(|told| format!("through {way}: {told}")),
        );
    }
    out
}

/// Answers that are no JSON.
fn is_bare(message: &str) -> bool {
    ["ping", "pong"].contains(&message)
}

fn differences(reference: &Reference, ran: &Ran, connections: usize) -> Vec<String> {
    let counted = &ran.counters;
    let mut out = Vec::new();
    if !counted.balanced() {
        out.push("the ledgers do not balance".to_owned());
    }
    let late = counted.older + counted.duplicate;
    let lost = counted.foreign + counted.forwarded + counted.held + counted.patches_refused;
    for (what, expected, found) in [
        ("messages", reference.messages, counted.messages),
        ("data messages", reference.data, counted.data),
        ("refused messages", 0, counted.refused),
        ("gaps", 0, counted.gaps),
        ("patches", reference.steps, counted.patches),
        (
            "patches without a value",
            reference.missing,
            counted.missing,
        ),
        ("patches that went elsewhere", 0, lost),
    ] {
        if expected != found {
            out.push(format!("{what}: {expected} expected, {found} counted"));
        }
    }
    // After a reconnect the same again confirms what is there.
    let confirmed = reference.late.saturating_sub(late);
    if late > reference.late || (confirmed > 0 && connections == 1) {
        out.push(format!(
            "late patches: {} expected, {late} counted",
            reference.late
        ));
    }
    // What else is for the connection may be told apart further.
    if counted.unmapped < reference.unmapped {
        out.push(format!(
            "{} of {} unmapped messages",
            counted.unmapped, reference.unmapped
        ));
    }
    if !counted.refused_by.is_empty() {
        out.push(format!("refused: {:?}", counted.refused_by));
    }
    let keys = reference.values.keys().chain(ran.values.keys());
    let keys: std::collections::BTreeSet<_> = keys.collect();
    for key in keys {
        let (expected, found) = (reference.values.get(key), ran.values.get(key));
        if expected != found {
            out.push(format!(
                "{key:?}\n  expected {expected:?}\n  found    {found:?}"
            ));
        }
    }
    out
}

/// Plays a recording with the preset of its name, or else with the first that knows all of its
/// messages. `None` if no preset does.
fn check(path: &Path, presets: &[Preset]) -> Option<Result<String, String>> {
    let recording = Arc::new(Recording::open(path));
    let name = &recording.name;
    let named = presets.iter().find(|preset| name.starts_with(preset.name));
    let preset = named.or_else(|| presets.iter().find(|preset| knows(preset, &recording)))?;
    let problems = problems(preset, &recording);
    let told = format!(
        "{name} as {}: {} messages",
        preset.name,
        recording.texts.len()
    );
    Some(if problems.is_empty() {
        Ok(told)
    } else {
        Err(format!("{told}\n{}", problems.join("\n")))
    })
}

/// Whether all messages are of the preset's venue, and some of them are data.
fn knows(preset: &Preset, recording: &Recording) -> bool {
    let mut reference = Reference::default();
    let mut messages = recording.texts.iter();
    let all = messages.all(|message| {
        let said = Tree::parse(message).and_then(|message| (preset.read)(&message));
        reference.message(preset.name, said).is_some() || is_bare(message)
    });
    all && reference.data > 0
}

#[track_caller]
fn check_all(folder: &Path, strict: bool) {
    let (presets, mut failed) = (presets(), Vec::new());
    for path in recordings(folder) {
        match check(&path, &presets) {
            Some(Ok(told)) => eprintln!("{told}"),
            Some(Err(told)) => failed.push(told),
            None if strict => failed.push(format!("no preset knows {}", path.display())),
            None => eprintln!("SKIPPED: no preset knows {}", path.display()),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn every_capture_ends_in_what_its_venue_said() {
    let folder = std::env::var_os("TICKCACHE_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures"),
        PathBuf::from,
    );
    if !folder.is_dir() {
        eprintln!("skipped: set TICKCACHE_CAPTURES to a folder with recordings");
        return;
    }
    check_all(&folder, false);
}

#[test]
fn every_sample_ends_in_what_its_venue_said() {
    check_all(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/venues"),
        true,
    );
}
