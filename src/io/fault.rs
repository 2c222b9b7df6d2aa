//! Faults that the models inject into the hand-over between threads. Outside the models each of
//! the questions here is answered by a constant `false`.

/// One step left out, or done in the wrong order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(all(test, tickcache_model)),
    allow(dead_code, reason = "only the models inject")
)]
pub(in crate::io) enum Fault {
    /// A sender gives its lock up before its command lies in the inbox.
    LetsGoEarly,
    /// The owner's bell is rung before there is anything to hear.
    RingsFirst,
    /// Who empties the slow writer's queue does not look again after it has unlocked.
    LooksOnce,
}

#[cfg(all(test, tickcache_model))]
pub(in crate::io) use crate::sync::fault::inject;
use crate::sync::fault::injected;

/// Whether a model wants the senders' lock given up too early.
#[inline]
pub(in crate::io) fn lets_go_early() -> bool {
    injected(Fault::LetsGoEarly)
}

/// Whether a model wants the bell rung before there is anything to hear.
#[inline]
pub(in crate::io) fn rings_first() -> bool {
    injected(Fault::RingsFirst)
}

/// Whether a model wants the second look left out.
#[inline]
pub(in crate::io) fn looks_once() -> bool {
    injected(Fault::LooksOnce)
}
