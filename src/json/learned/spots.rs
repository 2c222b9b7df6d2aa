//! Whether a message fits a layout, told by its quotes: the quick way, for layouts without arrays in
//! their holes.
//!
//! Where the tokens of a message lie follows from the numbers of the quotes around them, if it fits.
//! So each hole is looked at for itself: its literal is held against the bytes before it, its token
//! against the grammar from end to end, and its end against the beginning of the next literal. What
//! differs is only noted, and asked for at the end. No address waits for a token, and the processor
//! has nothing to guess but what is the same in every message of the layout; how long the tokens
//! are is not.
//!
//! A message that does not fit here may still fit: a text that was a number in the sample. `scan`
//! looks at it once more, one hole after the other.

use super::block::Block;
use super::marks::{Found, MOST_MARKS, Marks, Places};
use super::scan::{Layout, has_tail, is_next, is_utf8, padded, token};
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
    /// What the token is: a text, or as good as a number before it is looked at.
    kind: Kind,
}

const _: () = assert!(size_of::<Spot>() == 64);

/// The holes of a layout by their quotes.
#[derive(Debug)]
pub(super) struct Spots {
    spots: Box<[Spot]>,
    /// Those whose literals have more than sixteen bytes.
    long: Box<[u16]>,
    /// Those whose tokens are no texts.
    others: Box<[u16]>,
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
        let (mut long, mut others) = (Vec::new(), Vec::new());
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
                kind: if is_text { Kind::String } else { Kind::Number },
            });
            if literal.len() > 16 {
                long.push(number as u16);
            }
            if !is_text {
                others.push(number as u16);
            }
            from = stop;
        }
        let tail = message.get(from..)?;
        let quotes = u32::from(marks) + tail.iter().filter(|byte| **byte == b'"').count() as u32;
        ((quotes as usize) < MOST_MARKS - 1).then(|| Self {
            spots: spots.into(),
            long: long.into(),
            others: others.into(),
            quotes,
            tail: tail.len() as u32,
        })
    }
}

/// Whether `message` fits `layout`, if that can be told by its quotes, which `list` lists if they
/// have not been. `None` says nothing: [`scan::fit`](super::scan::fit) is to look. Fills `holes`,
/// which mean nothing if it does not fit.
#[inline(always)]
pub(super) fn fit<B: Block>(
    layout: &Layout,
    holes: &mut [Hole],
    message: &[u8],
    marks: &mut Marks,
    list: impl FnOnce(&[u8], &mut Places) -> Found,
) -> Option<bool> {
    let spots = layout.spots.as_ref()?;
    if layout.careful {
        return None;
    }
    if !has_tail::<B>(layout, message) {
        return Some(false);
    }
    let Found { quotes, census } = marks.of(message, list);
    let fits = quotes == Some(spots.quotes)
        && !census.barred
        && cut::<B>(spots, holes, message, marks.places())
        && spots
            .long
            .iter()
            .all(|at| has_head::<B>(layout, spots, holes, message, *at))
        && spots
            .others
            .iter()
            .all(|at| is_token::<B>(layout, holes, message, *at));
    fits.then(|| !census.high || is_utf8(message))
}

/// The hot loop: cuts every token out, and holds the end of every literal against the layout.
///
/// One body for all holes, without a branch on what they hold: so its state stays in registers. What
/// is rarer is looked at afterwards, in lists of its own.
#[inline(always)]
fn cut<B: Block>(spots: &Spots, holes: &mut [Hole], message: &[u8], marks: &Places) -> bool {
    let count = spots.spots.len().min(holes.len());
    let (Some(first), Some(last)) = (message.first_chunk(), message.last_chunk()) else {
        return false;
    };
    // Nothing is loaded from beyond the ends of the message: there zeros stand around it.
    let (front, back) = ([[0; 16], *first], [*last, [0; 16]]);
    let last = message.len() as u32 - 16;
    // By number: not every iterator of pairs is sure to be inlined here.
    let (each, holes) = (&spots.spots[..count], &mut holes[..count]);
    let mark = |number: u16| u32::from(marks[usize::from(number) % MOST_MARKS]);
    let mut differing = B::load(&[0; 16]);
    let mut astray = 0;
    let mut end = 0_u32;
    for at in 0..count {
        let spot = &each[at];
        let start = mark(spot.from).wrapping_add(spot.forward.into());
        let before = match sixteen(message, start.wrapping_sub(16)) {
            Some(before) => before,
            None => sixteen(front.as_flattened(), start).unwrap_or(&[0; 16]),
        };
        let window = match sixteen(message, start) {
            Some(window) => window,
            None => sixteen(back.as_flattened(), start.wrapping_sub(last)).unwrap_or(&[0; 16]),
        };
        differing = differing.or(B::load(before).differing(&spot.last, &spot.of));
        astray |= end.wrapping_add(spot.length) ^ start;
        end = mark(spot.to).wrapping_sub(spot.back.into());
        // Of a token of more than 15 bytes it means nothing.
        let length = end.wrapping_sub(start) & 15;
        holes[at] = Hole {
            cell: B::load(window).cell(length, spot.kind as u8),
            start,
            end,
            kind: spot.kind,
        };
    }
    astray |= end.wrapping_add(spots.tail) ^ message.len() as u32;
    astray == 0 && differing.is_zero()
}

/// The sixteen bytes from `at` on, if there are as many.
#[inline(always)]
fn sixteen(bytes: &[u8], at: u32) -> Option<&[u8; 16]> {
    let at = at as usize;
    bytes.get(at..at.wrapping_add(16))?.first_chunk()
}

/// Whether the long literal before the hole `at` is there, from its beginning on.
#[inline(always)]
fn has_head<B: Block>(
    layout: &Layout,
    spots: &Spots,
    holes: &[Hole],
    message: &[u8],
    at: u16,
) -> bool {
    let at = usize::from(at);
    let end = at.checked_sub(1).and_then(|before| holes.get(before));
    let end = end.map_or(0, |before| before.end);
    let (Some(spot), Some(head)) = (spots.spots.get(at), sixteen(message, end)) else {
        return false;
    };
    B::load(head).differing(&spot.head, &[0xff; 16]).is_zero()
        && (spot.length <= 32 || is_all(layout, at, message, end))
}

/// Whether what is in the hole `at`, which is no text, is a token.
#[inline(always)]
fn is_token<B: Block>(layout: &Layout, holes: &mut [Hole], message: &[u8], at: u16) -> bool {
    let at = usize::from(at);
    let Some(hole) = holes.get_mut(at) else {
        return false;
    };
    let Hole { start, end, .. } = *hole;
    let window = match sixteen(message, start) {
        Some(window) => *window,
        None => padded(message, start),
    };
    if is_number(B::load(&window), end.wrapping_sub(start)) {
        return true;
    }
    let room = layout.literals.get(at).map_or(0, |literal| literal.room);
    token::<B>(message, start, room, hole) && hole.kind != Kind::String && hole.end == end
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
