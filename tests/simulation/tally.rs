//! What happened, over one run or many: so that a simulation that has gone blind is seen.

use std::fmt;

macro_rules! tally {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// How often each kind of event occurred.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Tally {
            $($(#[doc = $doc])+ pub(crate) $name: u64,)+
            /// The longest time from the end of all faults until everything was live and equal.
            pub(crate) slowest_heal_ms: u64,
        }

        impl Tally {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
                self.slowest_heal_ms = self.slowest_heal_ms.max(other.slowest_heal_ms);
            }

            pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

tally! {
    /// Runs.
    runs,
    /// Milliseconds of virtual time.
    virtual_ms,
    /// Instants at which something happened.
    steps,
    /// Messages that the feed took.
    messages,
    /// Changes of values at the server.
    changes,
    /// Messages that the server did not send.
    lost,
    /// Messages that it sent twice.
    repeated,
    /// Old messages that it sent again.
    late,
    /// Holes that the feed saw.
    gaps,
    /// Holes that another connection filled.
    bridged,
    /// Messages that were dropped as older, or as there already.
    dropped,
    /// Messages that were taken apart elsewhere.
    bulk,
    /// Keys that went on, over a new connection, from where they were.
    resumed,
    /// Messages that said what had been missed meanwhile.
    missed,
    /// Connections made.
    connections,
    /// Attempts that failed.
    failures,
    /// Delays before an attempt in the lower and in the upper half of what jitter allows.
    short_delays,
    /// See above.
    long_delays,
    /// Connections that ended, some within a message.
    cuts,
    /// Connections on which nothing came through for a while.
    partitions,
    /// Connections that the feed gave up because nothing came.
    dead,
    /// Restarts of the server.
    crashes,
    /// Connections shown in the place of another.
    promotions,
    /// Connections replaced before their time was up.
    rotations,
    /// Times that the feed fell silent.
    silences,
    /// Invalidations, over the stream and by clients.
    invalidations,
    /// Values removed by the server.
    removals,
    /// Subscriptions made and taken back while the feed ran.
    subscriptions,
    /// Fetches that began for what the stream had lost.
    resyncs,
    /// Fetches that began for observers.
    fetches,
    /// Fetches that failed, hung, or brought garbage.
    bad_fetches,
    /// Answers that were behind the stream when they were given.
    old_answers,
    /// Looks at values that were not live.
    stale_reads,
    /// Looks at values that were live, and right.
    live_reads,
    /// Observers, watches and the like that came.
    waiters,
    /// Times that somebody who slept was told of news.
    wakes,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.iter() {
            write!(f, "{name} {count}, ")?;
        }
        write!(f, "slowest heal {} ms", self.slowest_heal_ms)
    }
}
