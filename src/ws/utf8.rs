//! UTF-8 checked as it arrives.
//!
//! A text message may be cut anywhere, by fragments or by reads. The check keeps the bytes of an
//! unfinished character, at most three, and refuses at the first byte that no continuation can
//! make valid (`ed a0`, `f4 90`, `c0`), without waiting for the rest of the message.

use std::str;

/// Bytes that are not UTF-8, or end inside a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Invalid;

/// A check in progress. The default one stands at the start of a text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Utf8 {
    /// The bytes of the character that was cut; `len` of them count.
    pending: [u8; 4],
    len: usize,
}

impl Utf8 {
    /// Checks the next bytes of the text.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Invalid> {
        while self.len > 0
            && let [first, rest @ ..] = bytes
        {
            // Four bytes are complete or wrong, so an unfinished character has at most three.
            self.pending[self.len] = *first;
            self.len += 1;
            bytes = rest;
            match str::from_utf8(&self.pending[..self.len]) {
                Ok(_) => self.len = 0,
                Err(e) if e.error_len().is_some() => return Err(Invalid),
                Err(_) => {}
            }
        }
        if let Err(e) = str::from_utf8(bytes) {
            if e.error_len().is_some() {
                return Err(Invalid);
            }
            let cut = &bytes[e.valid_up_to()..];
            self.pending[..cut.len()].copy_from_slice(cut);
            self.len = cut.len();
        }
        Ok(())
    }

    /// Ends the text: it must not stop inside a character. The check stands at a new start after.
    pub(super) fn finish(&mut self) -> Result<(), Invalid> {
        let complete = self.len == 0;
        self.len = 0;
        if complete { Ok(()) } else { Err(Invalid) }
    }
}

/// Whether a text that is there in one piece is valid.
///
/// Feeds send ASCII, for which looking at the high bits is several times as fast as the full check.
#[inline]
pub(super) fn is_valid(bytes: &[u8]) -> bool {
    is_ascii(bytes) || str::from_utf8(bytes).is_ok()
}

/// Bytes that are looked at together: two SSE2 registers.
const BLOCK: usize = 32;

/// As `<[u8]>::is_ascii`, which goes byte by byte over the last part of a block: for messages of
/// 100 to 200 bytes that is most of its time. Here the last block overlaps the one before it.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    let Some(last) = bytes.last_chunk::<BLOCK>() else {
        return bytes.is_ascii();
    };
    let mut seen = *last;
    for block in bytes.as_chunks::<BLOCK>().0 {
        for (seen, byte) in seen.iter_mut().zip(block) {
            *seen |= byte;
        }
    }
    seen.iter().fold(0, |all, byte| all | byte) < 0x80
}

#[cfg(test)]
mod tests;
