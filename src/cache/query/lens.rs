//! How one handle sees a query: as which type, how old it may be, and what stands in for it.

use std::fmt;

use serde::de::DeserializeOwned;

use super::decode::Decoder;
use super::error::QueryError;
use super::source::{Content, Source};
use super::state::{Facts, Machine, QueryState, Version};
use crate::Time;
use crate::cache::freshness::{Freshness, Reasons};
use crate::io::plane::StaleBy;
use crate::key::Id;
use crate::query::{FetchStatus, StaleTime};
use crate::sync::Arc;

/// Makes the data that stands in, of the data that was shown before.
pub(super) type Placeholder<T> = Arc<dyn Fn(Option<&Arc<T>>) -> Option<Arc<T>> + Send + Sync>;

/// See the head of the file.
pub(super) struct Lens<T> {
    pub(super) decoder: Arc<Decoder<T>>,
    pub(super) stale: StaleTime,
    /// Instead of `stale`, if it is a function of the state.
    pub(super) stale_by: Option<StaleBy>,
    pub(super) enabled: bool,
    pub(super) placeholder: Option<Placeholder<T>>,
    /// What was shown before, for placeholders.
    pub(super) previous: Option<Arc<T>>,
}

/// Reasons for which a value needs a fetch whatever its age.
const UNSURE: [Reasons; 3] = [Reasons::PARTIAL, Reasons::GAP, Reasons::RESTORED];

impl<T> Lens<T> {
    /// A lens that shows what there is.
    pub(super) fn plain() -> Self {
        Self {
            decoder: Decoder::new(),
            stale: StaleTime::default(),
            stale_by: None,
            enabled: true,
            placeholder: None,
            previous: None,
        }
    }

    /// The state of a list without its items.
    pub(super) fn membership(&self, source: &Source) -> QueryState<[Id]> {
        let machine = source.machine();
        let (data, content) = source.membership();
        let mut state = QueryState(Arc::new(Facts {
            machine,
            known: data.is_some(),
            data,
            unreadable: None,
            freshness: content.freshness,
            version: content.version,
            updated_at: content.updated_at,
            received_at: content.received_at,
            stale: false,
            placeholder: false,
        }));
        let stale = self.enabled && is_stale(&state, self.stale_time(source), source);
        if stale && let Some(facts) = Arc::get_mut(&mut state.0) {
            facts.stale = true;
        }
        state
    }

    pub(super) fn stale_time(&self, source: &Source) -> StaleTime {
        match (&self.stale_by, source.query()) {
            (Some(stale_by), Some(query)) => stale_by(query, &query.state()),
            _ => self.stale,
        }
    }

    /// When time alone makes another state of this one.
    pub(super) fn list_turns_stale_at(&self, source: &Source, state: &QueryState<[Id]>) -> Time {
        match (self.stale_time(source), state.updated_at()) {
            (StaleTime::After(age), Some(at)) if self.enabled && !state.is_stale() => at.after(age),
            _ => Time::NEVER,
        }
    }
}

impl<T: DeserializeOwned> Lens<T> {
    /// The state of a query now.
    pub(super) fn state(&self, source: &Source) -> QueryState<T> {
        // The machine's facts first: data that a fetch brings is there before it says so.
        let machine = source.machine();
        self.of(source, &source.content(), machine)
    }

    /// As [`state`](Self::state), of content that was looked at.
    pub(super) fn of(&self, source: &Source, content: &Content, machine: Machine) -> QueryState<T> {
        let mut state = QueryState(Arc::new(self.facts(content, machine)));
        let stale = self.enabled && is_stale(&state, self.stale_time(source), source);
        if stale && let Some(facts) = Arc::get_mut(&mut state.0) {
            facts.stale = true;
        }
        state
    }

    /// The state of a query that nobody has made yet.
    pub(super) fn nothing(&self) -> QueryState<T> {
        let mut facts = self.facts(&Content::none(), Machine::idle());
        facts.stale = self.enabled;
        QueryState(Arc::new(facts))
    }

    fn facts(&self, content: &Content, machine: Machine) -> Facts<T> {
        let (data, unreadable) = match self.decoder.decode(content) {
            None => (None, None),
            Some(Ok(data)) => (Some(data), None),
            Some(Err(error)) => (None, Some(QueryError::Decode(error))),
        };
        let known = !content.held.is_none() || content.freshness == Freshness::Removed;
        let placeholder = match &self.placeholder {
            Some(placeholder) if !known => placeholder(self.previous.as_ref()),
            _ => None,
        };
        Facts {
            machine,
            placeholder: placeholder.is_some(),
            data: data.or(placeholder),
            unreadable,
            freshness: content.freshness,
            version: content.version.clone(),
            updated_at: content.updated_at,
            received_at: content.received_at,
            stale: false,
            known,
        }
    }

    /// When time alone makes another state of this one.
    pub(super) fn turns_stale_at(&self, source: &Source, state: &QueryState<T>) -> Time {
        let expiry = if state.freshness().reasons().contains(Reasons::EXPIRED) {
            Time::NEVER
        } else {
            source.expires_at()
        };
        match self.stale_time(source) {
            StaleTime::After(age) if self.enabled && !state.is_stale() => state
                .updated_at()
                .map_or(expiry, |at| at.after(age).min(expiry)),
            _ => expiry,
        }
    }
}

/// Whether a query in this state is fetched when somebody starts to observe it.
fn is_stale<T: ?Sized>(state: &QueryState<T>, stale: StaleTime, source: &Source) -> bool {
    if !state.0.known {
        return true;
    }
    let reasons = state.freshness().reasons();
    let unsure = UNSURE.iter().any(|reason| reasons.contains(*reason));
    // That there is no value has no reasons.
    let invalidated = || {
        let gone = state.freshness() == Freshness::Removed;
        let marked = || source.query().is_some_and(|q| q.look().invalidated());
        reasons.contains(Reasons::INVALIDATED) || gone && marked()
    };
    match stale {
        _ if unsure => true,
        StaleTime::Static => false,
        _ if invalidated() => true,
        StaleTime::Never => false,
        StaleTime::After(age) => state
            .updated_at()
            .is_none_or(|at| source.now() >= at.after(age)),
    }
}

impl<T: ?Sized> QueryState<T> {
    /// The state of a query that there cannot be.
    pub(super) fn failed(error: QueryError) -> Self {
        Self(Arc::new(Facts {
            machine: Machine::idle(),
            data: None,
            unreadable: Some(error),
            freshness: Freshness::Empty,
            version: Version::None,
            updated_at: None,
            received_at: None,
            stale: false,
            placeholder: false,
            known: false,
        }))
    }

    /// What a fetch waits for that is no answer, if it does.
    pub(super) fn paused(&self) -> Option<QueryError> {
        (self.fetch_status() == FetchStatus::Paused).then_some(QueryError::Paused)
    }

    /// What no waiting changes.
    pub(super) fn fatal(&self) -> Option<&QueryError> {
        self.0.unreadable.as_ref()
    }
}

impl<T> Clone for Lens<T> {
    fn clone(&self) -> Self {
        Self {
            decoder: Arc::clone(&self.decoder),
            stale: self.stale,
            stale_by: self.stale_by.clone(),
            enabled: self.enabled,
            placeholder: self.placeholder.clone(),
            previous: self.previous.clone(),
        }
    }
}

impl<T> fmt::Debug for Lens<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lens")
            .field("stale", &self.stale)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}
