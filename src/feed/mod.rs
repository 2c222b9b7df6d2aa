//! One upstream: subscribing, heartbeats, sequences, reconnects, and what its messages mean.
//!
//! Nothing here reads a clock, opens a socket or knows where values are kept. A [`Machine`] takes
//! bytes and instants and gives back bytes and [`Action`]s; a [`Protocol`] says what messages
//! mean, and emits patches into a [`Sink`]. [`presets`] and [`Envelope`] are protocols; a venue of
//! one's own is an implementation of the trait.
//!
//! * A message is a transaction: all that it says takes effect, or (if any of it is refused)
//!   nothing. A bad message is data, counted by its reason; the connection goes on.
//! * Every message is counted in one class, every patch with one outcome: two ledgers that balance
//!   at any quiet moment ([`CounterValues::balanced`]).
//! * Everything that a server can make grow has a bound in [`Settings`], or a constant that says so.
//! * A lost connection is replaced after a delay with jitter, one attempt at a time, until
//!   [`Machine::stop`]; subscriptions outlive it.
//! * Protocols are type parameters: nothing is called through a pointer, formatted or allocated
//!   for a message in steady state.

mod backoff;
mod bulk;
mod config;
mod counters;
mod envelope;
mod group;
mod intake;
mod machine;
mod names;
mod outbox;
mod outgoing;
pub mod presets;
mod protocol;
mod reading;
mod refusal;
mod registry;
mod sequence;
mod shown;
mod snapshot;
mod timer;

pub use backoff::{Backoff, Jitter, Random};
pub use bulk::{BulkId, Deferred, Outcome, Overtaking};
pub use config::{Config, ConfigError, OnConnect, Pace, Settings};
#[cfg(feature = "net")]
pub(crate) use counters::Sampler;
pub use counters::{CounterValues, Counters, Latencies, Latency, NAMED_CHANNELS};
pub(crate) use counters::{Since, Waiter};
pub use envelope::{
    Ask, Envelope, EnvelopeBuilder, EnvelopeError, MessageKind, Origin, Take, Test, Type,
};
pub use group::{Group, GroupAction, Leg, Plan, Role, Spawn};
pub use intake::{Intake, Tap};
pub use machine::{Action, Ended, Lost, MAX_RETRY_AFTER, Machine, State};
pub use outbox::{Outbox, OutboxFull};
pub use protocol::{
    Address, Answer, Asked, Claims, Class, Control, Covers, EntityIx, Missing, Protocol, Refusal,
    Sink, SubscribeError, Subscription, Transaction, Update, Verb,
};
pub use reading::{Ids, TimeUnit};
#[cfg(feature = "net")]
pub(crate) use registry::Report;
pub use registry::{Settled, Standing, Standings, SubscriptionState, SubscriptionStatus, Ticket};
pub use sequence::{Across, Connection, Held, Policy, Rule, Sequence, Verdict};
#[cfg(feature = "net")]
pub(crate) use shown::without_secrets;
pub use snapshot::{Snapshot, SnapshotError, TakeValue, Taken};

#[cfg(test)]
pub(crate) mod testing;
