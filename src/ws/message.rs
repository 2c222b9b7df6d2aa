//! From frames to messages: RFC 6455, sections 5.4 to 5.6.
//!
//! The read buffer is one flat block: `start..end` was read and not yet taken. A message in one
//! frame stays there until it is whole and is lent to the caller in place. Only what cannot be
//! lent is copied, into the message buffer: fragments, and frames longer than the read buffer.
//!
//! [`Decoder::next`] has a short path that only accepts (a whole message in one frame) and a long
//! one that does everything, refusals included. The long path alone decides what is refused, so
//! the two cannot disagree about it.

use super::frame::{Header, Opcode, Plain};
use super::utf8::{self, Invalid, Utf8};
use super::{CloseFrame, Limits, ProtocolError};

/// How many read buffers' worth of message buffer is kept from one message to the next, so that
/// fragmented messages of usual size allocate nothing in steady state.
const KEPT_READ_BUFFERS: usize = 4;

/// What a server sent. The payload lies in the decoder's buffers and may be changed in place.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message; the bytes are valid UTF-8.
    Text(&'a mut [u8]),
    /// A binary message.
    Binary(&'a mut [u8]),
    /// A ping of at most 125 bytes; a pong with the same bytes is owed.
    Ping(&'a [u8]),
    /// A pong of at most 125 bytes, asked for or not.
    Pong(&'a [u8]),
    /// The server closes, with or without saying why; a close frame is owed unless one was sent.
    /// Nothing is delivered after it.
    Close(Option<CloseFrame<'a>>),
}

/// Where in the stream the decoder stands.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Between messages.
    Idle,
    /// A message in one frame is at `start` and not whole yet; `checked` bytes of its payload
    /// have been through the UTF-8 check.
    Arriving { checked: usize },
    /// Between two frames of a message.
    Open,
    /// Inside a payload on its way to the message buffer; `left` bytes of it are to come.
    Payload { left: usize, fin: bool },
    /// The message buffer was lent to the caller and can be emptied.
    Lent,
    /// A close frame was delivered.
    Closed,
    /// A rule was broken.
    Failed(ProtocolError),
}

/// An event that was found, before it borrows from the decoder. `from..to` is its payload in the
/// read buffer.
#[derive(Clone, Copy)]
enum Found {
    Data {
        text: bool,
        from: usize,
        to: usize,
    },
    Assembled {
        text: bool,
    },
    Control {
        opcode: Opcode,
        from: usize,
        to: usize,
    },
}

/// Turns the bytes of one connection into events.
///
/// Neither waits nor fails to progress: each call looks at each byte that came a bounded number of
/// times. In steady state it allocates nothing; see [`Limits`] for what it may hold.
pub struct Decoder {
    buf: Box<[u8]>,
    start: usize,
    end: usize,
    phase: Phase,
    /// Whether the message in `message` is text.
    text: bool,
    message: Vec<u8>,
    utf8: Utf8,
    max_message: usize,
}

impl Decoder {
    /// A decoder for a connection whose handshake is done. Allocates the read buffer.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let read_buffer = limits.read_buffer.max(Limits::MIN_READ_BUFFER);
        Self {
            buf: vec![0; read_buffer].into_boxed_slice(),
            start: 0,
            end: 0,
            phase: Phase::Idle,
            text: false,
            message: Vec::new(),
            utf8: Utf8::default(),
            max_message: limits.max_message,
        }
    }

    /// Forgets everything about the old connection and is ready for the first frame of a new one.
    /// The read buffer is kept.
    pub fn reset(&mut self) {
        self.start = 0;
        self.end = 0;
        self.phase = Phase::Idle;
        self.utf8 = Utf8::default();
        self.message = Vec::new();
    }

    /// The room to read into. It is not empty if [`next`](Self::next) has yielded `None` or an
    /// error since the last [`filled`](Self::filled).
    ///
    /// Moves the bytes of an unfinished frame to the front, each frame at most once.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buf.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.buf[self.end..]
    }

    /// Says that the first `n` bytes of [`space`](Self::space) were read.
    ///
    /// # Panics
    /// If `n` is more than the room there was.
    pub fn filled(&mut self, n: usize) {
        assert!(
            n <= self.buf.len() - self.end,
            "more bytes than there was room for"
        );
        self.end += n;
    }

    /// Copies bytes that were read elsewhere (with the handshake's response, say), as many as
    /// there is room for, and says how many those were.
    pub fn extend(&mut self, bytes: &[u8]) -> usize {
        let space = self.space();
        let n = bytes.len().min(space.len());
        space[..n].copy_from_slice(&bytes[..n]);
        self.filled(n);
        n
    }

    /// Bytes of memory held at present, both buffers together.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.buf.len() + self.message.capacity()
    }

    /// The next event among the bytes that came, or `None` when more are needed and after a close.
    ///
    /// # Errors
    /// The rule that the server broke. The connection is over; the same error is returned until
    /// [`reset`](Self::reset).
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend")]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, ProtocolError> {
        if let Some(Plain { text, len, payload }) = self.plain() {
            let from = self.start + len;
            let to = from + payload;
            self.start = to;
            let payload = &mut self.buf[from..to];
            return Ok(Some(if text {
                Event::Text(payload)
            } else {
                Event::Binary(payload)
            }));
        }
        self.next_slow()
    }

    /// Takes the message that was lent last out of the message buffer, without a copy; nothing if it
    /// was lent in place, as every message that fits the read buffer may be.
    pub fn take_lent(&mut self) -> Vec<u8> {
        match self.phase {
            Phase::Lent => std::mem::take(&mut self.message),
            _ => Vec::new(),
        }
    }

    /// The frame at `start`, if it is a valid message all by itself and all there.
    #[inline]
    fn plain(&self) -> Option<Plain> {
        if !matches!(self.phase, Phase::Idle) {
            return None;
        }
        let bytes = &self.buf[self.start..self.end];
        let plain = Plain::parse(bytes)?;
        let payload = bytes.get(plain.len..plain.len + plain.payload)?;
        let valid = plain.payload <= self.max_message && (!plain.text || utf8::is_valid(payload));
        valid.then_some(plain)
    }

    /// Everything but a plain message: ends of reads, fragments, control frames, refusals.
    #[cold]
    #[inline(never)]
    fn next_slow(&mut self) -> Result<Option<Event<'_>>, ProtocolError> {
        let found = match self.advance() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => return Err(self.fail(error)),
        };
        Ok(Some(match found {
            Found::Data {
                text: true,
                from,
                to,
            } => Event::Text(&mut self.buf[from..to]),
            Found::Data {
                text: false,
                from,
                to,
            } => Event::Binary(&mut self.buf[from..to]),
            Found::Assembled { text: true } => Event::Text(&mut self.message),
            Found::Assembled { text: false } => Event::Binary(&mut self.message),
            Found::Control {
                opcode: Opcode::Ping,
                from,
                to,
            } => Event::Ping(&self.buf[from..to]),
            Found::Control {
                opcode: Opcode::Close,
                from,
                to,
            } => {
                // `advance` has judged the same bytes; an error cannot come from here.
                Event::Close(CloseFrame::parse(&self.buf[from..to])?)
            }
            Found::Control { from, to, .. } => Event::Pong(&self.buf[from..to]),
        }))
    }

    /// Takes frames until one of them makes an event or the bytes run out.
    fn advance(&mut self) -> Result<Option<Found>, ProtocolError> {
        loop {
            match self.phase {
                Phase::Failed(error) => return Err(error),
                Phase::Closed => {
                    self.start = 0;
                    self.end = 0;
                    return Ok(None);
                }
                Phase::Lent => {
                    self.empty_message();
                    self.phase = Phase::Idle;
                }
                Phase::Payload { left, fin } => {
                    if let Some(text) = self.take_payload(left, fin)? {
                        return Ok(Some(Found::Assembled { text }));
                    }
                    if let Phase::Payload { .. } = self.phase {
                        return Ok(None);
                    }
                }
                Phase::Idle | Phase::Arriving { .. } | Phase::Open => {}
            }

            let Some(header) = Header::parse(&self.buf[self.start..self.end])? else {
                return Ok(None);
            };
            if header.opcode.is_control() {
                return self.control(header);
            }
            self.check(header)?;
            let fits = header.payload <= (self.buf.len() - header.len) as u64;
            if header.fin && header.opcode != Opcode::Continuation && fits {
                return self.whole(header);
            }
            self.begin(header);
        }
    }

    /// The rules of a data frame that depend on what came before it.
    fn check(&self, header: Header) -> Result<(), ProtocolError> {
        let open = matches!(self.phase, Phase::Open);
        match (header.opcode, open) {
            (Opcode::Continuation, false) => return Err(ProtocolError::UnexpectedContinuation),
            (Opcode::Text | Opcode::Binary, true) => {
                return Err(ProtocolError::ExpectedContinuation);
            }
            _ => {}
        }
        // Between messages the message buffer is empty, so this is the sum of all fragments.
        if header.payload > (self.max_message - self.message.len()) as u64 {
            return Err(ProtocolError::TooLarge {
                limit: self.max_message,
            });
        }
        Ok(())
    }

    /// A control frame; it may stand between the fragments of a message.
    fn control(&mut self, header: Header) -> Result<Option<Found>, ProtocolError> {
        let from = self.start + header.len;
        let to = from + header.payload as usize;
        if self.end < to {
            return Ok(None);
        }
        if header.opcode == Opcode::Close {
            CloseFrame::parse(&self.buf[from..to])?;
            self.phase = Phase::Closed;
            self.message = Vec::new();
        }
        self.start = to;
        Ok(Some(Found::Control {
            opcode: header.opcode,
            from,
            to,
        }))
    }

    /// A message in one frame that fits the read buffer: lent in place once it is all there,
    /// checked before that as far as it came.
    fn whole(&mut self, header: Header) -> Result<Option<Found>, ProtocolError> {
        let text = header.opcode == Opcode::Text;
        let from = self.start + header.len;
        let to = from + header.payload as usize;
        let there = self.end.min(to);
        if text {
            let checked = match self.phase {
                Phase::Arriving { checked } => checked,
                _ => 0,
            };
            self.utf8.feed(&self.buf[from + checked..there])?;
        }
        if there < to {
            self.phase = Phase::Arriving {
                checked: there - from,
            };
            return Ok(None);
        }
        if text {
            self.utf8.finish()?;
        }
        self.phase = Phase::Idle;
        self.start = to;
        Ok(Some(Found::Data { text, from, to }))
    }

    /// Takes the header of a frame whose payload goes to the message buffer.
    fn begin(&mut self, header: Header) {
        if header.opcode != Opcode::Continuation {
            self.text = header.opcode == Opcode::Text;
        }
        self.start += header.len;
        self.phase = Phase::Payload {
            left: header.payload as usize,
            fin: header.fin,
        };
    }

    /// Moves what is there of a payload to the message buffer. Yields whether the message is text
    /// when this completes it.
    fn take_payload(&mut self, left: usize, fin: bool) -> Result<Option<bool>, ProtocolError> {
        let there = left.min(self.end - self.start);
        let bytes = &self.buf[self.start..self.start + there];
        if self.text {
            self.utf8.feed(bytes)?;
        }
        append(&mut self.message, bytes, self.max_message);
        self.start += there;
        let left = left - there;
        if left > 0 {
            self.phase = Phase::Payload { left, fin };
            return Ok(None);
        }
        if !fin {
            self.phase = Phase::Open;
            return Ok(None);
        }
        if self.text {
            self.utf8.finish()?;
        }
        self.phase = Phase::Lent;
        Ok(Some(self.text))
    }

    /// Empties the message buffer, and gives it back if a rare long message made it large.
    fn empty_message(&mut self) {
        if self.message.capacity() > KEPT_READ_BUFFERS * self.buf.len() {
            self.message = Vec::new();
        } else {
            self.message.clear();
        }
    }

    /// Ends the connection: nothing that is left in the buffers will ever be delivered.
    fn fail(&mut self, error: ProtocolError) -> ProtocolError {
        self.phase = Phase::Failed(error);
        self.start = 0;
        self.end = 0;
        self.message = Vec::new();
        error
    }
}

/// Appends to a message. The capacity follows the bytes that came, doubling, and stops at `max`.
fn append(message: &mut Vec<u8>, bytes: &[u8], max: usize) {
    let len = message.len() + bytes.len();
    if len > message.capacity() {
        let target = message.capacity().saturating_mul(2).min(max).max(len);
        message.reserve_exact(target - message.len());
    }
    message.extend_from_slice(bytes);
}

impl From<Invalid> for ProtocolError {
    fn from(_: Invalid) -> Self {
        Self::InvalidUtf8
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("phase", &self.phase)
            .field("unread", &(self.end - self.start))
            .field("assembled", &self.message.len())
            .field("max_message", &self.max_message)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
