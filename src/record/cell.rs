//! Cells: a JSON token as it came, in words.
//!
//! A cell is 16 bytes, two words, little-endian: byte 0 is a tag (high nibble) and a length (low
//! nibble), then up to 15 bytes of text. A longer token takes consecutive cells: the low nibble
//! and byte 1 hold its length less one, text from byte 2. Beyond [`INLINE_TOKEN`] bytes the text
//! lives in the document beside the cells, and the cell holds its kind, length and hash. What is
//! not used is zero, and so is an absent field, so the same token is always the same words.

use std::hash::{BuildHasher, Hasher};

/// The longest token that is kept in cells, in bytes.
pub const INLINE_TOKEN: usize = 4096;
/// The longest token that one cell holds, in bytes.
pub const SHORT_TOKEN: usize = 15;
/// The most cells one token takes.
pub const MAX_CELLS: u16 = cells_for(INLINE_TOKEN);

/// A cell of a field that is not there.
pub const ABSENT: [u64; 2] = [0, 0];
/// A cell of a field that is an object; its members have cells of their own.
pub const OBJECT: [u64; 2] = [TAG_OBJECT << 4, 0];

const TAG_OBJECT: u64 = 8;
/// Added to a kind's tag when the token takes several cells.
const TAG_WIDE: u64 = 9 - TAG_NUMBER;
const TAG_DOCUMENT: u64 = 13;
const TAG_NUMBER: u64 = 4;
const TAG_ARRAY: u64 = 7;

/// What a JSON value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// `null`
    Null = 1,
    /// `true`
    True = 2,
    /// `false`
    False = 3,
    /// A number, of any size and precision.
    Number = 4,
    /// A string without a backslash: its text is its value.
    String = 5,
    /// A string with at least one escape.
    EscapedString = 6,
    /// An array, whole.
    Array = 7,
    /// An object.
    Object = 8,
}

impl Kind {
    fn from_tag(tag: u64) -> Option<Self> {
        Some(match tag {
            1 => Self::Null,
            2 => Self::True,
            3 => Self::False,
            4 | 9 => Self::Number,
            5 | 10 => Self::String,
            6 | 11 => Self::EscapedString,
            7 | 12 => Self::Array,
            8 => Self::Object,
            _ => return None,
        })
    }

    /// The text of the kinds that have only one.
    #[must_use]
    pub(super) fn literal(self) -> Option<&'static [u8]> {
        match self {
            Self::Null => Some(b"null"),
            Self::True => Some(b"true"),
            Self::False => Some(b"false"),
            _ => None,
        }
    }
}

/// One JSON value as it was received. Strings come without their quotes, escapes as they were.
///
/// The text has to be valid JSON of its kind, and valid UTF-8; nothing here checks it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its text. Ignored for `null`, `true` and `false`.
    pub text: &'a [u8],
}

impl<'a> Token<'a> {
    /// A token of this kind and text.
    #[must_use]
    #[inline]
    pub fn new(kind: Kind, text: &'a [u8]) -> Self {
        Self { kind, text }
    }

    /// How many cells it takes.
    #[must_use]
    #[inline]
    pub fn cells(&self) -> u16 {
        if self.text.len() > INLINE_TOKEN || self.kind.literal().is_some() {
            1
        } else {
            cells_for(self.text.len())
        }
    }
}

/// How many cells a text of this many bytes takes, at most [`INLINE_TOKEN`] of them.
const fn cells_for(bytes: usize) -> u16 {
    if bytes <= SHORT_TOKEN {
        1
    } else {
        ((bytes + 2).div_ceil(16)) as u16
    }
}

/// The cell of a token of up to 15 bytes, or of a literal.
#[must_use]
#[inline]
pub(super) fn short(token: Token<'_>) -> [u64; 2] {
    let tag = (token.kind as u64) << 4;
    if (token.kind as u64) < TAG_NUMBER {
        return [tag, 0];
    }
    debug_assert!(token.text.len() <= SHORT_TOKEN, "a short token");
    let cell = load(token.text) << 8 | u128::from(tag | token.text.len() as u64);
    [cell as u64, (cell >> 64) as u64]
}

/// Up to 16 bytes as a number, the first one lowest. Zero if there are more.
///
/// Built in registers: loads that overlap cost less than a copy of variable length.
#[must_use]
#[inline]
pub(super) fn load(text: &[u8]) -> u128 {
    let length = text.len();
    if length > 16 {
        return 0;
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        let last = u128::from(u64::from_le_bytes(*last)) << ((length - 8) * 8);
        u128::from(u64::from_le_bytes(*first)) | last
    } else if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let last = u64::from(u32::from_le_bytes(*last)) << ((length - 4) * 8);
        u128::from(u64::from(u32::from_le_bytes(*first)) | last)
    } else {
        let byte = |at: usize| text.get(at).map_or(0, |byte| u32::from(*byte) << (at * 8));
        u128::from(byte(0) | byte(1) | byte(2))
    }
}

/// Appends the words of a token of 16 to [`INLINE_TOKEN`] bytes.
pub(super) fn wide(token: Token<'_>, words: &mut Vec<u64>) {
    let length = token.text.len() - 1;
    let tag = token.kind as u64 + TAG_WIDE;
    let mut head = [0; 8];
    head[0] = (tag << 4) as u8 | (length >> 8) as u8;
    head[1] = length as u8;
    let (first, rest) = token.text.split_at(6);
    head[2..].copy_from_slice(first);
    let end = words.len() + 2 * usize::from(cells_for(token.text.len()));
    words.push(u64::from_le_bytes(head));
    let mut chunks = rest.chunks_exact(8);
    words.extend(
        chunks
            .by_ref()
            .map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap_or_default())),
    );
    let tail = chunks.remainder();
    if !tail.is_empty() {
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        words.push(u64::from_le_bytes(last));
    }
    words.resize(end, 0);
}

/// The cell of a text that lives in the document: its kind, length and hash, so that a change of
/// the text is a change of the cell.
pub(super) fn document(kind: Kind, text: &[u8]) -> [u64; 2] {
    let mut hasher = foldhash::quality::FixedState::with_seed(0).build_hasher();
    hasher.write(text);
    [
        TAG_DOCUMENT << 4 | (kind as u64) << 8 | (text.len() as u64) << 16,
        hasher.finish(),
    ]
}

#[inline]
fn tag(first: u64) -> u64 {
    first >> 4 & 0xf
}

/// Whether the cell that begins with this word is of a field that is not there.
#[must_use]
#[inline]
pub fn is_absent(first: u64) -> bool {
    first == 0
}

/// Whether the cell that begins with this word is of an object.
#[must_use]
#[inline]
pub fn is_object(first: u64) -> bool {
    tag(first) == TAG_OBJECT
}

/// Whether the text of the cell that begins with this word lives in the document beside the cells.
#[must_use]
#[inline]
pub fn is_document(first: u64) -> bool {
    tag(first) == TAG_DOCUMENT
}

/// Whether the cell that begins with this word may be overwritten without looking further: it is
/// neither an object nor wide nor of a document.
#[inline]
pub(super) fn is_plain(first: u64) -> bool {
    tag(first) <= TAG_ARRAY
}

/// Whether the cell that begins with this word is all of its field: neither a token of several
/// cells nor one whose text lives in the document. An absent field's is.
#[must_use]
#[inline]
pub fn is_whole(first: u64) -> bool {
    tag(first) <= TAG_OBJECT
}

/// How many cells the token that begins with this word takes: what a reader has to copy.
#[must_use]
#[inline]
pub fn used_cells(first: u64) -> u16 {
    let tag = tag(first);
    if tag > TAG_OBJECT && tag < TAG_DOCUMENT {
        cells_for(wide_length(first))
    } else {
        1
    }
}

#[inline]
fn wide_length(first: u64) -> usize {
    ((first & 0xf) << 8 | first >> 8 & 0xff) as usize + 1
}

/// What the cells that begin with this word hold; `None` if absent.
#[inline]
pub(super) fn kind(first: u64) -> Option<Kind> {
    if is_document(first) {
        Kind::from_tag(first >> 8 & 0xf)
    } else {
        Kind::from_tag(tag(first))
    }
}

/// The first word of a cell of this kind, without a text.
pub(super) fn of_kind(kind: Kind) -> u64 {
    (kind as u64) << 4
}

/// Where the text lies in the bytes of the cells that begin with this word.
#[inline]
pub(super) fn text_range(first: u64) -> std::ops::Range<usize> {
    let tag = tag(first);
    if tag <= TAG_OBJECT {
        1..1 + (first & 0xf) as usize
    } else if tag < TAG_DOCUMENT {
        2..2 + wide_length(first)
    } else {
        0..0
    }
}

#[cfg(test)]
mod tests;
