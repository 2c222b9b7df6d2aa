//! Messages on their way to the server: bounded, and sent no faster than the server allows.

use std::collections::VecDeque;
use std::fmt;

use thiserror::Error;

use super::config::Pace;
use super::protocol::Subscription;
use crate::Time;

/// The queue of outgoing messages is full; nothing was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("outgoing messages are full")]
pub struct OutboxFull;

/// Answers to subscriptions of one message; a server that sends more has said nothing about them.
const MAX_ANSWERS: usize = 65_536;

/// What a server has said about one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// It is kept up from now on.
    Granted,
    /// It is not, for this reason.
    Refused(Box<str>),
    /// It has ended, as was asked.
    Ended,
}

struct Queued {
    text: String,
    secret: bool,
}

/// What a message leads to besides patches: texts that wait to be sent, bounded in number and in
/// bytes, and what the server has answered about single streams.
///
/// Its `Debug` shows sizes only, since a message may hold a secret.
pub struct Outbox {
    answers: Vec<(Subscription, Reply)>,
    texts: VecDeque<Queued>,
    bytes: usize,
    max_texts: usize,
    max_bytes: usize,
    ping: bool,
}

impl Outbox {
    /// An empty queue with room for so many messages and bytes.
    #[must_use]
    pub const fn new(max_texts: usize, max_bytes: usize) -> Self {
        Self {
            answers: Vec::new(),
            texts: VecDeque::new(),
            bytes: 0,
            max_texts,
            max_bytes,
            ping: false,
        }
    }

    /// Wants a ping frame sent: for servers that demand one, however much they send themselves.
    /// Heard in [`Protocol::beat`](super::Protocol::beat) only.
    pub const fn ping(&mut self) {
        self.ping = true;
    }

    /// Whether a ping is wanted; it is not any more.
    pub(super) const fn take_ping(&mut self) -> bool {
        std::mem::replace(&mut self.ping, false)
    }

    /// Queues a text message.
    ///
    /// # Errors
    /// [`OutboxFull`] if there is no room for it.
    pub fn push(&mut self, text: impl Into<String>) -> Result<(), OutboxFull> {
        self.queue(text.into(), false)
    }

    /// Queues a text message that holds a secret (a login, say): whoever shows or records what is
    /// sent leaves it out.
    ///
    /// # Errors
    /// [`OutboxFull`] if there is no room for it.
    pub fn push_secret(&mut self, text: impl Into<String>) -> Result<(), OutboxFull> {
        self.queue(text.into(), true)
    }

    fn queue(&mut self, text: String, secret: bool) -> Result<(), OutboxFull> {
        if self.texts.len() >= self.max_texts || text.len() > self.max_bytes - self.bytes {
            return Err(OutboxFull);
        }
        self.bytes += text.len();
        self.texts.push_back(Queued { text, secret });
        Ok(())
    }

    /// Messages that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The messages that wait, in order, and whether each holds a secret: for a protocol around
    /// another one, which wants to know what that has queued.
    pub fn texts(&self) -> impl Iterator<Item = (&str, bool)> {
        let texts = self.texts.iter();
        texts.map(|queued| (queued.text.as_str(), queued.secret))
    }

    /// Takes the message that was queued first.
    pub fn pop(&mut self) -> Option<String> {
        let Queued { text, .. } = self.texts.pop_front()?;
        self.bytes -= text.len();
        Some(text)
    }

    /// Whether the message that [`pop`](Self::pop) would take was queued with
    /// [`push_secret`](Self::push_secret).
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.texts.front().is_some_and(|queued| queued.secret)
    }

    /// The server keeps this stream up from now on. Streams that nobody has asked for are left
    /// alone.
    pub fn granted(&mut self, channel: &str, id: &str) {
        self.answer(channel, id, Reply::Granted);
    }

    /// The server refuses this stream, for this reason, or has ended it.
    pub fn refused(&mut self, channel: &str, id: &str, reason: &str) {
        self.answer(channel, id, Reply::Refused(super::shown::reason(reason)));
    }

    /// The server has ended this stream, as it was asked to.
    pub fn ended(&mut self, channel: &str, id: &str) {
        self.answer(channel, id, Reply::Ended);
    }

    fn answer(&mut self, channel: &str, id: &str, reply: Reply) {
        if self.answers.len() < MAX_ANSWERS {
            self.answers.push((Subscription::new(channel, id), reply));
        }
    }

    #[inline]
    pub(super) const fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// What was answered since the last call.
    pub(super) fn take_answers(&mut self) -> Vec<(Subscription, Reply)> {
        std::mem::take(&mut self.answers)
    }

    /// An empty one with the same bounds.
    pub(super) const fn like(&self) -> Self {
        Self::new(self.max_texts, self.max_bytes)
    }

    /// Takes over what another one holds.
    ///
    /// # Errors
    /// Not all of it fits: what does not is gone.
    pub(super) fn append(&mut self, other: &mut Self) -> Result<(), OutboxFull> {
        self.answers.append(&mut other.answers);
        while let Some(text) = other.pop() {
            self.push(text)?;
        }
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.answers.clear();
        self.bytes = 0;
        self.ping = false;
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("texts", &self.texts.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// When the last messages went out: an exact sliding window, so that no interval of the pace's
/// length ever holds more than the pace allows.
#[derive(Debug)]
pub(super) struct Window {
    pace: Option<Pace>,
    sent: VecDeque<Time>,
}

impl Window {
    pub(super) const fn new(pace: Option<Pace>) -> Self {
        Self {
            pace,
            sent: VecDeque::new(),
        }
    }

    /// When the next message may go out; not after `now` if it may at once.
    pub(super) fn free_at(&self, now: Time) -> Time {
        match self.pace {
            Some(pace) if self.sent.len() >= pace.messages.get() as usize => {
                self.sent.front().map_or(now, |first| first.after(pace.per))
            }
            _ => now,
        }
    }

    /// A message, whatever its kind, goes out.
    pub(super) fn note(&mut self, now: Time) {
        if let Some(pace) = self.pace {
            while self.sent.len() >= pace.messages.get() as usize {
                self.sent.pop_front();
            }
            self.sent.push_back(now);
        }
    }

    pub(super) fn clear(&mut self) {
        self.sent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_queue_is_bounded_in_number_and_bytes() {
        let mut outbox = Outbox::new(2, 10);
        assert_eq!(outbox.push("12345678901"), Err(OutboxFull));
        assert_eq!(outbox.push("123456"), Ok(()));
        assert_eq!(outbox.push("12345"), Err(OutboxFull));
        assert_eq!(outbox.push("1"), Ok(()));
        assert_eq!(outbox.push("1"), Err(OutboxFull));
        assert_eq!(
            outbox.texts().collect::<Vec<_>>(),
            [("123456", false), ("1", false)]
        );
        assert!(!outbox.is_secret());
        assert_eq!(outbox.pop().as_deref(), Some("123456"));
        assert_eq!(outbox.push_secret("123456789"), Ok(()));
        outbox.pop();
        assert!(outbox.is_secret());
        assert!(
            !format!("{outbox:?}").contains("123456789"),
            "a secret would show"
        );
    }

    #[test]
    fn answers_that_nobody_takes_are_bounded() {
        let mut outbox = Outbox::new(1, 1);
        // As by a message that lists more streams than anybody can have asked for.
        for number in 0..MAX_ANSWERS + 2 {
            outbox.granted("trades", &number.to_string());
        }
        assert_eq!(outbox.take_answers().len(), MAX_ANSWERS);
        outbox.ended("trades", "1");
        assert_eq!(outbox.take_answers().len(), 1, "there is room again");
    }

    #[test]
    fn no_interval_holds_more_than_the_pace() {
        let second = Duration::from_secs(1);
        let at = |millis: u64| Time::from_nanos(millis * 1_000_000);
        let mut window = Window::new(Pace::new(2, second));
        for millis in [0, 100] {
            assert_eq!(window.free_at(at(millis)), at(millis));
            window.note(at(millis));
        }
        assert_eq!(window.free_at(at(200)), at(1000));
        window.note(at(1000));
        assert_eq!(window.free_at(at(1000)), at(1100));
        assert_eq!(Window::new(None).free_at(at(5)), at(5));
    }
}
