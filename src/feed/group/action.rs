//! What a group says about itself, and what it asks of its driver.

use std::time::Duration;

#[cfg(doc)]
use crate::feed::Group;
use crate::feed::machine::Lost;
use crate::feed::protocol::Subscription;
use crate::feed::registry::Settled;

/// One connection of a feed: the number of its place, which a later connection may take over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leg(pub(super) u8);

impl Leg {
    /// How many there may be at once: two that stand, a successor, and one that says goodbye.
    pub const COUNT: usize = 4;

    /// The only one of a feed with one connection, until it is replaced.
    pub const FIRST: Self = Self(0);

    /// Every place.
    pub const ALL: [Self; Self::COUNT] = [Self(0), Self(1), Self(2), Self(3)];

    /// The number, below [`COUNT`](Self::COUNT).
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a leg is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// What it brings is shown, or will be when it is connected.
    Shown,
    /// What it brings is shown once the shown leg is lost or silent; numbered whole values at
    /// once.
    Backup,
    /// It is about to take the place of a leg whose time is up.
    Successor,
    /// Its place was taken; it says goodbye.
    Leaving,
}

/// How many connections a feed has, and how long each may live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Whether two connections carry the same streams, instead of one.
    pub redundant: bool,
    /// How long the server lets a connection live. `None`: that is not known, and a connection is
    /// replaced when the server says that it will close it. [`Duration::MAX`]: never, not even
    /// then.
    pub lifetime: Option<Duration>,
}

/// What a driver has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupAction {
    /// Make a connection. A leg has never more than one under way.
    Connect {
        /// For this leg.
        leg: Leg,
        /// To the feed's first way to the server (0), or its second (1).
        path: usize,
        /// Number of this attempt since the last connection that proved itself, from 1.
        attempt: u32,
    },
    /// Offer the leg's socket what [`Group::transmit`] still holds, without waiting, and drop it;
    /// or give up the attempt to make one.
    Disconnect {
        /// Whose.
        leg: Leg,
    },
    /// The feed is open: values are no longer `Disconnected`, and this leg is shown. Then call
    /// [`Group::handle_filled`] with 0: bytes may have come with the handshake.
    Opened {
        /// The leg that is shown from here on.
        leg: Leg,
        /// How often the feed has opened, from 1.
        generation: u64,
    },
    /// A connection is open beside the one that is shown. Then call [`Group::handle_filled`] with
    /// 0: bytes may have come with the handshake.
    Joined {
        /// Whose.
        leg: Leg,
    },
    /// The leg could be shown from here on without anything missing. Nothing has to be done.
    Ready {
        /// Which.
        leg: Leg,
    },
    /// The leg's connection is no more. What that means for the feed is said by what follows.
    Left {
        /// Whose.
        leg: Leg,
        /// Why; [`Lost::Stopped`] if it was told to.
        reason: Lost,
    },
    /// This leg is shown from here on, and nothing is stale because of that.
    Promoted {
        /// The leg.
        leg: Leg,
        /// Subscriptions that it has not been granted yet: what they brought may be missing.
        unsettled: Vec<Subscription>,
    },
    /// The feed has no connection any more: values are `Disconnected`.
    Lost(Lost),
    /// No data came over any leg for `silent_after`.
    Silent,
    /// Data came after all.
    Audible,
    /// The server says that it will close the leg's connection.
    Closing {
        /// Whose.
        leg: Leg,
    },
    /// The server refuses the leg's connection, for this reason.
    Refused {
        /// Whose.
        leg: Leg,
        /// What the server says.
        reason: Box<str>,
    },
    /// A request to subscribe or unsubscribe has its answer.
    Settled(Settled),
    /// The leg has said goodbye, and its place is free.
    Gone {
        /// Which.
        leg: Leg,
    },
    /// The feed has stopped. Nothing follows.
    Finished,
}
