//! Subscriptions at run time: every leg asks, one of them answers the caller.

use super::{Group, GroupAction, Leg, Part};
use crate::Time;
use crate::feed::protocol::{Protocol, SubscribeError, Subscription, Verb};
use crate::feed::registry::{Settled, Ticket};

/// A request of a caller that has no answer yet.
#[derive(Debug)]
pub(super) struct Open {
    ticket: Ticket,
    /// Which leg's answer counts.
    leg: Leg,
    verb: Verb,
    of: Vec<Subscription>,
}

impl<P: Protocol> Group<P> {
    /// Wants subscriptions, all or none, from now on, on every leg and every further connection.
    /// The ticket is settled when the server has answered for all of them on the shown leg.
    ///
    /// # Errors
    /// If they cannot be asked for at all; the ticket is then not used.
    pub fn subscribe(
        &mut self,
        now: Time,
        ticket: Ticket,
        wanted: Vec<Subscription>,
    ) -> Result<(), SubscribeError> {
        self.request(now, ticket, Verb::Subscribe, wanted)
    }

    /// Takes subscriptions back, on every leg. What is not subscribed to is left alone.
    ///
    /// # Errors
    /// If the feed has stopped; the ticket is then not used.
    pub fn unsubscribe(
        &mut self,
        now: Time,
        ticket: Ticket,
        unwanted: &[Subscription],
    ) -> Result<(), SubscribeError> {
        self.request(now, ticket, Verb::Unsubscribe, unwanted.to_vec())
    }

    fn request(
        &mut self,
        now: Time,
        ticket: Ticket,
        verb: Verb,
        of: Vec<Subscription>,
    ) -> Result<(), SubscribeError> {
        let leg = self.shown;
        // Before it is asked: what there is to wait for may be nothing.
        self.open.push(Open {
            ticket,
            leg,
            verb,
            of: of.clone(),
        });
        if let Err(error) = self.ask(leg, now, Some(ticket), verb, of.clone()) {
            self.open.retain(|open| open.ticket != ticket);
            return Err(error);
        }
        for other in self.legs().filter(|other| *other != leg) {
            if let Err(error) = self.ask(other, now, None, verb, of.clone()) {
                let (ticket, result) = (None, Err(error));
                self.actions
                    .push_back(GroupAction::Settled(Settled { ticket, result }));
            }
        }
        Ok(())
    }

    fn ask(
        &mut self,
        leg: Leg,
        now: Time,
        ticket: Option<Ticket>,
        verb: Verb,
        of: Vec<Subscription>,
    ) -> Result<(), SubscribeError> {
        if self.member(leg).is_some_and(|it| it.part == Part::Leaving) {
            return Ok(());
        }
        let asked = self.drive(leg, now, |machine| match verb {
            Verb::Subscribe => machine.subscribe(now, ticket, of),
            Verb::Unsubscribe => machine.unsubscribe(now, ticket, &of),
        });
        asked.unwrap_or(Ok(()))
    }

    /// A leg's machine has settled a request.
    pub(super) fn settled(&mut self, leg: Leg, settled: Settled) {
        if let Some(ticket) = settled.ticket {
            let found = self.open.iter().position(|open| open.ticket == ticket);
            let Some(at) = found.filter(|at| self.open[*at].leg == leg) else {
                // Of a leg that was shown when it was asked, and is not any more.
                return;
            };
            self.open.swap_remove(at);
        } else if self.member(leg).is_some_and(|it| it.part == Part::Leaving) {
            return;
        }
        self.actions.push_back(GroupAction::Settled(settled));
    }

    /// Another leg is shown: what has no answer yet is asked of that one again.
    pub(super) fn hand_over_requests(&mut self, now: Time) {
        let shown = self.shown;
        while let Some(open) = self.open.iter_mut().find(|open| open.leg != shown) {
            open.leg = shown;
            let (ticket, verb, of) = (open.ticket, open.verb, open.of.clone());
            if let Err(error) = self.ask(shown, now, Some(ticket), verb, of) {
                let (ticket, result) = (Some(ticket), Err(error));
                self.settled(shown, Settled { ticket, result });
            }
        }
    }
}
