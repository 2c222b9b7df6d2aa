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

/// What a message leads to besides patches: texts that wait to be sent, bounded in number and in
/// bytes, and what the server has answered about single streams.
///
/// Its `Debug` shows sizes only, since a message may hold a secret.
pub struct Outbox {
    answers: Vec<(Subscription, Option<Box<str>>)>,
    texts: VecDeque<String>,
    bytes: usize,
    max_texts: usize,
    max_bytes: usize,
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
        }
    }

    /// Queues a text message.
    ///
    /// # Errors
    /// [`OutboxFull`] if there is no room for it.
    pub fn push(&mut self, text: impl Into<String>) -> Result<(), OutboxFull> {
        let text = text.into();
        if self.texts.len() >= self.max_texts || text.len() > self.max_bytes - self.bytes {
            return Err(OutboxFull);
        }
        self.bytes += text.len();
        self.texts.push_back(text);
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

    /// Takes the message that was queued first.
    pub fn pop(&mut self) -> Option<String> {
        let text = self.texts.pop_front()?;
        self.bytes -= text.len();
        Some(text)
    }

    /// The server keeps this stream up from now on. Streams that nobody has asked for are left
    /// alone.
    pub fn granted(&mut self, channel: &str, id: &str) {
        self.answer(channel, id, None);
    }

    /// The server refuses this stream, for this reason, or has ended it.
    pub fn refused(&mut self, channel: &str, id: &str, reason: &str) {
        self.answer(channel, id, Some(reason.into()));
    }

    fn answer(&mut self, channel: &str, id: &str, refusal: Option<Box<str>>) {
        if self.answers.len() < MAX_ANSWERS {
            self.answers.push((Subscription::new(channel, id), refusal));
        }
    }

    /// What was answered since the last call; in steady state nothing.
    #[inline]
    pub(super) fn take_answers(&mut self) -> Vec<(Subscription, Option<Box<str>>)> {
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
        assert_eq!(outbox.pop().as_deref(), Some("123456"));
        assert_eq!(outbox.push("123456789"), Ok(()));
        assert!(
            !format!("{outbox:?}").contains("123456789"),
            "a secret would show"
        );
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
