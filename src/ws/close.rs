//! The payload of a close frame: RFC 6455, sections 5.5.1 and 7.4.

use std::str;

use super::ProtocolError;

/// Why a peer closes, as a close frame says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseFrame<'a> {
    /// The status code. In a frame that was received it is one of those that
    /// [may be sent](Self::is_sendable).
    pub code: u16,
    /// A note for people; at most 123 bytes.
    pub reason: &'a str,
}

impl<'a> CloseFrame<'a> {
    /// Whether `code` may appear on the wire: 1000 to 1003, 1007 to 1014, and 3000 to 4999, the
    /// ranges of libraries and applications.
    #[must_use]
    pub const fn is_sendable(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// Reads the payload of a close frame; an empty one carries no code.
    pub(super) fn parse(payload: &'a [u8]) -> Result<Option<Self>, ProtocolError> {
        let (code, reason) = match payload {
            [] => return Ok(None),
            [_] => return Err(ProtocolError::CloseTooShort),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        };
        if !Self::is_sendable(code) {
            return Err(ProtocolError::CloseCode(code));
        }
        let reason = str::from_utf8(reason).map_err(|_| ProtocolError::InvalidUtf8)?;
        Ok(Some(Self { code, reason }))
    }
}

#[cfg(test)]
mod tests;
