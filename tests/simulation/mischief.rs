//! What goes wrong, who comes and goes, and how long the feed waits before it tries again.

use std::time::Duration;

use tickcache::{Jitter, Time, key};

use crate::net::{Answer, Dial, Event};
use crate::options::{CONNECT_HANGS, Form, LEFT_ALONE, LULL, OLD_ANSWER};
use crate::run::{Attempts, Down, Failure, Run};
use crate::server::ConnId;
use crate::venue::{ENTITY, name};

/// So many look at once, at most.
const CROWD: usize = 6;

impl Run<'_, '_> {
    /// Something happens that is no change of a value, and the next such thing is planned.
    pub(crate) fn mischief(&mut self, now: Time) {
        if !self.is_stormy {
            return;
        }
        let at = now.after(self.random.millis(20, 350));
        self.net.at(at, Event::Mischief);
        match self.random.below(100) {
            0..=6 => {
                if let Some(conn) = self.some_conn() {
                    self.net.at(now, Event::Cut(conn));
                }
            }
            7..=11 => self.part(now),
            12..=14 => self.crash(now),
            15..=18 => {
                self.is_reachable = false;
                let at = now.after(self.random.millis(200, 4_000));
                self.net.at(at, Event::ReachableAgain);
            }
            19..=21 => {
                self.is_quiet = true;
                let at = now.after(self.random.millis(200, LULL.as_millis() as u64));
                self.net.at(at, Event::LullEnds);
            }
            22..=24 => {
                // The server says goodbye.
                if let Some(conn) = self.some_conn() {
                    self.server.disconnected(conn);
                    let close = crate::frames::close();
                    self.net.send(conn, close, now, &mut self.random);
                }
            }
            25..=30 => self.invalidate(now),
            31..=54 if self.waiters.len() < CROWD => {
                let key = self.random.pick(self.options.keys);
                self.watched[key] = true;
                self.tally.waiters += 1;
                let kind = self.waiters.come(&self.cache, key, &mut self.random);
                self.trace.note(now, &("comes", kind, key));
            }
            55..=66 => {
                let gone = self.waiters.go(&mut self.random);
                self.trace.note(now, &("goes", gone));
            }
            67..=72 => {
                let key = self.random.pick(self.options.keys);
                let is_on = self.judge.keys[key].wanted_since.is_none();
                self.trace.note(now, &("subscribes", key, is_on));
                self.subscribe(key, is_on, now);
            }
            _ => {}
        }
    }

    fn some_conn(&mut self) -> Option<ConnId> {
        let conns: Vec<_> = self.net.conns.keys().copied().collect();
        (!conns.is_empty()).then(|| conns[self.random.pick(conns.len())])
    }

    /// Nothing comes through a connection, for longer than the feed waits, or not.
    fn part(&mut self, now: Time) {
        let Some(conn) = self.some_conn() else {
            return;
        };
        if self.net.part(conn) {
            self.tally.partitions += 1;
            let longest = self.options.dead_after.as_millis() as u64 * 3 / 2;
            let at = now.after(self.random.millis(50, longest));
            self.net.at(at, Event::Repair(conn));
        }
    }

    /// The server is gone; its clients are told, or each finds out by itself.
    fn crash(&mut self, now: Time) {
        if !self.is_up {
            return;
        }
        self.tally.crashes += 1;
        self.is_up = false;
        let loses_state = self.options.form == Form::Restarting && self.random.chance(50);
        self.server.crash(loses_state, now, &mut self.random);
        if self.random.chance(50) {
            let conns: Vec<_> = self.net.conns.keys().copied().collect();
            for conn in conns {
                let at = now.after(self.net.delay(&mut self.random));
                self.net.at(at, Event::Cut(conn));
            }
        }
        let at = now.after(self.random.millis(100, 3_000));
        self.net.at(at, Event::Restart);
    }

    /// A client says that something is not to be trusted.
    fn invalidate(&mut self, now: Time) {
        self.tally.invalidations += 1;
        let (key, how) = (self.random.pick(self.options.keys), self.random.below(4));
        self.trace.note(now, &("invalidates", key, how));
        match how {
            0 => self.slots[key].invalidate(),
            1 => drop(self.cache.invalidate(key![ENTITY, name(key)])),
            2 => self.entity.invalidate(),
            _ => self.cache.invalidate_all(),
        }
    }

    /// What becomes of an attempt that cannot succeed.
    pub(crate) fn refuse(&mut self, delay: Duration) -> (Dial, Duration) {
        match self.random.below(10) {
            0..=5 => (Dial::Failed, delay),
            6..=7 if self.is_up => {
                let most = LEFT_ALONE.as_millis() as u64;
                (Dial::LeaveAlone(self.random.millis(100, most)), delay)
            }
            _ => (Dial::Failed, CONNECT_HANGS),
        }
    }

    /// The server looks at what a fetch asks for.
    pub(crate) fn asked(&mut self, call: u64, key: usize, now: Time) {
        let present = self.server.truth.version(key);
        let mut delay = self.net.delay(&mut self.random);
        let bad = self.options.bad_fetches;
        let answer = if !self.is_up || !self.is_reachable {
            Answer::Error
        } else if !self.is_stormy || bad == 0 {
            Answer::Version(present)
        } else {
            let draw = self.random.below(100);
            match draw / bad {
                0 => Answer::Error,
                1 => Answer::Garbage,
                2 => Answer::Later(self.random.millis(100, 3_000)),
                // It never comes: whoever asked gives up.
                3 => {
                    self.tally.bad_fetches += 1;
                    return;
                }
                4 => {
                    // From a cache on the way.
                    let most = OLD_ANSWER.as_millis() as u64;
                    let age = self.random.millis(0, most);
                    let then = Time::from_nanos(now.as_nanos() - age.as_nanos() as u64);
                    Answer::Version(self.server.truth.version_at(key, then))
                }
                _ => {
                    delay += self.random.millis(0, 1_500);
                    Answer::Version(present)
                }
            }
        };
        match answer {
            Answer::Version(version) if version < present => self.tally.old_answers += 1,
            Answer::Version(_) => {}
            _ => self.tally.bad_fetches += 1,
        }
        self.net
            .at(now.after(delay), Event::Answered(call, key, answer));
    }

    /// A leg tries again: neither too soon nor too late.
    pub(crate) fn judge_backoff(&mut self, leg: usize, now: Time) -> Result<(), Failure> {
        let Attempts { down, failed, .. } = self.attempts[&leg];
        let Some((since, how)) = down else {
            return Ok(());
        };
        let (waited, backoff) = (now.since(since), self.options.backoff);
        let mut delay = backoff.first;
        for _ in 1..failed {
            delay = (delay * backoff.factor).min(backoff.max);
        }
        let shortest = match backoff.jitter {
            Jitter::None => delay,
            Jitter::Half => delay / 2,
            Jitter::Full => Duration::ZERO,
        };
        let (shortest, longest) = match how {
            Down::Lost | Down::Failed => (shortest, backoff.max),
            Down::LeaveAlone(after) => (shortest.max(after), backoff.max.max(after)),
        };
        // To within what a division loses.
        let slack = Duration::from_nanos(10);
        if waited + slack < shortest || waited > longest + slack {
            return Err(format!(
                "leg {leg} waited {waited:?} after {how:?}, {failed} failed; {shortest:?} to {longest:?} are right"
            ));
        }
        if backoff.factor == 1
            && backoff.jitter == Jitter::Half
            && !matches!(how, Down::LeaveAlone(_))
        {
            if waited * 4 < backoff.first * 3 {
                self.tally.short_delays += 1;
            } else {
                self.tally.long_delays += 1;
            }
        }
        Ok(())
    }
}
