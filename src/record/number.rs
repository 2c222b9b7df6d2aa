//! From the text of a number to a number, exactly.
//!
//! The grammar is JSON's, except that leading zeros are allowed: exchanges put numbers in strings,
//! and some pad them.

use super::decimal::Decimal;
use super::value::FieldError;

/// Powers of ten that an `f64` holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];
/// The largest integer below which an `f64` holds every one.
const EXACT_INTEGER: u64 = 1 << 53;
/// A `u64` holds any number of so many digits.
const U64_DIGITS: usize = 19;

/// A plain decimal, up to 19 digits and no exponent.
pub(super) struct Short {
    pub(super) negative: bool,
    pub(super) digits: u64,
    /// How many of the digits come after the point.
    pub(super) fraction: usize,
}

impl Short {
    /// The number, rounded to nearest, if its digits are at most [`EXACT_INTEGER`]: one exact
    /// integer divided by one exact power of ten rounds once (Clinger's fast path).
    #[inline(always)]
    pub(super) fn to_f64(&self) -> f64 {
        debug_assert!(self.digits <= EXACT_INTEGER, "exact before it is divided");
        let value = self.digits as f64 / EXACT_POWERS[self.fraction];
        if self.negative { -value } else { value }
    }

    /// The digits as a number, if an `i64` holds them.
    #[inline(always)]
    pub(super) fn to_i64(&self) -> i64 {
        debug_assert!(self.digits <= i64::MAX as u64, "they fit");
        let digits = self.digits as i64;
        if self.negative { -digits } else { digits }
    }
}

/// Reads a plain decimal of up to 19 digits; `None` for anything else, valid or not.
#[inline]
pub(super) fn short(text: &[u8]) -> Option<Short> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if text.len() > U64_DIGITS + 1 {
        return None;
    }
    let mut digits = 0_u64;
    let mut rest = text;
    while let [byte @ b'0'..=b'9', after @ ..] = rest {
        digits = digits.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
        rest = after;
    }
    // 20 digits and no point may have wrapped.
    if rest.is_empty() {
        let fits = !text.is_empty() && text.len() <= U64_DIGITS;
        return fits.then_some(Short {
            negative,
            digits,
            fraction: 0,
        });
    }
    let [b'.', decimals @ ..] = rest else {
        return None;
    };
    if decimals.is_empty() || rest.len() == text.len() {
        return None;
    }
    for byte in decimals {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    Some(Short {
        negative,
        digits,
        fraction: decimals.len(),
    })
}

/// A number taken apart; the grammar is checked.
pub(super) struct Parts<'a> {
    pub(super) negative: bool,
    pub(super) integer: &'a [u8],
    pub(super) fraction: &'a [u8],
    /// Saturated: no finite number that we hold has one near the bounds.
    pub(super) exponent: i64,
}

/// Takes a number apart; `None` if it is none.
pub(super) fn parts(text: &[u8]) -> Option<Parts<'_>> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (integer, text) = take_digits(text)?;
    let (fraction, text) = match text {
        [b'.', rest @ ..] => take_digits(rest)?,
        _ => (&[][..], text),
    };
    let exponent = match text {
        [] => 0,
        [b'e' | b'E', rest @ ..] => exponent(rest)?,
        _ => return None,
    };
    Some(Parts {
        negative,
        integer,
        fraction,
        exponent,
    })
}

fn take_digits(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (digits, rest) = take_digits(text)?;
    if !rest.is_empty() {
        return None;
    }
    let value = digits.iter().fold(0_i64, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    // Half the range, so that the lengths of digits can be added without a check.
    let value = value.min(i64::MAX / 2);
    Some(if negative { -value } else { value })
}

/// The number, rounded to nearest.
#[inline]
pub(super) fn f64(text: &[u8]) -> Result<f64, FieldError> {
    match short(text) {
        Some(short) if short.digits <= EXACT_INTEGER => Ok(short.to_f64()),
        _ => f64_any(text),
    }
}

#[cold]
fn f64_any(text: &[u8]) -> Result<f64, FieldError> {
    parts(text).ok_or(FieldError::WrongType)?;
    let text = std::str::from_utf8(text).map_err(|_| FieldError::WrongType)?;
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(FieldError::Range),
        Err(_) => Err(FieldError::WrongType),
    }
}

/// The number, if it is whole and fits.
#[inline]
pub(super) fn i64(text: &[u8]) -> Result<i64, FieldError> {
    match short(text) {
        Some(Short {
            negative: false,
            digits,
            fraction: 0,
        }) if digits <= i64::MAX as u64 => Ok(digits as i64),
        _ => i128(text)?.try_into().map_err(|_| FieldError::Range),
    }
}

/// The number, if it is whole and fits.
#[inline]
pub(super) fn u64(text: &[u8]) -> Result<u64, FieldError> {
    match short(text) {
        Some(Short {
            negative: false,
            digits,
            fraction: 0,
        }) => Ok(digits),
        _ => i128(text)?.try_into().map_err(|_| FieldError::Range),
    }
}

/// The number, if it is whole and fits.
pub(super) fn i128(text: &[u8]) -> Result<i128, FieldError> {
    Decimal::parse(text)?.to_i128().ok_or(FieldError::Range)
}

#[cfg(test)]
mod tests;
