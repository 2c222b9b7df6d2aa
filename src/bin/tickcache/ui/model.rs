//! What is shown.

use std::time::Duration;

use hdrhistogram::Histogram;

/// One picture of a running feed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// The command, such as `demo`.
    pub(crate) title: String,
    /// What it is connected to.
    pub(crate) source: String,
    /// Time since it started.
    pub(crate) elapsed: Duration,
    /// How the connection is.
    pub(crate) link: Link,
    /// Counters.
    pub(crate) totals: Totals,
    /// From the scheduled send to the reader; `None` where the source has no schedule.
    pub(crate) latency: Option<Latency>,
    /// Processor use.
    pub(crate) cpu: Cpu,
    /// Updates in each of the last seconds, oldest first.
    pub(crate) history: Vec<u64>,
    /// The first column: what a row is called, such as its symbol.
    pub(crate) key: Column,
    /// The columns between the key and the state.
    pub(crate) columns: Vec<Column>,
    /// The rows, in the order in which they are shown.
    pub(crate) rows: Vec<Row>,
    /// What the engine measures of itself, where the command shows it.
    pub(crate) engine: Option<tickcache::Latencies>,
    /// The slow path, where the command has one.
    pub(crate) slow: Option<Slow>,
}

/// State of the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Link {
    #[default]
    Connecting,
    Connected,
    /// Lost or refused, and why.
    Down(String),
    /// Ended for good.
    Stopped,
}

/// Counters since the start, and rates over the last second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) received: u64,
    pub(crate) applied: u64,
    pub(crate) unchanged: u64,
    pub(crate) refused: u64,
    pub(crate) unmapped: u64,
    pub(crate) reconnects: u64,
    pub(crate) updates_per_second: f64,
    pub(crate) bytes_per_second: f64,
}

/// Percentiles of a latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Latency {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) p999: Duration,
    pub(crate) max: Duration,
}

/// Processor use over the last second, in per cent of one core. `None` where it is not known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) engine: Option<f64>,
    pub(crate) simulator: Option<f64>,
}

/// One column of values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    pub(crate) title: String,
    /// Width in terminal cells.
    pub(crate) width: u16,
    pub(crate) align: Align,
    /// Where the width does not suffice for all, columns with the highest rank go first.
    pub(crate) rank: u8,
}

/// The side a column is aligned to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Align {
    #[default]
    Left,
    Right,
}

/// One slot.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its id, such as a symbol.
    pub(crate) key: String,
    /// As many as the model has columns.
    pub(crate) cells: Vec<Cell>,
    pub(crate) state: State,
    /// Time since anything was received for it.
    pub(crate) age: Option<Duration>,
    pub(crate) updates_per_second: f64,
}

/// One value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

/// Which way a value moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    #[default]
    Plain,
    Up,
    Down,
}

/// Freshness of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Empty,
    Live,
    /// With its reasons, as text.
    Stale(String),
    Removed,
}

/// The slow path: what is fetched, how it goes, and whether anything wrong was ever shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slow {
    /// What the cache is told of the world.
    pub(crate) online: bool,
    pub(crate) focused: bool,
    /// Whether the queries poll.
    pub(crate) polling: bool,
    pub(crate) fetches: Fetches,
    pub(crate) served: Served,
    pub(crate) checked: Checked,
    /// In the order in which they are shown.
    pub(crate) queries: Vec<Query>,
}

/// What the cache did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fetches {
    /// Attempts begun, the first and the repeated ones.
    pub(crate) started: u64,
    pub(crate) failed: u64,
    /// Attempts that repeat one that failed.
    pub(crate) retried: u64,
    /// Begun because an event had called the value outdated.
    pub(crate) by_events: u64,
    pub(crate) polls: u64,
    /// Answers not shown: the value was newer.
    pub(crate) older: u64,
    /// Patches not shown: an answer that was fetched had them already.
    pub(crate) overtaken: u64,
}

/// What the server did wrong on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) answers: u64,
    pub(crate) late: u64,
    pub(crate) old: u64,
    pub(crate) errors: u64,
    pub(crate) broken: u64,
    pub(crate) hung: u64,
}

/// What came of holding the shown values against the truth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) values: u64,
    pub(crate) wrong: u64,
    /// The first one that was wrong.
    pub(crate) first: Option<String>,
}

/// One query.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// Its key as text, such as `[job, 3]`.
    pub(crate) key: String,
    /// What is known: pending, success or error.
    pub(crate) status: &'static str,
    /// What its fetcher does: idle, fetching or paused.
    pub(crate) fetch: &'static str,
    pub(crate) state: State,
    /// Time since the value was last confirmed as a whole.
    pub(crate) age: Option<Duration>,
    pub(crate) observers: u64,
    /// Attempts begun and failed.
    pub(crate) fetches: u64,
    pub(crate) failed: u64,
    /// The value, shortly.
    pub(crate) value: String,
}

/// Collects latencies, from a nanosecond to a hundred seconds, to three digits.
#[derive(Clone, Debug)]
pub(crate) struct Recorder(Histogram<u64>);

impl Recorder {
    /// An empty recorder.
    pub(crate) fn new() -> Self {
        let bounds = "the bounds are constant and in order";
        Self(Histogram::new_with_bounds(1, 100_000_000_000, 3).expect(bounds))
    }

    /// Adds one; beyond a hundred seconds it counts as that.
    pub(crate) fn record(&mut self, latency: Duration) {
        self.0
            .saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds all that another one has.
    pub(crate) fn add(&mut self, other: &Self) {
        let same = "both have the same bounds";
        self.0.add(&other.0).expect(same);
    }

    /// Forgets all.
    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// What this part of all do not exceed; meaningless before the first.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(part))
    }

    /// The percentiles, or `None` before the first.
    pub(crate) fn latency(&self) -> Option<Latency> {
        let at = |quantile| Duration::from_nanos(self.0.value_at_quantile(quantile));
        (!self.0.is_empty()).then(|| Latency {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: Duration::from_nanos(self.0.max()),
        })
    }
}
