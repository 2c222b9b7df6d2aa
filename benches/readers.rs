//! Does a reader that misbehaves cost the writer anything?
//!
//! Each row is a cache of its own with 64 slots of 20 fields, into which messages are taken from
//! their bytes, and readers that do what readers should not: the first row has none. Counted is the
//! CPU time of the writer's thread for a message, in turns; the ratio within a round is what to look
//! at. Some readers are there all the time and do nothing (they forgot to poll, sleep in a callback,
//! hold what they have); others are at work while their row has its turn, on another core.
//!
//! Those at work take the memory they read from the writer's cache, as any reader does: `looks` is
//! one that behaves, beside which the others are to be seen.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rules are the library's: a bench reads clocks, and is run by no model"
)]

use std::future::Future;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Waker};

use support::background::Paced;
use support::json::{STEPS, change, event, whole};
use support::ours::Ours;
use support::paired::Contest;
use support::{Round, id};
use tickcache::cache::{Slot, Watch};

mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SLOTS: usize = 64;
/// Those who forget to poll.
const IDLE: usize = 5_000;
/// Snapshots that are held.
const HELD: usize = 10_000;

/// A cache, and the messages for it.
struct Writer {
    ours: Ours,
    texts: Round<Vec<u8>>,
}

impl Writer {
    fn new() -> Self {
        let text = |step| event(&id(step % SLOTS), &change(step));
        Self {
            ours: Ours::whole(SLOTS, &whole()),
            texts: Round::new((0..STEPS * SLOTS).map(text).collect()),
        }
    }

    fn slot(&self) -> Slot {
        self.ours.slot(0)
    }

    fn slots(&self) -> impl Iterator<Item = Slot> {
        (0..).map(|number| self.ours.slot(number % SLOTS))
    }
}

fn poll_once(future: impl Future) {
    let mut context = Context::from_waker(Waker::noop());
    black_box(pin!(future).poll(&mut context).is_ready());
}

/// Watches that have gone to sleep, and whom nobody wakes up.
fn idle(writer: &Writer) -> Vec<Watch> {
    let mut watches: Vec<_> = writer.slots().take(IDLE).map(|slot| slot.watch()).collect();
    for watch in &mut watches {
        poll_once(watch.changed());
        poll_once(watch.changed());
    }
    watches
}

fn main() {
    let [
        mut none,
        mut looked,
        mut idled,
        mut slept,
        mut held,
        mut panicked,
        mut dropped,
        mut handled,
    ] = [(); 8].map(|()| Writer::new());
    // There all the time.
    let watches = idle(&idled);
    let slot = slept.slot();
    let (inside, entered) = std::sync::mpsc::channel();
    let (leave, wait) = std::sync::mpsc::channel::<()>();
    let sleeper = std::thread::spawn(move || {
        slot.read_all(|view| {
            inside.send(()).expect("somebody waits");
            // Until the bench is over.
            let _ = wait.recv();
            black_box(view.epoch());
        });
    });
    entered.recv().expect("it is inside");
    let snapshots: Vec<_> = held
        .slots()
        .take(HELD)
        .map(|slot| slot.snapshot())
        .collect();
    let handles: Vec<_> = handled
        .slots()
        .take(IDLE)
        .map(|slot| (slot.clone(), slot.reader(), slot.entity().changes()))
        .collect();
    // While their row has its turn.
    let slot = looked.slot();
    let looks = Paced::looping(move || {
        black_box(slot.read_all(|view| view.epoch()));
    });
    std::panic::set_hook(Box::new(|_| {}));
    let slot = panicked.slot();
    let panics = Paced::looping(move || {
        let panicked = catch_unwind(AssertUnwindSafe(|| slot.read_all(|_| panic!("reader"))));
        black_box(panicked.is_err());
    });
    let slot = dropped.slot();
    let drops = Paced::looping(move || {
        let mut watch = slot.watch();
        poll_once(watch.changed());
        poll_once(watch.changed());
    });

    let mut contest = Contest::new("readers/that misbehave");
    contest = contest.row("none", |times| {
        none.ours.time(&mut none.texts, times);
    });
    contest = contest.row("5,000 watches that nobody polls", |times| {
        idled.ours.time(&mut idled.texts, times);
    });
    contest = contest.row("5,000 handles, readers and lists of changes", |times| {
        handled.ours.time(&mut handled.texts, times);
    });
    contest = contest.row("one asleep in its callback", |times| {
        slept.ours.time(&mut slept.texts, times);
    });
    contest = contest.row("10,000 snapshots held", |times| {
        held.ours.time(&mut held.texts, times);
    });
    contest = contest.row_beside("one that looks, and behaves", &looks, |times| {
        looked.ours.time(&mut looked.texts, times);
    });
    contest = contest.row_beside("one that panics each time", &panics, |times| {
        panicked.ours.time(&mut panicked.texts, times);
    });
    contest = contest.row_beside("one that drops its futures", &drops, |times| {
        dropped.ours.time(&mut dropped.texts, times);
    });
    contest.run();

    let _ = leave.send(());
    sleeper.join().expect("it leaves");
    drop((watches, snapshots, handles));
}
