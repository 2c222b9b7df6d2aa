//! A small client for JSON over HTTP/1.1: one server, pooled connections, bounds on everything.
//!
//! It connects as feeds do, through the same look-up, proxy, TLS and deadlines. What it trusts is
//! what the feed trusts; a certificate that is not in order is an error that says what is wrong
//! with it.

mod error;
mod wire;

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::http::response::Parts;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use self::wire::{Dialer, Failed};
use super::clock::Clock;
use super::connect::{ConnectOptions, Url, UrlError};
use crate::Time;
use crate::feed::MAX_RETRY_AFTER;

pub use self::error::RestError;

/// Bytes of a body, unless set. Statistics of every symbol of a large exchange are about 2 MB.
const MAX_BODY: usize = 8 << 20;
/// How long a request may take, unless set.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections that are kept, and for how long: less than servers keep them.
const IDLE: usize = 4;
const IDLE_FOR: Duration = Duration::from_secs(20);
/// How long a server is left alone that is asked too often and does not say for how long.
const HOLD: Duration = Duration::from_secs(10);
/// The longest time for which a server that bans is left alone. To go on asking makes bans longer.
const MAX_BAN: Duration = Duration::from_secs(3600);
/// How much of the body of a refusal is shown, in characters.
const EXCERPT: usize = 200;

/// A client for JSON over HTTP/1.1 of one server, with connections that are kept and used again.
///
/// Clones share the connections. Requests are made on a tokio runtime: in a fetcher that is the
/// cache's.
///
/// ```no_run
/// use std::sync::Arc;
/// use tickcache::{Cache, Fetched, Rest, key};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cache = Cache::builder().build()?;
/// let rest = Rest::new("https://api.example.com")?;
/// cache.defaults(key!["job"]).fetch(move |cx| {
///     let rest = rest.clone();
///     async move {
///         let path = format!("/v1/jobs/{}", cx.id()?);
///         Ok(Fetched::json(rest.get(&path).await?))
///     }
/// });
/// # Ok(())
/// # }
/// ```
///
/// # What it does not do
///
/// It follows no redirect, keeps no cookie and asks for no compression. An answer that says it is
/// something else than JSON is an error. While the server asks to be left alone (429, 418 or 503
/// with `Retry-After`), requests fail at once with [`RestError::Held`], and nothing is sent.
#[derive(Clone)]
pub struct Rest {
    url: Url,
    /// What every path begins with, without a slash at its end.
    prefix: String,
    options: ConnectOptions,
    headers: Vec<(HeaderName, HeaderValue)>,
    max_body: usize,
    timeout: Duration,
    client: Arc<OnceLock<Client<Dialer, Empty<Bytes>>>>,
    /// The server asks to be left alone until then.
    held: Arc<Mutex<Time>>,
    clock: Clock,
}

impl Rest {
    /// A client of the server at `base`: `https://host[:port][/path]`, or `http://` for one that is
    /// near by. Connects to nobody yet.
    ///
    /// # Errors
    /// [`RestError::Url`].
    pub fn new(base: &str) -> Result<Self, RestError> {
        let url = match base.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => format!("wss://{rest}"),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => format!("ws://{rest}"),
            _ => return Err(UrlError::Scheme("http:// or https://").into()),
        };
        let url = Url::parse(&url)?;
        if url.path.contains('?') {
            return Err(UrlError::Malformed.into());
        }
        Ok(Self {
            prefix: url.path.trim_end_matches('/').to_owned(),
            url,
            options: ConnectOptions::default(),
            headers: Vec::new(),
            max_body: MAX_BODY,
            timeout: TIMEOUT,
            client: Arc::default(),
            held: Arc::new(Mutex::new(Time::ZERO)),
            clock: Clock::real(),
        })
    }

    /// Sends a header with every request: an API key. Its value is shown nowhere.
    ///
    /// # Errors
    /// [`RestError::Header`].
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, RestError> {
        self.headers.push(header(name, value)?);
        Ok(self)
    }

    /// Bytes that the body of an answer may have. Default: 8 MiB.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// How long a request may take, connecting included. Default: 10 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) fn options(&self) -> &ConnectOptions {
        &self.options
    }

    /// Connects as these say. What is connected already is not used any more.
    #[must_use]
    pub(crate) fn with_options(mut self, options: ConnectOptions) -> Self {
        self.options = options;
        self.client = Arc::default();
        self
    }

    /// Asks for a path with its query, from the slash on, and gives the body of the answer: JSON
    /// text, as far as the server says, and not checked. Dropping the future gives the request up.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn get(&self, path_and_query: &str) -> Result<Vec<u8>, RestError> {
        self.get_with(path_and_query, &[]).await
    }

    /// As [`get`](Self::get), with headers for this request.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn get_with(
        &self,
        path_and_query: &str,
        headers: &[(String, String)],
    ) -> Result<Vec<u8>, RestError> {
        let runtime = tokio::runtime::Handle::try_current();
        runtime.map_err(|_| RestError::NoRuntime)?;
        let held = self.held().since(self.clock.now());
        if !held.is_zero() {
            return Err(RestError::Held { left: held });
        }
        let request = self.request(path_and_query, headers)?;
        let asked = tokio::time::timeout(self.timeout, self.ask(request)).await;
        asked.unwrap_or(Err(RestError::TimedOut(self.timeout)))
    }

    fn request(
        &self,
        path_and_query: &str,
        headers: &[(String, String)],
    ) -> Result<Request<Empty<Bytes>>, RestError> {
        if !path_and_query.starts_with('/') {
            return Err(RestError::Path);
        }
        let scheme = if self.url.secure { "https" } else { "http" };
        let (authority, prefix) = (&self.url.authority, &self.prefix);
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(format!("{scheme}://{authority}{prefix}{path_and_query}"))
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("tickcache/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            let (name, value) = header(name, value)?;
            request = request.header(name, value);
        }
        request.body(Empty::new()).map_err(|_| RestError::Path)
    }

    async fn ask(&self, request: Request<Empty<Bytes>>) -> Result<Vec<u8>, RestError> {
        let answer = self.client().request(request).await;
        let answer = answer.map_err(|error| Failed::of(&error))?;
        let (head, body) = answer.into_parts();
        let refused = !head.status.is_success();
        if refused {
            // Before its body, which may never come.
            self.hold(&head);
        } else if let Some(kind) = no_json(&head) {
            return Err(RestError::NotJson(kind));
        }
        let body = Limited::new(body, self.max_body).collect().await;
        let body = match body {
            Ok(body) => body.to_bytes(),
            Err(_) if refused => Bytes::new(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(RestError::TooLarge(self.max_body));
            }
            Err(error) => return Err(RestError::Broken(chain(&*error))),
        };
        if refused {
            return Err(RestError::Status {
                status: head.status.as_u16(),
                retry_after: self.asked_for(&head),
                body: excerpt(&body),
            });
        }
        Ok(body.into())
    }

    fn client(&self) -> &Client<Dialer, Empty<Bytes>> {
        self.client.get_or_init(|| {
            let dialer = Dialer::new(self.options.clone(), self.url.clone());
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_FOR)
                .pool_max_idle_per_host(IDLE)
                .build(dialer)
        })
    }

    fn held(&self) -> Time {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long the server asks to be left alone with this answer.
    fn asked_for(&self, head: &Parts) -> Option<Duration> {
        let said = head.headers.get(RETRY_AFTER);
        let said = said.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let said = said.map(Duration::from_secs);
        match head.status.as_u16() {
            // What some exchanges say to who does not stop after a 429.
            418 => Some(said.unwrap_or(HOLD).min(MAX_BAN)),
            429 => Some(said.unwrap_or(HOLD).min(MAX_RETRY_AFTER)),
            503 => said.map(|said| said.min(MAX_RETRY_AFTER)),
            _ => None,
        }
    }

    fn hold(&self, head: &Parts) {
        if let Some(after) = self.asked_for(head) {
            let until = self.clock.now().after(after);
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            *held = (*held).max(until);
        }
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), RestError> {
    let bad = || RestError::Header(name.to_owned());
    let parsed = HeaderName::try_from(name).map_err(|_| bad())?;
    let mut value = HeaderValue::try_from(value).map_err(|_| bad())?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

/// What an answer says it is, if it says that it is no JSON.
fn no_json(head: &Parts) -> Option<String> {
    let kind = head.headers.get(CONTENT_TYPE)?.to_str().unwrap_or("?");
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    let json = kind.ends_with("/json") || kind.ends_with("+json");
    (!json).then_some(kind)
}

fn excerpt(body: &[u8]) -> String {
    // A character has four bytes at most.
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * EXCERPT)]);
    text.chars().take(EXCERPT).collect()
}

/// An error with all that is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Rest")
            .field("authority", &self.url.authority)
            .field("prefix", &self.prefix)
            .field("headers", &headers)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "ring"))]
mod tests;
