//! From the bytes of one message to a table of its items.
//!
//! simd-json (Langdale and Lemire's two stages) checks the message: its first stage finds where
//! every item starts, its second proves that the items make a JSON text and unescapes the strings.
//! It keeps neither the text of numbers nor where a value ends, so one linear pass over the
//! positions of the first stage writes our own table. The message itself is never written to:
//! simd-json works on a padded copy, which afterwards holds the unescaped strings.

use std::{fmt, mem};

use simd_json::{Buffers, ErrorType, INPUT_PADDING, Node, Tape};

use super::{
    items::{Decoded, Item, list_items},
    learned::{LayoutCounts, Learned, Template},
    number::neutralise,
    value::Value,
};
use crate::record::Kind;

/// Checks messages one after the other and lists their items, in buffers that it keeps.
///
/// The buffers grow to what the largest message so far needed, up to about 51 bytes for each of its
/// bytes; once they have grown, decoding does not allocate. A message of more than a megabyte is
/// given less, and what it was given is given back with the next message: at most 19 bytes for each
/// of its bytes are written to, and 37 asked for. So the limit on messages is the limit on memory.
pub struct Decoder {
    buffers: Buffers,
    /// Empty between two messages; kept for its allocation.
    tape: Tape<'static>,
    /// Items of the arrays and objects that the pass over the positions is inside of.
    open: Vec<u32>,
    decoded: Decoded,
    learned: Learned,
    max_depth: u32,
    /// The buffers have grown for a large message.
    swollen: bool,
}

/// The longest message, in bytes, whose buffers are kept, and during which they may all be there.
const LARGE: usize = 1 << 20;

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

/// A message that was checked. Handles taken from it live as long as the decoder and the bytes are
/// borrowed.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    table: Table<'a>,
    text: &'a [u8],
}

/// Where the items of a message are.
#[derive(Clone, Copy)]
pub(super) enum Table<'a> {
    /// The message was parsed.
    Parsed(&'a Decoded),
    /// It fits a template, which has its values.
    Matched(&'a Template),
}

impl Table<'_> {
    /// The item `at` of the message.
    #[inline]
    pub(super) fn item(&self, at: u32) -> Item {
        match self {
            Self::Parsed(decoded) => decoded.items[at as usize],
            Self::Matched(template) => template.item(at),
        }
    }
}

impl Decoder {
    /// A decoder that refuses messages with more than `max_depth` arrays and objects inside each
    /// other. A bare number has depth 0, `[1]` has 1. Decoding does not recurse;
    /// [`compile`](super::compile) does, once a level.
    #[must_use]
    pub fn new(max_depth: u32) -> Self {
        Self::with_layouts(max_depth, true)
    }

    /// As [`new`](Self::new), but every message is parsed and no layout learned. What is accepted
    /// and what handles give is the same; for tests that show it, and for text of which no two
    /// messages are alike.
    #[must_use]
    pub fn parsing_only(max_depth: u32) -> Self {
        Self::with_layouts(max_depth, false)
    }

    fn with_layouts(max_depth: u32, learn: bool) -> Self {
        Self {
            buffers: Buffers::with_max_depth(0, max_depth as usize),
            tape: Tape(Vec::new()),
            open: Vec::new(),
            decoded: Decoded {
                items: Vec::new(),
                plain: Vec::new(),
            },
            learned: Learned::new(max_depth, learn),
            max_depth,
            swollen: false,
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
        let table = if self.learned.find(message) {
            Table::Matched(self.learned.found())
        } else {
            self.parse(message)?;
            self.learned.learn(&self.decoded, message);
            Table::Parsed(&self.decoded)
        };
        Ok(Message {
            table,
            text: message,
        })
    }

    /// What the learned layouts have done so far.
    #[must_use]
    pub fn layout_counts(&self) -> LayoutCounts {
        self.learned.counts()
    }

    /// Checks `message` and lists its items, without a template.
    fn parse(&mut self, message: &[u8]) -> Result<(), JsonError> {
        if self.swollen {
            self.shrink();
        }
        self.swollen = message.len() > LARGE;
        std::str::from_utf8(message).map_err(|_| JsonError::Utf8)?;
        // A NUL is nowhere allowed, but simd-json lets one end a number or a literal.
        let escapes = match memchr::memchr2(b'\\', 0, message) {
            None => false,
            Some(at) if memchr::memchr(0, &message[at..]).is_none() => true,
            Some(_) => return Err(JsonError::Syntax),
        };
        self.load(message);
        match self.list(message, escapes) {
            Err(JsonError::Number) => self.list_without_numbers(message, escapes),
            listed => listed,
        }
    }

    /// Gives back what a large message has needed.
    #[cold]
    fn shrink(&mut self) {
        self.buffers = Buffers::with_max_depth(0, self.max_depth as usize);
        self.tape = Tape(Vec::new());
        self.open = Vec::new();
        self.decoded = Decoded {
            items: Vec::new(),
            plain: Vec::new(),
        };
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
            ..
        } = self;
        let mut filled = mem::replace(tape, Tape(Vec::new())).reset();
        let checked = simd_json::fill_tape_padded(plain, message.len(), buffers, &mut filled)
            .map_err(|error| reason(error.error()));
        let (starts, count) = (buffers.structural_indexes(), filled.0.len());
        if message.len() > LARGE {
            // The tape goes before the items come: dense text has both several times its length.
            let lengths = escapes.then(|| plain_lengths(&filled.0).collect::<Vec<_>>());
            drop(filled);
            checked?;
            list_items(message, starts, count, open, items)?;
            return match lengths {
                Some(lengths) => note_escapes(lengths.into_iter(), items),
                None => Ok(()),
            };
        }
        let listed = checked.and_then(|()| list_items(message, starts, count, open, items));
        let result = match listed {
            Ok(()) if escapes => note_escapes(plain_lengths(&filled.0), items),
            listed => listed,
        };
        *tape = filled.reset();
        result
    }

    /// simd-json converts numbers and refuses those that do not fit 64 bits. We keep them as text,
    /// so they are held against the grammar here, replaced by `0` and blanks in the copy, and the
    /// message is checked again.
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
        Value::new(self.table, self.text, 0)
    }

    /// The message as it was received.
    #[must_use]
    pub fn text(&self) -> &'a str {
        // A decoded message is UTF-8.
        std::str::from_utf8(self.text).unwrap_or_default()
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Message").field(&self.text()).finish()
    }
}

/// The items of a text that a decoder has accepted before as part of a message.
#[cold]
pub(super) fn items_of(text: &[u8]) -> Decoded {
    let mut decoder = Decoder::parsing_only(u32::MAX);
    // It cannot fail: the text was checked.
    let _ = decoder.parse(text);
    decoder.decoded
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

/// How long each text of a tape is, unescaped; [`NO_TEXT`] for everything else.
fn plain_lengths(tape: &[Node<'_>]) -> impl ExactSizeIterator<Item = u32> {
    tape.iter().map(|node| match node {
        Node::String(plain) => plain.len() as u32,
        _ => NO_TEXT,
    })
}

/// No text is that long: a message is less than 4 GiB, quotes included.
const NO_TEXT: u32 = u32::MAX;

/// Marks the strings that have escapes. Every escape is longer than what it stands for, so such a
/// string is shorter on the tape, which has one node for each item, than in the message.
fn note_escapes(
    plain: impl ExactSizeIterator<Item = u32>,
    items: &mut [Item],
) -> Result<(), JsonError> {
    if plain.len() != items.len() {
        return Err(JsonError::Syntax);
    }
    for (item, plain) in items.iter_mut().zip(plain) {
        if plain != NO_TEXT && plain != item.end - item.start {
            item.kind = Kind::EscapedString;
            item.extra = plain;
        }
    }
    Ok(())
}
