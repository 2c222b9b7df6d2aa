//! `nats-server`, whose messages are a byte stream of their own inside binary frames.
//!
//! A feed takes texts and refuses binary messages, so NATS cannot be a feed: what the whole engine
//! does with it is counted here, and everything else goes through the engine's handshake, decoder
//! and encoder by hand ([`link`]). A stream of 10,000 numbered messages is written and read over one
//! connection while the server is killed twice; each side goes on by the numbers of the other.

mod link;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tickcache::feed::{CounterValues, Refusal};
use tickcache::{Backoff, Cache, Feed};

use crate::random::Random;
use crate::servers::{Folder, LONG, Port, Running, has, installed, until_open};
use link::{Link, Said};

const MESSAGES: u64 = 10_000;

/// Most bytes, and most messages, that are on their way before they are acknowledged.
const AHEAD: (usize, u64) = (2 << 20, 64);

/// The longest message that the server takes.
const LONGEST: usize = 1 << 20;

/// Length of the message by which a feed on NATS shows that it is subscribed: more than the server
/// says of itself.
const HERE: usize = 4000;

/// A server that can be started again on the same port and with the same store.
struct Nats {
    port: u16,
    /// That of the WebSocket and NATS' own, which it cannot do without.
    _ports: [Port; 2],
    folder: Folder,
    running: Option<Running>,
}

impl Nats {
    fn start() -> Self {
        let ports = [Port::reserve(), Port::reserve()];
        let folder = Folder::of(&ports[0]);
        let [port, own] = ports.each_ref().map(|port| port.number);
        let store = folder.0.join("store");
        let config = format!(
            "listen: \"127.0.0.1:{own}\"\nmax_payload: {LONGEST}\n\
             websocket {{ listen: \"127.0.0.1:{port}\", no_tls: true }}\n\
             jetstream {{ store_dir: \"{}\" }}\n",
            store.display()
        );
        fs::write(folder.0.join("nats.conf"), config).expect("written");
        let mut nats = Self {
            port,
            _ports: ports,
            folder,
            running: None,
        };
        nats.starts();
        nats
    }

    fn starts(&mut self) {
        let mut command = Command::new("nats-server");
        command.arg("-c").arg(self.folder.0.join("nats.conf"));
        command.arg("-l").arg(self.folder.0.join("log"));
        self.running = Some(Running::start(&mut command));
        until_open(self.port);
    }

    /// Without a word, or as an administrator would.
    fn ends(&mut self, is_killed: bool) {
        let running = self.running.take().expect("it runs");
        if is_killed {
            drop(running);
        } else {
            running.terminate();
        }
    }
}

fn server() -> Option<Nats> {
    (installed().is_some() && has("nats-server")).then(Nats::start)
}

/// Message `number`, the same whenever it is asked for; from nothing to the longest.
fn payload(number: u64) -> Vec<u8> {
    let mut random = Random::new(number);
    let length = match number {
        1..=4 => [0, 1, LONGEST, LONGEST - 1][number as usize - 1],
        _ if number.is_multiple_of(1000) => random.pick(LONGEST),
        _ if number.is_multiple_of(50) => random.pick(70_000),
        // Around the lengths at which headers of frames grow.
        _ if number.is_multiple_of(10) => 110 + random.pick(30),
        _ => random.pick(300),
    };
    (0..length).map(|_| random.next() as u8).collect()
}

/// A connection, and what goes over it.
struct Session {
    link: Link,
    /// The number that the stream has given to the last message that was acknowledged.
    stored: u64,
    /// The number of the last message that came.
    read: u64,
}

impl Session {
    /// Asks the server something, and gives its answer; other messages may come before it.
    fn asks(&mut self, what: &str, with: &Json) -> Option<Json> {
        let subject = format!("$JS.API.{what}");
        self.link
            .publish(&subject, "in.answer", with.to_string().as_bytes());
        self.link.send().ok()?;
        loop {
            if let Some(answer) = self.hears()? {
                return Some(answer);
            }
        }
    }

    /// Takes one message: an acknowledgement, the next of the stream, or an answer. Nothing if the
    /// connection is gone.
    fn hears(&mut self) -> Option<Option<Json>> {
        let said = self.link.hear()?;
        let Said::Message {
            subject,
            reply,
            payload: bytes,
        } = said
        else {
            panic!("{said:?}")
        };
        if let Some(number) = subject.strip_prefix("t.") {
            let number: u64 = number.parse().expect("a number");
            // `$JS.ACK.<stream>.<consumer>.<deliveries>.<number in the stream>...`
            let place: u64 = reply
                .split('.')
                .nth(5)
                .expect("a place")
                .parse()
                .expect("one");
            assert_eq!(number, place, "it is stored where it was told to be");
            assert_eq!(number, self.read + 1, "once, and in order");
            assert!(bytes == payload(number), "message {number} is another one");
            self.read = number;
            return Some(None);
        }
        let answer: Json = serde_json::from_slice(&bytes).expect("JSON");
        assert!(answer.get("error").is_none(), "{answer}");
        if subject == "in.ack" {
            let number = answer["seq"].as_u64().expect("a number");
            assert_eq!(number, self.stored + 1, "once, and in order");
            self.stored = number;
            return Some(None);
        }
        Some(Some(answer))
    }

    /// Sends the next messages, but none after this one. The number of the last that was sent.
    fn writes(&mut self, until: u64) -> Option<u64> {
        let last = until.min(self.stored + AHEAD.1);
        let (mut bytes, mut sent) = (0, self.stored);
        while sent < last && bytes < AHEAD.0 {
            sent += 1;
            let payload = payload(sent);
            bytes += payload.len();
            self.link.publish(&format!("t.{sent}"), "in.ack", &payload);
        }
        self.link.send().ok()?;
        Some(sent)
    }

    /// Writes up to this message, and reads what comes. Nothing if the connection is gone.
    fn goes_on(&mut self, until: u64) -> Option<()> {
        while self.stored < until {
            let sent = self.writes(until)?;
            while self.stored < sent {
                self.hears()?;
            }
        }
        Some(())
    }

    /// Reads what is missing up to this message.
    fn reads(&mut self, until: u64) -> Option<()> {
        while self.read < until {
            self.hears()?;
        }
        Some(())
    }

    /// Opens a connection that goes on where the last one ended: the server says what it has, and
    /// is told what we have.
    fn resume(port: u16, read: u64, seed: u64) -> Self {
        let mut session = Self {
            link: Link::open(port, seed),
            stored: 0,
            read,
        };
        // The server keeps the consumers of connections that it was killed with: each connection
        // has a subject of its own.
        let out = format!("out.{seed}");
        let wanted = format!("SUB in.* 1\r\nSUB {out} 2\r\n");
        session.link.say(wanted.as_bytes());
        let stream =
            json!({"name": "T", "subjects": ["t.*"], "storage": "file", "retention": "limits"});
        let info = match seed {
            1 => session.asks("STREAM.CREATE.T", &stream),
            _ => session.asks("STREAM.INFO.T", &json!({})),
        };
        let info = info.expect("it answers");
        session.stored = info["state"]["last_seq"].as_u64().expect("a number");
        // What was acknowledged and not yet in its file when it was killed is sent once more.
        assert!(seed == 1 || session.stored > 0, "{info}");
        let config = json!({
            "deliver_subject": out, "ack_policy": "none",
            "deliver_policy": "by_start_sequence", "opt_start_seq": read + 1,
        });
        let consumer = json!({"stream_name": "T", "config": config});
        session
            .asks("CONSUMER.CREATE.T", &consumer)
            .expect("it answers");
        session
    }
}

#[test]
fn a_stream_goes_on_by_its_numbers_after_each_cut() {
    let Some(mut nats) = server() else { return };
    let mut read = 0;
    for (part, is_killed) in (1..).zip([true, false]) {
        let mut session = Session::resume(nats.port, read, part);
        let goal = MESSAGES * part / 3;
        session.goes_on(goal).expect("nobody has ended it");
        // Some are on their way when it ends.
        session.writes(MESSAGES).expect("nobody has ended it");
        nats.ends(is_killed);
        // What was on its way may still come; then the connection is gone.
        while session.hears().is_some() {}
        read = session.read;
        nats.starts();
    }
    let mut session = Session::resume(nats.port, read, 3);
    session.goes_on(MESSAGES).expect("nobody has ended it");
    session.reads(MESSAGES).expect("nobody has ended it");
    assert_eq!((session.stored, session.read), (MESSAGES, MESSAGES));
    let info = session
        .asks("STREAM.INFO.T", &json!({}))
        .expect("an answer");
    assert_eq!(info["state"]["messages"].as_u64(), Some(MESSAGES));
}

/// The whole engine: what cannot be read is refused by name, nothing is shown, and the connection
/// and its successor stay.
#[test]
fn a_feed_refuses_what_is_binary_and_comes_back() {
    let Some(mut nats) = server() else { return };
    let cache = Cache::builder().build().expect("a cache");
    let here = "x".repeat(HERE);
    let feed = Feed::events()
        .whole()
        .entities(["e"])
        .on_open("CONNECT {\"verbose\":false}\r\n")
        .on_open(&format!("SUB e.* 1\r\nPUB e.here {HERE}\r\n{here}\r\n"))
        .url(&format!("ws://127.0.0.1:{}/", nats.port))
        .backoff(Backoff::fixed(Duration::from_millis(5)));
    let feed = cache.attach(feed).expect("attached");
    let until = |is_so: &dyn Fn(&CounterValues) -> bool| {
        let began = Instant::now();
        while !is_so(&feed.counters()) {
            assert!(began.elapsed() < LONG, "{:?}", feed.counters());
            std::thread::yield_now();
        }
    };
    let mut before = 0;
    for round in 1..=2 {
        // Its own message has come back: it was understood, and is subscribed.
        until(&|counted| counted.bytes_received > before + HERE as u64);
        let mut link = Link::open(nats.port, round);
        for number in 0..100 {
            let refused = feed.counters().refused;
            let event = json!({"entity": "e", "id": number, "payload": {"n": number}});
            link.publish("e.all", "", event.to_string().as_bytes());
            link.send().expect("it reads");
            until(&|counted| counted.refused > refused);
        }
        assert_eq!(feed.counters().opens, round);
        nats.ends(round == 1);
        until(&|counted| counted.losses == round);
        before = feed.counters().bytes_received;
        if round == 1 {
            nats.starts();
        }
    }
    cache.close_blocking(LONG).expect("everything ends");
    let counted = feed.counters();
    assert!(counted.balanced(), "{counted:?}");
    assert_eq!((counted.applied, counted.data), (0, 0));
    let binary = |(why, count): &(Refusal, u64)| (*why == Refusal::Binary).then_some(*count);
    let binary = counted.refused_by.iter().find_map(binary);
    assert_eq!(binary, Some(counted.messages), "{counted:?}");
    assert_eq!((counted.opens, counted.losses), (2, 2));
}
