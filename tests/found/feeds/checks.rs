//! What has to hold after each step.

use super::*;

impl World {
    pub(super) fn watched(&mut self, at: usize) {
        let tick = self.watches[at].take();
        if std::mem::take(&mut self.unseen[at]) {
            let tick = tick.expect("the value has changed");
            assert_eq!(tick.epoch(), self.slots[at].epoch());
        }
    }

    pub(super) fn polled(&mut self) {
        for (entity, changes) in self.changes.iter_mut().enumerate() {
            let mut named = BTreeSet::new();
            changes.poll(|slot| {
                named.insert(slot.id().to_string());
            });
            for at in 2 * entity..2 * entity + 2 {
                // Whoever purges an id says that he has no more use for it.
                let changed = std::mem::take(&mut self.unpolled[at]);
                if changed && self.keys[at].value.is_some() {
                    let id = self.slots[at].id().to_string();
                    assert!(named.contains(&id), "{id} has changed, of {named:?}");
                }
            }
        }
    }

    pub(super) fn cut(&mut self) {
        let slots = &self.slots[..2];
        if self.feeds[0].feed.is_none() {
            return;
        }
        let cut = self.cache.cut(slots).expect("nobody writes meanwhile");
        assert!(cut.turn() >= self.turn, "turns go back");
        self.turn = cut.turn();
        for (record, key) in cut.records().zip(&self.keys) {
            let value = (!record.is_absent()).then(|| record.to_json());
            let value = value.map(|text| serde_json::from_str(&text).expect("JSON"));
            assert_eq!(value, key.value);
        }
    }

    pub(super) fn check(&mut self) {
        for (at, key) in self.keys.iter().enumerate() {
            let slot = &self.slots[at];
            let snapshot = slot.snapshot();
            let record = snapshot.record();
            let value = (!record.is_absent()).then(|| record.to_json());
            let value: Option<Value> = value.map(|text| serde_json::from_str(&text).expect("JSON"));
            assert_eq!(value, key.value, "key {at}: {key:?}");
            let carried = match self.feeds.get(at / 2) {
                Some(upstream) => upstream.open && !upstream.silent,
                None => true,
            };
            let doubted = [
                key.unconfirmed,
                key.invalidated,
                key.gap,
                key.link_gap,
                key.partial,
            ];
            let live = carried && key.value.is_some() && !doubted.contains(&true);
            let freshness = snapshot.freshness();
            assert_eq!(
                freshness.is_live(),
                live,
                "key {at} is {freshness:?}: {key:?}"
            );
            assert_eq!(freshness, slot.freshness(), "key {at}");
            let present = !matches!(freshness, Freshness::Empty | Freshness::Removed);
            assert_eq!(present, key.value.is_some(), "key {at} is {freshness:?}");
            let epoch = slot.epoch();
            assert!(epoch >= self.epochs[at], "the epoch of key {at} goes back");
            self.epochs[at] = epoch;
        }
        for (entity, keys) in self.entities.iter().zip(self.keys.chunks(2)) {
            let present = keys.iter().filter(|key| key.value.is_some()).count();
            assert_eq!(entity.iter().count(), present, "{}", entity.name());
        }
        for upstream in &self.feeds {
            let Some(feed) = &upstream.feed else {
                continue;
            };
            let counted = feed.counters();
            assert!(counted.balanced(), "{counted:?}");
            let found = Counts {
                messages: counted.messages,
                refused: counted.refused,
                published: counted.applied + counted.unchanged,
                missing: counted.missing,
                older: counted.older,
                duplicate: counted.duplicate,
                gaps: counted.gaps,
            };
            assert_eq!(found, upstream.counts, "{counted:?}");
        }
    }
}
