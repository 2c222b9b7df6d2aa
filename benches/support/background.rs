//! Threads that are there while something is measured.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Barrier, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Threads that have done something once and are still alive, asleep. Dropping this ends them.
#[derive(Debug)]
pub(crate) struct Alive {
    release: Vec<mpsc::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Alive {
    /// Returns when each of `threads` threads has called `read`.
    pub(crate) fn that_have(threads: usize, read: impl Fn() + Clone + Send + 'static) -> Self {
        let barrier = Arc::new(Barrier::new(threads + 1));
        let (release, threads) = (0..threads)
            .map(|_| {
                let (read, barrier) = (read.clone(), Arc::clone(&barrier));
                let (release, released) = mpsc::channel::<()>();
                let thread = std::thread::spawn(move || {
                    read();
                    barrier.wait();
                    // Ends with an error when the sender is dropped: that is the signal.
                    let _ = released.recv();
                });
                (release, thread)
            })
            .unzip();
        barrier.wait();
        Self { release, threads }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.release.clear();
        for thread in self.threads.drain(..) {
            thread.join().expect("a reader ends");
        }
    }
}

/// Something that happens while somebody has his turn, and only then.
pub(crate) trait Beside {
    /// Returns when it has begun.
    fn begin(&self);
    /// Returns when it has ended, and says whether it went as it should.
    fn end(&self) -> bool;
}

impl<T: Beside + ?Sized> Beside for Rc<T> {
    fn begin(&self) {
        (**self).begin();
    }

    fn end(&self) -> bool {
        (**self).end()
    }
}

impl<T: Beside + ?Sized> Beside for &T {
    fn begin(&self) {
        (**self).begin();
    }

    fn end(&self) -> bool {
        (**self).end()
    }
}

/// A thread that does something over and over, when it may. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Paced {
    shared: Arc<Pace>,
    thread: Option<JoinHandle<()>>,
    /// When it may go on, and how often it had done it by then.
    began: Cell<(Instant, u64)>,
    period: Duration,
}

#[derive(Debug, Default)]
struct Pace {
    may: AtomicBool,
    stop: AtomicBool,
    /// It sleeps, or is about to.
    rests: AtomicBool,
    steps: AtomicU64,
}

impl Paced {
    /// At a million steps a second while it may; steps that the scheduler made it miss are
    /// dropped, not made up for.
    pub(crate) fn at_a_million_a_second(step: impl FnMut() + Send + 'static) -> Self {
        Self::new(Duration::from_micros(1), step)
    }

    /// As fast as it can while it may.
    pub(crate) fn looping(step: impl FnMut() + Send + 'static) -> Self {
        Self::new(Duration::ZERO, step)
    }

    fn new(period: Duration, mut step: impl FnMut() + Send + 'static) -> Self {
        let shared = Arc::new(Pace::default());
        let pace = Arc::clone(&shared);
        let run = move || {
            let mut due = Instant::now();
            while !pace.stop.load(Acquire) {
                if !pace.may.load(Acquire) {
                    pace.rests.store(true, Release);
                    std::thread::park();
                    pace.rests.store(false, Release);
                    due = Instant::now();
                    continue;
                }
                step();
                pace.steps.fetch_add(1, Release);
                if period.is_zero() {
                    continue;
                }
                due += period;
                let mut now = Instant::now();
                if now > due + 100 * period {
                    due = now;
                }
                while now < due && pace.may.load(Relaxed) {
                    std::hint::spin_loop();
                    now = Instant::now();
                }
            }
        };
        Self {
            shared,
            thread: Some(std::thread::spawn(run)),
            began: Cell::new((Instant::now(), 0)),
            period,
        }
    }

    fn steps(&self) -> u64 {
        self.shared.steps.load(Acquire)
    }

    fn unpark(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Beside for Paced {
    fn begin(&self) {
        let before = self.steps();
        self.shared.may.store(true, Release);
        self.unpark();
        while self.steps() == before {
            std::thread::yield_now();
        }
        self.began.set((Instant::now(), self.steps()));
    }

    fn end(&self) -> bool {
        let (began, steps) = self.began.get();
        let (took, steps) = (began.elapsed(), self.steps() - steps);
        self.shared.may.store(false, Release);
        while !self.shared.rests.load(Acquire) {
            std::thread::yield_now();
        }
        // Half the pace is still the pace; a thread without a core is not.
        if self.period.is_zero() {
            steps > 0
        } else {
            2 * steps as u128 >= took.as_nanos() / self.period.as_nanos()
        }
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.shared.stop.store(true, Release);
        self.unpark();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the thread beside ends");
        }
    }
}

/// A thread that does something over and over. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Busy {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    /// As fast as it can.
    pub(crate) fn looping(mut step: impl FnMut() + Send + 'static) -> Self {
        Self::run(move |stop| {
            while !stop.load(Relaxed) {
                step();
            }
        })
    }

    fn run(body: impl FnOnce(&AtomicBool) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = Some(std::thread::spawn(move || body(&stopped)));
        Self { stop, thread }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the busy thread ends");
        }
    }
}
