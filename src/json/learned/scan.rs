//! Whether a message fits a layout: literals compared, tokens found by their own grammar.
//!
//! The loop of [`run`] is the hot path of every message. For each hole it compares the literal
//! before it with one load, looks at the first byte of the token, finds the token's end in a mask of
//! the sixteen bytes from there, and cuts its cell out of the same register. It calls nothing, so
//! that its state stays in registers: what is rarer, and what is near the end (no load reaches
//! beyond the message), is done by [`step`], one hole at a time. What no string may have is looked
//! for once, in the whole message.

use std::hint::black_box;

use super::block::{Block, Census};
use super::skip;
use super::spots::Spots;
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
    /// Whether a literal has a byte that no string may have (a line break, a tab): then a message
    /// that fits has it too, and each token is looked at by itself.
    pub(super) careful: bool,
    /// Where the holes are by the quotes around them, if that can be told.
    pub(super) spots: Option<Spots>,
}

/// The literal before one hole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Literal {
    /// Its first sixteen bytes.
    pub(super) head: [u8; 16],
    /// Which of the bytes of `head` it has, and one more that no mask has if it is longer.
    pub(super) bits: u32,
    /// Its last sixteen bytes, if it has more than sixteen.
    pub(super) end: [u8; 16],
    /// Its bytes.
    pub(super) length: u32,
    /// Where in [`Layout::text`] it begins.
    pub(super) at: u32,
    /// How many arrays and objects may lie inside each other in the hole after it.
    pub(super) room: u32,
}

const _: () = assert!(size_of::<Literal>() == 48);

/// All bytes of a block.
const ALL: u32 = 0xffff;

impl Literal {
    /// Whether its head and its end are all of it, and it is more than its head.
    #[inline(always)]
    fn is_two_blocks(&self) -> bool {
        (17..=32).contains(&self.length)
    }
}

/// Whether `message` is the literals of `layout` with one token in each hole. Fills `holes`, which
/// are as many as the literals; they mean nothing if it does not fit.
#[inline(always)]
pub(super) fn fit<B: Block>(
    layout: &Layout,
    all: &mut [Hole],
    message: &[u8],
    census: impl Fn(&[u8]) -> Census,
) -> bool {
    if layout.careful || !has_tail::<B>(layout, message) {
        return layout.careful && fit_carefully::<B>(layout, all, message);
    }
    let mut holes = &mut *all;
    let mut literals = &*layout.literals;
    let mut at = 0;
    loop {
        let done;
        (done, at) = run::<B>(literals, holes, message, at);
        let (Some([literal, more @ ..]), Some([hole, rest @ ..])) =
            (literals.get(done..), holes.get_mut(done..))
        else {
            break;
        };
        if !step::<B>(layout, literal, message, at, hole) {
            return false;
        }
        at = hole.after();
        (literals, holes) = (more, rest);
    }
    if at as usize + layout.tail_length as usize != message.len() {
        return false;
    }
    let census = census(message);
    if census.barred {
        // A string has such a byte; or blanks in an array are line breaks.
        return fit_carefully::<B>(layout, all, message);
    }
    !census.high || is_utf8(message)
}

/// The hot loop. How many holes it filled, and where it came to. It stops at what is rarer than
/// short literals before short strings and numbers, at what is near the end, and where the message
/// does not fit.
#[inline(always)]
fn run<B: Block>(
    literals: &[Literal],
    holes: &mut [Hole],
    message: &[u8],
    mut at: u32,
) -> (usize, u32) {
    let mut done = 0;
    for (literal, hole) in literals.iter().zip(holes) {
        let Some(block) = block_at::<B>(message, at) else {
            break;
        };
        let token = at + literal.length;
        if block.same(&literal.head) & literal.bits != literal.bits {
            // Two blocks that overlap are all of a literal that is not much longer.
            match block_at::<B>(message, token.wrapping_sub(16)) {
                Some(end)
                    if literal.is_two_blocks()
                        && block.same(&literal.head) & end.same(&literal.end) == ALL => {}
                _ => break,
            }
        }
        let Some(window @ [first, text @ ..]) = window(message, token) else {
            break;
        };
        // Where the literal after the hole began in the last message, counted from the token.
        let usual = token.wrapping_add(hole.width());
        let after;
        *hole = if *first == b'"' {
            let block = B::load(text);
            let quotes = block.equal(b'"');
            let start = token + 1;
            let mut end = start + quotes.trailing_zeros();
            if quotes == 0 {
                // Up to 31 bytes; what `cell` gives then means nothing.
                let Some(block) = block_at::<B>(message, start + 16) else {
                    break;
                };
                let quotes = block.equal(b'"');
                if quotes == 0 {
                    break;
                }
                end = start + 16 + quotes.trailing_zeros();
            }
            after = end + 1;
            Hole {
                cell: block.cell((end - start) & 15, Kind::String as u8),
                start,
                end,
                kind: Kind::String,
            }
        } else if matches!(first, b'-' | b'0'..=b'9')
            && let Some(bytes) = window.first_chunk()
            && let block = B::load(bytes)
            && let Some(length) = number(block, *first)
        {
            after = token + length;
            Hole {
                cell: block.cell(length, Kind::Number as u8),
                start: token,
                end: token + length,
                kind: Kind::Number,
            }
        } else {
            break;
        };
        // What follows a token of the usual length can be looked at before its end is found: the
        // processor guesses this branch, and need not wait for the mask. The compiler must not see
        // that both sides are equal, or it would make them one.
        at = if black_box(after == usual) {
            usual
        } else {
            surprise(after)
        };
        done += 1;
    }
    (done, at)
}

/// The same number. A call, so that the compiler keeps the branch to it.
#[cold]
#[inline(never)]
fn surprise(at: u32) -> u32 {
    at
}

/// A quote and the sixteen bytes after it, or sixteen bytes and one more, if there are as many.
#[inline(always)]
fn window(message: &[u8], at: u32) -> Option<&[u8; 17]> {
    let at = at as usize;
    message.get(at..at + 17)?.first_chunk()
}

/// The sixteen bytes from `at` on, if there are as many.
#[inline(always)]
fn block_at<B: Block>(message: &[u8], at: u32) -> Option<B> {
    let at = at as usize;
    message.get(at..at + 16)?.first_chunk().map(B::load)
}

/// The sixteen bytes from `at` on, zeros after the end of the message, which has 16 bytes.
#[inline(always)]
pub(super) fn padded(message: &[u8], at: u32) -> [u8; 16] {
    let from = at as usize;
    if let Some(bytes) = message.get(from..from + 16).and_then(|b| b.first_chunk()) {
        return *bytes;
    }
    let missing = (from + 16).saturating_sub(message.len());
    match message.last_chunk::<SHORTEST>() {
        Some(last) if missing < 16 => {
            (u128::from_le_bytes(*last) >> (missing as u32 * 8)).to_le_bytes()
        }
        _ => [0; 16],
    }
}

/// One hole of any kind anywhere: the literal before it, and the token.
#[inline(never)]
fn step<B: Block>(
    layout: &Layout,
    literal: &Literal,
    message: &[u8],
    at: u32,
    hole: &mut Hole,
) -> bool {
    let same = B::load(&padded(message, at)).same(&literal.head) & literal.bits;
    if same != literal.bits && !(same == ALL && is_next(layout, literal, message, at)) {
        return false;
    }
    let at = at + literal.length;
    if message.get(at as usize) == Some(&b'"') {
        let start = at + 1;
        let block = B::load(&padded(message, start));
        let quotes = block.equal(b'"');
        if quotes != 0 {
            let length = quotes.trailing_zeros();
            *hole = Hole {
                cell: block.cell(length, Kind::String as u8),
                start,
                end: start + length,
                kind: Kind::String,
            };
            // Whether it may have what it has is looked at in the end.
            return true;
        }
    }
    token::<B>(message, at, literal.room, hole)
}

/// As [`fit`], with every token looked at by itself.
#[inline(never)]
fn fit_carefully<B: Block>(layout: &Layout, holes: &mut [Hole], message: &[u8]) -> bool {
    if !has_tail::<B>(layout, message) {
        return false;
    }
    let mut at = 0;
    for (literal, hole) in layout.literals.iter().zip(holes) {
        if !is_next(layout, literal, message, at)
            || !token::<B>(message, at + literal.length, literal.room, hole)
        {
            return false;
        }
        at = hole.after();
    }
    at as usize + layout.tail_length as usize == message.len() && is_utf8(message)
}

/// Whether the message ends as the layout does. A message that is too short does not.
#[inline(always)]
pub(super) fn has_tail<B: Block>(layout: &Layout, message: &[u8]) -> bool {
    let Some(last) = message.last_chunk::<SHORTEST>() else {
        return false;
    };
    B::load(last).same(&layout.tail) & layout.tail_bits == layout.tail_bits
        && (layout.tail_length <= 16 || has_long_tail(layout, message))
}

#[inline(never)]
fn has_long_tail(layout: &Layout, message: &[u8]) -> bool {
    let length = layout.tail_length as usize;
    let tail = layout.text.len().checked_sub(length);
    tail.and_then(|from| layout.text.get(from..))
        .is_some_and(|tail| message.ends_with(tail))
}

/// Whether the literal is at `at`, all of it, however long it is and however near the end.
#[inline(never)]
pub(super) fn is_next(layout: &Layout, literal: &Literal, message: &[u8], at: u32) -> bool {
    let (from, length) = (literal.at as usize, literal.length as usize);
    let (Some(rest), Some(literal)) = (
        message.get(at as usize..),
        layout.text.get(from..from + length),
    ) else {
        return false;
    };
    rest.starts_with(literal)
}

#[cold]
pub(super) fn is_utf8(message: &[u8]) -> bool {
    std::str::from_utf8(message).is_ok()
}

/// The length of the number that `block` begins with; `None` if it may be longer than 14 bytes, or is
/// none.
#[inline(always)]
fn number<B: Block>(block: B, first: u8) -> Option<u32> {
    let sign = u32::from(first == b'-');
    // Ones above the sixteenth bit, too.
    let others = !(block.digits() >> sign);
    let mut length = others.trailing_zeros();
    if length != 1 && (length == 0 || block.equal(b'0') >> sign & 1 != 0) {
        return None;
    }
    if block.equal(b'.') >> (sign + length) & 1 != 0 {
        let fraction = (others >> (length + 1)).trailing_zeros();
        if fraction == 0 {
            return None;
        }
        length += 1 + fraction;
    }
    length += sign;
    (length <= 14).then_some(length)
}

/// Any token at `at`, checked to the last byte but for UTF-8, into `hole`. Whether there is one.
#[inline(never)]
pub(super) fn token<B: Block>(message: &[u8], at: u32, room: u32, hole: &mut Hole) -> bool {
    let Some(&first) = message.get(at as usize) else {
        return false;
    };
    let found = match first {
        b'"' => string_end::<B>(message, at).map(|end| (Kind::String, end)),
        b'-' | b'0'..=b'9' => number_end(message, at).map(|end| (Kind::Number, end)),
        b'[' => skip::array::<B>(message, at, room).map(|end| (Kind::Array, end)),
        _ => word(message, at, first),
    };
    let Some((kind, end)) = found else {
        return false;
    };
    let quote = u32::from(kind == Kind::String);
    let start = at + quote;
    *hole = Hole {
        cell: cell(message, start, end, kind),
        start,
        end,
        kind,
    };
    true
}

/// The cell of a short token; zeros for any other.
fn cell(message: &[u8], start: u32, end: u32, kind: Kind) -> [u64; 2] {
    let mut length = end - start;
    let mut bytes = [0; 16];
    match kind {
        Kind::Null | Kind::True | Kind::False => length = 0,
        Kind::String | Kind::Number if length <= 15 => {
            bytes = padded(message, start);
        }
        _ => return [0; 2],
    }
    super::portable::Words::load(&bytes).cell(length, kind as u8)
}

/// Where the closing quote is of the string whose opening one is at `at`.
#[inline(always)]
pub(super) fn string_end<B: Block>(message: &[u8], at: u32) -> Option<u32> {
    let text = message.get(at as usize + 1..)?;
    let (chunks, _) = text.as_chunks::<16>();
    let mut end = at + 1;
    for chunk in chunks {
        let block = B::load(chunk);
        let (quotes, barred) = (block.equal(b'"'), block.barred());
        if quotes | barred != 0 {
            let length = (quotes | barred).trailing_zeros();
            return (quotes >> length & 1 != 0).then_some(end + length);
        }
        end += 16;
    }
    // The zeros after the end are barred.
    let block = B::load(&padded(message, end));
    let (quotes, barred) = (block.equal(b'"'), block.barred());
    let length = (quotes | barred).trailing_zeros();
    (quotes >> length & 1 != 0).then_some(end + length)
}

/// One past the number at `at`: at most 18 digits before the point, no exponent.
#[inline]
pub(super) fn number_end(message: &[u8], at: u32) -> Option<u32> {
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
    Some(at + length as u32)
}

/// `true`, `false` or `null`, and one past it.
#[inline]
pub(super) fn word(message: &[u8], at: u32, first: u8) -> Option<(Kind, u32)> {
    let rest = message.get(at as usize..)?;
    let (kind, text): (_, &[u8]) = match first {
        b't' => (Kind::True, b"true"),
        b'f' => (Kind::False, b"false"),
        b'n' => (Kind::Null, b"null"),
        _ => return None,
    };
    rest.starts_with(text)
        .then_some((kind, at + text.len() as u32))
}
