//! Waiting until values are there: what a service does once, at start.

use std::fmt;
use std::future::poll_fn;
use std::time::Duration;

use super::freshness::{Freshness, Reasons};
use super::slot::Slot;
use crate::key::Id;
use crate::store::{Registration, Seen, Watched, Woken};
use crate::sync::Arc;

/// Some values were not live at the deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyError {
    missing: Vec<NotReady>,
    closed: bool,
}

impl ReadyError {
    /// Each value that is not live, and why.
    #[must_use]
    pub fn missing(&self) -> &[NotReady] {
        &self.missing
    }

    /// Whether the wait ended because the cache was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether waiting longer may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        !self.closed
    }
}

impl fmt::Display for ReadyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.closed {
            "the cache was closed; not live: "
        } else {
            "not live in time: "
        })?;
        for (n, missing) in self.missing.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{missing}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ReadyError {}

/// One value that is not live, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// The entity.
    pub entity: String,
    /// The id.
    pub id: Id,
    /// Why.
    pub reason: NotReadyReason,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]: {}", self.entity, self.id, self.reason)
    }
}

/// Why a value is not live.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotReadyReason {
    /// Its state.
    Freshness(Freshness),
    /// No feed declares the entity. The names that come nearest are what may have been meant.
    Undeclared {
        /// Declared entities with a similar name, the nearest first.
        near: Vec<String>,
    },
    /// The configured number of entities, or of ids in it, is reached: nothing will ever be
    /// written here.
    LimitReached,
    /// Its feed has no connection, or the server has refused the subscription that would keep it
    /// up.
    Feed {
        /// The feed.
        feed: String,
        /// What the feed says: why it has no connection, or the server's reason.
        problem: String,
    },
}

impl fmt::Display for NotReadyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Freshness(Freshness::Empty) => f.write_str("no message has come yet"),
            Self::Freshness(freshness) => write!(f, "{freshness}"),
            Self::Undeclared { near } if near.is_empty() => {
                f.write_str("no feed declares this entity")
            }
            Self::Undeclared { near } => {
                write!(
                    f,
                    "no feed declares this entity; did you mean {}?",
                    near.join(" or ")
                )
            }
            Self::Feed { feed, problem } => write!(f, "the feed `{feed}` {problem}"),
            Self::LimitReached => {
                f.write_str("the configured number of ids or entities is reached")
            }
        }
    }
}

impl Slot {
    /// Waits until the value is live, on any executor.
    ///
    /// # Errors
    /// At the deadline, counted from now: why it is not live, with similar names if no feed
    /// declares the entity.
    pub async fn ready(&self, deadline: Duration) -> Result<(), ReadyError> {
        ready(vec![self.clone()], deadline).await
    }

    /// As [`ready`](Self::ready), blocking this thread.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn wait_ready(&self, deadline: Duration) -> Result<(), ReadyError> {
        wait_ready(vec![self.clone()], deadline)
    }
}

/// The slots that are waited for, and what was last seen of each.
struct Wanted {
    slots: Vec<Slot>,
    seen: Vec<Seen>,
}

impl Wanted {
    fn new(slots: Vec<Slot>) -> Self {
        Self {
            seen: vec![Seen::default(); slots.len()],
            slots,
        }
    }

    fn register(&self) -> Option<Registration> {
        let first = self.slots.first()?;
        let watched = self
            .slots
            .iter()
            .map(|slot| Arc::clone(slot.core()) as Arc<dyn Watched>);
        Some(first.entity().shared().hub.register(watched.collect()))
    }

    /// Looks at each; whether all are live.
    fn are_live(&mut self) -> bool {
        let mut live = true;
        for (slot, seen) in self.slots.iter().zip(&mut self.seen) {
            let now = slot.surroundings();
            // Before the value: whatever moves afterwards is news.
            let (link, invalidation) = (now.link, now.invalidation);
            *seen = Seen {
                epoch: slot.epoch(),
                link,
                invalidation,
            };
            live &= slot.freshness().is_live();
        }
        live
    }

    fn error(&self, closed: bool) -> ReadyError {
        let missing = self.slots.iter().filter_map(|slot| {
            let freshness = slot.freshness();
            let reason = match freshness {
                Freshness::Live => return None,
                Freshness::Empty if slot.core().is_detached() => NotReadyReason::LimitReached,
                Freshness::Empty => match slot.entity().shared().undeclared(slot.entity()) {
                    Some(near) => NotReadyReason::Undeclared { near },
                    None => trouble(slot).unwrap_or(NotReadyReason::Freshness(freshness)),
                },
                Freshness::Stale(reasons) if reasons.contains(Reasons::DISCONNECTED) => {
                    trouble(slot).unwrap_or(NotReadyReason::Freshness(freshness))
                }
                _ => NotReadyReason::Freshness(freshness),
            };
            let entity = slot.entity().name().to_owned();
            Some(NotReady {
                entity,
                id: slot.id().clone(),
                reason,
            })
        });
        ReadyError {
            missing: missing.collect(),
            closed,
        }
    }
}

/// What the feed that owns the value says of it, if anything is wrong there.
fn trouble(slot: &Slot) -> Option<NotReadyReason> {
    let entity = slot.entity();
    let feed = entity.core().owner()?.to_string();
    let owners = entity.shared().owners();
    let problem = owners.trouble(&feed, entity.name(), slot.id())?;
    Some(NotReadyReason::Feed { feed, problem })
}

pub(crate) async fn ready(slots: Vec<Slot>, deadline: Duration) -> Result<(), ReadyError> {
    let mut wanted = Wanted::new(slots);
    let Some(mut registration) = wanted.register() else {
        return Ok(());
    };
    let until = wanted.slots[0]
        .entity()
        .shared()
        .clock
        .now()
        .after(deadline);
    loop {
        if wanted.are_live() {
            return Ok(());
        }
        let woken = poll_fn(|cx| registration.poll(cx, &wanted.seen, until)).await;
        match woken {
            Woken::Moved => {}
            Woken::Deadline if wanted.are_live() => return Ok(()),
            Woken::Deadline => return Err(wanted.error(false)),
            Woken::Closed => return Err(wanted.error(true)),
        }
    }
}

pub(crate) fn wait_ready(slots: Vec<Slot>, deadline: Duration) -> Result<(), ReadyError> {
    let mut wanted = Wanted::new(slots);
    let Some(mut registration) = wanted.register() else {
        return Ok(());
    };
    let shared = wanted.slots[0].entity().shared().clone();
    let until = shared.clock.now().after(deadline);
    loop {
        if wanted.are_live() {
            return Ok(());
        }
        match registration.wait(&wanted.seen, until, &|| shared.clock.now()) {
            Woken::Moved => {}
            Woken::Deadline if wanted.are_live() => return Ok(()),
            Woken::Deadline => return Err(wanted.error(false)),
            Woken::Closed => return Err(wanted.error(true)),
        }
    }
}

/// At most so many similar names are offered.
const NEAR_MISSES: usize = 3;

/// Names among `declared` that `name` may have been meant for, the nearest first.
pub(crate) fn near_misses(name: &str, declared: impl Iterator<Item = String>) -> Vec<String> {
    let lower = name.to_lowercase();
    let tail = |name: &str| name.rsplit('.').next().unwrap_or_default().to_lowercase();
    let mut near: Vec<(f64, String)> = declared
        .map(|other| {
            let whole = strsim::jaro_winkler(&lower, &other.to_lowercase());
            // A forgotten prefix, or the wrong one.
            let last = if tail(name) == tail(&other) { 0.9 } else { 0.0 };
            (whole.max(last), other)
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    near.into_iter()
        .take(NEAR_MISSES)
        .map(|(_, name)| name)
        .collect()
}
