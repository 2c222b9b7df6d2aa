//! How far the subscriptions of the shown leg are.

use super::{Group, Leg};
use crate::feed::protocol::Protocol;
use crate::feed::registry::Standings;

impl<P: Protocol> Group<P> {
    /// What is new about the subscriptions of the leg that is shown, if anything is. What other
    /// legs were granted or denied is of no account until one of them is shown; then everything is
    /// told anew. To be polled after [`poll_action`](Self::poll_action).
    pub fn poll_standings(&mut self) -> Option<Standings> {
        let shown = self.shown;
        let mut news = None;
        for leg in Leg::ALL {
            let Some(member) = &mut self.members[leg.index()] else {
                continue;
            };
            let changes = member.machine.take_changes();
            if leg == shown {
                news = changes;
            }
        }
        if self.reported == Some(shown) {
            return news;
        }
        self.reported = Some(shown);
        self.machine(shown).map(|machine| machine.standings())
    }
}
