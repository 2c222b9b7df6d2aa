//! Requests that wait for their answers, for exchanges whose answers do not say by themselves what
//! they answer: in order, by symbol, or by count.

use std::collections::VecDeque;

use crate::feed::outbox::Outbox;
use crate::feed::protocol::{Control, Subscription, Verb};

/// Requests that are remembered; older ones went unanswered and have timed out long ago.
const MAX_REQUESTS: usize = 4096;

/// Where the numbers of requests begin that the registry has not made.
const OWN_NUMBERS: u64 = 1 << 52;

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) verb: Verb,
    /// Its number in the registry; none if it was not the registry that asked.
    pub(super) number: Option<u64>,
    /// The streams that were not answered by name yet.
    pub(super) streams: Vec<Subscription>,
    /// Answers that are still to come.
    left: usize,
}

/// What is unanswered on the present connection, in the order of asking.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    requests: VecDeque<Request>,
    /// Streams that were refused for the rate of requests only: to be asked for again later.
    postponed: Vec<Subscription>,
    own: u64,
}

impl Pending {
    /// A new connection: nothing was asked.
    pub(super) fn clear(&mut self) {
        self.requests.clear();
        self.postponed.clear();
    }

    /// The registry asked for streams.
    pub(super) fn asked(&mut self, verb: Verb, number: u64, streams: &[&Subscription]) {
        let streams: Vec<_> = streams.iter().map(|stream| (*stream).clone()).collect();
        self.push(verb, Some(number), streams);
    }

    /// Somebody asked, for streams of the registry or for something of his own.
    pub(super) fn push(&mut self, verb: Verb, number: Option<u64>, streams: Vec<Subscription>) {
        if self.requests.len() == MAX_REQUESTS {
            self.requests.pop_front();
        }
        let left = streams.len();
        self.requests.push_back(Request {
            verb,
            number,
            streams,
            left,
        });
    }

    /// The oldest request has its one answer.
    pub(super) fn pop(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// What is asked for and unanswered, of the registry's requests.
    pub(super) fn open_streams(&self) -> impl Iterator<Item = (Verb, &Subscription)> {
        let requests = self.requests.iter().filter(|r| r.number.is_some());
        requests.flat_map(|r| r.streams.iter().map(|stream| (r.verb, stream)))
    }

    /// The request with this number has its one answer.
    pub(super) fn take(&mut self, number: u64) -> Option<Request> {
        let at = self
            .requests
            .iter()
            .position(|r| r.number == Some(number))?;
        self.requests.remove(at)
    }

    /// A stream was answered by name: whatever request it was of, that waits for the others alone.
    pub(super) fn answered(&mut self, channel: &str, id: &str) {
        let is_other = |s: &Subscription| (&*s.channel, &*s.id) != (channel, id);
        for request in &mut self.requests {
            request.streams.retain(is_other);
        }
        self.requests.retain(|request| !request.streams.is_empty());
    }

    /// How many requests are unanswered.
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// The first request of one stream that this is, for requests of one stream each.
    pub(super) fn take_one(
        &mut self,
        verb: Verb,
        is: impl Fn(&Subscription) -> bool,
    ) -> Option<(Option<u64>, Subscription)> {
        let at = self
            .requests
            .iter()
            .position(|r| r.verb == verb && r.streams.first().is_some_and(&is))?;
        let request = self.requests.remove(at)?;
        let stream = request.streams.into_iter().next()?;
        Some((request.number, stream))
    }
}

/// An exchange that answers symbol by symbol, under the number of the request.
impl Pending {
    /// A symbol of a request was granted. Once all have their answers the request is through: that
    /// settles symbols too that the exchange calls otherwise than it was asked for.
    pub(super) fn granted_one<'a>(
        &mut self,
        number: Option<u64>,
        is: impl Fn(&Subscription) -> bool,
    ) -> Control<'a> {
        match (number, number.and_then(|number| self.settle(number, is))) {
            (Some(number), Some((.., true))) => Control::Granted(number),
            _ => Control::Notice,
        }
    }

    /// A symbol of a request was refused.
    pub(super) fn refused_one<'a>(
        &mut self,
        number: Option<u64>,
        is: impl Fn(&Subscription) -> bool,
        reason: &'a str,
        out: &mut Outbox,
    ) -> Control<'a> {
        match number.and_then(|number| self.settle(number, is)) {
            Some((Verb::Unsubscribe, ..)) => Control::Denied(number, reason),
            Some((Verb::Subscribe, Some(stream), _)) if is_rate(reason) => {
                self.postponed.push(stream);
                Control::Denied(None, reason)
            }
            Some((Verb::Subscribe, Some(stream), _)) => {
                out.refused(&stream.channel, &stream.id, reason);
                Control::Denied(None, reason)
            }
            _ => Control::Denied(None, reason),
        }
    }

    /// Asks again for what was refused for the rate of requests. Meanwhile it is reported as
    /// unanswered, and stays wanted. `ask` makes the request for streams of one channel under a
    /// number.
    pub(super) fn again(
        &mut self,
        out: &mut Outbox,
        mut ask: impl FnMut(&mut Self, u64, &[&Subscription], &mut Outbox) -> Option<usize>,
    ) {
        let mut streams = std::mem::take(&mut self.postponed);
        streams.sort_unstable();
        let all: Vec<_> = streams.iter().collect();
        let mut rest = &all[..];
        while !rest.is_empty() {
            self.own += 1;
            let Some(asked) = ask(self, OWN_NUMBERS + self.own, rest, out) else {
                // The queue is full: another time.
                break;
            };
            rest = &rest[asked.max(1).min(rest.len())..];
        }
        self.postponed = rest.iter().map(|stream| (*stream).clone()).collect();
    }

    /// One symbol of the request with this number has its answer: the verb, the stream by name or
    /// as the only one that it can be, and whether all have theirs now.
    fn settle(
        &mut self,
        number: u64,
        is: impl Fn(&Subscription) -> bool,
    ) -> Option<(Verb, Option<Subscription>, bool)> {
        let at = self
            .requests
            .iter()
            .position(|r| r.number == Some(number))?;
        let request = self.requests.get_mut(at)?;
        request.left = request.left.saturating_sub(1);
        let named = request.streams.iter().position(is);
        let only = (request.streams.len() == 1).then_some(0);
        let stream = named.or(only).map(|at| request.streams.remove(at));
        let (verb, last) = (request.verb, request.left == 0);
        if last {
            self.requests.remove(at);
        }
        Some((verb, stream, last))
    }
}

/// An exchange that answers request after request, with what it holds now or with an error that
/// names no request.
impl Pending {
    /// The oldest request was granted, as far as `Outbox::granted` says.
    pub(super) fn granted<'a>(&mut self) -> Control<'a> {
        match self.pop() {
            Some(Request {
                verb: Verb::Unsubscribe,
                number: Some(number),
                ..
            }) => Control::Granted(number),
            _ => Control::Notice,
        }
    }

    /// The oldest request was refused, as a whole: the registry finds out for which of its streams.
    pub(super) fn denied<'a>(&mut self, reason: &'a str) -> Control<'a> {
        let number = self.pop().and_then(|request| request.number);
        Control::Denied(number, reason)
    }
}

/// Whether a refusal is about how much was asked for at once, and not about what.
fn is_rate(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    ["exceeded msg rate", "rate limit"]
        .iter()
        .any(|text| reason.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_answered_is_forgotten_in_the_end() {
        let mut pending = Pending::default();
        let stream = Subscription::new("trades", "X");
        let most = MAX_REQUESTS as u64;
        for number in 0..most + 3 {
            pending.asked(Verb::Subscribe, number, &[&stream]);
        }
        assert_eq!(pending.len(), MAX_REQUESTS);
        // The oldest went; all others are there, in order.
        assert!(pending.take(2).is_none());
        assert_eq!(pending.pop().and_then(|request| request.number), Some(3));
        assert!(pending.take(most + 2).is_some());
    }
}
