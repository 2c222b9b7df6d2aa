//! The one error of the decoder: which rule of RFC 6455 the server broke.

use thiserror::Error;

/// Why the bytes of a server were refused. The connection is over: answer with
/// [`close_code`](Self::close_code) and drop it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit is set, though no extension was offered (section 5.2).
    #[error("frame has a reserved bit set, but no extension was offered")]
    ReservedBits,
    /// The opcode has no meaning (section 5.2).
    #[error("frame has the unknown opcode {0:#x}")]
    UnknownOpcode(u8),
    /// A server must not mask its frames (section 5.1).
    #[error("frame from the server is masked")]
    Masked,
    /// A control frame is one frame (section 5.5).
    #[error("control frame is fragmented")]
    ControlFragmented,
    /// A control frame carries at most 125 bytes (section 5.5).
    #[error("control frame is longer than 125 bytes")]
    ControlTooLong,
    /// The 64-bit length has its top bit set (section 5.2).
    #[error("frame length has its top bit set")]
    LengthOverflow,
    /// The length is not in its shortest form (section 5.2).
    #[error("frame length is not written in its shortest form")]
    LengthNotMinimal,
    /// The message, all its fragments together, announces more bytes than the limit.
    #[error("message is longer than the limit of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes: [`Limits::max_message`](super::Limits::max_message).
        limit: usize,
    },
    /// A continuation came while no message was open (section 5.4).
    #[error("continuation frame without a message to continue")]
    UnexpectedContinuation,
    /// A new message began before the open one had ended (section 5.4).
    #[error("new message inside a fragmented one")]
    ExpectedContinuation,
    /// A text message or a close reason is not UTF-8 (section 8.1).
    #[error("text is not valid UTF-8")]
    InvalidUtf8,
    /// The payload of a close frame is a single byte (section 5.5.1).
    #[error("close frame carries half a code")]
    CloseTooShort,
    /// The code of a close frame must not appear on the wire (section 7.4).
    #[error("close frame carries the invalid code {0}")]
    CloseCode(u16),
}

impl ProtocolError {
    /// The code to send in the closing frame: 1002, 1007 or 1009.
    #[must_use]
    pub const fn close_code(&self) -> u16 {
        match self {
            Self::InvalidUtf8 => 1007,
            Self::TooLarge { .. } => 1009,
            _ => 1002,
        }
    }
}
