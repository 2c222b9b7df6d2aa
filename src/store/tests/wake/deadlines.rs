//! Time as a reason to wake.

use super::*;

#[test]
fn time_wakes_each_at_its_own_deadline_and_tells_it_so() {
    let (hub, mut runner) = Hub::new();
    let cell = Cell::new();
    let seen = [cell.seen()];
    let mut waiting: Vec<_> = [30, 10, 20]
        .map(|until| (hub.register(vec![source(&cell)]), Counter::new(), at(until)))
        .into();
    for (registration, (_, waker), until) in &mut waiting {
        assert!(poll_until(registration, waker, &seen, *until).is_pending());
    }
    assert_eq!(runner.turn(at(9)), Some(at(10)));
    assert_eq!(runner.turn(at(10)), Some(at(20)));
    // It goes on waiting, for longer; the node it had is pushed on.
    let (registration, (_, waker), until) = &mut waiting[1];
    assert_eq!(
        poll_until(registration, waker, &seen, *until),
        Poll::Ready(Woken::Deadline)
    );
    assert!(poll_until(registration, waker, &seen, at(25)).is_pending());
    assert!(poll_until(registration, waker, &seen, at(40)).is_pending());
    assert_eq!(runner.turn(at(20)), Some(at(25)));
    assert_eq!(runner.turn(at(35)), Some(at(40)));
    let counts: Vec<_> = waiting
        .iter()
        .map(|(_, (counter, _), _)| counter.count())
        .collect();
    assert_eq!(counts, [1, 1, 1]);
    // What has moved is told before the time.
    cell.publish(1);
    let (registration, (_, waker), until) = &mut waiting[0];
    assert_eq!(
        poll_until(registration, waker, &seen, *until),
        Poll::Ready(Woken::Moved)
    );
    // A clock that stands still or goes back makes nobody wait longer.
    assert_eq!(runner.turn(at(1)), Some(at(40)));
    assert_eq!(
        poll_until(registration, waker, &[cell.seen()], at(35)),
        Poll::Ready(Woken::Deadline)
    );
}

#[test]
fn deadlines_that_come_and_go_do_not_pile_up() {
    let (hub, mut runner) = Hub::new();
    let cell = Cell::new();
    let mut registration = hub.register(vec![source(&cell)]);
    let (_, waker) = Counter::new();
    let seen = [cell.seen()];
    for time in 0..10_000 {
        // A far one, then one that is due next: the far one stays in the heap.
        assert!(poll_until(&mut registration, &waker, &seen, at(1 << 40)).is_pending());
        assert!(poll_until(&mut registration, &waker, &seen, at(time + 1)).is_pending());
        assert!(runner.turn(at(time + 1)).is_some());
        assert!(hub.sizes().2 <= 2 + 64);
    }
}
