//! Real threads: whoever waits sees the last publication, and nobody waits for ever.

use super::{Cell, flush, guarded};
use crate::Time;
use crate::store::changes::Changes;
use crate::store::wake::{Hub, Registration, Seen, Watched, Woken};
use crate::sync::{Arc, AtomicU64, Ordering};
use std::future::poll_fn;
use std::thread;

const BUMPS: u64 = 100_000;
const NEVER: Time = Time::NEVER;

fn await_move(registration: &mut Registration, seen: &[Seen]) -> Woken {
    pollster::block_on(poll_fn(|cx| registration.poll(cx, seen, NEVER)))
}

#[test]
fn everybody_sees_the_last_of_many_publications() {
    guarded(|| {
        let (hub, runner) = Hub::new();
        let hub_thread = thread::spawn(move || runner.run(&|| Time::ZERO));
        let cells: Vec<_> = (0..3).map(|_| Cell::new()).collect();
        let mut waiters = Vec::new();
        for number in 0..8 {
            let hub = Arc::clone(&hub);
            // Each waits for one, and half of them for the next one as well.
            let mut mine = vec![Arc::clone(&cells[number % 3])];
            if number % 4 < 2 {
                mine.push(Arc::clone(&cells[(number + 1) % 3]));
            }
            waiters.push(thread::spawn(move || {
                let sources = mine
                    .iter()
                    .map(|cell| Arc::clone(cell) as Arc<dyn Watched>)
                    .collect();
                let mut registration = hub.register(sources);
                let mut seen = vec![Seen::default(); mine.len()];
                while seen
                    .iter()
                    .any(|seen| seen.epoch != BUMPS || seen.link != 100)
                {
                    let woken = if number % 2 == 0 {
                        await_move(&mut registration, &seen)
                    } else {
                        registration.wait(&seen, NEVER, &|| Time::ZERO)
                    };
                    assert_eq!(woken, Woken::Moved);
                    for (seen, cell) in seen.iter_mut().zip(&mine) {
                        let now = cell.seen();
                        assert!(now.epoch >= seen.epoch && now.link >= seen.link);
                        *seen = now;
                    }
                }
            }));
        }
        let changer = {
            let (hub, cells) = (Arc::clone(&hub), cells.clone());
            thread::spawn(move || {
                for link in 1..=100 {
                    cells.iter().for_each(|cell| cell.relink(link));
                    hub.scan();
                    thread::yield_now();
                }
            })
        };
        let (mut wakes, mut moved) = (hub.wakes(), Arc::new(Changes::new()).producer());
        for epoch in 1..=BUMPS {
            for (slot, cell) in (0..).zip(&cells) {
                cell.publish(epoch);
                moved.push(slot);
            }
            // Batches of one, and of a few.
            if epoch % 7 < 4 || epoch == BUMPS {
                flush(&mut wakes, &mut moved, &cells);
            }
        }
        for waiter in waiters {
            waiter.join().expect("it has seen the last one");
        }
        changer.join().expect("it wakes and goes");
        hub.stop();
        hub_thread.join().expect("the hub ends");
    });
}

#[test]
fn subscribers_of_changes_end_up_with_every_slots_last_epoch() {
    guarded(|| {
        const SLOTS: u32 = 200;
        const ROUNDS: u64 = 500;
        let (hub, runner) = Hub::new();
        let hub_thread = thread::spawn(move || runner.run(&|| Time::ZERO));
        let changes = Arc::new(Changes::new());
        let epochs: Arc<Vec<AtomicU64>> = Arc::new((0..SLOTS).map(|_| AtomicU64::new(0)).collect());
        let followers: Vec<_> = (0..4)
            .map(|number| {
                let (hub, changes, epochs) =
                    (Arc::clone(&hub), Arc::clone(&changes), Arc::clone(&epochs));
                let epoch = move |slot: u32| epochs[slot as usize].load(Ordering::Acquire);
                let mut subscriber = changes.subscribe(SLOTS, &epoch);
                let mut last: Vec<u64> = (0..SLOTS).map(&epoch).collect();
                thread::spawn(move || {
                    let mut registration =
                        hub.register(vec![Arc::clone(&changes) as Arc<dyn Watched>]);
                    while last.iter().any(|&epoch| epoch != ROUNDS) {
                        subscriber.poll(
                            || SLOTS,
                            &epoch,
                            |slot, epoch| {
                                assert!(epoch > last[slot as usize], "reported once, and forward");
                                last[slot as usize] = epoch;
                            },
                        );
                        if last.iter().all(|&epoch| epoch == ROUNDS) {
                            break;
                        }
                        let seen = [Seen {
                            epoch: subscriber.position(),
                            ..Seen::default()
                        }];
                        let woken = if number % 2 == 0 {
                            await_move(&mut registration, &seen)
                        } else {
                            registration.wait(&seen, NEVER, &|| Time::ZERO)
                        };
                        assert_eq!(woken, Woken::Moved);
                    }
                })
            })
            .collect();
        let (mut wakes, mut producer) = (hub.wakes(), changes.producer());
        for round in 1..=ROUNDS {
            for slot in 0..SLOTS {
                epochs[slot as usize].store(round, Ordering::Release);
                producer.push(slot);
            }
            wakes.batch().one(&*changes);
        }
        for follower in followers {
            follower
                .join()
                .expect("it has seen every slot's last epoch");
        }
        hub.stop();
        hub_thread.join().expect("the hub ends");
    });
}

#[test]
fn a_blocked_thread_follows_a_clock_that_jumps_and_wakes_when_the_hub_stops() {
    guarded(|| {
        let (hub, runner) = Hub::new();
        let clock = Arc::new(AtomicU64::new(0));
        let read = |clock: &Arc<AtomicU64>| {
            let clock = Arc::clone(clock);
            move || Time::from_nanos(clock.load(Ordering::Acquire))
        };
        let now = read(&clock);
        let hub_thread = thread::spawn(move || runner.run(&now));
        let cell = Cell::new();
        let sleeper = |until: Time| {
            let (hub, cell, now) = (Arc::clone(&hub), Arc::clone(&cell), read(&clock));
            thread::spawn(move || {
                let mut registration = hub.register(vec![Arc::clone(&cell) as Arc<dyn Watched>]);
                registration.wait(&[Seen::default()], until, &now)
            })
        };
        // An hour by a clock that only the test moves.
        let hour = Time::from_nanos(3_600_000_000_000);
        let (for_an_hour, for_ever) = (sleeper(hour), sleeper(NEVER));
        clock.store(hour.as_nanos(), Ordering::Release);
        hub.advance();
        assert_eq!(for_an_hour.join().expect("no panic"), Woken::Deadline);
        hub.stop();
        assert_eq!(for_ever.join().expect("no panic"), Woken::Closed);
        hub_thread.join().expect("the hub ends");
    });
}

#[test]
fn the_hub_wakes_a_task_by_itself_when_its_time_has_come() {
    guarded(|| {
        let (hub, runner) = Hub::new();
        // Each look at this clock takes a millisecond; nobody tells the hub that it has moved.
        let looks = AtomicU64::new(0);
        let now = move || Time::from_nanos(1_000_000 * looks.fetch_add(1, Ordering::Relaxed));
        let hub_thread = thread::spawn(move || runner.run(&now));
        for until in [3, 7] {
            let cell = Cell::new();
            let mut registration = hub.register(vec![Arc::clone(&cell) as Arc<dyn Watched>]);
            let until = Time::from_nanos(until * 1_000_000);
            let seen = [Seen::default()];
            let woken = pollster::block_on(poll_fn(|cx| registration.poll(cx, &seen, until)));
            assert_eq!(woken, Woken::Deadline);
        }
        hub.stop();
        hub_thread.join().expect("the hub ends");
    });
}
