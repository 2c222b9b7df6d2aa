//! Whether anybody sleeps on news. A wake-up that was lost would be made good by the next silence or
//! lost connection, which wake everybody: so it is looked for all the time, not only at the end.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long a task may take from news to its turn. The engine promises none; one that has lost its
/// wake-up never comes.
const WAKE_WITHIN: Duration = Duration::from_secs(2);

/// The epochs that watchers have seen last, by line and id.
#[derive(Debug)]
pub(crate) struct Seen(Vec<Vec<AtomicU64>>);

impl Seen {
    /// For lines of so many ids each.
    pub(crate) fn new(ids: &[usize]) -> Self {
        let line = |ids: &usize| (0..*ids).map(|_| AtomicU64::new(0)).collect();
        Self(ids.iter().map(line).collect())
    }

    /// A watcher has seen this.
    pub(crate) fn note(&self, line: usize, id: usize, epoch: u64) {
        // A number for whoever compares: nothing else goes with it.
        self.0[line][id].store(epoch, Relaxed);
    }

    pub(crate) fn of(&self, line: usize, id: usize) -> u64 {
        self.0[line][id].load(Relaxed)
    }
}

/// Since when each watcher has been behind.
#[derive(Debug)]
pub(crate) struct Sleepers(Vec<Vec<Behind>>);

#[derive(Clone, Copy, Debug)]
struct Behind {
    /// What it had seen then.
    seen: u64,
    since: Instant,
}

impl Sleepers {
    /// For lines of so many ids each.
    pub(crate) fn new(ids: &[usize], now: Instant) -> Self {
        let behind = Behind {
            seen: 0,
            since: now,
        };
        Self(ids.iter().map(|ids| vec![behind; *ids]).collect())
    }

    /// Compares what a watcher has seen with what there is. Whether it has stood still for too long
    /// while there was news all the time; told once for each sleep.
    pub(crate) fn is_asleep(
        &mut self,
        (line, id): (usize, usize),
        (seen, epoch): (u64, u64),
        now: Instant,
        late: Duration,
    ) -> bool {
        let behind = &mut self.0[line][id];
        let asleep = seen != epoch
            && seen == behind.seen
            && now.saturating_duration_since(behind.since) > WAKE_WITHIN + late;
        if asleep || seen == epoch || seen != behind.seen {
            *behind = Behind { seen, since: now };
        }
        asleep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever moves is awake, however far behind; whoever stands still with news for too long is
    /// not.
    #[test]
    fn only_those_who_stand_still_sleep() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut sleepers = Sleepers::new(&[1], start);
        let mut asleep = |seen, epoch, millis| {
            sleepers.is_asleep(
                (0, 0),
                (seen, epoch),
                at(millis),
                Duration::from_millis(500),
            )
        };
        assert!(!asleep(1, 1, 0));
        assert!(!asleep(1, 1, 10_000), "no news");
        assert!(!asleep(1, 5, 10_001));
        assert!(!asleep(2, 9, 12_000), "it moves");
        assert!(!asleep(2, 9, 14_400), "late by what is granted");
        assert!(asleep(2, 12, 14_600));
        assert!(!asleep(2, 12, 14_700), "told once");
    }
}
