//! There is one attempt to connect at a time, whatever a machine is told meanwhile.

use super::*;

/// How many attempts the machine has asked for since it was last asked.
fn attempts(pair: &mut Pair<Events>) -> usize {
    let actions = pair.actions().into_iter();
    actions
        .filter(|action| matches!(action, Action::Connect { .. }))
        .count()
}

#[test]
fn starting_again_is_no_second_attempt() {
    let mut pair = Pair::new(settings(), Events::new());
    pair.machine.start(pair.now);
    assert_eq!(attempts(&mut pair), 1);
    // While it connects, while it waits, while it is open, and when it is over.
    pair.machine.start(pair.now);
    assert_eq!(attempts(&mut pair), 0);
    pair.machine.handle_failed(pair.now);
    pair.machine.start(pair.now);
    assert_eq!(attempts(&mut pair), 0);
    pair.pass(500);
    assert_eq!(attempts(&mut pair), 1);
    pair.connect(&[]);
    pair.machine.start(pair.now);
    assert_eq!(attempts(&mut pair), 0);
    pair.machine.stop(pair.now);
    pair.machine.handle_closed(pair.now, Ended::Eof);
    pair.machine.start(pair.now);
    assert_eq!(attempts(&mut pair), 0);
    assert_eq!(pair.machine.state(), State::Stopped);
}

#[test]
fn what_ends_an_attempt_that_is_over_begins_no_other() {
    let mut pair = Pair::new(settings(), Events::new());
    pair.machine.start(pair.now);
    pair.machine.handle_failed(pair.now);
    let waiting = pair.machine.state();
    // Late news of the same attempt: neither another failure nor another delay.
    pair.machine.handle_failed(pair.now);
    pair.machine.handle_closed(pair.now, Ended::Error);
    assert_eq!(pair.machine.state(), waiting);
    assert_eq!(pair.counters.snapshot().failures, 1);
    pair.pass(500);
    assert_eq!(attempts(&mut pair), 2, "the first, and one more");
}
