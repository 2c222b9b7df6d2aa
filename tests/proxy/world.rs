//! The server: a made market whose every state is known, told to whoever is connected.
//!
//! Each value holds its own check: `sum` is what `a`, `b` and `c` add up to, and every patch sends
//! it along. A value from which a patch is missing does not add up (or is right by accident).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};
use tickcache::feed::Rule;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use crate::random::Random;

pub(crate) const KEYS: [&str; 5] = ["k0", "k1", "k2", "k3", "k4"];
const FIELDS: [&str; 3] = ["a", "b", "c"];

/// What is true of one key.
#[derive(Clone, Debug)]
pub(crate) struct Truth {
    pub(crate) number: u64,
    pub(crate) fields: [i64; 3],
}

impl Truth {
    pub(crate) fn value(&self) -> Value {
        let [a, b, c] = self.fields;
        json!({"a": a, "b": b, "c": c, "sum": a + b + c, "n": self.number})
    }
}

/// One message to all, before the number of its connection is known.
#[derive(Clone, Debug)]
struct Line(Value);

struct Client {
    lines: Sender<Option<Line>>,
    /// What it has asked for; `None`: everything.
    keys: Option<BTreeSet<&'static str>>,
    /// It was told that its connection will be closed.
    is_noticed: bool,
}

/// What the connections share.
struct Shared {
    rule: Rule,
    truth: BTreeMap<&'static str, Truth>,
    clients: BTreeMap<u64, Client>,
    /// How many there were.
    connections: u64,
    random: Random,
    /// Nothing is told that was not asked for.
    must_ask: bool,
    /// For numbers that are not of one key.
    number: u64,
}

/// A server on loopback, until it is dropped.
pub(crate) struct World {
    shared: Arc<Mutex<Shared>>,
    pub(crate) address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
    stop: Arc<Mutex<bool>>,
}

impl World {
    pub(crate) fn start(rule: Rule, seed: u64) -> Self {
        Self::with(rule, seed, false)
    }

    /// A world that tells nothing unless it is asked.
    pub(crate) fn asked(rule: Rule, seed: u64) -> Self {
        Self::with(rule, seed, true)
    }

    fn with(rule: Rule, seed: u64, must_ask: bool) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let truth = KEYS.iter().map(|key| {
            let fields = [(); 3].map(|()| random.below(1000) as i64);
            let number = 10 + random.below(50);
            (*key, Truth { number, fields })
        });
        let truth = truth.collect();
        let shared = Arc::new(Mutex::new(Shared {
            rule,
            truth,
            clients: BTreeMap::new(),
            connections: 0,
            random,
            must_ask,
            number: 1000,
        }));
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
        let address = listener.local_addr().expect("bound");
        let stop = Arc::new(Mutex::new(false));
        let (accepted, stopping) = (Arc::clone(&shared), Arc::clone(&stop));
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if *stopping.lock().expect("no panic") {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&accepted);
                thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self {
            shared,
            address,
            accepting: Some(accepting),
            stop,
        }
    }

    /// The market moves once: one key changes, and all who are connected are told.
    pub(crate) fn step(&self) {
        let mut shared = self.shared.lock().expect("no panic");
        let key = KEYS[shared.random.below(KEYS.len() as u64) as usize];
        let line = shared.change(key);
        shared.tell(&line);
        if shared.random.below(8) == 0 {
            shared.tell(&Line(json!({"k": "beat"})));
        }
    }

    /// Every key moves once more, so that whatever is missing before it can be seen.
    pub(crate) fn step_all(&self) {
        let mut shared = self.shared.lock().expect("no panic");
        for key in KEYS {
            let line = shared.change(key);
            shared.tell(&line);
        }
    }

    /// Ends all connections, in order.
    pub(crate) fn hang_up(&self) {
        let mut shared = self.shared.lock().expect("no panic");
        for client in std::mem::take(&mut shared.clients).into_values() {
            // It may be gone.
            let _ = client.lines.send(None);
        }
    }

    /// Says to everybody that their connections will be closed. How many were told.
    pub(crate) fn give_notice(&self) -> u64 {
        let mut shared = self.shared.lock().expect("no panic");
        shared.tell(&Line(json!({"k": "bye"})));
        let clients = shared.clients.values_mut();
        clients.map(|client| client.is_noticed = true).count() as u64
    }

    /// Ends the connections that were told so.
    pub(crate) fn close_noticed(&self) {
        let mut shared = self.shared.lock().expect("no panic");
        shared.clients.retain(|_, client| {
            let stays = !client.is_noticed;
            if !stays {
                let _ = client.lines.send(None);
            }
            stays
        });
    }

    pub(crate) fn truth(&self, key: &str) -> Truth {
        let shared = self.shared.lock().expect("no panic");
        shared.truth[key].clone()
    }

    pub(crate) fn telling(&self) -> impl Fn(&str) -> Truth + Clone + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move |key| shared.lock().expect("no panic").truth[key].clone()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.hang_up();
        if let Ok(mut stop) = self.stop.lock() {
            *stop = true;
        }
        // Wakes the one who accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    /// Changes a key, and says so as the rule has it.
    fn change(&mut self, key: &'static str) -> Line {
        let rule = self.rule;
        let whole = matches!(rule, Rule::SparseRising | Rule::None) || self.random.below(12) == 0;
        let count = 1 + self.random.below(2);
        let (step, repeat) = (1 + self.random.below(5), self.random.below(3) == 0);
        let picked: Vec<usize> = (0..count).map(|_| self.random.below(3) as usize).collect();
        let news: Vec<i64> = picked
            .iter()
            .map(|_| self.random.below(1_000_000) as i64)
            .collect();
        self.number += step;
        let global = self.number;
        let truth = self.truth.get_mut(key).expect("a key");
        for (field, new) in picked.iter().zip(&news) {
            truth.fields[*field] = *new;
        }
        let before = truth.number;
        let mut line = json!({"i": key});
        match rule {
            Rule::ContiguousPerKey => truth.number += 1,
            Rule::Chained | Rule::ContiguousRange => truth.number += step,
            // Its own numbering is that of the whole market.
            Rule::SparseRising => truth.number = global,
            Rule::RisingEqualAllowed if repeat => {}
            _ => truth.number += step,
        }
        match rule {
            Rule::ContiguousRange => line["f"] = json!(before + 1),
            Rule::Chained => line["p"] = json!(before),
            _ => {}
        }
        line["n"] = json!(truth.number);
        let value = truth.value();
        line["k"] = json!(if whole { "whole" } else { "patch" });
        line["v"] = if whole {
            value
        } else {
            let named = picked
                .iter()
                .map(|field| FIELDS[*field])
                .chain(["sum", "n"]);
            named
                .map(|name| (name.to_owned(), value[name].clone()))
                .collect()
        };
        Line(line)
    }

    fn tell(&mut self, line: &Line) {
        let key = line.0["i"].as_str();
        self.clients.retain(|_, client| {
            let wants = match (&client.keys, key) {
                (Some(keys), Some(key)) => keys.contains(key),
                _ => true,
            };
            !wants || client.lines.send(Some(line.clone())).is_ok()
        });
    }

    /// A key as it is.
    fn whole(&self, key: &str) -> Line {
        let truth = &self.truth[key];
        Line(json!({"k": "whole", "i": key, "n": truth.number, "v": truth.value()}))
    }

    /// A request: `+7 k0,k1` or `-8 k1`.
    fn answer(&mut self, client: u64, request: &str) -> Option<()> {
        let (request, keys) = request.split_once(' ')?;
        let (verb, number) = request.split_at(1);
        let number: u64 = number.parse().ok()?;
        let keys = KEYS
            .into_iter()
            .filter(|key| keys.split(',').any(|it| it == *key));
        let keys: Vec<_> = keys.collect();
        let snapshot: Vec<_> = keys.iter().map(|key| self.whole(key)).collect();
        let client = self.clients.get_mut(&client)?;
        let wanted = client.keys.get_or_insert_default();
        let _ = client
            .lines
            .send(Some(Line(json!({"k": "ok", "q": number}))));
        for (key, whole) in keys.into_iter().zip(snapshot) {
            if verb == "-" {
                wanted.remove(key);
            } else if wanted.insert(key) {
                let _ = client.lines.send(Some(whole));
            }
        }
        Some(())
    }
}

/// One connection: first everything as it is, then what changes.
fn serve(stream: &TcpStream, shared: &Arc<Mutex<Shared>>) {
    let Ok(reading) = stream.try_clone() else {
        return;
    };
    let Ok(mut socket) = tungstenite::accept(stream) else {
        return;
    };
    let (lines, told): (Sender<Option<Line>>, Receiver<_>) = channel();
    let own = {
        let mut shared = shared.lock().expect("no panic");
        shared.connections += 1;
        let own = shared.connections;
        if !shared.must_ask {
            for key in KEYS {
                let _ = lines.send(Some(shared.whole(key)));
            }
        }
        let client = Client {
            lines: lines.clone(),
            keys: shared.must_ask.then(BTreeSet::new),
            is_noticed: false,
        };
        shared.clients.insert(own, client);
        own
    };
    let answering = Arc::clone(shared);
    thread::spawn(move || {
        let mut requests = WebSocket::from_raw_socket(Requests(reading), Role::Server, None);
        while let Ok(message) = requests.read() {
            if let Message::Text(request) = message {
                answering.lock().expect("no panic").answer(own, &request);
            }
        }
        let _ = lines.send(None);
    });
    for (place, line) in (0_u64..).zip(told) {
        let Some(Line(mut line)) = line else { break };
        line["c"] = json!(place);
        if socket.send(Message::text(line.to_string())).is_err() {
            break;
        }
    }
    let _ = socket.close(None);
    let _ = socket.get_mut().flush();
    let _ = stream.shutdown(Shutdown::Both);
}

/// What a client says. It is answered by who writes, or not at all.
struct Requests(TcpStream);

impl Read for Requests {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Requests {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
