//! Bytes on their way to the socket: frames, encoded and masked, in order.

use std::fmt;

use super::backoff::Random;
use super::counters::Counters;
use crate::ws::CloseFrame;
use crate::ws::encode;

/// Longest payload of a control frame (RFC 6455, section 5.5).
const MAX_CONTROL: usize = 125;

/// Frames that the socket has not taken yet, and the one pong that found no room.
///
/// Its `Debug` shows sizes only, since a frame may hold a secret, and its mask beside it.
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    start: usize,
    max_bytes: usize,
    owed: Option<Ping>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("bytes", &self.bytes().len())
            .field("owed", &self.owed.is_some())
            .finish_non_exhaustive()
    }
}

/// The payload of a ping that is still to be answered.
#[derive(Clone, Copy, Debug)]
struct Ping {
    payload: [u8; MAX_CONTROL],
    len: usize,
}

impl Outgoing {
    pub(super) const fn new(max_bytes: usize) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            max_bytes,
            owed: None,
        }
    }

    /// What the socket should be given.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The socket took the first `n` bytes.
    pub(super) fn taken(&mut self, n: usize) {
        self.start = (self.start + n).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// Whether there is room for another frame. What is over the bound is one frame at most.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.len() - self.start < self.max_bytes
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
        self.owed = None;
    }

    pub(super) fn text(&mut self, text: &str, random: &mut Random, counters: &Counters) {
        self.frame(counters, |bytes| encode::text(bytes, mask(random), text));
        counters.texts_sent.bump();
    }

    pub(super) fn probe(&mut self, random: &mut Random, counters: &Counters) {
        if self.has_room() {
            self.frame(counters, |bytes| {
                // An empty payload is never too long.
                let _ = encode::ping(bytes, mask(random), &[]);
            });
            counters.probes.bump();
        }
    }

    /// Answers a ping, at once or, if the server does not read, when it does again. RFC 6455
    /// (section 5.5.3) lets the last of several pings stand for all: one is kept, not a queue.
    /// Says whether a pong was queued.
    pub(super) fn pong(
        &mut self,
        payload: &[u8],
        random: &mut Random,
        counters: &Counters,
    ) -> bool {
        if self.has_room() {
            self.frame(counters, |bytes| {
                // The decoder lets no longer one through.
                let _ = encode::pong(bytes, mask(random), payload);
            });
            return true;
        }
        if self.owed.is_some() {
            counters.pings_skipped.bump();
        }
        let mut ping = Ping {
            payload: [0; MAX_CONTROL],
            len: payload.len().min(MAX_CONTROL),
        };
        ping.payload[..ping.len].copy_from_slice(&payload[..ping.len]);
        self.owed = Some(ping);
        false
    }

    /// Answers the ping that found no room, if there is room now; says whether it did.
    pub(super) fn settle(&mut self, random: &mut Random, counters: &Counters) -> bool {
        if !self.has_room() {
            return false;
        }
        match self.owed.take() {
            Some(Ping { payload, len }) => self.pong(&payload[..len], random, counters),
            None => false,
        }
    }

    /// A close frame, whatever the room: it is the last one. A code that must not be sent is left
    /// out.
    pub(super) fn close(&mut self, code: Option<u16>, random: &mut Random, counters: &Counters) {
        let why = code.map(|code| CloseFrame { code, reason: "" });
        self.frame(counters, |bytes| {
            if encode::close(bytes, mask(random), why).is_err() {
                let _ = encode::close(bytes, mask(random), None);
            }
        });
    }

    fn frame(&mut self, counters: &Counters, encode: impl FnOnce(&mut Vec<u8>)) {
        let before = self.bytes.len();
        encode(&mut self.bytes);
        counters.bytes_sent.add((self.bytes.len() - before) as u64);
    }
}

/// A fresh masking key.
fn mask(random: &mut Random) -> [u8; 4] {
    (random.next_u64() as u32).to_ne_bytes()
}
