//! From the bytes of one message to a table of its items.
//!
//! simd-json (Langdale and Lemire's two stages) checks the message: its first stage finds where every item
//! starts, its second proves that the items make a JSON text and unescapes the strings. It keeps neither the
//! text of numbers nor where a value ends, so one linear pass over the positions of the first stage writes
//! our own table. The message itself is never written to: simd-json works on a padded copy, which afterwards
//! holds the unescaped strings.

use std::{fmt, mem};

use simd_json::{Buffers, ErrorType, INPUT_PADDING, Node, Tape};

use super::{
    number::{is_number, is_number_byte},
    value::Value,
};
use crate::record::Kind;

/// Checks messages one after the other and lists their items, in buffers that it keeps.
///
/// The buffers grow to what the largest message so far needed, up to about 60 bytes for each of its bytes, so
/// the limit on messages is the limit on memory. Once they have grown, decoding does not allocate.
pub struct Decoder {
    buffers: Buffers,
    /// Empty between two messages; kept for its allocation.
    tape: Tape<'static>,
    /// Items of the arrays and objects that the pass over the positions is inside of.
    open: Vec<u32>,
    decoded: Decoded,
}

/// What handles of a message look into.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) items: Vec<Item>,
    /// The message with its strings unescaped in place, and simd-json's padding.
    pub(super) plain: Vec<u8>,
}

/// One value or member name. Items stand in the order of the text; a name stands right before its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    /// First byte of the token. Strings are counted without their quotes.
    pub(super) start: u32,
    /// One past the last byte of the token.
    pub(super) end: u32,
    /// Array, object: the item after all that it holds. `EscapedString`: bytes of the unescaped text, which
    /// begins at `start` in `Decoded::plain`. Nothing otherwise.
    pub(super) extra: u32,
}

const _: () = assert!(size_of::<Item>() == 16);

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It is not a JSON text: empty, cut short, followed by more, or wrongly put together.
    #[error("not a JSON text")]
    Syntax,
    /// A number breaks the grammar of RFC 8259.
    #[error("not a JSON number")]
    Number,
    /// A string has an escape that does not exist or that names half a surrogate pair.
    #[error("bad escape in a JSON string")]
    Escape,
    /// It is not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// Arrays and objects are nested deeper than the decoder allows.
    #[error("JSON nested too deep")]
    TooDeep,
    /// It has more bytes than a position can count (4 GiB).
    #[error("JSON text too large")]
    TooLarge,
}

/// A message that was checked. Handles taken from it live as long as the decoder and the bytes are borrowed.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    decoded: &'a Decoded,
    text: &'a str,
}

impl Decoder {
    /// A decoder that refuses messages with more than `max_depth` arrays and objects inside each other. A bare
    /// number has depth 0, `[1]` has 1. Decoding does not recurse; [`compile`](super::compile) does, once a level.
    #[must_use]
    pub fn new(max_depth: u32) -> Self {
        Self {
            buffers: Buffers::with_max_depth(0, max_depth as usize),
            tape: Tape(Vec::new()),
            open: Vec::new(),
            decoded: Decoded {
                items: Vec::new(),
                plain: Vec::new(),
            },
        }
    }

    /// Checks `message`, which must be one JSON text with nothing but white space around it.
    ///
    /// # Errors
    ///
    /// [`JsonError`] says what is wrong. The decoder can be used again at once.
    pub fn decode<'a>(&'a mut self, message: &'a [u8]) -> Result<Message<'a>, JsonError> {
        if u32::try_from(message.len()).is_err() {
            return Err(JsonError::TooLarge);
        }
        let text = std::str::from_utf8(message).map_err(|_| JsonError::Utf8)?;
        // A NUL is nowhere allowed, but simd-json lets one end a number or a literal.
        let escapes = match memchr::memchr2(b'\\', 0, message) {
            None => false,
            Some(at) if memchr::memchr(0, &message[at..]).is_none() => true,
            Some(_) => return Err(JsonError::Syntax),
        };
        self.load(message);
        match self.list(message, escapes) {
            Ok(()) => {}
            Err(JsonError::Number) => self.list_without_numbers(message, escapes)?,
            Err(error) => return Err(error),
        }
        Ok(Message {
            decoded: &self.decoded,
            text,
        })
    }

    /// Copies the message to where simd-json may write.
    fn load(&mut self, message: &[u8]) {
        let plain = &mut self.decoded.plain;
        plain.clear();
        plain.extend_from_slice(message);
        plain.resize(message.len() + INPUT_PADDING, b' ');
    }

    /// Checks what `load` left and lists the items.
    fn list(&mut self, message: &[u8], escapes: bool) -> Result<(), JsonError> {
        let Self {
            buffers,
            tape,
            open,
            decoded: Decoded { items, plain },
        } = self;
        let mut filled = mem::replace(tape, Tape(Vec::new())).reset();
        let result = simd_json::fill_tape_padded(plain, message.len(), buffers, &mut filled)
            .map_err(|error| reason(error.error()))
            .and_then(|()| list_items(message, buffers.structural_indexes(), open, items))
            .and_then(|()| {
                if escapes {
                    note_escapes(&filled.0, items)
                } else {
                    Ok(())
                }
            });
        *tape = filled.reset();
        result
    }

    /// simd-json converts numbers and refuses those that do not fit 64 bits. We keep them as text, so they are
    /// held against the grammar here, replaced by `0` and blanks in the copy, and the message is checked again.
    #[cold]
    fn list_without_numbers(&mut self, message: &[u8], escapes: bool) -> Result<(), JsonError> {
        self.load(message);
        neutralise(&mut self.decoded.plain[..message.len()])?;
        self.list(message, escapes)
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("items", &self.decoded.items.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Message<'a> {
    /// The value that the whole message is.
    #[must_use]
    pub fn root(&self) -> Value<'a> {
        Value::new(self.decoded, self.text, 0)
    }

    /// The message as it was received.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Message").field(&self.text).finish()
    }
}

#[cold]
fn reason(error: &ErrorType) -> JsonError {
    match error {
        ErrorType::InvalidNumber => JsonError::Number,
        ErrorType::InvalidUtf8 => JsonError::Utf8,
        ErrorType::InvalidEscape
        | ErrorType::InvalidUnicodeEscape
        | ErrorType::InvalidUnicodeCodepoint => JsonError::Escape,
        ErrorType::DepthLimitExceeded => JsonError::TooDeep,
        ErrorType::InputTooLarge => JsonError::TooLarge,
        _ => JsonError::Syntax,
    }
}

/// Writes the item table of a message that simd-json has checked. `starts` are the positions of
/// every bracket, comma and colon, and of the first byte of every string, number and literal.
///
/// What was checked is not checked again: a position is looked at only where there is a choice.
fn list_items(
    text: &[u8],
    starts: &[u32],
    open: &mut Vec<u32>,
    items: &mut Vec<Item>,
) -> Result<(), JsonError> {
    open.clear();
    items.clear();
    items.reserve(starts.len());
    let mut walk = Walk {
        text,
        starts,
        items,
    };
    // Whether the innermost array or object that is open is an object.
    let mut in_object = false;
    let mut more = true;
    while more {
        let (start, byte) = walk.next().ok_or(JsonError::Syntax)?;
        if matches!(byte, b'{' | b'[') {
            in_object = byte == b'{';
            open.push(walk.items.len() as u32);
            let kind = if in_object { Kind::Object } else { Kind::Array };
            walk.items.push(Item {
                kind,
                start,
                end: 0,
                extra: 0,
            });
            if !matches!(walk.peek(), Some(b'}' | b']')) {
                if in_object {
                    walk.name()?;
                }
                continue;
            }
        } else {
            walk.token(start, byte);
        }
        // After a value: a comma and the next one, or the ends of what it is in.
        more = false;
        while let Some((at, byte)) = walk.next() {
            if byte == b',' {
                if in_object {
                    walk.name()?;
                }
                more = true;
                break;
            }
            let extra = walk.items.len() as u32;
            let closed = open.pop().ok_or(JsonError::Syntax)?;
            let item = walk
                .items
                .get_mut(closed as usize)
                .ok_or(JsonError::Syntax)?;
            (item.end, item.extra) = (at + 1, extra);
            in_object = open
                .last()
                .is_some_and(|&top| walk.items[top as usize].kind == Kind::Object);
        }
    }
    if open.is_empty() {
        Ok(())
    } else {
        Err(JsonError::Syntax)
    }
}

/// The positions that are left, and the items so far.
struct Walk<'a> {
    text: &'a [u8],
    starts: &'a [u32],
    items: &'a mut Vec<Item>,
}

impl Walk<'_> {
    /// The next position and the byte there.
    #[inline]
    fn next(&mut self) -> Option<(u32, u8)> {
        let (&start, rest) = self.starts.split_first()?;
        self.starts = rest;
        self.text.get(start as usize).map(|&byte| (start, byte))
    }

    /// The byte at the next position, which stays.
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.get(*self.starts.first()? as usize).copied()
    }

    /// A name and the colon after it.
    #[inline]
    fn name(&mut self) -> Result<(), JsonError> {
        let (start, byte) = self.next().ok_or(JsonError::Syntax)?;
        self.token(start, byte);
        self.next().map(|_| ()).ok_or(JsonError::Syntax)
    }

    /// A value or name that begins with `byte` at `start` and is neither array nor object.
    #[inline]
    fn token(&mut self, start: u32, byte: u8) {
        let next = self
            .starts
            .first()
            .copied()
            .unwrap_or(self.text.len() as u32);
        let mut end = next as usize;
        while end > start as usize + 1 && matches!(self.text[end - 1], b' ' | b'\t' | b'\n' | b'\r')
        {
            end -= 1;
        }
        let end = end as u32;
        self.items.push(match byte {
            b'"' => Item {
                kind: Kind::String,
                start: start + 1,
                end: end - 1,
                extra: 0,
            },
            b'n' => Item {
                kind: Kind::Null,
                start,
                end,
                extra: 0,
            },
            b't' => Item {
                kind: Kind::True,
                start,
                end,
                extra: 0,
            },
            b'f' => Item {
                kind: Kind::False,
                start,
                end,
                extra: 0,
            },
            _ => Item {
                kind: Kind::Number,
                start,
                end,
                extra: 0,
            },
        });
    }
}

/// Marks the strings that have escapes. Every escape is longer than what it stands for, so such a
/// string is shorter on the tape, which has one node for each item, than in the message.
fn note_escapes(tape: &[Node<'_>], items: &mut [Item]) -> Result<(), JsonError> {
    if tape.len() != items.len() {
        return Err(JsonError::Syntax);
    }
    for (item, node) in items.iter_mut().zip(tape) {
        if let Node::String(plain) = node
            && plain.len() != (item.end - item.start) as usize
        {
            item.kind = Kind::EscapedString;
            item.extra = plain.len() as u32;
        }
    }
    Ok(())
}

/// Replaces every number by `0` and blanks. The result is a JSON text if and only if `text` is one: the token
/// keeps its place and its neighbours, and each number was held against the grammar.
fn neutralise(text: &mut [u8]) -> Result<(), JsonError> {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at = string_end(text, at + 1),
            b'-' | b'0'..=b'9' => {
                let end = at
                    + text[at..]
                        .iter()
                        .take_while(|&&byte| is_number_byte(byte))
                        .count();
                if !is_number(&text[at..end]) {
                    return Err(JsonError::Number);
                }
                text[at] = b'0';
                text[at + 1..end].fill(b' ');
                at = end;
            }
            _ => at += 1,
        }
    }
    Ok(())
}

/// One past the closing quote of the string whose content starts at `at`, or the end of an unclosed one.
fn string_end(text: &[u8], mut at: usize) -> usize {
    while let Some(skip) = text
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        if text[at + skip] == b'"' {
            return at + skip + 1;
        }
        at += skip + 2;
    }
    text.len()
}
