//! Models of waiting against publishing, changing, stopping: every interleaving of an owner, a
//! waiter and the hub's thread, up to the preemption bound. A lost wake-up is a deadlock.
//!
//! Each broken variant has to be caught: it shows that the step is needed, and that the model can
//! see it. loom's locks order more than real ones do (each is a `SeqCst` fence), so the fences are
//! shown where no lock stands beside them.

use super::Cell;
use crate::Time;
use crate::store::wake::{Fault, Hub, Runner, Seen, Watched, Woken, inject};
use crate::sync::{Arc, AtomicU64, Ordering, thread};

fn model(bound: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.check(body);
}

fn spawn_hub(runner: Runner) -> thread::JoinHandle<()> {
    thread::spawn(move || runner.run(&|| Time::ZERO))
}

fn sources(cells: &[Arc<Cell>]) -> Vec<Arc<dyn Watched>> {
    cells
        .iter()
        .map(|cell| Arc::clone(cell) as Arc<dyn Watched>)
        .collect()
}

/// One owner publishes `count` times in as many batches; the waiter has to see the last one.
fn publications(bound: usize, count: u64) {
    model(bound, move || {
        let (hub, runner) = Hub::new();
        let mut wakes = hub.wakes();
        let cell = Cell::new();
        let mut registration = hub.register(sources(&[Arc::clone(&cell)]));
        let hub_thread = spawn_hub(runner);
        let waiter = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || {
                let mut seen = Seen::default();
                while seen.epoch < count {
                    let woken = registration.wait(&[seen], Time::NEVER, &|| Time::ZERO);
                    assert_eq!(woken, Woken::Moved);
                    seen = cell.seen();
                }
            })
        };
        for epoch in 1..=count {
            cell.publish(epoch);
            wakes.batch().one(&*cell);
        }
        waiter.join().expect("it has seen the last one");
        hub.stop();
        hub_thread.join().expect("the hub ends");
    });
}

#[test]
fn a_publication_is_never_missed() {
    publications(3, 1);
}

#[test]
fn nor_is_a_second_one_by_a_waiter_that_arms_again() {
    publications(3, 2);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_owners_fence_it_is() {
    inject(Fault::OwnerFence, || publications(3, 1));
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_waiters_fence_it_is() {
    inject(Fault::WaiterFence, || publications(3, 1));
}

#[test]
#[should_panic(expected = "deadlock")]
fn checked_before_it_rings_it_is() {
    inject(Fault::CheckFirst, || publications(3, 1));
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_a_check_after_it_rang_it_is() {
    inject(Fault::NoRecheck, || publications(3, 1));
}

#[test]
#[should_panic(expected = "deadlock")]
fn with_a_ring_told_after_the_hub_was_it_is() {
    inject(Fault::TellLate, || publications(3, 2));
}

/// Somebody else has rung for the same slot, so a waiter may find the bell rung and leave it at
/// that, and may have seen the first publication before the hub is told of it.
fn a_bell_rung_already() {
    model(3, || {
        let (hub, runner) = Hub::new();
        let mut wakes = hub.wakes();
        let cell = Cell::new();
        let mut other = hub.register(sources(&[Arc::clone(&cell)]));
        other.note(&[Seen::default()], &|| Time::ZERO);
        let mut registration = hub.register(sources(&[Arc::clone(&cell)]));
        let hub_thread = spawn_hub(runner);
        let waiter = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || {
                let mut seen = cell.seen();
                while seen.epoch < 2 {
                    let woken = registration.wait(&[seen], Time::NEVER, &|| Time::ZERO);
                    assert_eq!(woken, Woken::Moved);
                    seen = cell.seen();
                }
            })
        };
        for epoch in [1, 2] {
            cell.publish(epoch);
            wakes.batch().one(&*cell);
        }
        waiter.join().expect("it has seen the last one");
        hub.stop();
        hub_thread.join().expect("the hub ends");
    });
}

#[test]
fn one_ring_does_for_two() {
    a_bell_rung_already();
}

#[test]
#[should_panic(expected = "deadlock")]
fn but_not_for_one_who_enters_the_waker_afterwards() {
    inject(Fault::RingFirst, a_bell_rung_already);
}

/// A batch of more slots than a lane holds, for one who waits for all of them.
#[test]
fn a_full_lane_loses_nobody() {
    model(3, || {
        let (hub, runner) = Hub::new();
        let mut wakes = hub.wakes();
        let cells = [Cell::new(), Cell::new(), Cell::new()];
        let mut registration = hub.register(sources(&cells));
        let hub_thread = spawn_hub(runner);
        let waiter = {
            let cells = cells.clone();
            thread::spawn(move || {
                let mut seen = [Seen::default(); 3];
                while seen.iter().any(|seen| seen.epoch == 0) {
                    let woken = registration.wait(&seen, Time::NEVER, &|| Time::ZERO);
                    assert_eq!(woken, Woken::Moved);
                    seen = cells.each_ref().map(|cell| cell.seen());
                }
            })
        };
        for cell in &cells {
            cell.publish(1);
        }
        let mut batch = wakes.batch();
        for cell in &cells {
            batch.one(&**cell);
        }
        drop(batch);
        waiter.join().expect("it has seen all");
        hub.stop();
        hub_thread.join().expect("the hub ends");
    });
}

/// A generation is changed while somebody registers and falls asleep.
fn change_of_generation() {
    model(3, || {
        let (hub, runner) = Hub::new();
        let cell = Cell::new();
        let hub_thread = spawn_hub(runner);
        let waiter = {
            let (hub, cell) = (Arc::clone(&hub), Arc::clone(&cell));
            thread::spawn(move || {
                let mut registration = hub.register(sources(&[Arc::clone(&cell)]));
                let woken = registration.wait(&[Seen::default()], Time::NEVER, &|| Time::ZERO);
                assert_eq!(woken, Woken::Moved);
            })
        };
        cell.relink(1);
        hub.scan();
        waiter.join().expect("it has seen the change");
        hub.stop();
        hub_thread.join().expect("the hub ends");
    });
}

#[test]
fn a_change_of_generation_is_never_missed() {
    change_of_generation();
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_changers_fence_it_is() {
    inject(Fault::ChangerFence, change_of_generation);
}

/// The hub stops while somebody falls asleep.
fn stop_against_wait() {
    model(3, || {
        let (hub, runner) = Hub::new();
        let cell = Cell::new();
        let mut registration = hub.register(sources(&[cell]));
        let hub_thread = spawn_hub(runner);
        let waiter = thread::spawn(move || {
            let woken = registration.wait(&[Seen::default()], Time::NEVER, &|| Time::ZERO);
            assert_eq!(woken, Woken::Closed);
        });
        hub.stop();
        waiter.join().expect("it was told");
        hub_thread.join().expect("the hub ends");
    });
}

#[test]
fn nobody_sleeps_on_when_the_hub_stops() {
    stop_against_wait();
}

#[test]
#[should_panic(expected = "deadlock")]
fn somebody_does_if_stopping_leaves_no_mark() {
    inject(Fault::CloseUnmarked, stop_against_wait);
}

/// The runner is dropped without a run: a thread that could not be started.
#[test]
fn nobody_sleeps_on_when_the_runner_is_dropped() {
    model(3, || {
        let (hub, runner) = Hub::new();
        let mut registration = hub.register(sources(&[Cell::new()]));
        let waiter = thread::spawn(move || {
            let woken = registration.wait(&[Seen::default()], Time::NEVER, &|| Time::ZERO);
            assert_eq!(woken, Woken::Closed);
        });
        drop(runner);
        waiter.join().expect("it was told");
    });
}

/// A virtual clock is moved while somebody falls asleep until then, and the hub is busy.
fn clock_moved() {
    model(3, || {
        let (hub, runner) = Hub::new();
        let clock = Arc::new(AtomicU64::new(0));
        let read = |clock: &Arc<AtomicU64>| {
            let clock = Arc::clone(clock);
            move || Time::from_nanos(clock.load(Ordering::Acquire))
        };
        let (hubs, waiters) = (read(&clock), read(&clock));
        let mut registration = hub.register(sources(&[Cell::new()]));
        let hub_thread = thread::spawn(move || runner.run(&hubs));
        let waiter = thread::spawn(move || {
            let until = Time::from_nanos(1);
            let woken = registration.wait(&[Seen::default()], until, &waiters);
            assert_eq!(woken, Woken::Deadline);
        });
        hub.scan();
        clock.store(1, Ordering::Release);
        hub.advance();
        waiter.join().expect("its time has come");
        hub.stop();
        hub_thread.join().expect("the hub ends");
    });
}

#[test]
fn a_clock_that_is_moved_is_noticed() {
    clock_moved();
}

#[test]
#[should_panic(expected = "deadlock")]
fn read_before_the_reasons_are_taken_it_is_not() {
    inject(Fault::TimeFirst, clock_moved);
}
