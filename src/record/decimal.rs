//! Exact decimal numbers: what prices and sizes are.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use super::number::{self, Parts, Short};
use super::value::FieldError;

/// Scales up to this are printed with a point and zeros, beyond it with an exponent.
const PLAIN_SCALE: i32 = 64;

/// An exact decimal number: `mantissa × 10^-scale`.
///
/// It keeps the digits as they were written: `1.50` has the mantissa 150 and the scale 2, `1e3`
/// the mantissa 1 and the scale -3, and both print as they came. Comparing and hashing go by the
/// number: `1.50 == 1.5`. The mantissa holds 38 digits; zeros at the end of a longer number are
/// left out, anything else is refused.
///
/// ```
/// use tickcache::record::Decimal;
///
/// let price: Decimal = "61837.63".parse()?;
/// let tick: Decimal = "0.010".parse()?;
/// assert_eq!(price.checked_add(tick), Some("61837.64".parse()?));
/// assert_eq!(price.checked_add(tick).map(|sum| sum.to_string()), Some("61837.640".to_owned()));
/// # Ok::<_, tickcache::record::FieldError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Decimal {
    /// The digits, as an integer.
    pub mantissa: i128,
    /// How many of the digits come after the point; negative for zeros before it.
    pub scale: i32,
}

impl Decimal {
    /// 0.
    pub const ZERO: Self = Self {
        mantissa: 0,
        scale: 0,
    };

    /// `mantissa × 10^-scale`.
    #[must_use]
    pub const fn new(mantissa: i128, scale: i32) -> Self {
        Self { mantissa, scale }
    }

    /// Reads the text of a number.
    #[inline]
    pub(super) fn parse(text: &[u8]) -> Result<Self, FieldError> {
        match number::short(text) {
            Some(short) => Ok(short.into()),
            None => Self::parse_any(text),
        }
    }

    #[cold]
    fn parse_any(text: &[u8]) -> Result<Self, FieldError> {
        let Parts {
            negative,
            integer,
            fraction,
            exponent,
        } = number::parts(text).ok_or(FieldError::WrongType)?;
        let limit = i128::MAX.unsigned_abs() + u128::from(negative);
        let digits = || integer.iter().chain(fraction);
        let mut magnitude = 0_u128;
        let mut left_out = 0_i64;
        for (at, byte) in digits().enumerate() {
            let digit = u128::from(byte - b'0');
            let next = magnitude
                .checked_mul(10)
                .and_then(|tens| tens.checked_add(digit));
            if let Some(next) = next.filter(|next| *next <= limit) {
                magnitude = next;
            } else if digits().skip(at).all(|byte| *byte == b'0') {
                left_out = (integer.len() + fraction.len() - at) as i64;
                break;
            } else {
                return Err(FieldError::Range);
            }
        }
        let scale = fraction.len() as i64 - left_out - exponent;
        let scale = match i32::try_from(scale) {
            Ok(scale) => scale,
            // Zero is zero at any scale.
            Err(_) if magnitude == 0 => scale.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
            Err(_) => return Err(FieldError::Range),
        };
        let mantissa = if negative {
            (magnitude as i128).wrapping_neg()
        } else {
            magnitude as i128
        };
        Ok(Self { mantissa, scale })
    }

    /// Whether it is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// The same number without zeros at the end of its mantissa; zero with the scale 0.
    #[must_use]
    pub fn normalized(self) -> Self {
        let Self {
            mut mantissa,
            mut scale,
        } = self;
        if mantissa == 0 {
            return Self::ZERO;
        }
        while mantissa % 10 == 0 && scale > i32::MIN {
            mantissa /= 10;
            scale -= 1;
        }
        Self { mantissa, scale }
    }

    /// The number as an integer, if it is one and fits.
    #[must_use]
    pub fn to_i128(self) -> Option<i128> {
        let Self { mantissa, scale } = self;
        match (mantissa, scale) {
            (0, _) => Some(0),
            (_, 0) => Some(mantissa),
            (_, 1..) => {
                let divisor = 10_i128.checked_pow(scale.unsigned_abs())?;
                (mantissa % divisor == 0).then(|| mantissa / divisor)
            }
            _ => mantissa.checked_mul(10_i128.checked_pow(scale.unsigned_abs())?),
        }
    }

    /// The number rounded to the nearest `f64`; infinite beyond the largest finite one.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        use std::io::Write as _;
        // On the stack: an i128 has at most 40 characters, an exponent 11.
        let mut text = [0; 64];
        let mut rest = &mut text[..];
        let written = write!(rest, "{}e{}", self.mantissa, -i64::from(self.scale));
        debug_assert!(written.is_ok(), "there is room for the longest");
        let left = rest.len();
        let used = text.len() - left;
        let beyond = if self.mantissa < 0 {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        };
        number::f64(&text[..used]).unwrap_or(beyond)
    }

    /// The sum, with the larger of the scales where its mantissa allows it; `None` if it does not
    /// fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let sum = |a: Self, b: Self| {
            let scale = a.scale.max(b.scale);
            let mantissa = a.mantissa_at(scale)?.checked_add(b.mantissa_at(scale)?)?;
            Some(Self { mantissa, scale })
        };
        sum(self, other).or_else(|| match (self.mantissa, other.mantissa) {
            (0, _) => Some(other),
            (_, 0) => Some(self),
            _ => sum(self.normalized(), other.normalized()),
        })
    }

    /// The difference, with the larger of the scales where its mantissa allows it; `None` if it
    /// does not fit.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        let mantissa = other.mantissa.checked_neg()?;
        self.checked_add(Self {
            mantissa,
            scale: other.scale,
        })
    }

    /// The product, with the sum of the scales where its mantissa allows it; `None` if it does not
    /// fit.
    #[must_use]
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        let product = |a: Self, b: Self| {
            let scale = a.scale.checked_add(b.scale)?;
            Some(Self {
                mantissa: a.mantissa.checked_mul(b.mantissa)?,
                scale,
            })
        };
        product(self, other).or_else(|| product(self.normalized(), other.normalized()))
    }

    /// The mantissa that the same number has at a scale not below its own.
    fn mantissa_at(self, scale: i32) -> Option<i128> {
        let more = (i64::from(scale) - i64::from(self.scale)).try_into().ok()?;
        match (self.mantissa, more) {
            (0, _) => Some(0),
            (mantissa, 0) => Some(mantissa),
            (mantissa, more) => mantissa.checked_mul(10_i128.checked_pow(more)?),
        }
    }
}

impl From<Short> for Decimal {
    #[inline]
    fn from(short: Short) -> Self {
        let digits = i128::from(short.digits);
        Self {
            mantissa: if short.negative { -digits } else { digits },
            scale: short.fraction as i32,
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.mantissa, other.mantissa);
        if self.scale == other.scale {
            return a.cmp(&b);
        }
        if a.signum() != b.signum() || a == 0 {
            return a.signum().cmp(&b.signum());
        }
        // Of two numbers with one sign, first by the place of the leading digit. If it is the same
        // place, the mantissas differ in length by as much as the scales, so fewer than 39 digits.
        let place = |number: &Self| {
            i64::from(number.mantissa.unsigned_abs().ilog10()) - i64::from(number.scale)
        };
        let scale = self.scale.max(other.scale);
        let magnitudes = || match (self.mantissa_at(scale), other.mantissa_at(scale)) {
            (Some(a), Some(b)) => a.unsigned_abs().cmp(&b.unsigned_abs()),
            // The one that overflowed is longer than any mantissa can be.
            (None, _) => Ordering::Greater,
            (_, None) => Ordering::Less,
        };
        let order = place(self).cmp(&place(other)).then_with(magnitudes);
        if a < 0 { order.reverse() } else { order }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { mantissa, scale } = self.normalized();
        mantissa.hash(state);
        scale.hash(state);
    }
}

impl Default for Decimal {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.mantissa.unsigned_abs().to_string();
        let text = match self.scale {
            0 => digits,
            scale @ 1..=PLAIN_SCALE => {
                let width = scale as usize + 1;
                let mut digits = format!("{digits:0>width$}");
                digits.insert(digits.len() - scale as usize, '.');
                digits
            }
            scale => format!("{digits}e{}", -i64::from(scale)),
        };
        f.pad_integral(self.mantissa >= 0, "", &text)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Decimal {
    type Err = FieldError;

    /// # Errors
    /// `WrongType` if the text is no number; `Range` if it has more significant digits than fit.
    fn from_str(text: &str) -> Result<Self, FieldError> {
        Self::parse(text.as_bytes())
    }
}

macro_rules! from_integer {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Decimal {
            fn from(number: $integer) -> Self {
                Self::new(number.into(), 0)
            }
        }
    )*};
}

from_integer!(i32 u32 i64 u64 i128);

/// As text, so that no reader makes a float of it.
impl serde::Serialize for Decimal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The newtype by whose name our deserializer knows that the text of a number is wanted.
pub(super) const NEWTYPE: &str = "$tickcache::Decimal";

/// From a number or a string that holds one. From the values of this crate exactly, digit for
/// digit; another format may have made a float of a number before (`serde_json` does, for numbers
/// with a point), and then it is the shortest decimal of that float.
impl<'de> serde::Deserialize<'de> for Decimal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(NEWTYPE, DecimalVisitor)
    }
}

struct DecimalVisitor;

impl<'de> serde::de::Visitor<'de> for DecimalVisitor {
    type Value = Decimal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal number, or a string that holds one")
    }

    fn visit_newtype_struct<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Decimal, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(self)
        } else {
            deserializer.deserialize_str(self)
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Decimal, E> {
        text.parse().map_err(|error| match error {
            FieldError::Range => E::custom(format_args!("the number {text} has too many digits")),
            _ => E::invalid_value(serde::de::Unexpected::Str(text), &self),
        })
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Decimal, E> {
        Ok(number.into())
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Decimal, E> {
        Ok(number.into())
    }

    fn visit_i128<E: serde::de::Error>(self, number: i128) -> Result<Decimal, E> {
        Ok(number.into())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Decimal, E> {
        self.visit_str(&number.to_string())
    }
}

/// The number does not fit the other decimal type exactly.
#[cfg(feature = "rust_decimal")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the number does not fit a rust_decimal::Decimal exactly")]
pub struct NotExact;

/// Exact: a number that needs more than 96 bits or 28 places after the point is refused.
#[cfg(feature = "rust_decimal")]
impl TryFrom<Decimal> for rust_decimal::Decimal {
    type Error = NotExact;

    fn try_from(number: Decimal) -> Result<Self, NotExact> {
        let fitting = |number: Decimal| {
            let scale = number.scale.max(0);
            let mantissa = number.mantissa_at(scale)?;
            Self::try_from_i128_with_scale(mantissa, scale.unsigned_abs()).ok()
        };
        fitting(number)
            .or_else(|| fitting(number.normalized()))
            .ok_or(NotExact)
    }
}

#[cfg(feature = "rust_decimal")]
impl From<rust_decimal::Decimal> for Decimal {
    fn from(number: rust_decimal::Decimal) -> Self {
        // A rust_decimal has at most 28 places after the point.
        Self::new(number.mantissa(), number.scale() as i32)
    }
}

#[cfg(test)]
mod tests;
