//! What strikes many queries at once: generations that moved, the network or the focus coming
//! back. Only queries with an enabled observer are visited, and those with a paused fetch.

use super::events::Update;
use super::ids::QueryIx;
use super::look::{Look, Values};
use super::machine::{At, Queries};
use super::observers::Observer;
use super::policy::{ObserverOptions, Refetch};
use super::state::Phase;
use super::want::Cause;
use crate::Time;

impl<E: Clone> Queries<E> {
    /// Generations have moved, or a value has come into doubt: every active query that this has
    /// happened to since it was last seen to is fetched; one that is being fetched already is
    /// fetched exactly once more, when that has settled and if its result is not good for it (D4).
    ///
    /// Looks once at every active query, and at no other (D9).
    pub(crate) fn handle_marks(&mut self, now: Time, values: &dyn Values) {
        let at = At::new(now, values);
        let active: Vec<QueryIx> = self.registry.active().values().copied().collect();
        for query in active {
            let look = at.look(query);
            let Some(q) = self.registry.get_mut(query) else {
                continue;
            };
            let doubted = std::mem::replace(&mut q.doubted, look.unsure);
            if look.sum > q.acted || look.unsure && !doubted {
                self.marked(query, &look, at);
            }
        }
        self.admit(at);
    }

    fn marked(&mut self, query: QueryIx, look: &Look, at: At<'_>) {
        self.notice(query, look, at);
        let follows = self.follows_marks(query);
        let Some(q) = self.registry.get_mut(query) else {
            return;
        };
        if let Some(flight) = &mut q.flight {
            // The next attempt, or what is decided when the fetch settles, sees to it; and since
            // somebody looks, it need not wait for its time.
            if follows {
                flight.cause = flight.cause.joined(Cause::Invalidation);
                if let Phase::Queued(ticket) = flight.phase {
                    self.budget.hasten(ticket);
                }
            }
            return;
        }
        if follows && (!look.known() || look.invalidated() || look.unsure) {
            self.begin(query, Cause::Invalidation, Vec::new(), at);
        } else {
            q.acted = look.sum;
        }
    }

    /// The last `n` marks of this query must not refetch it by themselves. Called after the value
    /// was marked; marks by others that came in between are acted upon.
    pub(crate) fn excuse(&mut self, query: QueryIx, n: u64, now: Time, values: &dyn Values) {
        let at = At::new(now, values);
        let look = at.look(query);
        if let Some(q) = self.registry.get_mut(query) {
            q.acted = q.acted.saturating_add(n).min(look.sum);
            self.notice(query, &look, at);
        }
    }

    /// Says that the value is invalidated, if that has not been said since it was last renewed.
    fn notice(&mut self, query: QueryIx, look: &Look, at: At<'_>) {
        let invalidated = look.known() && look.invalidated();
        let flag = invalidated.then_some(look.stamp);
        if let Some(q) = self.registry.get_mut(query)
            && std::mem::replace(&mut q.flagged, flag) != flag
            && invalidated
        {
            self.notify(query, Update::Invalidate, at);
        }
    }

    /// Whether a mark fetches it: somebody looks, there is a fetcher, and nobody calls it static.
    pub(super) fn follows_marks(&self, query: QueryIx) -> bool {
        self.registry
            .get(query)
            .is_some_and(|q| q.is_active() && q.fetchable)
            && !self.is_static(query)
    }

    /// Whether the network is there; believed to be until told otherwise.
    pub(crate) fn set_online(&mut self, online: bool, now: Time, values: &dyn Values) {
        if std::mem::replace(&mut self.online, online) != online && online {
            let at = At::new(now, values);
            self.occasion(Cause::Reconnect, |options| options.on_reconnect, at);
        }
    }

    /// Whether the application has the focus; believed to have until told otherwise.
    pub(crate) fn set_focused(&mut self, focused: bool, now: Time, values: &dyn Values) {
        if std::mem::replace(&mut self.focused, focused) != focused && focused {
            let at = At::new(now, values);
            self.occasion(Cause::Focus, |options| options.on_focus, at);
        }
    }

    /// In the order in which queries were made: refetches what an observer wants refetched, and
    /// goes on with what was paused.
    fn occasion(&mut self, cause: Cause, when: fn(&ObserverOptions) -> Refetch, at: At<'_>) {
        let mut visited = self.registry.active().clone();
        visited.extend(self.registry.flying());
        for query in visited.into_values() {
            let look = at.look(query);
            let wants = |o: &Observer| o.wants(when(&o.options), &look, at.now);
            let Some(q) = self.registry.get(query) else {
                continue;
            };
            let wanted = q.fetchable
                && q.observers
                    .iter()
                    .any(|id| self.observers.get(*id).is_some_and(wants));
            if wanted {
                self.request(query, false, cause, Vec::new(), at);
            }
            self.resume(query, at);
        }
        self.admit(at);
    }
}
