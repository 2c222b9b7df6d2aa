//! JSON pointers (RFC 6901): where in a message something stands.

use std::{fmt, str::FromStr};

use super::value::Value;
use crate::record::Kind;

/// A JSON pointer, taken apart once and then followed any number of times without allocating.
///
/// The empty pointer is the whole message; `/data/0/s` is the member `s` of the first element of
/// the member `data`. In a name `~1` stands for `/` and `~0` for `~`. `-`, the place after the last
/// element, leads nowhere. Beyond the RFC, `-1` is the last element of an array and `-2` the one
/// before it.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Pointer {
    steps: Box<[Step]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Step {
    name: Box<str>,
    /// The step as a place in an array, if it can be one.
    place: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// So many elements stand before it.
    FromStart(usize),
    /// So many elements stand after it.
    FromEnd(usize),
}

/// A text that is no JSON pointer: it is not empty and does not begin with `/`, or has a `~`
/// without `0` or `1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a JSON pointer is empty or begins with `/`, and writes `~` as `~0`")]
pub struct BadPointer;

impl Pointer {
    /// The pointer written as `text`.
    ///
    /// # Errors
    ///
    /// [`BadPointer`] if `text` is none.
    pub fn new(text: &str) -> Result<Self, BadPointer> {
        if text.is_empty() {
            return Ok(Self {
                steps: Box::default(),
            });
        }
        let steps = text
            .strip_prefix('/')
            .ok_or(BadPointer)?
            .split('/')
            .map(Step::new)
            .collect::<Result<_, _>>()?;
        Ok(Self { steps })
    }

    pub(super) fn resolve<'a>(&self, from: Value<'a>) -> Option<Value<'a>> {
        self.steps
            .iter()
            .try_fold(from, |value, step| match value.kind() {
                Kind::Object => value.get(&step.name),
                Kind::Array => match step.place? {
                    Place::FromStart(before) => value.elements().nth(before),
                    Place::FromEnd(after) => {
                        let before = value.len().checked_sub(after + 1)?;
                        value.elements().nth(before)
                    }
                },
                _ => None,
            })
    }
}

impl Step {
    fn new(text: &str) -> Result<Self, BadPointer> {
        let mut parts = text.split('~');
        let mut name = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (escaped, rest) = part.split_at_checked(1).ok_or(BadPointer)?;
            name.push(match escaped {
                "0" => '~',
                "1" => '/',
                _ => return Err(BadPointer),
            });
            name.push_str(rest);
        }
        Ok(Self {
            place: Place::new(&name),
            name: name.into(),
        })
    }
}

impl Place {
    fn new(name: &str) -> Option<Self> {
        // RFC 6901, section 4: an index has no leading zero and no sign.
        let number = |digits: &str| -> Option<usize> {
            let plain = digits == "0"
                || (!digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()));
            if plain { digits.parse().ok() } else { None }
        };
        match name.strip_prefix('-') {
            Some(digits) => Some(Self::FromEnd(number(digits)?.checked_sub(1)?)),
            None => number(name).map(Self::FromStart),
        }
    }
}

impl FromStr for Pointer {
    type Err = BadPointer;

    fn from_str(text: &str) -> Result<Self, BadPointer> {
        Self::new(text)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps
            .iter()
            .try_for_each(|step| write!(f, "/{}", step.name.replace('~', "~0").replace('/', "~1")))
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pointer(\"{self}\")")
    }
}
