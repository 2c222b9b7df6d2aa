//! A feed without a connection: its messages are handed in by a caller, on the caller's thread.
//!
//! Behind replays through memory and behind users' tests. The protocol, the ledgers and the
//! publications are those of a feed with a socket; frames, subscriptions and reconnects have no
//! meaning here, and the caller says when a connection opens, is lost or falls silent.

use super::command::Command;
use super::inbox::{CommandError, Commands, Inbox, Request, inbox};
use super::latch::WakeOn;
use super::target::Target;
use crate::Time;
use crate::feed::{
    Class, Config, Counters, Intake, Leg, Outbox, Protocol, Refusal, Subscription, Tap,
};
use std::sync::Arc;
use std::time::Duration;

/// A feed whose messages come from its caller. Not `Sync`: it is the owner of what it claims.
#[derive(Debug)]
pub(crate) struct LocalFeed<P, T> {
    intake: Intake<P>,
    target: T,
    commands: Commands<Command>,
    counters: Arc<Counters>,
    silent_after: Duration,
    open: bool,
    was_open: bool,
    heard_at: Time,
    silent: bool,
    /// When the messages of the batch were received.
    now: Time,
}

impl<P: Protocol, T: Target> LocalFeed<P, T> {
    /// A feed that is not open yet, and the way in for other threads' commands, of which
    /// `capacity` may wait.
    pub(crate) fn new(
        config: &Config,
        protocol: P,
        counters: Arc<Counters>,
        target: T,
        capacity: usize,
    ) -> (Self, Inbox<Command>) {
        let settings = config.settings();
        let outbox = Outbox::new(settings.max_outgoing_texts, settings.max_outgoing_bytes);
        let (inbox, commands) = inbox(capacity, Arc::clone(&counters), WakeOn::here(), || {});
        let feed = Self {
            intake: Intake::new(protocol, settings.max_depth, outbox, Arc::clone(&counters)),
            target,
            commands,
            counters,
            silent_after: settings.silent_after,
            open: false,
            was_open: false,
            heard_at: Time::ZERO,
            silent: false,
            now: Time::ZERO,
        };
        (feed, inbox)
    }

    /// Shows every message that the protocol does not map to `tap`.
    pub(crate) fn tap(&mut self, tap: Tap) {
        self.intake.tap(tap);
    }

    /// The connection is open. A feed that was open already is lost first.
    pub(crate) fn opened(&mut self, now: Time) {
        self.lost(now);
        self.open = true;
        self.silent = false;
        self.heard_at = now;
        if std::mem::replace(&mut self.was_open, true) {
            self.counters.reconnects.bump();
        }
        self.counters.opens.bump();
        self.target.begin(now);
        self.target.opened(Leg::FIRST);
        // Texts that do not fit would not have gone anywhere.
        let _ = self.intake.opened();
        self.forget_replies();
        self.target.finish();
    }

    /// The connection is lost. Without effect if there is none.
    pub(crate) fn lost(&mut self, now: Time) {
        if std::mem::take(&mut self.open) {
            self.counters.losses.bump();
            self.target.begin(now);
            self.target.left(Leg::FIRST);
            self.target.lost();
            self.target.finish();
        }
    }

    /// Something was missed on the connection.
    pub(crate) fn gap(&mut self, now: Time) {
        self.target.begin(now);
        self.target.gap();
        self.target.finish();
    }

    /// Takes one message, received at `now`, and tells those who wait. Its bytes may be changed.
    ///
    /// # Errors
    /// Why it was refused, as it is counted.
    pub(crate) fn deliver(&mut self, now: Time, text: &mut [u8]) -> Result<(), Refusal> {
        self.begin(now);
        let taken = self.message(text);
        self.finish();
        taken
    }

    /// Begins a batch of [`message`](Self::message)s, all received at `now`.
    pub(crate) fn begin(&mut self, now: Time) {
        self.now = now;
        self.target.begin(now);
    }

    /// Takes one message of a batch. What it says is visible at once.
    ///
    /// # Errors
    /// Why it was refused, as it is counted.
    #[inline]
    pub(crate) fn message(&mut self, text: &mut [u8]) -> Result<(), Refusal> {
        let class = self.intake.text(text, &mut self.target)?;
        if matches!(class, Class::Data | Class::Invalidation) {
            self.heard_at = self.now;
            if self.silent {
                self.silent = false;
                self.target.silent(false);
            }
        }
        self.forget_replies();
        Ok(())
    }

    /// Ends a batch: tells those who wait.
    pub(crate) fn finish(&mut self) {
        self.target.finish();
        drop(self.target.waste());
    }

    /// Carries out the commands that wait, notices silence, and tells those who wait.
    pub(crate) fn settle(&mut self, now: Time) {
        self.commands.adopt();
        self.counters.queue_depth.set(self.commands.len() as u64);
        self.target.begin(now);
        while let Some(Request { command, reply }) = self.commands.pop() {
            reply.finish(self.obey(command));
        }
        if self.open && !self.silent && now >= self.heard_at.after(self.silent_after) {
            self.silent = true;
            self.counters.silences.bump();
            self.target.silent(true);
        }
        self.target.handle_timeout();
        self.target.finish();
        drop(self.target.waste());
    }

    /// Whether commands wait for [`settle`](Self::settle).
    #[cfg_attr(
        not(feature = "testing"),
        allow(dead_code, reason = "for virtual clocks")
    )]
    pub(crate) fn has_commands(&self) -> bool {
        !self.commands.is_empty()
    }

    /// When [`settle`](Self::settle) has something to notice, if ever.
    #[cfg_attr(
        not(feature = "testing"),
        allow(dead_code, reason = "for virtual clocks")
    )]
    pub(crate) fn deadline(&self) -> Option<Time> {
        let due = self.heard_at.after(self.silent_after);
        let due = (self.open && !self.silent && due < Time::NEVER).then_some(due);
        [due, self.target.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// There is no server that replies could go to.
    fn forget_replies(&mut self) {
        while self.intake.outbox().pop().is_some() {}
    }

    fn obey(&mut self, command: Command) -> Result<(), CommandError> {
        match command {
            Command::Subscribe(wanted) => {
                // There is no server to ask: what can be asked for is granted.
                let check =
                    |subscription: &Subscription| self.intake.protocol().check(subscription);
                wanted.iter().try_for_each(check)?;
                for subscription in &wanted {
                    if let Some((entity, id)) = self.intake.protocol().value_of(subscription) {
                        self.target.subscribed(&entity, &id);
                    }
                }
                Ok(())
            }
            Command::Unsubscribe(unwanted) => {
                for subscription in &unwanted {
                    if let Some((entity, id)) = self.intake.protocol().value_of(subscription) {
                        self.target.unsubscribed(&entity, &id);
                    }
                }
                Ok(())
            }
            command => self.target.obey(command),
        }
    }
}
