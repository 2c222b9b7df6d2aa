//! Faults that the models inject, to show that each step of the protocol is needed. Outside the
//! models [`injected`] is a constant `false`.

/// One step left out, or done in the wrong order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(all(test, tickcache_model)),
    allow(dead_code, reason = "only the models inject")
)]
pub(in crate::store) enum Fault {
    /// The owner publishes and looks at the bell without a fence between.
    OwnerFence,
    /// The waiter rings and checks without a fence between.
    WaiterFence,
    /// A generation is changed and the waiters looked for without a fence between.
    ChangerFence,
    /// The waiter checks before it rings.
    CheckFirst,
    /// The waiter rings and sleeps without checking again.
    NoRecheck,
    /// The waiter rings before it enters its waker.
    RingFirst,
    /// The hub is told before the ring is noted as told.
    TellLate,
    /// Shutting down wakes who sleeps, but does not stop others from falling asleep.
    CloseUnmarked,
    /// The hub reads the clock before it takes the reasons it was woken for.
    TimeFirst,
    /// A subscriber trusts what it copied from the ring without looking at its lap.
    LapUnchecked,
    /// A lapped subscriber compares the epochs first and takes the position afterwards.
    PositionLate,
}

#[cfg(all(test, tickcache_model))]
mod injection {
    use super::Fault;
    use std::cell::Cell;

    // The threads of a model are coroutines of the one thread that explores it.
    std::thread_local! {
        static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Runs `model` with one step of the protocol broken.
    pub(in crate::store) fn inject(fault: Fault, model: impl FnOnce()) {
        struct Reset;
        impl Drop for Reset {
            fn drop(&mut self) {
                FAULT.set(None);
            }
        }
        let _reset = Reset;
        FAULT.set(Some(fault));
        model();
    }

    pub(in crate::store) fn injected(fault: Fault) -> bool {
        FAULT.get() == Some(fault)
    }
}

#[cfg(all(test, tickcache_model))]
pub(in crate::store) use injection::{inject, injected};

/// Whether a model wants this step broken.
#[cfg(not(all(test, tickcache_model)))]
pub(in crate::store) const fn injected(_: Fault) -> bool {
    false
}

/// Whether a model has failed and its threads are being dropped where they stand: loom's
/// primitives panic then when touched, and a second panic would hide what the first one says.
pub(super) fn torn_down() -> bool {
    cfg!(tickcache_model) && std::thread::panicking()
}
