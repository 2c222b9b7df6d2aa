//! The simulator's thread, and the handle that starts, watches and disturbs it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::watch;

use super::market::Market;
use super::wire::{self, Connection};
use super::{Clock, Settings, cpu, protocol, session};

/// How often the thread notes its CPU time.
const CPU_EVERY: Duration = Duration::from_millis(50);

/// What the simulator does for its clients at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Everything.
    #[default]
    Running,
    /// No data; requests, pings and new connections are answered.
    Silent,
    /// Nothing at all, as if the process were stopped. The system still completes TCP handshakes.
    Frozen,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Control {
    pub(crate) flow: Flow,
    /// Counts the orders to cut all connections.
    pub(crate) cuts: u64,
    stop: bool,
}

/// What a simulator has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Connections whose handshake succeeded.
    pub(crate) connections: u64,
    /// Connections lost on purpose.
    pub(crate) drops: u64,
    /// Data messages made (acknowledgements and control frames are not counted).
    pub(crate) messages: u64,
    /// Bytes written, frame heads included.
    pub(crate) bytes: u64,
    /// CPU time of the simulator's thread, at most 50 ms old; zero where the system does not tell.
    pub(crate) cpu: Duration,
}

/// What the sessions share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    market: Mutex<Market>,
    fates: Mutex<fastrand::Rng>,
    connections: AtomicU64,
    drops: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
    cpu_nanos: AtomicU64,
}

impl Shared {
    pub(crate) fn market(&self) -> MutexGuard<'_, Market> {
        self.market.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a new connection may live, and whether it ends in the middle of a frame
    /// rather than by a reset.
    pub(crate) fn lifetime(&self) -> (Option<Duration>, bool) {
        let number = self.connections.fetch_add(1, Relaxed);
        let mut fates = self.fates.lock().unwrap_or_else(PoisonError::into_inner);
        let life = self
            .settings
            .drop_every
            .map(|every| every.mul_f64(0.5 + fates.f64()));
        (life, number % 2 == 1)
    }

    /// Data messages that may still be made.
    pub(crate) fn left(&self) -> u64 {
        let limit = self.settings.messages.unwrap_or(u64::MAX);
        limit.saturating_sub(self.messages.load(Relaxed))
    }

    pub(crate) fn count_sent(&self, messages: u64) {
        self.messages.fetch_add(messages, Relaxed);
    }

    pub(crate) fn count_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn count_drop(&self) {
        self.drops.fetch_add(1, Relaxed);
    }

    fn note_cpu(&self) {
        let cpu = cpu::thread_cpu().unwrap_or_default();
        self.cpu_nanos
            .store(u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}

/// A running simulator: one thread with everything in it. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Simulator {
    addr: SocketAddr,
    shared: Arc<Shared>,
    control: watch::Sender<Control>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Simulator {
    /// Listens on loopback and starts the thread. When this returns, clients can connect.
    pub(crate) fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let clock = Clock::new();
        let shared = Arc::new(Shared {
            clock,
            market: Mutex::new(Market::new(settings.symbols, settings.seed, clock)),
            fates: Mutex::new(fastrand::Rng::with_seed(settings.seed ^ 0x5EED)),
            settings,
            connections: AtomicU64::new(0),
            drops: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            cpu_nanos: AtomicU64::new(0),
        });
        let (control, orders) = watch::channel(Control::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let inside = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("tickcache-sim".into())
            .spawn(move || runtime.block_on(serve(listener, inside, orders)))?;
        Ok(Self {
            addr,
            shared,
            control,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address of the combined endpoint, for subscriptions while connected.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/stream", self.addr)
    }

    /// The time line of the update ids.
    pub(crate) fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// What it has done so far.
    pub(crate) fn stats(&self) -> Stats {
        let shared = &self.shared;
        Stats {
            connections: shared.connections.load(Relaxed),
            drops: shared.drops.load(Relaxed),
            messages: shared.messages.load(Relaxed),
            bytes: shared.bytes.load(Relaxed),
            cpu: Duration::from_nanos(shared.cpu_nanos.load(Relaxed)),
        }
    }

    /// The `data` object last made for a stream such as `btcusdt@bookTicker`; `None` before the
    /// first and for a stream that is not on offer.
    pub(crate) fn last(&self, stream: &str) -> Option<String> {
        let market = self.shared.market();
        market.last(market.stream(stream)?)
    }

    /// Changes what clients get.
    pub(crate) fn set_flow(&self, flow: Flow) {
        self.control.send_modify(|control| control.flow = flow);
    }

    /// Resets every open connection now.
    pub(crate) fn cut(&self) {
        self.control.send_modify(|control| control.cuts += 1);
    }

    /// Stops listening, abandons the connections and joins the thread. Errs when the thread failed.
    pub(crate) fn stop(mut self) -> io::Result<()> {
        self.join()
    }

    fn join(&mut self) -> io::Result<()> {
        self.control.send_modify(|control| control.stop = true);
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the simulator's thread panicked")),
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // `stop` is there for whoever wants to know how the thread ended.
        let _ = self.join();
    }
}

async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut control: watch::Receiver<Control>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut cpu = tokio::time::interval(CPU_EVERY);
    loop {
        let (frozen, stop) = {
            let control = control.borrow_and_update();
            (control.flow == Flow::Frozen, control.stop)
        };
        if stop {
            shared.note_cpu();
            return Ok(());
        }
        tokio::select! {
            changed = control.changed() => if changed.is_err() {
                return Ok(());
            },
            _ = cpu.tick() => shared.note_cpu(),
            accepted = listener.accept(), if !frozen => match accepted {
                Ok((socket, _)) => {
                    tokio::spawn(connection(socket, Arc::clone(&shared), control.clone()));
                }
                // A client that is gone already, or no descriptor left: neither ends the server.
                Err(_) => tokio::task::yield_now().await,
            },
        }
    }
}

async fn connection(
    socket: tokio::net::TcpStream,
    shared: Arc<Shared>,
    control: watch::Receiver<Control>,
) {
    let route = |uri: &hyper::Uri, upgrade: fastwebsockets::upgrade::UpgradeFut| {
        let target = protocol::target(uri).ok_or(StatusCode::NOT_FOUND)?;
        let (shared, control) = (Arc::clone(&shared), control.clone());
        tokio::spawn(async move {
            if let Ok(connection) = Connection::open(upgrade).await {
                session::run(connection, target, shared, control).await;
            }
        });
        Ok(())
    };
    // A client that breaks off its handshake is its own affair.
    let _ = wire::serve_http(socket, route).await;
}
