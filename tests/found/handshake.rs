//! Any bytes as the answer to an opening handshake.
//!
//! The whole of the client's side runs, from the request that is written to the judgement of the
//! answer, over a stream that hands the bytes out whole or in pieces. Held against a reading of the
//! answer that shares nothing with it: what is accepted is a right 101, and a right 101 that is well
//! formed is accepted. How the bytes were cut into reads changes nothing, what comes behind the
//! answer is handed on unchanged, and no more is read than an answer may be long.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use tickcache::testing;
use tickcache::ws::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The example of RFC 6455, section 1.3.
const NONCE: [u8; 16] = *b"the sample nonce";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const OFFERED: [&str; 2] = ["v2.example", "v1.example"];

/// What the client may hold of an answer, and of what came with its last piece.
const MOST_READ: usize = 2 * (64 << 10);

/// More headers than this are refused, right or not.
const MOST_HEADERS: usize = 90;

/// Bytes to read, a piece at a time, once something was written; what is written vanishes.
struct Memory {
    bytes: Vec<u8>,
    asked: bool,
    piece: usize,
    read: Arc<AtomicUsize>,
}

impl AsyncRead for Memory {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.asked {
            // It is polled again without being woken.
            return Poll::Pending;
        }
        let at = self.read.load(Ordering::Relaxed);
        let length = self.piece.min(into.remaining()).min(self.bytes.len() - at);
        into.put_slice(&self.bytes[at..at + length]);
        self.read.store(at + length, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.asked = true;
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What becomes of a handshake: the bytes behind it and the subprotocol, or the error.
type Outcome = Result<(Vec<u8>, Option<usize>), String>;

fn shake(bytes: &[u8], piece: usize) -> Outcome {
    let request = Request::new("example.org", "/", NONCE);
    let request = OFFERED
        .iter()
        .fold(request, |request, name| request?.protocol(name));
    let request = request.expect("nothing is wrong with it");
    let read = Arc::new(AtomicUsize::new(0));
    let memory = Memory {
        bytes: bytes.to_vec(),
        asked: false,
        piece: piece.max(1),
        read: Arc::clone(&read),
    };
    let mut shaking = pin!(testing::handshake(memory, &request));
    let mut context = Context::from_waker(Waker::noop());
    // Each poll reads something, or the end.
    let mut polls = 0;
    let outcome = loop {
        match shaking.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => break outcome,
            Poll::Pending => polls += 1,
        }
        assert!(polls <= bytes.len() + 100, "it never ends");
    };
    let read = read.load(Ordering::Relaxed);
    assert!(read <= MOST_READ, "{read} bytes were read");
    match outcome {
        Ok((mut behind, protocol)) => {
            behind.extend_from_slice(&bytes[read..]);
            Ok((behind, protocol))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// An answer, read anew: where it ends, and whether anything in it is unusual.
struct Answer<'a> {
    status: &'a str,
    headers: Vec<(String, &'a [u8])>,
    end: usize,
    plain: bool,
}

impl<'a> Answer<'a> {
    /// The first answer that is not merely informational.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut at = 0;
        loop {
            let mut answer = Self::at(bytes, at)?;
            let informs = answer.status.starts_with('1') && answer.status != "101";
            if !informs {
                // Whether what came before is well formed is not looked into.
                answer.plain &= at == 0;
                return Some(answer);
            }
            at = answer.end;
        }
    }

    fn at(bytes: &'a [u8], begin: usize) -> Option<Self> {
        let mut at = begin;
        let mut plain = true;
        let mut line = || {
            let length = bytes[at..].iter().position(|byte| *byte == b'\n')?;
            let line = &bytes[at..at + length];
            at += length + 1;
            match line.strip_suffix(b"\r") {
                Some(line) => Some((line, true)),
                None => Some((line, false)),
            }
        };
        let mut first = line()?;
        // Empty lines before an answer are nothing.
        while first.0.is_empty() {
            plain = false;
            first = line()?;
        }
        let text = first.0;
        let usual = |byte: &u8| (0x20..0x7f).contains(byte) || *byte == b'\t';
        plain &= first.1 && text.iter().all(usual) && text.starts_with(b"HTTP/1.1 101 ");
        let status = text
            .get(9..12)
            .and_then(|status| std::str::from_utf8(status).ok())?;
        let mut headers = Vec::new();
        loop {
            let (line, ends_well) = line()?;
            plain &= ends_well;
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            plain &= !name.is_empty()
                && name
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
            plain &= value.iter().all(usual);
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            plain &= name != "content-length" && name != "transfer-encoding";
            headers.push((name, value.trim_ascii()));
        }
        plain &= headers.len() <= MOST_HEADERS && at - begin <= 8 << 10;
        Some(Self {
            status,
            headers,
            end: at,
            plain,
        })
    }

    fn values(&self, name: &str) -> Vec<&'a [u8]> {
        let named = self.headers.iter().filter(|(other, _)| other == name);
        named.map(|(_, value)| *value).collect()
    }

    /// The elements of all lines of a list, in lower case.
    fn elements(&self, name: &str) -> Vec<Vec<u8>> {
        let all = self.values(name).join(&b","[..]);
        let elements = all.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let present = elements.filter(|element| !element.is_empty());
        present.map(<[u8]>::to_ascii_lowercase).collect()
    }

    /// Whether it opens a WebSocket, and with which subprotocol.
    fn opens(&self) -> Option<Option<usize>> {
        let upgrades = self.elements("upgrade");
        let right = self.status == "101"
            && !upgrades.is_empty()
            && upgrades.iter().all(|word| word == b"websocket")
            && self.elements("connection").contains(&b"upgrade".to_vec())
            && self.values("sec-websocket-accept") == [ACCEPT.as_bytes()]
            && self.elements("sec-websocket-extensions").is_empty();
        let chosen = self.values("sec-websocket-protocol");
        match chosen[..] {
            _ if !right => None,
            [] => Some(None),
            [name] => {
                let place = OFFERED
                    .iter()
                    .position(|offered| offered.as_bytes() == name);
                place.map(Some)
            }
            _ => None,
        }
    }
}

/// The first byte is the length of the pieces; the others are what the server sends. `@` as the
/// second stands for the beginning of a right answer.
///
/// # Panics
/// If the two readings differ.
pub(crate) fn replay(input: &[u8]) {
    let Some((&piece, sent)) = input.split_first() else {
        return;
    };
    let bytes = match sent.split_first() {
        Some((b'@', rest)) => {
            let begin =
                format!("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {ACCEPT}\r\n");
            [begin.as_bytes(), rest].concat()
        }
        _ => sent.to_vec(),
    };
    let whole = shake(&bytes, bytes.len());
    for piece in [usize::from(piece), 1] {
        let cut = shake(&bytes, piece);
        // Of an answer that is wrong and never ends, the one or the other is said.
        assert_eq!(
            cut.as_ref().ok(),
            whole.as_ref().ok(),
            "in pieces of {piece}"
        );
    }
    let answer = Answer::read(&bytes);
    let expected = answer.as_ref().and_then(Answer::opens);
    match (&whole, answer) {
        (Ok((behind, protocol)), Some(answer)) => {
            assert_eq!(
                Some(*protocol),
                expected,
                "accepted what is no right answer"
            );
            assert_eq!(
                *behind,
                &bytes[answer.end..],
                "what comes behind the answer"
            );
        }
        (Ok(_), None) => panic!("accepted what has no end"),
        (Err(error), Some(answer)) => {
            let refused = expected.is_none() || !answer.plain;
            assert!(refused, "refused a right answer: {error}");
        }
        (Err(_), None) => {}
    }
}
