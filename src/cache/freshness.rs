//! What a value is worth now: live, or stale and why.
//!
//! Freshness is computed when somebody asks, from the stamps in the version that was read and the
//! generations beside it; nothing walks the slots when a connection is lost. The stamps are the
//! store's; the rules are here.

use std::fmt;
use std::time::Duration;

use crate::Time;
use crate::store::{Head, Link, Stamps, State, flags};

/// Why a value is not live. A set: a slot can be disconnected *and* invalidated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Reasons(u16);

impl Reasons {
    /// No reason at all.
    pub const NONE: Self = Self(0);
    /// The connection that wrote the value is gone, or came back and has not confirmed it yet.
    pub const DISCONNECTED: Self = Self(1);
    /// The source's sequence jumped: something between was lost.
    pub const GAP: Self = Self(1 << 1);
    /// Marked stale by an event, by the client, or by the opening of a connection.
    pub const INVALIDATED: Self = Self(1 << 2);
    /// No data came for longer than the configured silence.
    pub const SILENT: Self = Self(1 << 3);
    /// Made of patches only; no whole value has come yet.
    pub const PARTIAL: Self = Self(1 << 4);
    /// The last whole value is older than `stale_after`.
    pub const EXPIRED: Self = Self(1 << 5);
    /// Loaded from storage and not confirmed since.
    pub const RESTORED: Self = Self(1 << 6);
    /// Its subscription was ended; nothing updates it any more.
    pub const UNSUBSCRIBED: Self = Self(1 << 7);
    /// The feed that wrote it has stopped, failed or panicked.
    pub const STOPPED: Self = Self(1 << 8);

    const NAMES: [(Self, &'static str); 9] = [
        (Self::DISCONNECTED, "disconnected"),
        (Self::GAP, "gap"),
        (Self::INVALIDATED, "invalidated"),
        (Self::SILENT, "silent"),
        (Self::PARTIAL, "partial"),
        (Self::EXPIRED, "expired"),
        (Self::RESTORED, "restored"),
        (Self::UNSUBSCRIBED, "unsubscribed"),
        (Self::STOPPED, "stopped"),
    ];

    /// Whether every reason of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is no reason.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The reasons of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The reasons of this set that `other` has not.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    const fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::NONE }
    }

    /// The single reasons in this set, as their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .filter_map(move |(reason, name)| self.contains(reason).then_some(name))
    }
}

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, name) in self.names().enumerate() {
            if n > 0 {
                f.write_str("+")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reasons({self})")
    }
}

/// What a slot's value is worth at the moment it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Freshness {
    /// Nothing has been published yet.
    Empty,
    /// Current as far as the source and the configuration can tell.
    Live,
    /// There is a value, and these are the reasons not to trust it.
    Stale(Reasons),
    /// The source removed it.
    Removed,
}

impl Freshness {
    /// Whether the value is current.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Live)
    }

    /// The reasons of a stale value; empty for any other state.
    #[must_use]
    pub const fn reasons(self) -> Reasons {
        match self {
            Self::Stale(reasons) => reasons,
            Self::Empty | Self::Live | Self::Removed => Reasons::NONE,
        }
    }
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Live => f.write_str("live"),
            Self::Stale(reasons) => write!(f, "stale ({reasons})"),
            Self::Removed => f.write_str("removed"),
        }
    }
}

/// How long a value of an entity may go without news; [`Duration::MAX`] is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Counted from the last *whole* value.
    pub(crate) stale_after: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            stale_after: Duration::MAX,
        }
    }
}

impl Policy {
    /// Whether values turn stale by time alone.
    #[inline]
    pub(crate) fn expires(self) -> bool {
        self.stale_after != Duration::MAX
    }

    /// When a version with this head turns stale by time alone; [`Time::NEVER`] if it does not.
    pub(crate) fn expires_at(self, head: &Head) -> Time {
        if self.stale_after == Duration::MAX || head.state != State::Present {
            return Time::NEVER;
        }
        head.whole_at.after(self.stale_after)
    }
}

/// What freshness is computed from, beside the version itself. Who judges a value reads it after the
/// value; who waits reads it before, so that whatever moves afterwards is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Surroundings {
    pub(crate) link: u64,
    pub(crate) invalidation: u64,
}

/// Whether nothing but time can speak against a value with these stamps: the hot path's question.
#[inline(always)]
pub(crate) fn is_undoubted(value: Stamps, now: Surroundings) -> bool {
    // A stamp has no bits, so an equal word has none either: nothing is wrong with the link. That
    // something was missed is nothing wrong with what came since.
    (value.link ^ now.link) & !u64::from(Link::GAP) == 0
        && value.invalidation >= now.invalidation
        && value.flags == 0
}

/// Freshness by everything but time.
#[inline]
pub(crate) fn standing(head: &Head, now: Surroundings) -> Freshness {
    if head.has_value() && is_undoubted(head.stamps(), now) {
        Freshness::Live
    } else {
        doubted(head, now)
    }
}

#[cold]
fn doubted(head: &Head, now: Surroundings) -> Freshness {
    match head.state {
        State::Present => {}
        State::Empty | State::Dead => return Freshness::Empty,
        // All there ever was is an optimistic write, and it was taken back.
        State::Removed if head.received_at == Time::ZERO => return Freshness::Empty,
        State::Removed => return Freshness::Removed,
    }
    let Link { generation, bits } = Link::from_word(now.link);
    let gap = bits & Link::GAP != 0;
    // A connection that is down, or is up again and has not confirmed the value; after a gap the
    // generation moves too, and the reason is the gap's.
    let unconfirmed = Link::from_word(head.link).generation != generation;
    let flag = |bit: u8| head.flags & bit != 0;
    let reasons = [
        (
            Reasons::DISCONNECTED,
            bits & Link::DOWN != 0 || unconfirmed && !gap,
        ),
        (Reasons::GAP, unconfirmed && gap || flag(flags::GAP)),
        (Reasons::SILENT, bits & Link::SILENT != 0),
        (Reasons::STOPPED, bits & Link::STOPPED != 0),
        (Reasons::INVALIDATED, head.invalidation < now.invalidation),
        (Reasons::PARTIAL, flag(flags::PARTIAL)),
        (Reasons::RESTORED, flag(flags::RESTORED)),
        (Reasons::UNSUBSCRIBED, flag(flags::UNSUBSCRIBED)),
    ];
    let reasons = reasons
        .into_iter()
        .fold(Reasons::NONE, |all, (reason, holds)| {
            all.union(reason.when(holds))
        });
    if reasons.is_empty() {
        Freshness::Live
    } else {
        Freshness::Stale(reasons)
    }
}

/// Adds what time alone does to a value.
pub(crate) fn aged(standing: Freshness, expires_at: Time, now: Time) -> Freshness {
    match standing {
        Freshness::Live if now >= expires_at => Freshness::Stale(Reasons::EXPIRED),
        Freshness::Stale(reasons) if now >= expires_at => {
            Freshness::Stale(reasons.union(Reasons::EXPIRED))
        }
        same => same,
    }
}
