//! Whether a message fits a layout: literals compared, tokens found by their own grammar.
//!
//! The loop of [`fit`] is the hot path of every message. For each hole it compares the literal
//! before it with one load, looks at the first byte of the token, finds the token's end in a mask of
//! the sixteen bytes from there, and cuts its cell out of the same register. Loads never reach
//! beyond the message.

use super::block::Block;
use super::skip;
use super::template::Hole;
use crate::record::Kind;

/// A message shorter than this is not learned, so the last bytes of one can always be loaded.
pub(super) const SHORTEST: usize = 16;

/// The literals of a template, made for comparing.
#[derive(Debug)]
pub(super) struct Layout {
    /// The literals before the holes, one for each.
    pub(super) literals: Box<[Literal]>,
    /// The last sixteen bytes of the literal after the last hole, at the end.
    pub(super) tail: [u8; 16],
    /// Which of them are of that literal.
    pub(super) tail_bits: u32,
    /// Bytes of the literal after the last hole.
    pub(super) tail_length: u32,
    /// All literals one after the other.
    pub(super) text: Box<[u8]>,
}

/// The literal before one hole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Literal {
    /// Its first sixteen bytes.
    pub(super) head: [u8; 16],
    /// Which of them it has.
    pub(super) bits: u32,
    /// Its bytes.
    pub(super) length: u32,
    /// Where in [`Layout::text`] it begins.
    pub(super) at: u32,
    /// How many arrays and objects may lie inside each other in the hole after it.
    pub(super) room: u32,
}

const _: () = assert!(size_of::<Literal>() == 32);

/// What was seen of the tokens so far, judged once at the end.
pub(super) struct Seen<B> {
    /// Their bytes laid over each other, for those from 0x80 on.
    pub(super) bytes: B,
    /// Not zero if a string has a byte that it must not have.
    pub(super) barred: u32,
}

/// Whether `message` is the literals of `layout` with one token in each hole. Fills `holes`, which
/// are as many as the literals; they mean nothing if it does not fit.
#[inline(always)]
pub(super) fn fit<B: Block>(layout: &Layout, holes: &mut [Hole], message: &[u8]) -> bool {
    let Some(last) = message.last_chunk::<SHORTEST>() else {
        return false;
    };
    if B::load(last).same(&layout.tail) & layout.tail_bits != layout.tail_bits {
        return false;
    }
    let mut seen = Seen {
        bytes: B::load(&[0; 16]),
        barred: 0,
    };
    let mut at = 0;
    for (literal, hole) in layout.literals.iter().zip(holes) {
        let block = load::<B>(message, last, at);
        if block.same(&literal.head) & literal.bits != literal.bits {
            return false;
        }
        if literal.length > 16 && !has_rest(layout, literal, message, at) {
            return false;
        }
        at += literal.length;
        let Some(&first) = message.get(at as usize) else {
            return false;
        };
        let found = if first == b'"' {
            string(message, last, at, &mut seen)
        } else if first.wrapping_sub(b'0') < 10 || first == b'-' {
            number::<B>(message, last, at, first)
        } else {
            other(message, at, first, literal.room, &mut seen)
        };
        let Some(found) = found else {
            return false;
        };
        *hole = found;
        at = found.after;
    }
    let ends = at as usize + layout.tail_length as usize == message.len();
    ends && seen.barred == 0
        && (layout.tail_length <= 16 || has_tail(layout, message))
        && (!seen.bytes.high() || is_utf8(message))
}

/// The sixteen bytes from `at` on, zeros after the end. `last` are the last ones of the message.
#[inline(always)]
pub(super) fn load<B: Block>(message: &[u8], last: &[u8; SHORTEST], at: u32) -> B {
    let from = at as usize;
    match message.get(from..from + 16).and_then(|b| b.first_chunk()) {
        Some(bytes) => B::load(bytes),
        None => {
            // A literal or token near the end; `at` is at most the length.
            let missing = (from + 16).saturating_sub(message.len()).min(16);
            let rest = u128::from_le_bytes(*last).checked_shr(missing as u32 * 8);
            B::load(&rest.unwrap_or(0).to_le_bytes())
        }
    }
}

/// Whether a literal of more than 16 bytes goes on as it should.
#[inline(always)]
fn has_rest(layout: &Layout, literal: &Literal, message: &[u8], at: u32) -> bool {
    let (from, at) = (literal.at as usize, at as usize);
    let length = literal.length as usize;
    let (Some(theirs), Some(ours)) = (
        message.get(at + 16..at + length),
        layout.text.get(from + 16..from + length),
    ) else {
        return false;
    };
    theirs == ours
}

/// Whether a last literal of more than 16 bytes is there, all of it.
#[cold]
fn has_tail(layout: &Layout, message: &[u8]) -> bool {
    let length = layout.tail_length as usize;
    let (Some(theirs), Some(ours)) = (
        message.len().checked_sub(length),
        layout.text.len().checked_sub(length),
    ) else {
        return false;
    };
    message.get(theirs..) == layout.text.get(ours..)
}

#[cold]
fn is_utf8(message: &[u8]) -> bool {
    std::str::from_utf8(message).is_ok()
}

/// The string whose opening quote is at `at`.
#[inline(always)]
pub(super) fn string<B: Block>(
    message: &[u8],
    last: &[u8; SHORTEST],
    at: u32,
    seen: &mut Seen<B>,
) -> Option<Hole> {
    let start = at + 1;
    let block = load::<B>(message, last, start);
    seen.bytes = seen.bytes.or(block);
    let quotes = block.equal(b'"');
    if quotes != 0 {
        // Bits up to the quote.
        seen.barred |= block.barred() & (quotes ^ (quotes - 1));
        let length = quotes.trailing_zeros();
        return Some(Hole {
            cell: block.cell(length, Kind::String as u8),
            start,
            end: start + length,
            after: start + length + 1,
            kind: Kind::String,
        });
    }
    seen.barred |= block.barred();
    let mut end = start + 16;
    while seen.barred == 0 {
        let block = load::<B>(message, last, end.min(message.len() as u32));
        seen.bytes = seen.bytes.or(block);
        let quotes = block.equal(b'"');
        let up_to = quotes ^ quotes.wrapping_sub(1);
        seen.barred |= block.barred() & up_to;
        if quotes != 0 {
            end += quotes.trailing_zeros();
            return Some(Hole {
                cell: [0; 2],
                start,
                end,
                after: end + 1,
                kind: Kind::String,
            });
        }
        end += 16;
    }
    None
}

/// The number at `at`, which begins with `first`: at most 18 digits before the point, no exponent.
#[inline(always)]
pub(super) fn number<B: Block>(
    message: &[u8],
    last: &[u8; SHORTEST],
    at: u32,
    first: u8,
) -> Option<Hole> {
    let block = load::<B>(message, last, at);
    // Ones above the sixteenth bit, too.
    let others = !block.digits();
    let sign = u32::from(first == b'-');
    let digits = (others >> sign).trailing_zeros();
    if first <= b'0' {
        // A sign needs a digit after it; a zero is followed by no other.
        let zero = block.equal(b'0') >> sign & 1;
        if digits == 0 || zero != 0 && digits > 1 {
            return None;
        }
    }
    let mut length = sign + digits;
    if block.equal(b'.') >> length & 1 != 0 {
        let fraction = (others >> (length + 1)).trailing_zeros();
        if fraction == 0 {
            return None;
        }
        length += 1 + fraction;
    }
    if length > 14 {
        // It may go on behind the block, or end in a point there.
        return long_number(message, at);
    }
    Some(Hole {
        cell: block.cell(length, Kind::Number as u8),
        start: at,
        end: at + length,
        after: at + length,
        kind: Kind::Number,
    })
}

/// A number of 15 bytes or more, byte by byte.
#[inline(never)]
fn long_number(message: &[u8], at: u32) -> Option<Hole> {
    let text = message.get(at as usize..)?;
    let digits_from = |from: usize| {
        let digits = |rest: &[u8]| rest.iter().take_while(|b| b.is_ascii_digit()).count();
        text.get(from..).map_or(0, digits)
    };
    let sign = usize::from(text.first() == Some(&b'-'));
    let digits = digits_from(sign);
    if digits == 0 || digits > 18 || digits > 1 && text.get(sign) == Some(&b'0') {
        return None;
    }
    let mut length = sign + digits;
    if text.get(length) == Some(&b'.') {
        let fraction = digits_from(length + 1);
        if fraction == 0 {
            return None;
        }
        length += 1 + fraction;
    }
    let end = at + length as u32;
    let cell = match text.first_chunk() {
        Some(bytes) if length <= 15 => {
            super::portable::Words::load(bytes).cell(length as u32, Kind::Number as u8)
        }
        _ if length <= 15 => {
            let mut bytes = [0; 16];
            bytes[..length].copy_from_slice(&text[..length]);
            super::portable::Words::load(&bytes).cell(length as u32, Kind::Number as u8)
        }
        _ => [0; 2],
    };
    Some(Hole {
        cell,
        start: at,
        end,
        after: end,
        kind: Kind::Number,
    })
}

/// What is neither a string nor a number.
#[inline(always)]
fn other<B: Block>(
    message: &[u8],
    at: u32,
    first: u8,
    room: u32,
    seen: &mut Seen<B>,
) -> Option<Hole> {
    let (kind, end) = if first == b'[' {
        (Kind::Array, skip::array(message, at, room, seen)?)
    } else {
        let (kind, length) = word(message, at, first)?;
        (kind, at + length)
    };
    Some(Hole {
        cell: [(kind as u64) << 4, 0],
        start: at,
        end,
        after: end,
        kind,
    })
}

/// `true`, `false` or `null`, and how long it is.
#[inline]
pub(super) fn word(message: &[u8], at: u32, first: u8) -> Option<(Kind, u32)> {
    let rest = message.get(at as usize..)?;
    let (kind, text): (_, &[u8]) = match first {
        b't' => (Kind::True, b"true"),
        b'f' => (Kind::False, b"false"),
        b'n' => (Kind::Null, b"null"),
        _ => return None,
    };
    rest.starts_with(text).then_some((kind, text.len() as u32))
}
