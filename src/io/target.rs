//! What a driver feeds: a [`Transaction`] that also learns what becomes of the connection.

use super::clock::Clock;
use super::command::Command;
use super::inbox::CommandError;
use super::ingest::BulkOptions;
use crate::Time;
use crate::feed::{Leg, Transaction};
use crate::key::Id;
use crate::record::Document;
use std::sync::Arc;

/// Documents that no version names any more.
pub(crate) type Waste = Vec<Arc<Document>>;

/// Where the messages of one feed land. [`Ingest`](super::ingest::Ingest) is the real one.
///
/// Calls come in batches: [`begin`](Self::begin), then anything, then
/// [`finish`](Self::finish), which tells the waiters once for all of it.
#[cfg_attr(
    not(feature = "net"),
    allow(
        dead_code,
        reason = "without sockets there are not several connections"
    )
)]
pub(crate) trait Target: Transaction {
    /// A batch begins: whatever is received from now on was received at `now`. What is invalidated
    /// from here on is not undone by it, so this comes before bytes are read.
    fn begin(&mut self, now: Time);
    /// What was read since the batch began was received at `now`.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "only feed threads need it")
    )]
    fn received(&mut self, now: Time);
    /// The batch ends. May be called any number of times.
    fn finish(&mut self);
    /// What is no longer needed and may take its time to drop, if there is any.
    fn waste(&mut self) -> Option<Waste>;
    /// The feed is open, and this leg is the one that is shown.
    fn opened(&mut self, leg: Leg);
    /// There is no connection any more.
    fn lost(&mut self);
    /// A connection is open beside the one that is shown.
    fn joined(&mut self, leg: Leg);
    /// The connection of a leg is no more, whether or not it was shown.
    fn left(&mut self, leg: Leg);
    /// This leg is shown from here on, in the place of the one before.
    fn promoted(&mut self, leg: Leg);
    /// What comes from here on has come over this leg.
    fn speaks(&mut self, leg: Leg);
    /// The leg whose connection misses messages of nobody knows which key, where another one may
    /// have them, once: to be answered by [`promoted`](Self::promoted) of another one or by
    /// [`gap`](Self::gap), if it is the one that is shown.
    fn torn(&mut self) -> Option<Leg>;
    /// Does a bounded part of what the last promotion has left to be done; whether there is more.
    fn catch_up(&mut self) -> bool;
    /// What keeps this value up has not been granted on the connection that is shown.
    fn doubt(&mut self, entity: &str, id: &Id);
    /// No data has come for too long, or (`false`) it came after all.
    fn silent(&mut self, silent: bool);
    /// When [`handle_timeout`](Self::handle_timeout) is to be called, if ever.
    fn poll_timeout(&self) -> Option<Time>;
    /// Looks at what is due at the time at which the batch began.
    fn handle_timeout(&mut self);
    /// When the value was last received; `None` if there is none.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "only feed threads need it")
    )]
    fn received_at(&self, entity: &str, id: &Id) -> Option<Time>;
    /// Something was missed on the connection.
    fn gap(&mut self);
    /// Latencies are measured by this clock from now on.
    fn measure(&mut self, clock: Clock) {
        let _ = clock;
    }
    /// What comes next was brought by a read that is timed.
    fn time_first(&mut self) {}
    /// When the first message since [`time_first`](Self::time_first) that published anything had
    /// done so; `None` if none did. Ends the timing.
    fn first_visible_at(&mut self) -> Option<Time> {
        None
    }
    /// Long messages may be taken apart elsewhere from now on.
    fn take_apart_elsewhere(&mut self, options: BulkOptions) {
        drop(options);
    }
    /// How many long messages are on their way: commands about values come after them.
    fn long_messages(&self) -> usize {
        0
    }
    /// Lands a portion of the first long message, if it has been taken apart.
    ///
    /// # Panics
    /// As the protocol did while it took the message apart.
    fn land_some(&mut self) {}
    /// Whether [`land_some`](Self::land_some) has something to do.
    fn has_landing(&self) -> bool {
        false
    }
    /// Counts long messages that are through and that no machine has asked for
    /// ([`resume`](Transaction::resume)): theirs is gone.
    fn disown(&mut self) {}
    /// A subscription was asked for that keeps this value up.
    fn subscribed(&mut self, entity: &str, id: &Id) {
        let _ = (entity, id);
    }
    /// Nothing keeps this value up any more.
    fn unsubscribed(&mut self, entity: &str, id: &Id);
    /// Another thread's command about values. Those about subscriptions are the driver's: here
    /// they are refused.
    ///
    /// # Errors
    /// Why it was not carried out; nothing of it was.
    fn obey(&mut self, command: Command) -> Result<(), CommandError>;
}
