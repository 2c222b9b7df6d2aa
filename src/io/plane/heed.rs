//! Streams that may change the mind of a poll function.
//!
//! A stream writes without a word to the machine. An observer that polls asks its function when the
//! next poll is due; one whose function has stopped polling is never due, so whoever drives the
//! plane looks whether the slot of such an observer has moved. Nobody else's slots are looked at.

use std::time::Duration;

use super::Plane;
use super::core::{Core, Effect};
use super::query::Query;
use super::settings::Settings;
use crate::Time;
use crate::query::{ObserverId, Polling};
use crate::store::{Seen, Slot, Watched};
use crate::sync::Arc;

/// How long a function that was just asked is left alone, however busy the stream is.
const PAUSE: Duration = Duration::from_millis(10);

/// The slot that a function was asked about, as it was before.
#[derive(Debug)]
pub(super) struct Heed {
    query: Arc<Query>,
    slot: Arc<Slot>,
    seen: Seen,
    not_before: Time,
}

impl Heed {
    /// Looks, before the function is asked. `None`: nothing that a stream writes can matter.
    pub(super) fn look(query: &Arc<Query>, settings: &Settings) -> Option<Self> {
        if settings.poll_by.is_none() || settings.enabled == Some(false) {
            return None;
        }
        let slot = query.slot()?.slot();
        Some(Self {
            query: Arc::clone(query),
            seen: slot.seen(),
            slot,
            not_before: Time::ZERO,
        })
    }

    fn has_moved(&self) -> bool {
        let moved = self.slot.moved(&self.seen);
        let place = self.query.slot();
        moved || place.is_some_and(|place| !Arc::ptr_eq(&place.slot(), &self.slot))
    }
}

impl Plane {
    /// What to wait for besides generations: slots that may be asked about as soon as they move; and
    /// when there may be more of them.
    #[cfg(feature = "net")]
    pub(super) fn heeded(&self) -> (Vec<(Arc<Slot>, Seen)>, Option<Time>) {
        let now = self.clock.now();
        let core = self.lock();
        let waiting = core.heeds.values().filter(|heed| heed.not_before <= now);
        let mut slots: Vec<_> = waiting
            .map(|heed| (Arc::clone(&heed.slot), heed.seen))
            .collect();
        slots.sort_by_key(|(slot, _)| Arc::as_ptr(slot).addr());
        let pauses = core.heeds.values().map(|heed| heed.not_before);
        (slots, pauses.filter(|end| *end > now).min())
    }
}

impl Core {
    /// An observer's functions were asked, after `look`.
    pub(super) fn heed(
        &mut self,
        observer: ObserverId,
        look: Option<Heed>,
        polling: Option<Polling>,
        now: Time,
    ) {
        let polls = polling.and_then(|polling| polling.every.interval());
        let old = match look.filter(|_| polls.is_none()) {
            Some(look) => {
                let not_before = now.after(PAUSE);
                self.heeds_more = true;
                self.heeds.insert(observer, Heed { not_before, ..look })
            }
            None => self.heeds.remove(&observer),
        };
        self.throw_away(old);
    }

    /// Has those functions asked again whose slot has moved. Gives when to look again although
    /// nothing moves.
    pub(super) fn ask_heeding(&mut self, now: Time) -> Option<Time> {
        let mut again = None;
        let mut ask = Vec::new();
        for (observer, heed) in &self.heeds {
            if !heed.has_moved() {
                continue;
            }
            if heed.not_before > now {
                again = Some(again.map_or(heed.not_before, |t: Time| t.min(heed.not_before)));
            } else {
                ask.push(*observer);
            }
        }
        for observer in ask {
            let heed = self.heeds.remove(&observer);
            if let (Some(heed), Some(settings)) = (heed, self.observers.get(&observer)) {
                self.effects.push_back(Effect::Ask {
                    query: heed.query,
                    observer,
                    settings: Arc::clone(settings),
                });
            }
        }
        again
    }
}
