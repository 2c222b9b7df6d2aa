//! What a seed chooses before a run begins: the venue's form, the feed's settings, the faults.

use std::ops::Range;
use std::time::Duration;

use tickcache::feed::{Across, Policy, Rule};
use tickcache::{Backoff, Jitter, OnConnect};

use crate::random::Random;

/// How a venue numbers what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One more for each change of a key.
    PerKey,
    /// Changes of a key are put together, and numbered from the first to the last of them.
    Range,
    /// Each change names the one before it; numbers jump.
    Chained,
    /// Whole values, numbered by one counter of all keys.
    Sparse,
    /// As `Sparse`, where a number may come twice.
    Equal,
    /// As `PerKey`, but numbers begin anew with each connection, and the server may lose its state.
    Restarting,
    /// Whole values and changes; every message of a connection has the next number.
    PerConnection,
    /// A value and its changes, in order, without numbers.
    Plain,
}

impl Form {
    pub(crate) const ALL: [Self; 8] = [
        Self::PerKey,
        Self::Range,
        Self::Chained,
        Self::Sparse,
        Self::Equal,
        Self::Restarting,
        Self::PerConnection,
        Self::Plain,
    ];

    pub(crate) const fn policy(self) -> Option<Policy> {
        let rule = match self {
            Self::PerKey | Self::Restarting => Rule::ContiguousPerKey,
            Self::Range => Rule::ContiguousRange,
            Self::Chained => Rule::Chained,
            Self::Sparse => Rule::SparseRising,
            Self::Equal => Rule::RisingEqualAllowed,
            Self::PerConnection | Self::Plain => return None,
        };
        let across = match self {
            Self::Restarting => Across::Restarts,
            _ => Across::Continues,
        };
        Some(Policy { rule, across })
    }

    /// Whether every message of a key is a whole value.
    pub(crate) const fn is_whole(self) -> bool {
        matches!(self, Self::Sparse | Self::Equal)
    }

    /// Whether the stream and an answer to a fetch can be compared.
    pub(crate) const fn compares(self) -> bool {
        matches!(
            self,
            Self::PerKey | Self::Range | Self::Chained | Self::Sparse | Self::Equal
        )
    }

    /// Whether messages may be missing, and it shows: in a jump of numbers, or in the next whole value.
    pub(crate) const fn may_lose(self) -> bool {
        !matches!(self, Self::Plain)
    }
}

/// Who asks the REST side of the server for values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// Nobody: whole values come over the stream, again and again.
    Nobody,
    /// The feed, for what its stream has lost.
    Resync,
    /// Queries, for what is observed.
    Queries,
    /// Both.
    Both,
}

impl Asking {
    pub(crate) const fn resyncs(self) -> bool {
        matches!(self, Self::Resync | Self::Both)
    }

    pub(crate) const fn queries(self) -> bool {
        matches!(self, Self::Queries | Self::Both)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    pub(crate) form: Form,
    pub(crate) keys: usize,
    /// How many of them are subscribed to from the start.
    pub(crate) initial: usize,
    pub(crate) redundant: bool,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) asking: Asking,
    /// A subscription is answered with the whole value.
    pub(crate) snapshots: bool,
    /// Every key's whole value is sent so often.
    pub(crate) periodic: Option<Duration>,
    /// A change of what is not known makes a value in part.
    pub(crate) inserts: bool,
    pub(crate) silent_after: Option<Duration>,
    pub(crate) dead_after: Duration,
    pub(crate) backoff: Backoff,
    /// Whole values come in messages that are taken apart elsewhere.
    pub(crate) bulk: bool,
    pub(crate) small_buffer: bool,
    /// In per cent of messages.
    pub(crate) losses: u64,
    pub(crate) repeats: u64,
    pub(crate) latency: (u64, u64),
    /// In per cent of fetches: each way in which one may fail.
    pub(crate) bad_fetches: u64,
    /// How long faults happen.
    pub(crate) storm: Duration,
    /// What is believed after a reconnect. Of a source that is trusted each connection goes on where
    /// the client says that the one before has ended.
    pub(crate) on_connect: OnConnect,
}

/// Before the fault phase ends every attempt to connect has an outcome within this time.
pub(crate) const CONNECT_HANGS: Duration = Duration::from_secs(3);
/// The longest that the server asks to be left alone.
pub(crate) const LEFT_ALONE: Duration = Duration::from_secs(3);
/// The longest between two changes of a key, while the server is up.
pub(crate) const QUIET: Duration = Duration::from_millis(600);
/// Messages of a connection that may be lost in a row.
pub(crate) const LOST_IN_A_ROW: u32 = 3;
/// How old an answer may be when it is given.
pub(crate) const OLD_ANSWER: Duration = Duration::from_secs(4);
/// How long a stream has to heal a value by itself.
pub(crate) const RESYNC_AFTER: Duration = Duration::from_millis(500);
/// How long a fetch may take.
pub(crate) const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest that the server sends nothing, though it is there.
pub(crate) const LULL: Duration = Duration::from_secs(4);
/// The longest that what was received waits to be taken apart.
pub(crate) const ERRAND: Duration = Duration::from_millis(60);

/// Of a hundred numbers those for which the source is trusted: none that is drawn for a seed that had
/// shown something before there was this choice, so that it means what it meant.
const TRUSTED: Range<u64> = 66..96;

impl Options {
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x005e_ed0f_0091_0115);
        let form = Form::ALL[(seed % Form::ALL.len() as u64) as usize];
        let asking = match random.below(10) {
            _ if !form.compares() => Asking::Nobody,
            0..=1 => Asking::Nobody,
            2..=6 => Asking::Resync,
            7 => Asking::Queries,
            _ => Asking::Both,
        };
        let keys = 2 + random.pick(3);
        let redundant = random.chance(40);
        let first = random.millis(100, 600);
        let jitter = match random.below(3) {
            0 => Jitter::Full,
            _ => Jitter::Half,
        };
        let mut options = Self {
            seed,
            form,
            keys,
            initial: keys - random.pick(2),
            redundant,
            lifetime: random.chance(35).then(|| random.millis(3_500, 9_000)),
            asking,
            snapshots: !asking.resyncs() || random.chance(50),
            periodic: (!asking.resyncs()).then(|| random.millis(800, 2_500)),
            inserts: random.chance(30),
            silent_after: random.chance(40).then(|| random.millis(1_500, 3_000)),
            dead_after: random.millis(2_000, 8_000),
            backoff: Backoff {
                first,
                factor: 1 + random.below(3) as u32,
                max: first + random.millis(0, 3_000),
                jitter,
            },
            bulk: random.chance(30),
            small_buffer: random.chance(30),
            losses: if form.may_lose() { random.below(8) } else { 0 },
            repeats: random.below(8),
            latency: (1, 1 + random.below(30)),
            bad_fetches: if random.chance(50) {
                0
            } else {
                5 + random.below(10)
            },
            storm: random.millis(6_000, 14_000),
            on_connect: OnConnect::Invalidate,
        };
        if TRUSTED.contains(&random.below(100)) {
            options.trust();
        }
        options
    }

    /// Has the source trusted. Where it goes on after a reconnect a connection says for itself: with
    /// several of them only numbers tell what that means for the value that is shown.
    pub(crate) fn trust(&mut self) {
        self.on_connect = OnConnect::Trust;
        if !self.form.compares() {
            (self.redundant, self.lifetime) = (false, None);
        }
    }

    pub(crate) fn is_trusted(&self) -> bool {
        self.on_connect == OnConnect::Trust
    }

    /// How long a value that reads live may be behind the server. The connection may be dead, which
    /// shows after `dead_after`; the last messages of a key may be lost, which its next one shows; the
    /// server may be quiet meanwhile, an answer old, and a long message on its way.
    pub(crate) fn lag(&self) -> Duration {
        let lost = if self.losses > 0 {
            QUIET * (LOST_IN_A_ROW + 1)
        } else {
            QUIET
        };
        let old = if self.asking == Asking::Nobody {
            Duration::ZERO
        } else {
            OLD_ANSWER
        };
        self.dead_after + lost + LULL + old + ERRAND + Duration::from_millis(500)
    }

    /// How long it takes at most, from the end of all faults, until there is a connection and all
    /// that is wanted is asked for: a dead one is noticed, an attempt that hangs ends, the longest
    /// delay, one second.
    pub(crate) fn reconnects_within(&self) -> Duration {
        let waits = self.backoff.max.max(LEFT_ALONE);
        self.dead_after + CONNECT_HANGS + waits + Duration::from_secs(1)
    }
}
