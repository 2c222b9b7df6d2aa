//! The hub turned by hand, in one thread, against a clock that the test sets.

mod deadlines;

use super::{Cell, flush, guarded};
use crate::Time;
use crate::store::changes::Changes;
use crate::store::wake::{Flag, Hub, Registration, Runner, Seen, Watched, Woken};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Counts how often it is woken.
#[derive(Default)]
struct Counter(AtomicU64);

impl Counter {
    fn new() -> (Arc<Self>, Waker) {
        let counter = Arc::new(Self::default());
        (Arc::clone(&counter), Waker::from(counter))
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn source(cell: &Arc<Cell>) -> Arc<dyn Watched> {
    Arc::clone(cell) as Arc<dyn Watched>
}

fn poll(registration: &mut Registration, waker: &Waker, seen: &[Seen]) -> Poll<Woken> {
    poll_until(registration, waker, seen, Time::NEVER)
}

fn poll_until(
    registration: &mut Registration,
    waker: &Waker,
    seen: &[Seen],
    until: Time,
) -> Poll<Woken> {
    registration.poll(&mut Context::from_waker(waker), seen, until)
}

fn turn(runner: &mut Runner) {
    assert_eq!(runner.turn(Time::ZERO), Some(Time::NEVER));
}

const fn at(nanos: u64) -> Time {
    Time::from_nanos(nanos)
}

#[test]
fn a_publication_wakes_those_who_wait_for_it_and_nobody_else() {
    let (hub, mut runner) = Hub::new();
    let (mut wakes, mut moved) = (hub.wakes(), Arc::new(Changes::new()).producer());
    let cells = [Cell::new(), Cell::new()];
    let mut waiting = cells
        .each_ref()
        .map(|cell| (hub.register(vec![source(cell)]), Counter::new()));
    for (registration, (_, waker)) in &mut waiting {
        assert_eq!(poll(registration, waker, &[Seen::default()]), Poll::Pending);
    }

    cells[1].publish(1);
    moved.push(1);
    moved.push(7); // A number without a slot is passed over.
    flush(&mut wakes, &mut moved, &cells);
    assert!(moved.is_quiet());
    turn(&mut runner);
    let counts = waiting.each_ref().map(|(_, (counter, _))| counter.count());
    assert_eq!(counts, [0, 1]);

    // Not armed again, so not woken again; the first still is.
    let (registration, (_, waker)) = &mut waiting[1];
    assert_eq!(
        poll(registration, waker, &[Seen::default()]),
        Poll::Ready(Woken::Moved)
    );
    for (slot, cell) in cells.iter().enumerate() {
        cell.publish(2);
        moved.push(slot as u32);
    }
    flush(&mut wakes, &mut moved, &cells);
    turn(&mut runner);
    let counts = waiting.each_ref().map(|(_, (counter, _))| counter.count());
    assert_eq!(counts, [1, 1]);
}

#[test]
fn a_waiter_that_was_listed_too_early_is_woken_and_arms_again() {
    let (hub, mut runner) = Hub::new();
    let mut wakes = hub.wakes();
    let cell = Cell::new();
    let mut registration = hub.register(vec![source(&cell)]);
    let (counter, waker) = Counter::new();
    // It has seen the publication before the owner told of it.
    cell.publish(1);
    let seen = cell.seen();
    assert_eq!(poll(&mut registration, &waker, &[seen]), Poll::Pending);
    wakes.batch().one(&*cell);
    turn(&mut runner);
    assert_eq!(counter.count(), 1);
    assert_eq!(poll(&mut registration, &waker, &[seen]), Poll::Pending);
    cell.publish(2);
    wakes.batch().one(&*cell);
    turn(&mut runner);
    assert_eq!(counter.count(), 2);
    assert_eq!(
        poll(&mut registration, &waker, &[seen]),
        Poll::Ready(Woken::Moved)
    );
}

#[test]
fn only_the_last_waker_counts() {
    let (hub, mut runner) = Hub::new();
    let mut wakes = hub.wakes();
    let cell = Cell::new();
    let mut registration = hub.register(vec![source(&cell)]);
    let ((old, first), (new, second)) = (Counter::new(), Counter::new());
    assert!(poll(&mut registration, &first, &[Seen::default()]).is_pending());
    assert!(poll(&mut registration, &second, &[Seen::default()]).is_pending());
    cell.publish(1);
    wakes.batch().one(&*cell);
    turn(&mut runner);
    assert_eq!((old.count(), new.count()), (0, 1));
}

#[test]
fn a_scan_wakes_those_for_whom_something_moved_and_leaves_the_others_armed() {
    let (hub, mut runner) = Hub::new();
    let mut wakes = hub.wakes();
    hub.scan(); // Nobody waits.
    let (a, b) = (Cell::new(), Cell::new());
    let (mut on_a, mut on_b) = (
        hub.register(vec![source(&a)]),
        hub.register(vec![source(&b)]),
    );
    let ((count_a, waker_a), (count_b, waker_b)) = (Counter::new(), Counter::new());
    assert!(poll(&mut on_a, &waker_a, &[a.seen()]).is_pending());
    assert!(poll(&mut on_b, &waker_b, &[b.seen()]).is_pending());
    a.relink(1);
    hub.scan();
    turn(&mut runner);
    assert_eq!((count_a.count(), count_b.count()), (1, 0));
    b.publish(1);
    wakes.batch().one(&*b);
    turn(&mut runner);
    assert_eq!((count_a.count(), count_b.count()), (1, 1));
}

#[test]
fn a_batch_may_ask_for_a_look_at_everybody() {
    let (hub, mut runner) = Hub::new();
    let mut wakes = hub.wakes();
    wakes.batch().everything(); // Nobody waits.
    let (a, b) = (Cell::new(), Cell::new());
    let (mut on_a, mut on_b) = (
        hub.register(vec![source(&a)]),
        hub.register(vec![source(&b)]),
    );
    let ((count_a, waker_a), (count_b, waker_b)) = (Counter::new(), Counter::new());
    assert!(poll(&mut on_a, &waker_a, &[a.seen()]).is_pending());
    assert!(poll(&mut on_b, &waker_b, &[b.seen()]).is_pending());
    b.relink(1);
    wakes.batch().everything();
    turn(&mut runner);
    assert_eq!((count_a.count(), count_b.count()), (0, 1));
}

/// Who looks after generations is woken by every scan, and by no publication.
#[test]
fn scans_can_be_waited_for_and_publications_do_not_count() {
    let (hub, mut runner) = Hub::new();
    let mut wakes = hub.wakes();
    let slot = Cell::new();
    let (mut on_slot, mut on_scans) = (
        hub.register(vec![source(&slot)]),
        hub.register(vec![Arc::clone(hub.scans()) as Arc<dyn Watched>]),
    );
    let ((slots, slot_waker), (scans, scan_waker)) = (Counter::new(), Counter::new());
    let mut seen = Seen::default();
    let mut woken = 0;
    for round in 1..4 {
        assert!(poll(&mut on_slot, &slot_waker, &[slot.seen()]).is_pending());
        assert!(poll(&mut on_scans, &scan_waker, &[seen]).is_pending());
        slot.publish(round);
        wakes.batch().one(&*slot);
        turn(&mut runner);
        assert_eq!((slots.count(), scans.count()), (round, woken));
        if round == 2 {
            hub.scan();
        } else {
            wakes.batch().everything();
        }
        turn(&mut runner);
        woken += 1;
        assert_eq!(scans.count(), woken);
        seen.epoch = hub.scans().level();
        assert_eq!(seen.epoch, woken);
    }
}

#[test]
fn one_registration_waits_for_many_things_at_once() {
    let (hub, mut runner) = Hub::new();
    let mut wakes = hub.wakes();
    let cells = [Cell::new(), Cell::new(), Cell::new()];
    let flag = Arc::new(Flag::new());
    let mut sources: Vec<_> = cells.iter().map(source).collect();
    sources.push(Arc::clone(&flag) as Arc<dyn Watched>);
    sources.push(source(&cells[0])); // Named twice.
    let mut registration = hub.register(sources);
    let (counter, waker) = Counter::new();
    let mut seen = [Seen::default(); 5];
    assert!(poll(&mut registration, &waker, &seen).is_pending());
    for cell in &cells {
        cell.publish(1);
        wakes.batch().one(&**cell);
    }
    turn(&mut runner);
    assert_eq!(counter.count(), 1);
    for at in [0, 1, 2, 4] {
        assert_eq!(
            poll(&mut registration, &waker, &seen),
            Poll::Ready(Woken::Moved)
        );
        seen[at].epoch = 1;
    }
    assert!(poll(&mut registration, &waker, &seen).is_pending());
    flag.raise();
    wakes.batch().one(&*flag);
    turn(&mut runner);
    assert_eq!(counter.count(), 2);
    assert_eq!(
        poll(&mut registration, &waker, &seen),
        Poll::Ready(Woken::Moved)
    );
    seen[3].epoch = flag.level();
    assert!(poll(&mut registration, &waker, &seen).is_pending());
    drop(registration);
    assert_eq!(hub.sizes(), (0, 0, 0));
}

#[test]
fn whoever_is_dropped_leaves_nothing_behind_and_is_not_woken() {
    let (hub, mut runner) = Hub::new();
    let mut wakes = hub.wakes();
    let cell = Cell::new();
    let (counter, waker) = Counter::new();
    let registrations: Vec<_> = (0..100)
        .map(|_| {
            let mut registration = hub.register(vec![source(&cell)]);
            assert!(poll_until(&mut registration, &waker, &[cell.seen()], at(50)).is_pending());
            registration
        })
        .collect();
    drop(waker);
    drop(registrations);
    assert_eq!(
        (Arc::strong_count(&cell), Arc::strong_count(&counter)),
        (1, 1)
    );
    cell.publish(1);
    wakes.batch().one(&*cell);
    hub.scan();
    assert_eq!(runner.turn(at(60)), Some(Time::NEVER));
    assert_eq!((counter.count(), hub.sizes()), (0, (0, 0, 0)));
}

#[test]
fn more_waiters_and_more_slots_than_a_list_holds_are_all_woken() {
    const SLOTS: u32 = 3000;
    let (hub, mut runner) = Hub::new();
    let (mut wakes, mut moved) = (hub.wakes(), Arc::new(Changes::new()).producer());
    let cells: Vec<_> = (0..SLOTS).map(|_| Cell::new()).collect();
    let mut waiting: Vec<_> = cells
        .iter()
        .map(|cell| hub.register(vec![source(cell)]))
        .collect();
    waiting.extend((0..200).map(|_| hub.register(vec![source(&cells[5])])));
    for epoch in 1..4 {
        let (counter, waker) = Counter::new();
        let seen = Seen {
            epoch: epoch - 1,
            ..Seen::default()
        };
        for registration in &mut waiting {
            assert!(poll(registration, &waker, &[seen]).is_pending());
        }
        for slot in 0..SLOTS {
            cells[slot as usize].publish(epoch);
            moved.push(slot);
        }
        flush(&mut wakes, &mut moved, &cells);
        turn(&mut runner);
        assert_eq!(counter.count(), u64::from(SLOTS) + 200);
    }
}

#[test]
fn a_crowd_that_waits_for_one_slot_is_woken_in_parts() {
    let (hub, mut runner) = Hub::new();
    let mut wakes = hub.wakes();
    let cell = Cell::new();
    let mut crowd: Vec<_> = (0..100)
        .map(|_| hub.register(vec![source(&cell)]))
        .collect();
    let (counter, waker) = Counter::new();
    for registration in &mut crowd {
        assert!(poll(registration, &waker, &[cell.seen()]).is_pending());
    }
    cell.publish(1);
    wakes.batch().one(&*cell);
    turn(&mut runner);
    assert_eq!(counter.count(), 100);
}

#[test]
fn a_slot_that_found_no_room_in_the_list_is_listed_next_time() {
    let (hub, mut runner) = Hub::new();
    let (mut wakes, mut moved) = (hub.wakes(), Arc::new(Changes::new()).producer());
    let crowd: Vec<_> = (0..1100).map(|_| Cell::new()).collect();
    let mut waiting: Vec<_> = crowd
        .iter()
        .map(|cell| hub.register(vec![source(cell)]))
        .collect();
    let (_, waker) = Counter::new();
    for registration in &mut waiting {
        assert!(poll(registration, &waker, &[Seen::default()]).is_pending());
    }
    // The last of them has seen what the batch will tell it.
    let last = crowd.last().expect("there is a crowd");
    let (counter, waker) = Counter::new();
    last.publish(1);
    let registration = waiting.last_mut().expect("there is a crowd");
    assert!(poll(registration, &waker, &[last.seen()]).is_pending());
    for (slot, cell) in (0..).zip(&crowd) {
        cell.publish(1);
        moved.push(slot);
    }
    flush(&mut wakes, &mut moved, &crowd);
    turn(&mut runner);
    assert_eq!(counter.count(), 0);
    last.publish(2);
    wakes.batch().one(&**last);
    turn(&mut runner);
    assert_eq!(counter.count(), 1);
}

#[test]
fn stopping_ends_all_waiting_now_and_later() {
    let (hub, mut runner) = Hub::new();
    let cell = Cell::new();
    let mut early = hub.register(vec![source(&cell)]);
    let (counter, waker) = Counter::new();
    assert!(poll(&mut early, &waker, &[cell.seen()]).is_pending());
    hub.stop();
    let mut late = hub.register(vec![source(&cell)]);
    let closed = Poll::Ready(Woken::Closed);
    assert_eq!(poll(&mut late, &waker, &[cell.seen()]), closed);
    assert_eq!(
        late.wait(&[cell.seen()], Time::NEVER, &|| Time::ZERO),
        Woken::Closed
    );
    assert_eq!(runner.turn(Time::ZERO), None);
    assert_eq!(counter.count(), 1);
    assert_eq!(poll(&mut early, &waker, &[cell.seen()]), closed);
    // The last publication is not lost by it.
    cell.publish(1);
    assert_eq!(
        poll(&mut early, &waker, &[Seen::default()]),
        Poll::Ready(Woken::Moved)
    );
}

#[test]
fn a_runner_that_never_ran_leaves_nobody_waiting() {
    let (hub, runner) = Hub::new();
    let cell = Cell::new();
    let mut registration = hub.register(vec![source(&cell)]);
    let (counter, waker) = Counter::new();
    assert!(poll(&mut registration, &waker, &[cell.seen()]).is_pending());
    drop(runner);
    assert_eq!(counter.count(), 1);
    assert_eq!(
        poll(&mut registration, &waker, &[cell.seen()]),
        Poll::Ready(Woken::Closed)
    );
}

#[test]
fn an_owner_that_goes_leaves_its_last_list() {
    let (hub, mut runner) = Hub::new();
    let cell = Cell::new();
    let mut registration = hub.register(vec![source(&cell)]);
    let (counter, waker) = Counter::new();
    for epoch in 1..4 {
        let seen = [cell.seen()];
        assert!(poll(&mut registration, &waker, &seen).is_pending());
        let mut wakes = hub.wakes();
        cell.publish(epoch);
        wakes.batch().one(&*cell);
        drop(wakes);
        turn(&mut runner);
        assert_eq!(counter.count(), epoch);
        assert_eq!(hub.lanes(), 0);
    }
}

/// A waker that panics, or that comes back to the hub while it is called.
struct Rude(Mutex<Option<Registration>>);

impl Wake for Rude {
    fn wake(self: Arc<Self>) {
        let registration = self.0.lock().expect("not poisoned").take();
        assert!(registration.is_some(), "rude");
        // Dropped here: it takes the hub's lock.
    }
}

#[test]
fn a_waker_may_panic_or_come_back_to_the_hub() {
    guarded(|| {
        let (hub, mut runner) = Hub::new();
        let mut wakes = hub.wakes();
        let cell = Cell::new();
        let (counter, polite) = Counter::new();
        let panics = Waker::from(Arc::new(Rude(Mutex::new(None))));
        let drops = hub.register(vec![source(&cell)]);
        let returns = Waker::from(Arc::new(Rude(Mutex::new(Some(drops)))));
        let mut waiting: Vec<_> = (0..5).map(|_| hub.register(vec![source(&cell)])).collect();
        for (registration, waker) in waiting
            .iter_mut()
            .zip([&polite, &panics, &polite, &returns, &polite])
        {
            assert!(poll(registration, waker, &[cell.seen()]).is_pending());
        }
        cell.publish(1);
        wakes.batch().one(&*cell);
        turn(&mut runner);
        assert_eq!((counter.count(), hub.panics()), (3, 1));
        assert_eq!(hub.sizes().0, 5);
    });
}

#[test]
fn the_time_of_the_first_move_is_noted_though_nobody_waits() {
    let (hub, mut runner) = Hub::new();
    let mut wakes = hub.wakes();
    let cell = Cell::new();
    let mut registration = hub.register(vec![source(&cell)]);
    let unasked = || panic!("nothing has moved yet");
    registration.note(&[cell.seen()], &unasked);
    assert_eq!(registration.take_moved_at(), None);
    for (epoch, time) in [(1, 5), (2, 9)] {
        cell.publish(epoch);
        wakes.batch().one(&*cell);
        runner.turn(at(time));
    }
    assert_eq!(
        registration.take_moved_at(),
        Some(at(5)),
        "the first, not the last"
    );
    assert_eq!(registration.take_moved_at(), None, "told once");

    // What has moved before it was armed moved by now.
    let seen = cell.seen();
    cell.publish(3);
    registration.note(&[seen], &|| at(20));
    assert_eq!(registration.take_moved_at(), Some(at(20)));
}
