//! Keys and filters: cases 1 to 10, and section 1.3.

use std::slice::from_ref;

use serde_json::json;
use tickcache::{FetchStatus, Filter, Key, key};

use crate::kit::Lab;

#[test]
fn case_01_the_order_of_members_makes_no_other_entry() {
    let mut lab = Lab::new();
    let flat = [key![{"b": 2, "a": 1}], key![{"a": 1, "b": 2}]];
    let deep = [
        key![{"a": {"d": 4, "c": 3}, "b": 2}],
        key![{"b": 2, "a": {"c": 3, "d": 4}}],
    ];
    for [one, other] in [flat, deep] {
        lab.set(&one, json!("value"));
        assert_eq!(lab.get(&other), Some(json!("value")), "{one} and {other}");
        assert_eq!(lab.matching(Filter::under(other).exact()), [one]);
    }
}

#[test]
fn case_02_an_absent_member_is_the_same_as_none() {
    let mut lab = Lab::new();
    lab.set(&key!["todos", {"filters": ?None::<u32>}], json!("value"));
    assert_eq!(lab.get(&key!["todos", {}]), Some(json!("value")));
    assert_eq!(lab.matching(Filter::all()).len(), 1);
}

/// Whether a filter of this key finds an entry of that one.
fn finds(filter: &Key, entry: &Key) -> bool {
    let mut lab = Lab::new();
    lab.set(entry, json!("value"));
    !lab.matching(filter).is_empty()
}

#[test]
fn case_03_a_filter_is_a_prefix() {
    assert!(finds(&key![1, 2], &key![1, 2, 3]));
    assert!(!finds(&key![1, 2, 3], &key![1, 2]), "not the other way");
    assert!(finds(&key![], &key![1, 2]), "the empty one finds all");
}

#[test]
fn case_05_null_is_no_object() {
    for (null, object) in [
        (key![null], key![{"a": 1}]),
        (key![{"a": null}], key![{"a": {"b": 1}}]),
    ] {
        assert!(!finds(&null, &object), "{null} and {object}");
        assert!(!finds(&object, &null), "{object} and {null}");
        assert!(finds(&null, &null));
    }
}

#[test]
fn case_06_an_absent_member_matches_a_missing_one() {
    let absent = key!["todos", {"filters": ?None::<u32>}];
    assert!(finds(&absent, &key!["todos", {}]));
    assert!(finds(&key!["todos", {}], &absent));
}

#[test]
fn case_09_a_filter_by_fetch_status_finds_the_one_that_is_fetching() {
    let mut lab = Lab::new();
    for n in 1..4 {
        lab.set(&key!["idle", n], json!({ "n": n }));
    }
    let key = key!["busy"];
    let server = lab.served(&key);
    let _fetching = lab.query(&key).fetch();
    lab.drive();
    let fetching = || Filter::all().fetching(FetchStatus::Fetching);
    assert_eq!(lab.matching(fetching()), [key]);
    assert_eq!(lab.cache.is_fetching(Filter::all()), 1);
    server.answer(json!("done"));
    lab.drive();
    assert_eq!(lab.matching(fetching()), []);
    assert_eq!(lab.cache.is_fetching(Filter::all()), 0);
}

#[test]
fn filters_match_objects_by_superset_at_all_depths() {
    let entry = key!["todos", {"page": 1, "filter": {"open": true, "by": "me"}}];
    assert!(finds(&key!["todos", {"filter": {"open": true}}], &entry));
    assert!(!finds(&key!["todos", {"filter": {"open": false}}], &entry));
    assert!(!finds(&key!["todos", {"filter": {"of": "x"}}], &entry));
    assert!(
        finds(&key!["a", [1]], &key!["a", [1, 2], "b"]),
        "an array inside is a prefix too"
    );
}

#[test]
fn numbers_and_texts_are_different_ids() {
    // D12: 0 and "" are ids like any other.
    let mut lab = Lab::new();
    for id in [key!["e", 7], key!["e", "7"], key!["e", 0], key!["e", ""]] {
        assert_eq!(lab.get(&id), None);
        lab.set(&id, json!({ "is": id.to_json() }));
    }
    assert_eq!(lab.matching(key!["e"]).len(), 4);
    assert_eq!(lab.get(&key!["e", 0]), Some(json!({ "is": "[\"e\",0]" })));
}

#[test]
fn conditions_of_a_filter_must_all_hold() {
    let mut lab = Lab::new();
    let (seen, unseen, other) = (
        key!["a", {"n": 1}],
        key!["a", {"n": 2}],
        key!["b", {"n": 1}],
    );
    for key in [&seen, &unseen, &other] {
        lab.set(key, json!("value"));
    }
    let _observers = [&seen, &other].map(|key| lab.query(key).stale_never().observe());
    lab.drive();
    assert_eq!(
        lab.matching(key!["a"]),
        [seen.clone(), unseen.clone()],
        "in order"
    );
    assert_eq!(
        lab.matching(Filter::under(key!["a"]).active()),
        from_ref(&seen)
    );
    assert_eq!(
        lab.matching(Filter::under(key!["a"]).inactive()),
        from_ref(&unseen)
    );
    assert_eq!(
        lab.matching(Filter::all().active()),
        [seen.clone(), other.clone()]
    );
    let by_key = Filter::under(key!["a"]).predicate(|info| info.observers == 0);
    assert_eq!(lab.matching(by_key), [unseen]);
    assert_eq!(lab.matching(Filter::under(key!["a"]).exact()), []);
    assert_eq!(
        lab.matching(Filter::under(other.clone()).exact().active()),
        [other]
    );
}

#[test]
fn an_entry_that_only_a_disabled_observer_sees_is_inactive() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let mut observer = lab.query(&key).enabled(false).observe();
    lab.drive();
    assert_eq!(lab.matching(Filter::all().active()), []);
    assert_eq!(lab.matching(Filter::all().inactive()), from_ref(&key));
    observer.set_enabled(true);
    lab.drive();
    assert_eq!(lab.matching(Filter::all().active()), [key]);
}

#[test]
fn staleness_is_a_condition_of_filters() {
    let mut lab = Lab::new();
    let (fresh, stale) = (key!["fresh"], key!["stale"]);
    lab.set(&fresh, json!(1));
    lab.set(&stale, json!(1));
    let _fresh = lab.query(&fresh).stale_never().observe();
    let _stale = lab.query(&stale).stale_never().observe();
    drop(lab.cache.invalidate(stale.clone()));
    lab.drive();
    assert_eq!(lab.matching(Filter::all().stale(true)), [stale]);
    assert_eq!(lab.matching(Filter::all().stale(false)), [fresh]);
}
