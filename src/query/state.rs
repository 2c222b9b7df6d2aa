//! The record of one query, and the fetch that is in flight for it.

use super::budget::Ticket;
use super::ids::{FetchId, ObserverId, PromiseId};
use super::look::Look;
use super::policy::{FetchStatus, Options, Status};
use super::want::Cause;
use crate::Time;
use crate::key::Key;

/// One query: everything the machine knows of it, which is everything but the value.
#[derive(Debug)]
pub(super) struct Query<E> {
    pub(super) key: Key,
    /// Its place in the order of insertion.
    pub(super) number: u64,
    pub(super) options: Options,
    pub(super) fetchable: bool,
    pub(super) record: Record<E>,
    pub(super) flight: Option<Flight<E>>,
    /// In the order in which they came.
    pub(super) observers: Vec<ObserverId>,
    /// How many of them are enabled.
    pub(super) enabled: usize,
    /// Fetches in a row that failed for good: what a poll backs off by.
    pub(super) failing: u32,
    /// Since when nobody uses it, if nobody does.
    pub(super) idle_since: Time,
    /// Invalidations that need not be acted upon (any more): a fetch began after them, or they are
    /// excused. Never above the value's sum.
    pub(super) acted: u64,
    /// Whether the value was in doubt when generations were last looked at, or a fetch settled.
    pub(super) doubted: bool,
    /// Fetches in a row that settled and left it in doubt.
    pub(super) doubts: u32,
    /// The stamp with which the value was last found invalidated; another one says that it has been
    /// renewed in between.
    pub(super) flagged: Option<u64>,
    /// How many [`Action::Restore`](super::Action::Restore) have not been reported as done.
    pub(super) restores: u32,
    /// Who waits for the fetch after that.
    pub(super) restoring: Vec<PromiseId>,
    /// Whether an [`Action::Changed`](super::Action::Changed) is on its way.
    pub(super) changed: bool,
}

/// The part of the state that fetches and writes move.
#[derive(Clone, Debug)]
pub(super) struct Record<E> {
    pub(super) error: Option<E>,
    pub(super) error_at: Option<Time>,
    pub(super) error_count: u64,
    pub(super) data_count: u64,
    pub(super) failure_count: u32,
    pub(super) failure: Option<E>,
}

impl<E> Default for Record<E> {
    fn default() -> Self {
        Self {
            error: None,
            error_at: None,
            error_count: 0,
            data_count: 0,
            failure_count: 0,
            failure: None,
        }
    }
}

/// How far a fetch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// For its turn: the budget is used up.
    Queued(Ticket),
    /// An attempt runs and can be aborted.
    Running,
    /// An attempt writes its result and cannot be aborted any more.
    Landing,
    /// For the delay before the next attempt.
    Waiting,
    /// For the network, or for focus.
    Paused,
}

/// A fetch from when it is wanted to when it is settled.
#[derive(Debug)]
pub(super) struct Flight<E> {
    pub(super) id: FetchId,
    pub(super) phase: Phase,
    pub(super) cause: Cause,
    /// Attempts that have begun.
    pub(super) attempt: u32,
    /// The value's invalidations when the last of them began.
    pub(super) sum: u64,
    /// Whether somebody called for it, as opposed to an occasion.
    pub(super) called: bool,
    /// Whether a resync waits for it, whoever else came and went.
    pub(super) resyncs: bool,
    /// Whether the fetcher has taken its cancellation token.
    pub(super) consumed: bool,
    /// Whether a failure is final, since the last observer has left.
    pub(super) no_retry: bool,
    /// Whether the present attempt occupies a place of the budget.
    pub(super) counted: bool,
    /// Who waits for it.
    pub(super) promises: Vec<PromiseId>,
    /// Who waits for a fetch that begins later than the present attempt did.
    pub(super) next: Vec<PromiseId>,
    /// Whether one of those is a resync's.
    pub(super) resyncs_next: bool,
    /// Whether there must be such a fetch.
    pub(super) again: bool,
    /// Whether the query was reset while the result was landing.
    pub(super) discarded: bool,
    /// What a cancel puts back.
    pub(super) before: Before<E>,
}

/// The state before a fetch, as far as its beginning changes it.
#[derive(Debug)]
pub(super) struct Before<E> {
    pub(super) error: Option<E>,
    pub(super) failure_count: u32,
    pub(super) failure: Option<E>,
}

impl<E> Query<E> {
    pub(super) fn status(&self, look: &Look) -> Status {
        if self.record.error.is_some() {
            Status::Error
        } else if look.known() {
            Status::Success
        } else {
            Status::Pending
        }
    }

    pub(super) fn fetch_status(&self) -> FetchStatus {
        match &self.flight {
            None => FetchStatus::Idle,
            Some(flight) if flight.phase == Phase::Paused => FetchStatus::Paused,
            Some(_) => FetchStatus::Fetching,
        }
    }

    pub(super) const fn is_active(&self) -> bool {
        self.enabled > 0
    }

    /// Whether no refetch of many may touch it: all its observers are disabled, or nobody observes
    /// it and it has neither been fetched nor written.
    pub(super) fn is_disabled(&self, look: &Look) -> bool {
        if !self.observers.is_empty() {
            return !self.is_active();
        }
        let untouched =
            !look.known() && self.record.data_count == 0 && self.record.error_count == 0;
        untouched || !self.options.enabled
    }

    /// The flight of this name, if an attempt of it is out.
    pub(super) fn attempt(&mut self, fetch: FetchId) -> Option<&mut Flight<E>> {
        self.flight.as_mut().filter(|flight| {
            flight.id == fetch && matches!(flight.phase, Phase::Running | Phase::Landing)
        })
    }

    /// A fetch begins: failures are counted anew, and without data an old error is not shown.
    pub(super) fn reduce_begin(&mut self, look: &Look) -> Before<E>
    where
        E: Clone,
    {
        let before = Before {
            error: self.record.error.clone(),
            failure_count: self.record.failure_count,
            failure: self.record.failure.take(),
        };
        self.record.failure_count = 0;
        if !look.known() {
            self.record.error = None;
        }
        before
    }

    pub(super) fn reduce_landed(&mut self) {
        self.record.error = None;
        self.record.failure = None;
        self.record.failure_count = 0;
        self.record.data_count += 1;
        self.failing = 0;
    }

    pub(super) fn reduce_failed(&mut self, error: E) {
        self.record.failure_count = self.record.failure_count.saturating_add(1);
        self.record.failure = Some(error);
    }

    pub(super) fn reduce_error(&mut self, error: E, now: Time) {
        self.record.error = Some(error);
        self.record.error_at = Some(now);
        self.record.error_count += 1;
    }

    /// A write leaves the fetch and its failures alone, and what a cancel goes back to is the write.
    pub(super) fn reduce_set(&mut self) {
        self.record.error = None;
        self.record.data_count += 1;
        if let Some(flight) = &mut self.flight {
            flight.before.error = None;
        }
    }

    pub(super) fn reduce_revert(&mut self, before: Before<E>) {
        self.record.error = before.error;
        self.record.failure_count = before.failure_count;
        self.record.failure = before.failure;
    }
}
