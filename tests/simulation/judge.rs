//! What may never be seen, at any moment.

use std::time::Duration;

use serde_json::Value;
use tickcache::{Freshness, Slot, Time};

use crate::options::{Form, Options};
use crate::server::Server;
use crate::tally::Tally;
use crate::venue::name;

/// What is known of a key from one look to the next.
#[derive(Debug)]
pub(crate) struct Known {
    epoch: u64,
    freshness: Freshness,
    /// Since when it has been live.
    live_since: Option<Time>,
    /// The version that was read.
    version: Option<usize>,
    /// The newest version that was read live.
    live: usize,
    /// Somebody wants it since then.
    pub(crate) wanted_since: Option<Time>,
    /// The server has said that nothing keeps it up.
    pub(crate) is_ended: Option<Time>,
}

#[derive(Debug)]
pub(crate) struct Judge {
    form: Form,
    lag: Duration,
    /// What was missed while there was no connection is told in order, and each message makes its
    /// value live.
    catches_up: bool,
    /// A leg that is behind may be shown for so long, and nothing says that it is.
    may_lag: Option<Duration>,
    /// Queries fetch what no subscription keeps up.
    has_queries: bool,
    pub(crate) keys: Vec<Known>,
    /// How often another connection was shown, and since when it is this one.
    shown: (u64, Time),
}

impl Judge {
    pub(crate) fn new(options: &Options, now: Time) -> Self {
        let known = |key| Known {
            epoch: 0,
            freshness: Freshness::Empty,
            live_since: None,
            version: None,
            live: 0,
            wanted_since: (key < options.initial).then_some(now),
            is_ended: None,
        };
        let has_legs = options.redundant || options.lifetime.is_some();
        Self {
            form: options.form,
            lag: options.lag(),
            catches_up: options.is_trusted(),
            may_lag: (has_legs && !options.form.compares())
                .then(|| options.dead_after + Duration::from_millis(200)),
            has_queries: options.asking.queries(),
            keys: (0..options.keys).map(known).collect(),
            shown: (0, now),
        }
    }

    /// Another connection may be shown since the last look: this is the number of times.
    pub(crate) fn note_shown(&mut self, times: u64, now: Time) {
        if times != self.shown.0 {
            self.shown = (times, now);
        }
    }

    /// The version that was read last.
    pub(crate) fn version(&self, key: usize) -> Option<usize> {
        self.keys[key].version
    }

    /// For how long it was live when it was last looked at.
    pub(crate) fn is_live_for(&self, key: usize, now: Time) -> Duration {
        let since = self.keys[key].live_since;
        since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// What is wrong with what a slot shows.
    pub(crate) fn look(
        &mut self,
        key: usize,
        slot: &Slot,
        server: &Server,
        (now, is_open): (Time, bool),
        tally: &mut Tally,
    ) -> Result<(), String> {
        let snapshot = slot.snapshot();
        let (epoch, freshness) = (snapshot.epoch(), snapshot.freshness());
        let wrong = |why: String| {
            Err(format!(
                "{}: {why}; {freshness:?}, epoch {epoch}",
                name(key)
            ))
        };
        if epoch != slot.epoch() || freshness != slot.freshness() {
            return wrong(format!(
                "the slot is at {}, {:?}",
                slot.epoch(),
                slot.freshness()
            ));
        }
        let known = &mut self.keys[key];
        if epoch < known.epoch {
            return wrong(format!("the epoch was {}", known.epoch));
        }
        let is_new = epoch != known.epoch || known.freshness != freshness;
        (known.epoch, known.freshness) = (epoch, freshness);
        if !freshness.is_live() {
            known.live_since = None;
            tally.stale_reads += u64::from(is_new);
            return Ok(());
        }
        known.live_since.get_or_insert(now);
        if !is_open {
            return wrong("live, and there is no connection".into());
        }
        if known.is_ended.is_some() && !self.has_queries {
            return wrong("live, and nothing keeps it up".into());
        }
        let shown_for = now.since(self.shown.1);
        let is_behind = self.may_lag.is_some_and(|lag| shown_for < lag);
        let states = server.truth.states(key);
        if is_new {
            tally.live_reads += 1;
            let text = snapshot.record().to_json();
            let value: Value = match serde_json::from_str(&text) {
                Ok(value) => value,
                Err(error) => return wrong(format!("{text} is no JSON: {error}")),
            };
            let version = value["v"].as_u64().map(|version| version as usize);
            let Some(version) = version.filter(|version| *version < states.len()) else {
                return wrong(format!("live without a version: {value}"));
            };
            known.version = Some(version);
            if !is_behind {
                if states[version].value.as_ref() != Some(&value) {
                    let truth = &states[version].value;
                    return wrong(format!("live as {value}, version {version} is {truth:?}"));
                }
                if version < known.live {
                    return wrong(format!("live at {version}, was live at {}", known.live));
                }
            }
            if self.form.policy().is_some() && !is_behind {
                let (shown, true_one) = (snapshot.sequence(), server.number(key, version));
                // After a loss of its state the server numbers anew.
                if shown != true_one && true_one.is_some() && self.form != Form::Restarting {
                    return wrong(format!("numbered {shown:?}, should be {true_one:?}"));
                }
            }
            known.live = known.live.max(version);
        }
        let version = known.version.unwrap_or_default();
        if let (Some(next), Some(wanted)) = (states.get(version + 1), known.wanted_since) {
            let caught = if self.catches_up {
                self.shown.1
            } else {
                Time::ZERO
            };
            let behind = now.since(next.at.max(wanted).max(caught));
            if behind > self.lag {
                return wrong(format!(
                    "live at version {version}, which ended {behind:?} ago; {:?} are allowed",
                    self.lag
                ));
            }
        }
        Ok(())
    }
}
