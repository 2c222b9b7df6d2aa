//! What a feed's subscriptions are worth: how far each is, and whether data comes.

use super::attach::FeedRef;
use crate::feed::SubscriptionStatus;

impl FeedRef {
    /// Every subscription that is wanted, in order of channel and id, and how far it is; then those
    /// that were given up, with the reason, the last 1,024 of them.
    ///
    /// A subscription that was granted and brings nothing within `first_data_within`
    /// ([`Settings`](crate::feed::Settings)) reads
    /// [`Silent`](crate::feed::SubscriptionState::Silent), is logged once for each connection and
    /// counted as `subscriptions_silent`; one that was refused is counted as
    /// `subscriptions_denied`. Heartbeats, pongs and answers are no data.
    ///
    /// Takes a lock that the feed's thread takes when the server answers; looks each value up.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<SubscriptionStatus> {
        let shared = &self.0.shared;
        let now = shared.clock.now();
        let store = &shared.store;
        let received_at = |entity: &str, id: &crate::key::Id| {
            let entity = store.entity(entity).ok()?;
            entity.with(id.as_ref(), |slot| slot.head().received_at)
        };
        let board = self.0.handle.board();
        board.subscriptions(|report| report.states(now, received_at))
    }
}
