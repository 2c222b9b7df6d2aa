//! The machine: what it holds, what is due, what is to be done next.

use std::collections::VecDeque;

use super::budget::Budget;
use super::events::{Action, CacheEvent, EventKind};
use super::ids::{ObserverId, PromiseId, QueryIx};
use super::look::{Look, Values};
use super::observers::Observer;
use super::registry::Registry;
use super::slab::Slab;
use super::timers::{Timer, Timers};
use super::want::Config;
use crate::Time;
use crate::key::Key;

/// The queries of a cache; `E` is why fetches fail. See [the module](super) for how it is driven.
#[derive(Debug)]
pub(crate) struct Queries<E> {
    pub(super) config: Config,
    pub(super) registry: Registry<E>,
    pub(super) observers: Slab<ObserverId, Observer>,
    pub(super) timers: Timers,
    pub(super) budget: Budget,
    pub(super) online: bool,
    pub(super) focused: bool,
    listening: bool,
    actions: VecDeque<Action<E>>,
    pub(super) fetches: u64,
    promises: u64,
}

/// One call: its instant, and where it looks at values.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) now: Time,
    values: &'a dyn Values,
}

impl<'a> At<'a> {
    pub(super) fn new(now: Time, values: &'a dyn Values) -> Self {
        Self { now, values }
    }

    pub(super) fn look(&self, query: QueryIx) -> Look {
        self.values.look(query)
    }
}

impl<E: Clone> Queries<E> {
    /// No queries, online, focused, and nobody listens to events.
    pub(crate) fn new(config: Config) -> Self {
        Self {
            registry: Registry::new(),
            observers: Slab::new(),
            timers: Timers::default(),
            budget: Budget::new(config.max_background, config.resync_every, config.seed),
            config,
            online: true,
            focused: true,
            listening: false,
            actions: VecDeque::new(),
            fetches: 0,
            promises: 0,
        }
    }

    /// Whether anybody wants [`Action::Event`]; at first nobody does.
    pub(crate) fn listen(&mut self, listening: bool) {
        self.listening = listening;
    }

    /// Whether anybody does.
    pub(super) const fn is_listening(&self) -> bool {
        self.listening
    }

    /// When `handle_timeout` has something to do next.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    /// What to do next; until it yields `None`, after every other call.
    pub(crate) fn poll_action(&mut self) -> Option<Action<E>> {
        let action = self.actions.pop_front()?;
        match &action {
            Action::Changed { query } => {
                if let Some(q) = self.registry.get_mut(*query) {
                    q.changed = false;
                }
            }
            Action::Ask { observer, .. } => {
                if let Some(o) = self.observers.get_mut(*observer) {
                    o.asked = false;
                }
            }
            _ => {}
        }
        Some(action)
    }

    /// Does what is due at `now`.
    pub(crate) fn handle_timeout(&mut self, now: Time, values: &dyn Values) {
        let at = At::new(now, values);
        // Ends, since whatever sets a timer here sets it later than `now`.
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Retry(query) => self.retry(query, at),
                Timer::Poll(observer) => self.poll(observer, at),
                Timer::Stale(observer) => self.turned_stale(observer, at),
                Timer::Collect(query) => self.collect(query, at),
                // What follows is what it is about.
                Timer::Admit => {}
            }
        }
        self.admit(at);
    }

    pub(super) fn act(&mut self, action: Action<E>) {
        self.actions.push_back(action);
    }

    /// Tells those who listen.
    pub(super) fn tell(&mut self, query: QueryIx, kind: EventKind) {
        if self.listening
            && let Some(q) = self.registry.get(query)
        {
            let key = q.key.clone();
            self.tell_of(key, kind);
        }
    }

    /// As `tell`, of a query that may be gone.
    pub(super) fn tell_of(&mut self, key: Key, kind: EventKind) {
        if self.listening {
            self.actions
                .push_back(Action::Event(CacheEvent { key, kind }));
        }
    }

    pub(super) fn promise(&mut self) -> PromiseId {
        self.promises += 1;
        PromiseId(self.promises)
    }
}
