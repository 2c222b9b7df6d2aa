//! Threads that are there while something is measured.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
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

    /// At a million steps a second; steps that the scheduler made
    /// it miss are dropped, not made up for.
    pub(crate) fn at_a_million_a_second(mut step: impl FnMut() + Send + 'static) -> Self {
        const PERIOD: Duration = Duration::from_micros(1);
        Self::run(move |stop| {
            let mut due = Instant::now();
            while !stop.load(Relaxed) {
                step();
                due += PERIOD;
                let mut now = Instant::now();
                if now > due + 100 * PERIOD {
                    due = now;
                }
                while now < due {
                    std::hint::spin_loop();
                    now = Instant::now();
                }
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
