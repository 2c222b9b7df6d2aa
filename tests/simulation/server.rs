//! The venue: who is connected, what they asked for, and what is said to them.
//!
//! It knows the truth and numbers what it says by the form of the venue. What it means to say and
//! does not (a loss), says twice (a repeat) or says again much later (a straggler) is drawn from
//! the seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};
use tickcache::Time;

use crate::options::{Form, LOST_IN_A_ROW, Options};
use crate::random::Random;
use crate::resume::{Log, Place};
use crate::tally::Tally;
use crate::truth::Truth;
use crate::venue::{key_of, name};

pub(crate) type ConnId = u64;

/// Messages of a key that a straggler is drawn from.
const REMEMBERED: usize = 4;

/// What makes a message with whole values long.
const PAD: usize = 1_600;

/// One client, as the server sees it.
#[derive(Debug)]
struct Session {
    keys: BTreeSet<usize>,
    /// The number of the next message of the connection.
    next: u64,
    /// By key: the version that was said last.
    said: BTreeMap<usize, usize>,
    lost_in_a_row: u32,
    remembered: VecDeque<Value>,
    /// The client has said where it is, and the server knows what it means.
    goes_on: bool,
    /// Where it is with keys that it has not asked for yet.
    places: BTreeMap<usize, Place>,
    /// Keys of which something came through.
    spoken_of: BTreeSet<usize>,
}

#[derive(Debug)]
pub(crate) struct Server {
    form: Form,
    snapshots: bool,
    bulk: bool,
    /// Clients go on where they were: what was said over each connection.
    logs: Option<BTreeMap<ConnId, Log>>,
    pub(crate) losses: u64,
    pub(crate) repeats: u64,
    pub(crate) truth: Truth,
    /// By key: the version at which its numbers began.
    base: Vec<usize>,
    sessions: BTreeMap<ConnId, Session>,
    /// What is to be sent.
    pub(crate) out: Vec<(ConnId, String)>,
}

impl Server {
    pub(crate) fn new(options: &Options, now: Time, random: &mut Random) -> Self {
        Self {
            form: options.form,
            snapshots: options.snapshots,
            bulk: options.bulk,
            logs: options.is_trusted().then(BTreeMap::new),
            losses: options.losses,
            repeats: options.repeats,
            truth: Truth::new(options.keys, now, random),
            base: vec![0; options.keys],
            sessions: BTreeMap::new(),
            out: Vec::new(),
        }
    }

    /// The number of a version of a key, where the form has numbers.
    pub(crate) fn number(&self, key: usize, version: usize) -> Option<u64> {
        Some(match self.form {
            Form::PerKey | Form::Range => version as u64,
            Form::Chained => version as u64 * 10 + 3,
            Form::Sparse | Form::Equal => self.truth.states(key)[version].global,
            Form::Restarting => (version + 1).checked_sub(self.base[key])? as u64,
            Form::PerConnection | Form::Plain => return None,
        })
    }

    pub(crate) fn is_connected(&self, conn: ConnId) -> bool {
        self.sessions.contains_key(&conn)
    }

    pub(crate) fn connected(&mut self, conn: ConnId) {
        self.sessions.insert(
            conn,
            Session {
                keys: BTreeSet::new(),
                next: 0,
                said: BTreeMap::new(),
                lost_in_a_row: 0,
                remembered: VecDeque::new(),
                goes_on: false,
                places: BTreeMap::new(),
                spoken_of: BTreeSet::new(),
            },
        );
        if let Some(logs) = &mut self.logs {
            logs.insert(conn, Log::default());
        }
    }

    pub(crate) fn disconnected(&mut self, conn: ConnId) {
        self.sessions.remove(&conn);
    }

    /// Forgets every connection; what it knows it keeps, or begins anew.
    pub(crate) fn crash(&mut self, loses_state: bool, now: Time, random: &mut Random) {
        self.sessions.clear();
        if loses_state {
            if let Some(logs) = &mut self.logs {
                logs.clear();
            }
            for key in 0..self.base.len() {
                self.truth.replace(key, now, random);
                self.base[key] = self.truth.version(key);
            }
        }
    }

    /// A client asks for something.
    pub(crate) fn asked(
        &mut self,
        conn: ConnId,
        text: &str,
        random: &mut Random,
        tally: &mut Tally,
    ) {
        let request: Value = serde_json::from_str(text).expect("the client sends JSON");
        if request["op"] == "resume" {
            let number = |name: &str| request[name].as_u64().expect("a number");
            return self.resume(conn, number("s"), number("c"));
        }
        let keys = request["keys"].as_array().expect("keys").iter();
        let keys: Vec<_> = keys
            .map(|key| key_of(key.as_str().expect("a name")))
            .collect();
        let is_on = request["op"] == "sub";
        let Some(session) = self.sessions.get_mut(&conn) else {
            return;
        };
        for key in &keys {
            if is_on {
                session.keys.insert(*key);
            } else {
                session.keys.remove(key);
                // What is ended is not spoken of again.
                let name = name(*key);
                session.remembered.retain(|message| message["k"] != name);
            }
        }
        let session = self.sessions.get_mut(&conn).expect("it was just there");
        let (number, goes_on) = (session.next, session.goes_on);
        let places: Vec<_> = keys.iter().map(|key| session.places.remove(key)).collect();
        self.say(conn, json!({ "t": "ack", "id": request["id"] }));
        if !is_on {
            if let Some(log) = self.log(conn) {
                keys.iter()
                    .for_each(|key| log.note(number, *key, None, false));
            }
            return;
        }
        let mut whole = Vec::new();
        for (key, place) in keys.into_iter().zip(places) {
            match place {
                Some(Place::At(version)) => self.tell_since(conn, key, version, random, tally),
                Some(Place::Unsure) => whole.push(key),
                // Who is trusted sends what it cannot go on from as a whole.
                None if self.snapshots || self.logs.is_some() && !goes_on => whole.push(key),
                None => {
                    // Its changes follow what is there now.
                    let version = self.truth.version(key);
                    let session = self.sessions.get_mut(&conn).expect("it was just there");
                    session.said.insert(key, version);
                    if let Some(log) = self.log(conn) {
                        log.note(number, key, Some(Place::At(version)), false);
                    }
                }
            }
        }
        if !whole.is_empty() {
            self.tell_whole(conn, &whole, random, tally);
        }
    }

    /// A client has been here before: this was the last message that it got.
    fn resume(&mut self, conn: ConnId, before: ConnId, last: u64) {
        let Some(logs) = &mut self.logs else {
            return;
        };
        let (Some(log), Some(session)) = (logs.get(&before), self.sessions.get_mut(&conn)) else {
            return;
        };
        session.places = log.places(last);
        session.goes_on = true;
        let log = Log::following(&session.places);
        logs.insert(conn, log);
    }

    fn log(&mut self, conn: ConnId) -> Option<&mut Log> {
        self.logs.as_mut()?.get_mut(&conn)
    }

    /// Says what has happened to a key since a version that the client has.
    fn tell_since(
        &mut self,
        conn: ConnId,
        key: usize,
        had: usize,
        random: &mut Random,
        tally: &mut Tally,
    ) {
        tally.resumed += 1;
        let present = self.truth.version(key);
        let session = self.sessions.get_mut(&conn).expect("it was just there");
        session.said.insert(key, present);
        // Some put together what they have to say; and what was removed meanwhile is told as it is now:
        // a whole value of before would begin its numbers anew.
        let is_one = self.form.is_whole()
            || matches!(self.form, Form::Range | Form::Chained)
            || self.truth.between(key, had, present).is_none();
        let mut said = had;
        while said < present {
            let next = if is_one { present } else { said + 1 };
            tally.missed += 1;
            self.step(conn, key, (said, next), random, tally);
            said = next;
        }
    }

    /// Says whole values to all who want them.
    pub(crate) fn tell_all_whole(&mut self, random: &mut Random, tally: &mut Tally) {
        let sessions = self.sessions.iter();
        let wanted: Vec<_> = sessions
            .map(|(conn, session)| (*conn, session.keys.iter().copied().collect::<Vec<_>>()))
            .collect();
        for (conn, keys) in wanted {
            self.tell_whole(conn, &keys, random, tally);
        }
    }

    fn tell_whole(&mut self, conn: ConnId, keys: &[usize], random: &mut Random, tally: &mut Tally) {
        let present = |key: &usize| self.whole(*key, self.truth.version(*key));
        let items: Vec<_> = keys.iter().map(present).collect();
        let versions: Vec<_> = keys
            .iter()
            .map(|key| (*key, self.truth.version(*key)))
            .collect();
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.said.extend(versions.iter().copied());
        }
        if self.bulk && !items.is_empty() {
            let pad = "-".repeat(PAD);
            let message = json!({ "t": "many", "pad": pad, "items": items });
            self.data(conn, message, &versions, random, tally);
        } else {
            for (item, version) in items.into_iter().zip(versions) {
                self.data(conn, item, &[version], random, tally);
            }
        }
    }

    /// The message of a key's whole value, or of there being none.
    fn whole(&self, key: usize, version: usize) -> Value {
        let mut message = json!({ "k": name(key) });
        match &self.truth.states(key)[version].value {
            Some(value) => {
                message["t"] = "snap".into();
                message["d"] = value.clone();
            }
            None => message["t"] = "del".into(),
        }
        if let Some(number) = self.number(key, version) {
            message["n"] = number.into();
        }
        message
    }

    /// A key has changed: it is said to all who want it.
    pub(crate) fn changed(&mut self, key: usize, random: &mut Random, tally: &mut Tally) {
        let conns: Vec<_> = self.sessions.keys().copied().collect();
        for conn in conns {
            self.tell(conn, key, random, tally);
        }
    }

    /// A key has changed, which the stream says, but not how.
    pub(crate) fn hinted(&mut self, key: usize, random: &mut Random, tally: &mut Tally) {
        let wants = |session: &&Session| session.keys.contains(&key);
        let conns = self.sessions.iter().filter(|(_, session)| wants(session));
        let conns: Vec<_> = conns.map(|(conn, _)| *conn).collect();
        for conn in conns {
            let version = self.truth.version(key);
            let mut about = Vec::new();
            if self.form != Form::Range {
                about.push((key, version));
                let session = self.sessions.get_mut(&conn).expect("it was just there");
                session.said.insert(key, version);
            }
            // Nothing else would say it.
            let losses = std::mem::take(&mut self.losses);
            let message = json!({ "t": "drop", "k": name(key) });
            self.data(conn, message, &about, random, tally);
            self.losses = losses;
        }
    }

    /// Says what is new about a key since it was last spoken of.
    fn tell(&mut self, conn: ConnId, key: usize, random: &mut Random, tally: &mut Tally) {
        let Some(session) = self.sessions.get_mut(&conn) else {
            return;
        };
        let version = self.truth.version(key);
        if !session.keys.contains(&key) {
            return;
        }
        let Some(said) = session.said.insert(key, version) else {
            return;
        };
        if said != version {
            self.step(conn, key, (said, version), random, tally);
        }
    }

    /// Says how a key went from one version to another.
    fn step(
        &mut self,
        conn: ConnId,
        key: usize,
        (said, version): (usize, usize),
        random: &mut Random,
        tally: &mut Tally,
    ) {
        let patch = self.truth.between(key, said, version);
        let Some(patch) = patch.filter(|_| !self.form.is_whole()) else {
            // That a removed value is there again nothing else would say: it is never lost.
            let is_back = self.truth.states(key)[said].value.is_none();
            let losses = self.losses;
            if is_back {
                self.losses = 0;
            }
            let message = self.whole(key, version);
            self.data(conn, message, &[(key, version)], random, tally);
            self.losses = losses;
            return;
        };
        let mut message = json!({ "t": "upd", "k": name(key), "d": patch });
        if let Some(number) = self.number(key, version) {
            message["n"] = number.into();
            match self.form {
                Form::Chained => message["p"] = self.number(key, said).into(),
                Form::Range => message["u"] = (said as u64 + 1).into(),
                _ => {}
            }
        }
        self.data(conn, message, &[(key, version)], random, tally);
    }

    /// Sends a message that brings keys to these versions, or loses or repeats it.
    fn data(
        &mut self,
        conn: ConnId,
        message: Value,
        about: &[(usize, usize)],
        random: &mut Random,
        tally: &mut Tally,
    ) {
        let (mut losses, repeats) = (self.losses, self.repeats);
        let Some(session) = self.sessions.get_mut(&conn) else {
            return;
        };
        // Where numbers begin anew, that the first one of a connection is missing shows nowhere.
        let is_first = about.iter().any(|(key, _)| session.spoken_of.insert(*key));
        if is_first && self.form == Form::Restarting && self.logs.is_some() {
            losses = 0;
        }
        if random.chance(losses) && session.lost_in_a_row < LOST_IN_A_ROW {
            session.lost_in_a_row += 1;
            session.next += 1;
            tally.lost += 1;
            return;
        }
        session.lost_in_a_row = 0;
        let is_repeated = random.chance(repeats);
        let is_late = random.chance(repeats) && self.form.policy().is_some();
        let straggler = session.remembered.front().cloned().filter(|_| is_late);
        // An old whole value would begin the numbers of a chain anew.
        if message["t"] == "upd" || (self.form.is_whole() && message["t"] == "snap") {
            session.remembered.push_back(message.clone());
            if session.remembered.len() > REMEMBERED {
                session.remembered.pop_front();
            }
        }
        let number = session.next;
        self.say(conn, message.clone());
        let is_long = message["t"] == "many";
        if let Some(log) = self.log(conn) {
            for (key, version) in about {
                log.note(number, *key, Some(Place::At(*version)), is_long);
            }
        }
        if is_repeated {
            tally.repeated += 1;
            // With the number that it had: it is the same message.
            if let Some(session) = self.sessions.get_mut(&conn) {
                session.next = number;
            }
            self.say(conn, message);
        }
        if let Some(straggler) = straggler {
            tally.late += 1;
            self.say(conn, straggler);
        }
    }

    /// Sends a message as the next one of the connection.
    fn say(&mut self, conn: ConnId, mut message: Value) {
        let Some(session) = self.sessions.get_mut(&conn) else {
            return;
        };
        if self.form == Form::PerConnection || self.logs.is_some() {
            message["c"] = session.next.into();
        }
        if self.logs.is_some() {
            message["s"] = conn.into();
        }
        session.next += 1;
        self.out.push((conn, message.to_string()));
    }
}
