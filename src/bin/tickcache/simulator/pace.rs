//! When messages are due, and waiting until then.
//!
//! Message `k` at `rate` a second is nominally due at `k / rate`. Due times lie on a grid of
//! [`GRID`], each rounded down to it, so that the messages of one grid step are one burst with one
//! due time: exchanges send in bursts too, and one wake serves the burst. An *even* schedule has no
//! grid.

use std::io;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// Distance of two bursts: 4,000 wakes a second at most.
pub(crate) const GRID: Duration = Duration::from_micros(250);

/// An even schedule does not sleep for less: a timer would be late by more.
const SHORT: Duration = Duration::from_micros(20);

const NANOS: u128 = 1_000_000_000;

/// The fixed times of one connection's messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    start: Instant,
    rate: NonZeroU64,
    grid: Duration,
}

impl Schedule {
    /// A schedule whose message 0 is due at `start`.
    pub(crate) fn new(start: Instant, rate: NonZeroU64) -> Self {
        Self {
            start,
            rate,
            grid: GRID,
        }
    }

    /// The same without bursts.
    pub(crate) fn even(start: Instant, rate: NonZeroU64) -> Self {
        Self {
            grid: Duration::from_nanos(1),
            ..Self::new(start, rate)
        }
    }

    /// Waits until `at`: exactly, where the schedule is even.
    pub(crate) async fn wait(even: bool, timer: &mut Timer, at: Instant) -> io::Result<()> {
        if !even {
            return timer.until(at).await;
        }
        if let Some(early) = at.checked_sub(SHORT) {
            timer.until(early).await?;
        }
        while Instant::now() < at {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// When message `k` is due.
    pub(crate) fn at(&self, k: u64) -> Instant {
        let nominal = u128::from(k) * NANOS / u128::from(self.rate.get());
        let grid = nominal - nominal % self.grid.as_nanos();
        // u64 nanoseconds are 584 years; a schedule that long never gets there.
        self.start + Duration::from_nanos(u64::try_from(grid).unwrap_or(u64::MAX))
    }

    /// How many messages are due by `now`.
    pub(crate) fn due(&self, now: Instant) -> u64 {
        let Some(elapsed) = now.checked_duration_since(self.start) else {
            return 0;
        };
        let steps = elapsed.as_nanos() / self.grid.as_nanos() + 1;
        // The first k whose nominal time is not before the end of this grid step.
        let k = (steps * self.grid.as_nanos() * u128::from(self.rate.get())).div_ceil(NANOS);
        u64::try_from(k).unwrap_or(u64::MAX)
    }
}

/// A timer finer than the runtime's, whose steps are a millisecond and would be read as latency.
///
/// On Linux it is a timer descriptor, woken within microseconds; elsewhere the runtime's timer.
#[derive(Debug)]
pub(crate) struct Timer {
    #[cfg(target_os = "linux")]
    fd: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
}

#[cfg(target_os = "linux")]
impl Timer {
    /// Makes a timer; only inside a runtime.
    pub(crate) fn new() -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // The replacement needs tokio 1.54. What it asks for by a trait, an `OwnedFd` keeps anyway.
        #[allow(deprecated)]
        let fd = tokio::io::unix::AsyncFd::new(fd)?;
        Ok(Self { fd })
    }

    /// Waits until `at`; at once when it has passed. May be dropped half-way and called again.
    pub(crate) async fn until(&mut self, at: Instant) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        let wait = at.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Ok(());
        }
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let value = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        };
        let spec = Itimerspec {
            it_interval: zero,
            it_value: value,
        };
        timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::empty(), &spec)?;
        let mut expirations = [0u8; 8];
        loop {
            let mut ready = self.fd.readable().await?;
            let read = rustix::io::read(ready.get_inner(), &mut expirations);
            // Nothing can expire between the read and this: the timer is not armed again yet.
            ready.clear_ready();
            match read {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Timer {
    /// Makes a timer; only inside a runtime.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits until `at`; at once when it has passed. May be dropped half-way and called again.
    pub(crate) async fn until(&mut self, at: Instant) -> io::Result<()> {
        tokio::time::sleep_until(at.into()).await;
        Ok(())
    }
}
