use super::*;
use std::sync::{Arc, Barrier};
use std::thread;

#[derive(Default)]
struct Done {
    items: Vec<(usize, u32)>,
    /// How many came at once.
    most: usize,
}

impl Combiner<(usize, u32)> for Done {
    fn combine(&mut self, items: impl Iterator<Item = (usize, u32)>) {
        let before = self.items.len();
        self.items.extend(items);
        self.most = self.most.max(self.items.len() - before);
    }
}

#[test]
fn what_is_pushed_while_somebody_has_the_lock_is_done_by_that_one() {
    let combining = Combining::new(Done::default(), 2);
    combining.with(|done| {
        combining.push((0, 1)).expect("room");
        combining.push((0, 2)).expect("room");
        assert_eq!(combining.push((0, 3)), Err((0, 3)), "full");
        assert!(done.items.is_empty());
    });
    assert_eq!(combining.waiting(), 0);
    combining.with(|done| assert_eq!(done.items, [(0, 1), (0, 2)]));
}

#[test]
fn a_panic_under_the_lock_stops_nobody() {
    let combining = Combining::new(Done::default(), 2);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        combining.with(|_| {
            combining.push((0, 1)).expect("room");
            panic!("a bug");
        })
    }));
    assert!(panicked.is_err());
    combining.push((0, 2)).expect("room");
    combining.with(|done| assert_eq!(done.items, [(0, 1), (0, 2)]));
}

/// Threads of both kinds at once: every item that was taken is done once, each thread's in order.
#[test]
fn nothing_is_lost_or_doubled_under_load() {
    const PUSHERS: usize = 3;
    const ITEMS: u32 = if cfg!(miri) { 50 } else { 20_000 };
    let combining = Arc::new(Combining::new(Done::default(), 8));
    let start = Arc::new(Barrier::new(PUSHERS + 1));
    let pushers: Vec<_> = (0..PUSHERS)
        .map(|who| {
            let (combining, start) = (Arc::clone(&combining), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                (0..ITEMS)
                    .filter(|item| combining.push((who, *item)).is_ok())
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    start.wait();
    let mut own = 0;
    while pushers.iter().any(|pusher| !pusher.is_finished()) {
        combining.with(|done| done.items.push((PUSHERS, own)));
        own += 1;
    }
    let taken: Vec<_> = pushers
        .into_iter()
        .map(|pusher| pusher.join().expect("it ends"))
        .collect();
    assert_eq!(combining.waiting(), 0, "left lying");
    combining.with(|done| {
        let of = |who| {
            let items = done.items.iter();
            items
                .filter(move |(by, _)| *by == who)
                .map(|(_, item)| *item)
        };
        for (who, taken) in taken.iter().enumerate() {
            assert!(of(who).eq(taken.iter().copied()), "of {who}");
        }
        assert!(of(PUSHERS).eq(0..own));
        assert!(done.most <= 8);
    });
}
