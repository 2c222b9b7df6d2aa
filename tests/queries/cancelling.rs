//! One fetch at a time, and how it ends early: cases 32 to 38, and sections 1.5 and 1.7.

use serde_json::json;
use tickcache::{FetchStatus, Filter, QueryError, Status, Update, key};

use crate::kit::{Lab, Server, happened, poll, updates};

#[test]
fn case_32_a_cancelled_refetch_leaves_what_was_there() {
    let mut lab = Lab::new();
    for key in [key!["a"], key!["a", 1]] {
        let server = lab.served(&key);
        lab.set(&key, json!("data"));
        let before = lab.state(&key);
        let mut asked = lab.query(&key).fetch();
        lab.pass(10);
        assert_eq!(server.waiting(), 1);
        drop(lab.cache.cancel(key.clone()));
        lab.drive();
        assert_eq!(server.aborted(), 1);
        let got = poll(&mut asked)
            .expect("it has ended")
            .expect("there is data");
        assert_eq!(*got, json!("data"));
        let state = lab.state(&key);
        assert_eq!(
            (state.status(), state.fetch_status()),
            (Status::Success, FetchStatus::Idle)
        );
        assert_eq!(state.updated_at(), before.updated_at());
    }
}

#[test]
fn case_34_a_cancel_that_reverts_nothing_is_an_error() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    lab.set(&key, json!("data"));
    let mut asked = lab.query(&key).fetch();
    lab.drive();
    drop(lab.cache.cancel(key.clone()).revert(false));
    lab.drive();
    assert_eq!(server.waiting(), 0);
    let state = lab.state(&key);
    assert_eq!(
        (state.status(), state.fetch_status()),
        (Status::Error, FetchStatus::Idle)
    );
    assert!(matches!(state.error(), Some(QueryError::Cancelled)));
    assert_eq!(state.data(), Some(&json!("data")));
    assert!(poll(&mut asked).is_some(), "nobody waits for ever");
}

#[test]
fn case_36_two_fetches_of_one_entry_are_one() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    let mut events = lab.cache.events();
    let [mut one, mut other] = [lab.query(&key).fetch(), lab.query(&key).fetch()];
    lab.drive();
    server.answer(json!(1));
    lab.drive();
    assert_eq!(server.calls(), 1);
    let told = updates(&happened(&mut events, &key));
    assert_eq!(told, [Update::Fetch, Update::Success]);
    for asked in [&mut one, &mut other] {
        let got = poll(asked).expect("answered").expect("succeeded");
        assert_eq!(*got, json!(1));
    }
}

#[test]
fn case_37_cancelling_what_has_settled_changes_nothing() {
    let mut lab = Lab::new();
    let (good, bad) = (key!["good"], key!["bad"]);
    lab.serve(&good, &Server::replying(|_| json!(1)));
    lab.serve(&bad, &Server::failing());
    let _asked = [&good, &bad].map(|key| lab.query(key).retry(0).fetch());
    lab.drive();
    let before = [&good, &bad].map(|key| lab.state(key));
    drop(lab.cache.cancel(Filter::all()));
    drop(lab.cache.cancel(Filter::all()).revert(false));
    lab.drive();
    let after = [&good, &bad].map(|key| lab.state(key));
    assert_eq!(after[0].data(), Some(&json!(1)));
    assert_eq!(after[1].status(), Status::Error);
    assert_eq!(
        after[1].error().map(ToString::to_string),
        before[1].error().map(ToString::to_string)
    );
    assert_eq!(
        after.map(|state| state.fetch_status()),
        [FetchStatus::Idle; 2]
    );
}

#[test]
fn case_38_a_fetch_that_nobody_waits_for_ends_only_if_it_can() {
    let mut lab = Lab::new();
    let (deaf, listening) = (key!["deaf"], key!["listening"]);
    let server = lab.served(&deaf);
    let cancellable = Server::new().cancellable();
    lab.serve(&listening, &cancellable);
    let observers = [&deaf, &listening].map(|key| lab.query(key).observe());
    lab.drive();
    assert_eq!((server.waiting(), cancellable.waiting()), (1, 1));
    drop(observers);
    lab.drive();
    assert_eq!((server.aborted(), cancellable.aborted()), (0, 1));
    server.answer(json!(1));
    lab.drive();
    assert_eq!(lab.get(&deaf), Some(json!(1)));
    let state = lab.state(&listening);
    assert_eq!(
        (state.status(), state.fetch_status()),
        (Status::Pending, FetchStatus::Idle)
    );
    assert_eq!(state.data(), None);
}

#[test]
fn observers_and_callers_share_one_fetch() {
    let mut lab = Lab::new();
    let key = key!["a", 1];
    let server = lab.served(&key);
    let observers = [(); 2].map(|()| lab.query(&key).observe());
    let mut asked = lab.query(&key).fetch();
    lab.drive();
    assert_eq!(server.calls(), 1);
    server.answer(json!({ "n": 1 }));
    lab.drive();
    assert_eq!(server.calls(), 1);
    for observer in &observers {
        assert_eq!(observer.state().data(), Some(&json!({ "n": 1 })));
    }
    assert!(poll(&mut asked).expect("answered").is_ok());
}

#[test]
fn who_waits_for_a_replaced_fetch_gets_the_replacement() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    lab.set(&key, json!(0));
    let mut asked = lab.query(&key).fetch();
    lab.drive();
    drop(lab.cache.refetch(key));
    lab.drive();
    assert_eq!((server.calls(), server.aborted()), (2, 1));
    assert!(poll(&mut asked).is_none());
    server.answer(json!(2));
    lab.drive();
    assert_eq!(
        *poll(&mut asked).expect("answered").expect("succeeded"),
        json!(2)
    );
}

#[test]
fn a_cancelled_first_fetch_ends_with_an_error_for_who_waits() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    let mut asked = lab.query(&key).fetch();
    lab.drive();
    drop(lab.cache.cancel(key.clone()));
    lab.drive();
    assert!(matches!(poll(&mut asked), Some(Err(QueryError::Cancelled))));
    let state = lab.state(&key);
    assert_eq!(
        (state.status(), state.fetch_status()),
        (Status::Pending, FetchStatus::Idle)
    );
    assert_eq!(server.aborted(), 1);
    let _again = lab.query(&key).fetch();
    lab.drive();
    assert_eq!(server.waiting(), 1, "it may be asked again");
}

#[test]
fn a_cancelled_token_says_so() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    lab.set(&key, json!(1));
    let _asked = lab.query(&key).fetch();
    lab.drive();
    let token = server.last_call(|cx| cx.token());
    assert!(!token.is_cancelled());
    drop(lab.cache.cancel(key));
    lab.drive();
    assert!(token.is_cancelled());
}

#[test]
fn a_reset_fetches_again_what_is_observed() {
    let mut lab = Lab::new();
    let (seen, unseen) = (key!["a", 1], key!["a", 2]);
    let server = Server::replying(|n| json!({ "n": n }));
    lab.serve(&key!["a"], &server);
    let observer = lab.query(&seen).stale_never().observe();
    lab.set(&unseen, json!({ "n": 0 }));
    assert_eq!(server.calls(), 1);
    drop(lab.cache.reset(key!["a"]));
    lab.drive();
    assert_eq!(server.calls(), 2);
    assert_eq!(observer.state().data(), Some(&json!({ "n": 2 })));
    assert_eq!(lab.get(&unseen), None);
}

#[test]
fn a_removed_entry_is_gone_and_who_waits_is_told() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    lab.set(&key, json!(1));
    let mut events = lab.cache.events();
    let mut asked = lab.query(&key).fetch();
    lab.drive();
    lab.cache.remove(key.clone());
    lab.drive();
    assert!(matches!(poll(&mut asked), Some(Err(QueryError::Cancelled))));
    assert_eq!(server.aborted(), 1);
    assert_eq!(lab.matching(Filter::all()), []);
    assert_eq!(lab.get(&key), None);
    let last = happened(&mut events, &key).pop();
    assert_eq!(last, Some(tickcache::EventKind::Removed));
}

#[test]
fn a_late_result_of_a_cancelled_fetch_is_dropped() {
    let mut lab = Lab::new();
    for key in [key!["a"], key!["a", 1]] {
        let server = lab.served(&key);
        lab.set(&key, json!(1));
        let _asked = lab.query(&key).fetch();
        lab.drive();
        // Answered, and not yet looked at.
        server.answer(json!(2));
        drop(lab.cache.cancel(key.clone()));
        lab.drive();
        assert_eq!(lab.get(&key), Some(json!(1)), "{key}");
        assert_eq!(lab.state(&key).fetch_status(), FetchStatus::Idle);
    }
}
