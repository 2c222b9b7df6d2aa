//! Models of the queue in front of a lock: nothing is left lying, nothing is done twice, and the
//! items of one thread are done in their order.

use super::*;
use crate::io::fault::{Fault, inject};
use crate::sync;
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Done {
    items: Vec<u32>,
    batches: sync::AtomicUsize,
}

impl Done {
    fn new() -> Self {
        Self {
            items: Vec::new(),
            batches: sync::AtomicUsize::new(0),
        }
    }
}

impl Combiner<u32> for Done {
    fn combine(&mut self, items: impl Iterator<Item = u32>) {
        self.items.extend(items);
        // The end of a batch takes its time, too: the checker may stop a thread before an access,
        // and there is none between the last look at the queue and the unlocking.
        self.batches.fetch_add(1, sync::Ordering::Relaxed);
    }
}

/// Explores `model`, and asserts that there was more than one way to run it.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    assert!(runs.load(Ordering::Relaxed) > 2, "nothing was explored");
}

/// What was done, without doing anything: by looking past the queue.
fn done(combining: &Combining<Done, u32>) -> Vec<u32> {
    assert_eq!(combining.waiting(), 0, "left lying");
    combining
        .state
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .items
        .clone()
}

/// Two that may not wait: each has its items done in order, by itself or by the other.
fn two_that_push() {
    let combining = Arc::new(Combining::new(Done::new(), 4));
    let other = thread::spawn({
        let combining = Arc::clone(&combining);
        move || {
            combining.push(1).expect("room");
            combining.push(2).expect("room");
        }
    });
    combining.push(3).expect("room");
    other.join().expect("the other ends");
    let mut done = done(&combining);
    done.retain(|item| *item != 3);
    assert_eq!(done, [1, 2]);
}

#[test]
fn nothing_is_left_lying_and_order_is_kept() {
    explore(two_that_push);
}

#[test]
#[should_panic(expected = "left lying")]
fn without_the_second_look_it_is_left_lying() {
    inject(Fault::LooksOnce, || explore(two_that_push));
}

/// One that waits for the lock, and one that does not: what comes while the first has the lock is
/// done by it.
#[test]
fn who_waits_for_the_lock_does_what_came_meanwhile() {
    explore(|| {
        let combining = Arc::new(Combining::new(Done::new(), 1));
        let pusher = thread::spawn({
            let combining = Arc::clone(&combining);
            move || combining.push(1).is_ok()
        });
        combining.with(|done| done.items.push(7));
        assert!(pusher.join().expect("the pusher ends"), "there was room");
        let mut done = done(&combining);
        done.sort_unstable();
        assert_eq!(done, [1, 7]);
    });
}

/// One place for two: an item is done or comes back, never both.
#[test]
fn a_full_queue_gives_the_item_back() {
    explore(|| {
        let combining = Arc::new(Combining::new(Done::new(), 1));
        let other = thread::spawn({
            let combining = Arc::clone(&combining);
            move || combining.push(1).ok().map(|()| 1)
        });
        let own = combining.push(2).ok().map(|()| 2);
        let other = other.join().expect("the other ends");
        let mut pushed: Vec<u32> = [own, other].into_iter().flatten().collect();
        pushed.sort_unstable();
        let mut done = done(&combining);
        done.sort_unstable();
        assert_eq!(done, pushed);
        assert!(!done.is_empty(), "there is room for one");
    });
}
