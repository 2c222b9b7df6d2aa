//! Which leg is shown: what the actions of the machines mean for the feed.

use super::{Group, GroupAction, Leg, Member, Part};
use crate::Time;
use crate::feed::machine::{Action, Lost, Machine, State};
use crate::feed::protocol::Protocol;

impl<P: Protocol> Group<P> {
    /// Has a leg's machine do something, and does what follows from it.
    pub(super) fn drive<R>(
        &mut self,
        leg: Leg,
        now: Time,
        act: impl FnOnce(&mut Machine<P>) -> R,
    ) -> Option<R> {
        let result = act(&mut self.member_mut(leg)?.machine);
        self.absorb(leg, now);
        Some(result)
    }

    /// Takes the actions of a leg's machine over.
    pub(super) fn absorb(&mut self, leg: Leg, now: Time) {
        while let Some(action) = self
            .member_mut(leg)
            .and_then(|member| member.machine.poll_action())
        {
            self.take(leg, action, now);
        }
        self.review(now);
    }

    #[cold]
    fn take(&mut self, leg: Leg, action: Action, now: Time) {
        match action {
            Action::Connect { attempt } => {
                let path = self.member(leg).map_or(0, |member| member.path);
                self.actions
                    .push_back(GroupAction::Connect { leg, path, attempt });
            }
            Action::Disconnect => self.actions.push_back(GroupAction::Disconnect { leg }),
            Action::Opened { .. } => self.opened(leg, now),
            Action::Lost(reason) => self.lost(leg, reason, now),
            Action::Silent | Action::Audible => {
                self.has_news = true;
                if leg == self.shown {
                    self.agree();
                }
            }
            Action::Closing => {
                self.actions.push_back(GroupAction::Closing { leg });
                self.rotate_soon(leg, now);
            }
            Action::Refused(reason) => {
                self.actions.push_back(GroupAction::Refused { leg, reason });
            }
            Action::Settled(settled) => self.settled(leg, settled),
            Action::Finished => self.finished(leg),
        }
    }

    fn opened(&mut self, leg: Leg, now: Time) {
        self.connections += 1;
        let generation = self.connections;
        let rotate_at = self.rotation_of(leg, now);
        let Some(member) = self.member_mut(leg) else {
            return;
        };
        member.generation = generation;
        member.ready = false;
        member.torn = false;
        let grace = member.machine.config().settings().answer_timeout;
        member.ready_at = now.after(grace);
        member.rotate_at = rotate_at;
        if self.carried {
            self.actions.push_back(GroupAction::Joined { leg });
        } else {
            self.open_with(leg, now);
        }
    }

    /// The feed opens with a leg that is open.
    fn open_with(&mut self, leg: Leg, now: Time) {
        self.carried = true;
        self.silent = false;
        self.generation += 1;
        self.shown = leg;
        self.actions.push_back(GroupAction::Opened {
            leg,
            generation: self.generation,
        });
        self.agree();
        self.hand_over_requests(now);
    }

    fn lost(&mut self, leg: Leg, reason: Lost, now: Time) {
        if let Some(member) = self.member_mut(leg) {
            member.ready = false;
            member.ready_at = Time::NEVER;
            member.rotate_at = Time::NEVER;
        }
        self.actions.push_back(GroupAction::Left { leg, reason });
        if leg != self.shown || !self.carried {
            return;
        }
        if self.stopping {
            return self.down(reason);
        }
        if let Some(other) = self.best(can_step_in) {
            return self.promote(other, now);
        }
        self.down(reason);
        if let Some(other) = self.best(|_| true) {
            self.open_with(other, now);
        }
    }

    fn down(&mut self, reason: Lost) {
        self.carried = false;
        self.silent = false;
        self.actions.push_back(GroupAction::Lost(reason));
    }

    /// The leg to be shown instead of the present one, of those that fit and are open: one that
    /// speaks rather than one that is silent.
    fn best(&self, fits: impl Fn(&Member<P>) -> bool) -> Option<Leg> {
        let others = self.legs().filter(|leg| *leg != self.shown);
        let fitting = others.filter(|leg| {
            self.member(*leg).is_some_and(|member| {
                member.part != Part::Leaving
                    && member.machine.state() == State::Open
                    && fits(member)
            })
        });
        fitting.min_by_key(|leg| self.machine(*leg).is_none_or(Machine::is_silent))
    }

    /// Shows a leg, without anything becoming stale.
    pub(super) fn promote(&mut self, leg: Leg, now: Time) {
        let wanted = self.machine(self.shown).map(Machine::subscribed);
        self.shown = leg;
        self.counters.promotions.bump();
        if let (Some(member), Some(wanted)) = (self.member_mut(leg), wanted) {
            // What this leg was refused is asked for again; what cannot be, nobody keeps up.
            let _ = member.machine.subscribe(now, None, wanted);
        }
        let unsettled = self.machine(leg).map(Machine::unsettled);
        self.actions.push_back(GroupAction::Promoted {
            leg,
            unsettled: unsettled.unwrap_or_default(),
        });
        self.agree();
        self.hand_over_requests(now);
    }

    /// The feed is as silent as its shown leg.
    fn agree(&mut self) {
        let silent = self.machine(self.shown).is_some_and(Machine::is_silent);
        // Of a silent leg that another one may stand in for, `review` decides.
        let silent = silent && self.best(speaks).is_none();
        if self.carried && silent != self.silent {
            self.silent = silent;
            self.actions.push_back(if silent {
                GroupAction::Silent
            } else {
                GroupAction::Audible
            });
        }
    }

    /// Looks at what may have changed with the time or with a machine's state.
    pub(super) fn review(&mut self, now: Time) {
        if self.stopping || self.spawn.is_none() {
            return;
        }
        for leg in Leg::ALL {
            let Some(member) = &mut self.members[leg.index()] else {
                continue;
            };
            if !member.ready && member.machine.is_settled() {
                let heard = member.machine.has_data() && !member.torn;
                if heard || member.ready_at <= now {
                    member.ready = true;
                    self.actions.push_back(GroupAction::Ready { leg });
                }
            }
        }
        if self.carried
            && self.machine(self.shown).is_some_and(Machine::is_silent)
            && let Some(other) = self.best(speaks)
        {
            self.promote(other, now);
        }
        if self.carried
            && self.member(self.shown).is_some_and(|shown| shown.torn)
            && let Some(other) = self.best(|other| !other.torn && can_step_in(other))
        {
            // It has, or will have, what the shown one misses.
            self.promote(other, now);
        }
        self.rotate(now);
    }

    /// The leg misses messages of nobody knows which key. Whether another one is shown now.
    pub(super) fn torn(&mut self, leg: Leg, now: Time) -> bool {
        let Some(member) = self.member_mut(leg) else {
            return false;
        };
        // What it misses the others bring; after a while it is as good as they are.
        member.ready = false;
        let grace = member.machine.config().settings().answer_timeout;
        member.ready_at = now.after(grace);
        member.torn = true;
        if leg != self.shown || !self.carried {
            return leg != self.shown;
        }
        match self.best(can_step_in) {
            Some(other) => {
                self.promote(other, now);
                true
            }
            None => false,
        }
    }

    fn finished(&mut self, leg: Leg) {
        if self.member(leg).is_some_and(|it| it.part == Part::Leaving) {
            self.actions.push_back(GroupAction::Gone { leg });
        }
        let mut members = self.members.iter().flatten();
        let is_over = members.all(|member| member.machine.state() == State::Stopped);
        if self.stopping && is_over && !std::mem::replace(&mut self.finished, true) {
            self.actions.push_back(GroupAction::Finished);
        }
    }
}

/// Whether a leg could be shown: what it may have missed can be named.
pub(super) fn can_step_in<P: Protocol>(member: &Member<P>) -> bool {
    let protocol = member.machine.protocol();
    let can_be_named = |subscription| protocol.value_of(&subscription).is_some();
    member.ready && member.machine.unsettled().into_iter().all(can_be_named)
}

/// Whether a leg could be shown, and has something to say.
fn speaks<P: Protocol>(member: &Member<P>) -> bool {
    !member.machine.is_silent() && can_step_in(member)
}
