//! Attaching a feed, and the handle to one that runs.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::attach_error::AttachError;
use super::feed::Feed;
use super::handle::{Cache, Stop};
use super::liveness::entities;
use super::resync::Plan;
use super::shared::Shared;
use crate::feed::{CounterValues, Counters, Group, Machine, Plan as Legs, Protocol, Subscription};
use crate::io::command::Command;
use crate::io::feed_thread::{self, FeedHandle, Parts, ThreadOptions};
use crate::io::inbox::Completion;
use crate::io::ingest::Ingest;
use crate::io::owners::{Owner, Trouble};
use crate::io::status::{Board, FeedEnd, FeedStatus};
use crate::store::TurnCounter;
use crate::sync::Arc;

impl Cache {
    /// Starts a feed on a thread of its own: it claims its entities now and connects by itself,
    /// again and again, until it is stopped. Does not wait for the connection.
    ///
    /// # Errors
    /// If a setting cannot work, an entity that the feed declares has another owner, or the system
    /// gives no thread.
    pub fn attach<P>(&self, feed: Feed<P>) -> Result<FeedRef, AttachError>
    where
        P: Protocol + Clone,
    {
        let Prepared {
            name,
            thread,
            counters,
            turns,
            wildcard,
            resync,
            first,
            rebuild,
        } = self.prepare(feed, seed)?;
        let runtime = self.runtime()?;
        let clock = self.shared().clock.clone();
        let handle = feed_thread::spawn(thread, runtime, clock, first, rebuild)?;
        let feed = self.enlist(name, handle, counters, turns, wildcard, resync)?;
        self.keep(self.next_source(), Arc::new(feed.clone()));
        Ok(feed)
    }

    /// Checks and makes everything of a feed but its thread. `seed` is asked for each of its random
    /// sequences.
    pub(super) fn prepare<P>(
        &self,
        feed: Feed<P>,
        seed: impl Fn() -> u64 + Clone + Send + 'static,
    ) -> Result<Prepared<P, impl FnMut() -> Made<P> + Send + 'static>, AttachError>
    where
        P: Protocol + Clone,
    {
        if self.is_closed() {
            return Err(AttachError::Closed);
        }
        let Feed {
            protocol,
            settings,
            inbox,
            max_items,
            watched,
            unmapped,
            resync,
            mut thread,
            redundant,
            lifetime,
        } = feed;
        let config = settings.check()?;
        let name: Arc<str> = protocol.name().into();
        // Before anything of it is marked as its own, or as stopped when it is given up.
        if self.shared().owners().is_attached(&name) {
            return Err(AttachError::Name(name));
        }
        thread.name = name.to_string();
        thread.inbox = inbox;
        thread.connect.connect_timeout = config.settings().connect_timeout;
        thread.connect.handshake_timeout = config.settings().handshake_timeout;
        let counters = Arc::new(Counters::default());
        let turns = Arc::new(TurnCounter::new());
        let on_connect = config.settings().on_connect;
        let silence = entities(&protocol, &watched)?;
        let resync = self.resync_plan(resync.connecting(&thread.connect), &protocol)?;
        let wanted = resync.as_ref().map(|resync| Arc::clone(resync.wanted()));
        let ingest = self.ingest(&protocol, on_connect, max_items, silence, wanted);
        let taps = unmapped.map(|hook| self.start_unmapped(hook)).transpose()?;
        let (kept, spare) = (Arc::clone(&counters), protocol.clone());
        let target_counters = (Arc::clone(&counters), Arc::clone(&turns));
        let plan = Legs {
            redundant,
            lifetime: lifetime.or_else(|| protocol.lifetime()),
        };
        let taps = taps.map(Arc::new);
        let make = move |protocol: P| -> Result<Parts<P, Ingest>, AttachError> {
            let (counters, turns) = target_counters.clone();
            let (config, taps) = (config.clone(), taps.clone());
            let (shared, random) = (Arc::clone(&counters), seed.clone());
            // Each connection has a protocol of its own.
            let spawn = move || {
                let (config, counters) = (config.clone(), Arc::clone(&shared));
                let mut machine = Machine::new(config, protocol.clone(), counters, random())?;
                machine.defer_long();
                if let Some(tap) = &taps {
                    machine.tap(tap());
                }
                Ok(machine)
            };
            Ok(Parts {
                group: Group::new(plan, Box::new(spawn), seed())?,
                target: ingest(counters, turns)?,
            })
        };
        let wildcard = protocol.claims().wildcard;
        let first = make(protocol)?;
        // After a panic the old protocol is gone: a copy that never ran takes its place.
        let rebuild = move || make(spare.clone()).map_err(|error| error.to_string());
        Ok(Prepared {
            name,
            thread,
            counters: kept,
            turns,
            wildcard,
            resync,
            first,
            rebuild,
        })
    }

    /// Makes a feed that runs known to the others.
    pub(super) fn enlist(
        &self,
        name: Arc<str>,
        handle: FeedHandle,
        counters: Arc<Counters>,
        turns: Arc<TurnCounter>,
        wildcard: bool,
        resync: Option<Plan>,
    ) -> Result<FeedRef, AttachError> {
        let owner = Owner {
            inbox: handle.inbox().clone(),
            turns,
            counters: Arc::clone(&counters),
            wildcard,
            trouble: trouble(handle.board()),
        };
        if !self.shared().owners().register(&name, owner) {
            handle.stop();
            return Err(AttachError::Name(name));
        }
        if let Some(resync) = resync
            && let Err(error) = resync.begin(self.plane(), &counters)
        {
            handle.stop();
            return Err(error.into());
        }
        Ok(FeedRef(Arc::new(Running {
            name,
            handle,
            counters,
            shared: Arc::clone(self.shared()),
        })))
    }
}

/// New parts for a feed, or why there are none.
pub(super) type Made<P> = Result<Parts<P, Ingest>, String>;

/// A feed that lacks only its thread.
pub(super) struct Prepared<P, B> {
    pub(super) name: Arc<str>,
    pub(super) thread: ThreadOptions,
    pub(super) counters: Arc<Counters>,
    pub(super) turns: Arc<TurnCounter>,
    pub(super) wildcard: bool,
    pub(super) resync: Option<Plan>,
    pub(super) first: Parts<P, Ingest>,
    /// Makes new parts after a panic.
    pub(super) rebuild: B,
}

/// What keeps a value from coming: there is no connection, or the server refuses to send it.
fn trouble(board: &Arc<Board>) -> Trouble {
    let board = Arc::clone(board);
    Trouble::new(move |entity, id| {
        if let Some(why) = board.why_not_open() {
            return Some(format!("has no connection: {why}"));
        }
        board.subscriptions(|report| {
            let denial = report.denial(entity, id)?;
            Some(format!("has no subscription for it: {denial}"))
        })
    })
}

/// What masks frames and shakes delays: from the operating system, else from nowhere in particular.
fn seed() -> u64 {
    getrandom::u64().unwrap_or(0x9e37_79b9_7f4a_7c15)
}

/// A feed that runs. Clones name the same one; dropping them stops nothing.
#[derive(Clone)]
pub struct FeedRef(pub(super) Arc<Running>);

pub(super) struct Running {
    pub(super) name: Arc<str>,
    pub(super) handle: FeedHandle,
    pub(super) counters: Arc<Counters>,
    pub(super) shared: Arc<Shared>,
}

impl FeedRef {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where it stands: connection, attempts, last errors. Takes a lock that is held for moments.
    #[must_use]
    pub fn state(&self) -> FeedStatus {
        self.0.handle.status()
    }

    /// Its counters now. Wait-free; allocates.
    #[must_use]
    pub fn counters(&self) -> CounterValues {
        self.0.counters.snapshot()
    }

    /// Asks for these ids of a channel, from now on and after every reconnect. The handle resolves
    /// when the server has acknowledged or refused all of them, or the feed cannot take the request
    /// ([`CommandError::InboxFull`](crate::CommandError::InboxFull), `OwnerGone`); dropping it is
    /// fine.
    pub fn subscribe<N: AsRef<str>>(
        &self,
        channel: &str,
        ids: impl IntoIterator<Item = N>,
    ) -> Completion {
        self.send(Command::Subscribe(subscriptions(channel, ids)))
    }

    /// Takes subscriptions back; their values read `Unsubscribed` once the server has answered. As
    /// [`subscribe`](Self::subscribe).
    pub fn unsubscribe<N: AsRef<str>>(
        &self,
        channel: &str,
        ids: impl IntoIterator<Item = N>,
    ) -> Completion {
        self.send(Command::Unsubscribe(subscriptions(channel, ids)))
    }

    /// Enqueues at once; a refusal is the answer.
    fn send(&self, command: Command) -> Completion {
        let inbox = self.0.handle.inbox();
        inbox
            .send(command)
            .unwrap_or_else(|error| Completion::done(Err(error)))
    }

    /// Says goodbye to the server and ends; it never connects again. Resolves when the thread has
    /// ended and its values read `Stopped`.
    pub fn stop(&self) -> impl Future<Output = FeedEnd> + Send + use<> {
        self.0.handle.stop();
        self.finished()
    }

    /// Resolves when the feed has ended, with how.
    pub fn finished(&self) -> impl Future<Output = FeedEnd> + Send + use<> {
        self.0.handle.board().finished()
    }

    /// Blocks until the feed has ended, `timeout` at most.
    #[must_use]
    pub fn wait_finished(&self, timeout: Duration) -> Option<FeedEnd> {
        self.0.handle.board().end().wait(Some(timeout))
    }
}

fn subscriptions<N: AsRef<str>>(
    channel: &str,
    ids: impl IntoIterator<Item = N>,
) -> Vec<Subscription> {
    ids.into_iter()
        .map(|id| Subscription::new(channel, id.as_ref()))
        .collect()
}

impl Stop for FeedRef {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn stop(&self) {
        self.0.handle.stop();
    }

    fn join(&self, timeout: Duration) -> bool {
        self.0.handle.join(timeout)
    }
}

impl fmt::Debug for FeedRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedRef")
            .field("name", &self.0.name)
            .field("state", &self.state().state)
            .field("closed", &self.0.shared.is_closed())
            .finish_non_exhaustive()
    }
}
