//! A `GET` over HTTP/1.1 without TLS: what the demo's fetchers are made of.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;

use crate::simulator::REVISION;

/// Longest body taken.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// What a server has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    /// As of which revision of the server it is, where it says so.
    pub(crate) revision: Option<u64>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum GetError {
    /// Nothing came in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The server says no.
    #[error("answered {0}")]
    Status(StatusCode),
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// The path is none.
    #[error("cannot ask: {0}")]
    Path(#[from] hyper::http::Error),
    /// It broke off.
    #[error("broke off: {0}")]
    Http(#[from] hyper::Error),
    /// The body broke off, or is longer than 64 MiB.
    #[error("broke off in the body: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
}

/// Asks for a path, on a connection of its own. Dropping the future ends the connection.
pub(crate) async fn get(
    addr: SocketAddr,
    path: &str,
    within: Duration,
) -> Result<Answer, GetError> {
    tokio::time::timeout(within, asked(addr, path))
        .await
        .unwrap_or(Err(GetError::Timeout(within)))
}

async fn asked(addr: SocketAddr, path: &str) -> Result<Answer, GetError> {
    let socket = TcpStream::connect(addr).await?;
    let (mut requests, connection) = http1::handshake(TokioIo::new(socket)).await?;
    let request = Request::get(path)
        .header(HOST, addr.to_string())
        .header(ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = requests.send_request(request).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(GetError::Status(status));
        }
        let revision = response.headers().get(REVISION);
        let revision = revision.and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(response.into_body(), MAX_BODY_BYTES);
        let body = body.collect().await.map_err(GetError::Body)?.to_bytes();
        Ok(Answer { body, revision })
    };
    // The connection is driven here rather than by a task, so that it ends with this future.
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        end = &mut connection => match end {
            Err(error) => Err(error.into()),
            // It may end in order once everything has been read.
            Ok(()) => answer.await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::{Api, ApiSettings, Faults};

    const LONG: Duration = Duration::from_secs(20);

    fn api(faults: Faults) -> Api {
        let settings = ApiSettings {
            change_every: None,
            sweep_every: None,
            faults,
            ..ApiSettings::default()
        };
        Api::start(settings).expect("the service starts")
    }

    #[tokio::test]
    async fn an_answer_comes_with_its_revision() {
        let api = api(Faults::NONE);
        let change = api.advance();
        let answer = get(api.addr(), &format!("/jobs/{}", change.id), LONG).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.revision, Some(1));
        let job: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(job["version"], 1);
    }

    #[tokio::test]
    async fn refusals_and_timeouts_are_told_apart() {
        let refusing = api(Faults {
            errors: 1.0,
            ..Faults::NONE
        });
        let refused = get(refusing.addr(), "/jobs", LONG).await;
        assert!(
            matches!(&refused, Err(GetError::Status(status)) if status.is_server_error()),
            "{refused:?}"
        );
        let missing = get(refusing.addr(), "/nothing", LONG).await;
        assert!(
            matches!(missing, Err(GetError::Status(StatusCode::NOT_FOUND))),
            "{missing:?}"
        );
        let hanging = api(Faults {
            hangs: 1.0,
            ..Faults::NONE
        });
        let late = get(hanging.addr(), "/jobs", Duration::from_millis(20)).await;
        assert!(matches!(late, Err(GetError::Timeout(_))), "{late:?}");
        let addr = hanging.addr();
        hanging.stop().expect("ends in order");
        let gone = get(addr, "/jobs", LONG).await;
        assert!(matches!(gone, Err(GetError::Connect(_))), "{gone:?}");
    }
}
