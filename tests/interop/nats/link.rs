//! A client of NATS over the engine's own WebSocket: its handshake, decoder and encoder. NATS is a
//! stream of lines and payloads inside binary frames, whose ends mean nothing.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;

use tickcache::ws::{Decoder, Event, Limits, Request, encode};

use crate::random::Random;
use crate::servers::LONG;

/// What the server says.
#[derive(Debug)]
pub(crate) enum Said {
    Info,
    Pong,
    Message {
        subject: String,
        /// Where an answer would go to; messages of a stream have their numbers there.
        reply: String,
        payload: Vec<u8>,
    },
}

/// One connection.
pub(crate) struct Link {
    socket: TcpStream,
    decoder: Decoder,
    /// What came of messages that are not complete.
    bytes: Vec<u8>,
    said: VecDeque<Said>,
    /// What is to be sent, before it is cut into frames.
    out: Vec<u8>,
    random: Random,
}

impl Link {
    /// Opens a WebSocket and says who we are.
    pub(crate) fn open(port: u16, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        socket.set_read_timeout(Some(LONG)).expect("an option");
        socket.set_nodelay(true).expect("an option");
        let nonce = [random.next().to_be_bytes(), random.next().to_be_bytes()];
        let nonce = nonce.concat().try_into().expect("16 bytes");
        let host = format!("127.0.0.1:{port}");
        let request = Request::new(&host, "/", nonce).expect("a request");
        let mut link = Self {
            socket,
            decoder: Decoder::new(Limits::default()),
            bytes: Vec::new(),
            said: VecDeque::new(),
            out: Vec::new(),
            random,
        };
        link.shake(&request);
        assert!(matches!(link.hear(), Some(Said::Info)));
        link.say(b"CONNECT {\"verbose\":false,\"pedantic\":true}\r\nPING\r\n");
        link.send().expect("it reads");
        assert!(matches!(link.hear(), Some(Said::Pong)));
        link
    }

    fn shake(&mut self, request: &Request) {
        let mut head = Vec::new();
        request.write_to(&mut head);
        self.socket.write_all(&head).expect("it reads");
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(b"\r\n\r\n") {
            self.socket.read_exact(&mut byte).expect("an answer");
            answer.push(byte[0]);
        }
        let answer = String::from_utf8(answer).expect("text");
        let mut lines = answer.lines();
        let first = lines.next().expect("a status line");
        let status = first.split(' ').nth(1).expect("a status");
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name, value.as_bytes()));
        let accepted = request.verify(status.parse().expect("a number"), headers);
        accepted.expect("a WebSocket");
    }

    /// Puts bytes into the queue.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Puts a message into the queue.
    pub(crate) fn publish(&mut self, subject: &str, reply: &str, payload: &[u8]) {
        let head = format!("PUB {subject} {reply} {}\r\n", payload.len());
        self.say(head.as_bytes());
        self.say(payload);
        self.say(b"\r\n");
    }

    /// Sends what is queued, in frames that begin and end anywhere.
    ///
    /// # Errors
    /// The server is gone.
    pub(crate) fn send(&mut self) -> std::io::Result<()> {
        let mut frames = Vec::new();
        let mut left = &self.out[..];
        while !left.is_empty() {
            let longest = [16, 200, 70_000, 1 << 21][self.random.pick(4)];
            let length = 1 + self.random.pick(longest);
            let (frame, rest) = left.split_at(length.min(left.len()));
            left = rest;
            let mask = (self.random.next() as u32).to_be_bytes();
            encode::binary(&mut frames, mask, frame);
            if self.random.chance(1) {
                encode::ping(&mut frames, mask, b"still here?").expect("short");
            }
        }
        self.out.clear();
        self.socket.write_all(&frames)
    }

    /// What the server says next; nothing if it is gone.
    pub(crate) fn hear(&mut self) -> Option<Said> {
        loop {
            if let Some(said) = self.said.pop_front() {
                return Some(said);
            }
            self.read()?;
        }
    }

    /// Reads once.
    fn read(&mut self) -> Option<()> {
        let space = self.decoder.space();
        let read = match self.socket.read(space) {
            Ok(read @ 1..) => read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("nothing comes any more")
            }
            _ => return None,
        };
        self.decoder.filled(read);
        let mut pongs = Vec::new();
        let mut is_over = false;
        while let Some(event) = self.decoder.next().expect("the rules are kept") {
            match event {
                Event::Binary(bytes) => self.bytes.extend_from_slice(bytes),
                Event::Ping(payload) => {
                    encode::pong(&mut pongs, [1, 2, 3, 4], payload).expect("short");
                }
                Event::Pong(payload) => assert_eq!(payload, b"still here?"),
                Event::Close(_) => is_over = true,
                Event::Text(text) => panic!("a text: {text:?}"),
            }
        }
        let mut taken = 0;
        while let Some((length, said)) = parse(&self.bytes[taken..]) {
            taken += length;
            match said {
                // Its own ping, of which WebSocket knows nothing.
                None => encode::binary(&mut pongs, [0; 4], b"PONG\r\n"),
                Some(said) => self.said.push_back(said),
            }
        }
        self.bytes.drain(..taken);
        // It may be gone by now.
        let _ = self.socket.write_all(&pongs);
        (!is_over || !self.said.is_empty()).then_some(())
    }
}

/// The first thing in these bytes and its length, if all of it is there; nothing for a ping.
fn parse(bytes: &[u8]) -> Option<(usize, Option<Said>)> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    let line = std::str::from_utf8(&bytes[..end]).expect("text");
    let head = end + 2;
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let (subject, reply, length) = match words[..] {
        ["PING"] => return Some((head, None)),
        ["PONG"] => return Some((head, Some(Said::Pong))),
        ["INFO", ..] => return Some((head, Some(Said::Info))),
        ["MSG", subject, _, length] => (subject, "", length),
        ["MSG", subject, _, reply, length] => (subject, reply, length),
        _ => panic!("{line}"),
    };
    let length: usize = length.parse().expect("a length");
    let payload = bytes.get(head..head + length)?;
    assert_eq!(bytes.get(head + length..head + length + 2)?, b"\r\n");
    let said = Said::Message {
        subject: subject.to_owned(),
        reply: reply.to_owned(),
        payload: payload.to_vec(),
    };
    Some((head + length + 2, Some(said)))
}
