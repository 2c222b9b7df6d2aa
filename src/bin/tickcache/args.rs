//! The command line: what may be typed, and what is answered to anything else.

use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::simulator::Rate;

/// Most symbols a demo simulates.
const MAX_SYMBOLS: u64 = 100_000;

const COMMANDS: [&str; 3] = ["demo", "replay", "watch"];

/// A last-value cache for WebSocket feeds.
///
/// Without a command it runs the demo: an exchange simulator on loopback and the engine connected
/// to it through a real WebSocket.
#[derive(Debug, Parser)]
#[command(name = "tickcache", version, about, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand, PartialEq)]
pub(crate) enum Command {
    /// Simulate an exchange on loopback and watch its feed land in the cache
    Demo(DemoArgs),
    /// Replay recorded messages, one a line, and print the final state
    Replay(ReplayArgs),
    /// Connect to a live feed and show what it sends
    Watch(WatchArgs),
}

/// Options of `demo`.
#[derive(Args, Debug, PartialEq)]
pub(crate) struct DemoArgs {
    /// Number of symbols, each with a bookTicker and a ticker stream
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = symbols)]
    pub(crate) symbols: usize,
    /// Messages a second by a fixed schedule, or `max`: as fast as the socket takes them
    #[arg(long, value_name = "N|max", default_value = "50000", value_parser = rate)]
    pub(crate) rate: Rate,
    /// Stop after that many seconds
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub(crate) seconds: Option<Duration>,
    /// Print one JSON object at the end, and nothing else on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `replay`.
#[derive(Args, Debug, PartialEq)]
pub(crate) struct ReplayArgs {
    /// Recorded messages, one a line: .jsonl, or .jsonl.gz
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// How to read the messages
    #[arg(long, value_name = "PRESET")]
    pub(crate) preset: Preset,
    /// How they reach the cache: bytes in this process, or over loopback through the real feed
    #[arg(long, value_name = "HOW", default_value = "memory")]
    pub(crate) through: Through,
    /// As fast as possible, or at the times in NAME.recv.tsv.gz beside NAME.jsonl.gz
    #[arg(long, value_name = "SPEED", default_value = "max")]
    pub(crate) speed: Speed,
    /// How a payload joins the value it patches (preset `events` only) [default: rfc7396]
    #[arg(long, value_name = "MODE")]
    pub(crate) merge: Option<Merge>,
    /// What a patch for an unknown id does (preset `events` only) [default: ignore]
    #[arg(long, value_name = "WHAT")]
    pub(crate) missing: Option<Missing>,
    /// Print the final state, one JSON object a line, sorted by entity and id
    #[arg(long)]
    pub(crate) print: bool,
}

/// Options of `watch`.
#[derive(Args, Debug, PartialEq)]
pub(crate) struct WatchArgs {
    /// Where to connect: ws://.. or wss://..
    #[arg(value_name = "URL", value_parser = url)]
    pub(crate) url: String,
    /// How to read the messages
    #[arg(long, value_name = "PRESET")]
    pub(crate) preset: Preset,
    /// A text to send after each connect; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub(crate) subscribe: Vec<String>,
    /// Stop when no message has come for that many seconds
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub(crate) idle: Option<Duration>,
    /// Stop after that many seconds
    #[arg(long = "for", value_name = "S", value_parser = seconds)]
    pub(crate) length: Option<Duration>,
    /// How a payload joins the value it patches (preset `events` only) [default: rfc7396]
    #[arg(long, value_name = "MODE")]
    pub(crate) merge: Option<Merge>,
    /// What a patch for an unknown id does (preset `events` only) [default: ignore]
    #[arg(long, value_name = "WHAT")]
    pub(crate) missing: Option<Missing>,
    /// Trust the certificates in this PEM file, and no others
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Print the final state instead of a live table, one JSON object a line
    #[arg(long)]
    pub(crate) print: bool,
}

/// A message format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// {"entity":..,"id":..,"payload":..}
    Events,
    /// Binance spot market data: bookTicker, ticker and trade, combined or raw
    BinanceSpot,
}

/// The way from a recorded message to the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Through {
    /// From bytes to slots in this process
    Memory,
    /// Over loopback through the real feed
    Websocket,
}

/// The pace of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Speed {
    /// As fast as possible
    Max,
    /// At the recorded times
    Recorded,
}

/// How a payload joins the value it patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Merge {
    /// JSON merge patch: objects merge to any depth, null deletes
    Rfc7396,
    /// Top-level members replace each other, null is a value
    Shallow,
}

/// What a patch for an unknown id does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Missing {
    /// Makes a partial value of it
    Insert,
    /// Is counted and dropped
    Ignore,
}

fn symbols(text: &str) -> Result<usize, String> {
    let count = whole(text).filter(|count| (1..=MAX_SYMBOLS).contains(count));
    let count = count.and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| format!("give a whole number from 1 to {MAX_SYMBOLS}"))
}

fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    let rate = whole(text).and_then(NonZeroU64::new);
    let rate = rate.filter(|rate| rate.get() <= 100_000_000);
    rate.map(Rate::PerSecond).ok_or_else(|| {
        "give a number of messages a second from 1 to 100000000, or `max`".to_owned()
    })
}

fn whole(text: &str) -> Option<u64> {
    let digits = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'_');
    text.replace('_', "").parse().ok().filter(|_| digits)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| *seconds > 0.0);
    // A century is as good as for ever, and can be added to any instant.
    let seconds = seconds.map(|seconds| seconds.min(3.2e9));
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|seconds| !seconds.is_zero())
        .ok_or_else(|| "give a number of seconds above 0, such as 10 or 0.5".to_owned())
}

fn url(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix("ws://")
        .or_else(|| text.strip_prefix("wss://"));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') => Ok(text.to_owned()),
        _ => Err("give an address that begins with ws:// or wss://".to_owned()),
    }
}

/// Why there is nothing to run.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Help or the version was asked for: the text for standard output.
    Told(String),
    /// The command line is wrong: one line that says what to do.
    Usage(Usage),
}

/// A wrong command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a command line, the name of the program first. No command means `demo`.
pub(crate) fn parse<A>(args: A) -> Result<Command, Halt>
where
    A: IntoIterator,
    A::Item: Into<OsString>,
{
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let typed = COMMANDS
        .into_iter()
        .find(|name| args.get(1).is_some_and(|arg| arg == name));
    let line = CommandLine::try_parse_from(args).map_err(|error| halt(&error, typed))?;
    let command = match line.command {
        Some(command) => command,
        None => CommandLine::try_parse_from(["tickcache", "demo"])
            .map_err(|error| halt(&error, None))?
            .command
            .ok_or_else(|| usage("type `tickcache demo`", None))?,
    };
    consistent(&command)?;
    Ok(command)
}

/// Refuses options that would be ignored.
fn consistent(command: &Command) -> Result<(), Halt> {
    let (name, preset, merge, missing) = match command {
        Command::Demo(_) => return Ok(()),
        Command::Replay(args) => ("replay", args.preset, args.merge, args.missing),
        Command::Watch(args) => ("watch", args.preset, args.merge, args.missing),
    };
    let option = match (preset, merge, missing) {
        (Preset::BinanceSpot, Some(_), _) => Some("--merge"),
        (Preset::BinanceSpot, None, Some(_)) => Some("--missing"),
        (Preset::BinanceSpot, None, None) | (Preset::Events, ..) => None,
    };
    if let Some(option) = option {
        let text = format!("{option} is for `--preset events` only: leave it out");
        return Err(usage(&text, Some(name)));
    }
    match command {
        Command::Watch(args) if args.ca.is_some() && !args.url.starts_with("wss://") => {
            let text =
                "--ca needs an address that begins with wss://: change one or leave out --ca";
            Err(usage(text, Some("watch")))
        }
        _ => Ok(()),
    }
}

fn usage(text: &str, command: Option<&str>) -> Halt {
    let command = command.map_or(String::new(), |command| format!("{command} "));
    Halt::Usage(Usage(format!("{text} (see `tickcache {command}--help`)")))
}

/// One line out of clap's several: what is wrong, what would be right, where the help is.
fn halt(error: &clap::Error, command: Option<&str>) -> Halt {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return Halt::Told(error.render().to_string());
    }
    let rendered = error.render().to_string();
    let what = rendered.split("\n\n").next().unwrap_or_default();
    let mut text = what.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(rest) = text.strip_prefix("error: ") {
        text = rest.to_owned();
    }
    let suggested = [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ];
    if let Some(better) = suggested.iter().find_map(|kind| error.get(*kind)) {
        text = format!("{text}: did you mean {better}?");
    }
    usage(&text, command)
}

#[cfg(test)]
mod tests;
