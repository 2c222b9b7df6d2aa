//! One exchange of a soak: its state, who is connected to it, and what it does to them at the moment.
//!
//! Everything that is told is told under one lock, so that a subscription's snapshot and the changes
//! after it are in order. Sessions take their texts from bounded queues; whoever does not keep up is
//! let go of.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::form::Form;
use super::truth::Truth;

/// Messages that a session may be behind, at least.
const BEHIND: usize = 8192;

/// Messages that may wait for a session before the exchange waits for it.
const AHEAD: usize = 1024;

/// What an exchange does for its clients at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// It listens; else connections are refused by the system.
    pub(crate) listening: bool,
    /// It answers new connections; else they wait as if the way were cut.
    pub(crate) reachable: bool,
    /// WebSocket handshakes are answered with 503.
    pub(crate) refusing: bool,
    /// They are answered that much later.
    pub(crate) handshake_delay: Duration,
    /// Requests to its REST side are never answered.
    pub(crate) hanging: bool,
    /// It moves; else there is no data, and pings are answered.
    pub(crate) moving: bool,
    /// It moves as fast as its clients take it.
    pub(crate) bursting: bool,
    /// What it sends goes out in small pieces.
    pub(crate) chopped: bool,
}

impl Conditions {
    pub(crate) const FINE: Self = Self {
        listening: true,
        reachable: true,
        refusing: false,
        handshake_delay: Duration::ZERO,
        hanging: false,
        moving: true,
        bursting: false,
        chopped: false,
    };
}

/// What a session is told to do.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// End the stream between two frames.
    Cut,
    /// End it within one.
    Truncate,
    /// Reset the connection.
    Reset,
    /// Never read nor write again, and say nothing.
    Forget,
    /// Send the last so many messages again.
    Repeat(usize),
    /// Skip so many numbers of the connection, where it has any.
    Skip(u64),
    /// Send a text that is no JSON.
    Garbage,
    /// Send a frame that the protocol does not know.
    Illegal,
}

/// What an exchange has done.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Messages of data that were made.
    pub(crate) made: AtomicU64,
    /// Text frames handed to the system, over all connections.
    pub(crate) written: AtomicU64,
    /// Messages of an id that follow changes which nobody was told of.
    pub(crate) holes: AtomicU64,
    /// Handshakes that were answered with 503.
    pub(crate) refused: AtomicU64,
    /// Requests that were never answered.
    pub(crate) hung: AtomicU64,
    /// Requests that were.
    pub(crate) answered: AtomicU64,
    /// Sessions that were let go of because they were behind.
    pub(crate) overrun: AtomicU64,
    /// Sessions.
    pub(crate) sessions: AtomicU64,
}

/// Whom to tell.
#[derive(Debug)]
struct Client {
    number: u64,
    queue: mpsc::Sender<Arc<str>>,
    orders: mpsc::UnboundedSender<Order>,
    /// The ids that it has asked for, where it must.
    wanted: Option<Vec<bool>>,
}

#[derive(Debug)]
struct State {
    truth: Truth,
    clients: Vec<Client>,
    /// Changes that nobody is told of.
    dropping: usize,
    /// The ids that such a change was of, until they are told of again.
    holes: Vec<bool>,
}

/// One exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) form: Form,
    pub(crate) ids: usize,
    pub(crate) addr: SocketAddr,
    pub(crate) rate: f64,
    pub(crate) told: Told,
    conditions: watch::Sender<Conditions>,
    state: Mutex<State>,
    origin: Instant,
}

/// What a session has to do with: its texts, its orders, its number.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) number: u64,
    pub(crate) queue: mpsc::Receiver<Arc<str>>,
    pub(crate) orders: mpsc::UnboundedReceiver<Order>,
}

impl Exchange {
    /// `origin` is when the time of the run begins.
    pub(crate) fn new(
        form: Form,
        ids: usize,
        rate: u64,
        seed: u64,
        addr: SocketAddr,
        origin: Instant,
    ) -> Self {
        let seed = seed ^ (form as u64 + 1) << 32;
        Self {
            form,
            ids,
            addr,
            rate: form.rate(rate, ids),
            told: Told::default(),
            conditions: watch::channel(Conditions::FINE).0,
            state: Mutex::new(State {
                truth: Truth::new(form, ids, seed, micros(origin)),
                clients: Vec::new(),
                dropping: 0,
                holes: vec![false; ids],
            }),
            origin,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds of the run.
    pub(crate) fn now(&self) -> u64 {
        micros(self.origin)
    }

    pub(crate) fn conditions(&self) -> watch::Receiver<Conditions> {
        self.conditions.subscribe()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Conditions)) {
        self.conditions.send_modify(change);
    }

    /// Tells the connected sessions, all or the first of them, what to do; gives how many.
    pub(crate) fn order(&self, order: &Order, only_one: bool) -> usize {
        let most = if only_one { 1 } else { usize::MAX };
        let forgets = matches!(order, Order::Forget);
        let mut told = 0;
        self.state().clients.retain(|client| {
            // A session that has just ended needs no order.
            let obeys = told < most && client.orders.send(order.clone()).is_ok();
            told += usize::from(obeys);
            !(obeys && forgets)
        });
        told
    }

    /// The next so many changes are told to nobody.
    pub(crate) fn drop_next(&self, changes: usize) {
        self.state().dropping = changes;
    }

    /// Whether there are changes left that nobody will be told of.
    pub(crate) fn is_dropping(&self) -> bool {
        self.state().dropping > 0
    }

    /// Its state is lost, as in a crash.
    pub(crate) fn lose_state(&self) {
        let now = self.now();
        self.state().truth.lose(now);
    }

    /// Moves so many ids, and tells whoever wants to know.
    pub(crate) fn advance(&self, changes: usize) {
        let now = self.now();
        let mut state = self.state();
        let State {
            truth,
            clients,
            dropping,
            holes,
        } = &mut *state;
        for _ in 0..changes {
            let (id, text) = truth.advance(now);
            if *dropping > 0 {
                *dropping -= 1;
                holes[id] = true;
                continue;
            }
            if std::mem::take(&mut holes[id]) {
                self.told.holes.fetch_add(1, Relaxed);
            }
            clients.retain(|client| {
                let wants = client.wanted.as_ref().is_none_or(|wanted| wanted[id]);
                let kept = !wants || client.queue.try_send(Arc::clone(&text)).is_ok();
                if !kept && !client.queue.is_closed() {
                    self.told.overrun.fetch_add(1, Relaxed);
                }
                kept
            });
        }
        self.told.made.fetch_add(changes as u64, Relaxed);
    }

    /// How many changes may be made at once: an exchange whose clients do not keep up waits for
    /// them, so that what arrives is never older than the buffers in between are long.
    pub(crate) fn room(&self) -> usize {
        let state = self.state();
        let behind = |client: &Client| client.queue.max_capacity() - client.queue.capacity();
        let most = state.clients.iter().map(behind).max();
        AHEAD.saturating_sub(most.unwrap_or(0))
    }

    /// A session begins, with what it has asked for so far.
    pub(crate) fn join(&self, streams: &[String]) -> Seat {
        // Some seconds of the rate, and of a full round of snapshots.
        let behind = BEHIND.max(self.rate as usize * 4) + 2 * self.ids;
        let (queue, texts) = mpsc::channel(behind);
        let (orders, ordered) = mpsc::unbounded_channel();
        let mut state = self.state();
        let number = self.told.sessions.fetch_add(1, Relaxed);
        let wanted = self.form.must_ask().then(|| vec![false; self.ids]);
        state.clients.push(Client {
            number,
            queue,
            orders,
            wanted,
        });
        drop(state);
        self.subscribe(number, streams);
        Seat {
            number,
            queue: texts,
            orders: ordered,
        }
    }

    /// A session asks for streams. Where the form begins with snapshots, they are queued now.
    pub(crate) fn subscribe(&self, number: u64, streams: &[String]) {
        let mut state = self.state();
        let State { truth, clients, .. } = &mut *state;
        let Some(client) = clients.iter_mut().find(|client| client.number == number) else {
            return;
        };
        let Some(wanted) = &mut client.wanted else {
            return;
        };
        for id in streams.iter().filter_map(|name| self.form.stream(name)) {
            let Some(wanted) = wanted.get_mut(id) else {
                continue;
            };
            *wanted = true;
            if self.form == Form::Linear {
                // There is room for all of them.
                let _ = client.queue.try_send(truth.snapshot(id));
            }
        }
    }

    /// A session is over.
    pub(crate) fn leave(&self, number: u64) {
        self.state()
            .clients
            .retain(|client| client.number != number);
    }

    /// What the REST side says of an id, and as of which number.
    pub(crate) fn answer(&self, id: usize) -> Option<(String, u64)> {
        self.state().truth.answer(id)
    }

    /// What a cache that has everything holds of an id.
    pub(crate) fn held(&self, id: usize) -> serde_json::Value {
        self.state().truth.held(id)
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
