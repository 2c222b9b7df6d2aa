//! How the members that every protocol has (ids, times) are read.

use super::protocol::Refusal;
use crate::json::{self, Value};
use crate::key::IdRef;
use crate::record::{Kind, Token};

/// How ids are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ids {
    /// As they come: `7` and `"7"` are different ids.
    #[default]
    Typed,
    /// As texts: `7` is `"7"`.
    Text,
}

impl Ids {
    /// The id that a value is; `None` for null.
    #[inline]
    pub(super) fn read<'a>(self, value: Value<'a>) -> Result<Option<IdRef<'a>>, Refusal> {
        let id = value.id().map_err(|_| Refusal::BadId)?;
        if let (Self::Text, Some(IdRef::Int(_))) = (self, id) {
            let digits = std::str::from_utf8(value.raw()).map_err(|_| Refusal::BadId)?;
            return Ok(Some(IdRef::Text(digits)));
        }
        Ok(id)
    }
}

/// The unit of times on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    #[default]
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
    /// A text such as `2026-08-09T21:05:48.228568804Z` (RFC 3339).
    Rfc3339,
}

impl TimeUnit {
    /// The nanoseconds since the Unix epoch that a time is.
    #[inline]
    pub(super) fn nanos(self, time: Value<'_>) -> Result<u64, Refusal> {
        let scale = match self {
            Self::Rfc3339 => {
                let time = time.str().and_then(rfc3339);
                return time.ok_or(Refusal::BadTime);
            }
            Self::Seconds => 1_000_000_000,
            Self::Milliseconds => 1_000_000,
            Self::Microseconds => 1000,
            Self::Nanoseconds => 1,
        };
        number(time)
            .and_then(|time| time.checked_mul(scale))
            .ok_or(Refusal::BadTime)
    }
}

/// A whole number, bare or in a text: exchanges write both.
#[inline]
pub(super) fn number(value: Value<'_>) -> Option<u64> {
    let digits = match value.token() {
        Token {
            kind: Kind::Number | Kind::String,
            text,
        } => text,
        // Digits that are written as escapes are digits.
        _ => value.string()?,
    };
    json::digits(digits)
}

/// Nanoseconds since the Unix epoch of a time by RFC 3339; `None` if it is none, or before 1970.
/// Digits beyond nanoseconds are cut off; a leap second is the second after it.
pub(super) fn rfc3339(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let digits = |from: usize, count: usize| -> Option<u64> {
        let digits = bytes.get(from..from + count)?;
        digits.iter().try_fold(0, |sum, digit| {
            digit
                .is_ascii_digit()
                .then(|| sum * 10 + u64::from(digit - b'0'))
        })
    };
    let is = |at: usize, these: &[u8]| bytes.get(at).is_some_and(|byte| these.contains(byte));
    let marked = is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":");
    if !marked {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(5, 2)?, digits(8, 2)?);
    let (hour, minute, second) = (digits(11, 2)?, digits(14, 2)?, digits(17, 2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (mut at, mut nanos) = (19, 0);
    if is(at, b".") {
        let fraction = bytes[at + 1..].iter().take_while(|b| b.is_ascii_digit());
        let count = fraction.count();
        let kept = count.min(9);
        nanos = digits(at + 1, kept).filter(|_| count > 0)? * 10_u64.pow(9 - kept as u32);
        at += 1 + count;
    }
    let offset = match bytes.get(at)? {
        b'Z' | b'z' if bytes.len() == at + 1 => 0,
        sign @ (b'+' | b'-') if bytes.len() == at + 6 && is(at + 3, b":") => {
            let (hours, minutes) = (digits(at + 1, 2)?, digits(at + 4, 2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = (hours * 3600 + minutes * 60) as i64;
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    // Days since the epoch, by a calendar whose year begins in March.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let days =
        (y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1).checked_sub(719_468)?;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    u64::try_from(seconds as i64 - offset)
        .ok()?
        .checked_mul(1_000_000_000)?
        .checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_by_rfc_3339() {
        let at = |text| rfc3339(text);
        assert_eq!(at("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(at("2000-02-29T12:30:15.5Z"), Some(951_827_415_500_000_000));
        assert_eq!(
            at("2026-08-09T21:05:48.228568804Z"),
            Some(1_786_309_548_228_568_804)
        );
        assert_eq!(at("2026-08-09T23:05:48+02:00"), at("2026-08-09T21:05:48Z"));
        assert_eq!(at("2026-08-09 16:05:48-05:00"), at("2026-08-09T21:05:48Z"));
        assert_eq!(
            at("2021-04-17T16:43:37.0756871234Z"),
            at("2021-04-17T16:43:37.075687123Z")
        );
        for wrong in [
            "",
            "2026",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-00-10T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00Zz",
            "2026-01-01T00:00:00+1:00",
            "+026-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
        ] {
            assert_eq!(at(wrong), None, "{wrong:?}");
        }
    }
}
