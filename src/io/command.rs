//! What other threads may ask of an owner.

use crate::Time;
use crate::feed::{Refusal, Subscription, Update};
use crate::json::{self, Value};
use crate::key::Id;
use crate::record::{Limits, Mode, Patch};
use crate::store::Courier;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A command for the owner.
pub(crate) enum Command {
    /// Publishes a value.
    Set {
        entity: Arc<str>,
        id: Id,
        update: Update,
        /// JSON text.
        value: Vec<u8>,
    },
    /// Removes a value.
    Remove {
        entity: Arc<str>,
        id: Id,
        update: Update,
    },
    /// Ends a value's slot: the id is unknown from then on.
    Purge { entity: Arc<str>, id: Id },
    /// Wants subscriptions, all or none.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "only feed threads need it")
    )]
    Subscribe(Vec<Subscription>),
    /// Takes subscriptions back.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "only feed threads need it")
    )]
    Unsubscribe(Vec<Subscription>),
    /// A fetch begins: what comes from now on is kept, to be laid over its result.
    Keep {
        entity: Arc<str>,
        /// The slot that is fetched; `None` for a list, which may be of any slots of the entity.
        id: Option<Id>,
        fetch: KeepId,
        /// Set before the command is done.
        begun: Arc<OnceLock<Begun>>,
    },
    /// The result of a fetch, or a part of it.
    Land {
        entity: Arc<str>,
        fetch: KeepId,
        items: Vec<LandItem>,
        /// Nothing else comes of this fetch: what was kept for it is let go.
        last: bool,
        order: Order,
        /// Set before the command is done.
        report: Arc<OnceLock<LandReport>>,
    },
    /// A fetch has no result: what was kept for it is let go.
    Abandon { entity: Arc<str>, fetch: KeepId },
    /// An optimistic write, or its end.
    Overlay {
        entity: Arc<str>,
        id: Id,
        overlay: OverlayId,
        change: OverlayChange,
    },
    /// A whole value that neither a stream nor a fetch has brought.
    Restore {
        entity: Arc<str>,
        id: Id,
        /// JSON text.
        value: Vec<u8>,
        /// When it was received, then.
        received_at: Time,
        sequence: Option<u64>,
        /// It is made of patches only.
        partial: bool,
        origin: Origin,
        /// Set before the command is done.
        report: Arc<OnceLock<Restored>>,
    },
}

/// Names a fetch to the owner of what it fetches; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeepId(pub(crate) u64);

/// Names an optimistic write to the owner of its slot; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OverlayId(pub(crate) u64);

/// How things stood when the owner began to keep patches for a fetch: what its result is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// The word of the entity's link, as a stamp.
    pub(crate) link: u64,
    /// The sum of invalidations: of the slot, or of the entity if the fetch is of a list.
    pub(crate) invalidation: u64,
    /// The slot's number in its source's numbering, if it has one. `None` for a list.
    pub(crate) sequence: Option<u64>,
}

/// One value of a fetch's result.
#[derive(Clone, Debug)]
pub(crate) struct LandItem {
    pub(crate) id: Id,
    /// Compiled where that holds up nobody; `None`: there is no such value any more.
    pub(crate) patch: Option<Arc<Patch>>,
    /// The value is all there is. If not, the members it names are set, and others stay.
    pub(crate) whole: bool,
    /// Where the value stands in the source's numbering.
    pub(crate) as_of: Option<u64>,
}

impl LandItem {
    /// How it is laid over the value before it.
    pub(crate) const fn mode(whole: bool) -> Mode {
        if whole { Mode::Replace } else { Mode::Shallow }
    }

    /// A value, compiled: `courier` is of the entity that the item is for.
    ///
    /// # Errors
    /// The value is nested too deep, or too long.
    pub(crate) fn compiled(
        id: Id,
        value: Value<'_>,
        whole: bool,
        as_of: Option<u64>,
        courier: &mut Courier,
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        let mut patch = Patch::new();
        let mode = Self::mode(whole);
        json::compile(value, mode, limits, courier.schema(), &mut patch).map_err(|refused| {
            match refused {
                json::Refused::TooDeep => Refusal::TooDeep,
                json::Refused::TooLarge => Refusal::TooLarge,
            }
        })?;
        Ok(Self {
            id,
            patch: Some(Arc::new(patch)),
            whole,
            as_of,
        })
    }
}

/// How a result is laid over what came while it was fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// Under it: patches that came since the fetch began are laid over the result, and whole
    /// values that came since win. With comparable sequences nothing older is ever shown.
    #[default]
    Underneath,
    /// Over it, as TanStack Query does: what came while it was fetched is lost.
    LastWriteWins,
}

/// What became of the items of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LandReport {
    /// One for each item, in order.
    pub(crate) landed: Vec<Landed>,
}

/// What became of one value of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Landed {
    /// It is published.
    Applied,
    /// It said what the slot held already.
    Unchanged,
    /// Dropped: what the slot held when the fetch began is newer by its number.
    Older { as_of: u64, held: u64 },
    /// Dropped: a whole value, or a removal, has come since the fetch began. That is the newer one.
    Overtaken,
    /// Dropped: nothing was kept for this fetch. The owner has changed since, the fetch is
    /// unknown, or more came than may be kept. It has to be fetched again.
    Lost,
    /// Dropped: it would be refused from a feed, too.
    Refused(Refusal),
}

/// What an optimistic write becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OverlayChange {
    /// It is shown over what comes from elsewhere.
    Put {
        /// JSON text.
        value: Vec<u8>,
        mode: Mode,
    },
    /// It is part of the value from now on, under what came since it was put.
    Commit,
    /// It is gone, and what came meanwhile stays.
    Rollback,
}

/// Where a restored value is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An earlier process: it goes over what is older, and is in doubt until it is confirmed.
    Earlier,
    /// The settings: it goes where there is nothing, and is as good as fetched then.
    Settings,
}

/// What became of a restored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restored {
    /// It is published.
    Applied,
    /// Dropped: what the slot holds is as new, or newer.
    Older,
}

impl Command {
    /// The entity whose owner is meant, if it is one entity's.
    pub(crate) fn entity(&self) -> Option<&Arc<str>> {
        match self {
            Self::Set { entity, .. }
            | Self::Remove { entity, .. }
            | Self::Purge { entity, .. }
            | Self::Keep { entity, .. }
            | Self::Land { entity, .. }
            | Self::Abandon { entity, .. }
            | Self::Overlay { entity, .. }
            | Self::Restore { entity, .. } => Some(entity),
            Self::Subscribe(_) | Self::Unsubscribe(_) => None,
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { entity, id, .. } => write!(f, "Set({entity}, {id})"),
            Self::Remove { entity, id, .. } => write!(f, "Remove({entity}, {id})"),
            Self::Purge { entity, id } => write!(f, "Purge({entity}, {id})"),
            Self::Subscribe(wanted) => write!(f, "Subscribe({})", wanted.len()),
            Self::Unsubscribe(unwanted) => write!(f, "Unsubscribe({})", unwanted.len()),
            Self::Keep {
                entity,
                id: Some(id),
                fetch,
                ..
            } => write!(f, "Keep({entity}, {id}, {})", fetch.0),
            Self::Keep { entity, fetch, .. } => write!(f, "Keep({entity}, {})", fetch.0),
            Self::Land {
                entity,
                fetch,
                items,
                ..
            } => write!(f, "Land({entity}, {}, {} items)", fetch.0, items.len()),
            Self::Abandon { entity, fetch } => write!(f, "Abandon({entity}, {})", fetch.0),
            Self::Overlay {
                entity,
                id,
                overlay,
                ..
            } => write!(f, "Overlay({entity}, {id}, {})", overlay.0),
            Self::Restore { entity, id, .. } => write!(f, "Restore({entity}, {id})"),
        }
    }
}
