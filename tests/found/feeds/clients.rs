//! What clients do beside the feeds: writes, removals, purges, invalidations.

use super::*;

impl World {
    /// The number that the source has reached stays, unless it counts anew.
    pub(super) fn held_after_write(&self, at: usize) -> Option<(u64, u64)> {
        let (number, connection) = self.keys[at].held?;
        let now = self.feeds.get(at / 2)?.connection;
        let compares = connection == now || !self.setup.restarts;
        (compares || self.owner(at).is_none()).then_some((number, now))
    }

    pub(super) fn write(&mut self, at: usize, bytes: &mut Bytes<'_>) {
        let value = bytes.object();
        let asked = self.slots[at].set(&value);
        assert!(self.done(asked), "nothing is wrong with {value}");
        let owner = self.owner(at);
        if let Some(feed) = owner {
            self.feeds[feed].counts.published += 1;
        }
        // The slow plane vouches for nothing that belongs to a feed that has gone.
        let unconfirmed = match owner {
            Some(feed) => !self.feeds[feed].open,
            None => at / 2 < 2,
        };
        let key = Key {
            value: Some(value),
            unconfirmed,
            held: self.held_after_write(at),
            sent: self.keys[at].sent,
            ..Key::default()
        };
        self.put(at, key);
    }

    pub(super) fn remove(&mut self, at: usize) {
        let was_there = self.keys[at].value.is_some();
        let asked = self.slots[at].remove();
        assert!(self.done(asked));
        if let Some(feed) = self.owner(at) {
            let counts = &mut self.feeds[feed].counts;
            *(if was_there {
                &mut counts.published
            } else {
                &mut counts.missing
            }) += 1;
        }
        if was_there {
            let key = Key {
                value: None,
                held: self.held_after_write(at),
                ..self.keys[at].clone()
            };
            self.put(at, key);
        }
    }

    pub(super) fn purge(&mut self, at: usize) {
        let asked = self.slots[at].purge();
        self.done(asked);
        let key = Key {
            sent: self.keys[at].sent,
            ..Key::default()
        };
        self.put(at, key);
    }

    pub(super) fn client_invalidates(&mut self, at: usize, bytes: &mut Bytes<'_>) {
        let marked = match bytes.below(4) {
            0 => {
                self.cache.invalidate_all();
                0..self.keys.len()
            }
            1 => {
                self.entities[at / 2].invalidate();
                at / 2 * 2..at / 2 * 2 + 2
            }
            _ => {
                self.slots[at].invalidate();
                at..at + 1
            }
        };
        self.keys[marked]
            .iter_mut()
            .for_each(|key| key.invalidated = true);
    }
}
