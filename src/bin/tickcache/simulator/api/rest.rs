//! The REST side: `GET /jobs`, `/jobs/{id}` and `/notifications`, badly served.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::Inside;
use super::fate::Fate;
use super::truth::Snapshot;

/// The header that says as of which revision an answer is.
pub(crate) const REVISION: &str = "x-revision";

/// From here on an answer counts as late.
const LATE: Duration = Duration::from_millis(100);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Jobs,
    Job(u64),
    Notifications,
}

impl Target {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/jobs" => Some(Self::Jobs),
            "/notifications" => Some(Self::Notifications),
            path => path.strip_prefix("/jobs/")?.parse().ok().map(Self::Job),
        }
    }

    fn body(self, of: &Snapshot) -> Option<String> {
        match self {
            Self::Jobs => Some(of.list()),
            Self::Job(id) => of.detail(id),
            Self::Notifications => Some(of.notifications()),
        }
    }
}

/// Answers one request. Dropped half-way when its client goes away.
pub(crate) async fn answer(
    request: Request<Incoming>,
    inside: Arc<Inside>,
) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is served");
    }
    let Some(target) = Target::of(request.uri().path()) else {
        return plain(StatusCode::NOT_FOUND, "no such resource");
    };
    let counted = &inside.counted;
    add(&counted.requests);
    let (delay, fate) = inside.fate();
    // What is true when the request comes is what a slow answer tells.
    let lag = if let Fate::Old(lag) = fate { lag } else { 0 };
    let snapshot = inside.truth().snapshot(lag);
    let Some(body) = target.body(&snapshot) else {
        return plain(StatusCode::NOT_FOUND, "no such job");
    };
    if fate == Fate::Hung {
        add(&counted.hung);
        return std::future::pending().await;
    }
    tokio::time::sleep(delay).await;
    if delay >= LATE {
        add(&counted.late);
    }
    let body = match fate {
        Fate::Refused(status) => {
            add(&counted.errors);
            return plain(status, "try again later");
        }
        Fate::Broken => {
            add(&counted.broken);
            Bytes::copy_from_slice(&body.as_bytes()[..body.len() / 2])
        }
        Fate::Old(_) => {
            add(&counted.old);
            Bytes::from(body)
        }
        Fate::Answered | Fate::Hung => Bytes::from(body),
    };
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(REVISION, HeaderValue::from(snapshot.revision));
    response
}

/// Counts one more. A number for people: nothing else goes with it.
fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
