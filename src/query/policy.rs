//! What a query may be told: when it is stale, when it is fetched again, when it is let go.

use std::time::Duration;

use crate::Time;

/// How long a query's data counts as fresh, from when it was last known whole.
///
/// Whatever this says, a query without data is stale, and so is one whose data is only in part
/// there or has a gap. Default: `After(0)`, stale at once, so that every new observer fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleTime {
    /// For this long. [`Duration::MAX`] is the same as [`StaleTime::Never`].
    After(Duration),
    /// Until it is invalidated.
    Never,
    /// For ever: invalidation marks it, and nothing but an explicit fetch loads it again.
    Static,
}

impl Default for StaleTime {
    fn default() -> Self {
        Self::After(Duration::ZERO)
    }
}

impl StaleTime {
    /// When data that was whole at `whole_at` turns stale by age alone; [`Time::NEVER`] if it does
    /// not.
    pub(crate) fn deadline(self, whole_at: Time) -> Time {
        match self {
            Self::After(for_) => whole_at.after(for_),
            Self::Never | Self::Static => Time::NEVER,
        }
    }
}

/// Whether an occasion (a new observer, a reconnect, a gain of focus) fetches. Default: `IfStale`.
///
/// A query without data is fetched by its first observer even under [`Refetch::Never`]. Data that
/// is [`StaleTime::Static`] is not fetched again even under [`Refetch::Always`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refetch {
    /// It does not.
    Never,
    /// If the data is stale.
    #[default]
    IfStale,
    /// Also if it is fresh.
    Always,
}

/// What a fetch needs of the network. Default: `Online`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// No attempt is made while the cache is told to be offline: the fetch is paused.
    #[default]
    Online,
    /// One attempt is made regardless; retries wait for the network.
    OfflineFirst,
    /// The network does not matter.
    Always,
}

/// Whether to poll, and how often: what a poll function of a query's state answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Poll {
    /// Not at present. The function is asked again whenever the state changes.
    #[default]
    Stop,
    /// This long after the last fetch settled. Zero and [`Duration::MAX`] are [`Poll::Stop`].
    Every(Duration),
}

impl Poll {
    /// Polls `interval` after the last fetch settled.
    #[must_use]
    pub const fn every(interval: Duration) -> Self {
        Self::Every(interval)
    }

    /// The interval, if this polls.
    pub(crate) fn interval(self) -> Option<Duration> {
        match self {
            Self::Every(every) if !every.is_zero() && every != Duration::MAX => Some(every),
            _ => None,
        }
    }
}

/// How an observer polls. The default does not.
///
/// A poll has its own clock, which runs from when a fetch settled (or the observer came) to the
/// next fetch; writes by streams do not put it off. While fetches fail the interval doubles with
/// every failure in a row. Nothing is polled while offline, unless the network mode says that this
/// does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Polling {
    /// Whether, and how often.
    pub(crate) every: Poll,
    /// Also while the application is told to be out of focus.
    pub(crate) in_background: bool,
    /// Only once no message has come for this value for this long, or its stream is silent or
    /// down, or it has none.
    pub(crate) only_if_quiet_for: Option<Duration>,
}

/// What is known about a query's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Nothing yet.
    Pending,
    /// There is data, and the last fetch that settled, if any, gave it.
    Success,
    /// The last fetch that settled failed. There may be data beside the error.
    Error,
}

/// What a query's fetcher is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FetchStatus {
    /// Nothing.
    Idle,
    /// It runs, waits for a retry, or waits for its turn.
    Fetching,
    /// It waits for the network or for focus.
    Paused,
}

/// Which queries, by who looks at them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Activity {
    /// All.
    #[default]
    Any,
    /// Those with an enabled observer.
    Active,
    /// Those without: nobody observes them, or disabled observers only.
    Inactive,
}

/// Which of the matched queries an invalidation fetches again. Default: `Active`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RefetchKind {
    /// None: they are marked, and the next occasion fetches.
    None,
    /// Those with an enabled observer.
    #[default]
    Active,
    /// Those without one that have been fetched or written before.
    Inactive,
    /// Both.
    All,
}

/// The options of one query, every default resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// How long data is fresh, where no observer says otherwise.
    pub(crate) stale: StaleTime,
    /// How long a query that nobody uses is kept; [`Duration::MAX`] is for ever. The longest that a
    /// query was ever given counts.
    pub(crate) gc: Duration,
    /// What its fetches need of the network.
    pub(crate) network: NetworkMode,
    /// Whether it may be fetched without observers by others than a direct call.
    pub(crate) enabled: bool,
    /// Whether a write counts as use, and so puts off the collection (D10).
    pub(crate) writes_keep: bool,
}

/// How long a query that nobody uses is kept by default.
pub(crate) const DEFAULT_GC: Duration = Duration::from_secs(5 * 60);

impl Default for Options {
    fn default() -> Self {
        Self {
            stale: StaleTime::default(),
            gc: DEFAULT_GC,
            network: NetworkMode::Online,
            enabled: true,
            writes_keep: true,
        }
    }
}

/// The options of one observer, every default resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ObserverOptions {
    /// A disabled observer never causes a fetch and never finds data stale.
    pub(crate) enabled: bool,
    /// How long data is fresh to it.
    pub(crate) stale: StaleTime,
    /// Whether its coming fetches.
    pub(crate) on_mount: Refetch,
    /// Whether going online fetches.
    pub(crate) on_reconnect: Refetch,
    /// Whether gaining focus fetches.
    pub(crate) on_focus: Refetch,
    /// Whether and how it polls.
    pub(crate) polling: Option<Polling>,
    /// Whether `polling` or `stale` are functions of the state, so that
    /// [`Action::Ask`](super::Action::Ask) asks for them again.
    pub(crate) asks: bool,
}

impl Default for ObserverOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            stale: StaleTime::default(),
            on_mount: Refetch::IfStale,
            on_reconnect: Refetch::IfStale,
            on_focus: Refetch::IfStale,
            polling: None,
            asks: false,
        }
    }
}
