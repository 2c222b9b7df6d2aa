//! What the server says to requests, and what becomes of those it says nothing to.

use std::collections::BTreeMap;

use super::{Entry, Key, Registry, Request, Settled, Standing, State};
use crate::Time;
use crate::feed::outbox::Reply;
use crate::feed::protocol::{Control, SubscribeError, Subscription};
use crate::feed::shown;

impl Registry {
    /// The server answered a request, if that is what the message says.
    pub(in crate::feed) fn hear(&mut self, control: Control<'_>) {
        match control {
            Control::Granted(request) => self.granted(request),
            Control::Denied(Some(request), reason) => self.denied(request, reason),
            _ => {}
        }
    }

    /// The server granted a request.
    pub(in crate::feed) fn granted(&mut self, request: u64) {
        self.conclude(request, None);
    }

    /// The server denied a request. One stream is given up; of many, any may be the reason, so they
    /// are asked for again in two halves: what can be had is had, and what cannot is named.
    pub(in crate::feed) fn denied(&mut self, request: u64, reason: &str) {
        if !self.halve(request) {
            self.conclude(
                request,
                Some(&SubscribeError::Denied(shown::reason(reason))),
            );
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
    pub(in crate::feed) fn answered(&mut self, subscription: &Subscription, reply: &Reply) {
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
    pub(in crate::feed) fn deadline(&self) -> Time {
        self.requests
            .values()
            .map(|request| request.deadline)
            .min()
            .unwrap_or(Time::NEVER)
    }

    /// Settles what went unanswered. It stays wanted: the answer may be what was lost.
    pub(in crate::feed) fn expire(&mut self, now: Time) {
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
}
