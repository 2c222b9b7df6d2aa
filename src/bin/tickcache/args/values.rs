//! What single options may hold, and what is answered to anything else.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use super::{Stream, Wait};
use crate::simulator::Rate;

/// Most symbols a demo simulates.
const MAX_SYMBOLS: u64 = 100_000;

pub(super) fn symbols(text: &str) -> Result<usize, String> {
    let count = whole(text).filter(|count| (1..=MAX_SYMBOLS).contains(count));
    let count = count.and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| format!("give a whole number from 1 to {MAX_SYMBOLS}"))
}

/// Most ids of a bench: the streams of one connection.
const MAX_IDS: u64 = 1000;

pub(super) fn ids(text: &str) -> Result<usize, String> {
    let count = whole(text).filter(|count| (1..=MAX_IDS).contains(count));
    let count = count.and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| format!("give a whole number from 1 to {MAX_IDS}"))
}

/// Most readers of one kind.
const MAX_READERS: u64 = 256;

pub(super) fn readers(text: &str) -> Result<(Wait, usize), String> {
    let (how, count) = text.split_once('=').unwrap_or((text, "1"));
    let how = match how {
        "spin" => Some(Wait::Spin),
        "block" => Some(Wait::Block),
        "task" => Some(Wait::Task),
        _ => None,
    };
    let count = whole(count).filter(|count| *count <= MAX_READERS);
    let count = count.and_then(|count| usize::try_from(count).ok());
    how.zip(count).ok_or_else(|| {
        format!("give spin, block or task and a number up to {MAX_READERS}, such as spin=1,block=4")
    })
}

pub(super) fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    let rate = whole(text).and_then(NonZeroU64::new);
    let rate = rate.filter(|rate| rate.get() <= 100_000_000);
    rate.map(Rate::PerSecond).ok_or_else(|| {
        "give a number of messages a second from 1 to 100000000, or `max`".to_owned()
    })
}

pub(super) fn per_second(text: &str) -> Result<u64, String> {
    let rate = whole(text).filter(|rate| (1..=1_000_000).contains(rate));
    rate.ok_or_else(|| "give a number of messages a second from 1 to 1000000".to_owned())
}

fn whole(text: &str) -> Option<u64> {
    let digits = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'_');
    text.replace('_', "").parse().ok().filter(|_| digits)
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| *seconds > 0.0);
    // A century is as good as for ever, and can be added to any instant.
    let seconds = seconds.map(|seconds| seconds.min(3.2e9));
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|seconds| !seconds.is_zero())
        .ok_or_else(|| "give a number of seconds above 0, such as 10 or 0.5".to_owned())
}

pub(super) fn minutes(text: &str) -> Result<Duration, String> {
    let minutes = seconds(text).map(|minutes| minutes.saturating_mul(60));
    minutes.map_err(|_| "give a number of minutes above 0, such as 5 or 0.5".to_owned())
}

pub(super) fn url(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix("ws://")
        .or_else(|| text.strip_prefix("wss://"));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') => Ok(text.to_owned()),
        _ => Err("give an address that begins with ws:// or wss://".to_owned()),
    }
}

pub(super) fn messages(text: &str) -> Result<u64, String> {
    let count = whole(text).filter(|count| *count > 0);
    count.ok_or_else(|| "give a whole number of messages above 0".to_owned())
}

/// The end of a recording's name. `replay` finds the times beside it by it.
pub(crate) const RECORDING: &str = ".jsonl.gz";

pub(super) fn recording(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match name.strip_suffix(RECORDING) {
        Some(stem) if !stem.is_empty() => Ok(path),
        _ => Err("give a name that ends in .jsonl.gz, such as kraken.jsonl.gz".to_owned()),
    }
}

/// A channel and its ids; a channel without ids has none.
pub(super) fn stream(text: &str) -> Result<Stream, String> {
    let (channel, ids) = text
        .split_once(':')
        .map_or((text, None), |(channel, ids)| (channel, Some(ids)));
    let ids: Vec<_> = ids.map_or_else(Vec::new, |ids| ids.split(',').map(str::to_owned).collect());
    if channel.is_empty() || ids.iter().any(String::is_empty) {
        return Err("give a channel and its ids, such as ticker:BTC-USD,ETH-USD".to_owned());
    }
    Ok(Stream {
        channel: channel.to_owned(),
        ids,
    })
}

pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let told = || "give a name and a value, such as 'Origin: https://example.com'".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(told)?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || value.is_empty() {
        return Err(told());
    }
    Ok((name.to_owned(), value.to_owned()))
}
