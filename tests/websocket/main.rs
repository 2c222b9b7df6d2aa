//! The WebSocket decoder and handshake against hostile and merely unusual servers, through the
//! public API.
//!
//! Each vector is run whole, one byte at a time, and cut at every position, with a read buffer
//! that lends messages in place and with one that must assemble them. The events before the
//! refusal, the refusal, and the bound on memory must come out the same each time.

mod conversations;
mod vectors;

use std::str;

use tickcache::ws::{
    Accepted, Decoder, Event, HandshakeError, Key, Limits, ProtocolError, verify_response,
};
use vectors::Vector;

/// An event with its bytes copied out.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl Seen {
    fn of(event: Event<'_>) -> Self {
        match event {
            Event::Text(bytes) => Self::Text(str::from_utf8(bytes).expect("UTF-8").to_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Event::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Event::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Event::Close(why) => Self::Close(why.map(|why| (why.code, why.reason.to_owned()))),
        }
    }
}

type Outcome = (Vec<Seen>, Option<ProtocolError>);

/// Feeds `bytes` in the given parts; reads never cross from one part into the next.
fn play<'a>(limits: Limits, parts: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = Decoder::new(limits);
    let bound = limits.read_buffer + limits.max_message;
    let mut seen = Vec::new();
    for mut part in parts {
        while !part.is_empty() {
            let taken = decoder.extend(part);
            assert!(taken > 0, "no room though the buffer was drained");
            part = &part[taken..];
            loop {
                match decoder.next() {
                    Ok(Some(event)) => seen.push(Seen::of(event)),
                    Ok(None) => break,
                    Err(error) => return (seen, Some(error)),
                }
                assert!(decoder.memory() <= bound, "{} bytes held", decoder.memory());
            }
            assert!(decoder.memory() <= bound, "{} bytes held", decoder.memory());
        }
    }
    (seen, None)
}

/// A frame with the shortest length, whatever its first byte says.
fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut out = vec![first];
    match payload.len() {
        len @ 0..=125 => out.push(len as u8),
        len @ 126..=0xffff => {
            out.push(126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(payload);
    out
}

/// The first ten bytes of a frame that announces `len` bytes in the longest form.
fn announce(first: u8, len: u64) -> Vec<u8> {
    [&[first, 127][..], &len.to_be_bytes()].concat()
}

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const TEXT_PART: u8 = 0x01;
const BINARY_PART: u8 = 0x02;
const PART: u8 = 0x00;
const LAST: u8 = 0x80;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// Where to cut `len` bytes in two: everywhere, or for the few long vectors at both ends, around
/// the sizes of the buffers, and at a stride that is prime to them.
fn cuts(len: usize) -> Vec<usize> {
    if len <= 4096 {
        return (0..=len).collect();
    }
    let near = |at: usize| at.saturating_sub(12)..(at + 12).min(len + 1);
    let mut cuts: Vec<usize> = (0..len)
        .step_by(2003)
        .chain(near(0))
        .chain(near(len))
        .collect();
    cuts.extend(near(256).chain(near(65536)).chain(near(len / 2)));
    cuts
}

#[test]
fn every_vector_however_it_is_cut() {
    let vectors = vectors::all();
    assert!(vectors.len() >= 100, "{} vectors", vectors.len());
    for Vector {
        name,
        bytes,
        seen,
        refused,
        max_message,
    } in &vectors
    {
        let expected = (seen.clone(), *refused);
        for read_buffer in [Limits::MIN_READ_BUFFER, 64 << 10] {
            let limits = Limits {
                max_message: *max_message,
                read_buffer,
            };
            let context = |how: &str| format!("{name}, {how}, read buffer of {read_buffer}");
            assert_eq!(play(limits, [&bytes[..]]), expected, "{}", context("whole"));
            assert_eq!(
                play(limits, bytes.chunks(1)),
                expected,
                "{}",
                context("byte by byte")
            );
            for cut in cuts(bytes.len()) {
                let parts = [&bytes[..cut], &bytes[cut..]];
                assert_eq!(
                    play(limits, parts),
                    expected,
                    "{}",
                    context(&format!("cut at {cut}"))
                );
            }
        }
    }
}

#[test]
fn each_refusal_has_the_close_code_of_the_standard() {
    for Vector { name, refused, .. } in vectors::all() {
        let Some(error) = refused else { continue };
        let expected = match error {
            ProtocolError::InvalidUtf8 => 1007,
            ProtocolError::TooLarge { .. } => 1009,
            _ => 1002,
        };
        assert_eq!(error.close_code(), expected, "{name}");
    }
}

/// 65 MiB in fragments under a limit of 2 MiB: refused at the header that passes the limit, with
/// no more memory held than the limit allows.
#[test]
fn a_flood_of_fragments_is_refused_at_the_limit() {
    let limits = Limits {
        max_message: 2 << 20,
        ..Limits::default()
    };
    let mut decoder = Decoder::new(limits);
    let mib = vec![b'x'; 1 << 20];
    let mut refused_at = None;
    'flood: for fragment in 0..65 {
        let first = if fragment == 0 { TEXT_PART } else { PART };
        let bytes = frame(first, &mib);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            rest = &rest[decoder.extend(rest)..];
            assert!(decoder.memory() <= limits.read_buffer + limits.max_message);
            match decoder.next() {
                Ok(event) => assert_eq!(event, None),
                Err(error) => {
                    assert_eq!(error, ProtocolError::TooLarge { limit: 2 << 20 });
                    refused_at = Some(fragment);
                    break 'flood;
                }
            }
        }
    }
    assert_eq!(
        refused_at,
        Some(2),
        "the third MiB is refused by its header"
    );
    assert_eq!(
        decoder.memory(),
        limits.read_buffer,
        "what was assembled is given back"
    );
}

/// The handshake defects that other clients have.
#[test]
fn handshakes_that_others_get_wrong() {
    let key = Key::new([7; 16]);
    let accept = key.accept();
    let verify = |connection: &str, accept: Option<&str>, extensions: Option<&str>| {
        let mut headers: Vec<(&str, &[u8])> = vec![
            ("upgrade", b"websocket"),
            ("connection", connection.as_bytes()),
        ];
        headers.extend(accept.map(|value| ("sec-websocket-accept", value.as_bytes())));
        headers.extend(extensions.map(|value| ("sec-websocket-extensions", value.as_bytes())));
        verify_response(101, headers, &key, &[] as &[&str])
    };
    let good = verify("Upgrade", Some(&accept), None);
    assert!(
        matches!(good, Ok(Accepted { protocol: None, .. })),
        "{good:?}"
    );
    assert_eq!(verify("keep-alive, Upgrade", Some(&accept), None), good);
    assert_eq!(
        verify("Upgrade", None, None),
        Err(HandshakeError::AcceptMissing)
    );
    let other = Key::new([8; 16]).accept();
    assert_eq!(
        verify("Upgrade", Some(&other), None),
        Err(HandshakeError::AcceptWrong)
    );
    let granted = verify("Upgrade", Some(&accept), Some("permessage-deflate"));
    assert_eq!(
        granted,
        Err(HandshakeError::Extension("permessage-deflate".into()))
    );
}
