//! Entities of which nothing is heard: each may have a watchdog of its own, beside the one of the
//! connection.
//!
//! Of what comes for an entity only the time is noted, with one store. When the earliest deadline
//! has come the times are looked at: entities that have been quiet for too long turn `Silent`, each
//! alone, and are `Silent` no more at the end of the batch that brings something for them. Pings,
//! heartbeats, answers and messages of other entities are nothing that comes for an entity. One that
//! was never heard of counts from the open of the connection; while there is none, nothing is
//! silent.

use super::coverage::silence_of;
use super::{ClaimError, EntityIx, Ingest, Role, is_unowned};
use crate::Time;
use crate::feed::Sink;
use crate::store::{Entity, Link};
use std::time::Duration;

/// The watchdogs of one feed.
#[derive(Debug)]
pub(super) struct Silence {
    watches: Vec<Watch>,
    /// Nothing turns silent before.
    due: Time,
    /// How many entities are silent.
    silent: usize,
}

#[derive(Debug)]
struct Watch {
    entity: EntityIx,
    after: Duration,
    silent: bool,
}

impl Silence {
    pub(super) const fn new() -> Self {
        Self {
            watches: Vec::new(),
            due: Time::NEVER,
            silent: 0,
        }
    }

    /// When there is something to look at, if ever.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        (self.due < Time::NEVER).then_some(self.due)
    }

    /// Whether an entity is silent: the one look of every batch.
    #[inline]
    pub(super) const fn is_any(&self) -> bool {
        self.silent > 0
    }
}

impl Ingest {
    /// Watches the entities that the configuration names.
    pub(super) fn watch_silence(&mut self) -> Result<(), ClaimError> {
        for (name, after) in self.config.silence.clone() {
            let entity = self.entity(&name).map_err(|_| ClaimError::Full)?;
            self.silence.watches.push(Watch {
                entity,
                after,
                silent: false,
            });
        }
        Ok(())
    }

    /// A connection is open: the time counts from here.
    pub(super) fn listen(&mut self) {
        self.deafen();
        let watches = self.silence.watches.iter();
        for watch in watches {
            self.entries[watch.entity.index()].heard_at = self.now;
            self.silence.due = self.silence.due.min(self.now.after(watch.after));
        }
    }

    /// There is no connection: what is wrong with the values is worse than silence.
    pub(super) fn deafen(&mut self) {
        self.silence.due = Time::NEVER;
        for at in 0..self.silence.watches.len() {
            self.set_silent(at, false);
        }
    }

    /// Looks at entities that may have been quiet for too long.
    #[cold]
    pub(super) fn note_silence(&mut self) {
        self.silence.due = Time::NEVER;
        for at in 0..self.silence.watches.len() {
            let due = self.due_of(at);
            if self.silence.watches[at].silent {
                continue;
            }
            if due > self.now {
                self.silence.due = self.silence.due.min(due);
                continue;
            }
            self.set_silent(at, true);
            self.counters.entity_silences.bump();
            let entry = &self.entries[self.silence.watches[at].entity.index()];
            let entity = &**entry.entity.name();
            tracing::warn!(
                feed = &*self.config.feed,
                entity,
                "no data for longer than entity_silent_after"
            );
        }
    }

    /// Something has come in this batch: maybe for an entity that was silent.
    #[cold]
    pub(super) fn note_speech(&mut self) {
        for at in 0..self.silence.watches.len() {
            let due = self.due_of(at);
            if self.silence.watches[at].silent && due > self.now {
                self.set_silent(at, false);
                self.silence.due = self.silence.due.min(due);
            }
        }
    }

    /// When an entity has been quiet for too long.
    fn due_of(&self, at: usize) -> Time {
        let watch = &self.silence.watches[at];
        self.entries[watch.entity.index()]
            .heard_at
            .after(watch.after)
    }

    fn set_silent(&mut self, at: usize, silent: bool) {
        let watch = &mut self.silence.watches[at];
        if std::mem::replace(&mut watch.silent, silent) == silent {
            return;
        }
        if silent {
            self.silence.silent += 1;
        } else {
            self.silence.silent -= 1;
        }
        let entry = &self.entries[watch.entity.index()];
        // Of another feed's values this one has nothing to say.
        let is_ours = matches!(entry.role, Role::Own(_)) || is_unowned(&entry.entity);
        if is_ours || !silent {
            mark(&entry.entity, self.config.source, silent);
            self.scan = true;
        }
    }
}

fn mark(entity: &Entity, source: u64, silent: bool) {
    let bits = if silent { Link::SILENT } else { 0 };
    entity.update_link(silence_of(source), |part| Link { bits, ..part });
}
