//! Resyncs: values that a stream has lost, fetched although nobody observes a query of them.
//!
//! A gap, the open of a connection and a new subscription move counters beside the slots, as every
//! mark does. Whoever drives the plane then looks at the entities that are resynced, and notes the
//! slots whose value is suspect, each with a time of its own: most exchanges send what is whole by
//! themselves, and what has healed by then is left alone. What has not is handed to the machine,
//! which fetches it as it fetches everything: kept, landed, retried, joined with a user's own fetch,
//! one after the other at the pace of the [budget](crate::query). A few at a time are handed over;
//! the others wait here, where they are a key and a time.
//!
//! A value that is suspect again when its fetch has settled (a mark came meanwhile, the answer was
//! too old for what the stream had said, it failed) is noted again, later each time. So any number
//! of marks during a resync are one more, and none is given up while the value is suspect.

mod pending;
mod suspects;

use std::fmt;
use std::sync::PoisonError;
use std::time::Duration;

use super::core::Core;
use super::error::QueryError;
use super::fetch_error::FetchError;
use super::fetcher::Fetcher;
use super::query::Query;
use super::settings::Settings;
use super::{Place, Plane};
use crate::Time;
use crate::feed::Counters;
use crate::io::wanted::Wanted;
use crate::key::Id;
use crate::query::{Outcome, PromiseId, QueryIx};
use crate::store::{Entity, Link};
use crate::sync::Arc;

pub(super) use self::pending::Resyncs;
use self::pending::{Flight, Noted};

/// So many are handed to the machine before their time; more would be records without use.
const BACKLOG: usize = 16;

/// What fetches a value of an entity, if anything can.
type FetcherOf = dyn Fn(&str, &Id) -> Option<Fetcher> + Send + Sync;

/// How the values of one feed are resynced.
pub(crate) struct Resyncing {
    pub(crate) feed: Arc<str>,
    /// The entities that it declares.
    pub(crate) entities: Vec<Box<str>>,
    /// Besides those, whatever it comes to own.
    pub(crate) wildcard: bool,
    pub(crate) fetcher: Box<FetcherOf>,
    /// How long the stream has to heal a value by itself; up to half as much again is added.
    pub(crate) after: Duration,
    pub(crate) wanted: Arc<Wanted>,
    pub(crate) counters: Arc<Counters>,
}

impl Plane {
    /// Resyncs a feed from now on, in the place of one of the same name.
    ///
    /// # Errors
    /// [`QueryError::NoRuntime`], [`QueryError::Closed`].
    pub(crate) fn resync(self: &Arc<Self>, how: Resyncing) -> Result<(), QueryError> {
        self.executor()?;
        let mut entities = Vec::new();
        for name in &how.entities {
            // A feed that has come this far has them.
            entities.extend(self.store.entity(name).ok());
        }
        self.with(|core, _| {
            if core.closed {
                return Err(QueryError::Closed);
            }
            let old = core.resyncs.register(Arc::new(how), entities);
            core.throw_away(old);
            // Whoever drives has to look at once.
            core.heeds_more = true;
            Ok(())
        })
    }

    /// Looks at what may have come into doubt, hands over what is due, and says when to come again.
    pub(super) fn resync_turn(self: &Arc<Self>) -> Option<Time> {
        if self.lock().resyncs.is_empty() {
            return None;
        }
        let now = self.clock.now();
        let wild = self.lock().resyncs.wild();
        for (feed, how) in wild {
            let owned = self.store.entities().into_iter();
            let owned = owned.filter(|entity| entity.owner().is_some_and(|by| *by == *how.feed));
            let owned = owned.collect();
            self.lock().resyncs.follow(feed, owned);
        }
        // A look at each slot of an entity: with no lock held.
        let looks = self.lock().resyncs.take_looks(now);
        for (how, entity) in looks {
            let found = suspects::of(&how, &entity);
            let mut core = self.lock();
            core.resyncs.note(&how, &entity, found, now);
        }
        loop {
            let mut core = self.lock();
            if core.closed || core.machine.resyncs_waiting() >= BACKLOG {
                break;
            }
            let Some(noted) = core.resyncs.take_due(now) else {
                break;
            };
            drop(core);
            self.hand_over(noted);
        }
        let core = self.lock();
        let waits = core.machine.resyncs_waiting() < BACKLOG;
        core.resyncs.next(waits)
    }

    /// Has the machine fetch it, unless that is not needed any more.
    fn hand_over(self: &Arc<Self>, noted: Noted) {
        let how = Arc::clone(&noted.how);
        let entity = &noted.entity;
        let slot = entity.find(noted.id.as_ref());
        match slot.as_deref() {
            // There was no word of it, and nobody wants it any more.
            None if !how.wanted.contains(entity.name(), &noted.id) => return,
            Some(slot) => match suspects::look(&how, entity, slot) {
                suspects::Standing::Good => return how.counters.resyncs_skipped.add(1),
                // Whatever becomes of the connection will be another mark.
                suspects::Standing::Unkept => return,
                suspects::Standing::Suspect => {}
            },
            None if is_down(entity) => return,
            None => {}
        }
        let Some(fetcher) = (how.fetcher)(entity.name(), &noted.id) else {
            return;
        };
        let settings = Settings {
            resync: Some(fetcher),
            ..Settings::default()
        };
        let key = noted.key();
        // Without room for another id nothing can be stored either.
        let Ok(query) = self.query(&key, Some(&settings)) else {
            return;
        };
        if !matches!(query.place(), Place::Slot(_)) {
            return;
        }
        if is_settled(&query) {
            return how.counters.resyncs_skipped.add(1);
        }
        self.with(|core, now| {
            if core.closed {
                return;
            }
            let ix = core.enter(&query, now);
            let landed = core.landed(ix, now);
            let Some(promise) = core.machine.resync(ix, now, &core.table) else {
                return;
            };
            how.counters.resyncs_asked.add(1);
            let flight = Flight {
                noted,
                query,
                landed,
            };
            core.resyncs.fly(promise, flight);
        });
    }
}

impl Core {
    /// Whether one that is due could be handed over, and the driver may not know.
    pub(super) fn may_resync(&self, now: Time) -> bool {
        self.resyncs.is_due(now) && self.machine.resyncs_waiting() < BACKLOG
    }

    /// An attempt has failed: if it was one for a resync, does the server ask to be left alone?
    pub(super) fn resync_failed(&mut self, query: &Arc<Query>, error: &FetchError, now: Time) {
        if let Some(after) = error.retry_after() {
            self.resyncs.hold(query, now.after(after));
        }
    }

    /// A promise is settled: if it is that of a resync, what became of the value?
    pub(super) fn resync_settled(
        &mut self,
        promise: PromiseId,
        outcome: &Outcome<FetchError>,
        now: Time,
    ) {
        let Some(Flight {
            noted,
            query,
            landed,
        }) = self.resyncs.land(promise)
        else {
            return;
        };
        let counters = &noted.how.counters;
        let tries = match outcome {
            Outcome::Failed(error) => {
                counters.resyncs_failed.add(1);
                let feed = &*noted.how.feed;
                tracing::warn!(feed, key = %query.key(), %error, "a resync failed");
                noted.tries.failed()
            }
            Outcome::Data | Outcome::Cancelled => {
                let at = *query.at.lock().unwrap_or_else(PoisonError::into_inner);
                if at.is_some_and(|ix| self.landed(ix, now) > landed) {
                    counters.resyncs_done.add(1);
                    noted.tries.landed()
                } else {
                    if is_settled(&query) {
                        counters.resyncs_skipped.add(1);
                    }
                    // Else it was cancelled by whoever may: that is no reason to hurry.
                    noted.tries.failed()
                }
            }
        };
        // What is kept up again will be another mark.
        if !is_settled(&query) && !noted.is_unkept() {
            self.resyncs.again(Noted { tries, ..noted }, now);
        }
        self.throw_away(query);
    }

    /// How many results the query has had so far.
    fn landed(&self, ix: QueryIx, now: Time) -> u64 {
        let info = self.machine.info(ix, now, &self.table);
        info.map_or(0, |info| info.data_count)
    }
}

/// Whether a value is known and nothing speaks against it that a fetch would mend.
fn is_settled(query: &Query) -> bool {
    let look = query.look();
    look.known() && !look.unsure && !look.invalidated()
}

/// Whether there is no connection that a value could be compared with.
fn is_down(entity: &Entity) -> bool {
    Link::from_word(entity.link().load()).bits & (Link::DOWN | Link::STOPPED) != 0
}

impl fmt::Debug for Resyncing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resyncing")
            .field("feed", &self.feed)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}
