//! What one attempt to connect uses: address, headers, texts; fixed, or made anew each time.

use crate::feed::without_secrets;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Where and how one attempt connects. Its `Debug` form shows no secret: neither the query of the
/// URL, nor a header's value, nor a text.
#[derive(Clone, Default)]
pub struct Endpoint {
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) protocols: Vec<String>,
    pub(crate) texts: Vec<String>,
}

impl Endpoint {
    /// Connects to `url`: `ws://` or `wss://`, with path and query.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    /// Sends a header with the request: `Authorization`, `Origin`, an API key. Those of the
    /// handshake itself are refused when connecting.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Offers a subprotocol.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.protocols.push(name.into());
        self
    }

    /// Sends a text message as soon as the connection is open, before anything else and in the
    /// order given: a login, a subscription.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.texts.push(text.into());
        self
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Endpoint")
            .field("url", &without_secrets(&self.url))
            .field("headers", &headers)
            .field("subprotocols", &self.protocols)
            .field("texts", &self.texts.len())
            .finish()
    }
}

/// Which attempt an endpoint is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Counts every attempt of the feed, from 1.
    pub number: u64,
    /// How many attempts have failed since the connection was last open.
    pub failed: u32,
}

/// Any error of a user's hook.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

type Made = Pin<Box<dyn Future<Output = Result<Endpoint, BoxError>> + Send>>;

/// Where the endpoint of each attempt comes from.
#[derive(Clone)]
pub(crate) enum EndpointSource {
    Fixed(Endpoint),
    Hook(Arc<dyn Fn(Attempt) -> Made + Send + Sync>),
}

impl EndpointSource {
    /// A hook that is run on the slow plane for each attempt.
    pub(crate) fn hook<F, R>(make: F) -> Self
    where
        F: Fn(Attempt) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Endpoint, BoxError>> + Send + 'static,
    {
        Self::Hook(Arc::new(move |attempt| Box::pin(make(attempt))))
    }

    /// The endpoint of one attempt.
    pub(crate) async fn make(&self, attempt: Attempt) -> Result<Endpoint, BoxError> {
        match self {
            Self::Fixed(endpoint) => Ok(endpoint.clone()),
            Self::Hook(make) => make(attempt).await,
        }
    }
}

impl fmt::Debug for EndpointSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(endpoint) => endpoint.fmt(f),
            Self::Hook(_) => f.write_str("Endpoint(hook)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown() {
        let endpoint = Endpoint::new("wss://me:pass1@venue.example:9443/ws/feed?token=pass2#pass3")
            .header("Authorization", "Bearer pass4")
            .subprotocol("v2.json")
            .text(r#"{"login":"pass5"}"#);
        let shown = format!("{endpoint:?} {:?}", EndpointSource::Fixed(endpoint.clone()));
        assert!(!shown.contains("pass"), "{shown}");
        assert!(
            shown.contains("wss://venue.example:9443/ws/feed?.."),
            "{shown}"
        );
        assert!(
            shown.contains("Authorization") && shown.contains("v2.json"),
            "{shown}"
        );
    }

    #[test]
    fn a_hook_makes_them_anew_for_each_attempt() {
        let source = EndpointSource::hook(|attempt| async move {
            match attempt.number {
                1 => Err("no key yet".into()),
                n => Ok(Endpoint::new(format!("ws://host/{n}"))),
            }
        });
        let make = |number| pollster::block_on(source.make(Attempt { number, failed: 0 }));
        assert_eq!(
            make(1).expect_err("the first fails").to_string(),
            "no key yet"
        );
        assert_eq!(make(2).expect("endpoint").url, "ws://host/2");
    }
}
