//! A service on loopback with a REST interface and a WebSocket of events, for the slow path.
//!
//! It has a small truth of its own, [`truth::Truth`], that goes on all the time. Its answers come
//! late, fail, hang until the client gives up, are cut off in the middle, or are as of some
//! revisions ago, and then say so truly in the header [`REVISION`]. Its events are sound, but their
//! connection is lost now and then.
//!
//! Everything runs on a thread of its own, so that the exchange beside it is not disturbed.

mod events;
mod fate;
mod rest;
mod truth;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::{broadcast, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::cpu;
use super::wire::{self, Connection};
pub(crate) use fate::{Fate, Faults};
pub(crate) use rest::REVISION;
pub(crate) use truth::{Change, ENTITY, Told, Truth, content, sweep, told};

/// How often the thread notes its CPU time.
const CPU_EVERY: Duration = Duration::from_millis(50);

/// What the service has, and how badly it behaves.
#[derive(Clone, Debug)]
pub(crate) struct ApiSettings {
    /// Number of jobs, at least 1; their ids begin at 1.
    pub(crate) jobs: usize,
    /// Time between two changes. `None`: only [`Api::advance`] makes any.
    pub(crate) change_every: Option<Duration>,
    /// Time between two events that name no id. `None`: only [`Api::sweep`] makes any.
    pub(crate) sweep_every: Option<Duration>,
    /// The connection of the events is lost after about this long (between half and one and a half
    /// of it). `None`: never.
    pub(crate) drop_every: Option<Duration>,
    pub(crate) faults: Faults,
    /// Of the changes, the faults and the losses.
    pub(crate) seed: u64,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            jobs: 12,
            change_every: Some(Duration::from_millis(25)),
            sweep_every: Some(Duration::from_secs(3)),
            drop_every: None,
            faults: Faults::default(),
            seed: 1,
        }
    }
}

/// What the service has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ApiStats {
    /// Requests for something that exists or might.
    pub(crate) requests: u64,
    /// Answers that took 100 ms or more, whatever they said.
    pub(crate) late: u64,
    /// Answers with a status of 500 or more.
    pub(crate) errors: u64,
    /// Requests that were never answered.
    pub(crate) hung: u64,
    /// Answers that were cut off.
    pub(crate) broken: u64,
    /// Answers as of some revisions ago.
    pub(crate) old: u64,
    /// Changes of jobs.
    pub(crate) changes: u64,
    /// Events made, whether somebody was connected or not.
    pub(crate) events: u64,
    /// Connections of the events that were lost on purpose.
    pub(crate) drops: u64,
    /// CPU time of the thread, at most 50 ms old; zero where the system does not tell.
    pub(crate) cpu: Duration,
}

#[derive(Debug, Default)]
struct Counted {
    requests: AtomicU64,
    late: AtomicU64,
    errors: AtomicU64,
    hung: AtomicU64,
    broken: AtomicU64,
    old: AtomicU64,
    changes: AtomicU64,
    events: AtomicU64,
    drops: AtomicU64,
    cpu_nanos: AtomicU64,
}

/// What the connections share.
#[derive(Debug)]
struct Inside {
    settings: ApiSettings,
    truth: Mutex<Truth>,
    fates: Mutex<fastrand::Rng>,
    events: broadcast::Sender<Arc<str>>,
    counted: Counted,
}

impl Inside {
    fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fates(&self) -> MutexGuard<'_, fastrand::Rng> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fate(&self) -> (Duration, Fate) {
        self.settings.faults.next(&mut self.fates())
    }

    fn life(&self) -> Option<Duration> {
        let every = self.settings.drop_every?;
        Some(every.mul_f64(0.5 + self.fates().f64()))
    }

    fn advance(&self) -> Change {
        // Told under the lock: events leave in the order of their revisions.
        let mut truth = self.truth();
        let change = truth.advance();
        self.counted.changes.fetch_add(1, Relaxed);
        if let Some(event) = change.event() {
            self.tell(event);
        }
        change
    }

    fn sweep(&self) {
        let truth = self.truth();
        self.tell(sweep(truth.revision()));
    }

    fn tell(&self, event: String) {
        self.counted.events.fetch_add(1, Relaxed);
        // Without a client there is nobody to tell.
        let _ = self.events.send(event.into());
    }

    fn note_cpu(&self) {
        let nanos = cpu::thread_cpu().unwrap_or_default().as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        self.counted.cpu_nanos.store(nanos, Relaxed);
    }
}

/// What is true now. It outlives the service, and then stands still.
#[derive(Clone, Debug)]
pub(crate) struct Facts(Arc<Inside>);

impl Facts {
    /// The version of a job. `None` if there is no such job.
    pub(crate) fn version(&self, id: u64) -> Option<u64> {
        self.0.truth().version(id)
    }

    /// The number of notifications.
    pub(crate) fn notifications(&self) -> u64 {
        truth::notifications(self.0.truth().revision())
    }
}

/// A running service: one thread with everything in it. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Api {
    addr: SocketAddr,
    inside: Arc<Inside>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Api {
    /// Listens on loopback and starts the thread. When this returns, clients can connect.
    pub(crate) fn start(settings: ApiSettings) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let inside = Arc::new(Inside {
            truth: Mutex::new(Truth::new(settings.jobs, settings.seed)),
            fates: Mutex::new(fastrand::Rng::with_seed(settings.seed ^ 0xFA7E)),
            events: broadcast::channel(events::BEHIND).0,
            counted: Counted::default(),
            settings,
        });
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let shared = Arc::clone(&inside);
        let thread = std::thread::Builder::new()
            .name("tickcache-api".into())
            .spawn(move || runtime.block_on(serve(listener, shared, stopped)))?;
        Ok(Self {
            addr,
            inside,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address of the events.
    pub(crate) fn events_url(&self) -> String {
        format!("ws://{}/events", self.addr)
    }

    /// Takes some job one step further, and tells of it.
    pub(crate) fn advance(&self) -> Change {
        self.inside.advance()
    }

    /// Says that every job may have changed.
    pub(crate) fn sweep(&self) {
        self.inside.sweep();
    }

    /// What is true, for whoever wants to compare.
    pub(crate) fn facts(&self) -> Facts {
        Facts(Arc::clone(&self.inside))
    }

    /// What it has done so far.
    pub(crate) fn stats(&self) -> ApiStats {
        let counted = &self.inside.counted;
        ApiStats {
            requests: counted.requests.load(Relaxed),
            late: counted.late.load(Relaxed),
            errors: counted.errors.load(Relaxed),
            hung: counted.hung.load(Relaxed),
            broken: counted.broken.load(Relaxed),
            old: counted.old.load(Relaxed),
            changes: counted.changes.load(Relaxed),
            events: counted.events.load(Relaxed),
            drops: counted.drops.load(Relaxed),
            cpu: Duration::from_nanos(counted.cpu_nanos.load(Relaxed)),
        }
    }

    /// Stops listening, abandons the connections and joins the thread. Errs when the thread failed.
    pub(crate) fn stop(mut self) -> io::Result<()> {
        self.join()
    }

    fn join(&mut self) -> io::Result<()> {
        self.stop.send_replace(true);
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the service's thread panicked")),
        }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        // `stop` is there for whoever wants to know how the thread ended.
        let _ = self.join();
    }
}

async fn serve(
    listener: TcpListener,
    inside: Arc<Inside>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut cpu = interval(CPU_EVERY);
    let mut changes = Beat::every(inside.settings.change_every);
    let mut sweeps = Beat::every(inside.settings.sweep_every);
    loop {
        tokio::select! {
            // Gone with its handle as well.
            _ = stop.wait_for(|stop| *stop) => {
                inside.note_cpu();
                return Ok(());
            }
            _ = cpu.tick() => inside.note_cpu(),
            () = changes.next() => {
                inside.advance();
            }
            () = sweeps.next() => inside.sweep(),
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    tokio::spawn(connection(socket, Arc::clone(&inside)));
                }
                // A client that is gone already, or no descriptor left: neither ends the server.
                Err(_) => tokio::task::yield_now().await,
            },
        }
    }
}

/// A clock that may not tick at all.
struct Beat(Option<tokio::time::Interval>);

impl Beat {
    fn every(period: Option<Duration>) -> Self {
        Self(period.map(|period| {
            let mut interval = interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        }))
    }

    async fn next(&mut self) {
        match &mut self.0 {
            Some(interval) => {
                interval.tick().await;
            }
            None => std::future::pending().await,
        }
    }
}

async fn connection(socket: tokio::net::TcpStream, inside: Arc<Inside>) {
    let route = |uri: &hyper::Uri, upgrade: fastwebsockets::upgrade::UpgradeFut| {
        if uri.path() != "/events" {
            return Err(StatusCode::NOT_FOUND);
        }
        let inside = Arc::clone(&inside);
        tokio::spawn(async move {
            let events = inside.events.subscribe();
            let life = inside.life();
            if let Ok(connection) = Connection::open(upgrade).await
                && events::run(connection, events, life).await
            {
                inside.counted.drops.fetch_add(1, Relaxed);
            }
        });
        Ok(())
    };
    let other = |request| rest::answer(request, Arc::clone(&inside));
    // A client that breaks off is its own affair.
    let _ = wire::serve_http_and(socket, route, other).await;
}
