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
    /// Whose answers are missing: the shown leg's for a subscription, and those of all legs for
    /// its end, since each goes on sending until it has answered.
    left: [bool; Leg::COUNT],
    result: Result<(), SubscribeError>,
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
        let mut left = [false; Leg::COUNT];
        for other in self.legs() {
            let part = self.member(other).map(|member| member.part);
            left[other.index()] =
                other == leg || (verb == Verb::Unsubscribe && part != Some(Part::Leaving));
        }
        // Before it is asked: what there is to wait for may be nothing.
        self.open.push(Open {
            ticket,
            leg,
            left,
            result: Ok(()),
            verb,
            of: of.clone(),
        });
        if let Err(error) = self.ask(leg, now, Some(ticket), verb, of.clone()) {
            self.open.retain(|open| open.ticket != ticket);
            return Err(error);
        }
        for other in self.legs().filter(|other| *other != leg) {
            let awaited = left[other.index()].then_some(ticket);
            if let Err(error) = self.ask(other, now, awaited, verb, of.clone()) {
                let result = Err(error);
                match awaited {
                    Some(_) => self.settled(
                        other,
                        Settled {
                            ticket: awaited,
                            result,
                        },
                    ),
                    None => self.report(result),
                }
            }
        }
        Ok(())
    }

    /// Of a leg that nobody waits for.
    fn report(&mut self, result: Result<(), SubscribeError>) {
        let ticket = None;
        self.actions
            .push_back(GroupAction::Settled(Settled { ticket, result }));
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
        let leaving = self.member(leg).is_some_and(|it| it.part == Part::Leaving);
        let Some(ticket) = settled.ticket else {
            if !leaving {
                self.actions.push_back(GroupAction::Settled(settled));
            }
            return;
        };
        let found = self.open.iter().position(|open| open.ticket == ticket);
        // Of a leg that was shown when it was asked, and is not any more, nobody waits.
        let Some(at) = found.filter(|at| self.open[*at].left[leg.index()]) else {
            return;
        };
        let open = &mut self.open[at];
        open.left[leg.index()] = false;
        if leg == open.leg && !leaving {
            open.result = settled.result;
        } else if open.verb == Verb::Unsubscribe
            && settled.result == Err(SubscribeError::Unanswered)
            && open.result.is_ok()
        {
            // It may go on sending.
            open.result = settled.result;
        }
        if open.left.contains(&true) {
            return;
        }
        let result = self.open.swap_remove(at).result;
        let ticket = Some(ticket);
        self.actions
            .push_back(GroupAction::Settled(Settled { ticket, result }));
    }

    /// Another leg is shown: what has no answer yet is asked of that one again.
    pub(super) fn hand_over_requests(&mut self, now: Time) {
        loop {
            // Asking may show yet another one.
            let shown = self.shown;
            let Some(open) = self.open.iter_mut().find(|open| open.leg != shown) else {
                return;
            };
            open.leg = shown;
            if open.verb == Verb::Subscribe {
                open.left = [false; Leg::COUNT];
            }
            if std::mem::replace(&mut open.left[shown.index()], true) {
                // Asked already.
                continue;
            }
            let (ticket, verb, of) = (open.ticket, open.verb, open.of.clone());
            if let Err(error) = self.ask(shown, now, Some(ticket), verb, of) {
                let (ticket, result) = (Some(ticket), Err(error));
                self.settled(shown, Settled { ticket, result });
            }
        }
    }
}
