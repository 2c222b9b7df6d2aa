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
pub(in crate::store) use crate::sync::fault::inject;
pub(in crate::store) use crate::sync::fault::injected;

/// Whether a model has failed and its threads are being dropped where they stand: loom's
/// primitives panic then when touched, and a second panic would hide what the first one says.
pub(super) fn torn_down() -> bool {
    cfg!(tickcache_model) && std::thread::panicking()
}
