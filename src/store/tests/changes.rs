//! The ring of changes in one thread: conflation, laps, growth.

use crate::store::changes::{Changes, Polled, Producer, Subscriber};
use crate::store::wake::{Seen, Watched};
use crate::sync::Arc;
use proptest::prelude::*;

/// Polls, and gives what was reported.
fn poll(subscriber: &mut Subscriber, epochs: &[u64]) -> (Vec<(u32, u64)>, bool) {
    let mut reported = Vec::new();
    let polled = subscriber.poll(
        || epochs.len() as u32,
        |slot| epochs[slot as usize],
        |slot, epoch| reported.push((slot, epoch)),
    );
    assert_eq!(
        polled,
        Polled {
            slots: reported.len(),
            lapped: polled.lapped
        }
    );
    (reported, polled.lapped)
}

#[test]
fn each_slot_is_reported_once_a_poll_and_only_if_it_moved() {
    let changes = Arc::new(Changes::new());
    let mut producer = changes.producer();
    let mut epochs = [0, 4, 0];
    let mut subscriber = changes.subscribe(3, |slot| epochs[slot as usize]);
    assert_eq!(poll(&mut subscriber, &epochs), (vec![], false));
    for slot in [1, 0, 1, 1] {
        epochs[slot as usize] += 1;
        producer.push(slot);
    }
    assert!(subscriber.is_behind());
    assert!(changes.moved(&Seen {
        epoch: subscriber.position(),
        ..Seen::default()
    }));
    assert_eq!(
        poll(&mut subscriber, &epochs),
        (vec![(1, 7), (0, 1)], false)
    );
    assert!(!changes.moved(&Seen {
        epoch: subscriber.position(),
        ..Seen::default()
    }));
    assert!(!subscriber.is_behind());
    // It moved before the poll that reported it, and was named only afterwards.
    producer.push(1);
    assert_eq!(poll(&mut subscriber, &epochs), (vec![], false));
}

#[test]
fn a_new_subscriber_starts_from_now_or_from_nothing() {
    let changes = Arc::new(Changes::new());
    let epochs = [3, 0, 5];
    changes.producer().push(0);
    let mut now = changes.subscribe(3, |slot| epochs[slot as usize]);
    let mut nothing = Subscriber::from_nothing(&changes);
    assert!(nothing.is_behind() && !now.is_behind());
    assert_eq!(poll(&mut now, &epochs), (vec![], false));
    assert_eq!(poll(&mut nothing, &epochs), (vec![(0, 3), (2, 5)], false));
    assert!(!nothing.is_behind());
}

#[test]
fn a_lapped_subscriber_is_told_and_misses_nothing() {
    let changes = Arc::new(Changes::new());
    let mut producer = changes.producer();
    let mut epochs = [0; 10];
    let mut exact = changes.subscribe(10, |slot| epochs[slot as usize]);
    for round in 1..=64 {
        epochs[3] = round;
        producer.push(3);
    }
    // A whole ring is not too much, one more is.
    assert_eq!(poll(&mut exact, &epochs), (vec![(3, 64)], false));
    for round in 0..65 {
        epochs[round % 4] += 1;
        producer.push(round as u32 % 4);
    }
    let reported = vec![(0, 17), (1, 16), (2, 16), (3, 80)];
    assert_eq!(poll(&mut exact, &epochs), (reported, true));
    assert_eq!(poll(&mut exact, &epochs), (vec![], false));
}

#[test]
fn growth_laps_nobody() {
    let changes = Arc::new(Changes::new());
    let mut producer = changes.producer();
    let mut epochs = vec![0; 5000];
    let mut subscriber = changes.subscribe(0, |_| 0);
    let mut expected = Vec::new();
    for slot in [7, 100, 8, 3000, 9, 4999] {
        epochs[slot as usize] = 1;
        producer.push(slot);
        expected.push((slot, 1));
    }
    assert_eq!(poll(&mut subscriber, &epochs), (expected, false));
    // The next owner goes on where this one was.
    drop(producer);
    let mut producer = changes.producer();
    epochs[4998] = 1;
    producer.push(4998);
    assert_eq!(poll(&mut subscriber, &epochs), (vec![(4998, 1)], false));
    assert_eq!(producer.changes().position(), 7);
}

/// The numbers that a batch names.
fn batch(producer: &mut Producer, slots: u32) -> Vec<u32> {
    let mut named = Vec::new();
    producer.end_batch(slots, |slot| named.push(slot));
    assert!(producer.is_quiet());
    named
}

#[test]
fn a_batch_names_what_moved_since_the_last_one() {
    let changes = Arc::new(Changes::new());
    let mut producer = changes.producer();
    assert!(producer.is_quiet());
    for slot in [3, 3, 3, 1, 3, 3] {
        producer.push(slot);
    }
    assert!(!producer.is_quiet());
    assert_eq!(batch(&mut producer, 10), [3, 1, 3]);
    assert!(batch(&mut producer, 10).is_empty());
    producer.push(2);
    producer.forget_batch();
    producer.push(4);
    assert_eq!(batch(&mut producer, 10), [4]);
    // Another owner has a batch of its own.
    producer.push(5);
    assert!(changes.producer().is_quiet());
}

#[test]
fn a_batch_that_the_ring_has_lost_names_every_slot() {
    let changes = Arc::new(Changes::new());
    let mut producer = changes.producer();
    // The first ring has 64 places.
    (0..64).for_each(|number| producer.push(number % 2));
    assert_eq!(batch(&mut producer, 3).len(), 64);
    (0..65).for_each(|number| producer.push(number % 2));
    assert_eq!(batch(&mut producer, 3), [0, 1, 2]);
    // What was named before a growth is in another ring.
    producer.push(1);
    producer.push(64);
    assert_eq!(batch(&mut producer, 65), (0..65).collect::<Vec<_>>());
    producer.push(64);
    assert_eq!(batch(&mut producer, 65), [64]);
}

proptest! {
    /// Whatever is published and whenever is looked: after a poll a subscriber knows every epoch,
    /// and was told of each move exactly once.
    #[test]
    fn a_poll_leaves_a_subscriber_knowing_all(
        steps in prop::collection::vec((0_u32..300, 1_usize..90, any::<bool>()), 1..60)
    ) {
        let changes = Arc::new(Changes::new());
        let mut producer = changes.producer();
        let mut epochs = vec![0_u64; 400];
        let mut known = epochs.clone();
        let mut subscriber = Subscriber::from_nothing(&changes);
        for (start, count, look) in steps {
            for slot in (start..).step_by(7).take(count) {
                let slot = slot % 400;
                epochs[slot as usize] += 1;
                producer.push(slot);
            }
            if look {
                for (slot, epoch) in poll(&mut subscriber, &epochs).0 {
                    prop_assert!(epoch > known[slot as usize]);
                    known[slot as usize] = epoch;
                }
                prop_assert_eq!(&known, &epochs);
            }
        }
    }
}
