//! The hub and the thread that runs it.

use super::batch::Wakes;
use super::fault::{Fault, injected, torn_down};
use super::lane::Lane;
use super::lock;
use super::park::Parker;
use super::registration::Registration;
use super::waiters::{Sleeper, Waiters};
use super::{Flag, Key, Watched};
use crate::Time;
use crate::sync::{Arc, AtomicU32, AtomicU64, Mutex, Ordering, fence};
use crossbeam_utils::CachePadded;
use std::fmt;

/// How many wakers are taken before the lock is released to call them.
pub(super) const CHUNK: usize = if cfg!(tickcache_model) { 1 } else { 32 };

/// How many waiters or sources are looked at before the lock is released, whether or not anybody
/// is to be woken: waiters wait for this lock.
pub(super) const LOOKS: usize = if cfg!(tickcache_model) { 2 } else { 128 };

/// Why the hub is woken. A set of bits: what is raised twice is done once.
pub(super) mod reason {
    /// An owner listed slots.
    pub(in super::super) const LIST: u32 = 1;
    /// A generation changed, or a list was full: look at each waiter.
    pub(in super::super) const SCAN: u32 = 1 << 1;
    /// A deadline came up that is earlier than all others, or the clock was moved.
    pub(in super::super) const TIME: u32 = 1 << 2;
    /// An owner came or went.
    pub(in super::super) const LANES: u32 = 1 << 3;
    /// No more waiting.
    pub(in super::super) const STOP: u32 = 1 << 4;
}

/// What the hub's thread was asked to do since it last looked.
struct Signal(AtomicU32);

impl Signal {
    /// Adds reasons; `true` if there were none, so that the thread has to be woken. Pairs with
    /// `take`: what was done before is seen by the turn that takes the reason.
    fn raise(&self, reasons: u32) -> bool {
        self.0.fetch_or(reasons, Ordering::AcqRel) == 0
    }

    /// Takes all reasons. Releases as well: whoever raises next sees the parker bound.
    fn take(&self) -> u32 {
        self.0.swap(0, Ordering::AcqRel)
    }
}

/// How many registrations there are.
struct Count(CachePadded<AtomicU64>);

impl Count {
    /// Under the lock. It goes up long before the waiter's fence, which is what counts.
    fn set(&self, count: usize) {
        self.0.store(count as u64, Ordering::Relaxed);
    }

    /// Comes after a `fence(SeqCst)`, which pairs with the waiter's.
    fn is_zero(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// Where waiters and those who wake them meet; one per cache. See the [module](super).
pub(crate) struct Hub {
    pub(super) waiters: Mutex<Waiters>,
    count: Count,
    signal: CachePadded<Signal>,
    parker: Parker,
    lanes: Mutex<Vec<Arc<Lane>>>,
    scans: Arc<Flag>,
    panics: AtomicU64,
}

impl Hub {
    /// A hub, and the one who runs it. Until the runner runs nobody is woken; when it is dropped
    /// all waiters are told [`Woken::Closed`](super::Woken::Closed).
    pub(crate) fn new() -> (Arc<Self>, Runner) {
        let hub = Arc::new(Self {
            waiters: Mutex::new(Waiters::new()),
            count: Count(CachePadded::new(AtomicU64::new(0))),
            signal: CachePadded::new(Signal(AtomicU32::new(0))),
            parker: Parker::new(),
            lanes: Mutex::new(Vec::new()),
            scans: Arc::new(Flag::new()),
            panics: AtomicU64::new(0),
        });
        let runner = Runner {
            hub: Arc::clone(&hub),
            lanes: Vec::new(),
            woken: Vec::with_capacity(CHUNK),
        };
        (hub, runner)
    }

    /// Enters a waiter for `sources`, asleep only while it polls or waits. Cold: it allocates.
    pub(crate) fn register(self: &Arc<Self>, sources: Vec<Arc<dyn Watched>>) -> Registration {
        Registration::new(Arc::clone(self), sources.into())
    }

    /// An owner's end: one for each thread that publishes. Cold: it allocates.
    pub(crate) fn wakes(self: &Arc<Self>) -> Wakes {
        let (sender, lane) = Lane::new();
        lock(&self.lanes).push(lane);
        self.raise(reason::LANES);
        Wakes::new(Arc::clone(self), sender)
    }

    /// Wakes those for whom something moved, after a store that no slot's owner will list: a
    /// generation, a [`Flag`](super::Flag). From any thread, lock-free. One fence and one load if nobody waits; else
    /// the hub looks at each waiter, never at each slot.
    pub(crate) fn scan(&self) {
        // Before the fence, as what it stands for.
        self.scans.raise();
        if !injected(Fault::ChangerFence) {
            fence(Ordering::SeqCst);
        }
        if !self.count.is_zero() {
            self.raise(reason::SCAN);
        }
    }

    /// Raised by every [`scan`](Self::scan) and every
    /// [`Batch::everything`](super::Batch::everything), and by no publication: what to wait for to
    /// learn that generations have moved. One level may stand for many moves.
    pub(crate) fn scans(&self) -> &Arc<Flag> {
        &self.scans
    }

    /// Has the hub read its clock again, after a virtual one was moved.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn advance(&self) {
        self.raise(reason::TIME);
    }

    /// Ends all waiting, present and future, with [`Woken::Closed`](super::Woken::Closed), and then the runner. Owners
    /// have to be joined first if their last publications are to be seen by those who wait.
    pub(crate) fn stop(&self) {
        self.close();
        self.raise(reason::STOP);
    }

    /// How many wakers panicked when called. Each such task is its executor's to deal with; the
    /// others are woken all the same.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Registrations, sources and deadlines in the table.
    #[cfg(test)]
    pub(in crate::store) fn sizes(&self) -> (usize, usize, usize) {
        lock(&self.waiters).sizes()
    }

    /// Owners that may still have something to tell.
    #[cfg(test)]
    pub(in crate::store) fn lanes(&self) -> usize {
        lock(&self.lanes).len()
    }

    /// Whether nobody is registered. Comes after a `fence(SeqCst)`.
    pub(super) fn is_quiet(&self) -> bool {
        self.count.is_zero()
    }

    /// Keeps the count; the caller holds the lock on `waiters`.
    pub(super) fn set_count(&self, waiters: &Waiters) {
        self.count.set(waiters.len());
    }

    pub(super) fn raise(&self, reasons: u32) {
        if self.signal.raise(reasons) {
            self.parker.unpark();
        }
    }

    fn close(&self) {
        if !injected(Fault::CloseUnmarked) {
            lock(&self.waiters).closed = true;
        }
    }

    /// Wakes and empties the list.
    fn wake(&self, woken: &mut Vec<Sleeper>) {
        for sleeper in woken.drain(..) {
            // A waker is a user's code, and one that panics must not silence all the others. In a
            // model a panic is loom's own, and not to be caught.
            #[cfg(not(tickcache_model))]
            {
                use std::panic::{AssertUnwindSafe, catch_unwind};
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| sleeper.wake())) {
                    self.panics.fetch_add(1, Ordering::Relaxed);
                    // What was thrown may panic in turn when dropped.
                    std::mem::forget(payload);
                }
            }
            #[cfg(tickcache_model)]
            sleeper.wake();
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

/// The hub's other half: the one consumer of what owners list. There is one for each hub.
pub(crate) struct Runner {
    hub: Arc<Hub>,
    lanes: Vec<Arc<Lane>>,
    woken: Vec<Sleeper>,
}

impl Runner {
    /// Runs the hub on this thread until [`Hub::stop`]. `now` reads the clock; it is read once a
    /// turn, and [`Hub::advance`] asks for a turn.
    pub(crate) fn run(mut self, now: &dyn Fn() -> Time) {
        let bound = self.hub.parker.bind();
        debug_assert!(bound, "there is one runner, and it stays on its thread");
        loop {
            let Some((time, next)) = self.step(now) else {
                return;
            };
            let timeout = (next != Time::NEVER).then(|| next.since(time));
            // Whatever was raised since the turn took its reasons has unparked this thread: the
            // parker was bound before that, and `Signal::take` has released it.
            self.hub.parker.park(timeout);
        }
    }

    #[cfg(test)]
    /// One turn at `now`: wakes whoever is listed, moved or due. Answers when the next deadline
    /// is, [`Time::NEVER`] without one; `None` once stopped. For tests that have no hub thread.
    pub(crate) fn turn(&mut self, now: Time) -> Option<Time> {
        self.step(&|| now).map(|(_, next)| next)
    }

    /// The time of this turn and of the next deadline.
    fn step(&mut self, now: &dyn Fn() -> Time) -> Option<(Time, Time)> {
        let early = injected(Fault::TimeFirst).then(now);
        let raised = self.hub.signal.take();
        // Read after the reasons were taken, or a clock moved in between would be missed.
        let now = early.unwrap_or_else(now);
        if raised & reason::LANES != 0 {
            self.lanes.clone_from(&lock(&self.hub.lanes));
        }
        if raised & (reason::LIST | reason::LANES) != 0 {
            lock(&self.hub.waiters).observe(now);
            self.wake_listed();
        }
        if raised & reason::LANES != 0 {
            self.lanes.retain(|lane| !lane.is_over());
            lock(&self.hub.lanes).retain(|lane| !lane.is_over());
        }
        if raised & reason::SCAN != 0 {
            self.wake_all(|waiters, cursor, woken| waiters.take_moved(false, cursor, woken));
        }
        self.wake_all(|waiters, _, woken| waiters.take_due(now, woken));
        if raised & reason::STOP != 0 {
            self.close();
            return None;
        }
        Some((now, lock(&self.hub.waiters).plan()))
    }

    fn wake_listed(&mut self) {
        let Self { hub, lanes, woken } = self;
        for lane in &*lanes {
            let mut keys = lane.published();
            // The one that was begun, and how far.
            let mut begun: Option<(Key, Option<usize>)> = None;
            loop {
                let mut waiters = lock(&hub.waiters);
                let mut looks = 0;
                while looks < LOOKS {
                    let Some((key, mut cursor)) =
                        begun.take().or_else(|| Some((keys.next()?, None)))
                    else {
                        break;
                    };
                    looks += 1;
                    if !waiters.take_listed(key, &mut cursor, woken) {
                        begun = Some((key, cursor));
                        break;
                    }
                }
                drop(waiters);
                hub.wake(woken);
                if looks == 0 {
                    break;
                }
            }
        }
    }

    fn wake_all(
        &mut self,
        mut take: impl FnMut(&mut Waiters, &mut Option<usize>, &mut Vec<Sleeper>) -> bool,
    ) {
        let mut cursor = None;
        while !take(&mut lock(&self.hub.waiters), &mut cursor, &mut self.woken) {
            self.hub.wake(&mut self.woken);
        }
        self.hub.wake(&mut self.woken);
    }

    /// Nobody may fall asleep any more, and whoever sleeps is woken.
    fn close(&mut self) {
        self.hub.close();
        self.wake_all(|waiters, cursor, woken| waiters.take_moved(true, cursor, woken));
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if !torn_down() {
            self.close();
        }
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("lanes", &self.lanes.len())
            .finish_non_exhaustive()
    }
}
