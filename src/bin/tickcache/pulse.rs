//! What is counted for a picture: totals, rates over the last second, the state of connections.

use std::time::{Duration, Instant};

use tickcache::cache::FeedRef;
use tickcache::feed::State;

use crate::tally::Tally;
use crate::ui::{Link, Model, Totals};

/// A second, less what a timer may be early.
const SECOND: Duration = Duration::from_millis(950);

/// Seconds of history that are kept.
const HISTORY: usize = 240;

/// Turns counters into rates, once a second.
#[derive(Debug)]
pub(crate) struct Pulse {
    start: Instant,
    last: Instant,
    applied: u64,
    bytes: u64,
    rates: (f64, f64),
}

impl Pulse {
    /// Begins to count now.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            start: now,
            last: now,
            applied: 0,
            bytes: 0,
            rates: (0.0, 0.0),
        }
    }

    /// Time since it began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Brings time and totals up to date. Where a second is over, the rates as well, and the time
    /// since that was last so is given.
    pub(crate) fn beat(&mut self, model: &mut Model, tally: &Tally) -> Option<Duration> {
        let sum = &tally.sum;
        let now = Instant::now();
        model.elapsed = now - self.start;
        let since = now - self.last;
        let beat = (since >= SECOND).then_some(since);
        if let Some(beat) = beat {
            let rate = |more: u64| more as f64 / beat.as_secs_f64();
            self.rates = (
                rate(sum.applied - self.applied),
                rate(sum.bytes_received - self.bytes),
            );
            (self.last, self.applied, self.bytes) = (now, sum.applied, sum.bytes_received);
            model.history.push(self.rates.0 as u64);
            if model.history.len() > HISTORY {
                model.history.remove(0);
            }
        }
        model.totals = totals(tally);
        (
            model.totals.updates_per_second,
            model.totals.bytes_per_second,
        ) = self.rates;
        beat
    }
}

/// The totals, without rates.
pub(crate) fn totals(tally: &Tally) -> Totals {
    let sum = &tally.sum;
    Totals {
        received: sum.messages,
        applied: sum.applied,
        unchanged: sum.unchanged,
        refused: sum.refused + sum.patches_refused,
        unmapped: sum.unmapped,
        reconnects: sum.reconnects,
        ..Totals::default()
    }
}

/// The state of all connections together: the first that is not open counts.
pub(crate) fn link(feeds: &[FeedRef]) -> Link {
    let mut connecting = false;
    let mut down = Vec::new();
    for feed in feeds {
        let status = feed.state();
        match status.state {
            State::Open => {}
            State::Stopped => return Link::Stopped,
            _ => match (status.last_error, status.last_loss) {
                // An error is the newer of the two: it is forgotten with the next connection.
                (Some(error), _) => down.push(error.to_string()),
                (None, Some(loss)) => down.push(loss.to_string()),
                (None, None) => connecting = true,
            },
        }
    }
    match down.as_slice() {
        [] if connecting => Link::Connecting,
        [] => Link::Connected,
        [why] if feeds.len() == 1 => Link::Down(why.clone()),
        [why, ..] => Link::Down(format!("{} of {}: {why}", down.len(), feeds.len())),
    }
}
