//! A feed that its caller drives: messages from anywhere, no sockets.

use std::fmt;

use super::attach_error::AttachError;
use super::feed::Feed;
use super::handle::Cache;
use super::liveness::{Watched, entities};
use crate::Time;
use crate::feed::{CounterValues, Counters, OnConnect, Protocol, Refusal};
use crate::io::clock::Clock;
use crate::io::ingest::{ClaimError, Ingest, IngestConfig};
use crate::io::local;
use crate::io::owners::{Owner, Trouble};
use crate::io::wanted::Wanted;
use crate::store::TurnCounter;
use crate::sync::Arc;

/// A feed whose messages its caller hands in, on the caller's thread: from a file, another
/// transport, or a test. It is the owner of its entities, as a feed with a socket is; dropping it
/// ends it, and its values read `Stopped`.
///
/// Call [`settle`](Self::settle) now and then, and whenever other threads may have enqueued
/// commands: nobody else does.
pub struct LocalFeed<P> {
    inner: local::LocalFeed<P, Ingest>,
    counters: Arc<Counters>,
    clock: Clock,
}

impl Cache {
    /// Attaches a feed that the caller drives. It is not open yet: see [`LocalFeed::open`].
    ///
    /// # Errors
    /// If a setting cannot work, or an entity that the feed declares has another owner.
    pub fn local<P: Protocol>(&self, feed: Feed<P>) -> Result<LocalFeed<P>, AttachError> {
        if self.is_closed() {
            return Err(AttachError::Closed);
        }
        let config = feed.settings.check()?;
        let name: Arc<str> = feed.protocol.name().into();
        // Before anything of it is marked as its own, or as stopped when it is given up.
        if self.shared().owners().is_attached(&name) {
            return Err(AttachError::Name(name));
        }
        let wildcard = feed.protocol.claims().wildcard;
        let counters = Arc::new(Counters::default());
        let turns = Arc::new(TurnCounter::new());
        let on_connect = config.settings().on_connect;
        let silence = entities(&feed.protocol, &feed.watched)?;
        let resync = self.resync_plan(feed.resync, &feed.protocol)?;
        let wanted = resync.as_ref().map(|resync| Arc::clone(resync.wanted()));
        let target = self.ingest(&feed.protocol, on_connect, feed.max_items, silence, wanted);
        let target = target(Arc::clone(&counters), Arc::clone(&turns))?;
        let tap = feed.unmapped.map(|hook| self.start_unmapped(hook));
        let tap = tap.transpose()?;
        let (mut inner, inbox) = local::LocalFeed::new(
            &config,
            feed.protocol,
            Arc::clone(&counters),
            target,
            feed.inbox,
        );
        if let Some(tap) = tap {
            inner.tap(tap());
        }
        let owner = Owner {
            inbox,
            turns,
            counters: Arc::clone(&counters),
            wildcard,
            trouble: Trouble::default(),
        };
        if !self.shared().owners().register(&name, owner) {
            return Err(AttachError::Name(name));
        }
        if let Some(resync) = resync {
            resync.begin(self.plane(), &counters)?;
        }
        Ok(LocalFeed {
            inner,
            counters,
            clock: self.shared().clock.clone(),
        })
    }

    /// Makes landing places for a feed's messages, each time with a number of its own.
    pub(super) fn ingest<P: Protocol>(
        &self,
        protocol: &P,
        on_connect: OnConnect,
        max_items: usize,
        silence: Vec<Watched>,
        wanted: Option<Arc<Wanted>>,
    ) -> impl Fn(Arc<Counters>, Arc<TurnCounter>) -> Result<Ingest, ClaimError> + Send + use<P>
    {
        let shared = Arc::clone(self.shared());
        let config = IngestConfig {
            feed: protocol.name().into(),
            source: self.next_source(),
            claims: protocol.claims(),
            on_connect,
            limits: shared.store.config().limits,
            max_items,
            silence,
        };
        move |counters, turns| {
            let (store, hub) = (Arc::clone(&shared.store), Arc::clone(&shared.hub));
            let slow = shared.owners().slow();
            // What the slow plane has written of it becomes the feed's, as it is.
            let claim = || Ingest::new(config.clone(), store, hub, counters, turns);
            let ingest = slow.hand_over(&config.claims.entities, claim)?;
            let ingest = ingest.forwarding_to(Arc::clone(slow));
            Ok(match &wanted {
                Some(wanted) => ingest.noting(Arc::clone(wanted)),
                None => ingest,
            })
        }
    }
}

impl<P: Protocol> LocalFeed<P> {
    /// Opens the feed, as a connection would: a new generation begins.
    pub fn open(&mut self) {
        self.inner.opened(self.clock.now());
    }

    /// Closes it, as the loss of a connection would: its values are `Disconnected`.
    pub fn close(&mut self) {
        self.inner.lost(self.clock.now());
    }

    /// Says that something was missed: its values have a `Gap` until whole ones come.
    pub fn gap(&mut self) {
        self.inner.gap(self.clock.now());
    }

    /// Takes one message and wakes whoever waits for what it says. Its bytes are decoded in place
    /// and may be changed. For more than one at a time take a [`batch`](Self::batch).
    ///
    /// # Errors
    /// Why the message was refused, as it is counted. A refused message has no effect.
    pub fn message(&mut self, text: &mut [u8]) -> Result<(), Refusal> {
        self.inner.deliver(self.clock.now(), text)
    }

    /// As [`message`](Self::message), for text that is not to be changed: copies it first.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub fn message_text(&mut self, text: &str) -> Result<(), Refusal> {
        self.message(&mut text.as_bytes().to_vec())
    }

    /// Begins a batch, received now: one look at the clock, and one wake at its end.
    pub fn batch(&mut self) -> Batch<'_, P> {
        let now = self.clock.now();
        self.batch_at(now)
    }

    /// Begins a batch, received at `now`.
    pub fn batch_at(&mut self, now: Time) -> Batch<'_, P> {
        self.inner.begin(now);
        Batch {
            feed: &mut self.inner,
        }
    }

    /// Carries out what other threads have enqueued, notices silence, and wakes whoever waits.
    pub fn settle(&mut self) {
        self.inner.settle(self.clock.now());
    }

    /// When [`settle`](Self::settle) has something to notice, if ever.
    #[cfg(feature = "testing")]
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.inner.deadline()
    }

    /// Whether commands wait for [`settle`](Self::settle).
    #[cfg(feature = "testing")]
    pub(crate) fn has_commands(&self) -> bool {
        self.inner.has_commands()
    }

    /// Its counters now.
    #[must_use]
    pub fn counters(&self) -> CounterValues {
        self.counters.snapshot()
    }
}

/// Messages that came together. Readers see what each says at once; dropping the batch wakes
/// whoever waits, once.
pub struct Batch<'a, P: Protocol> {
    feed: &'a mut local::LocalFeed<P, Ingest>,
}

impl<P: Protocol> Batch<'_, P> {
    /// Takes one message. Wait-free but for cold branches; allocates nothing in steady state.
    ///
    /// # Errors
    /// Why the message was refused, as it is counted. A refused message has no effect.
    #[inline]
    pub fn message(&mut self, text: &mut [u8]) -> Result<(), Refusal> {
        self.feed.message(text)
    }
}

impl<P: Protocol> Drop for Batch<'_, P> {
    fn drop(&mut self) {
        self.feed.finish();
    }
}

impl<P: Protocol> fmt::Debug for Batch<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").finish_non_exhaustive()
    }
}

impl<P> fmt::Debug for LocalFeed<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalFeed").finish_non_exhaustive()
    }
}
