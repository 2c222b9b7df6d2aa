//! A feed thread's way to the slow plane: asks for a connection, and is handed it through a place
//! for one and the poller's waker. There is never more than one attempt under way.

use super::connect::{ConnectError, ConnectOptions, Connected, connect};
use super::endpoint::{Attempt, EndpointSource};
use super::runtime::Runtime;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::AbortHandle;

type Outcome = Result<Connected, ConnectError>;

/// The outcome of the latest attempt, with its number.
type Place = Arc<Mutex<Option<(u64, Outcome)>>>;

/// Who makes connections.
enum Maker {
    /// The slow plane.
    Plane(Runtime, Arc<ConnectOptions>),
    /// Whoever drives the feed by hand.
    #[cfg(feature = "testing")]
    Hand,
}

/// Makes connections, or has them made.
pub(crate) struct Connector {
    maker: Maker,
    waker: Arc<mio::Waker>,
    place: Place,
    attempts: u64,
    /// The attempt that is under way.
    current: Option<Attempted>,
}

/// An attempt, and what ends it early.
struct Attempted {
    number: u64,
    abort: Option<AbortHandle>,
}

fn lock(place: &Place) -> MutexGuard<'_, Option<(u64, Outcome)>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connector {
    /// Attempts run on `runtime`; `waker` is woken when one has ended.
    pub(crate) fn new(
        runtime: Runtime,
        options: Arc<ConnectOptions>,
        waker: Arc<mio::Waker>,
    ) -> Self {
        Self::of(Maker::Plane(runtime, options), waker)
    }

    /// Attempts wait until [`answer`](Self::answer) is called.
    #[cfg(feature = "testing")]
    pub(crate) fn by_hand(waker: Arc<mio::Waker>) -> Self {
        Self::of(Maker::Hand, waker)
    }

    fn of(maker: Maker, waker: Arc<mio::Waker>) -> Self {
        Self {
            maker,
            waker,
            place: Place::default(),
            attempts: 0,
            current: None,
        }
    }

    /// Begins an attempt, and ends the one under way if there is one.
    pub(crate) fn request(&mut self, source: EndpointSource, failed: u32) {
        self.cancel();
        self.attempts += 1;
        let attempt = Attempt {
            number: self.attempts,
            failed,
        };
        let abort = match &self.maker {
            Maker::Plane(runtime, options) => {
                let promise = self.promise(attempt.number);
                let options = Arc::clone(options);
                Some(runtime.spawn(async move {
                    let outcome = connect(&options, &source, attempt).await;
                    promise.keep(outcome);
                }))
            }
            #[cfg(feature = "testing")]
            Maker::Hand => None,
        };
        self.current = Some(Attempted {
            number: attempt.number,
            abort,
        });
    }

    fn promise(&self, number: u64) -> Promise {
        Promise {
            number,
            place: Arc::clone(&self.place),
            waker: Arc::clone(&self.waker),
            kept: false,
        }
    }

    /// The number of the attempt that waits for an answer.
    #[cfg(feature = "testing")]
    pub(crate) fn asked(&self) -> Option<u64> {
        self.current.as_ref().map(|attempted| attempted.number)
    }

    /// What became of the attempt that waits, if one does.
    #[cfg(feature = "testing")]
    pub(crate) fn answer(&self, outcome: Outcome) {
        if let Some(number) = self.asked() {
            self.promise(number).keep(outcome);
        }
    }

    /// Ends the attempt under way; its outcome will not be seen.
    pub(crate) fn cancel(&mut self) {
        if let Some(abort) = self.current.take().and_then(|it| it.abort) {
            abort.abort();
        }
        let late = lock(&self.place).take();
        drop(late);
    }

    /// The outcome of the attempt under way, once it is there.
    pub(crate) fn poll(&mut self) -> Option<Outcome> {
        let current = self.current.as_ref()?.number;
        let (number, outcome) = lock(&self.place).take()?;
        if number != current {
            return None;
        }
        self.current = None;
        Some(outcome)
    }

    /// How many attempts there have been.
    pub(crate) fn attempts(&self) -> u64 {
        self.attempts
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("attempts", &self.attempts)
            .field("under_way", &self.current.is_some())
            .finish_non_exhaustive()
    }
}

/// An attempt's duty to end with an outcome, even if it is dropped or panics.
struct Promise {
    number: u64,
    place: Place,
    waker: Arc<mio::Waker>,
    kept: bool,
}

impl Promise {
    fn keep(mut self, outcome: Outcome) {
        self.deliver(outcome);
    }

    fn deliver(&mut self, outcome: Outcome) {
        self.kept = true;
        let mut place = lock(&self.place);
        // A newer attempt's outcome stays.
        if place
            .as_ref()
            .is_none_or(|(number, _)| *number <= self.number)
        {
            *place = Some((self.number, outcome));
        }
        drop(place);
        // Fails only if the poller is gone, and the feed with it.
        let _ = self.waker.wake();
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.kept {
            self.deliver(Err(if std::thread::panicking() {
                ConnectError::Endpoint("the hook that makes it panicked".into())
            } else {
                ConnectError::RuntimeGone
            }));
        }
    }
}
