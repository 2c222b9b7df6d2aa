//! Integers out of tokens, eight digits at a time.
//!
//! The digits of a word are checked together and folded by pairs (as simdjson does): ids and
//! sequences are read from every message, and a loop over their digits would cost more than all
//! else that is done with them. The answers are those of `str::parse`, to the last edge.

/// `0` in every byte.
const ZEROS: u64 = 0x3030_3030_3030_3030;
/// The highest bit of every byte.
const HIGH: u64 = 0x8080_8080_8080_8080;
/// What lifts a byte above 9 to its highest bit.
const ABOVE_NINE: u64 = 0x7676_7676_7676_7676;
/// As many digits as always fit.
const ALWAYS_FITS: usize = 16;

/// What `text` says, if it is digits and nothing else (one at least), and fits.
#[inline]
pub(crate) fn digits(text: &[u8]) -> Option<u64> {
    if let Some(low) = text.last_chunk::<8>() {
        let high = text.len() - 8;
        if high == 0 {
            return eight(u64::from_le_bytes(*low));
        }
        if text.len() <= ALWAYS_FITS {
            // The digits before the last eight, behind zeros in place of those that are missing.
            let first = u64::from_le_bytes(*text.first_chunk::<8>()?) ^ ZEROS;
            let first = (first << (64 - 8 * high)) ^ ZEROS;
            return Some(eight(first)? * 100_000_000 + eight(u64::from_le_bytes(*low))?);
        }
        return many(text);
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let first = u64::from(u32::from_le_bytes(*first));
        let last = u64::from(u32::from_le_bytes(*last));
        // Both overlap where there are fewer than eight; what they share is the same.
        let both = first << (64 - 8 * text.len()) | last << 32;
        let missing = ZEROS >> (8 * text.len());
        return eight(both | missing);
    }
    few(text)
}

/// One to three digits.
#[inline]
fn few(text: &[u8]) -> Option<u64> {
    let (first, rest) = text.split_first()?;
    let mut sum = digit(*first)?;
    for byte in rest {
        sum = sum * 10 + digit(*byte)?;
    }
    Some(sum)
}

#[inline]
fn digit(byte: u8) -> Option<u64> {
    let digit = byte.wrapping_sub(b'0');
    (digit <= 9).then_some(digit.into())
}

/// More digits than sixteen: they may not fit.
#[cold]
fn many(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0_u64, |sum, byte| {
        sum.checked_mul(10)?.checked_add(digit(*byte)?)
    })
}

/// What eight digits say, the first in the lowest byte.
#[inline]
fn eight(digits: u64) -> Option<u64> {
    let digits = digits ^ ZEROS;
    if (digits | digits.wrapping_add(ABOVE_NINE)) & HIGH != 0 {
        return None;
    }
    // Pairs, then fours, then all: the earlier digit of each two is the lower one.
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

/// An integer type that a token may be read as.
pub(crate) trait Integer: Sized {
    /// What an integer by JSON's grammar says, if it fits. Anything else is `None` too.
    fn read(token: &[u8]) -> Option<Self>;
}

impl Integer for u64 {
    #[inline]
    fn read(token: &[u8]) -> Option<Self> {
        digits(token)
    }
}

impl Integer for i64 {
    #[inline]
    fn read(token: &[u8]) -> Option<Self> {
        match token.strip_prefix(b"-") {
            None => digits(token)?.try_into().ok(),
            Some(token) => 0_i64.checked_sub_unsigned(digits(token)?),
        }
    }
}

impl Integer for i128 {
    #[inline]
    fn read(token: &[u8]) -> Option<Self> {
        let (digits_of, is_negative) = match token.strip_prefix(b"-") {
            None => (token, false),
            Some(token) => (token, true),
        };
        if digits_of.len() > ALWAYS_FITS {
            return std::str::from_utf8(token).ok()?.parse().ok();
        }
        let value = Self::from(digits(digits_of)?);
        Some(if is_negative { -value } else { value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;
    use std::str::FromStr;

    #[track_caller]
    fn check<T: Integer + FromStr + PartialEq + Debug>(text: &str) {
        assert_eq!(T::read(text.as_bytes()), text.parse().ok(), "{text:?}");
    }

    fn all(text: &str) {
        // A plus is no part of a JSON number, and the only thing on which they differ.
        if !text.contains('+') {
            check::<u64>(text);
            check::<i64>(text);
            check::<i128>(text);
        }
    }

    #[test]
    fn edges_are_read_as_the_standard_library_reads_them() {
        let edges = [
            0,
            u64::MAX.into(),
            i64::MAX.into(),
            i64::MIN.into(),
            i128::MAX,
            i128::MIN,
        ];
        for edge in edges {
            for near in -12..=12_i128 {
                let text = edge.saturating_add(near).to_string();
                for zeros in ["", "0", "00000000", "000000000000000000000"] {
                    let (sign, number) = text.split_at(usize::from(text.starts_with('-')));
                    all(&format!("{sign}{zeros}{number}"));
                }
            }
        }
        for text in [
            "",
            "-",
            "--1",
            "-0",
            "1-",
            "1.5",
            "1e3",
            " 1",
            "1 ",
            "é",
            "١",
            "-é1234567",
        ] {
            all(text);
        }
        let past = "170141183460469231731687303715884105728";
        all(past);
        all(&format!("-{past}"));
        all(&format!("-{past}0"));
    }

    #[test]
    fn every_byte_at_every_place_of_every_length() {
        for length in 1..=24_usize {
            for at in 0..length {
                for byte in 0..=127_u8 {
                    let mut text: Vec<u8> = (0..length).map(|i| b'1' + (i % 9) as u8).collect();
                    text[at] = byte;
                    all(std::str::from_utf8(&text).expect("ASCII"));
                }
                for byte in 128..=255_u8 {
                    let mut text: Vec<u8> = vec![b'7'; length];
                    text[at] = byte;
                    assert_eq!(digits(&text), None);
                    assert_eq!(i64::read(&text), None);
                }
            }
        }
    }

    #[test]
    fn many_numbers_of_every_length() {
        let mut seed = 0x5eed_u64;
        for _ in 0..200_000 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let text = (seed >> (seed % 64)).to_string();
            all(&text);
            all(&format!("-{text}"));
        }
    }
}
