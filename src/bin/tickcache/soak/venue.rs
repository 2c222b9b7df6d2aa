//! The thread that runs all exchanges of a soak, each behind a port of its own on loopback: a
//! WebSocket, and beside it `GET /ID`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::{Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::exchange::{Conditions, Exchange};
use super::form::Form;
use super::session;
use crate::simulator::wire::{Connection, serve_http_and};
use crate::simulator::{REVISION, protocol};

/// How often an exchange looks what is due.
const TICK: Duration = Duration::from_millis(2);

/// What is due later than this is not made up for.
const CATCH_UP: Duration = Duration::from_millis(500);

/// Changes that are made at once in a burst.
const BURST: usize = 256;

/// How long to wait for a port that is still taken.
const REBIND: Duration = Duration::from_millis(5);

/// The exchanges, and the thread that they run on. Dropping it stops them.
#[derive(Debug)]
pub(crate) struct Venue {
    pub(crate) exchanges: Vec<Arc<Exchange>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Venue {
    /// Starts an exchange of each form. When this returns, clients can connect.
    pub(crate) fn start(ids: usize, rate: u64, seed: u64, origin: Instant) -> io::Result<Self> {
        let (mut exchanges, mut listeners) = (Vec::new(), Vec::new());
        for form in Form::ALL {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            let addr = listener.local_addr()?;
            exchanges.push(Arc::new(Exchange::new(form, ids, rate, seed, addr, origin)));
            listeners.push(listener);
        }
        let (stop, mut stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let served = exchanges.clone();
        let thread = std::thread::Builder::new()
            .name("soak-venue".into())
            .spawn(move || {
                runtime.block_on(async {
                    for (exchange, listener) in served.into_iter().zip(listeners) {
                        tokio::spawn(moves(Arc::clone(&exchange)));
                        tokio::spawn(listens(listener, exchange));
                    }
                    // Gone with its handle as well.
                    let _ = stopped.wait_for(|stop| *stop).await;
                });
            })?;
        Ok(Self {
            exchanges,
            stop,
            thread: Some(thread),
        })
    }

    /// Ends everything. Errs if the thread panicked.
    pub(crate) fn stop(mut self) -> Result<(), &'static str> {
        self.join()
    }

    fn join(&mut self) -> Result<(), &'static str> {
        self.stop.send_replace(true);
        let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
        ended.map_err(|_| "the thread of the exchanges panicked")
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        // `stop` is there for whoever wants to know how the thread ended.
        let _ = self.join();
    }
}

/// Makes the changes that are due.
async fn moves(exchange: Arc<Exchange>) {
    let conditions = exchange.conditions();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut last, mut part) = (Instant::now(), 0.0);
    loop {
        ticks.tick().await;
        let Conditions {
            moving, bursting, ..
        } = *conditions.borrow();
        let now = Instant::now();
        let since = (now - last).min(CATCH_UP);
        last = now;
        if !moving {
            continue;
        }
        let due = part + since.as_secs_f64() * exchange.rate;
        part = due.fract();
        let most = if bursting { BURST } else { due as usize };
        let most = most.min(exchange.room());
        exchange.advance(most);
        if bursting && most > 0 {
            ticks.reset_immediately();
            tokio::task::yield_now().await;
        }
    }
}

/// Accepts connections while the exchange listens, on the same port again after it did not.
async fn listens(listener: std::net::TcpListener, exchange: Arc<Exchange>) {
    let mut conditions = exchange.conditions();
    let mut listener = TcpListener::from_std(listener).ok();
    loop {
        if !conditions.borrow_and_update().listening {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(exchange.addr).await.ok();
        }
        tokio::select! {
            changed = conditions.changed() => if changed.is_err() { return },
            accepted = accepted(listener.as_ref()) => if let Some(socket) = accepted {
                tokio::spawn(connection(socket, Arc::clone(&exchange)));
            },
        }
    }
}

/// The next connection; `None` after a while where there is nobody listening, to try again.
async fn accepted(listener: Option<&TcpListener>) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener
            .accept()
            .await
            .ok()
            .map(|(socket, _): (_, SocketAddr)| socket),
        None => {
            sleep(REBIND).await;
            None
        }
    }
}

async fn connection(socket: TcpStream, exchange: Arc<Exchange>) {
    let mut conditions = exchange.conditions();
    let Ok(delay) = conditions
        .wait_for(|conditions| conditions.reachable)
        .await
        .map(|conditions| conditions.handshake_delay)
    else {
        return;
    };
    let route = |uri: &hyper::Uri, upgrade: fastwebsockets::upgrade::UpgradeFut| {
        if exchange.conditions().borrow().refusing {
            exchange.told.refused.fetch_add(1, Relaxed);
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        let target = protocol::target(uri);
        let streams = target.map(|target| target.streams).unwrap_or_default();
        let exchange = Arc::clone(&exchange);
        tokio::spawn(async move {
            if let Ok(connection) = Connection::open(upgrade).await {
                session::run(connection, streams, exchange).await;
            }
        });
        Ok(())
    };
    let other = |request| answer(request, Arc::clone(&exchange));
    sleep(delay).await;
    // A client that breaks off is its own affair.
    let _ = serve_http_and(socket, route, other).await;
}

/// The REST side: the present value of an id, and as of which number.
async fn answer(request: Request<Incoming>, exchange: Arc<Exchange>) -> Response<Full<Bytes>> {
    if exchange.conditions().borrow().hanging {
        exchange.told.hung.fetch_add(1, Relaxed);
        return std::future::pending().await;
    }
    let id = request.uri().path().trim_start_matches('/').parse().ok();
    let Some((body, number)) = id.and_then(|id| exchange.answer(id)) else {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    exchange.told.answered.fetch_add(1, Relaxed);
    let mut response = Response::new(Full::from(body));
    response
        .headers_mut()
        .insert(REVISION, HeaderValue::from(number));
    response
}
