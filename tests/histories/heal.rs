//! What has to hold when everything has come to rest, and after a storm of events.

use std::time::Duration;

use serde_json::json;

use crate::desk::Target;
use crate::run::{Failure, Look, Run, id};

/// Longer than any delay before another attempt.
const ROUND: Duration = Duration::from_secs(45);
/// More rounds than anything needs that comes to rest.
const ROUNDS: usize = 12;

impl Run {
    /// Events in a row for one key: one request in flight, one after it, and no more.
    pub(crate) fn storm(&mut self, key: usize, events: usize) -> Result<(), Failure> {
        if self.server.wire.is_none() {
            return Ok(());
        }
        // Whatever else there was to do is done before.
        self.drive()?;
        let target = Target::Key(key);
        let open = |run: &Self| {
            run.desk
                .open()
                .into_iter()
                .find(|call| call.target == target)
        };
        let before = self.desk.count(target);
        let flying = open(self).is_some();
        for n in 0..events {
            self.witness.mark(key, self.server.version(key));
            self.say(json!({ "k": "drop", "e": "item", "i": id(key) }));
            if n % 2 == 0 {
                self.drive()?;
            }
        }
        while let Some(call) = open(self) {
            self.answer(&call);
            self.drive()?;
            let begun = self.desk.count(target) - before;
            if begun > if flying { 1 } else { 2 } {
                return Err(format!("{begun} requests for {events} events"));
            }
        }
        Ok(())
    }

    /// Ends what is open, answers what is asked, lets time pass: then nothing may be wrong.
    pub(crate) fn heal(&mut self) -> Result<(), Failure> {
        self.overlays.clear();
        if self.server.wire.is_none() {
            self.reconnect();
        }
        self.drive()?;
        while self
            .server
            .wire
            .as_ref()
            .is_some_and(|wire| !wire.is_empty())
        {
            self.deliver();
            self.drive()?;
        }
        for event in std::mem::take(&mut self.aside) {
            self.invalidate(event.key, event.version);
        }
        self.rest()?;
        if self.setup.retries == 0 || self.list.is_some() {
            // Nobody asks again by himself for what has failed; and who is in a list, only an event
            // for all of them can say.
            self.mark_all();
            self.say(json!({ "k": "drop", "e": "item" }));
            self.rest()?;
        }
        (0..self.setup.keys).try_for_each(|key| self.verify(key))?;
        self.verify_list()
    }

    /// Drives until nothing is asked any more.
    fn rest(&mut self) -> Result<(), Failure> {
        for _ in 0..ROUNDS {
            self.drive()?;
            let open = self.desk.open();
            open.iter().for_each(|call| self.answer(call));
            self.drive()?;
            if open.is_empty() && self.desk.open().is_empty() && !self.pending() {
                return Ok(());
            }
            self.feed.advance(ROUND);
        }
        // Polling never does.
        if self.setup.polls {
            return Ok(());
        }
        Err("it does not come to rest".into())
    }

    fn verify(&self, key: usize) -> Result<(), Failure> {
        let (shown, truth) = (self.shown(key), self.server.value(key));
        let wrong = || Err(format!("key {key} is {truth:?}, shown is {shown:?}"));
        if shown.live && shown.value.as_ref() != truth {
            return wrong();
        }
        if self.looks[key].is_empty() {
            return Ok(());
        }
        if shown.value.as_ref() != truth || shown.live != truth.is_some() {
            return wrong();
        }
        for look in &self.looks[key] {
            if let Look::Query(observer) = look {
                let state = observer.state();
                if state.data() != truth {
                    return Err(format!(
                        "key {key} is {truth:?}, observed is {:?}",
                        state.data()
                    ));
                }
            }
        }
        Ok(())
    }

    fn verify_list(&self) -> Result<(), Failure> {
        let Some(list) = &self.list else {
            return Ok(());
        };
        let present = (0..self.setup.keys).filter(|key| self.server.value(*key).is_some());
        let truth: Vec<String> = present.map(|key| id(key).to_string()).collect();
        let state = list.state();
        let ids = state.data().unwrap_or_default().iter();
        let shown: Vec<String> = ids.map(ToString::to_string).collect();
        if shown == truth {
            return Ok(());
        }
        Err(format!("the list holds {shown:?} instead of {truth:?}"))
    }
}
