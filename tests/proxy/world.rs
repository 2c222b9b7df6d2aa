//! The server: a made market whose every state is known, told to whoever is connected.
//!
//! Each value holds its own check: `sum` is what `a`, `b` and `c` add up to, and every patch sends
//! it along. A value from which a patch is missing does not add up (or is right by accident).

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};
use tickcache::feed::Rule;
use tungstenite::Message;

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
        json!({"a": a, "b": b, "c": c, "sum": a + b + c})
    }
}

/// One message to all, before the number of its connection is known.
#[derive(Clone, Debug)]
struct Line(Value);

struct Client {
    lines: Sender<Option<Line>>,
}

/// What the connections share.
struct Shared {
    rule: Rule,
    truth: BTreeMap<&'static str, Truth>,
    clients: Vec<Client>,
    random: Random,
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
            clients: Vec::new(),
            random,
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
        for client in shared.clients.drain(..) {
            // It may be gone.
            let _ = client.lines.send(None);
        }
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
            let named = picked.iter().map(|field| FIELDS[*field]).chain(["sum"]);
            named
                .map(|name| (name.to_owned(), value[name].clone()))
                .collect()
        };
        Line(line)
    }

    fn tell(&mut self, line: &Line) {
        self.clients
            .retain(|client| client.lines.send(Some(line.clone())).is_ok());
    }
}

/// One connection: first everything as it is, then what changes.
fn serve(stream: &TcpStream, shared: &Mutex<Shared>) {
    let Ok(mut reading) = stream.try_clone() else {
        return;
    };
    let Ok(mut socket) = tungstenite::accept(stream) else {
        return;
    };
    let (lines, told): (Sender<Option<Line>>, Receiver<_>) = channel();
    {
        let mut shared = shared.lock().expect("no panic");
        for (key, truth) in &shared.truth {
            let whole = json!({"k": "whole", "i": key, "n": truth.number, "v": truth.value()});
            let _ = lines.send(Some(Line(whole)));
        }
        shared.clients.push(Client {
            lines: lines.clone(),
        });
    }
    // Whatever the client says, it is its end that matters.
    thread::spawn(move || {
        while reading.read(&mut [0; 512]).is_ok_and(|read| read > 0) {}
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
