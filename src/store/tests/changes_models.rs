//! Models of the ring of changes: one who appends against one who follows, with a ring of two.

use crate::Time;
use crate::store::changes::{Changes, Subscriber};
use crate::store::wake::{Fault, Hub, Seen, Watched, Woken, inject};
use crate::sync::{Arc, AtomicU64, Ordering, thread};

const SLOTS: usize = 4;

/// The epochs of a few slots.
struct Table([AtomicU64; SLOTS]);

impl Table {
    fn new() -> Arc<Self> {
        Arc::new(Self([(); SLOTS].map(|()| AtomicU64::new(0))))
    }

    fn publish(&self, slot: u32) {
        let epoch = &self.0[slot as usize];
        epoch.store(epoch.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    fn epochs(&self) -> [u64; SLOTS] {
        self.0.each_ref().map(|epoch| epoch.load(Ordering::Acquire))
    }

    /// Polls, and notes what was reported.
    fn poll(&self, subscriber: &mut Subscriber, known: &mut [u64; SLOTS]) {
        subscriber.poll(
            || SLOTS as u32,
            |slot| self.0[slot as usize].load(Ordering::Acquire),
            |slot, epoch| {
                assert!(epoch > known[slot as usize], "once, and never back");
                known[slot as usize] = epoch;
            },
        );
    }
}

fn model(bound: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.check(body);
}

/// The owner publishes `before` alone and `meanwhile` against a subscriber that polls; a last poll
/// has to leave the subscriber knowing everything.
fn follow(before: &'static [u32], meanwhile: &'static [u32]) {
    model(3, move || {
        let (changes, table) = (Arc::new(Changes::new()), Table::new());
        let mut producer = changes.producer();
        let mut subscriber = changes.subscribe(0, |_| 0);
        for &slot in before {
            table.publish(slot);
            producer.push(slot);
        }
        let follower = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                let mut known = [0; SLOTS];
                table.poll(&mut subscriber, &mut known);
                (subscriber, known)
            })
        };
        for &slot in meanwhile {
            table.publish(slot);
            producer.push(slot);
        }
        let (mut subscriber, mut known) = follower.join().expect("no panic");
        table.poll(&mut subscriber, &mut known);
        assert_eq!(known, table.epochs(), "a change was lost");
    });
}

#[test]
fn nothing_is_lost_while_the_ring_goes_round() {
    follow(&[], &[0, 1, 1, 0]);
}

#[test]
fn nothing_is_lost_by_one_who_was_lapped_already() {
    follow(&[0, 1, 1], &[0, 1]);
}

/// The scenes in which the broken variants below lose something.
#[test]
fn nothing_is_lost_by_one_who_is_just_overtaken() {
    follow(&[], &[0, 1, 1]);
    follow(&[0, 1, 1], &[0]);
}

#[test]
fn nothing_is_lost_while_the_ring_grows() {
    follow(&[1], &[0, 3, 1]);
}

#[test]
#[should_panic(expected = "a change was lost")]
fn a_word_of_a_later_lap_must_not_be_trusted() {
    inject(Fault::LapUnchecked, || follow(&[], &[0, 1, 1]));
}

#[test]
#[should_panic(expected = "a change was lost")]
fn a_lapped_one_has_to_take_the_position_first() {
    inject(Fault::PositionLate, || follow(&[0, 1, 1], &[0]));
}

/// A subscriber that sleeps between its polls sees the last change.
#[test]
fn one_who_sleeps_is_woken_for_the_last_change() {
    model(3, || {
        let (hub, runner) = Hub::new();
        let mut wakes = hub.wakes();
        let (changes, table) = (Arc::new(Changes::new()), Table::new());
        let mut producer = changes.producer();
        let mut subscriber = changes.subscribe(0, |_| 0);
        let mut registration = hub.register(vec![Arc::clone(&changes) as Arc<dyn Watched>]);
        let hub_thread = thread::spawn(move || runner.run(&|| Time::ZERO));
        let follower = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                let mut known = [0; SLOTS];
                while known != [1, 1, 0, 0] {
                    let seen = [Seen {
                        epoch: subscriber.position(),
                        ..Seen::default()
                    }];
                    let woken = registration.wait(&seen, Time::NEVER, &|| Time::ZERO);
                    assert_eq!(woken, Woken::Moved);
                    table.poll(&mut subscriber, &mut known);
                }
            })
        };
        for slot in [0, 1] {
            table.publish(slot);
            producer.push(slot);
            wakes.batch().one(&*changes);
        }
        follower.join().expect("it knows everything");
        hub.stop();
        hub_thread.join().expect("the hub ends");
    });
}
