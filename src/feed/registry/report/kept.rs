//! The subscriptions of a feed as they were last heard of.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::{Standing, Standings, SubscriptionState, SubscriptionStatus};
use crate::Time;
use crate::feed::protocol::{SubscribeError, Subscription};
use crate::key::Id;

/// The value that a subscription keeps up: its entity and id.
pub(super) type Kept = Option<(String, Id)>;

/// Refusals that are remembered: a server may refuse any number of streams.
pub(super) const MAX_DENIED: usize = 1024;

/// Deadlines within so long of each other are looked at together.
const TOGETHER: Duration = Duration::from_secs(1);

/// The subscriptions of a feed as they were last heard of.
#[derive(Debug)]
pub(crate) struct Report {
    first_data_within: Duration,
    streams: BTreeMap<Subscription, Stream>,
    /// What was given up, the oldest first.
    denied: VecDeque<(Subscription, SubscribeError, Kept)>,
    /// No stream has to be looked at before.
    due: Time,
}

#[derive(Debug)]
struct Stream {
    standing: Standing,
    value: Kept,
    /// Since when it is without an answer: what came before is of an earlier connection.
    asked_at: Time,
    answered_at: Time,
    /// Whether it was looked at on this connection.
    looked: bool,
}

impl Report {
    pub(crate) const fn new(first_data_within: Duration) -> Self {
        Self {
            first_data_within,
            streams: BTreeMap::new(),
            denied: VecDeque::new(),
            due: Time::NEVER,
        }
    }

    /// Nothing is known any more.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.first_data_within);
    }

    /// Takes note of what is new; how many subscriptions were given up.
    pub(crate) fn note(
        &mut self,
        now: Time,
        standings: Standings,
        value_of: impl Fn(&Subscription) -> Kept,
    ) -> u64 {
        let mut denied = 0;
        if standings.all {
            let left = |(stream, _): &(Subscription, Standing)| stream.clone();
            let left: BTreeSet<_> = standings.changes.iter().map(left).collect();
            let gone = self.streams.keys().filter(|stream| !left.contains(stream));
            for stream in gone.cloned().collect::<Vec<_>>() {
                let why = "not granted on the connection that is shown now";
                self.deny(stream, SubscribeError::Denied(why.into()), &value_of);
                denied += 1;
            }
        }
        for (subscription, standing) in standings.changes {
            match standing {
                Standing::Denied(error) => {
                    self.deny(subscription, error, &value_of);
                    denied += 1;
                }
                Standing::Ended => {
                    self.streams.remove(&subscription);
                }
                standing => self.stand(now, subscription, standing, standings.all, &value_of),
            }
        }
        denied
    }

    fn stand(
        &mut self,
        now: Time,
        subscription: Subscription,
        standing: Standing,
        is_all: bool,
        value_of: impl Fn(&Subscription) -> Kept,
    ) {
        self.denied.retain(|(denied, ..)| *denied != subscription);
        let value = value_of(&subscription);
        let stream = self.streams.entry(subscription).or_insert_with(|| Stream {
            standing: Standing::Pending,
            value,
            asked_at: now,
            answered_at: now,
            looked: false,
        });
        match standing {
            Standing::Pending => {
                stream.asked_at = now;
                stream.looked = false;
            }
            // Told of once more, with everything: nothing has changed.
            _ if is_all && stream.standing != Standing::Pending => return,
            _ => {
                stream.answered_at = now;
                if stream.value.is_some() && standing == Standing::Granted {
                    self.due = self.due.min(now.after(self.first_data_within));
                }
            }
        }
        stream.standing = standing;
    }

    fn deny(
        &mut self,
        subscription: Subscription,
        error: SubscribeError,
        value_of: impl Fn(&Subscription) -> Kept,
    ) {
        self.streams.remove(&subscription);
        self.denied.retain(|(denied, ..)| *denied != subscription);
        if self.denied.len() == MAX_DENIED {
            self.denied.pop_front();
        }
        let value = value_of(&subscription);
        self.denied.push_back((subscription, error, value));
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, if ever.
    pub(crate) const fn poll_timeout(&self) -> Time {
        self.due
    }

    /// The streams that have turned out to be silent. `received_at` says when something last came
    /// for a value.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Time,
        received_at: impl Fn(&str, &Id) -> Option<Time>,
    ) -> Vec<Subscription> {
        if now < self.due {
            return Vec::new();
        }
        self.due = Time::NEVER;
        let mut silent = Vec::new();
        for (subscription, stream) in &mut self.streams {
            let (Some((entity, id)), Standing::Granted, false) =
                (&stream.value, &stream.standing, stream.looked)
            else {
                continue;
            };
            let due = stream.answered_at.after(self.first_data_within);
            if due > now {
                self.due = self.due.min(due.max(now.after(TOGETHER)));
                continue;
            }
            stream.looked = true;
            if received_at(entity, id).is_none_or(|at| at <= stream.asked_at) {
                silent.push(subscription.clone());
            }
        }
        silent
    }

    /// Every subscription with its state, those that were given up at the end.
    pub(crate) fn states(
        &self,
        now: Time,
        received_at: impl Fn(&str, &Id) -> Option<Time>,
    ) -> Vec<SubscriptionStatus> {
        let streams = self.streams.iter().map(|(subscription, stream)| {
            let received_at = stream
                .value
                .as_ref()
                .and_then(|(entity, id)| received_at(entity, id));
            SubscriptionStatus {
                subscription: subscription.clone(),
                state: self.state(stream, now, received_at),
            }
        });
        let denied = self
            .denied
            .iter()
            .map(|(subscription, error, _)| SubscriptionStatus {
                subscription: subscription.clone(),
                state: SubscriptionState::Denied(error.clone()),
            });
        streams.chain(denied).collect()
    }

    fn state(&self, stream: &Stream, now: Time, received_at: Option<Time>) -> SubscriptionState {
        if stream.standing == Standing::Pending {
            return SubscriptionState::Pending;
        }
        let since = stream.answered_at;
        let heard_at = received_at.filter(|at| *at > stream.asked_at);
        let quiet = now.since(heard_at.unwrap_or(since));
        let is_quiet = quiet >= self.first_data_within;
        match (heard_at, &stream.standing, &stream.value) {
            (Some(_), ..) if is_quiet => SubscriptionState::Silent { quiet },
            (Some(_), ..) => SubscriptionState::Flowing,
            (None, Standing::Unanswered, _) => SubscriptionState::Unanswered,
            (None, _, Some(_)) if is_quiet => SubscriptionState::Silent { quiet },
            (None, ..) => SubscriptionState::Granted { since },
        }
    }

    /// Why the subscription that would keep this value up was given up, if it was.
    pub(crate) fn denial(&self, entity: &str, id: &Id) -> Option<&SubscribeError> {
        let of_it = |value: &Kept| value.as_ref().is_some_and(|(e, i)| e == entity && i == id);
        let kept_up = self.streams.values().any(|stream| of_it(&stream.value));
        let mut denied = self.denied.iter().rev();
        let found = denied.find(|(.., value)| !kept_up && of_it(value));
        found.map(|(_, error, _)| error)
    }
}
