//! Why fetches were begun.

use std::collections::HashSet;

use tickcache::{CacheEvent, CacheEvents, EventKind, Key, Update};

use crate::ui::Fetches;

/// What the cache's events tell: why fetches were begun.
pub(super) struct Story {
    events: CacheEvents,
    /// Called outdated, and not fetched since.
    marked: HashSet<Key>,
    /// Fetched at least once.
    begun: HashSet<Key>,
    pub(super) fetches: Fetches,
}

impl Story {
    pub(super) fn new(events: CacheEvents) -> Self {
        Self {
            events,
            marked: HashSet::new(),
            begun: HashSet::new(),
            fetches: Fetches::default(),
        }
    }

    /// Takes in what has happened since it was last called.
    pub(super) fn listen(&mut self) {
        while let Some(event) = self.events.try_next() {
            self.tell(event);
        }
    }

    fn tell(&mut self, event: CacheEvent) {
        match event.kind {
            EventKind::Updated(Update::Invalidate) => {
                self.marked.insert(event.key);
            }
            EventKind::Updated(Update::Fetch) => {
                let marked = self.marked.remove(&event.key);
                let polled = super::is_polled(&event.key) && self.begun.contains(&event.key);
                self.fetches.by_events += u64::from(marked);
                self.fetches.polls += u64::from(polled && !marked);
                self.begun.insert(event.key);
            }
            _ => {}
        }
    }
}
