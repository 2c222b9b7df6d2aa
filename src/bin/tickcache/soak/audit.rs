//! What every look at a value is held to, whoever looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::beat;
use super::board::{Line, Look};
use super::form::Form;
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

/// What the values of a line are held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims {
    pub(crate) form: Form,
    /// A live value is never older.
    pub(crate) oldest: Duration,
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
    /// For somebody who looks at lines of so many ids each.
    pub(crate) fn new(
        who: &'static str,
        ids: &[usize],
        looks: &Arc<Looks>,
        problems: &Arc<Problems>,
        beat: &Arc<beat::Shared>,
    ) -> Self {
        let last = ids.iter().map(|ids| vec![Last::default(); *ids]);
        Self {
            last: last.collect(),
            who,
            looks: Arc::clone(looks),
            problems: Arc::clone(problems),
            beat: Arc::clone(beat),
        }
    }

    /// Looks at a value of a line, the one at `at`, and judges it.
    pub(crate) fn look(&mut self, at: usize, line: &Line, id: usize) {
        let began = line.exchange.now();
        self.judge(at, &line.claims(), id, &line.look(id), began);
    }

    /// Judges a look at a value of the line at `at`; `began` is the time of the run before it.
    pub(crate) fn judge(&mut self, at: usize, line: &Claims, id: usize, look: &Look, began: u64) {
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

#[cfg(test)]
mod tests {
    use tickcache::cache::{Freshness, Reasons};

    use super::*;
    use crate::soak::truth::Value;

    const SECOND: u64 = 1_000_000;

    struct Bench {
        audit: Audit,
        problems: Arc<Problems>,
    }

    impl Bench {
        fn new() -> Self {
            let problems = Arc::<Problems>::default();
            let audit = Audit::new("a test", &[3], &Arc::default(), &problems, &Arc::default());
            Self { audit, problems }
        }

        /// Judges looks at one value of this form; gives what did not hold.
        fn judged(form: Form, looks: &[(Look, u64)]) -> Vec<&'static str> {
            let mut bench = Self::new();
            let oldest = Duration::from_secs(3);
            for (look, began) in looks {
                bench
                    .audit
                    .judge(0, &Claims { form, oldest }, 2, look, *began);
            }
            let found = bench.problems.all();
            found.into_iter().map(|(claim, _)| claim).collect()
        }
    }

    fn look(epoch: u64, at: u64, freshness: Freshness) -> Look {
        let value = Value {
            parts: [Some(1), Some(2), Some(3), Some(4), Some(5), None],
            at,
        };
        Look {
            freshness,
            epoch,
            value,
            check: Some(value.check(2)),
        }
    }

    fn torn(mut look: Look) -> Look {
        look.value.parts[1] = Some(77);
        look
    }

    const STALE: Freshness = Freshness::Stale(Reasons::GAP);

    #[test]
    fn what_is_promised_passes() {
        let live = |epoch, at| (look(epoch, at, Freshness::Live), at + SECOND);
        let old = (look(3, 9, STALE), 60 * SECOND);
        let empty = Look {
            check: None,
            value: Value::default(),
            ..look(0, 0, Freshness::Empty)
        };
        let looks = [(empty, 1), live(1, 5), live(1, 5), live(2, 9), old];
        assert!(Bench::judged(Form::Spot, &looks).is_empty());
        // A value that lacks a patch may be there, as long as it does not read live.
        let partial = [live(1, 5), (torn(look(2, 9, STALE)), SECOND)];
        assert!(Bench::judged(Form::Chain, &partial).is_empty());
    }

    #[test]
    fn everything_else_is_found() {
        let live = look(4, 9, Freshness::Live);
        let found = |form, looks: &[(Look, u64)]| Bench::judged(form, looks);
        let mixed = "a live value is one version of the source's";
        assert_eq!(found(Form::Chain, &[(torn(live), 10)]), [mixed]);
        let whole = "a whole value is never torn";
        assert_eq!(found(Form::Spot, &[(torn(look(4, 9, STALE)), 10)]), [whole]);
        let back = "epochs never go back";
        assert_eq!(
            found(Form::Spot, &[(live, 10), (look(3, 9, STALE), 10)]),
            [back]
        );
        let old = "a live value is never older than the bound";
        assert_eq!(found(Form::Spot, &[(live, 9 + 4 * SECOND)]), [old]);
        let undone = "live values never go back";
        let earlier = look(5, 8, Freshness::Live);
        assert_eq!(found(Form::Spot, &[(live, 10), (earlier, 10)]), [undone]);
    }
}
