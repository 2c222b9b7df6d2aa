//! The header of one frame from a server: RFC 6455, section 5.2.
//!
//! Every rule that needs no memory of earlier frames is checked here, in the order of the bytes,
//! so that a bad header is refused as soon as its first bad byte is read.

use super::ProtocolError;

/// The longest header of a frame without a masking key, in bytes.
pub(super) const MAX_HEADER: usize = 10;
/// The longest payload of a control frame, in bytes.
pub(super) const MAX_CONTROL: usize = 125;

/// Marks the last frame of a message, in the first byte.
pub(super) const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
/// Marks a masked payload, in the second byte.
pub(super) const MASKED: u8 = 0x80;
/// Says, in place of a length, that 16 bits of length follow.
pub(super) const LENGTH_16: u8 = 126;
/// Says, in place of a length, that 64 bits of length follow.
pub(super) const LENGTH_64: u8 = 127;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    /// Whether the frame stands outside messages: close, ping, pong.
    pub(super) const fn is_control(self) -> bool {
        self as u8 >= Self::Close as u8
    }
}

/// A header that obeys every rule a single frame can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Whether this is the last frame of its message.
    pub(super) fin: bool,
    pub(super) opcode: Opcode,
    /// Bytes the header itself takes: 2, 4 or 10.
    pub(super) len: usize,
    /// Bytes of payload announced; below 2^63.
    pub(super) payload: u64,
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` when more bytes are needed to judge it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, ProtocolError> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        if first & RESERVED != 0 {
            return Err(ProtocolError::ReservedBits);
        }
        let bits = first & 0x0f;
        let opcode = Opcode::from_bits(bits).ok_or(ProtocolError::UnknownOpcode(bits))?;
        let fin = first & FIN != 0;
        if opcode.is_control() && !fin {
            return Err(ProtocolError::ControlFragmented);
        }

        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        if second & MASKED != 0 {
            return Err(ProtocolError::Masked);
        }
        if opcode.is_control() && usize::from(second) > MAX_CONTROL {
            return Err(ProtocolError::ControlTooLong);
        }
        let (len, payload) = match second {
            LENGTH_16 => {
                let Some(&length) = bytes[2..].first_chunk() else {
                    return Ok(None);
                };
                let length = u16::from_be_bytes(length);
                if length < u16::from(LENGTH_16) {
                    return Err(ProtocolError::LengthNotMinimal);
                }
                (4, u64::from(length))
            }
            LENGTH_64 => {
                let Some(&length) = bytes[2..].first_chunk() else {
                    return Ok(None);
                };
                let length = u64::from_be_bytes(length);
                if length >> 63 != 0 {
                    return Err(ProtocolError::LengthOverflow);
                }
                if length <= u64::from(u16::MAX) {
                    return Err(ProtocolError::LengthNotMinimal);
                }
                (10, length)
            }
            short => (2, u64::from(short)),
        };
        Ok(Some(Self {
            fin,
            opcode,
            len,
            payload,
        }))
    }
}

/// The header of a text or binary message in one frame of less than 64 KiB, which is what a feed
/// sends nearly always.
///
/// It accepts nothing that [`Header::parse`] refuses, and judges nothing: `None` means "look
/// closer".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plain {
    pub(super) text: bool,
    /// Bytes the header itself takes: 2 or 4.
    pub(super) len: usize,
    /// Bytes of payload announced.
    pub(super) payload: usize,
}

impl Plain {
    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        const TEXT: u8 = FIN | Opcode::Text as u8;
        const BINARY: u8 = FIN | Opcode::Binary as u8;
        // Shorter frames are rare enough to be looked at closely, too.
        let &[first, second, high, low, ..] = bytes else {
            return None;
        };
        if first != TEXT && first != BINARY {
            return None;
        }
        let (len, payload) = match second {
            LENGTH_16 => (4, u16::from_be_bytes([high, low])),
            short => (2, u16::from(short)),
        };
        let is_minimal = if len == 4 {
            payload >= u16::from(LENGTH_16)
        } else {
            second < LENGTH_16
        };
        is_minimal.then_some(Self {
            text: first == TEXT,
            len,
            payload: usize::from(payload),
        })
    }
}

#[cfg(test)]
mod tests;
