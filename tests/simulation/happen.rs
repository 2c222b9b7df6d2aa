//! What happens at the server and on the wire: changes, bytes that arrive, attempts and fetches that have an outcome.

use tickcache::{FetchError, Fetched, Time};

use crate::frames::{self, Said};
use crate::net::{Answer, Dial, Event};
use crate::options::Form;
use crate::run::{Down, FLUSH, Run};
use crate::server::ConnId;

impl Run<'_, '_> {
    /// An event is due.
    pub(crate) fn happen(&mut self, event: Event) {
        let now = self.wire.now();
        match event {
            Event::Down(conn, bytes) => {
                if let Some(Event::Down(conn, bytes)) =
                    self.net.hold(conn, Event::Down(conn, bytes))
                {
                    self.net.deliver(conn, &bytes);
                }
            }
            Event::Up(conn, bytes) => {
                if let Some(Event::Up(conn, bytes)) = self.net.hold(conn, Event::Up(conn, bytes)) {
                    self.hear(conn, &bytes, now);
                }
            }
            Event::HungUp(conn) => self.server.disconnected(conn),
            Event::Cut(conn) => {
                if let Some(leg) = self.net.cut(conn, &mut self.random) {
                    self.tally.cuts += 1;
                    self.is_down(leg, now);
                }
                self.server.disconnected(conn);
            }
            Event::Repair(conn) => self.net.repair(conn, now),
            Event::Dialed { leg, attempt, dial } => self.dialed(leg, attempt, dial, now),
            Event::Change(key) => {
                if self.is_changing {
                    self.change(key, now);
                    self.plan_change(key);
                }
            }
            Event::Return(key) => self.server_returns(key, now),
            Event::Flush => {
                if self.options.form == Form::Range && self.speaks() {
                    for key in 0..self.options.keys {
                        self.server.changed(key, &mut self.random, &mut self.tally);
                    }
                }
                self.net.at(now.after(FLUSH), Event::Flush);
            }
            Event::Periodic => {
                if self.speaks() {
                    self.server
                        .tell_all_whole(&mut self.random, &mut self.tally);
                }
                if let Some(every) = self.options.periodic {
                    self.net.at(now.after(every), Event::Periodic);
                }
            }
            Event::Asked(call, key) => self.asked(call, key, now),
            Event::Answered(call, key, answer) => self.answered(call, key, answer),
            Event::TakeApart => {
                while self.wire.take_apart() {}
                self.errand = false;
            }
            Event::Mischief => self.mischief(now),
            Event::Restart => self.is_up = true,
            Event::ReachableAgain => self.is_reachable = true,
            Event::LullEnds => self.is_quiet = false,
            Event::StormEnds => self.is_stormy = false,
        }
    }

    /// Whether the server says anything by itself.
    pub(crate) fn speaks(&self) -> bool {
        self.is_up && !self.is_quiet
    }

    fn change(&mut self, key: usize, now: Time) {
        if !self.speaks() {
            return;
        }
        self.tally.changes += 1;
        let is_gone = self.server.truth.now(key).value.is_none();
        if self.is_stormy && !is_gone && self.random.chance(1) {
            self.tally.removals += 1;
            self.server.truth.remove(key, now);
        } else {
            self.server.truth.change(key, now, &mut self.random);
        }
        if self.is_stormy && self.random.chance(1) {
            self.tally.invalidations += 1;
            self.server.hinted(key, &mut self.random, &mut self.tally);
        } else if self.options.form != Form::Range {
            self.server.changed(key, &mut self.random, &mut self.tally);
        }
    }

    /// A key that was removed has a value again.
    fn server_returns(&mut self, key: usize, now: Time) {
        if self.server.truth.now(key).value.is_none() {
            self.server.truth.change(key, now, &mut self.random);
            self.server.changed(key, &mut self.random, &mut self.tally);
        }
    }

    /// Bytes of a client have come.
    fn hear(&mut self, id: ConnId, bytes: &[u8], now: Time) {
        let Some(conn) = self.net.conns.get_mut(&id) else {
            return;
        };
        if !self.server.is_connected(id) {
            // It has forgotten the connection: it says so, if it is there.
            if self.is_up {
                let delay = self.net.delay(&mut self.random);
                self.net.at(now.after(delay), Event::Cut(id));
            }
            return;
        }
        conn.heard.extend_from_slice(bytes);
        let mut said = Vec::new();
        while let Some(frame) = frames::take(&mut conn.heard) {
            said.push(frame);
        }
        for frame in said {
            match frame {
                Said::Text(text) => {
                    self.server
                        .asked(id, &text, &mut self.random, &mut self.tally);
                    self.send(now);
                }
                Said::Ping(payload) => {
                    let pong = frames::pong(&payload);
                    self.net.send(id, pong, now, &mut self.random);
                }
                Said::Pong => {}
                Said::Close => {
                    let close = frames::close();
                    self.net.send(id, close, now, &mut self.random);
                    self.server.disconnected(id);
                }
            }
        }
    }

    fn dialed(&mut self, leg: usize, attempt: u64, dial: Dial, now: Time) {
        if !self.wire.asked().contains(&(leg, attempt)) {
            return;
        }
        let attempts = self.attempts.entry(leg).or_default();
        match dial {
            Dial::Made if self.is_up && self.is_reachable => {
                self.tally.connections += 1;
                let (conn, theirs) = self.net.open(leg, now);
                self.server.connected(conn);
                let greeting = frames::ping();
                let with_it = self.random.pick(greeting.len() + 1);
                let (first, rest) = greeting.split_at(with_it);
                self.wire.connect(leg, theirs, first);
                self.net.deliver(conn, rest);
            }
            Dial::LeaveAlone(after) => {
                attempts.down = Some((now, Down::LeaveAlone(after)));
                attempts.failed += 1;
                self.wire.fail(leg, Some(after));
            }
            _ => {
                attempts.down = Some((now, Down::Failed));
                attempts.failed += 1;
                self.wire.fail(leg, None);
            }
        }
    }

    fn answered(&mut self, call: u64, key: usize, answer: Answer) {
        let reply = match answer {
            Answer::Error => Err(FetchError::new("no")),
            Answer::Later(after) => Err(FetchError::later(after, "not now")),
            Answer::Garbage => Ok(Fetched::json(r#"{"v":1,"#)),
            Answer::Version(version) => {
                let value = &self.server.truth.states(key)[version].value;
                let fetched = value.as_ref().map_or_else(Fetched::removed, Fetched::new);
                Ok(match self.server.number(key, version) {
                    Some(number) => fetched.as_of(number),
                    None => fetched,
                })
            }
        };
        self.answered[key] = Some(self.wire.now());
        self.desk.answer(call, reply);
    }
}
