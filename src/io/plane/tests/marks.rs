//! What an invalidation reaches, and what it fetches.

use std::sync::Arc;

use super::rig::{Rig, Upstream};
use crate::io::plane::{Query, Settings};
use crate::key;
use crate::key::{IdRef, Key};
use crate::query::{Filter, RefetchKind, StaleTime};

fn settings() -> Settings {
    Settings {
        stale: Some(StaleTime::Never),
        ..Settings::default()
    }
}

/// A query with a value that is good for every mark so far.
fn fresh(rig: &Rig, upstream: &Upstream, key: Key) -> Arc<Query> {
    let query = rig.query(key, upstream, settings());
    drop(rig.plane.set(&query, br#"{"a":1}"#.to_vec()).expect("set"));
    assert!(!query.look().invalidated());
    query
}

fn marked(queries: &[Arc<Query>]) -> Vec<bool> {
    queries
        .iter()
        .map(|query| query.look().invalidated())
        .collect()
}

#[test]
fn a_mark_reaches_what_is_under_its_key_and_nothing_else() {
    let keys = [
        key!["job"],
        key!["job", 7],
        key!["job", 7, "log"],
        key!["job", 8],
        key!["other", 7],
        key![5, "x"],
    ];
    let exactly = |key: Key| Filter::under(key).exact();
    for (filter, expected) in [
        (Filter::all(), [true; 6]),
        (Filter::under(key![]), [true; 6]),
        (
            Filter::under(key!["job"]),
            [true, true, true, true, false, false],
        ),
        (
            Filter::under(key!["job", 7]),
            [false, true, true, false, false, false],
        ),
        (
            exactly(key!["job", 7]),
            [false, true, false, false, false, false],
        ),
        (
            exactly(key!["job"]),
            [true, false, false, false, false, false],
        ),
        (
            Filter::under(key!["job", 7, "log"]),
            [false, false, true, false, false, false],
        ),
        (
            Filter::under(key![5]),
            [false, false, false, false, false, true],
        ),
        (
            Filter::under(key!["job"]).predicate(|info| info.key.len() > 1),
            [false, true, true, true, false, false],
        ),
        (
            Filter::under(key!["job"]).predicate(|info| info.key.len() == 2),
            [false, true, false, true, false, false],
        ),
        (Filter::all().active(), [false; 6]),
    ] {
        let (rig, upstream) = (Rig::new(), Upstream::new());
        let queries: Vec<_> = keys
            .iter()
            .map(|key| fresh(&rig, &upstream, key.clone()))
            .collect();
        drop(rig.plane.mark(&filter));
        assert_eq!(marked(&queries), expected, "{filter:?}");
        // What was spared is not so for the next mark.
        drop(rig.plane.mark(&Filter::under(key!["job"])));
        assert!(
            marked(&queries[..4]).iter().all(|marked| *marked),
            "{filter:?}"
        );
    }
}

#[test]
fn what_is_fetched_is_decided_after_the_mark() {
    for (kind, calls) in [
        (RefetchKind::None, [0, 0]),
        (RefetchKind::Active, [1, 0]),
        (RefetchKind::Inactive, [0, 1]),
        (RefetchKind::All, [1, 1]),
    ] {
        let rig = Rig::new();
        let upstreams = [Upstream::new(), Upstream::new()];
        let observed = fresh(&rig, &upstreams[0], key!["job", "x", "observed"]);
        let idle = fresh(&rig, &upstreams[1], key!["job", "x", "idle"]);
        let _observation = rig.observe(&observed);
        assert_eq!(upstreams[0].calls(), 0, "it is fresh");
        let marks = rig.plane.mark(&Filter::under(key!["job"]));
        assert!(observed.look().invalidated() && idle.look().invalidated());
        rig.drive();
        assert_eq!(upstreams[0].calls(), 0, "nothing is decided yet");
        let promises = marks.refetch(kind);
        rig.drive();
        assert_eq!(
            [upstreams[0].calls(), upstreams[1].calls()],
            calls,
            "{kind:?}"
        );
        assert_eq!(promises.len(), calls.iter().sum::<usize>());
    }
}

#[test]
fn a_feeds_mark_fetches_what_is_observed_by_itself() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let query = fresh(&rig, &upstream, key!["job", 7, "log"]);
    let _observation = rig.observe(&query);
    let slot = rig.store.entity("job").expect("room").slot(IdRef::Int(7));
    slot.expect("room").invalidate();
    rig.hub.scan();
    rig.drive();
    assert_eq!(upstream.calls(), 1);
    rig.store.invalidate_all();
    rig.hub.scan();
    upstream.answer(&rig, "2");
    assert_eq!(upstream.calls(), 2);
}
