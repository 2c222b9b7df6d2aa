//! Runs compositions under shuttle: the code that ships, in as many threads and operations as are
//! needed to have its parts meet, one interleaving after the other, each drawn by a seed.
//!
//! Half of them are drawn evenly (at each step any thread that can go on), half by priorities (PCT:
//! the thread with the highest goes on until it waits, and at a few steps priorities change), which
//! finds what needs one thread to be held up for very long.
//!
//! | variable | what | default |
//! |---|---|---|
//! | `SCHEDULES` | interleavings of each composition | 8000 |
//! | `SEED` | what they are drawn from | 0 |
//! | `SCHEDULE` | one to be run again, as it was printed, by the test that printed it | |

use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Scheduler,
    UncontrolledNondeterminismCheckScheduler,
};
use shuttle::{Config, FailurePersistence, Runner};
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};

/// How often priorities change in one run, and one more.
const DEPTH: usize = 4;

/// Within so many interleavings of either kind a fault has to be noticed.
const CAUGHT_WITHIN: u64 = 20_000;

/// Of which so many are drawn in one way before the other has its turn.
const AT_A_TIME: u64 = 500;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn config() -> Config {
    let mut config = Config::new();
    // What is composed keeps more on its stacks than shuttle's own tests do.
    config.stack_size = 256 << 10;
    // Of orderings: that it does not explore them is said in RELIABILITY.md.
    config.silence_warnings = true;
    // The destructors of a run that has failed would wait for each other.
    config
        .ungraceful_shutdown_config
        .immediately_return_on_panic = true;
    config
}

/// Explores a composition, and asserts that what it does depends on the interleaving alone.
pub(crate) fn compose(body: impl Fn() + Send + Sync + 'static) {
    struct Says(&'static str);
    impl Drop for Says {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!(
                    "That was {}. To have it again, run this test alone with the schedule above \
                     between the quotes in the variable SCHEDULE.",
                    self.0
                );
            }
        }
    }
    let body = Arc::new(body);
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        let body = Arc::clone(&body);
        Runner::new(scheduler, config()).run(move || body())
    };
    if let Ok(schedule) = std::env::var("SCHEDULE") {
        run(Box::new(ReplayScheduler::new_from_encoded(schedule.trim())));
        return;
    }
    let (seed, schedules) = (number("SEED", 0), number("SCHEDULES", 8000) as usize);
    let each = (schedules / 2).max(1);
    let mut says = Says("drawn evenly, and then again, to see that it is the same");
    let few = RandomScheduler::new_from_seed(seed, each.min(5));
    run(Box::new(UncontrolledNondeterminismCheckScheduler::new(few)));
    says.0 = "drawn evenly";
    let mut runs = run(Box::new(RandomScheduler::new_from_seed(seed, each)));
    says.0 = "drawn by priorities";
    runs += run(Box::new(PctScheduler::new_from_seed(seed, DEPTH, each)));
    println!("{runs} schedules from seed {seed}");
}

std::thread_local! {
    /// What the first panic of an interleaving has said, where one is expected.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Has panics that are expected noted instead of printed. shuttle keeps what they say to itself where a
/// destructor of the thread that fails meets another thread.
fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if EXPECTED.get() {
                let said = panic.payload_as_str().unwrap_or_default();
                SAID.with_borrow_mut(|first| {
                    first.get_or_insert_with(|| said.to_owned());
                });
            } else {
                print(panic);
            }
        }));
    });
}

/// Explores a composition of which a step is broken, by both ways of drawing in turn: it has to fail,
/// and to say `expected`.
///
/// # Panics
/// If it does not.
pub(crate) fn caught(expected: &str, body: impl Fn() + Send + Sync + 'static) {
    let first = number("SEED", 0);
    let body = Arc::new(body);
    note_panics();
    let runs = Arc::new(AtomicUsize::new(0));
    for seed in first..first + CAUGHT_WITHIN / AT_A_TIME {
        let few = AT_A_TIME as usize;
        let pct = PctScheduler::new_from_seed(seed, DEPTH, few);
        let even = RandomScheduler::new_from_seed(seed, few);
        let schedulers: [(_, Box<dyn Scheduler + Send>); 2] =
            [("by priorities", Box::new(pct)), ("evenly", Box::new(even))];
        for (how, scheduler) in schedulers {
            let (body, counted) = (Arc::clone(&body), Arc::clone(&runs));
            let mut config = config();
            config.failure_persistence = FailurePersistence::None;
            EXPECTED.set(true);
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                Runner::new(scheduler, config).run(move || {
                    counted.fetch_add(1, Ordering::Relaxed);
                    body();
                })
            }));
            EXPECTED.set(false);
            if outcome.is_err() {
                let said = SAID.take().unwrap_or_default();
                assert!(said.contains(expected), "it says {said:?}");
                let runs = runs.load(Ordering::Relaxed);
                println!("noticed by schedule {runs}, drawn {how} from seed {seed}");
                return;
            }
        }
    }
    panic!("nobody has noticed");
}
