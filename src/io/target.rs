//! What a driver feeds: a [`Transaction`] that also learns what becomes of the connection.

use super::command::Command;
use super::inbox::CommandError;
use super::ingest::BulkOptions;
use crate::Time;
use crate::feed::Transaction;
use crate::key::Id;
use crate::record::Document;
use std::sync::Arc;

/// Documents that no version names any more.
pub(crate) type Waste = Vec<Arc<Document>>;

/// Where the messages of one feed land. [`Ingest`](super::ingest::Ingest) is the real one.
///
/// Calls come in batches: [`begin`](Self::begin), then anything, then
/// [`finish`](Self::finish), which tells the waiters once for all of it.
pub(crate) trait Target: Transaction {
    /// A batch begins: whatever is received from now on was received at `now`.
    fn begin(&mut self, now: Time);
    /// The batch ends. May be called any number of times.
    fn finish(&mut self);
    /// What is no longer needed and may take its time to drop, if there is any.
    fn waste(&mut self) -> Option<Waste>;
    /// A connection is open.
    fn opened(&mut self);
    /// There is no connection any more.
    fn lost(&mut self);
    /// No data has come for too long, or (`false`) it came after all.
    fn silent(&mut self, silent: bool);
    /// Something was missed on the connection.
    fn gap(&mut self);
    /// Long messages may be taken apart elsewhere from now on.
    fn take_apart_elsewhere(&mut self, options: BulkOptions) {
        drop(options);
    }
    /// Whether long messages are on their way: commands about values come after them.
    fn awaits_long(&self) -> bool {
        false
    }
    /// Whether [`resume`](Transaction::resume) has something to do.
    fn has_landing(&self) -> bool {
        false
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
