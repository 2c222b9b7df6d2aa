//! What every look at a value is held to, whoever looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::beat;
use super::board::{Line, Look};
use super::problems::Problems;

/// Looks of one kind of reader, in sum.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    pub(crate) live: AtomicU64,
    pub(crate) stale: AtomicU64,
}

impl Looks {
    pub(crate) fn all(&self) -> u64 {
        self.live.load(Relaxed) + self.stale.load(Relaxed)
    }
}

/// What one reader has seen last of each value, and what it holds new looks against.
#[derive(Debug)]
pub(crate) struct Audit {
    last: Vec<Vec<Last>>,
    who: &'static str,
    looks: Arc<Looks>,
    problems: Arc<Problems>,
    beat: Arc<beat::Shared>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    epoch: u64,
    /// When the last live value was made.
    live_at: u64,
}

impl Audit {
    pub(crate) fn new(
        who: &'static str,
        lines: &[Line],
        looks: &Arc<Looks>,
        problems: &Arc<Problems>,
        beat: &Arc<beat::Shared>,
    ) -> Self {
        let last = lines
            .iter()
            .map(|line| vec![Last::default(); line.slots.len()]);
        Self {
            last: last.collect(),
            who,
            looks: Arc::clone(looks),
            problems: Arc::clone(problems),
            beat: Arc::clone(beat),
        }
    }

    /// Judges a look at a value of a line; `began` is the time of the run before it.
    pub(crate) fn judge(&mut self, at: usize, line: &Line, id: usize, look: &Look, began: u64) {
        let last = &mut self.last[at][id];
        let problems = &self.problems;
        let told = |what: &str| {
            let (who, name) = (self.who, line.form.name());
            format!("{who} of {name}/{id}: {what}, {look:?}")
        };
        if look.epoch < last.epoch {
            problems.add("epochs never go back", || {
                told(&format!("after {}", last.epoch))
            });
        }
        last.epoch = look.epoch;
        let live = look.freshness.is_live();
        let count = if live {
            &self.looks.live
        } else {
            &self.looks.stale
        };
        count.fetch_add(1, Relaxed);
        // A value that lacks a patch does not check, and must not be live; a whole value always does.
        let must_check = live || (!line.form.is_patched() && look.check.is_some());
        if must_check && !look.checks(id) {
            let claim = if live {
                "a live value is one version of the source's"
            } else {
                "a whole value is never torn"
            };
            problems.add(claim, || told("does not check"));
        }
        if !live {
            return;
        }
        let age = Duration::from_micros(began.saturating_sub(look.value.at));
        let oldest = line.oldest + self.beat.late();
        if age > oldest {
            problems.add("a live value is never older than the bound", || {
                told(&format!("{age:?} old, the bound is {oldest:?}"))
            });
        }
        if look.value.at < last.live_at {
            problems.add("live values never go back", || {
                told(&format!("one made at {} was live before", last.live_at))
            });
        }
        last.live_at = look.value.at;
    }
}
