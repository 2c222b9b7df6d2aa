//! What does it cost to tell those who wait, and how soon do they know?
//!
//! `telling`: 1,000 slots move, on each of which a task sleeps. Counted is the CPU time of the
//! writer for telling them, per slot: for ours the end of the batch in which the slots were
//! published, for a `Notify` per slot a `notify_one` for each after its value was stored, for
//! `watch` the `send_replace`. Every task reads the value it was told of, and all of them sleep again
//! before the next round. What a `Notify` costs depends on the runtime its task is on: a
//! current-thread one has its driver woken by a system call for each task, a multi-thread one only
//! if no worker is awake.
//!
//! `until all have seen`: the same by the clock on the wall, until the last of them has read.
//!
//! `others wait`: messages about slots that nobody waits for, in a cache where 1,000 tasks wait for
//! other slots, beside one where nobody waits at all.
//!
//! `watchers`: messages about 1,000 slots, with more and more tasks that watch them.
//!
//! `invalidate all`: the call itself, and until each of 10,000 watchers has been told.
//!
//! `spinning`: from the beginning of a publication until the writer knows that a thread which does
//! nothing but look at the slot has seen it: there and back. Subtract `publish alone`; the bare counter
//! is what the machine takes for a line to go to another core, and for one to come back.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rules are the library's: a bench reads clocks, and is run by no model"
)]

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crowds::{Crowd, Follows, Notifies, Ours, SLOTS, Store, Watches};
use sleepers::{On, Tasks};
use spinner::Spinner;
use support::background::Beside;
use support::json::{STEPS, change, whole};
use support::ours::Published;
use support::paired::Contest;
use support::{Round, Ticker, id};
use tickcache::cache::Slot;
use tokio::sync::watch;

#[path = "support/crowds.rs"]
mod crowds;
#[path = "support/sleepers.rs"]
mod sleepers;
#[path = "support/spinner.rs"]
mod spinner;
mod support;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WATCHERS: usize = 10_000;

/// What `count` slots take, if a round is about all of them: by the median of the rounds, since what
/// is timed is so short that one round in which others had the core would outweigh the rest.
fn per_slot(count: u64, mut round: impl FnMut() -> Duration) -> Duration {
    let rounds = count.div_ceil(SLOTS as u64);
    let mut took: Vec<_> = (0..rounds).map(|_| round()).collect();
    took.sort_unstable();
    took[took.len() / 2].mul_f64(count as f64 / SLOTS as f64)
}

fn thousand() {
    let nobody = RefCell::new(Ours::new(SLOTS));
    let ours = Crowd::new(Ours::new(SLOTS), On::CurrentThread);
    let ours_multi = Crowd::new(Ours::new(SLOTS), On::MultiThread);
    let notify = Crowd::new(Notifies::new(), On::CurrentThread);
    let notify_multi = Crowd::new(Notifies::new(), On::MultiThread);
    let watches = Crowd::new(Watches::new(), On::CurrentThread);
    let watches_multi = Crowd::new(Watches::new(), On::MultiThread);
    fn tells<S: Store>(crowd: &RefCell<Crowd<S>>) -> impl FnMut(u64) -> Duration + '_ {
        |count| per_slot(count, || crowd.borrow_mut().round().0)
    }
    fn sees<S: Store>(crowd: &RefCell<Crowd<S>>) -> impl FnMut(u64) -> Duration + '_ {
        |count| per_slot(count, || crowd.borrow_mut().round().1)
    }
    Contest::new("wake/telling 1,000 subscribed slots, per slot")
        .told("tickcache, current_thread", tells(&ours))
        .told("tickcache, multi_thread", tells(&ours_multi))
        .told("tickcache, nobody waits", |count| {
            per_slot(count, || nobody.borrow_mut().round())
        })
        .told("Notify per slot, current_thread", tells(&notify))
        .told("Notify per slot, multi_thread", tells(&notify_multi))
        .told("watch per slot, current_thread", tells(&watches))
        .told("watch per slot, multi_thread", tells(&watches_multi))
        .run();

    let store = RefCell::new(Ours::new(SLOTS));
    let seen = Arc::new(AtomicU64::new(0));
    let changes = Follows(store.borrow().entity.changes(), Arc::clone(&seen));
    let follower = Tasks::new(On::CurrentThread, std::iter::once(changes));
    let follows = |count| {
        per_slot(count, || {
            follower.until_asleep();
            let (before, start) = (seen.load(Ordering::Acquire), Instant::now());
            store.borrow_mut().round();
            while seen.load(Ordering::Acquire) < before + SLOTS as u64 {
                std::thread::yield_now();
            }
            start.elapsed()
        })
    };
    Contest::new("wake/until all of 1,000 have seen, per slot, publishing included")
        .told("tickcache, a task per slot, current_thread", sees(&ours))
        .told(
            "tickcache, a task per slot, multi_thread",
            sees(&ours_multi),
        )
        .told("tickcache, one task that follows changes()", follows)
        .told("Notify per slot, current_thread", sees(&notify))
        .told("Notify per slot, multi_thread", sees(&notify_multi))
        .told("watch per slot, current_thread", sees(&watches))
        .told("watch per slot, multi_thread", sees(&watches_multi))
        .run();
}

fn bystanders() {
    let (mut alone, mut among) = (Ours::new(2 * SLOTS), Ours::new(2 * SLOTS));
    let others = (SLOTS..2 * SLOTS).map(|slot| among.watch(slot));
    let _tasks = Tasks::new(On::MultiThread, others.collect::<Vec<_>>().into_iter());
    Contest::new("wake/a slot without a waiter, per message")
        .row("nobody waits for anything", |count| {
            alone.messages(0, SLOTS, count);
        })
        .row("1,000 tasks wait for other slots", |count| {
            among.messages(0, SLOTS, count);
        })
        .run();

    let mut crowds = [0, 100, 1_000, WATCHERS].map(|watchers| {
        let ours = Ours::new(SLOTS);
        let watches: Vec<_> = (0..watchers).map(|n| ours.watch(n % SLOTS)).collect();
        (
            watchers,
            Tasks::new(On::MultiThread, watches.into_iter()),
            ours,
        )
    });
    let mut contest = Contest::new("wake/watchers of 1,000 slots, per message");
    for (watchers, tasks, ours) in &mut crowds {
        contest = contest.row(format!("{watchers} watchers"), |count| {
            ours.messages(0, SLOTS, count);
            black_box(tasks.len());
        });
    }
    contest.run();
}

fn invalidation() {
    let (few, many) = (Ours::new(1), Ours::new(10 * SLOTS));
    let mut watched = Ours::whole(SLOTS);
    let watches: Vec<_> = (0..WATCHERS).map(|n| watched.watch(n % SLOTS)).collect();
    let tasks = Tasks::new(On::MultiThread, watches.into_iter());
    let (called, told) = (RefCell::new(Vec::new()), &tasks);
    let everyone = WATCHERS as u64;
    let mut all_told = |count: u64| {
        let mut took = Duration::ZERO;
        for _ in 0..count {
            // Live again: what is invalidated twice is no news the second time.
            let before = told.woken();
            watched.messages(0, SLOTS, SLOTS as u64);
            told.until_woken(before + everyone);
            told.until_asleep();
            let start = Instant::now();
            watched.cache.invalidate_all();
            called.borrow_mut().push(start.elapsed());
            told.until_woken(before + 2 * everyone);
            took += start.elapsed();
        }
        took
    };
    Contest::new("wake/invalidate all")
        .row("1 slot", |count| {
            (0..count).for_each(|_| few.cache.invalidate_all());
        })
        .row("10,000 slots", |count| {
            (0..count).for_each(|_| many.cache.invalidate_all());
        })
        .told("until 10,000 watchers are told", &mut all_told)
        .run();
    let mut called = called.into_inner();
    called.sort();
    if let Some(median) = called.get(called.len() / 2) {
        println!("  the call, with 10,000 watchers asleep: {median:?} (median)");
    }
}

/// A thread that looks, and what it looks at being changed. It sleeps but in its turn: more threads
/// that spin than there are cores would be measured by how the scheduler shares them out.
struct Looked<F> {
    spinner: Spinner,
    /// Makes a change, and gives the epoch that it can be seen by.
    change: RefCell<F>,
}

impl<F: FnMut() -> u64> Looked<F> {
    fn new(spinner: Spinner, change: F) -> Self {
        let looked = Self {
            spinner,
            change: RefCell::new(change),
        };
        looked.end();
        looked
    }

    /// There and back, so often.
    fn times(&self, count: u64) {
        let mut change = self.change.borrow_mut();
        for _ in 0..count {
            self.spinner.until_seen(change());
        }
    }

    fn stop(self) {
        let mut change = self.change.into_inner();
        self.spinner.end(|| {
            change();
        });
    }
}

impl<F: FnMut() -> u64> Beside for Looked<F> {
    fn begin(&self) {
        self.spinner.resume();
    }

    fn end(&self) -> bool {
        self.spinner.rest(|| {
            (self.change.borrow_mut())();
        });
        true
    }
}

/// Who looks at one slot of ours.
fn on_slot(slot: Slot) -> Spinner {
    Spinner::new(move |each| {
        let ended = slot.spin(|slot| each(slot.epoch()));
        ended.expect("the cache is open");
    })
}

/// Who looks at a word that counts up, and does something with it.
fn on_word(
    word: impl Fn() -> u64 + Send + 'static,
    mut news: impl FnMut() + Send + 'static,
) -> Spinner {
    Spinner::new(move |each| {
        let mut last = 0;
        loop {
            let epoch = word();
            if epoch == last {
                std::hint::spin_loop();
                continue;
            }
            last = epoch;
            news();
            if each(epoch).is_break() {
                return;
            }
        }
    })
}

fn spinning() {
    let at_hand = || {
        let mut published = Published::new(1, &whole());
        let changes = (0..STEPS).map(|step| published.prepare(&change(step)));
        let changes = Round::new(changes.collect());
        (published.places()[0], published, changes)
    };
    let (place, mut published, mut changes) = at_hand();
    let slot = published.slot(0);
    let ours = Looked::new(on_slot(slot.clone()), || {
        published.publish(place, changes.next());
        slot.epoch()
    });
    let (place, mut alone, mut alone_changes) = at_hand();

    let mut messages = Ours::new(1);
    let slot = messages.entity.slot(id(0));
    let from_messages = Looked::new(on_slot(slot.clone()), || {
        messages.one(0);
        slot.epoch()
    });

    let word = Arc::new(AtomicU64::new(1));
    let looked = Arc::clone(&word);
    let counter = Looked::new(
        on_word(move || looked.load(Ordering::Acquire), || {}),
        || {
            let next = word.load(Ordering::Relaxed) + 1;
            word.store(next, Ordering::Release);
            next
        },
    );

    let store = Arc::new((ArcSwap::from_pointee(Ticker::at(0)), AtomicU64::new(1)));
    let (looked, read) = (Arc::clone(&store), Arc::clone(&store));
    let spinner = on_word(
        move || looked.1.load(Ordering::Acquire),
        move || {
            black_box(read.0.load().bid);
        },
    );
    let mut epoch = 1;
    let swap = Looked::new(spinner, || {
        epoch += 1;
        store.0.store(Arc::new(Ticker::at(epoch as usize)));
        store.1.store(epoch, Ordering::Release);
        epoch
    });

    let sender = watch::Sender::new((0, Ticker::at(0)));
    let mut subscriber = sender.subscribe();
    let spinner = Spinner::new(move |each| {
        loop {
            if !subscriber.has_changed().expect("the sender is there") {
                std::hint::spin_loop();
                continue;
            }
            let epoch = subscriber.borrow_and_update().0;
            if each(epoch).is_break() {
                return;
            }
        }
    });
    let mut sent = 1;
    let watched = Looked::new(spinner, || {
        sent += 1;
        sender.send_replace((sent, Ticker::at(sent as usize)));
        sent
    });

    Contest::new("wake/spinning, there and back")
        .row_beside("tickcache", &ours, |count| ours.times(count))
        .row_beside("bound: a bare counter", &counter, |count| {
            counter.times(count);
        })
        .row("tickcache, publish alone", |count| {
            for _ in 0..count {
                alone.publish(place, alone_changes.next());
            }
            alone.finish();
        })
        .row_beside("arc_swap and an epoch", &swap, |count| swap.times(count))
        .row_beside("tokio watch", &watched, |count| watched.times(count))
        .row_beside(
            "tickcache, from the bytes of a message",
            &from_messages,
            |count| from_messages.times(count),
        )
        .run();
    ours.stop();
    counter.stop();
    swap.stop();
    watched.stop();
    from_messages.stop();
}

fn main() {
    thousand();
    bystanders();
    invalidation();
    spinning();
}
