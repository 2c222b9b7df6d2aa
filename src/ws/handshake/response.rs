//! What a server may answer: RFC 6455, section 4.1, the second list of numbered rules.

use std::time::Duration;

use thiserror::Error;

use super::Key;

/// The longest piece of a header that an error repeats, in characters.
const QUOTED: usize = 64;

/// Why a response does not open a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The server answered with another status than 101: a redirect, a refusal, an overload.
    #[error("server answered with status {status} instead of 101")]
    Status {
        /// The HTTP status.
        status: u16,
        /// How long the server asks to wait, if it says so in seconds; a date is not read, since
        /// there is no clock here.
        retry_after: Option<Duration>,
        /// Where a redirect points, shortened to 64 characters and without its query: servers repeat
        /// there what they were asked, tokens included.
        location: Option<Box<str>>,
    },
    /// There is no `Upgrade` header, or it names something else than `websocket`.
    #[error("response does not upgrade to websocket")]
    Upgrade,
    /// No `Connection` header lists `Upgrade`.
    #[error("response lacks the connection option upgrade")]
    Connection,
    /// There is no `Sec-WebSocket-Accept`: no WebSocket server answered.
    #[error("response lacks Sec-WebSocket-Accept")]
    AcceptMissing,
    /// `Sec-WebSocket-Accept` is not the answer to this key: another request was answered.
    #[error("Sec-WebSocket-Accept does not answer the key that was sent")]
    AcceptWrong,
    /// `Sec-WebSocket-Accept` is there more than once.
    #[error("Sec-WebSocket-Accept is there more than once")]
    AcceptRepeated,
    /// An extension was granted, though none is ever offered.
    #[error("server granted the extension {0:?}, but none was offered")]
    Extension(Box<str>),
    /// A subprotocol was chosen that was not offered.
    #[error("server chose the subprotocol {0:?}, which was not offered")]
    Protocol(Box<str>),
    /// `Sec-WebSocket-Protocol` is there more than once.
    #[error("Sec-WebSocket-Protocol is there more than once")]
    ProtocolRepeated,
}

impl HandshakeError {
    /// Whether the same request may well be accepted later: the server is overloaded or out of
    /// order, or asked to come back. Everything else will be refused the same way until someone
    /// changes the configuration or the server.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Status {
                status,
                retry_after,
                ..
            } => {
                retry_after.is_some()
                    || matches!(status, 408 | 425 | 429 | 500 | 502..=504 | 506..=510 | 512..=599)
            }
            _ => false,
        }
    }
}

/// A handshake that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// Which of the offered subprotocols the server chose, by its place in the offer; `None` if
    /// it chose none, which the standard allows.
    pub protocol: Option<usize>,
}

/// Judges the response to a handshake with `key` that offered the subprotocols `offered`.
///
/// Names of headers match in any case and may come on several lines. Bytes that follow the
/// response belong to the [`Decoder`](crate::ws::Decoder).
///
/// # Errors
/// The first rule that is broken, in the order of the standard.
pub fn verify_response<'h>(
    status: u16,
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    key: &Key,
    offered: &[impl AsRef<str>],
) -> Result<Accepted, HandshakeError> {
    let seen = Seen::collect(headers);
    if status != 101 {
        return Err(HandshakeError::Status {
            status,
            retry_after: seen.retry_after,
            location: seen.location.map(|to| quote(without_query(to))),
        });
    }
    if !seen.upgrade || seen.other_upgrade {
        return Err(HandshakeError::Upgrade);
    }
    if !seen.connection {
        return Err(HandshakeError::Connection);
    }
    match seen.accept {
        Field::Absent => return Err(HandshakeError::AcceptMissing),
        Field::Repeated => return Err(HandshakeError::AcceptRepeated),
        Field::Once(value) if value != key.accept().as_bytes() => {
            return Err(HandshakeError::AcceptWrong);
        }
        Field::Once(_) => {}
    }
    if let Some(extension) = seen.extension {
        return Err(HandshakeError::Extension(quote(extension)));
    }
    let protocol = match seen.protocol {
        Field::Absent => None,
        Field::Repeated => return Err(HandshakeError::ProtocolRepeated),
        Field::Once(value) => match offered.iter().position(|o| o.as_ref().as_bytes() == value) {
            Some(place) => Some(place),
            None => return Err(HandshakeError::Protocol(quote(value))),
        },
    };
    Ok(Accepted { protocol })
}

/// A header that may be there once.
#[derive(Clone, Copy, Default)]
enum Field<'h> {
    #[default]
    Absent,
    Once(&'h [u8]),
    Repeated,
}

impl<'h> Field<'h> {
    fn add(&mut self, value: &'h [u8]) {
        *self = match self {
            Self::Absent => Self::Once(value),
            _ => Self::Repeated,
        };
    }
}

/// What the headers of a response say, as far as a handshake asks.
#[derive(Default)]
struct Seen<'h> {
    upgrade: bool,
    other_upgrade: bool,
    connection: bool,
    accept: Field<'h>,
    protocol: Field<'h>,
    extension: Option<&'h [u8]>,
    retry_after: Option<Duration>,
    location: Option<&'h [u8]>,
}

impl<'h> Seen<'h> {
    fn collect(headers: impl IntoIterator<Item = (&'h str, &'h [u8])>) -> Self {
        let mut seen = Self::default();
        for (name, value) in headers {
            let value = value.trim_ascii();
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            if is("upgrade") {
                for token in elements(value) {
                    let websocket = token.eq_ignore_ascii_case(b"websocket");
                    seen.upgrade |= websocket;
                    seen.other_upgrade |= !websocket;
                }
            } else if is("connection") {
                seen.connection |= elements(value).any(|t| t.eq_ignore_ascii_case(b"upgrade"));
            } else if is("sec-websocket-accept") {
                seen.accept.add(value);
            } else if is("sec-websocket-protocol") {
                seen.protocol.add(value);
            } else if is("sec-websocket-extensions") {
                seen.extension = seen.extension.or_else(|| elements(value).next());
            } else if is("retry-after") {
                seen.retry_after = seconds(value).or(seen.retry_after);
            } else if is("location") {
                seen.location = Some(value);
            }
        }
        seen
    }
}

/// The elements of a list header; empty ones do not count (RFC 9110, section 5.6.1).
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

fn seconds(value: &[u8]) -> Option<Duration> {
    if !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds: u32 = std::str::from_utf8(value).ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

fn without_query(url: &[u8]) -> &[u8] {
    let end = url.iter().position(|byte| matches!(byte, b'?' | b'#'));
    &url[..end.unwrap_or(url.len())]
}

/// A header's value as an error may repeat it: short, and readable whatever the bytes are.
fn quote(value: &[u8]) -> Box<str> {
    String::from_utf8_lossy(value)
        .chars()
        .take(QUOTED)
        .collect::<String>()
        .into()
}
