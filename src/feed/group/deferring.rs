//! Long messages of a leg, which are taken apart elsewhere.

use super::{Group, Leg};
use crate::Time;
use crate::feed::machine::State;
use crate::feed::protocol::{Protocol, Transaction};

impl<P: Protocol> Group<P> {
    /// Hears of the leg's long messages that are through; see [`Machine::handle_deferred`].
    ///
    /// [`Machine::handle_deferred`]: crate::feed::Machine::handle_deferred
    pub fn handle_deferred<S: Transaction>(&mut self, leg: Leg, now: Time, sink: &mut S) {
        let defers = |machine: &crate::feed::Machine<P>| machine.is_deferring();
        if self.machine(leg).is_some_and(defers) {
            self.drive(leg, now, |machine| machine.handle_deferred(now, sink));
        }
    }

    /// Nothing is read of any leg; if that is because the sink is full, it is counted.
    pub fn stall<S: Transaction>(&mut self, sink: &S) {
        if !sink.is_full() {
            return;
        }
        for member in self.members.iter_mut().flatten() {
            if member.machine.state() == State::Open {
                member.machine.stall();
            }
        }
    }
}
