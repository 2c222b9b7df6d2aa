//! Which subscriptions are wanted, and how far each is: outlives every connection.
//!
//! A subscription is wanted from the moment it is asked for until it is taken back or the server
//! denies it. Whatever a lost connection knew is forgotten; what is wanted is asked for again on
//! the next one. Whoever asks gives a [`Ticket`], which is settled exactly once.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;

mod answers;
mod report;
mod tickets;

#[cfg(feature = "net")]
pub(crate) use report::Report;
pub use report::{Standing, Standings, SubscriptionState, SubscriptionStatus};

use report::Changes;

use super::protocol::{Answer, SubscribeError, Subscription, Verb};
use crate::Time;

/// What a caller recognises its own request by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The end of what a ticket asked for. Subscriptions wanted from the start have no ticket; of
/// those only failures are reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Whose request it was.
    pub ticket: Option<Ticket>,
    /// The first failure, if any of what was asked for failed.
    pub result: Result<(), SubscribeError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be asked for.
    Waiting,
    /// The URL of the connection that is being made asks for it.
    Riding,
    /// Asked for under a request.
    Asked,
    /// Granted.
    Held,
    /// Taken back, and the server has to be told.
    Leaving,
    /// Taken back, and the server was told under a request.
    Left,
}

/// Order of first asking; the key of an entry.
type Key = u64;

#[derive(Debug)]
struct Entry {
    subscription: Subscription,
    state: State,
    /// The request whose answer decides; answers to earlier ones are void.
    request: Option<u64>,
    /// Who waits for that answer.
    tickets: Vec<Ticket>,
    /// With how many, itself included, it may be asked for: one of the others may have been why a
    /// request was denied.
    company: usize,
}

#[derive(Debug)]
struct Open {
    left: usize,
    error: Option<SubscribeError>,
}

#[derive(Debug)]
struct Request {
    keys: Vec<Key>,
    deadline: Time,
}

/// The subscriptions of one upstream.
#[derive(Debug, Default)]
pub(super) struct Registry {
    entries: BTreeMap<Key, Entry>,
    keys: HashMap<Subscription, Key, foldhash::fast::RandomState>,
    tickets: HashMap<Ticket, Open, foldhash::fast::RandomState>,
    requests: BTreeMap<u64, Request>,
    settled: VecDeque<Settled>,
    changes: Changes,
    /// What the server has refused, or cannot be asked for.
    denied: VecDeque<Subscription>,
    next_key: Key,
    next_request: u64,
    /// Entries in `Waiting` or `Leaving`, so that a quiet registry is not searched.
    pending: usize,
    connected: bool,
}

impl Registry {
    /// Wants subscriptions, all of them or (beyond `limit`) none. A ticket that has nothing to
    /// wait for is settled at once.
    pub(super) fn subscribe(
        &mut self,
        ticket: Option<Ticket>,
        wanted: Vec<Subscription>,
        limit: usize,
    ) -> Result<(), SubscribeError> {
        let fresh = wanted.iter().filter(|s| !self.is_wanted(s)).count();
        let total = self.wanted_count() + fresh;
        if fresh > 0 && total > limit {
            return Err(SubscribeError::TooMany {
                limit,
                wanted: total,
            });
        }
        self.open_ticket(ticket);
        for subscription in wanted {
            let key = match self.keys.get(&subscription) {
                Some(key) => *key,
                None => self.insert(subscription),
            };
            self.want(key, ticket);
        }
        self.close_ticket(ticket);
        Ok(())
    }

    /// Makes an entry wanted, whatever was under way, and lets the ticket wait for it.
    fn want(&mut self, key: Key, ticket: Option<Ticket>) {
        let connected = self.connected;
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        let next = match (entry.state, entry.request) {
            (State::Held, _) => return,
            // The server was not told yet that it was taken back.
            (State::Leaving, Some(_)) => State::Asked,
            (State::Leaving, None) if connected => State::Held,
            (State::Leaving, None) => State::Riding,
            // The order of requests decides: it is asked for after it was taken back.
            (State::Left, _) => State::Waiting,
            (state, _) => state,
        };
        match (entry.state, next) {
            (State::Leaving, _) => self.pending -= 1,
            (State::Left, _) => self.pending += 1,
            _ => {}
        }
        if matches!(entry.state, State::Leaving | State::Left) {
            entry.state = next;
            let standing = match next {
                State::Held => Standing::Granted,
                _ => Standing::Pending,
            };
            self.changes.push(&entry.subscription, standing);
            let overruled = std::mem::take(&mut entry.tickets);
            self.finish_all(overruled, Some(&SubscribeError::Withdrawn));
        }
        if next != State::Held {
            self.wait(key, ticket);
        }
    }

    /// Takes subscriptions back. What is not wanted is left alone.
    pub(super) fn unsubscribe(&mut self, ticket: Option<Ticket>, unwanted: &[Subscription]) {
        self.open_ticket(ticket);
        for subscription in unwanted {
            let Some(&key) = self.keys.get(subscription) else {
                continue;
            };
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            if matches!(entry.state, State::Leaving | State::Left) {
                self.wait(key, ticket);
                continue;
            }
            let withdrawn = std::mem::take(&mut entry.tickets);
            if entry.state == State::Waiting {
                self.pending -= 1;
                self.remove(key);
            } else {
                entry.state = State::Leaving;
                self.pending += 1;
                self.wait(key, ticket);
            }
            self.finish_all(withdrawn, Some(&SubscribeError::Withdrawn));
        }
        self.close_ticket(ticket);
    }

    /// Whether anything is to be asked of the server.
    pub(super) fn is_pending(&self) -> bool {
        self.pending > 0
    }

    /// The number for the next request.
    pub(super) fn next_request(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request
    }

    /// What is to be asked next: one verb, in the order of asking. What is to end comes first, so
    /// that a full connection has room for what is to begin.
    pub(super) fn pending(&self) -> Option<(Verb, Vec<&Subscription>)> {
        let of = |state| {
            let mut entries = self
                .entries
                .values()
                .filter(move |entry| entry.state == state)
                .peekable();
            let company = entries.peek().map_or(0, |first| first.company);
            entries
                .take_while(|entry| entry.company == company)
                .take(company)
                .map(|entry| &entry.subscription)
                .collect::<Vec<_>>()
        };
        let leaving = of(State::Leaving);
        if !leaving.is_empty() {
            return Some((Verb::Unsubscribe, leaving));
        }
        let waiting = of(State::Waiting);
        if waiting.is_empty() {
            None
        } else {
            Some((Verb::Subscribe, waiting))
        }
    }

    /// The first `count` of what [`pending`](Self::pending) gave were asked under `request`.
    pub(super) fn asked(
        &mut self,
        verb: Verb,
        request: u64,
        count: usize,
        answer: Answer,
        deadline: Time,
    ) {
        let (from, to) = match verb {
            Verb::Subscribe => (State::Waiting, State::Asked),
            Verb::Unsubscribe => (State::Leaving, State::Left),
        };
        let matching = self
            .entries
            .iter_mut()
            .filter(|(_, entry)| entry.state == from);
        let mut keys = Vec::new();
        for (key, entry) in matching.take(count) {
            entry.state = to;
            entry.request = Some(request);
            keys.push(*key);
        }
        self.pending -= keys.len();
        self.requests.insert(request, Request { keys, deadline });
        if answer == Answer::None {
            self.granted(request);
        }
    }

    /// The first of what is pending cannot be asked for.
    pub(super) fn give_up(&mut self, verb: Verb, error: &SubscribeError) {
        let state = match verb {
            Verb::Subscribe => State::Waiting,
            Verb::Unsubscribe => State::Leaving,
        };
        let found = self.entries.iter().find(|(_, entry)| entry.state == state);
        if let Some(key) = found.map(|(key, _)| *key) {
            self.pending -= 1;
            self.fail(key, error);
        }
    }

    /// Everything wanted, in the order of asking.
    pub(super) fn wanted(&self) -> Vec<&Subscription> {
        self.entries
            .values()
            .map(|entry| &entry.subscription)
            .collect()
    }

    /// What is asked for, or is about to be, without what was taken back; in the order of asking.
    pub(super) fn subscribed(&self) -> impl Iterator<Item = &Subscription> {
        let entries = self.entries.values();
        entries
            .filter(|entry| !matches!(entry.state, State::Leaving | State::Left))
            .map(|entry| &entry.subscription)
    }

    /// What is wanted and was not granted on the present connection.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = &Subscription> {
        let entries = self.entries.values();
        entries
            .filter(|entry| matches!(entry.state, State::Waiting | State::Riding | State::Asked))
            .map(|entry| &entry.subscription)
    }

    /// Whether nothing is to be asked of the server, and nothing that was asked is unanswered.
    pub(super) fn is_settled(&self) -> bool {
        self.pending == 0 && self.requests.is_empty()
    }

    /// A URL asks for the first `count` of what is wanted.
    pub(super) fn ride(&mut self, count: usize) {
        for entry in self.entries.values_mut().take(count) {
            if entry.state == State::Waiting {
                entry.state = State::Riding;
                self.pending -= 1;
            }
        }
    }

    /// A connection is open: what its URL asked for is granted.
    pub(super) fn connected(&mut self) {
        self.connected = true;
        let riding = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.state == State::Riding);
        let keys: Vec<_> = riding.map(|(key, _)| *key).collect();
        for key in keys {
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            entry.state = State::Held;
            self.changes.push(&entry.subscription, Standing::Granted);
            let tickets = std::mem::take(&mut entry.tickets);
            self.finish_all(tickets, None);
        }
    }

    /// There is no connection, or not any more: everything wanted is to be asked for again, and
    /// what was to end has ended.
    pub(super) fn disconnected(&mut self) {
        self.connected = false;
        self.requests.clear();
        let leaving = self
            .entries
            .iter()
            .filter(|(_, e)| matches!(e.state, State::Leaving | State::Left));
        let leaving: Vec<_> = leaving.map(|(key, _)| *key).collect();
        for key in leaving {
            let tickets = self.take_tickets(key);
            self.remove(key);
            self.finish_all(tickets, None);
        }
        for entry in self.entries.values_mut() {
            entry.state = State::Waiting;
            entry.request = None;
            entry.company = usize::MAX;
            self.changes.push(&entry.subscription, Standing::Pending);
        }
        self.pending = self.entries.len();
    }

    /// The feed stops: every ticket is settled.
    pub(super) fn stop(&mut self) {
        for entry in self.entries.values() {
            self.changes.push(&entry.subscription, Standing::Ended);
        }
        self.entries.clear();
        self.keys.clear();
        self.requests.clear();
        self.pending = 0;
        let mut open: Vec<_> = self.tickets.drain().map(|(ticket, _)| ticket).collect();
        open.sort_unstable();
        for ticket in open {
            let result = Err(SubscribeError::Stopped);
            self.settled.push_back(Settled {
                ticket: Some(ticket),
                result,
            });
        }
    }

    /// The next ticket that has its answer.
    pub(super) fn poll_settled(&mut self) -> Option<Settled> {
        self.settled.pop_front()
    }

    /// The next subscription that is not wanted any more because the server has refused it.
    pub(super) fn poll_denied(&mut self) -> Option<Subscription> {
        self.denied.pop_front()
    }

    fn is_wanted(&self, subscription: &Subscription) -> bool {
        let entry = self
            .keys
            .get(subscription)
            .and_then(|key| self.entries.get(key));
        entry.is_some_and(|entry| !matches!(entry.state, State::Leaving | State::Left))
    }

    fn wanted_count(&self) -> usize {
        let leaving = |entry: &&Entry| !matches!(entry.state, State::Leaving | State::Left);
        self.entries.values().filter(leaving).count()
    }

    fn insert(&mut self, subscription: Subscription) -> Key {
        let key = self.next_key;
        self.next_key += 1;
        self.pending += 1;
        self.changes.push(&subscription, Standing::Pending);
        self.keys.insert(subscription.clone(), key);
        let state = State::Waiting;
        self.entries.insert(
            key,
            Entry {
                subscription,
                state,
                request: None,
                tickets: Vec::new(),
                company: usize::MAX,
            },
        );
        key
    }

    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.keys.remove(&entry.subscription);
            self.changes.push(&entry.subscription, Standing::Ended);
        }
    }

    fn take_tickets(&mut self, key: Key) -> Vec<Ticket> {
        let entry = self.entries.get_mut(&key);
        entry
            .map(|entry| std::mem::take(&mut entry.tickets))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
