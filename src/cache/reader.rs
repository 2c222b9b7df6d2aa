//! A reader that stays with one slot, and spinning on it.

use std::borrow::Cow;
use std::fmt;
use std::hint::spin_loop;
use std::ops::ControlFlow;

use super::entity::Field;
use super::error::NotLive;
use super::freshness::{Freshness, is_undoubted};
use super::latency::WakeTimer;
use super::slot::{Reading, Slot, is_plain};
use super::watch::Closed;
use crate::Time;
use crate::feed::Waiter;
use crate::record::Value;
use crate::store::{SlotReader, State};

/// One thread's reader of one slot: as [`Slot`], and it remembers where a slot that has grown goes
/// on, so that reads of it take one step less.
pub struct Reader {
    slot: Slot,
    inner: SlotReader,
}

impl Reader {
    pub(super) fn new(slot: Slot) -> Self {
        Self {
            inner: SlotReader::new(slot.core().clone()),
            slot,
        }
    }

    /// The slot.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// As [`Slot::epoch`], but of this slot alone: if it is purged this stays at its last number, while
    /// reads go on with the slot that the key has then.
    #[must_use]
    #[inline]
    pub fn epoch(&mut self) -> u64 {
        self.inner.epoch().number()
    }

    /// As [`Slot::read`].
    #[must_use]
    #[inline]
    pub fn read<const N: usize>(&mut self, fields: [Field; N]) -> Reading<'_, N> {
        let (head, values) = self.inner.read(Field::inner(&fields));
        if head.state == State::Dead {
            return self.slot.read(fields);
        }
        let now = self.slot.surroundings();
        self.slot.reading(head, now, values, fields)
    }

    /// As [`Slot::live`].
    ///
    /// # Errors
    /// As [`Slot::live`].
    #[inline(always)]
    pub fn live<const N: usize>(&mut self, fields: [Field; N]) -> Result<[Value; N], NotLive> {
        let slot = &self.slot;
        let common = slot.entity().common();
        let cells = self.inner.cells_if(common, &fields, |value| {
            is_undoubted(value, slot.surroundings())
        });
        match cells {
            Some(cells) if is_plain(common, slot.expires(), &fields) => {
                Ok(Value::from_cells_whole(&cells))
            }
            _ => self.live_or_why(fields),
        }
    }

    /// Every other case; goes on to the block in which a slot that has grown now is.
    #[inline(never)]
    fn live_or_why<const N: usize>(&mut self, fields: [Field; N]) -> Result<[Value; N], NotLive> {
        self.inner.epoch();
        self.slot.live_or_why(fields)
    }

    /// As [`Slot::freshness`].
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.slot.freshness()
    }

    /// Whether the epoch stays for a few looks at it, which follow each other at once: giving way
    /// in between takes as long as the news takes to come from the other core.
    #[inline(always)]
    fn stays(&mut self, epoch: u64) -> bool {
        (0..LOOKS_AT_ONCE).all(|_| self.epoch() == epoch)
    }

    /// Goes on with the slot that the key has now, if the old one was purged.
    fn renew(&mut self) {
        if let Cow::Owned(slot) = self.slot.current() {
            *self = Self::new(slot);
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reader").field(&self.slot).finish()
    }
}

/// Whether a spinning reader goes on: `()` always, [`ControlFlow`] as it says.
pub trait Step {
    /// What ends the loop.
    type Break;
    /// Goes on, or ends.
    fn step(self) -> ControlFlow<Self::Break>;
}

impl Step for () {
    type Break = std::convert::Infallible;
    fn step(self) -> ControlFlow<Self::Break> {
        ControlFlow::Continue(())
    }
}

impl<B> Step for ControlFlow<B> {
    type Break = B;
    fn step(self) -> Self {
        self
    }
}

/// How many times a spinning reader looks at the epoch before it looks at the generations and
/// gives way to what shares its core.
const LOOKS_AT_ONCE: u32 = 16;

/// How many times a spinning reader does that before it looks at what moves more rarely:
/// the clock, where values expire, and whether the cache has been closed.
const LOOKS_BETWEEN_CHECKS: u32 = 256;

impl Slot {
    /// A reader for one thread, which stays with this slot.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(self.clone())
    }

    /// Calls `f` for the present value, then at every change of it or of its freshness, from this
    /// thread, which spins in between: it occupies a core and sees a change
    /// without a wake-up. Never makes the writer wait.
    ///
    /// Goes on until `f` answers [`ControlFlow::Break`], and gives what that holds; an `f` that
    /// answers `()` goes on until the cache is closed.
    ///
    /// # Errors
    /// [`Closed`] once the cache has been closed.
    pub fn spin<S: Step>(&self, mut f: impl FnMut(&mut Reader) -> S) -> Result<S::Break, Closed> {
        let mut reader = self.reader();
        let shared = self.entity().shared().clone();
        let (mut timer, mut waited) = (WakeTimer::default(), false);
        loop {
            // Before the value is read: whatever moves afterwards is news.
            let now = reader.slot.surroundings();
            let epoch = reader.epoch();
            if waited
                && let Some(turn) = timer.marked(reader.slot.entity(), now.link)
                && reader.slot.core().head().turn == turn
            {
                timer.woke(turn, Waiter::Spin, shared.clock.now());
            }
            if let ControlFlow::Break(end) = f(&mut reader).step() {
                return Ok(end);
            }
            let head = reader.slot.core().head();
            let expires_at = reader.slot.entity().policy().expires_at(&head);
            let is_due = || expires_at != Time::NEVER && shared.clock.now() >= expires_at;
            let was_due = is_due();
            let mut looks = 0;
            waited = false;
            while reader.stays(epoch) && reader.slot.surroundings() == now {
                waited = true;
                spin_loop();
                looks += 1;
                if looks == LOOKS_BETWEEN_CHECKS {
                    looks = 0;
                    if shared.is_closed() {
                        return Err(Closed);
                    }
                    if !was_due && is_due() {
                        break;
                    }
                }
            }
            reader.renew();
        }
    }
}
