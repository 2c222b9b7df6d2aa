//! Where a feed connects to.

use std::fmt;

use crate::feed::shown::without_secrets;

/// Where to connect to. Its `Debug` leaves out the query of the URL, which may hold a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// The whole URL, `ws:` or `wss:`.
    pub url: String,
    /// How many of the wanted subscriptions, from the first on, the URL asks for by itself.
    pub carries: usize,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("url", &without_secrets(&self.url))
            .field("carries", &self.carries)
            .finish()
    }
}
