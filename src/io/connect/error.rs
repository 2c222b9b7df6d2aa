//! Why an attempt to connect failed.

use super::super::tls::{TlsFailure, TlsSetupError};
use super::url::UrlError;
use crate::ws::{HandshakeError, RequestError};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// A step on the way to an open connection. Each has its own deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Making the endpoint of this attempt.
    Endpoint,
    /// Looking the host up.
    Resolve,
    /// Opening a TCP connection.
    Connect,
    /// Asking the proxy for a tunnel.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// The WebSocket handshake.
    Upgrade,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Endpoint => "making the endpoint of the attempt",
            Self::Resolve => "looking up the host",
            Self::Connect => "opening the TCP connection",
            Self::Proxy => "asking the proxy for a tunnel",
            Self::Tls => "the TLS handshake",
            Self::Upgrade => "the WebSocket handshake",
        })
    }
}

/// Why an attempt to connect failed. No variant holds a secret: no query, header value or text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be used.
    #[error("the URL cannot be used: {0}")]
    Url(#[from] UrlError),
    /// A header or subprotocol cannot be sent.
    #[error("the request cannot be sent: {0}")]
    Request(#[from] RequestError),
    /// The hook that makes the endpoint of each attempt failed or panicked.
    #[error("the endpoint of the attempt could not be made: {0}")]
    Endpoint(String),
    /// The host was not found.
    #[error("cannot look up {host}: {source}")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The host has no address, or none of the family of the address to connect from.
    #[error("{host} has no address that can be reached from the given local address")]
    NoAddress {
        /// The host.
        host: String,
    },
    /// The last address that was tried refused, or could not be reached.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The proxy opened no tunnel.
    #[error("the proxy answered {status} instead of opening a tunnel")]
    Proxy {
        /// Its HTTP status.
        status: u16,
    },
    /// No TLS configuration could be made.
    #[error(transparent)]
    TlsSetup(#[from] TlsSetupError),
    /// The TLS handshake failed.
    #[error(transparent)]
    Tls(TlsFailure),
    /// The server did not open a WebSocket.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The answer is not HTTP/1.1, or too long.
    #[error("{stage} was answered with something that is not HTTP/1.1: {reason}")]
    NotHttp {
        /// Which step failed.
        stage: Stage,
        /// What is wrong with it.
        reason: String,
    },
    /// The connection broke on the way.
    #[error("the connection broke during {stage}: {source}")]
    Broken {
        /// Which step failed.
        stage: Stage,
        /// What the system said.
        source: io::Error,
    },
    /// A step took too long.
    #[error("{stage} took longer than {after:?}")]
    TimedOut {
        /// Which step.
        stage: Stage,
        /// Its deadline.
        after: Duration,
    },
    /// The runtime on which connections are made has been shut down.
    #[error("the async runtime that makes connections is gone")]
    RuntimeGone,
}

impl ConnectError {
    /// Whether the same attempt may succeed later although nobody changes the configuration or the
    /// server. A feed goes on trying in either case.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Endpoint(_)
            | Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Broken { .. }
            | Self::TimedOut { .. }
            | Self::NotHttp { .. } => true,
            Self::Handshake(error) => error.is_retryable(),
            Self::Proxy { status } => matches!(status, 408 | 429 | 500..=599),
            Self::Tls(failure) => matches!(failure, TlsFailure::Other(_)),
            Self::Url(_)
            | Self::Request(_)
            | Self::NoAddress { .. }
            | Self::TlsSetup(_)
            | Self::RuntimeGone => false,
        }
    }

    /// The HTTP status with which the server or the proxy refused.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Handshake(HandshakeError::Status { status, .. }) | Self::Proxy { status } => {
                Some(*status)
            }
            _ => None,
        }
    }

    /// How long the server asks to wait before the next attempt.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Handshake(HandshakeError::Status { retry_after, .. }) => *retry_after,
            _ => None,
        }
    }
}
