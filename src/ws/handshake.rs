//! The opening handshake: RFC 6455, section 4.
//!
//! [`Request`] says what to send; [`verify_response`] judges the answer, header by header. Parsing
//! HTTP itself is left to whoever reads the socket.

mod request;
mod response;

pub use request::{Request, RequestError};
pub use response::{Accepted, HandshakeError, verify_response};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};

/// What a server appends to the key before hashing it (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The nonce of one handshake, as it stands in `Sec-WebSocket-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Makes a key of 16 random bytes, which must be new for each handshake.
    #[must_use]
    pub fn new(nonce: [u8; 16]) -> Self {
        Self(BASE64.encode(nonce))
    }

    /// The header's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of `Sec-WebSocket-Accept` that proves that the server read this key.
    #[must_use]
    pub fn accept(&self) -> String {
        BASE64.encode(
            Sha1::new()
                .chain_update(&self.0)
                .chain_update(GUID)
                .finalize(),
        )
    }
}

/// Whether a byte may stand in a token, such as a header's name (RFC 9110, section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

#[cfg(test)]
mod tests;
