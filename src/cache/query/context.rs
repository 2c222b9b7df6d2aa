//! What a fetcher may ask of the cache that it fetches for.

use crate::cache::handle::Cache;
use crate::io::plane::FetchContext;

impl FetchContext {
    /// The cache that the fetch is for: to write what the answer says of other values, to invalidate,
    /// to look at what is held. `None` once the last handle to it is gone.
    ///
    /// The cache keeps its fetchers, so a fetcher that captures a [`Cache`] keeps the cache, and its
    /// threads, for ever. This keeps nothing longer than the fetcher keeps the answer.
    ///
    /// ```
    /// use tickcache::{Cache, Fetched, FetchContext, key};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let cache = Cache::builder().build()?;
    /// cache.defaults(key!["user"]).fetch(|cx: FetchContext| async move {
    ///     if let Some(cache) = cx.cache() {
    ///         drop(cache.set(&key!["seen", cx.id()?], &true)?);
    ///     }
    ///     Ok(Fetched::json(r#"{"name":"x"}"#))
    /// });
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn cache(&self) -> Option<Cache> {
        Cache::of_keeper(self.keeper()?)
    }
}
