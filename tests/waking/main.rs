//! Being told of news: on any executor, on a blocked thread, on a spinning one, for one slot, a set
//! and a whole entity.

mod entity;
#[path = "../kit/mod.rs"]
mod kit;
mod readiness;

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use kit::{BOOK, LONG, open, patch, remove, say, venue, whole};
use tickcache::Time;
use tickcache::feed::Envelope;
use tickcache::{
    Cache, Closed, Freshness, LocalFeed, NotReadyReason, Reasons, Slot, Tick, WaitError,
};

const AT_ONCE: Duration = Duration::ZERO;
/// Long enough for a thread to fall asleep; nothing depends on it.
const SOON: Duration = Duration::from_millis(5);

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An executor of one task, written by hand: a thread that parks.
fn by_hand(task: Task) {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut task = pin!(task);
    while task
        .as_mut()
        .poll(&mut Context::from_waker(&waker))
        .is_pending()
    {
        thread::park();
    }
}

fn on_tokio(task: Task) {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(task);
}

type Executor = (&'static str, fn(Task));

const EXECUTORS: [Executor; 3] = [
    ("tokio", on_tokio),
    ("pollster", pollster::block_on),
    ("by hand", by_hand),
];

fn set(n: u64) -> String {
    whole("1", &format!(r#"{{"n":{n}}}"#))
}

fn n(tick: &Tick) -> u64 {
    tick.snapshot().record().get("n").u64().expect("a number")
}

fn begun() -> (Cache, LocalFeed<Envelope>, Slot) {
    let (cache, mut feed) = open(venue());
    say(&mut feed, set(1));
    let slot = cache.entity(BOOK).slot(1);
    (cache, feed, slot)
}

/// Says each number only when the one before was heard.
fn call_and_answer(feed: &mut LocalFeed<Envelope>, heard: &Receiver<u64>) {
    assert_eq!(heard.recv_timeout(LONG), Ok(1), "the present value first");
    for number in 2..20 {
        say(feed, set(number));
        assert_eq!(heard.recv_timeout(LONG), Ok(number));
    }
}

#[test]
fn changed_works_on_any_executor_and_yields_the_present_value_first() {
    for (name, run) in EXECUTORS {
        let (_cache, mut feed, slot) = begun();
        let (told, heard) = channel();
        let listener = thread::spawn(move || {
            run(Box::pin(async move {
                let mut watch = slot.watch();
                while let Ok(tick) = watch.changed().await {
                    assert!(tick.live().is_ok());
                    if told.send(n(&tick)).is_err() {
                        return;
                    }
                }
            }));
        });
        call_and_answer(&mut feed, &heard);
        drop(heard);
        say(&mut feed, set(99));
        listener
            .join()
            .unwrap_or_else(|_| panic!("the listener on {name} has panicked"));
    }
}

#[test]
fn wait_blocks_a_thread_until_there_is_news_or_the_time_is_up() {
    let (_cache, mut feed, slot) = begun();
    let (told, heard) = channel();
    thread::spawn(move || {
        let mut watch = slot.watch();
        loop {
            let tick = watch.wait(LONG).expect("news");
            if told.send(n(&tick)).is_err() {
                return;
            }
        }
    });
    call_and_answer(&mut feed, &heard);
    let (_cache, _feed, slot) = begun();
    let mut watch = slot.watch();
    assert_eq!(
        watch.wait(AT_ONCE).map(|tick| n(&tick)),
        Ok(1),
        "there is no need to wait"
    );
    for timeout in [AT_ONCE, SOON] {
        let error = watch.wait(timeout).expect_err("nothing moved");
        assert_eq!(error, WaitError::TimedOut);
        assert!(error.is_retryable());
    }
}

#[test]
fn spin_shows_the_present_value_then_each_newest_one_and_ends_when_told() {
    let (_cache, mut feed, slot) = begun();
    let (told, heard) = channel();
    let [field] = slot.entity().fields(["n"]).expect("room");
    let spinning = thread::spawn(move || {
        slot.spin(|slot| {
            let [value] = slot.live([field]).expect("live");
            let number = value.u64().expect("a number");
            told.send(number).expect("heard");
            if number == 99 {
                ControlFlow::Break(slot.epoch())
            } else {
                ControlFlow::Continue(())
            }
        })
    });
    call_and_answer(&mut feed, &heard);
    say(&mut feed, set(99));
    assert_eq!(
        spinning.join().expect("the reader"),
        Ok(20),
        "the number of the publication"
    );
}

#[test]
fn a_watch_takes_what_is_newest_and_says_how_much_it_stands_for() {
    let (_cache, mut feed, slot) = begun();
    let mut watch = slot.watch();
    let first = watch.take().expect("the present value");
    assert_eq!((n(&first), first.conflated()), (1, 0));
    assert!(watch.take().is_none(), "seen");
    for number in 2..=6 {
        say(&mut feed, set(number));
    }
    let newest = watch.take().expect("news");
    assert_eq!((n(&newest), newest.conflated()), (6, 4));
    feed.close();
    let lost = watch.take().expect("news");
    assert_eq!(lost.freshness(), Freshness::Stale(Reasons::DISCONNECTED));
    assert_eq!(
        (n(&lost), lost.conflated()),
        (6, 0),
        "a change of freshness alone"
    );
}

#[test]
fn a_tick_names_what_differs_from_what_this_reader_saw() {
    let (_cache, mut feed, slot) = begun();
    say(
        &mut feed,
        whole("1", r#"{"a":1,"b":{"c":1,"d":1},"e":"x"}"#),
    );
    let (mut watch, mut late) = (slot.watch(), slot.watch());
    let names = |tick: &Tick| {
        let mut names: Vec<_> = tick
            .delta()
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        names(&watch.take().expect("present")),
        ["a", "b", "e"],
        "all on the first look"
    );
    late.take().expect("present");
    say(&mut feed, patch("1", r#"{"a":2,"e":"x"}"#));
    let tick = watch.take().expect("news");
    assert_eq!(names(&tick), ["a"], "what was said again does not differ");
    assert_eq!(tick.delta()[0].1.u64(), Ok(2));
    say(&mut feed, patch("1", r#"{"b":{"c":2},"e":null,"f":1}"#));
    let tick = watch.take().expect("news");
    assert_eq!(
        names(&tick),
        ["b", "e", "f"],
        "an object differs if a member does"
    );
    let gone = tick.delta().into_iter().find(|(name, _)| *name == "e");
    assert!(gone.expect("named").1.is_missing());
    assert_eq!(
        names(&late.take().expect("news")),
        ["a", "b", "e", "f"],
        "by each reader's look"
    );
    say(&mut feed, patch("1", r#"{"a":9}"#));
    say(&mut feed, patch("1", r#"{"a":2}"#));
    let tick = watch.take().expect("two publications");
    assert!(names(&tick).is_empty(), "there and back");
}

#[test]
fn what_changes_nothing_wakes_nobody() {
    let (_cache, mut feed, slot) = begun();
    let (mut watch, mut changes) = (slot.watch(), slot.entity().changes());
    watch.take().expect("the present value");
    let before = slot.snapshot();
    for _ in 0..3 {
        say(&mut feed, set(1));
        say(&mut feed, patch("1", r#"{"n":1}"#));
        say(&mut feed, patch("1", "{}"));
        say(&mut feed, remove("404"));
    }
    assert_eq!(watch.wait(SOON).expect_err("no news"), WaitError::TimedOut);
    assert_eq!(
        changes.wait(SOON, |_| {}).expect_err("no news"),
        WaitError::TimedOut
    );
    assert_eq!(slot.epoch(), before.epoch());
    assert!(slot.snapshot().received_at() >= before.received_at());
    let counters = feed.counters();
    assert_eq!(
        (counters.applied, counters.unchanged, counters.missing),
        (1, 9, 3)
    );
    assert!(counters.balanced(), "{counters:?}");
}

#[test]
fn a_wait_given_up_half_way_loses_nothing() {
    let (_cache, mut feed, slot) = begun();
    let mut watch = slot.watch();
    pollster::block_on(watch.changed()).expect("the present value");
    let noop = Waker::noop();
    for number in 2..10 {
        {
            let mut waiting = pin!(watch.changed());
            assert!(
                waiting
                    .as_mut()
                    .poll(&mut Context::from_waker(noop))
                    .is_pending()
            );
            say(&mut feed, set(number));
        }
        let tick = pollster::block_on(watch.changed()).expect("news");
        assert_eq!(n(&tick), number);
    }
}

#[test]
fn sixty_four_watchers_of_one_slot_all_see_the_end() {
    const LAST: u64 = 500;
    let (_cache, mut feed, slot) = begun();
    let watchers: Vec<_> = (0..64)
        .map(|watcher| {
            let mut watch = slot.watch();
            thread::spawn(move || {
                let (mut last, mut updates) = (0, 0);
                while last < LAST {
                    let tick = if watcher % 2 == 0 {
                        watch.wait(LONG).expect("news")
                    } else {
                        pollster::block_on(watch.changed()).expect("news")
                    };
                    assert!(n(&tick) > last, "never back");
                    // The first look stands for what was there.
                    updates += if last == 0 {
                        tick.epoch()
                    } else {
                        tick.conflated() + 1
                    };
                    last = n(&tick);
                }
                updates
            })
        })
        .collect();
    for number in 2..=LAST {
        say(&mut feed, set(number));
    }
    for watcher in watchers {
        assert_eq!(
            watcher.join().expect("a watcher"),
            LAST,
            "every update is accounted for"
        );
    }
}

#[test]
fn closing_ends_every_wait() {
    let (cache, feed, slot) = begun();
    let (told, heard) = channel();
    let waits: [fn(Slot) -> bool; 6] = [
        |slot| {
            let mut watch = slot.watch();
            watch.take();
            watch.wait(LONG).err() == Some(WaitError::Closed)
        },
        |slot| {
            let mut watch = slot.watch();
            watch.take();
            pollster::block_on(watch.changed()).err() == Some(Closed)
        },
        |slot| slot.spin(|_| ()) == Err(Closed),
        |slot| {
            let waited = slot.entity().changes().wait(LONG, |_| {});
            waited == Err(WaitError::Closed)
        },
        |slot| {
            let mut changes = slot.entity().changes();
            pollster::block_on(changes.next(|_| {})) == Err(Closed)
        },
        |slot| {
            let empty = slot.entity().slot(404);
            let ended = pollster::block_on(empty.ready(LONG));
            ended.is_err_and(|error| error.is_closed() && !error.is_retryable())
        },
    ];
    for (number, wait) in waits.into_iter().enumerate() {
        let (slot, told) = (slot.clone(), told.clone());
        thread::spawn(move || told.send((number, wait(slot))));
    }
    pollster::block_on(cache.close(LONG)).expect("nothing holds it up");
    for _ in waits {
        let (number, closed) = heard.recv_timeout(LONG).expect("every wait ends");
        assert!(closed, "wait {number} ends otherwise");
    }
    assert!(cache.is_closed());
    let mut watch = slot.watch();
    assert_eq!(
        watch.wait(LONG).map(|tick| n(&tick)),
        Ok(1),
        "what is there stays readable"
    );
    assert_eq!(
        watch.wait(LONG).expect_err("nothing more will come"),
        WaitError::Closed
    );
    cache.close_blocking(LONG).expect("closing twice is fine");
    drop(feed);
}

#[test]
fn one_poll_after_another_registers_the_last_waker_only() {
    struct Count(Sender<u8>, u8);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.send(self.1).expect("heard");
        }
    }
    let (_cache, mut feed, slot) = begun();
    let mut watch = slot.watch();
    watch.take();
    let (woke, woken) = channel();
    let waker = |number| Waker::from(Arc::new(Count(woke.clone(), number)));
    for number in [1, 2] {
        let poll = watch.poll_changed(&mut Context::from_waker(&waker(number)));
        assert!(poll.is_pending());
    }
    say(&mut feed, set(2));
    assert_eq!(woken.recv_timeout(LONG), Ok(2));
    let poll = watch.poll_changed(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(poll, Poll::Ready(Ok(tick)) if n(&tick) == 2));
    assert!(woken.try_recv().is_err(), "the replaced one sleeps on");
}

#[test]
fn a_tick_says_when_the_oldest_update_that_it_stands_for_came() {
    let (cache, mut feed) = open(venue());
    let slot = cache.entity(BOOK).slot(1);
    let at = |millis: u64| Time::from_nanos(1_700_000_000_000_000_000 + millis * 1_000_000);
    let mut say_at = |millis, n| {
        let mut batch = feed.batch_at(at(millis));
        batch.message(&mut set(n).into_bytes()).expect("taken");
    };
    let mut watch = slot.watch();
    watch
        .take()
        .expect("nothing is there yet, and that is the first look");
    say_at(1, 1);
    let tick = watch.take().expect("news");
    assert_eq!(tick.oldest_unseen_at(), Some(at(1)), "exact for one");
    say_at(2, 2);
    say_at(3, 3);
    let tick = watch.take().expect("news");
    assert_eq!(tick.conflated(), 1);
    let oldest = tick.oldest_unseen_at().expect("two updates");
    assert!((at(2)..=at(3)).contains(&oldest), "{oldest:?}");
    slot.invalidate();
    assert_eq!(
        watch.take().expect("news").oldest_unseen_at(),
        None,
        "no update at all"
    );
}
