//! The command line: what may be typed, and what is answered to anything else.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::simulator::Rate;

mod check;
mod format;
mod values;

pub(crate) use format::{Format, Merge, Missing, Preset, Stream};
pub(crate) use values::RECORDING;

const COMMANDS: [&str; 6] = ["bench", "demo", "record", "replay", "soak", "watch"];

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
    /// Measure how fast the engine takes in a simulated exchange, and how soon readers know
    Bench(BenchArgs),
    /// Record live feeds byte for byte, with receive times, for `replay`
    Record(RecordArgs),
    /// Replay recorded messages, one a line, and print the final state
    Replay(ReplayArgs),
    /// Run everything for long, with faults all the time, and check that nothing gives
    Soak(SoakArgs),
    /// Connect to a live feed and show what it sends
    Watch(WatchArgs),
}

/// Options of `demo`.
#[derive(Args, Debug, PartialEq)]
pub(crate) struct DemoArgs {
    /// Number of symbols, each with a bookTicker and a ticker stream
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = values::symbols)]
    pub(crate) symbols: usize,
    /// Messages a second by a fixed schedule, or `max`: as fast as the socket takes them
    #[arg(long, value_name = "N|max", default_value = "50000", value_parser = values::rate)]
    pub(crate) rate: Rate,
    /// Stop after that many seconds
    #[arg(long, value_name = "S", value_parser = values::seconds)]
    pub(crate) seconds: Option<Duration>,
    /// How the threads of the feeds wait for messages
    #[arg(long, value_name = "MODE", default_value = "block")]
    pub(crate) mode: Mode,
    /// Print one JSON object at the end, and nothing else on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `bench`.
#[derive(Args, Debug, PartialEq)]
#[command(after_help = BENCH)]
pub(crate) struct BenchArgs {
    /// How the feed's thread waits for messages; several, apart by commas, are measured one after
    /// the other
    #[arg(
        long = "mode",
        value_name = "MODE",
        value_delimiter = ',',
        default_value = "block,spin,busy"
    )]
    pub(crate) modes: Vec<Mode>,
    /// Number of ids, each with a bookTicker stream
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = values::ids)]
    pub(crate) ids: usize,
    /// Messages a second, evenly apart, or `max`: as fast as the socket takes them
    #[arg(long, value_name = "N|max", default_value = "20000", value_parser = values::rate)]
    pub(crate) rate: Rate,
    /// Measure each mode for that many seconds
    #[arg(long, value_name = "S", default_value = "5", value_parser = values::seconds)]
    pub(crate) seconds: Duration,
    /// Who waits for values, each for one id: threads that spin or block, and tasks
    #[arg(long = "readers", value_name = "HOW=N", value_delimiter = ',',
          default_value = "spin=1,block=1,task=1", value_parser = values::readers)]
    pub(crate) readers: Vec<(Wait, usize)>,
    /// Print one JSON object at the end, and nothing else on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// What the figures of `bench` are.
const BENCH: &str = "\
write -> seen: from right before the simulator's write until a reader has the value; the time is in
the message. read -> visible: from the end of the feed's system call until the first and the last
message that it brought can be read. publish -> awake: from the begin of a publication until who
waited for it goes on. The latter two are the engine's own samples, one read of the socket in 17.

Everything runs in this process: the simulator, the feed's thread, each spinning reader and, in the
modes `spin` and `busy`, the waiting feed take a core each. With fewer cores than that the figures
are the scheduler's. Nothing may be lost: the exit code is 1 if anything was.";

/// How a feed's thread waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Asleep in the kernel: free while idle, a wake-up for each burst
    Block,
    /// Asking for 50 us after each message, then asleep
    Spin,
    /// Always asking: occupies a core
    Busy,
}

impl Mode {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Spin => "spin",
            Self::Busy => "busy",
        }
    }

    pub(crate) fn waiting(self) -> tickcache::Waiting {
        match self {
            Self::Block => tickcache::Waiting::Block,
            Self::Spin => tickcache::Waiting::SPIN_THEN_PARK,
            Self::Busy => tickcache::Waiting::BusyPoll,
        }
    }
}

/// How a reader waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// A thread that looks again and again.
    Spin,
    /// A thread asleep.
    Block,
    /// A task asleep.
    Task,
}

/// Options of `replay`.
#[derive(Args, Debug, PartialEq)]
pub(crate) struct ReplayArgs {
    /// Recorded messages, one a line: .jsonl, or .jsonl.gz
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) format: Format,
    /// How they reach the cache: bytes in this process, or over loopback through the real feed
    #[arg(long, value_name = "HOW", default_value = "memory")]
    pub(crate) through: Through,
    /// As fast as possible, or at the times in NAME.recv.tsv.gz beside NAME.jsonl.gz
    #[arg(long, value_name = "SPEED", default_value = "max")]
    pub(crate) speed: Speed,
    /// Play only the messages of this connection, by its number in NAME.recv.tsv.gz; may be
    /// repeated
    #[arg(long = "connection", value_name = "N")]
    pub(crate) connections: Vec<u64>,
    /// Print the final state, one JSON object a line, sorted by entity and id
    #[arg(long)]
    pub(crate) print: bool,
}

/// Options of `record`.
#[derive(Args, Debug, PartialEq)]
#[command(after_help = KEYS)]
pub(crate) struct RecordArgs {
    /// Where to connect: ws://.. or wss://.., each a connection of its own. Without one: where the
    /// preset or the envelope says
    #[arg(value_name = "URL", value_parser = values::url)]
    pub(crate) urls: Vec<String>,
    /// The file to write, NAME.jsonl.gz, one message a line; beside it are written
    /// NAME.recv.tsv.gz (receive times, connections) and NAME.sent.jsonl (what was sent)
    #[arg(long, value_name = "FILE", value_parser = values::recording)]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) live: LiveArgs,
    /// Stop after that many seconds
    #[arg(long = "for", value_name = "S", value_parser = values::seconds)]
    pub(crate) length: Option<Duration>,
    /// Stop after that many messages
    #[arg(long, value_name = "N", value_parser = values::messages)]
    pub(crate) messages: Option<u64>,
    /// Write over files that are there
    #[arg(long)]
    pub(crate) force: bool,
}

/// Options of `soak`.
#[derive(Args, Debug, PartialEq)]
#[command(after_help = SOAK)]
pub(crate) struct SoakArgs {
    /// How long, in minutes
    #[arg(long, value_name = "N", default_value = "5", value_parser = values::minutes)]
    pub(crate) minutes: Duration,
    /// Of the markets and the faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Messages a second that the exchanges make together
    #[arg(long, value_name = "N", default_value = "20000", value_parser = values::per_second)]
    pub(crate) rate: u64,
    /// Number of ids of each exchange
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = values::ids)]
    pub(crate) ids: usize,
    /// Time between two faults, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = values::seconds)]
    pub(crate) faults_every: Duration,
    /// Play a recording at full speed beside it, again and again; say how to read it with --preset
    /// or --envelope
    #[arg(long, value_name = "FILE")]
    pub(crate) capture: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: Format,
    /// Print one JSON object at the end, and nothing else on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `soak` holds the engine to.
const SOAK: &str = "\
Exit code 0 only if all held: every message and patch is accounted for and every fault was counted; no
read was torn, went back, or was live and old; no waiter slept on news; after each fault a value that
was made after it was live within 2 s (the longest delay between attempts, and one second), and all
were within 30 s; at the end the engine held what the exchanges have, and a replay of what was
recorded came to the same; resident memory did not grow after the first fifth, by a 95 % interval, by
more than 1 MiB or 1 % a minute; no thread panicked. Bounds are stretched by what the threads of this
process have waited for a processor. Ctrl-C ends it early, with what there is so far.";

/// Options of `watch`.
#[derive(Args, Debug, PartialEq)]
#[command(after_help = KEYS)]
pub(crate) struct WatchArgs {
    /// Where to connect: ws://.. or wss://..; without it, where the preset or the envelope says
    #[arg(value_name = "URL", value_parser = values::url)]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) live: LiveArgs,
    /// Keep two connections that carry the same streams, so that either may be lost
    #[arg(long)]
    pub(crate) redundant: bool,
    /// Stop when no message has come for that many seconds
    #[arg(long, value_name = "S", value_parser = values::seconds)]
    pub(crate) idle: Option<Duration>,
    /// Stop after that many seconds
    #[arg(long = "for", value_name = "S", value_parser = values::seconds)]
    pub(crate) length: Option<Duration>,
    /// Print the final state instead of a live table, one JSON object a line
    #[arg(long)]
    pub(crate) print: bool,
}

/// What to ask a live server for, and how to reach it.
#[derive(Args, Debug, PartialEq)]
pub(crate) struct LiveArgs {
    /// What to subscribe to, as the preset spells it, such as ticker:BTC-USD,ETH-USD; may be
    /// repeated
    #[arg(long = "stream", value_name = "CHANNEL:ID,ID", value_parser = values::stream)]
    pub(crate) streams: Vec<Stream>,
    /// A text to send after each connect; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub(crate) subscribe: Vec<String>,
    /// A header of the request, such as 'Origin: https://example.com'; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = values::header)]
    pub(crate) headers: Vec<(String, String)>,
    /// Trust the certificates in this PEM file, and no others
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

/// Where keys come from; never from the command line, which every user of a machine can read.
const KEYS: &str = "Keys are taken from the environment: APCA_API_KEY_ID and APCA_API_SECRET_KEY \
for alpaca-stocks, POLYGON_API_KEY for polygon-stocks.";

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
    match check::problem(&command) {
        Some((text, name)) => Err(usage(&text, Some(name))),
        None => Ok(command),
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
