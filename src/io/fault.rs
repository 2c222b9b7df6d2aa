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
mod injection {
    use super::Fault;
    use std::cell::Cell;

    // The threads of a model are coroutines of the one thread that explores it.
    std::thread_local! {
        static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Runs `model` with one step broken.
    pub(in crate::io) fn inject(fault: Fault, model: impl FnOnce()) {
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

    pub(super) fn injected(fault: Fault) -> bool {
        FAULT.get() == Some(fault)
    }
}

#[cfg(all(test, tickcache_model))]
pub(in crate::io) use injection::inject;
#[cfg(all(test, tickcache_model))]
use injection::injected;

#[cfg(not(all(test, tickcache_model)))]
const fn injected(_: Fault) -> bool {
    false
}

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
