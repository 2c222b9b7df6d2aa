//! The plain decimal of one cell, all its bytes at once: no loop, and no branch on a digit.
//!
//! The cell is two words with the text's first byte in byte 1. The text is moved up until its last
//! byte is the highest of the 16, so that zeros fill in from below, which count as leading zeros.
//! The point is made a zero, too; where it was says what to take the integer part, which it has
//! made ten times too large, down by. The 16 digits are added up pairwise by the well-known
//! multiplications within a word. Whatever was no digit and no single point shows in the high bits.

use super::cell::{Kind, SHORT_TOKEN};
use super::number::Short;

const fn every_byte(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Reads the cell of a number, or of a string that may hold one; `None` if it is no plain decimal,
/// valid or not, or no such cell.
#[inline(always)]
pub(super) fn of_cell(words: [u64; 2]) -> Option<Short> {
    let length = words[0] & 0xf;
    let negative = (words[0] >> 8) as u8 == b'-';
    // The tag and a sign become zeros.
    let sign = u64::from(negative) * (u64::from(b'-' ^ b'0') << 8);
    let first = (words[0] & !0xff | u64::from(b'0')) ^ sign ^ every_byte(b'0');
    let text = u128::from(words[1] ^ every_byte(b'0')) << 64 | u128::from(first);
    let text = text << (8 * (SHORT_TOKEN as u32 - length as u32));
    let (first, second) = (text as u64, (text >> 64) as u64);

    // Less '0', a point has a bit that no digit has.
    let (in_first, in_second) = (first & every_byte(0x10), second & every_byte(0x10));
    let points = in_first >> 4 | in_second >> 3;
    let point = &POINTS[points.trailing_zeros() as usize];
    // `'.' ^ '0'` is 0x1e.
    let first = first.wrapping_sub(2 * in_first - (in_first >> 3));
    let second = second.wrapping_sub(2 * in_second - (in_second >> 3));
    let is_other = |word: u64| word | word.wrapping_add(every_byte(0x7f - 9));
    let others = (is_other(first) | is_other(second)) & every_byte(0x80);
    // What else has that bit is above nine now, but for `/`, which is one.
    let slashes = first & in_first >> 4 | second & in_second >> 4;
    let several = points & points.wrapping_sub(1);
    let is_plain = others | slashes | several == 0 && length > u64::from(negative) + point.length;
    if !is_plain || !is_numeric(words[0]) {
        return None;
    }
    let digits = eight(first) * 100_000_000 + eight(second);
    let tens = u128::from(digits) * u128::from(point.magic);
    let integer = (tens >> 64) as u64 >> point.shift;
    Some(Short {
        negative,
        digits: digits - integer * point.nine,
        fraction: point.fraction as usize,
    })
}

/// Whether the cell that begins with this word holds a number or a string without escapes, whole.
#[inline(always)]
fn is_numeric(first: u64) -> bool {
    const _: () = assert!(Kind::Number as u8 == 4 && Kind::String as u8 == 5);
    first & 0xe0 == 0x40
}

/// Eight digits, one a byte, the lowest byte counting most.
#[inline(always)]
fn eight(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(1 + (10 << 8)) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(1 + (100 << 16)) >> 16 & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(1 + (10_000 << 32)) >> 32
}

/// What a point at one place, read as a zero, does to the digits.
#[derive(Clone, Copy)]
struct Point {
    /// The integer part is the digits times this, shifted right by 64 and by `shift`.
    magic: u64,
    /// What is too much of each one of the integer part: nine of the place where it belongs.
    nine: u64,
    /// How much of the text is the point and what follows it: there has to be more.
    length: u64,
    shift: u8,
    fraction: u8,
}

/// By the trailing zeros of the word in which byte `i` has bit 0 for a point in byte `i` of the
/// text, and bit 1 for one in byte `8 + i`. The last one is for no point.
static POINTS: [Point; 65] = {
    let none = Point {
        magic: 0,
        nine: 0,
        length: 0,
        shift: 0,
        fraction: 0,
    };
    let mut points = [none; 65];
    let mut at = 0;
    // A point at the end is none: no text is long enough.
    points[7 * 8 + 1].length = 16;
    while at < 15 {
        let fraction = 15 - at;
        let unit = 10_u64.pow(fraction as u32);
        // Rounded up; right for all digits below 2^63, of which there are 16 decimal ones.
        let shift = (10 * unit).ilog2();
        let magic = ((1_u128 << (64 + shift)) / (10 * unit) as u128) as u64 + 1;
        points[at % 8 * 8 + at / 8] = Point {
            magic,
            nine: 9 * unit,
            length: fraction as u64 + 1,
            shift: shift as u8,
            fraction: fraction as u8,
        };
        at += 1;
    }
    points
};

#[cfg(test)]
mod tests;
