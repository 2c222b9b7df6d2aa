//! Faults that the models inject, to show that each step of the ring's protocol is needed.
//! Outside the models [`injected`] is a constant `false`.

/// One step left out, or done in the wrong order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(all(test, tickcache_model)),
    allow(dead_code, reason = "only the models inject")
)]
pub(in crate::store) enum Fault {
    /// The reader checks its copy without a fence before.
    ReaderFence,
    /// The owner writes a version without a fence before.
    WriterFence,
    /// The epoch is stored relaxed.
    PublishRelaxed,
    /// A copy is accepted one publication too late.
    AcceptLate,
    /// A block is closed before the next one is there.
    CloseFirst,
    /// A snapshot is kept without looking whether a newer one is there.
    SnapshotAnyway,
    /// A purged slot is marked before it leaves the index.
    DeadFirst,
    /// A new slot starts at zero, whatever was purged.
    StartAtZero,
    /// A miss in the index is believed though entries were being moved.
    MissUnchecked,
    /// A cut takes the newest version, whatever its turn.
    CutNewest,
    /// A batch begins by a relaxed look at the clock of marks.
    PointRelaxed,
    /// A mark is counted before it is known when it was made.
    CountFirst,
    /// A mark moves the clock only when it begins.
    MarkedOnce,
    /// The point of a slot's mark is taken before the look at the slot.
    PointFirst,
    /// The sums of a batch are those of when they are needed.
    SumsAsOfNow,
    /// A link is stamped as it is when it is needed.
    LinkAsOfNow,
    /// An entity is claimed though it has an owner.
    ClaimTaken,
}

#[cfg(all(test, tickcache_model))]
pub(in crate::store) use crate::sync::fault::inject;
pub(in crate::store) use crate::sync::fault::injected;
