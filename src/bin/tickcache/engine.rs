//! What the engine measures of itself, for pictures: of the last seconds and of the whole run.

use std::collections::VecDeque;

use tickcache::Latencies;
use tickcache::cache::FeedRef;

/// The latencies of some feeds together, since they began.
pub(crate) fn of(feeds: &[FeedRef]) -> Latencies {
    let mut all = Latencies::default();
    feeds.iter().for_each(|feed| all.merge(&feed.latencies()));
    all
}

/// Readings of the last seconds.
#[derive(Debug)]
pub(crate) struct Readings {
    seconds: usize,
    /// Oldest first.
    past: VecDeque<Latencies>,
}

impl Readings {
    /// Keeps that many seconds.
    pub(crate) fn new(seconds: usize) -> Self {
        Self {
            seconds,
            past: VecDeque::from([Latencies::default()]),
        }
    }

    /// A second is over: what was measured in the last ones.
    pub(crate) fn second(&mut self, feeds: &[FeedRef]) -> Latencies {
        self.take(of(feeds))
    }

    fn take(&mut self, now: Latencies) -> Latencies {
        self.past.push_back(now.clone());
        if self.past.len() > self.seconds + 1 {
            self.past.pop_front();
        }
        self.past
            .front()
            .map_or_else(Latencies::default, |oldest| now.since(oldest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_that_are_over_are_forgotten() {
        let mut readings = Readings::new(2);
        let nothing = Latencies::default();
        for _ in 0..5 {
            assert_eq!(readings.take(nothing.clone()), nothing);
            assert!(readings.past.len() <= 3);
        }
    }
}
