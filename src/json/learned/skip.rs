//! Over an array to its end, checking all of it: what is in an array hole.

use std::marker::PhantomData;

use super::block::Block;
use super::scan::{number_end, string_end, word};

/// One past the array at `at`, in which at most `room` arrays and objects lie inside each other,
/// itself included; `None` if it is none, or holds a token that the strict grammar has not.
#[inline(never)]
pub(super) fn array<B: Block>(message: &[u8], at: u32, room: u32) -> Option<u32> {
    let mut walk = Walk::<B> {
        message,
        at,
        by: PhantomData,
    };
    // A bit for each array (0) and object (1) that is open, the innermost one lowest.
    let mut open = 0_u128;
    let mut depth = 0;
    loop {
        // A value.
        match walk.peek()? {
            byte @ (b'[' | b'{') => {
                if depth == room.min(u128::BITS) {
                    return None;
                }
                depth += 1;
                let object = byte == b'{';
                open = open << 1 | u128::from(object);
                walk.at += 1;
                walk.blanks();
                if walk.peek()? != byte + 2 {
                    if object {
                        walk.name()?;
                    }
                    continue;
                }
            }
            byte => walk.scalar(byte)?,
        }
        // What follows it: a comma and the next value, or the ends of what it is in.
        loop {
            walk.blanks();
            let byte = walk.peek()?;
            let object = open & 1 != 0;
            walk.at += 1;
            if byte == b',' {
                walk.blanks();
                if object {
                    walk.name()?;
                }
                break;
            }
            if byte != if object { b'}' } else { b']' } {
                return None;
            }
            open >>= 1;
            depth -= 1;
            if depth == 0 {
                return Some(walk.at);
            }
        }
    }
}

struct Walk<'a, B> {
    message: &'a [u8],
    at: u32,
    by: PhantomData<B>,
}

impl<B: Block> Walk<'_, B> {
    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.message.get(self.at as usize).copied()
    }

    #[inline(always)]
    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    #[inline(always)]
    fn scalar(&mut self, first: u8) -> Option<()> {
        self.at = if first == b'"' {
            string_end::<B>(self.message, self.at)? + 1
        } else if first.is_ascii_digit() || first == b'-' {
            number_end(self.message, self.at)?
        } else {
            word(self.message, self.at, first)?.1
        };
        Some(())
    }

    /// A name, the colon after it, and the blanks around that.
    #[inline(always)]
    fn name(&mut self) -> Option<()> {
        if self.peek()? != b'"' {
            return None;
        }
        self.scalar(b'"')?;
        self.blanks();
        if self.peek()? != b':' {
            return None;
        }
        self.at += 1;
        self.blanks();
        Some(())
    }
}
