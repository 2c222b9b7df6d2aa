//! The WebSocket decoder on any bytes, against itself and against tungstenite.
//!
//! Against itself: events, refusal and the bound on memory are the same whether the bytes come in
//! one read, one at a time or in pieces, and whether messages are lent in place or assembled.
//! Against tungstenite: the same events, and a refusal where it refuses. It differs by design in
//!
//! - lengths that are not minimal: accepted there, so nothing is compared after one;
//! - close codes that must not be sent, and 1014, which is registered but unknown there: reported
//!   there as a close with code 1002;
//! - when it refuses: not before a frame is whole, so it is given zeros to complete the frame.
//!
//! The first byte chooses the pieces and the read buffer; the others are what the server sends.

#![no_main]

use std::io::{self, Read, Write};

use libfuzzer_sys::fuzz_target;
use tickcache::ws::{Decoder, Event, Limits, ProtocolError};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

const MAX_MESSAGE: usize = 1024;
/// More than any frame that is not refused by its header.
const ZEROS: usize = 2 * MAX_MESSAGE;

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

type Outcome = (Vec<Seen>, Option<ProtocolError>);

fn ours(bytes: &[u8], piece: usize, read_buffer: usize) -> Outcome {
    let limits = Limits {
        max_message: MAX_MESSAGE,
        read_buffer,
    };
    let mut decoder = Decoder::new(limits);
    let mut seen = Vec::new();
    for mut piece in bytes.chunks(piece.max(1)) {
        while !piece.is_empty() {
            let taken = decoder.extend(piece);
            assert!(taken > 0, "no room though the buffer was drained");
            piece = &piece[taken..];
            loop {
                let event = match decoder.next() {
                    Ok(Some(event)) => event,
                    Ok(None) => break,
                    Err(error) => return (seen, Some(error)),
                };
                seen.push(match event {
                    Event::Text(bytes) => {
                        assert!(std::str::from_utf8(bytes).is_ok());
                        let owned = bytes.to_vec();
                        // The payload is the caller's to change; no later event may show it.
                        bytes.fill(0xff);
                        Seen::Text(owned)
                    }
                    Event::Binary(bytes) => {
                        let owned = bytes.to_vec();
                        bytes.fill(0xff);
                        Seen::Binary(owned)
                    }
                    Event::Ping(bytes) => Seen::Ping(bytes.to_vec()),
                    Event::Pong(bytes) => Seen::Pong(bytes.to_vec()),
                    Event::Close(why) => Seen::Close(why.map(|w| (w.code, w.reason.to_owned()))),
                });
            }
            assert!(decoder.memory() <= limits.read_buffer + limits.max_message);
        }
    }
    (seen, None)
}

/// Bytes to read; what is written vanishes.
struct Memory<'a>(&'a [u8]);

impl Read for Memory<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite sees up to a close or an error, and whether an error (other than the end of
/// the bytes) ended it.
fn theirs(bytes: &[u8]) -> (Vec<Seen>, bool) {
    let config = WebSocketConfig::default()
        .read_buffer_size(8 << 10)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let mut socket = WebSocket::from_raw_socket(Memory(bytes), Role::Client, Some(config));
    let mut seen = Vec::new();
    loop {
        use tungstenite::error::{Error, ProtocolError};
        match socket.read() {
            Ok(Message::Text(text)) => seen.push(Seen::Text(text.as_bytes().to_vec())),
            Ok(Message::Binary(bytes)) => seen.push(Seen::Binary(bytes.to_vec())),
            Ok(Message::Ping(bytes)) => seen.push(Seen::Ping(bytes.to_vec())),
            Ok(Message::Pong(bytes)) => seen.push(Seen::Pong(bytes.to_vec())),
            Ok(Message::Close(why)) => {
                seen.push(Seen::Close(
                    why.map(|w| (w.code.into(), w.reason.to_string())),
                ));
                return (seen, false);
            }
            Ok(Message::Frame(_)) => unreachable!("never read"),
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                return (seen, false);
            }
            Err(_) => return (seen, true),
        }
    }
}

/// What tungstenite makes of a close code that it does not allow.
fn violation() -> Seen {
    Seen::Close(Some((1002, "Protocol violation".to_owned())))
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, bytes)) = data.split_first() else {
        return;
    };
    let whole = ours(bytes, bytes.len(), 8 << 10);
    let read_buffer = Limits::MIN_READ_BUFFER + usize::from(choice >> 4) * 50;
    assert_eq!(ours(bytes, 1, read_buffer), whole, "byte by byte");
    assert_eq!(
        ours(bytes, usize::from(choice), read_buffer),
        whole,
        "in pieces"
    );
    assert_eq!(
        ours(bytes, bytes.len(), Limits::MIN_READ_BUFFER),
        whole,
        "assembled"
    );

    let (mut seen, error) = whole;
    match error {
        None => {
            if let Some(Seen::Close(Some((1014, _)))) = seen.last() {
                *seen.last_mut().unwrap() = violation();
            }
            assert_eq!(theirs(bytes), (seen, false));
        }
        // A long form of length makes a control frame too long here, whatever it says.
        Some(ProtocolError::LengthNotMinimal | ProtocolError::ControlTooLong) => {
            let (others, _) = theirs(bytes);
            assert_eq!(others.get(..seen.len()), Some(&seen[..]));
        }
        Some(ProtocolError::CloseCode(_)) => {
            let (mut others, refused) = theirs(bytes);
            if !refused {
                // Where the reason is wrong as well, it is refused there for the reason.
                assert_eq!(others.pop(), Some(violation()));
            }
            assert_eq!(others, seen);
        }
        Some(_) => {
            let padded = [bytes, &[0; ZEROS]].concat();
            assert_eq!(theirs(&padded), (seen, true));
        }
    }
});
