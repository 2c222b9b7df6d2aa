//! The forms in which the exchanges of a soak speak, and what a feed of each can be held to.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value as Json};
use tickcache::Id;

/// How an exchange speaks: one feed of the soak each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// Binance: whole values, asked for in the URL or by message, rising numbers.
    Spot,
    /// The same over two connections.
    Pair,
    /// Bybit: a snapshot for each subscription, then merge patches; numbers of a connection.
    Linear,
    /// An envelope: merge patches without a snapshot, numbered by id without holes; what is lost is
    /// fetched.
    Chain,
    /// An envelope: whole values, each message numbered by its connection without holes.
    Counted,
    /// Events that name an id; its value is fetched.
    Jobs,
    /// An envelope: whole values over a connection that nothing happens to. It is recorded.
    Clean,
}

impl Form {
    pub(crate) const ALL: [Self; 7] = [
        Self::Spot,
        Self::Pair,
        Self::Linear,
        Self::Chain,
        Self::Counted,
        Self::Jobs,
        Self::Clean,
    ];

    /// What its feed is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Pair => "pair",
            Self::Linear => "linear",
            Self::Chain => "chain",
            Self::Counted => "counted",
            Self::Jobs => "jobs",
            Self::Clean => "clean",
        }
    }

    /// The entity that its values are of.
    pub(crate) fn entity(self) -> &'static str {
        match self {
            Self::Spot => "spot.bookTicker",
            Self::Pair => "pair.bookTicker",
            Self::Linear => "linear.tickers",
            Self::Chain | Self::Counted | Self::Jobs | Self::Clean => self.name(),
        }
    }

    /// The name of an id.
    pub(crate) fn id(self, id: usize) -> Id {
        match self {
            Self::Spot | Self::Pair | Self::Linear => Id::from(symbol(id)),
            _ => Id::from(id as u64),
        }
    }

    /// The number of a stream or topic, such as `s7@bookTicker` or `tickers.S7`.
    pub(crate) fn stream(self, name: &str) -> Option<usize> {
        let symbol = match self {
            Self::Spot | Self::Pair => name.strip_prefix('s')?.strip_suffix("@bookTicker")?,
            _ => name.strip_prefix("tickers.S")?,
        };
        symbol.parse().ok()
    }

    /// Whether nothing is told that was not asked for.
    pub(crate) fn must_ask(self) -> bool {
        matches!(self, Self::Spot | Self::Pair | Self::Linear)
    }

    /// Whether messages tell what has changed rather than the whole value.
    pub(crate) fn is_patched(self) -> bool {
        matches!(self, Self::Linear | Self::Chain)
    }

    /// Whether messages tell values at all.
    pub(crate) fn tells_values(self) -> bool {
        self != Self::Jobs
    }

    /// Whether a message has its number from the connection.
    pub(crate) fn counts_connection(self) -> bool {
        self == Self::Counted
    }

    /// Whether a hole in the numbering can be seen.
    pub(crate) fn sees_gaps(self) -> bool {
        matches!(self, Self::Chain | Self::Counted)
    }

    /// Whether values are fetched.
    pub(crate) fn fetches(self) -> bool {
        matches!(self, Self::Chain | Self::Jobs)
    }

    /// Whether something may happen to its connections.
    pub(crate) fn has_faults(self) -> bool {
        self != Self::Clean
    }

    /// Whether numbers may begin anew with a connection.
    pub(crate) fn numbers_restart(self) -> bool {
        self == Self::Linear
    }

    /// Messages a second, of a rate that the streams share. Each event of a job costs a fetch: two
    /// seconds for a round.
    pub(crate) fn rate(self, all: u64, ids: usize) -> f64 {
        let others = (Self::ALL.len() - 1) as f64;
        match self {
            Self::Jobs => ids as f64 / 2.0,
            _ => all as f64 / others,
        }
    }

    /// How long an id may stand still: each moves once in a round, first in one and last in the next.
    pub(crate) fn period(self, all: u64, ids: usize) -> Duration {
        Duration::from_secs_f64(2.0 * ids as f64 / self.rate(all, ids).max(1e-3))
    }

    /// Writes what comes before the members of a value.
    pub(crate) fn open(self, out: &mut String, id: usize, number: u64, at: u64, whole: bool) {
        let name = symbol(id);
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Spot | Self::Pair => write!(
                out,
                "{{\"stream\":\"s{id}@bookTicker\",\"data\":{{\"u\":{number},\"s\":\"{name}\","
            ),
            Self::Linear => write!(
                out,
                "{{\"topic\":\"tickers.{name}\",\"type\":\"{}\",\"cs\":{number},\"ts\":{},\
                 \"data\":{{\"symbol\":\"{name}\",",
                if whole { "snapshot" } else { "delta" },
                at / 1000
            ),
            Self::Chain => write!(out, "{{\"id\":{id},\"n\":{number},\"value\":{{"),
            // The connection puts `{"c":1,` in the place of the brace.
            Self::Counted | Self::Clean => write!(out, "{{\"id\":{id},\"value\":{{"),
            Self::Jobs => write!(out, "{{\"entity\":\"jobs\",\"id\":{id}"),
        };
    }

    /// Writes what comes after them.
    pub(crate) fn close(self, out: &mut String) {
        out.push_str(if self == Self::Jobs { "}" } else { "}}" });
    }

    /// Members that the values of a form have beside those of the truth.
    pub(crate) fn head(self, members: &mut Map<String, Json>, id: usize, number: u64) {
        match self {
            Self::Spot | Self::Pair => {
                members.insert("u".to_owned(), number.into());
                members.insert("s".to_owned(), symbol(id).into());
            }
            Self::Linear => {
                members.insert("symbol".to_owned(), symbol(id).into());
            }
            _ => {}
        }
    }
}

/// The symbol of an id.
pub(crate) fn symbol(id: usize) -> String {
    format!("S{id}")
}
