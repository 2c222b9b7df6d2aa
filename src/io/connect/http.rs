//! One HTTP/1.1 request that takes the connection over: an upgrade, or a proxy's tunnel.

use super::error::{ConnectError, Stage};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1::Builder;
use hyper::http::response::Parts;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::error::Error as _;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// How long the head of an answer may be in bytes: enough for any number of cookies, little enough
/// to hold no memory that matters.
const MAX_HEAD: usize = 64 << 10;

/// An answer: its head, and the connection if the server gave it over.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) head: Parts,
    /// The stream, and what had been read past the head.
    pub(super) taken: Option<(T, Bytes)>,
}

/// Sends `request` and reads the head of the answer. Everything runs inside this future, so
/// dropping it closes the connection.
pub(super) async fn exchange<T>(
    io: T,
    request: Request<Empty<Bytes>>,
    stage: Stage,
) -> Result<Answer<T>, ConnectError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let tunnel = request.method() == hyper::Method::CONNECT;
    let failed = |error: hyper::Error| failure(&error, stage);
    let (mut sender, connection) = Builder::new()
        .max_buf_size(MAX_HEAD)
        .title_case_headers(true)
        .handshake(TokioIo::new(io))
        .await
        .map_err(failed)?;
    let mut connection = pin!(connection.with_upgrades());
    let mut ended = false;
    let mut drive = |cx: &mut std::task::Context<'_>| {
        // Its errors reach the answer as well, with the same cause.
        ended = ended || connection.as_mut().poll(cx).is_ready();
    };
    let mut answer = pin!(sender.send_request(request));
    let mut response: Response<_> = poll_fn(|cx| {
        drive(cx);
        answer.as_mut().poll(cx)
    })
    .await
    .map_err(failed)?;
    let status = response.status();
    let taken = if status == StatusCode::SWITCHING_PROTOCOLS || (tunnel && status.is_success()) {
        let mut upgrade = pin!(hyper::upgrade::on(&mut response));
        let upgraded = poll_fn(|cx| {
            drive(cx);
            upgrade.as_mut().poll(cx)
        });
        let parts = upgraded.await.map_err(failed)?.downcast::<TokioIo<T>>();
        let parts = parts.map_err(|_| ConnectError::NotHttp {
            stage,
            reason: "the connection was not handed over".into(),
        })?;
        Some((parts.io.into_inner(), parts.read_buf))
    } else {
        None
    };
    let (head, _body) = response.into_parts();
    Ok(Answer { head, taken })
}

fn failure(error: &hyper::Error, stage: Stage) -> ConnectError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            let source = io::Error::new(io.kind(), io.to_string());
            return ConnectError::Broken { stage, source };
        }
        cause = inner.source();
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        let source = io::Error::new(io::ErrorKind::UnexpectedEof, "closed before the answer");
        return ConnectError::Broken { stage, source };
    }
    ConnectError::NotHttp {
        stage,
        reason: error.to_string(),
    }
}
