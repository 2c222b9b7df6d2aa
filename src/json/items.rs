//! The table of a message's items, and the pass that writes it.
//!
//! simd-json keeps neither the text of numbers nor where a value ends. But its first stage lists
//! the positions of every bracket, comma and colon, and of the first byte of every string, number
//! and literal. One linear pass over them gives every item its place in the message, so that
//! handles can be copied freely and a token is cut without a search.

use super::tape::JsonError;
use crate::record::Kind;

/// What handles of a message look into.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) items: Vec<Item>,
    /// The message with its strings unescaped in place, and simd-json's padding.
    pub(super) plain: Vec<u8>,
}

/// One value or member name. Items stand in the order of the text; a name stands right before its
/// value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    /// First byte of the token. Strings are counted without their quotes.
    pub(super) start: u32,
    /// One past the last byte of the token.
    pub(super) end: u32,
    /// Array, object: the item after all that it holds. `EscapedString`: bytes of the unescaped
    /// text, which begins at `start` in `Decoded::plain`. Nothing otherwise.
    pub(super) extra: u32,
}

const _: () = assert!(size_of::<Item>() == 16);

/// Writes the item table of a message that was checked, from the positions of its first stage;
/// `count` is how many items there are.
///
/// What was checked is not checked again: a position is looked at only where there is a choice.
pub(super) fn list_items(
    text: &[u8],
    starts: &[u32],
    count: usize,
    open: &mut Vec<u32>,
    items: &mut Vec<Item>,
) -> Result<(), JsonError> {
    open.clear();
    items.clear();
    items.reserve(count);
    let mut walk = Walk {
        text,
        starts,
        items,
    };
    // Whether the innermost array or object that is open is an object.
    let mut in_object = false;
    let mut more = true;
    while more {
        let (start, byte) = walk.next().ok_or(JsonError::Syntax)?;
        if matches!(byte, b'{' | b'[') {
            in_object = byte == b'{';
            open.push(walk.items.len() as u32);
            let kind = if in_object { Kind::Object } else { Kind::Array };
            walk.items.push(Item {
                kind,
                start,
                end: 0,
                extra: 0,
            });
            if !matches!(walk.peek(), Some(b'}' | b']')) {
                if in_object {
                    walk.name()?;
                }
                continue;
            }
        } else {
            walk.token(start, byte);
        }
        // After a value: a comma and the next one, or the ends of what it is in.
        more = false;
        while let Some((at, byte)) = walk.next() {
            if byte == b',' {
                if in_object {
                    walk.name()?;
                }
                more = true;
                break;
            }
            let extra = walk.items.len() as u32;
            let closed = open.pop().ok_or(JsonError::Syntax)?;
            let item = walk
                .items
                .get_mut(closed as usize)
                .ok_or(JsonError::Syntax)?;
            (item.end, item.extra) = (at + 1, extra);
            in_object = open
                .last()
                .is_some_and(|&top| walk.items[top as usize].kind == Kind::Object);
        }
    }
    if open.is_empty() {
        Ok(())
    } else {
        Err(JsonError::Syntax)
    }
}

/// The positions that are left, and the items so far.
struct Walk<'a> {
    text: &'a [u8],
    starts: &'a [u32],
    items: &'a mut Vec<Item>,
}

impl Walk<'_> {
    /// The next position and the byte there.
    #[inline]
    fn next(&mut self) -> Option<(u32, u8)> {
        let (&start, rest) = self.starts.split_first()?;
        self.starts = rest;
        self.text.get(start as usize).map(|&byte| (start, byte))
    }

    /// The byte at the next position, which stays.
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.get(*self.starts.first()? as usize).copied()
    }

    /// A name and the colon after it.
    #[inline]
    fn name(&mut self) -> Result<(), JsonError> {
        let (start, byte) = self.next().ok_or(JsonError::Syntax)?;
        self.token(start, byte);
        self.next().map(|_| ()).ok_or(JsonError::Syntax)
    }

    /// A value or name that begins with `byte` at `start` and is neither array nor object.
    #[inline]
    fn token(&mut self, start: u32, byte: u8) {
        let next = self
            .starts
            .first()
            .copied()
            .unwrap_or(self.text.len() as u32);
        let mut end = next as usize;
        while end > start as usize + 1 && matches!(self.text[end - 1], b' ' | b'\t' | b'\n' | b'\r')
        {
            end -= 1;
        }
        let end = end as u32;
        self.items.push(match byte {
            b'"' => Item {
                kind: Kind::String,
                start: start + 1,
                end: end - 1,
                extra: 0,
            },
            b'n' => Item {
                kind: Kind::Null,
                start,
                end,
                extra: 0,
            },
            b't' => Item {
                kind: Kind::True,
                start,
                end,
                extra: 0,
            },
            b'f' => Item {
                kind: Kind::False,
                start,
                end,
                extra: 0,
            },
            _ => Item {
                kind: Kind::Number,
                start,
                end,
                extra: 0,
            },
        });
    }
}
