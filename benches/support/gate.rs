//! A gate in the thread of a client. It holds the thread while the next messages are written into
//! its socket, and tells what CPU time it took to take them in.
//!
//! So the server is always ahead: what is measured never waits for a message and is never woken for
//! one, and what the kernel does to deliver the messages is done on the server's core before. What
//! is left of the kernel in the measured time is the copy out of the socket, and the system call.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::cpu::thread_cpu;

/// The client's side. Let through from the start are the messages of the first order. Of clones one
/// is used: a feed keeps its protocol to begin anew with, which it never does here.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    left: u64,
    since: Duration,
    ends: Arc<Mutex<Ends>>,
}

#[derive(Debug)]
struct Ends {
    orders: Receiver<u64>,
    done: Sender<Duration>,
}

/// Whoever opens the gate. When this is dropped it stays open.
#[derive(Debug)]
pub(crate) struct Keeper {
    orders: Sender<u64>,
    done: Receiver<Duration>,
}

/// A gate that lets `first` messages through.
pub(crate) fn gate(first: u64) -> (Keeper, Gate) {
    let (orders, ordered) = mpsc::channel();
    let (finished, done) = mpsc::channel();
    let gate = Gate {
        left: first,
        since: Duration::ZERO,
        ends: Arc::new(Mutex::new(Ends {
            orders: ordered,
            done: finished,
        })),
    };
    (Keeper { orders, done }, gate)
}

impl Gate {
    /// A message has been taken in.
    #[inline]
    pub(crate) fn one(&mut self) {
        self.some(1);
    }

    /// So many have.
    #[inline]
    pub(crate) fn some(&mut self, messages: u64) {
        self.left -= messages;
        if self.left == 0 {
            self.hold();
        }
    }

    #[cold]
    fn hold(&mut self) {
        let took = thread_cpu().saturating_sub(self.since);
        let ends = self.ends.lock().expect("nobody panics");
        // Both fail only when the bench is over.
        let _ = ends.done.send(took);
        self.left = ends.orders.recv().unwrap_or(u64::MAX);
        self.since = thread_cpu();
    }
}

impl Keeper {
    /// Lets so many messages through.
    pub(crate) fn open(&self, messages: u64) {
        self.orders.send(messages).expect("the client runs");
    }

    /// Returns when they have been let through and the thread is held again: what it took.
    pub(crate) fn closed(&self) -> Duration {
        self.done.recv().expect("the client runs")
    }
}
