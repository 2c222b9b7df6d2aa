//! How a batch begins and ends, whatever the number of entities.
//!
//! A batch begins with one look at the clock of marks, before its bytes are read
//! ([`Marks`](crate::store::Marks)). An entity takes its stamps as of that point when the first item
//! for it comes, and keeps them for the batches after it until a mark moves the clock. Those that a
//! batch has touched are listed, and only they are asked at its end who is to be told. Whatever may
//! publish to any entity (commands, promotions, long messages that land) has all of them begin, and
//! all of them asked.

use super::coverage::open_word;
use super::{Entry, Ingest, Role};
use crate::Time;
use crate::feed::EntityIx;
use crate::store::{Point, WakesBatch};

/// What a batch leaves behind in one entity.
#[derive(Debug, Default)]
struct Left {
    growths: u64,
    /// A value has come into doubt.
    suspect: bool,
}

impl Ingest {
    /// What is marked from here on is not undone by what is read next.
    #[inline]
    pub(super) fn begin_batch(&mut self, now: Time) {
        self.now = now;
        self.point = self.store.marks().point();
    }

    /// Links or invalidations have moved by this feed: what comes from here on came after them.
    pub(super) fn renew(&mut self) {
        self.point = self.store.marks().point();
        self.scan = true;
    }

    /// A batch begins for one entity; or this feed has invalidated something of it, and what it
    /// brings for it from here on came after that.
    pub(super) fn renew_one(&mut self, ix: EntityIx) {
        let point = self.store.marks().point();
        self.entries[ix.index()].begin_at(point);
    }

    /// Something comes for an entity.
    #[inline]
    pub(super) fn touch(&mut self, ix: EntityIx) {
        let Some(entry) = self.entries.get_mut(ix.index()) else {
            return;
        };
        if entry.point < self.point {
            entry.begin_at(self.point);
        }
        if !entry.touched {
            entry.touched = true;
            self.touched.push(ix);
        }
    }

    /// Something may come for every entity.
    #[cold]
    pub(super) fn touch_all(&mut self) {
        self.all_touched = true;
        if self.all_begun < self.point {
            self.all_begun = self.point;
            for entry in &mut self.entries {
                if entry.point < self.point {
                    entry.begin_at(self.point);
                }
            }
        }
    }

    /// Tells those who wait for what was published since the last end.
    pub(super) fn end_batch(&mut self) {
        let (moved, mut scan) = (
            std::mem::take(&mut self.moved),
            std::mem::take(&mut self.scan),
        );
        if !moved && !scan {
            return;
        }
        if self.silence.is_any() {
            self.note_speech();
            scan |= std::mem::take(&mut self.scan);
        }
        let mut growths = 0;
        let mut batch = self.wakes.batch();
        let mut end = |entry: &mut Entry| {
            let left = entry.end(&mut batch, &mut self.waste);
            growths += left.growths;
            scan |= left.suspect;
        };
        if std::mem::take(&mut self.all_touched) {
            self.touched.clear();
            self.entries.iter_mut().for_each(end);
        } else {
            for ix in self.touched.drain(..) {
                end(&mut self.entries[ix.index()]);
            }
        }
        debug_assert!(
            self.entries.iter().all(Entry::is_quiet),
            "an entity was published to and not touched"
        );
        if scan {
            batch.everything();
        }
        drop(batch);
        if growths > 0 {
            self.counters.growths.add(growths);
        }
    }
}

impl Entry {
    /// As of a batch that began at this point.
    pub(super) fn begin_at(&mut self, point: Point) {
        self.point = point;
        let link = match &mut self.role {
            Role::Own(writer) => {
                writer.begin_at(point);
                writer.link_then()
            }
            Role::Forward(lane) => lane.begin_at(point),
            Role::Unclaimed | Role::Foreign => return,
        };
        // A value is not worth less for having come while the feed was silent. A generation that was
        // raised since is not this batch's: the stamp of before says so.
        if let Some(word) = link {
            self.link = open_word(word);
        }
        self.torn = self.entity.link().torn();
    }

    /// Tells those who wait, and takes what is left.
    #[inline]
    fn end(&mut self, batch: &mut WakesBatch<'_>, waste: &mut super::Waste) -> Left {
        self.touched = false;
        let Role::Own(writer) = &mut self.role else {
            return Left::default();
        };
        writer.end_batch(batch);
        waste.append(writer.retired());
        Left {
            growths: writer.take_growths(),
            suspect: writer.take_suspect(),
        }
    }

    /// Whether there is nothing to be told.
    fn is_quiet(&self) -> bool {
        match &self.role {
            Role::Own(writer) => writer.is_quiet(),
            _ => true,
        }
    }
}
