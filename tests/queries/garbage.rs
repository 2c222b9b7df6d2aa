//! What comes from outside and is not what it should be, and what is asked at the wrong moment.

use serde_json::{Value, json};
use tickcache::{DehydrateOptions, Fetched, Filter, Order, QueryError, Status, Stored, key};

use crate::kit::{Lab, Server, ms, poll};

#[test]
fn garbage_is_not_hydrated_and_harms_nothing() {
    let mut lab = Lab::new();
    lab.set(&key!["a"], json!({ "p": 1 }));
    lab.set(&key!["slot", 1], json!({ "p": 1 }));
    let stored = lab.cache.dehydrate(DehydrateOptions::new()).to_json();
    for cut in 0..stored.trim_end().len() {
        if stored.is_char_boundary(cut) {
            assert!(Stored::from_json(&stored[..cut]).is_err(), "{cut}");
        }
    }
    for garbage in ["", "null", "[]", "{}", "{\"version\":999}", "\u{0}", "[[[["] {
        assert!(Stored::from_json(garbage).is_err(), "{garbage}");
    }
    let mut tree: Value = serde_json::from_str(&stored).expect("JSON");
    // Each scalar in turn is something else: refused, or harmless.
    fn scalars(value: &mut Value, visit: &mut impl FnMut(&mut Value)) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| scalars(item, visit)),
            Value::Object(members) => members.values_mut().for_each(|v| scalars(v, visit)),
            _ => visit(value),
        }
    }
    let mut count = 0;
    scalars(&mut tree, &mut |_| count += 1);
    for at in 0..count {
        for other in [
            json!(null),
            json!(-1),
            json!(u64::MAX),
            json!("x"),
            json!([]),
            json!(1e300),
        ] {
            let mut broken = tree.clone();
            let mut n = 0;
            scalars(&mut broken, &mut |value| {
                if n == at {
                    *value = other.clone();
                }
                n += 1;
            });
            if let Ok(stored) = Stored::from_json(&broken.to_string()) {
                let mut fresh = Lab::new();
                drop(fresh.cache.hydrate(stored));
                fresh.pass(10);
            }
        }
    }
}

#[test]
fn what_does_not_fit_the_type_is_an_error_beside_the_query() {
    let mut lab = Lab::new();
    let key = key!["a"];
    lab.serve(&key, &Server::replying(|n| json!({ "n": n })));
    let typed = lab.cache.query::<u64>(key.clone()).stale_never().observe();
    let plain = lab.query(&key).stale_never().observe();
    lab.drive();
    assert_eq!(plain.state().data(), Some(&json!({ "n": 1 })));
    assert_eq!(
        (typed.state().status(), typed.state().data()),
        (Status::Error, None)
    );
    let mut fetching = lab.cache.query::<u64>(key.clone()).fetch();
    lab.drive();
    assert!(matches!(
        poll(&mut fetching),
        Some(Err(QueryError::Decode(_)))
    ));
    let set = lab.cache.set_with(&key, |n: Option<&u64>| n.map(|n| n + 1));
    assert!(matches!(set, Err(QueryError::Decode(_))), "{set:?}");
    lab.set(&key, json!(5));
    assert_eq!(typed.state().data(), Some(&5));
}

/// The order of query-core is that a late answer wins, whatever its number.
#[test]
fn in_the_order_of_query_core_the_last_answer_wins() {
    let mut lab = Lab::new();
    for key in [key!["document"], key!["slot", 1]] {
        lab.cache.defaults(key.clone()).order(Order::LastWriteWins);
        let server = lab.served(&key);
        for (value, as_of) in [(1, 9), (2, 3)] {
            drop(lab.query(&key).fetch());
            lab.drive();
            server.answer_with(Ok(Fetched::new(value).as_of(as_of)));
            lab.drive();
            assert_eq!(lab.get(&key), Some(json!(value)), "{key}");
        }
    }
}

/// Two observers with different stale times: each sees its own, the filter asks whether any does.
#[test]
fn staleness_is_each_observers_own() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = Server::replying(|n| json!(n));
    lab.serve(&key, &server);
    let patient = lab.query(&key).stale_after(ms(100)).observe();
    lab.drive();
    let hasty = lab.query(&key).stale_after(ms(10)).observe();
    lab.pass(20);
    assert_eq!(server.calls(), 1);
    assert!(!patient.state().is_stale() && hasty.state().is_stale());
    assert_eq!(
        lab.matching(Filter::all().stale(true)),
        std::slice::from_ref(&key)
    );
    lab.cache.set_focused(false);
    lab.cache.set_focused(true);
    lab.drive();
    assert_eq!(server.calls(), 2, "one of them wants it");
    drop(hasty);
    lab.pass(20);
    assert_eq!(lab.matching(Filter::all().stale(true)), []);
    lab.pass(100);
    assert_eq!(lab.matching(Filter::all().stale(true)), [key]);
}

#[test]
fn what_is_known_not_to_be_there_is_stale_once_invalidated() {
    let mut lab = Lab::new();
    for key in [key!["document"], key!["slot", 1], key!["stream", 1]] {
        let server = Server::new();
        lab.serve(&key, &server);
        let observer = lab.query(&key).stale_never().observe();
        let fixed = lab.query(&key).stale_static().observe();
        lab.drive();
        server.answer_with(Ok(Fetched::removed()));
        lab.drive();
        assert!(!observer.state().is_stale(), "{key}");
        drop(lab.cache.invalidate(&key));
        assert!(observer.state().is_stale(), "{key}");
        assert!(!fixed.state().is_stale(), "{key}");
        drop((observer, fixed));
        lab.drive();
    }
}

#[test]
fn a_closed_cache_says_so() {
    let mut lab = Lab::new();
    let key = key!["a"];
    let server = lab.served(&key);
    let observer = lab.query(&key).observe();
    let mut fetching = lab.query(&key).fetch();
    lab.drive();
    let closed = lab.cache.close_blocking(ms(10_000));
    assert!(closed.is_ok(), "{closed:?}");
    assert!(matches!(poll(&mut fetching), Some(Err(QueryError::Closed))));
    assert!(lab.cache.set(&key, &1).is_err());
    assert!(
        poll(&mut lab.query(&key).fetch())
            .expect("at once")
            .is_err()
    );
    drop(lab.cache.invalidate(&key));
    drop(lab.cache.refetch(&key));
    drop(lab.cache.reset(&key));
    drop(lab.cache.cancel(&key));
    assert_eq!(lab.cache.remove(&key), 0);
    assert_eq!(lab.matching(Filter::all()), []);
    assert_eq!(lab.drive(), None);
    drop((observer, server));
}
