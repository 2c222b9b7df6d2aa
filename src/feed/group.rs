//! Several connections of one feed as one state machine: which are made, which one is shown.
//!
//! A [`Group`] owns one [`Machine`] for each connection, called a *leg*: one or two that stand,
//! at most one successor for a planned rotation, and those that are saying goodbye. All of them
//! carry the same streams. One leg is *shown*: what it brings is the feed's. What the others
//! bring is laid aside by whoever takes the messages, and laid over the values when a leg is
//! *promoted*, so that the shown one may be lost, fall silent or be replaced without a moment in
//! which values are stale.
//!
//! * A leg is *ready* once its connection is open, everything wanted was asked for and answered,
//!   and data has come over it, or `answer_timeout` has passed: a feed may have nothing to say.
//!   Only a ready leg is promoted. It stays ready while later subscriptions are under way; those
//!   are named with the promotion ([`GroupAction::Promoted`]), so that just their values are
//!   doubted.
//! * When the shown leg is lost and another is ready, that one is promoted. If one is open but not
//!   ready, the feed is lost and opens anew with it; if none is open, it is lost, and opens with
//!   whichever leg is back first. With one leg this is what its machine alone would do.
//! * When the shown leg is silent and a ready one is not, that one is promoted. A feed is silent
//!   only if its shown leg is and no ready one speaks.
//! * A leg is replaced before its lifetime ends, or when the server says that it will close it:
//!   a successor subscribes to what the shown leg is subscribed to *now*, is promoted when it is
//!   ready, and only then the old leg says goodbye. Two standing legs rotate at different times.
//! * Requests of callers are answered by the shown leg; the others ask as well. A request that is
//!   open when another leg is promoted is asked of that one again.
//!
//! Nothing here looks at messages, and nothing is done for a message: a group of one costs a
//! look at its actions after each read.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::backoff::Random;
use super::config::Config;
use super::counters::Counters;
use super::machine::{Ended, Machine, State};
use super::protocol::{Protocol, SubscribeError, Subscription, Transaction};
use crate::Time;

mod action;
mod decide;
mod deferring;
mod requests;
mod rotation;
mod standings;

pub use action::{GroupAction, Leg, Plan, Role};

use requests::Open;

/// Makes the machine of a further leg, as it is before it starts.
pub type Spawn<P> = Box<dyn FnMut() -> Result<Machine<P>, SubscribeError> + Send>;

/// What a member is there for; which standing one is shown the group knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Standing,
    Successor { of: Leg },
    Leaving,
}

#[derive(Debug)]
struct Member<P> {
    machine: Machine<P>,
    part: Part,
    /// Which way to the server it takes: that of the standing leg whose place it has or will have.
    path: usize,
    /// Number of its present or last connection among all of the feed's, from 1.
    generation: u64,
    ready: bool,
    /// When it is ready though nothing came.
    ready_at: Time,
    /// It has missed messages that the others brought: it is not ready before that time.
    torn: bool,
    /// When its successor is to be made.
    rotate_at: Time,
}

/// Several connections of one feed as one state machine.
///
/// It is driven as a [`Machine`] is, with a [`Leg`] for every connection. No call blocks; between
/// two messages of steady state nothing is allocated.
pub struct Group<P> {
    members: [Option<Member<P>>; Leg::COUNT],
    spawn: Option<Spawn<P>>,
    plan: Plan,
    random: Random,
    counters: Arc<Counters>,
    actions: VecDeque<GroupAction>,
    /// The leg that is shown while the feed is carried, and the last one that was otherwise.
    shown: Leg,
    /// Whether the shown leg is open.
    carried: bool,
    silent: bool,
    /// A leg that is not shown has fallen silent, or is heard again.
    has_news: bool,
    stopping: bool,
    finished: bool,
    /// How often the feed has opened.
    generation: u64,
    /// How many connections have opened.
    connections: u64,
    open: Vec<Open>,
    /// The leg whose subscriptions were reported last.
    reported: Option<Leg>,
}

impl<P: Protocol> Group<P> {
    /// A feed with one connection, which is never replaced before it is lost.
    #[must_use]
    pub fn single(machine: Machine<P>) -> Self {
        let plan = Plan {
            redundant: false,
            lifetime: Some(Duration::MAX),
        };
        Self::with(machine, plan, None, 0)
    }

    /// A feed that has not started, with as many connections as `plan` says. `spawn` makes the
    /// machine of each; `seed` shakes the times of rotation.
    ///
    /// # Errors
    /// If what the protocol wants from the start cannot be subscribed to.
    pub fn new(plan: Plan, mut spawn: Spawn<P>, seed: u64) -> Result<Self, SubscribeError> {
        let first = spawn()?;
        let second = plan.redundant.then(&mut spawn).transpose()?;
        let mut group = Self::with(first, plan, Some(spawn), seed);
        group.members[1] = second.map(|machine| Member::new(machine, Part::Standing, 1));
        Ok(group)
    }

    fn with(machine: Machine<P>, plan: Plan, spawn: Option<Spawn<P>>, seed: u64) -> Self {
        let counters = Arc::clone(machine.counters());
        let first = Member::new(machine, Part::Standing, 0);
        Self {
            members: [Some(first), None, None, None],
            spawn,
            plan,
            random: Random::seeded(seed),
            counters,
            actions: VecDeque::new(),
            shown: Leg::FIRST,
            carried: false,
            silent: false,
            has_news: false,
            stopping: false,
            finished: false,
            generation: 0,
            connections: 0,
            open: Vec::new(),
            reported: None,
        }
    }

    /// The leg whose messages are the feed's; while nothing is connected, the last that was.
    #[must_use]
    pub const fn shown(&self) -> Leg {
        self.shown
    }

    /// The legs that there are.
    pub fn legs(&self) -> impl Iterator<Item = Leg> + use<P> {
        let present = self.members.each_ref().map(Option::is_some);
        Leg::ALL.into_iter().filter(move |leg| present[leg.index()])
    }

    /// The machine of a leg.
    #[must_use]
    pub fn machine(&self, leg: Leg) -> Option<&Machine<P>> {
        self.member(leg).map(|member| &member.machine)
    }

    /// What a leg is there for.
    #[must_use]
    pub fn role(&self, leg: Leg) -> Option<Role> {
        Some(match self.member(leg)?.part {
            Part::Leaving => Role::Leaving,
            _ if leg == self.shown => Role::Shown,
            Part::Standing => Role::Backup,
            Part::Successor { .. } => Role::Successor,
        })
    }

    /// Whether a leg could be shown now without anything missing.
    #[must_use]
    pub fn is_ready(&self, leg: Leg) -> bool {
        self.member(leg).is_some_and(|member| member.ready)
    }

    /// Number of the leg's present or last connection among all of the feed's, from 1.
    #[must_use]
    pub fn generation(&self, leg: Leg) -> u64 {
        self.member(leg).map_or(0, |member| member.generation)
    }

    /// Where the feed stands: where the one of its legs stands that is furthest.
    #[must_use]
    pub fn state(&self) -> State {
        let rank = |state: &State| match state {
            State::Open => 5,
            State::Closing if self.stopping => 4,
            State::Connecting => 3,
            State::Waiting { .. } => 2,
            State::Idle => 1,
            State::Closing | State::Stopped => 0,
        };
        let members = self.members.iter().flatten();
        members
            .map(|member| member.machine.state())
            .max_by_key(rank)
            .unwrap_or(State::Stopped)
    }

    /// The next subscription that is not wanted any more because the server has refused it to the
    /// leg that is shown.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "for the thread of a feed")
    )]
    pub(crate) fn poll_denied(&mut self) -> Option<Subscription> {
        for (index, member) in self.members.iter_mut().enumerate() {
            let Some(member) = member else { continue };
            let denied = member.machine.poll_denied();
            if index == self.shown.index() && denied.is_some() {
                return denied;
            }
        }
        None
    }

    /// Whether no leg has brought data for `silent_after`.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.silent
    }

    /// Whether something has changed that is told by no action, since the last call.
    #[cfg_attr(
        not(feature = "net"),
        allow(dead_code, reason = "for feeds with sockets")
    )]
    pub(crate) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// What all legs count.
    #[must_use]
    pub const fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The settings, which all legs share.
    ///
    /// # Panics
    /// Never: the shown leg is always there.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.shown_machine().config()
    }

    /// The protocol of the shown leg.
    #[must_use]
    pub fn protocol(&self) -> &P {
        self.shown_machine().protocol()
    }

    /// Where a leg connects to, if the protocol knows; see [`Machine::address`].
    pub fn address(&mut self, leg: Leg) -> Option<String> {
        self.member_mut(leg)?.machine.address()
    }

    /// Begins. Without effect if it has begun before.
    pub fn start(&mut self, now: Time) {
        for leg in Leg::ALL {
            self.drive(leg, now, |machine| machine.start(now));
        }
    }

    /// The leg's connection is made; see [`Machine::handle_connected`].
    pub fn handle_connected(&mut self, leg: Leg, now: Time, leftover: &[u8], texts: &[String]) {
        self.drive(leg, now, |machine| {
            machine.handle_connected(now, leftover, texts);
        });
    }

    /// The leg's attempt to connect failed.
    pub fn handle_failed(&mut self, leg: Leg, now: Time) {
        self.drive(leg, now, |machine| machine.handle_failed(now));
    }

    /// As [`handle_failed`](Self::handle_failed); see [`Machine::handle_refused`].
    pub fn handle_refused(&mut self, leg: Leg, now: Time, retry_after: Duration) {
        self.drive(leg, now, |machine| machine.handle_refused(now, retry_after));
    }

    /// The leg's socket ended.
    pub fn handle_closed(&mut self, leg: Leg, now: Time, how: Ended) {
        self.drive(leg, now, |machine| machine.handle_closed(now, how));
    }

    /// Where to read to from the leg's socket; empty if there is no such leg.
    pub fn space(&mut self, leg: Leg) -> &mut [u8] {
        match &mut self.members[leg.index()] {
            Some(member) => member.machine.space(),
            None => &mut [],
        }
    }

    /// The first `n` bytes of [`space`](Self::space) were read; see [`Machine::handle_filled`].
    /// The sink has to know which leg they are from.
    ///
    /// # Panics
    /// If `n` is more than the space there was.
    pub fn handle_filled<S: Transaction>(
        &mut self,
        leg: Leg,
        now: Time,
        n: usize,
        sink: &mut S,
    ) -> usize {
        self.drive(leg, now, |machine| machine.handle_filled(now, n, sink))
            .unwrap_or_default()
    }

    /// Bytes to be written to the leg's socket, in order.
    #[must_use]
    pub fn transmit(&self, leg: Leg) -> &[u8] {
        self.machine(leg).map_or(&[], Machine::transmit)
    }

    /// The leg's socket took the first `n` bytes of [`transmit`](Self::transmit).
    pub fn handle_transmitted(&mut self, leg: Leg, now: Time, n: usize) {
        self.drive(leg, now, |machine| machine.handle_transmitted(now, n));
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let members = self.members.iter().flatten();
        let machines = members.filter_map(|member| member.machine.poll_timeout());
        let own = Some(self.due()).filter(|due| *due < Time::NEVER);
        machines.chain(own).min()
    }

    /// Deadlines have come, or not: does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Time) {
        for leg in Leg::ALL {
            self.drive(leg, now, |machine| machine.handle_timeout(now));
        }
    }

    /// Messages are missing on the leg's connection, and nobody knows of which key. Whether
    /// another leg is shown instead, which has them.
    pub fn handle_torn(&mut self, leg: Leg, now: Time) -> bool {
        let is_covered = self.torn(leg, now);
        self.review(now);
        is_covered
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<GroupAction> {
        let action = self.actions.pop_front()?;
        if let GroupAction::Gone { leg } = action {
            self.members[leg.index()] = None;
        }
        Some(action)
    }

    /// Stops for good: says goodbye on every connection, and never connects again.
    pub fn stop(&mut self, now: Time) {
        self.stopping = true;
        for leg in Leg::ALL {
            self.drive(leg, now, |machine| machine.stop(now));
        }
    }

    fn member(&self, leg: Leg) -> Option<&Member<P>> {
        self.members[leg.index()].as_ref()
    }

    fn member_mut(&mut self, leg: Leg) -> Option<&mut Member<P>> {
        self.members[leg.index()].as_mut()
    }

    fn shown_machine(&self) -> &Machine<P> {
        let shown = self.machine(self.shown);
        shown.expect("the shown leg leaves only after another was shown")
    }
}

impl<P> Member<P> {
    const fn new(machine: Machine<P>, part: Part, path: usize) -> Self {
        Self {
            machine,
            part,
            path,
            generation: 0,
            ready: false,
            ready_at: Time::NEVER,
            torn: false,
            rotate_at: Time::NEVER,
        }
    }
}

impl<P: fmt::Debug> fmt::Debug for Group<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("members", &self.members)
            .field("plan", &self.plan)
            .field("shown", &self.shown)
            .field("carried", &self.carried)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
