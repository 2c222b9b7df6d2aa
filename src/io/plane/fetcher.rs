//! What fetches a value, and what it is told.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::Keeper;
use super::fetch_error::{FetchError, FetchErrorKind};
use super::fetched::Fetched;
use super::query::Query;
use super::token::CancelToken;
use crate::key::{Id, Key};

type Fetching = Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send>>;

/// A user's asynchronous function that fetches a value.
#[derive(Clone)]
pub(crate) struct Fetcher(Arc<dyn Fn(FetchContext) -> Fetching + Send + Sync>);

impl Fetcher {
    pub(crate) fn new<F, Fut>(fetch: F) -> Self
    where
        F: Fn(FetchContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Fetched, FetchError>> + Send + 'static,
    {
        Self(Arc::new(move |cx| Box::pin(fetch(cx))))
    }

    /// Runs a user's code.
    pub(super) fn call(&self, cx: FetchContext) -> Fetching {
        (self.0)(cx)
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetcher")
    }
}

/// What a fetcher is told: which value, which attempt, and how to learn that nobody wants it.
pub struct FetchContext {
    pub(super) query: Arc<Query>,
    pub(super) attempt: u32,
    pub(super) sequence: Option<u64>,
    pub(super) token: CancelToken,
    pub(super) consume: Box<dyn Fn() + Send + Sync>,
    pub(super) keeper: Option<Keeper>,
}

impl FetchContext {
    /// The key of the query.
    #[must_use]
    pub fn key(&self) -> &Key {
        self.query.key()
    }

    /// The id that the key names after its entity.
    ///
    /// # Errors
    /// It names none; `?` makes the fetch fail with that.
    pub fn id(&self) -> Result<Id, FetchError> {
        match self.key().slot_prefix() {
            Some((_, id)) => Ok(id.to_owned()),
            None => Err(FetchError::of(FetchErrorKind::NoId(self.key().clone()))),
        }
    }

    /// Where the value held stood in its source's numbering when the fetch began, if it has one: an
    /// answer that is [`as_of`](Fetched::as_of) less would be dropped.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// Which attempt of this fetch it is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The token that says whether the fetch was given up. Taking it tells the cache that this
    /// fetcher can be stopped: when the last observer leaves, the fetch is given up. Whoever does
    /// not take it is dropped at its next `.await` only when the fetch is cancelled outright.
    #[must_use]
    pub fn token(&self) -> CancelToken {
        (self.consume)();
        self.token.clone()
    }

    /// Whose plane fetches, if it is still there.
    pub(crate) fn keeper(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.keeper.as_ref()?.upgrade()
    }

    /// The value that is held now, whatever it is worth, read as `T`; for a list, its ids. `None`
    /// if there is none, or it does not read as that.
    #[must_use]
    pub fn previous<T: DeserializeOwned>(&self) -> Option<T> {
        self.query.read()
    }
}

impl fmt::Debug for FetchContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchContext")
            .field("key", self.key())
            .field("attempt", &self.attempt)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn api(id: Id) -> Result<String, std::io::Error> {
        Ok(id.to_string())
    }

    /// That a closure with `?` on two kinds of errors needs no types is what is tested.
    #[test]
    fn a_closure_with_question_marks_is_a_fetcher() {
        let fetcher = Fetcher::new(|cx: FetchContext| async move {
            let answer = api(cx.id()?).await?;
            Ok(Fetched::new(answer))
        });
        let shared = fetcher.clone();
        assert_eq!(format!("{fetcher:?}{shared:?}"), "FetcherFetcher");
    }
}
