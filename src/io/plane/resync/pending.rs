//! What is to be resynced, and when: entities that are looked at, values that have their time.

use std::collections::BTreeMap;
use std::time::Duration;

use hashbrown::HashMap;

use super::{Resyncing, is_down, suspects};
use crate::Time;
use crate::feed::Random;
use crate::io::plane::query::Query;
use crate::key::{Id, Key};
use crate::query::PromiseId;
use crate::store::{Entity, Link};
use crate::sync::Arc;

/// How long an entity is not looked at again after a look, for each so many slots: a look is one at
/// each of them.
const PAUSE: Duration = Duration::from_millis(50);
const SLOTS_PER_PAUSE: u32 = 16_384;

/// The first pause after a resync that failed, retries and all; doubled each time.
const FIRST_REST: Duration = Duration::from_secs(30);
/// The longest.
const LAST_REST: Duration = Duration::from_secs(300);

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// A value that its stream has lost.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub(super) how: Arc<Resyncing>,
    pub(super) entity: Arc<Entity>,
    pub(super) id: Id,
    /// Of the connection that it was noted under: the next one gives it its time anew.
    pub(super) generation: u64,
    pub(super) tries: Tries,
}

impl Noted {
    pub(super) fn key(&self) -> Key {
        Key::of_slot(Arc::clone(self.entity.name()), self.id.clone())
    }

    /// Whether no stream keeps it up, now or any more.
    pub(super) fn is_unkept(&self) -> bool {
        match self.entity.find(self.id.as_ref()) {
            Some(slot) => {
                suspects::look(&self.how, &self.entity, &slot) == suspects::Standing::Unkept
            }
            None => {
                is_down(&self.entity) || !self.how.wanted.contains(self.entity.name(), &self.id)
            }
        }
    }
}

/// How often in a row a resync has left the value as it was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tries {
    failed: u32,
    landed: u32,
}

impl Tries {
    pub(super) fn failed(self) -> Self {
        Self {
            failed: self.failed.saturating_add(1),
            landed: 0,
        }
    }

    /// It was fetched, and may be suspect all the same.
    pub(super) fn landed(self) -> Self {
        Self {
            failed: 0,
            landed: self.landed.saturating_add(1),
        }
    }

    /// How long to wait before the next.
    fn rest(self, after: Duration) -> Duration {
        let doubled = |first: Duration, times: u32| {
            let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
            first.saturating_mul(factor)
        };
        match self.failed {
            // The first time as ever: a mark that came while it was fetched is one like any other.
            0 => doubled(after, self.landed.saturating_sub(1)).min(LAST_REST.max(after)),
            failed => doubled(FIRST_REST, failed - 1).min(LAST_REST),
        }
    }
}

/// A resync that the machine sees to.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) noted: Noted,
    pub(super) query: Arc<Query>,
    /// Results that the query had had before.
    pub(super) landed: u64,
}

/// A feed that is resynced.
#[derive(Debug)]
struct Feed {
    how: Arc<Resyncing>,
    entities: Vec<Followed>,
    /// Its server asks to be left alone until then.
    held: Time,
}

#[derive(Debug)]
struct Followed {
    entity: Arc<Entity>,
    seen: Option<Marks>,
    /// It is not looked at before.
    not_before: Time,
}

/// How often anything has happened to an entity that may leave its values suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    link: u64,
    entity: u64,
    slots: u64,
    suspects: u64,
    wanted: u64,
}

impl Marks {
    fn of(how: &Resyncing, entity: &Entity) -> Self {
        Self {
            link: entity.link().load(),
            entity: entity.invalidations(),
            slots: entity.slots_invalidated(),
            suspects: entity.suspects(),
            wanted: how.wanted.changes(),
        }
    }
}

/// Feeds that are resynced, and what is to be done for them.
#[derive(Debug)]
pub(in crate::io::plane) struct Resyncs {
    feeds: Vec<Feed>,
    /// By the time that they have.
    pending: BTreeMap<(Time, u64), Noted>,
    /// Their places there; `None` is what the machine sees to.
    known: Map<Key, Option<(Time, u64)>>,
    flights: Map<PromiseId, Flight>,
    numbers: u64,
    random: Random,
}

impl Resyncs {
    pub(in crate::io::plane) fn new(seed: u64) -> Self {
        Self {
            feeds: Vec::new(),
            pending: BTreeMap::new(),
            known: Map::default(),
            flights: Map::default(),
            numbers: 0,
            random: Random::seeded(seed),
        }
    }

    /// No feed is resynced.
    pub(in crate::io::plane) fn is_empty(&self) -> bool {
        self.feeds.is_empty()
    }

    /// Resyncs a feed from now on. What it replaces is handed out, since a user's function is in it.
    pub(super) fn register(
        &mut self,
        how: Arc<Resyncing>,
        entities: Vec<Arc<Entity>>,
    ) -> impl Sized + use<> {
        let old: Vec<Feed> = self
            .feeds
            .extract_if(.., |feed| feed.how.feed == how.feed)
            .collect();
        let stays = |noted: &Noted| noted.how.feed != how.feed;
        let gone: Vec<Noted> = self
            .pending
            .extract_if(.., |_, noted| !stays(noted))
            .map(|(_, noted)| noted)
            .collect();
        for noted in &gone {
            self.known.remove(&noted.key());
        }
        self.feeds.push(Feed {
            how,
            entities: Vec::new(),
            held: Time::ZERO,
        });
        self.follow(self.feeds.len() - 1, entities);
        (old, gone)
    }

    /// Feeds that may have come to own more, with their numbers.
    pub(super) fn wild(&self) -> Vec<(usize, Arc<Resyncing>)> {
        let feeds = self.feeds.iter().enumerate();
        feeds
            .filter(|(_, feed)| feed.how.wildcard)
            .map(|(number, feed)| (number, Arc::clone(&feed.how)))
            .collect()
    }

    /// Looks at these entities, too, for the feed with this number.
    pub(super) fn follow(&mut self, feed: usize, entities: Vec<Arc<Entity>>) {
        let Some(feed) = self.feeds.get_mut(feed) else {
            return;
        };
        for entity in entities {
            let known = feed
                .entities
                .iter()
                .any(|followed| Arc::ptr_eq(&followed.entity, &entity));
            if !known {
                feed.entities.push(Followed {
                    entity,
                    seen: None,
                    not_before: Time::ZERO,
                });
            }
        }
    }

    /// The entities to be looked at now: something has happened to them since.
    pub(super) fn take_looks(&mut self, now: Time) -> Vec<(Arc<Resyncing>, Arc<Entity>)> {
        let mut looks = Vec::new();
        for feed in &mut self.feeds {
            for followed in &mut feed.entities {
                let marks = Marks::of(&feed.how, &followed.entity);
                if followed.seen == Some(marks) || followed.not_before > now {
                    continue;
                }
                followed.seen = Some(marks);
                let pauses = 1 + followed.entity.numbers() / SLOTS_PER_PAUSE;
                followed.not_before = now.after(PAUSE.saturating_mul(pauses));
                looks.push((Arc::clone(&feed.how), Arc::clone(&followed.entity)));
            }
        }
        looks
    }

    /// These were found suspect.
    pub(super) fn note(
        &mut self,
        how: &Arc<Resyncing>,
        entity: &Arc<Entity>,
        ids: Vec<Id>,
        now: Time,
    ) {
        // A feed that was replaced meanwhile.
        if !self.feeds.iter().any(|feed| Arc::ptr_eq(&feed.how, how)) {
            return;
        }
        let generation = generation(entity);
        for id in ids {
            let noted = Noted {
                how: Arc::clone(how),
                entity: Arc::clone(entity),
                id,
                generation,
                tries: Tries::default(),
            };
            match self.known.get(&noted.key()) {
                None => self.put(noted, how.after, now),
                Some(None) => {}
                Some(Some(at)) => {
                    let at = *at;
                    if self
                        .pending
                        .get(&at)
                        .is_some_and(|old| old.generation != generation)
                    {
                        self.pending.remove(&at);
                        self.put(noted, how.after, now);
                    }
                }
            }
        }
    }

    /// It is suspect still, or again.
    pub(super) fn again(&mut self, noted: Noted, now: Time) {
        let current = |feed: &Feed| Arc::ptr_eq(&feed.how, &noted.how);
        if self.feeds.iter().any(current) && !self.known.contains_key(&noted.key()) {
            let generation = generation(&noted.entity);
            // What was let go with a connection has failed under that one.
            let tries = if noted.generation == generation {
                noted.tries
            } else {
                Tries::default()
            };
            let rest = tries.rest(noted.how.after);
            self.put(
                Noted {
                    generation,
                    tries,
                    ..noted
                },
                rest,
                now,
            );
        }
    }

    fn put(&mut self, noted: Noted, rest: Duration, now: Time) {
        self.numbers += 1;
        let due = now.after(rest.saturating_add(self.part(rest / 2)));
        let at = (due, self.numbers);
        self.known.insert(noted.key(), Some(at));
        self.pending.insert(at, noted);
    }

    /// A random part of `span`.
    fn part(&mut self, span: Duration) -> Duration {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let scaled = (u128::from(nanos) * u128::from(self.random.next_u64())) >> 64;
        Duration::from_nanos(u64::try_from(scaled).unwrap_or(nanos))
    }

    /// The server that this was asked of asks to be left alone until then.
    pub(super) fn hold(&mut self, query: &Arc<Query>, until: Time) {
        let mut flights = self.flights.values();
        let Some(flight) = flights.find(|flight| Arc::ptr_eq(&flight.query, query)) else {
            return;
        };
        for feed in &mut self.feeds {
            if Arc::ptr_eq(&feed.how, &flight.noted.how) {
                feed.held = feed.held.max(until);
            }
        }
    }

    /// Whether a resync of this query that is under way would bring what no stream keeps up any more.
    pub(in crate::io::plane) fn is_unkept(&self, query: &Arc<Query>) -> bool {
        let mut flights = self.flights.values();
        let flight = flights.find(|flight| Arc::ptr_eq(&flight.query, query));
        flight.is_some_and(|flight| flight.noted.is_unkept())
    }

    /// The first whose time has come. It is unknown from here on, but for its flight.
    pub(super) fn take_due(&mut self, now: Time) -> Option<Noted> {
        loop {
            let due = self.pending.first_entry()?;
            if due.key().0 > now {
                return None;
            }
            let noted = due.remove();
            let feeds = self.feeds.iter();
            let held = feeds
                .filter(|feed| Arc::ptr_eq(&feed.how, &noted.how))
                .map(|feed| feed.held)
                .max();
            match held.filter(|held| *held > now) {
                Some(held) => {
                    let after = noted.how.after;
                    self.put(noted, after, held);
                }
                None => {
                    self.known.remove(&noted.key());
                    return Some(noted);
                }
            }
        }
    }

    /// The machine sees to it.
    pub(super) fn fly(&mut self, promise: PromiseId, flight: Flight) {
        self.known.insert(flight.noted.key(), None);
        self.flights.insert(promise, flight);
    }

    /// The machine is done with it.
    pub(super) fn land(&mut self, promise: PromiseId) -> Option<Flight> {
        let flight = self.flights.remove(&promise)?;
        self.known.remove(&flight.noted.key());
        Some(flight)
    }

    /// Whether one's time has come.
    pub(super) fn is_due(&self, now: Time) -> bool {
        let first = self.pending.keys().next();
        first.is_some_and(|(due, _)| *due <= now)
    }

    /// When there is something to do next. `waits`: values whose time has come may be handed over.
    pub(super) fn next(&self, waits: bool) -> Option<Time> {
        let looks = self.feeds.iter().flat_map(|feed| {
            let moved = feed
                .entities
                .iter()
                .filter(|followed| followed.seen != Some(Marks::of(&feed.how, &followed.entity)));
            moved.map(|followed| followed.not_before)
        });
        let due = self.pending.keys().next().filter(|_| waits);
        looks.chain(due.map(|(due, _)| *due)).min()
    }
}

fn generation(entity: &Entity) -> u64 {
    Link::from_word(entity.link().load()).generation
}
