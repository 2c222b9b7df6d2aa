//! What a [`Group`](crate::feed::Group) asks of one of several machines for the same upstream.

use super::{Machine, State};
use crate::feed::protocol::{Protocol, SubscribeError, Subscription};
use crate::feed::registry::{Registry, Standings};

impl<P: Protocol> Machine<P> {
    /// Whether its connection is open, let in, and has asked for everything that was wanted when
    /// it opened: nothing waits, and nothing is unanswered.
    pub(in crate::feed) fn is_settled(&self) -> bool {
        self.state == State::Open && self.intake.protocol.is_ready() && self.registry.is_settled()
    }

    /// Whether the present connection has brought data.
    pub(in crate::feed) const fn has_data(&self) -> bool {
        self.has_data
    }

    /// What it is subscribed to or is about to be, in the order of asking.
    pub(in crate::feed) fn subscribed(&self) -> Vec<Subscription> {
        self.registry.subscribed().cloned().collect()
    }

    /// What it wants, and has not been granted on the present connection.
    pub(in crate::feed) fn unsettled(&self) -> Vec<Subscription> {
        self.registry.unsettled().cloned().collect()
    }

    /// What has changed about its subscriptions since the last call.
    #[inline]
    pub(in crate::feed) fn take_changes(&mut self) -> Option<Standings> {
        self.registry.take_changes()
    }

    /// All of its subscriptions, as they stand.
    pub(in crate::feed) fn standings(&self) -> Standings {
        self.registry.standings()
    }

    /// Wants these and nothing else. Before it starts.
    pub(in crate::feed) fn adopt(
        &mut self,
        wanted: Vec<Subscription>,
    ) -> Result<(), SubscribeError> {
        debug_assert_eq!(self.state, State::Idle, "a connection knows what was asked");
        let mut registry = Registry::default();
        registry.subscribe(None, wanted, self.intake.protocol.capacity())?;
        self.registry = registry;
        Ok(())
    }
}
