//! Connections for the pooled client, made as feeds make theirs.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::http::Uri;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_service::Service;

use super::{RestError, chain};
use crate::io::connect::{ConnectError, ConnectOptions, Url, Wire, stream};

/// Connects to one server, whatever it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Dialer(Arc<(ConnectOptions, Url)>);

impl Dialer {
    pub(super) fn new(options: ConnectOptions, url: Url) -> Self {
        Self(Arc::new((options, url)))
    }
}

type Dialing = Pin<Box<dyn Future<Output = Result<TokioIo<Wire>, Failed>> + Send>>;

impl Service<Uri> for Dialer {
    type Response = TokioIo<Wire>;
    type Error = Failed;
    type Future = Dialing;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Dialing {
        let to = Arc::clone(&self.0);
        Box::pin(async move {
            let (options, url) = &*to;
            let wire = stream(options, url).await;
            wire.map(TokioIo::new).map_err(|e| Failed(Arc::new(e)))
        })
    }
}

/// Why there is no connection, on its way through the client.
#[derive(Debug)]
pub(super) struct Failed(Arc<ConnectError>);

impl Failed {
    /// What the client's error is about.
    pub(super) fn of(error: &legacy::Error) -> RestError {
        let mut source = error.source();
        while let Some(error) = source {
            if let Some(Self(failed)) = error.downcast_ref() {
                return RestError::Connect(Arc::clone(failed));
            }
            source = error.source();
        }
        RestError::Broken(chain(error))
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Failed {}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, into),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(cx),
        }
    }
}
