//! What did not hold.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Examples that are kept of each kind of problem.
const EXAMPLES: usize = 3;

/// Everything that did not hold, by what should have; from any thread.
#[derive(Debug, Default)]
pub(crate) struct Problems(Mutex<BTreeMap<&'static str, Found>>);

/// What was found of one kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) times: u64,
    pub(crate) examples: Vec<String>,
}

impl Problems {
    /// `claim` did not hold, and how. The text is made only where it is kept.
    #[cold]
    pub(crate) fn add(&self, claim: &'static str, how: impl FnOnce() -> String) {
        let mut problems = self.lock();
        let found = problems.entry(claim).or_default();
        found.times += 1;
        if found.examples.len() < EXAMPLES {
            found.examples.push(how());
        }
    }

    /// How many were found.
    pub(crate) fn count(&self) -> u64 {
        self.lock().values().map(|found| found.times).sum()
    }

    /// What was found so far.
    pub(crate) fn all(&self) -> Vec<(&'static str, Found)> {
        let problems = self.lock();
        problems
            .iter()
            .map(|(claim, found)| (*claim, found.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Found>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
