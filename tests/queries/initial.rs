//! Data from elsewhere: initial, placeholder, stored. Case 51, and sections 1.13 and 1.14.

use serde_json::json;
use tickcache::{
    DehydrateOptions, FetchStatus, Hydrated, QueryError, Reasons, Status, Stored, Time, key,
};

use crate::kit::{Lab, Server, ms, poll};

#[test]
fn case_51_a_reset_brings_the_initial_data_back() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!({ "fetched": n }));
    lab.serve(&key, &server);
    lab.cache.defaults(key.clone()).initial(json!("initial"));
    let _asked = lab.query(&key).fetch();
    assert_eq!(lab.get(&key), Some(json!("initial")));
    lab.drive();
    assert_eq!(lab.get(&key), Some(json!({ "fetched": 1 })));
    drop(lab.cache.reset(key.clone()));
    lab.drive();
    assert_eq!(lab.get(&key), Some(json!("initial")));
    assert_eq!(lab.state(&key).status(), Status::Success);
}

#[test]
fn case_51_a_reset_during_the_first_fetch_is_no_error() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    let mut asked = lab.query(&key).fetch();
    lab.pass(10);
    drop(lab.cache.reset(key.clone()));
    lab.drive();
    assert_eq!(server.aborted(), 1);
    let state = lab.state(&key);
    assert_eq!(
        (state.status(), state.fetch_status()),
        (Status::Pending, FetchStatus::Idle)
    );
    assert!(state.error().is_none());
    assert!(matches!(poll(&mut asked), Some(Err(QueryError::Cancelled))));
}

#[test]
fn initial_data_is_as_old_as_it_is_said_to_be() {
    let mut lab = Lab::new();
    let server = Server::replying(|n| json!({ "fetched": n }));
    lab.serve(&key![], &server);
    let (new, old) = (key!["new"], key!["old"]);
    let new_seen = lab
        .query(&new)
        .initial(json!("initial"))
        .stale_after(ms(1_000))
        .observe();
    let initial = lab.query(&old).initial_at(json!("initial"), Time::ZERO);
    let old_seen = initial.stale_after(ms(1_000)).observe();
    assert_eq!(old_seen.state().data(), Some(&json!("initial")));
    lab.drive();
    assert_eq!(
        new_seen.state().data(),
        Some(&json!("initial")),
        "fresh: not fetched"
    );
    assert_eq!(old_seen.state().data(), Some(&json!({ "fetched": 1 })));
    assert_eq!(server.calls(), 1);
}

#[test]
fn initial_data_fills_an_entry_that_has_none() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let observer = lab.query(&key).observe();
    lab.drive();
    assert_eq!(observer.state().status(), Status::Pending);
    let _other = lab.query(&key).initial(json!("initial")).observe();
    lab.drive();
    assert_eq!(observer.state().data(), Some(&json!("initial")));
    let _third = lab.query(&key).initial(json!("another")).observe();
    lab.drive();
    assert_eq!(
        observer.state().data(),
        Some(&json!("initial")),
        "and no other"
    );
}

#[test]
fn a_placeholder_is_seen_by_its_observer_only() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    let observer = lab.query(&key).placeholder(json!("soon")).observe();
    lab.drive();
    let state = observer.state();
    assert_eq!(
        (state.status(), state.data()),
        (Status::Success, Some(&json!("soon")))
    );
    assert!(state.is_placeholder());
    assert_eq!(state.live(), None);
    assert_eq!(lab.get(&key), None);
    server.answer(json!("now"));
    lab.drive();
    let state = observer.state();
    assert_eq!(
        (state.data(), state.is_placeholder()),
        (Some(&json!("now")), false)
    );
}

/// What one cache has stored, in another one.
fn stored(fill: impl FnOnce(&mut Lab)) -> Stored {
    let mut lab = Lab::new();
    fill(&mut lab);
    let stored = lab.cache.dehydrate(DehydrateOptions::new());
    let text = stored.to_json();
    Stored::from_json(&text).expect("it was just written")
}

fn hydrate(lab: &mut Lab, stored: Stored) -> Hydrated {
    let mut hydrating = lab.cache.hydrate(stored);
    lab.drive();
    poll(&mut hydrating).expect("all of it is done")
}

#[test]
fn what_is_stored_comes_back_as_restored() {
    let keys = [key!["a"], key!["a", 1], key!["stream", 1]];
    let stored = stored(|lab| keys.iter().for_each(|key| lab.set(key, json!({ "n": 1 }))));
    let mut lab = Lab::new();
    let hydrated = hydrate(&mut lab, stored);
    assert_eq!(hydrated.added, 3);
    let server = Server::replying(|_| json!({ "n": 2 }));
    lab.serve(&key![], &server);
    for key in &keys {
        let state = lab.state(key);
        assert_eq!(state.data(), Some(&json!({ "n": 1 })), "{key}");
        assert!(
            state.freshness().reasons().contains(Reasons::RESTORED),
            "{key}"
        );
        assert_eq!(state.fetch_status(), FetchStatus::Idle);
    }
    assert_eq!(server.calls(), 0);
    let _observers = keys
        .each_ref()
        .map(|key| lab.query(key).stale_never().observe());
    lab.drive();
    assert_eq!(
        server.calls(),
        3,
        "what is restored is confirmed when it is observed"
    );
    for key in &keys {
        assert!(lab.state(key).freshness().is_live(), "{key}");
    }
}

#[test]
fn what_is_older_does_not_replace_what_is_newer() {
    let key = key!["a"];
    let old = stored(|lab| lab.set(&key, json!("old")));
    let new = stored(|lab| {
        lab.pass(1_000);
        lab.set(&key, json!("new"));
    });
    for (first, second, last, newer) in [
        (old.clone(), new.clone(), "new", 1),
        (new.clone(), old.clone(), "new", 0),
        (old.clone(), old.clone(), "old", 0),
    ] {
        let mut lab = Lab::new();
        assert_eq!(hydrate(&mut lab, first).added, 1);
        let hydrated = hydrate(&mut lab, second);
        assert_eq!((hydrated.added, hydrated.newer), (0, newer));
        assert_eq!(hydrated.older, 1 - newer);
        assert_eq!(lab.get(&key), Some(json!(last)));
    }
}

#[test]
fn what_has_failed_is_not_stored() {
    let stored = stored(|lab| {
        lab.set(&key!["good"], json!(1));
        lab.serve(&key!["bad"], &Server::failing());
        drop(lab.query(&key!["bad"]).retry(0).fetch());
        drop(lab.query(&key!["none"]).enabled(false).observe());
        lab.drive();
    });
    let mut lab = Lab::new();
    assert_eq!(hydrate(&mut lab, stored).added, 1);
    assert_eq!(lab.get(&key!["good"]), Some(json!(1)));
}

#[test]
fn what_cannot_be_read_is_refused() {
    for text in ["", "[]", "{}", r#"{"version":999,"queries":[]}"#] {
        assert!(Stored::from_json(text).is_err(), "{text}");
    }
}
