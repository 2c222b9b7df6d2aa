//! Requests that wait for their answers, for exchanges whose answers do not say by themselves what
//! they answer: in order, by symbol, or by count.

use std::collections::VecDeque;

use crate::feed::outbox::Outbox;
use crate::feed::protocol::{Control, Subscription, Verb};

/// Requests that are remembered; older ones went unanswered and have timed out long ago.
const MAX_REQUESTS: usize = 4096;

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
pub(super) struct Pending(VecDeque<Request>);

impl Pending {
    /// A new connection: nothing was asked.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The registry asked for streams.
    pub(super) fn asked(&mut self, verb: Verb, number: u64, streams: &[&Subscription]) {
        let streams: Vec<_> = streams.iter().map(|stream| (*stream).clone()).collect();
        self.push(verb, Some(number), streams);
    }

    /// Somebody asked, for streams of the registry or for something of his own.
    pub(super) fn push(&mut self, verb: Verb, number: Option<u64>, streams: Vec<Subscription>) {
        if self.0.len() == MAX_REQUESTS {
            self.0.pop_front();
        }
        let left = streams.len();
        self.0.push_back(Request {
            verb,
            number,
            streams,
            left,
        });
    }

    /// The oldest request has its one answer.
    pub(super) fn pop(&mut self) -> Option<Request> {
        self.0.pop_front()
    }

    /// The request with this number has its one answer.
    pub(super) fn take(&mut self, number: u64) -> Option<Request> {
        let at = self.0.iter().position(|r| r.number == Some(number))?;
        self.0.remove(at)
    }

    /// A stream was answered by name: whatever request it was of, that waits for the others alone.
    pub(super) fn answered(&mut self, channel: &str, id: &str) {
        let is_other = |s: &Subscription| (&*s.channel, &*s.id) != (channel, id);
        for request in &mut self.0 {
            request.streams.retain(is_other);
        }
        self.0.retain(|request| !request.streams.is_empty());
    }

    /// How many requests are unanswered.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The first request of one stream that this is, for requests of one stream each.
    pub(super) fn take_one(
        &mut self,
        verb: Verb,
        is: impl Fn(&Subscription) -> bool,
    ) -> Option<(Option<u64>, Subscription)> {
        let at = self
            .0
            .iter()
            .position(|r| r.verb == verb && r.streams.first().is_some_and(&is))?;
        let request = self.0.remove(at)?;
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
            Some((Verb::Subscribe, Some(stream), _)) => {
                out.refused(&stream.channel, &stream.id, reason);
                Control::Denied(None, reason)
            }
            _ => Control::Denied(None, reason),
        }
    }

    /// One symbol of the request with this number has its answer: the verb, the stream by name or
    /// as the only one that it can be, and whether all have theirs now.
    fn settle(
        &mut self,
        number: u64,
        is: impl Fn(&Subscription) -> bool,
    ) -> Option<(Verb, Option<Subscription>, bool)> {
        let at = self.0.iter().position(|r| r.number == Some(number))?;
        let request = self.0.get_mut(at)?;
        request.left = request.left.saturating_sub(1);
        let named = request.streams.iter().position(is);
        let only = (request.streams.len() == 1).then_some(0);
        let stream = named.or(only).map(|at| request.streams.remove(at));
        let (verb, last) = (request.verb, request.left == 0);
        if last {
            self.0.remove(at);
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

    /// The oldest request was refused, as a whole. Of several streams only those that the reason
    /// names are given up; where it names none, which one it was is found out by asking for each
    /// half again. `ask` makes the text for some streams of one channel.
    pub(super) fn denied<'a>(
        &mut self,
        reason: &'a str,
        ask: impl Fn(&[&Subscription]) -> String,
        out: &mut Outbox,
    ) -> Control<'a> {
        let Some(request) = self.pop() else {
            return Control::Denied(None, reason);
        };
        if request.verb == Verb::Unsubscribe {
            return Control::Denied(request.number, reason);
        }
        let names = |id: &str| {
            let ends = |c: char| !c.is_alphanumeric() && !"-_/.:".contains(c);
            reason
                .split(ends)
                .any(|word| word.trim_matches(['.', ':']) == id)
        };
        let alone = request.streams.len() == 1;
        let streams = request.streams.into_iter();
        let (named, rest): (Vec<_>, Vec<_>) =
            streams.partition(|stream| alone || names(&stream.id));
        for Subscription { channel, id } in &named {
            out.refused(channel, id, reason);
        }
        let parts = match named.is_empty() {
            true => rest.chunks(rest.len().div_ceil(2).max(1)),
            false => rest.chunks(rest.len().max(1)),
        };
        for part in parts {
            let streams: Vec<_> = part.iter().collect();
            // Without room for the text the streams stay unanswered, which is reported.
            if out.push(ask(&streams)).is_ok() {
                self.push(Verb::Subscribe, None, part.to_vec());
            }
        }
        Control::Denied(None, reason)
    }
}
