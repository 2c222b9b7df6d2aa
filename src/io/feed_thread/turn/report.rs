//! What a turn tells the status board.

use super::super::super::connect::ConnectError;
use super::super::super::status::LegStatus;
use super::super::super::target::Target;
use super::{Feed, is_loss};
use crate::feed::{Leg, Lost, Protocol, Role, State};
use std::net::SocketAddr;
use std::sync::Arc;

impl<P: Protocol, T: Target> Feed<'_, P, T> {
    pub(super) fn report_error(&mut self, leg: Leg, error: Arc<ConnectError>) {
        self.post.legs[leg.index()].last_error = Some(Arc::clone(&error));
        self.post
            .board
            .update(|status| status.last_error = Some(error));
    }

    pub(super) fn report_peer(&mut self, leg: Leg, peer: SocketAddr, protocol: Option<usize>) {
        let seen = &mut self.post.legs[leg.index()];
        seen.peer = Some(peer);
        seen.last_error = None;
        self.post.board.update(|status| {
            status.peer = Some(peer);
            status.subprotocol = protocol;
            status.last_error = None;
        });
    }

    pub(super) fn report_loss(&mut self, leg: Leg, reason: Lost) {
        let name = &self.post.options.name;
        let is_planned = self.group.role(leg) == Some(Role::Leaving);
        if is_planned {
            tracing::info!(feed = name, leg = leg.index(), "replaced");
            return;
        }
        if is_loss(reason) {
            tracing::info!(feed = name, leg = leg.index(), %reason, "a connection is lost");
        }
        self.post.legs[leg.index()].last_loss = Some(reason);
        self.post
            .board
            .update(|status| status.last_loss = Some(reason));
    }

    pub(super) fn publish_status(&self) {
        let (state, silent) = (self.group.state(), self.group.is_silent());
        let attempts = self.post.connectors.iter().map(|it| it.attempts()).sum();
        let mut legs: Vec<_> = self.group.legs().map(|leg| self.status_of(leg)).collect();
        legs.sort_by_key(|leg| leg.role != Role::Shown);
        self.post.board.update(|status| {
            status.state = state;
            status.silent = silent;
            status.attempts = attempts;
            status.legs = legs;
        });
    }

    fn status_of(&self, leg: Leg) -> LegStatus {
        let (seen, machine) = (&self.post.legs[leg.index()], self.group.machine(leg));
        LegStatus {
            role: self.group.role(leg).unwrap_or(Role::Leaving),
            state: machine.map_or(State::Stopped, |machine| machine.state()),
            ready: self.group.is_ready(leg),
            silent: machine.is_some_and(|machine| machine.is_silent()),
            generation: self.group.generation(leg),
            peer: seen.peer,
            last_error: seen.last_error.clone(),
            last_loss: seen.last_loss,
        }
    }
}
