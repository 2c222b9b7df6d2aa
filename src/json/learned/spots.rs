//! Whether a message fits a layout, told by its quotes: the quick way, for layouts without arrays in
//! their holes.
//!
//! Where the tokens of a message lie follows from the numbers of the quotes around them, if it fits.
//! So each hole is looked at for itself: its literal is held against the bytes before it, its token
//! against the grammar from end to end, and its end against the beginning of the next literal. What differs is only
//! noted, and asked for at the end. No address waits for a token, and the processor has nothing
//! to guess but what is the same in every message of the layout; how long the tokens are is not.
//!
//! A message that does not fit here may still fit: a text that was a number in the sample. `scan`
//! looks at it once more, one hole after the other.

use super::block::Block;
use super::marks::{MOST_MARKS, Marks};
use super::scan::{Layout, Literal, is_next, padded, token};
use super::template::Hole;
use crate::record::Kind;

/// A hole, and what stands before it: here a quote belongs to the literal, not to the text.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Spot {
    /// The last sixteen bytes of the literal, at the end.
    last: [u8; 16],
    /// Ones in those that it has.
    of: [u8; 16],
    /// Its first sixteen bytes, if it has more.
    head: [u8; 16],
    /// Its bytes.
    length: u32,
    /// The mark before the token, and how far before.
    from: u16,
    forward: u16,
    /// The mark at the end of the token or behind it, and how far behind.
    to: u16,
    back: u16,
    /// Whether the token is a text.
    is_text: bool,
}

const _: () = assert!(size_of::<Spot>() == 64);

/// The holes of a layout by their quotes.
#[derive(Debug)]
pub(super) struct Spots {
    spots: Box<[Spot]>,
    /// Quotes of a message.
    pub(super) quotes: u32,
    /// Bytes after the last token, a quote included.
    tail: u32,
}

impl Spots {
    /// Of a message with these holes: first byte and one past the last, quotes included. `None` if
    /// one is an array, or if there is no quote between two tokens.
    pub(super) fn new(message: &[u8], holes: &[(u32, u32)]) -> Option<Self> {
        let mut spots = Vec::with_capacity(holes.len());
        // The marks so far: the last one is number `marks`, and lies at `mark`.
        let (mut marks, mut mark) = (0_u16, 0);
        let mut from = 0;
        for (number, &(start, end)) in holes.iter().enumerate() {
            let (start, end) = (start as usize, end as usize);
            let is_text = message.get(start) == Some(&b'"');
            if message.get(start) == Some(&b'[') {
                return None;
            }
            let quote = usize::from(is_text);
            let (token, stop) = (start + quote, end - quote);
            for (at, byte) in message.get(from..token)?.iter().enumerate() {
                if *byte == b'"' {
                    (marks, mark) = (marks + 1, from + at);
                }
            }
            let literal = message.get(from..token)?;
            let next = holes.get(number + 1);
            let after = next.map_or(message.len(), |&(start, _)| start as usize + 1);
            // The first quote behind the token is its own, or that of the next text or name.
            let behind = message.get(stop..after)?;
            let back = behind.iter().position(|byte| *byte == b'"');
            if back.is_none() && next.is_some() {
                return None;
            }
            let mut last = [0; 16];
            let mut of = [0; 16];
            let short = literal.len().min(16);
            last[16 - short..].copy_from_slice(&literal[literal.len() - short..]);
            of[16 - short..].fill(0xff);
            spots.push(Spot {
                last,
                of,
                head: literal.first_chunk().copied().unwrap_or_default(),
                length: literal.len() as u32,
                from: marks,
                forward: (token - mark) as u16,
                to: marks + 1,
                back: back.unwrap_or(behind.len()) as u16,
                is_text,
            });
            from = stop;
        }
        let tail = message.get(from..)?;
        let quotes = u32::from(marks) + tail.iter().filter(|byte| **byte == b'"').count() as u32;
        ((quotes as usize) < MOST_MARKS - 1).then(|| Self {
            spots: spots.into(),
            quotes,
            tail: tail.len() as u32,
        })
    }
}

/// Whether the message with these marks, as many quotes as [`Spots::quotes`] among them, is the
/// literals of the layout with one token in each hole, given that it ends as the layout does and
/// has no byte that no string may have. Fills `holes`; they mean nothing if it does not fit.
#[inline(always)]
pub(super) fn fit<B: Block>(
    layout: &Layout,
    spots: &Spots,
    holes: &mut [Hole],
    message: &[u8],
    marks: &Marks,
) -> bool {
    let mut differing = B::load(&[0; 16]);
    let mut astray = 0;
    let mut end = 0_u32;
    let literals = layout.literals.iter();
    for ((spot, literal), hole) in spots.spots.iter().zip(literals).zip(holes) {
        let start = marks.at(spot.from).wrapping_add(spot.forward.into());
        let stop = marks.at(spot.to).wrapping_sub(spot.back.into());
        astray |= end.wrapping_add(spot.length) ^ start;
        let last = B::load(&before(message, start));
        differing = differing.or(last.differing(&spot.last, &spot.of));
        if spot.length > 16 {
            let head = B::load(&padded(message, end));
            differing = differing.or(head.differing(&spot.head, &[0xff; 16]));
            if spot.length > 32 && !is_all(layout, literal, message, end) {
                return false;
            }
        }
        end = stop;
        let block = B::load(&padded(message, start));
        let length = stop.wrapping_sub(start);
        if spot.is_text {
            // Of more than 15 bytes it means nothing.
            *hole = Hole {
                cell: block.cell(length & 15, Kind::String as u8),
                start,
                end: stop,
                after: stop.wrapping_add(1),
                kind: Kind::String,
            };
        } else if is_number(block, length) {
            *hole = Hole {
                cell: block.cell(length, Kind::Number as u8),
                start,
                end: stop,
                after: stop,
                kind: Kind::Number,
            };
        } else if !other::<B>(message, start, stop, literal.room, hole) {
            return false;
        }
    }
    astray |= end.wrapping_add(spots.tail) ^ message.len() as u32;
    astray == 0 && differing.is_zero()
}

/// The sixteen bytes before `at`, zeros before the beginning.
#[inline(always)]
fn before(message: &[u8], at: u32) -> [u8; 16] {
    let at = at as usize;
    let from = at.wrapping_sub(16);
    if let Some(bytes) = message.get(from..at).and_then(|b| b.first_chunk()) {
        return *bytes;
    }
    match message.first_chunk() {
        Some(first) if at < 16 => {
            let missing = 16 - at as u32;
            let first = u128::from_le_bytes(*first);
            (first << 8 << (missing * 8 - 8)).to_le_bytes()
        }
        _ => [0; 16],
    }
}

/// Whether a long literal stands behind the token that ends at `end`, which may be a text.
#[inline(never)]
fn is_all(layout: &Layout, literal: &Literal, message: &[u8], end: u32) -> bool {
    // If the quote is there or not is seen in the head.
    let quote = u32::from(message.get(end as usize) == Some(&b'"'));
    is_next(layout, literal, message, end + quote)
}

/// Whether the first `length` bytes are a number by JSON's grammar, of 15 bytes at most and without
/// exponent.
#[inline(always)]
fn is_number<B: Block>(block: B, length: u32) -> bool {
    if length > 15 {
        return false;
    }
    let all = (1_u32 << length) - 1;
    let sign = block.equal(b'-') & 1;
    // The first digit and the last one.
    let first = 1 + sign;
    let last = (all + 1) >> 1;
    let digits = block.digits() & all;
    let others = all & !digits & !sign;
    // One other at most, a point with digits on both sides.
    let wrong =
        others & others.wrapping_sub(1) | others & !block.equal(b'.') | others & (first | last);
    // A zero before other digits.
    let padding = block.equal(b'0') & first & digits >> 1;
    wrong | padding == 0 && all > sign
}

/// Any other token, from `start` to `stop`: a word, a long number.
#[inline(never)]
fn other<B: Block>(message: &[u8], start: u32, stop: u32, room: u32, hole: &mut Hole) -> bool {
    token::<B>(message, start, room, hole) && hole.kind != Kind::String && hole.end == stop
}
