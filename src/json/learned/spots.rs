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
use super::marks::{MOST_MARKS, Places};
use super::scan::{Layout, is_next, padded, token};
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
    /// Its first sixteen bytes.
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
            let mut head = [0; 16];
            head[..short].copy_from_slice(&literal[..short]);
            spots.push(Spot {
                last,
                of,
                head,
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
    marks: &Places,
) -> bool {
    let (mut spots_left, mut holes_left) = (&*spots.spots, holes);
    let mut so_far = SoFar {
        differing: B::load(&[0; 16]),
        astray: 0,
        end: 0,
    };
    loop {
        let done = run(spots_left, holes_left, message, marks, &mut so_far);
        let (Some([spot, more @ ..]), Some([hole, rest @ ..])) =
            (spots_left.get(done..), holes_left.get_mut(done..))
        else {
            break;
        };
        let number = spots.spots.len() - 1 - more.len();
        if !step(layout, number, spot, hole, message, marks, &mut so_far) {
            return false;
        }
        (spots_left, holes_left) = (more, rest);
    }
    let astray = so_far.astray | so_far.end.wrapping_add(spots.tail) ^ message.len() as u32;
    astray == 0 && so_far.differing.is_zero()
}

/// What is known of the holes that have been looked at.
#[derive(Clone, Copy)]
struct SoFar<B> {
    /// Where literals differ from those of the layout.
    differing: B,
    /// Not zero if one is longer or shorter.
    astray: u32,
    /// Where the last token ends, its quote not included.
    end: u32,
}

impl<B: Block> SoFar<B> {
    /// The literal of a hole, of which `before` are the last bytes, is before `start`.
    #[inline(always)]
    fn literal(self, spot: &Spot, before: B, start: u32) -> Self {
        Self {
            differing: self.differing.or(before.differing(&spot.last, &spot.of)),
            astray: self.astray | self.end.wrapping_add(spot.length) ^ start,
            ..self
        }
    }
}

#[inline(always)]
fn mark(marks: &Places, number: u16) -> u32 {
    marks[usize::from(number) % MOST_MARKS].into()
}

/// Where the token of a hole begins and ends.
#[inline(always)]
fn ends(spot: &Spot, marks: &Places) -> (u32, u32) {
    let start = mark(marks, spot.from).wrapping_add(spot.forward.into());
    (start, mark(marks, spot.to).wrapping_sub(spot.back.into()))
}

/// The hot loop: how many holes it filled. It stops at what is near the beginning or the end, at
/// literals of more than 32 bytes, and at tokens that are neither texts nor short numbers. It calls
/// nothing, so that its state stays in registers.
#[inline(always)]
fn run<B: Block>(
    spots: &[Spot],
    holes: &mut [Hole],
    message: &[u8],
    marks: &Places,
    out: &mut SoFar<B>,
) -> usize {
    let count = spots.len().min(holes.len());
    // By number: not every iterator of pairs is sure to be inlined here.
    let (spots, holes) = (&spots[..count], &mut holes[..count]);
    let mut so_far = *out;
    let mut done = 0;
    while done < count {
        let (spot, hole) = (&spots[done], &mut holes[done]);
        let (start, stop) = ends(spot, marks);
        let Some([before, window]) = around(message, start) else {
            break;
        };
        let mut next = so_far.literal(spot, B::load(before), start);
        if spot.length > 16 {
            let Some(head) = sixteen(message, so_far.end) else {
                break;
            };
            if spot.length > 32 {
                break;
            }
            let head = B::load(head).differing(&spot.head, &[0xff; 16]);
            next.differing = next.differing.or(head);
        }
        next.end = stop;
        let window = B::load(window);
        let length = stop.wrapping_sub(start);
        // Of a text of more than 15 bytes it means nothing.
        let (cell, kind) = if spot.is_text {
            (window.cell(length & 15, Kind::String as u8), Kind::String)
        } else if is_number(window, length) {
            (window.cell(length, Kind::Number as u8), Kind::Number)
        } else {
            break;
        };
        *hole = Hole {
            cell,
            start,
            end: stop,
            after: stop.wrapping_add(u32::from(spot.is_text)),
            kind,
        };
        so_far = next;
        done += 1;
    }
    *out = so_far;
    done
}

/// One hole of any kind anywhere.
#[inline(never)]
fn step<B: Block>(
    layout: &Layout,
    number: usize,
    spot: &Spot,
    hole: &mut Hole,
    message: &[u8],
    marks: &Places,
    so_far: &mut SoFar<B>,
) -> bool {
    let (start, stop) = ends(spot, marks);
    let before = B::load(&before(message, start));
    if spot.length > 16 {
        let head = B::load(&padded(message, so_far.end));
        let head = head.differing(&spot.head, &[0xff; 16]);
        so_far.differing = so_far.differing.or(head);
        if spot.length > 32 && !is_all(layout, number, message, so_far.end) {
            return false;
        }
    }
    *so_far = so_far.literal(spot, before, start);
    so_far.end = stop;
    let window = B::load(&padded(message, start));
    let length = stop.wrapping_sub(start);
    let (cell, kind) = if spot.is_text {
        (window.cell(length & 15, Kind::String as u8), Kind::String)
    } else if is_number(window, length) {
        (window.cell(length, Kind::Number as u8), Kind::Number)
    } else {
        let room = layout
            .literals
            .get(number)
            .map_or(0, |literal| literal.room);
        return token::<B>(message, start, room, hole)
            && hole.kind != Kind::String
            && hole.end == stop;
    };
    *hole = Hole {
        cell,
        start,
        end: stop,
        after: stop.wrapping_add(u32::from(spot.is_text)),
        kind,
    };
    true
}

/// The sixteen bytes before `at` and the sixteen from there, if there are as many.
#[inline(always)]
fn around(message: &[u8], at: u32) -> Option<[&[u8; 16]; 2]> {
    let from = at.wrapping_sub(16) as usize;
    match message.get(from..from.wrapping_add(32))?.as_chunks() {
        ([before, window], _) => Some([before, window]),
        _ => None,
    }
}

/// The sixteen bytes from `at` on, if there are as many.
#[inline(always)]
fn sixteen(message: &[u8], at: u32) -> Option<&[u8; 16]> {
    let at = at as usize;
    message.get(at..at.wrapping_add(16))?.first_chunk()
}

/// The sixteen bytes before `at`, zeros before the beginning of the message, which has 16 bytes.
#[inline(always)]
fn before(message: &[u8], at: u32) -> [u8; 16] {
    match (at.checked_sub(16), message.first_chunk()) {
        (Some(from), _) => padded(message, from),
        (None, Some(first)) if at > 0 => {
            (u128::from_le_bytes(*first) << (128 - 8 * at)).to_le_bytes()
        }
        _ => [0; 16],
    }
}

/// Whether the literal of the hole `number`, a long one, stands behind the token that ends at
/// `end`, which may be a text.
#[inline(never)]
fn is_all(layout: &Layout, number: usize, message: &[u8], end: u32) -> bool {
    // If the quote is there or not is seen in the head.
    let quote = u32::from(message.get(end as usize) == Some(&b'"'));
    let literal = layout.literals.get(number);
    literal.is_some_and(|literal| is_next(layout, literal, message, end + quote))
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
