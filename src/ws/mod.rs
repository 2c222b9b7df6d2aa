//! WebSocket (RFC 6455) for a client, without IO: bytes in, events out.
//!
//! Nothing here owns a socket, reads a clock or draws a random number. The caller
//!
//! 1. writes [`Request::write_to`] (or sends its [`headers`](Request::headers) through an HTTP
//!    library) and gives the answer to [`Request::verify`],
//! 2. reads from the socket straight into [`Decoder::space`], reports the count to
//!    [`Decoder::filled`], and takes [`Decoder::next`] until it yields `None`,
//! 3. sends what it owes (a pong, the echo of a close) with the functions of [`encode`].
//!
//! A frame that breaks a rule is refused as a whole: no byte of its message is delivered, the
//! error names the rule and the close code to send ([`ProtocolError::close_code`]), and the
//! decoder stays failed until it is [reset](Decoder::reset). What a sequence of bytes means never
//! depends on how the bytes were cut into reads.
//!
//! Memory is bounded by [`Limits`], whatever the peer announces or sends: one read buffer, and one
//! buffer for messages that do not fit it, which grows with the bytes that came and is given back.
//!
//! Extensions are never offered, so none is accepted: compressed frames are refused by their
//! reserved bits, and a response that grants an extension fails the handshake.
//!
//! ```
//! use tickcache::ws::{Decoder, Event, Limits};
//!
//! let mut decoder = Decoder::new(Limits::default());
//! let frame = b"\x81\x05hello";
//! decoder.space()[..frame.len()].copy_from_slice(frame);
//! decoder.filled(frame.len());
//! match decoder.next()? {
//!     Some(Event::Text(text)) => assert_eq!(text, b"hello"),
//!     other => panic!("{other:?}"),
//! }
//! assert!(decoder.next()?.is_none());
//! # Ok::<(), tickcache::ws::ProtocolError>(())
//! ```

mod close;
pub mod encode;
mod error;
mod frame;
mod handshake;
mod limits;
mod message;
mod utf8;

pub use close::CloseFrame;
pub use encode::EncodeError;
pub use error::ProtocolError;
pub use handshake::{Accepted, HandshakeError, Key, Request, RequestError, verify_response};
pub use limits::Limits;
pub use message::{Decoder, Event};
