//! Which subscriptions are wanted, and how far each is: outlives every connection.
//!
//! A subscription is wanted from the moment it is asked for until it is taken back or the server
//! denies it. Whatever a lost connection knew is forgotten; what is wanted is asked for again on
//! the next one. Whoever asks gives a [`Ticket`], which is settled exactly once.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;

mod report;

#[cfg(feature = "net")]
pub(crate) use report::Report;
pub use report::{Standing, Standings, SubscriptionState, SubscriptionStatus};

use report::Changes;

use super::outbox::Reply;
use super::protocol::{Answer, Control, SubscribeError, Subscription, Verb};
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

    /// The server answered a request, if that is what the message says.
    pub(super) fn hear(&mut self, control: Control<'_>) {
        match control {
            Control::Granted(request) => self.granted(request),
            Control::Denied(Some(request), reason) => self.denied(request, reason),
            _ => {}
        }
    }

    /// The server granted a request.
    pub(super) fn granted(&mut self, request: u64) {
        self.conclude(request, None);
    }

    /// The server denied a request. One stream is given up; of many, any may be the reason, so they
    /// are asked for again in two halves: what can be had is had, and what cannot is named.
    pub(super) fn denied(&mut self, request: u64, reason: &str) {
        if !self.halve(request) {
            self.conclude(request, Some(&SubscribeError::Denied(reason.into())));
        }
    }

    /// Puts the streams of a denied request back, to be asked for with half of the others; whether
    /// there are others.
    fn halve(&mut self, request: u64) -> bool {
        let Some(denied) = self.requests.get(&request) else {
            return false;
        };
        let mut keys = denied.keys.clone();
        let of_request = |key: &Key, entries: &BTreeMap<Key, Entry>| {
            let entry = entries.get(key);
            entry.filter(|entry| entry.request == Some(request))?;
            entry.map(|entry| entry.state)
        };
        keys.retain(|key| of_request(key, &self.entries).is_some());
        let asked = |key: &&Key| of_request(key, &self.entries) == Some(State::Asked);
        let count = keys.iter().filter(asked).count();
        if count < 2 {
            return false;
        }
        self.requests.remove(&request);
        for key in keys {
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            entry.request = None;
            // What was taken back meanwhile ends by a request of its own.
            if entry.state == State::Asked {
                entry.state = State::Waiting;
                entry.company = count.div_ceil(2);
                self.pending += 1;
            }
        }
        true
    }

    /// The server answered for one stream, whatever the number of the request. A refusal of what
    /// was granted before ends it.
    pub(super) fn answered(&mut self, subscription: &Subscription, reply: &Reply) {
        let Some(&key) = self.keys.get(subscription) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        let request = entry.request.take();
        match (entry.state, reply) {
            (State::Asked, Reply::Granted) => {
                entry.state = State::Held;
                self.changes.push(&entry.subscription, Standing::Granted);
                let tickets = std::mem::take(&mut entry.tickets);
                self.finish_all(tickets, None);
            }
            (State::Asked | State::Held, Reply::Refused(reason)) => {
                self.fail(key, &SubscribeError::Denied(reason.clone()));
            }
            (State::Left, Reply::Ended) => {
                let tickets = self.take_tickets(key);
                self.remove(key);
                self.finish_all(tickets, None);
            }
            // Whatever else is said about a stream that was taken back, it ends by its own request.
            _ => entry.request = request,
        }
        let Some(number) = request else { return };
        if let Some(open) = self.requests.get_mut(&number) {
            let left = |key: &Key| {
                let entry = self.entries.get(key);
                entry.is_some_and(|entry| entry.request == Some(number))
            };
            open.keys.retain(left);
            if open.keys.is_empty() {
                self.requests.remove(&number);
            }
        }
    }

    /// When the server has to have answered the oldest request.
    pub(super) fn deadline(&self) -> Time {
        self.requests
            .values()
            .map(|request| request.deadline)
            .min()
            .unwrap_or(Time::NEVER)
    }

    /// Settles what went unanswered. It stays wanted: the answer may be what was lost.
    pub(super) fn expire(&mut self, now: Time) {
        let late = self
            .requests
            .iter()
            .filter(|(_, request)| request.deadline <= now);
        let late: Vec<_> = late.map(|(number, _)| *number).collect();
        for request in late {
            let keys = self.requests.get(&request).map(|request| &request.keys);
            let nobody_waits = |key: &Key| {
                let entry = self.entries.get(key);
                entry.is_some_and(|entry| entry.state == State::Asked && entry.tickets.is_empty())
            };
            if keys.is_some_and(|keys| keys.iter().any(nobody_waits)) {
                // Once for all of the request.
                self.settled.push_back(Settled {
                    ticket: None,
                    result: Err(SubscribeError::Unanswered),
                });
            }
            self.conclude(request, Some(&SubscribeError::Unanswered));
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

    /// A request ends, well or with an error. Unknown numbers are left alone: the request may be
    /// one of a user's own texts.
    fn conclude(&mut self, request: u64, error: Option<&SubscribeError>) {
        let Some(Request { keys, .. }) = self.requests.remove(&request) else {
            return;
        };
        for key in keys {
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            if entry.request != Some(request) {
                continue;
            }
            entry.request = None;
            match (entry.state, error) {
                // Unanswered, it stays wanted: the answer may be all that was lost.
                (State::Asked, None | Some(SubscribeError::Unanswered)) => {
                    entry.state = State::Held;
                    let standing = match error {
                        Some(_) => Standing::Unanswered,
                        None => Standing::Granted,
                    };
                    self.changes.push(&entry.subscription, standing);
                    let tickets = std::mem::take(&mut entry.tickets);
                    self.finish_all(tickets, error);
                }
                (State::Asked, Some(error)) => self.fail(key, error),
                (State::Left, _) => {
                    let tickets = self.take_tickets(key);
                    self.remove(key);
                    self.finish_all(tickets, error);
                }
                _ => {}
            }
        }
    }

    /// An entry is given up, and everyone who waits for it is told.
    fn fail(&mut self, key: Key, error: &SubscribeError) {
        let tickets = self.take_tickets(key);
        let given_up = self.entries.get(&key).map(|e| e.subscription.clone());
        if let Some(entry) = self.entries.get(&key) {
            self.denied.push_back(entry.subscription.clone());
        }
        self.remove(key);
        if let Some(subscription) = given_up {
            let denied = Standing::Denied(error.clone());
            self.changes.push(&subscription, denied);
        }
        if tickets.is_empty() {
            self.settled.push_back(Settled {
                ticket: None,
                result: Err(error.clone()),
            });
        }
        self.finish_all(tickets, Some(error));
    }

    fn wait(&mut self, key: Key, ticket: Option<Ticket>) {
        if let (Some(ticket), Some(entry)) = (ticket, self.entries.get_mut(&key)) {
            entry.tickets.push(ticket);
            self.tickets.entry(ticket).and_modify(|open| open.left += 1);
        }
    }

    /// A ticket is held open by one while what it waits for is collected.
    fn open_ticket(&mut self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            self.tickets.insert(
                ticket,
                Open {
                    left: 1,
                    error: None,
                },
            );
        }
    }

    fn close_ticket(&mut self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            self.finish(ticket, None);
        }
    }

    fn finish_all(&mut self, tickets: Vec<Ticket>, error: Option<&SubscribeError>) {
        for ticket in tickets {
            self.finish(ticket, error.cloned());
        }
    }

    fn finish(&mut self, ticket: Ticket, error: Option<SubscribeError>) {
        let Some(open) = self.tickets.get_mut(&ticket) else {
            return;
        };
        open.left -= 1;
        if open.error.is_none() {
            open.error = error;
        }
        if open.left == 0 {
            let result = open.error.take().map_or(Ok(()), Err);
            self.tickets.remove(&ticket);
            self.settled.push_back(Settled {
                ticket: Some(ticket),
                result,
            });
        }
    }
}

#[cfg(test)]
mod tests;
