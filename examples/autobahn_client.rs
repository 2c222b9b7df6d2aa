//! The client side of the Autobahn conformance suite: an echo client on a blocking socket.
//!
//! It shows how `tickcache::ws` is driven without a runtime, and is what `.ci/autobahn` judges:
//!
//! ```text
//! cargo run --no-default-features --example autobahn_client -- 127.0.0.1:9001 tickcache
//! ```
//!
//! The server numbers its cases; each is one connection. The client echoes every message, answers
//! pings and closes, and fails the connection as the protocol asks when a rule is broken.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;
use std::{env, process, str};

use tickcache::ws::{CloseFrame, Decoder, Event, Limits, Request, encode};

type Error = Box<dyn std::error::Error>;

/// How long the server may stay silent before a case counts as stuck.
const SILENCE: Duration = Duration::from_secs(60);
/// The longest response head that is read.
const MAX_HEAD: usize = 16 << 10;

fn main() {
    let mut args = env::args().skip(1);
    let (Some(address), Some(agent)) = (args.next(), args.next()) else {
        eprintln!("usage: autobahn_client HOST:PORT AGENT");
        process::exit(2);
    };
    if let Err(error) = run(&address, &agent) {
        eprintln!("autobahn_client: {error}");
        process::exit(1);
    }
}

fn run(address: &str, agent: &str) -> Result<(), Error> {
    let mut count = String::new();
    Connection::open(address, "/getCaseCount")?.serve(|event, _| {
        if let Event::Text(text) = event {
            count = String::from_utf8_lossy(text).into_owned();
        }
        Ok(())
    })?;
    let count: usize = count.trim().parse()?;
    for case in 1..=count {
        let path = format!("/runCase?case={case}&agent={agent}");
        // A case may end in any way the server likes; its report is the verdict.
        if let Err(error) = Connection::open(address, &path)?.serve(echo) {
            eprintln!("case {case}: {error}");
        }
    }
    Connection::open(address, &format!("/updateReports?agent={agent}"))?.serve(|_, _| Ok(()))
}

fn echo(event: Event<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    match event {
        Event::Text(text) => encode::text(out, mask()?, str::from_utf8(text)?),
        Event::Binary(bytes) => encode::binary(out, mask()?, bytes),
        _ => {}
    }
    Ok(())
}

/// A new masking key.
fn mask() -> Result<[u8; 4], getrandom::Error> {
    let mut key = [0; 4];
    getrandom::fill(&mut key)?;
    Ok(key)
}

struct Connection {
    socket: TcpStream,
    decoder: Decoder,
}

impl Connection {
    fn open(address: &str, path: &str) -> Result<Self, Error> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(SILENCE))?;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)?;
        let request = Request::new(address, path, nonce)?;
        let mut out = Vec::new();
        request.write_to(&mut out);
        socket.write_all(&out)?;

        let (head, rest) = read_head(&mut socket)?;
        let (status, headers) = parse_head(&head).ok_or("the response is not HTTP/1.1")?;
        request.verify(status, headers)?;
        let mut decoder = Decoder::new(Limits::default());
        let taken = decoder.extend(&rest);
        assert_eq!(
            taken,
            rest.len(),
            "the head was shorter than the read buffer"
        );
        Ok(Self { socket, decoder })
    }

    /// Hands events to `handle` until the connection ends, and sends what it and the protocol ask
    /// for, once for each batch of frames.
    fn serve(
        mut self,
        mut handle: impl FnMut(Event<'_>, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut out = Vec::new();
        loop {
            let ended = loop {
                match self.decoder.next() {
                    Ok(None) => break false,
                    Ok(Some(Event::Ping(bytes))) => encode::pong(&mut out, mask()?, bytes)?,
                    Ok(Some(Event::Close(why))) => {
                        encode::close(&mut out, mask()?, why)?;
                        break true;
                    }
                    Ok(Some(event)) => handle(event, &mut out)?,
                    Err(error) => {
                        let code = error.close_code();
                        encode::close(&mut out, mask()?, Some(CloseFrame { code, reason: "" }))?;
                        break true;
                    }
                }
            };
            self.socket.write_all(&out)?;
            out.clear();
            if ended {
                self.finish();
                return Ok(());
            }
            match self.socket.read(self.decoder.space())? {
                0 => return Ok(()),
                n => self.decoder.filled(n),
            }
        }
    }

    /// Lets the server close first, so that it sees the close frame rather than a reset.
    fn finish(mut self) {
        // A server that is gone already has seen all it wants to see.
        if self.socket.shutdown(Shutdown::Write).is_ok() {
            io::copy(&mut self.socket, &mut io::sink()).ok();
        }
    }
}

/// Reads up to the empty line; also yields what came after it.
fn read_head(socket: &mut TcpStream) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let n = socket.read(&mut chunk)?;
        if n == 0 || head.len() + n > MAX_HEAD {
            return Err("the response has no end".into());
        }
        head.extend_from_slice(&chunk[..n]);
        if let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") {
            let rest = head.split_off(end + 4);
            return Ok((head, rest));
        }
    }
}

type Headers<'a> = Vec<(&'a str, &'a [u8])>;

/// The status and the headers of a response head.
fn parse_head(head: &[u8]) -> Option<(u16, Headers<'_>)> {
    let mut lines = str::from_utf8(head).ok()?.split("\r\n");
    let status = lines
        .next()?
        .strip_prefix("HTTP/1.1 ")?
        .get(..3)?
        .parse()
        .ok()?;
    let mut headers = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        headers.push((name, value.as_bytes()));
    }
    Some((status, headers))
}
