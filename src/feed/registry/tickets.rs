//! Who waits for subscriptions, and is told once.

use super::{Key, Open, Registry, Settled, Standing, Ticket};
use crate::feed::protocol::SubscribeError;

impl Registry {
    /// An entry is given up, and everyone who waits for it is told.
    pub(super) fn fail(&mut self, key: Key, error: &SubscribeError) {
        let tickets = self.take_tickets(key);
        let given_up = self.entries.get(&key).map(|e| e.subscription.clone());
        if let Some(entry) = self.entries.get(&key) {
            self.denied.push_back(entry.subscription.clone());
        }
        self.remove(key);
        if let Some(subscription) = given_up {
            let denied = Standing::Denied(error.clone());
            self.changes.push(&subscription, denied);
        }
        if tickets.is_empty() {
            self.settled.push_back(Settled {
                ticket: None,
                result: Err(error.clone()),
            });
        }
        self.finish_all(tickets, Some(error));
    }

    pub(super) fn wait(&mut self, key: Key, ticket: Option<Ticket>) {
        if let (Some(ticket), Some(entry)) = (ticket, self.entries.get_mut(&key)) {
            entry.tickets.push(ticket);
            self.tickets.entry(ticket).and_modify(|open| open.left += 1);
        }
    }

    /// A ticket is held open by one while what it waits for is collected.
    pub(super) fn open_ticket(&mut self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            self.tickets.insert(
                ticket,
                Open {
                    left: 1,
                    error: None,
                },
            );
        }
    }

    pub(super) fn close_ticket(&mut self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            self.finish(ticket, None);
        }
    }

    pub(super) fn finish_all(&mut self, tickets: Vec<Ticket>, error: Option<&SubscribeError>) {
        for ticket in tickets {
            self.finish(ticket, error.cloned());
        }
    }

    fn finish(&mut self, ticket: Ticket, error: Option<SubscribeError>) {
        let Some(open) = self.tickets.get_mut(&ticket) else {
            return;
        };
        open.left -= 1;
        if open.error.is_none() {
            open.error = error;
        }
        if open.left == 0 {
            let result = open.error.take().map_or(Ok(()), Err);
            self.tickets.remove(&ticket);
            self.settled.push_back(Settled {
                ticket: Some(ticket),
                result,
            });
        }
    }
}
