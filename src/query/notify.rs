//! Who is told what: observers before the query's own event, as in query-core.

use super::Outcome;
use super::events::{Action, EventKind, Update};
use super::ids::{ObserverId, PromiseId, QueryIx};
use super::look::Look;
use super::machine::{At, Queries};
use super::observers::Observer;
use super::policy::{FetchStatus, Status};
use super::state::Query;
use super::timers::Timer;
use crate::Time;

/// What an observer sees of a query, less the data: it is told if this has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    status: Status,
    fetch_status: FetchStatus,
    stale: bool,
    updated_at: Option<Time>,
    error_count: u64,
    data_count: u64,
    failure_count: u32,
}

impl Shown {
    pub(super) fn new<E>(q: &Query<E>, o: &Observer, look: &Look, now: Time) -> Self {
        Self {
            status: q.status(look),
            fetch_status: q.fetch_status(),
            stale: o.options.enabled && look.stale(o.options.stale, now),
            updated_at: look.updated_at(),
            error_count: q.record.error_count,
            data_count: q.record.data_count,
            failure_count: q.record.failure_count,
        }
    }
}

impl<E: Clone> Queries<E> {
    /// The state has changed, for this reason.
    pub(super) fn notify(&mut self, query: QueryIx, update: Update, at: At<'_>) {
        self.mark_changed(query);
        self.refresh(query, at);
        self.tell(query, EventKind::Updated(update));
        self.ask(query);
    }

    /// Shows every observer what there is now; says whether any of them sees a difference.
    pub(super) fn refresh(&mut self, query: QueryIx, at: At<'_>) {
        let Some(q) = self.registry.get(query) else {
            return;
        };
        let look = at.look(query);
        let mut differ = 0;
        for &id in &q.observers {
            let Some(o) = self.observers.get_mut(id) else {
                continue;
            };
            let shown = Shown::new(q, o, &look, at.now);
            differ += usize::from(o.shown != Some(shown));
            o.shown = Some(shown);
            self.timers.set(Timer::Stale(id), o.stale_at(&look, at.now));
        }
        if differ > 0 {
            self.mark_changed(query);
        }
        for _ in 0..differ {
            self.tell(query, EventKind::ObserverResults);
        }
    }

    /// The data was to turn stale to an observer about now; unless a stream has renewed it.
    pub(super) fn turned_stale(&mut self, observer: ObserverId, at: At<'_>) {
        if let Some(o) = self.observers.get(observer) {
            let query = o.query;
            self.refresh(query, at);
        }
    }

    pub(super) fn mark_changed(&mut self, query: QueryIx) {
        if let Some(q) = self.registry.get_mut(query)
            && !std::mem::replace(&mut q.changed, true)
        {
            self.act(Action::Changed { query });
        }
    }

    /// Has the functions of the state asked again, of those observers that have any.
    fn ask(&mut self, query: QueryIx) {
        let Some(q) = self.registry.get(query) else {
            return;
        };
        for observer in q.observers.clone() {
            self.ask_one(observer);
        }
    }

    pub(super) fn ask_one(&mut self, observer: ObserverId) {
        if let Some(o) = self.observers.get_mut(observer)
            && o.options.enabled
            && o.options.asks
            && !std::mem::replace(&mut o.asked, true)
        {
            let query = o.query;
            self.act(Action::Ask { query, observer });
        }
    }

    pub(super) fn settle(&mut self, promises: Vec<PromiseId>, outcome: &Outcome<E>) {
        for promise in promises {
            let outcome = outcome.clone();
            self.act(Action::Settle { promise, outcome });
        }
    }
}
