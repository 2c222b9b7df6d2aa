//! The small parts by themselves.

use super::rig::ms;
use crate::Time;
use crate::query::ids::QueryIx;
use crate::query::policy::{Poll, StaleTime};
use crate::query::slab::Slab;
use crate::query::timers::{Timer, Timers};
use crate::query::{Cause, Look};

fn at(nanos: u64) -> Time {
    Time::from_nanos(nanos)
}

#[test]
fn a_timer_is_set_once_and_the_earliest_is_next() {
    let name = |at| QueryIx { at, tenant: 0 };
    let mut timers = Timers::default();
    for round in (0..1000).rev() {
        timers.set(Timer::Collect(name(1)), at(round));
        timers.set(Timer::Retry(name(2)), at(5));
    }
    assert_eq!(timers.len(), 2, "what was set before leaves nothing behind");
    assert_eq!(timers.get(Timer::Collect(name(1))), Some(at(0)));
    assert_eq!(timers.pop(at(4)), Some(Timer::Collect(name(1))));
    assert_eq!(timers.pop(at(4)), None);
    assert_eq!(timers.next(), Some(at(5)));
    timers.set(Timer::Retry(name(2)), Time::NEVER);
    assert_eq!(timers.next(), None);
}

#[test]
fn a_place_of_the_slab_has_one_tenant_at_a_time() {
    let mut slab: Slab<QueryIx, u32> = Slab::new();
    let first = slab.insert(|_| 1);
    assert_eq!(slab.remove(first), Some(1));
    let second = slab.insert(|_| 2);
    assert_eq!(second.at, first.at);
    assert_eq!(slab.get(first), None);
    assert_eq!(slab.get_mut(first), None);
    assert_eq!(slab.remove(first), None);
    assert_eq!(slab.get(second), Some(&2));
}

#[test]
fn staleness_in_every_case() {
    let whole = Look {
        present: true,
        whole_at: Some(at(100)),
        received_at: at(100),
        ..Look::default()
    };
    let invalidated = Look { sum: 1, ..whole };
    let unsure = Look {
        unsure: true,
        ..whole
    };
    let partial = Look {
        whole_at: None,
        ..whole
    };
    let after = StaleTime::After(std::time::Duration::from_nanos(10));
    let (never, fixed) = (StaleTime::Never, StaleTime::Static);
    for (look, stale, now, expected) in [
        (Look::default(), never, 0, true),
        (Look::default(), fixed, 0, true),
        (whole, after, 109, false),
        (whole, after, 110, true),
        (whole, StaleTime::After(ms(0)), 100, true),
        (
            whole,
            StaleTime::After(std::time::Duration::MAX),
            u64::MAX - 1,
            false,
        ),
        (whole, never, u64::MAX - 1, false),
        (invalidated, never, 100, true),
        (invalidated, fixed, 100, false),
        (unsure, never, 100, true),
        (unsure, fixed, 100, true),
        (partial, after, 100, true),
    ] {
        assert_eq!(
            look.stale(stale, at(now)),
            expected,
            "{look:?} {stale:?} {now}"
        );
    }
}

#[test]
fn no_interval_is_no_interval() {
    assert_eq!(Poll::Stop.interval(), None);
    assert_eq!(Poll::every(ms(0)).interval(), None);
    assert_eq!(Poll::every(std::time::Duration::MAX).interval(), None);
    assert_eq!(Poll::every(ms(1)).interval(), Some(ms(1)));
}

#[test]
fn a_joined_fetch_has_the_cause_that_is_held_back_less() {
    assert_eq!(Cause::Focus.joined(Cause::Mount), Cause::Mount);
    assert_eq!(Cause::Mount.joined(Cause::Focus), Cause::Mount);
    assert_eq!(Cause::Poll.joined(Cause::User), Cause::User);
    assert_eq!(Cause::User.joined(Cause::Poll), Cause::User);
}
