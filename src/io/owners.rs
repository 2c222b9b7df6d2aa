//! Who writes what: the feeds of a cache by name, the slow writer for the rest, and the way of a
//! command to the one that it is for.

use super::clock::Clock;
use super::command::Command;
use super::inbox::{CommandError, Completion, Inbox};
use super::slow::{SLOW, Slow};
use crate::feed::{CounterValues, Counters, Latencies};
use crate::key::Id;
use crate::store::{Entity, Hub, Store, TurnCounter};
use crate::sync::{AtomicBool, Ordering};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How often a command looks for its owner: each time anew, a feed has claimed the entity or ended
/// in the moment in between.
const ROUTES: usize = 4;

/// A feed as others need to know it.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    /// The way in for commands.
    pub(crate) inbox: Inbox<Command>,
    /// Its turns, for cuts.
    pub(crate) turns: Arc<TurnCounter>,
    /// What it counts.
    pub(crate) counters: Arc<Counters>,
    /// It claims what nobody owns.
    pub(crate) wildcard: bool,
    /// What keeps a value from coming, as the feed knows.
    pub(crate) trouble: Trouble,
}

/// Says what keeps a value from coming, if anything is known to. By default nothing is.
#[derive(Clone, Default)]
pub(crate) struct Trouble(Option<Arc<Ask>>);

type Ask = dyn Fn(&str, &Id) -> Option<String> + Send + Sync;

impl Trouble {
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "only feeds with connections have any")
    )]
    pub(crate) fn new(ask: impl Fn(&str, &Id) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(ask)))
    }
}

impl fmt::Debug for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Trouble" } else { "none" })
    }
}

/// The owners of one cache.
///
/// The list of feeds is behind a short lock that no feed's thread takes.
#[derive(Debug)]
pub(crate) struct Owners {
    feeds: Mutex<HashMap<Arc<str>, Owner>>,
    slow: Arc<Slow>,
    closed: AtomicBool,
}

impl Owners {
    pub(crate) fn new(store: Arc<Store>, hub: &Arc<Hub>, clock: Clock) -> Self {
        Self {
            feeds: Mutex::default(),
            slow: Arc::new(Slow::new(store, hub, clock)),
            closed: AtomicBool::new(false),
        }
    }

    /// No feed comes any more: an owner that is gone has no successor.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// The owner of what no feed owns.
    pub(crate) fn slow(&self) -> &Arc<Slow> {
        &self.slow
    }

    fn feeds(&self) -> MutexGuard<'_, HashMap<Arc<str>, Owner>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a feed of that name is attached, or could be mistaken for the slow writer.
    pub(crate) fn is_attached(&self, name: &str) -> bool {
        name == SLOW || self.feeds().get(name).is_some_and(Owner::is_attached)
    }

    /// Makes a feed known; `false` if there is one of that name.
    pub(crate) fn register(&self, name: &Arc<str>, feed: Owner) -> bool {
        let mut feeds = self.feeds();
        // One that has ended makes room for its successor.
        if &**name == SLOW || feeds.get(name).is_some_and(Owner::is_attached) {
            return false;
        }
        feeds.insert(Arc::clone(name), feed);
        true
    }

    /// Whether a feed that claims what nobody owns is attached.
    pub(crate) fn has_wildcard(&self) -> bool {
        self.feeds()
            .values()
            .any(|feed| feed.wildcard && feed.is_attached())
    }

    /// The turns of an owner, by its name.
    pub(crate) fn turns(&self, owner: &str) -> Option<Arc<TurnCounter>> {
        if owner == SLOW {
            return Some(Arc::clone(self.slow.turns()));
        }
        let feeds = self.feeds();
        feeds.get(owner).map(|feed| Arc::clone(&feed.turns))
    }

    /// Counts updates that a reader skipped over, of an owner by its name.
    pub(crate) fn count_conflated(&self, owner: &str, updates: u64) {
        if owner == SLOW {
            self.slow.counters().add_conflated(updates);
        } else if let Some(feed) = self.feeds().get(owner) {
            feed.counters.add_conflated(updates);
        }
    }

    /// What keeps a value of this owner from coming, if that is known.
    pub(crate) fn trouble(&self, owner: &str, entity: &str, id: &Id) -> Option<String> {
        let trouble = self.feeds().get(owner)?.trouble.clone();
        // Outside the lock: it takes others.
        trouble.0.and_then(|ask| ask(entity, id))
    }

    /// The counters of every owner so far, by its name; the slow writer's once it has written.
    pub(crate) fn counters(&self) -> Vec<(String, CounterValues)> {
        let mut all: Vec<_> = self
            .feeds()
            .iter()
            .map(|(name, feed)| (name.to_string(), feed.counters.snapshot()))
            .collect();
        let slow = self.slow.counters().snapshot();
        if slow != CounterValues::default() {
            all.push((SLOW.to_owned(), slow));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// What a feed counts, by its name.
    pub(crate) fn counters_of(&self, owner: &str) -> Option<Arc<Counters>> {
        let feeds = self.feeds();
        feeds.get(owner).map(|feed| Arc::clone(&feed.counters))
    }

    /// The latencies of every feed so far, by its name.
    pub(crate) fn latencies(&self) -> Vec<(String, Latencies)> {
        let all = self.feeds();
        let all = all
            .iter()
            .map(|(name, feed)| (name.to_string(), feed.counters.latencies()));
        let mut all: Vec<_> = all.collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Hands a command to the owner of the entity: enqueued for a feed, carried out on this thread
    /// by the slow writer where no feed owns it. Not for feeds' threads: the slow writer may be
    /// waited for.
    ///
    /// # Errors
    /// [`CommandError::InboxFull`], and [`CommandError::OwnerGone`] for a feed that is about to
    /// begin or to end: its claim is there and its inbox is not. [`CommandError::Closed`] instead
    /// of that after [`close`](Self::close).
    pub(crate) fn send(
        &self,
        entity: &Entity,
        command: Command,
    ) -> Result<Completion, CommandError> {
        self.route(entity, command).map_err(|error| match error {
            CommandError::OwnerGone if self.closed.load(Ordering::Relaxed) => CommandError::Closed,
            error => error,
        })
    }

    fn route(&self, entity: &Entity, command: Command) -> Result<Completion, CommandError> {
        let mut command = command;
        for _ in 0..ROUTES {
            match entity.owner() {
                Some(owner) if &*owner != SLOW => {
                    let inbox = self.feeds().get(&owner).map(|feed| feed.inbox.clone());
                    return inbox.ok_or(CommandError::OwnerGone)?.send(command);
                }
                _ => match self.slow.carry_out(command) {
                    Ok(completion) => return Ok(completion),
                    Err(back) => command = *back,
                },
            }
        }
        Err(CommandError::OwnerGone)
    }
}

impl Owner {
    fn is_attached(&self) -> bool {
        !self.inbox.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Id;
    use crate::store::StoreConfig;

    #[test]
    fn an_owner_that_is_coming_is_worth_a_retry_and_one_of_a_closed_cache_is_not() {
        let store = Store::new(StoreConfig::default());
        let (hub, _runner) = Hub::new();
        let owners = Owners::new(Arc::clone(&store), &hub, Clock::real());
        let entity = store.entity("e").expect("room");
        let _writer = entity.claim("coming".into()).expect("nobody's");
        let purge = || {
            let command = Command::Purge {
                entity: "e".into(),
                id: Id::from(1),
                seen: None,
            };
            owners.send(&entity, command).expect_err("nobody takes it")
        };
        assert_eq!(purge(), CommandError::OwnerGone);
        assert!(purge().is_retryable());
        owners.close();
        assert_eq!(purge(), CommandError::Closed);
        assert!(!purge().is_retryable());
    }
}
