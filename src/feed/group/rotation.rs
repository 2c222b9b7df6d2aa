//! Planned rotation: a connection is replaced before its time is up.

use std::time::Duration;

use super::{Group, Leg, Member, Part};
use crate::Time;
use crate::feed::backoff::part;
use crate::feed::machine::{Ended, Machine, State};
use crate::feed::protocol::Protocol;

/// A successor has the last tenth of a lifetime to become ready in ...
const LEAD: u32 = 10;
/// ... and never more than this.
const LONGEST_LEAD: Duration = Duration::from_secs(30 * 60);

impl<P: Protocol> Group<P> {
    /// When the successor of a leg that opens now is to be made. Up to half of the lead earlier at
    /// random, so that many clients of one server do not come back together.
    pub(super) fn rotation_of(&mut self, leg: Leg, now: Time) -> Time {
        let Some(lifetime) = self.plan.lifetime.filter(|life| *life < Duration::MAX) else {
            return Time::NEVER;
        };
        let lead = (lifetime / LEAD).min(LONGEST_LEAD);
        let early = lead + part(lead / 2, self.random.next_u64());
        let rest = lifetime.saturating_sub(early);
        let at = now.after(rest);
        // Two that stand and opened together would end together, and each is the other's backup.
        let collides = self.legs().any(|other| {
            let apart = self.member(other).map(|it| apart(it.rotate_at, at));
            other != leg && apart.is_some_and(|apart| apart < 2 * lead)
        });
        if collides { now.after(rest / 2) } else { at }
    }

    /// The server says that it will close the leg's connection.
    pub(super) fn rotate_soon(&mut self, leg: Leg, now: Time) {
        if self.plan.lifetime == Some(Duration::MAX) {
            return;
        }
        if let Some(member) = self.member_mut(leg) {
            member.rotate_at = now;
        }
    }

    /// Cuts over to a successor that is ready, and begins with the next one that is due.
    pub(super) fn rotate(&mut self, now: Time) {
        if let Some((leg, of)) = self.successor() {
            if self.is_ready(leg) {
                self.cut_over(leg, of, now);
            }
        } else if let Some(due) = self.due_for_rotation(now) {
            self.begin_rotation(due, now);
        }
    }

    /// When [`review`](Self::review) has something to do for the sake of the time alone.
    pub(super) fn due(&self) -> Time {
        if self.stopping || self.spawn.is_none() {
            return Time::NEVER;
        }
        let free = self.successor().is_none();
        let times = self.members.iter().flatten().map(|member| {
            let ready_at = if member.ready || !member.machine.is_settled() {
                // An answer comes first, and with it another look.
                Time::NEVER
            } else {
                member.ready_at
            };
            if free && member.part == Part::Standing {
                ready_at.min(member.rotate_at)
            } else {
                ready_at
            }
        });
        times.min().unwrap_or(Time::NEVER)
    }

    fn successor(&self) -> Option<(Leg, Leg)> {
        self.legs().find_map(|leg| match self.member(leg)?.part {
            Part::Successor { of } => Some((leg, of)),
            Part::Standing | Part::Leaving => None,
        })
    }

    fn due_for_rotation(&self, now: Time) -> Option<Leg> {
        let standing = self.legs().filter_map(|leg| Some((leg, self.member(leg)?)));
        let due = standing.filter(|(_, member)| {
            member.part == Part::Standing
                && member.machine.state() == State::Open
                && member.rotate_at <= now
        });
        due.min_by_key(|(_, member)| member.rotate_at)
            .map(|(leg, _)| leg)
    }

    #[cold]
    fn begin_rotation(&mut self, of: Leg, now: Time) {
        let Some(place) = self.free_place(now) else {
            // The goodbye that was ended just now leaves its place with the next action.
            return;
        };
        let wanted = self.machine(self.shown).map(Machine::subscribed);
        let Some(member) = self.member_mut(of) else {
            return;
        };
        member.rotate_at = Time::NEVER;
        let path = member.path;
        let spawned = self.spawn.as_mut().map(|spawn| spawn());
        // What one connection carries another one can: this fails for no protocol that answers
        // the same question in the same way.
        let Some(Ok(mut machine)) = spawned else {
            return;
        };
        if machine.adopt(wanted.unwrap_or_default()).is_err() {
            return;
        }
        let successor = Member::new(machine, Part::Successor { of }, path);
        self.members[place.index()] = Some(successor);
        self.drive(place, now, |machine| machine.start(now));
    }

    /// A free place; if there is none, the longest goodbye is cut short.
    fn free_place(&mut self, now: Time) -> Option<Leg> {
        let free = Leg::ALL.into_iter().find(|leg| self.member(*leg).is_none());
        if free.is_none() {
            let leaving = self.legs().filter(|leg| {
                let member = self.member(*leg);
                member.is_some_and(|member| {
                    member.part == Part::Leaving && member.machine.state() == State::Closing
                })
            });
            if let Some(leg) = leaving.min_by_key(|leg| self.generation(*leg)) {
                self.member_mut(leg)?.machine.handle_closed(now, Ended::Eof);
                self.absorb(leg, now);
            }
        }
        free
    }

    #[cold]
    fn cut_over(&mut self, leg: Leg, of: Leg, now: Time) {
        self.counters.rotations.bump();
        if let Some(member) = self.member_mut(leg) {
            member.part = Part::Standing;
        }
        if self.shown == of {
            self.promote(leg, now);
        }
        if let Some(member) = self.member_mut(of) {
            member.part = Part::Leaving;
            member.rotate_at = Time::NEVER;
        }
        self.drive(of, now, |machine| machine.stop(now));
    }
}

fn apart(one: Time, other: Time) -> Duration {
    one.since(other).max(other.since(one))
}
