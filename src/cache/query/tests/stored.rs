use serde_json::{Value, json};

use super::kit::{Server, cache, now};
use crate::{DehydrateOptions, Hydrated, Reasons, Stored, key};

fn hydrated(added: usize, newer: usize, older: usize) -> Hydrated {
    let mut hydrated = Hydrated::default();
    (hydrated.added, hydrated.newer, hydrated.older) = (added, newer, older);
    hydrated
}

/// Through the text, as after a restart.
fn restart(stored: &Stored) -> Stored {
    Stored::from_json(&stored.to_json()).expect("it was just written")
}

#[test]
fn what_is_stored_comes_back_and_is_restored_until_confirmed() {
    let (old, mut feed) = cache();
    drop(
        old.set(&key!["note"], &json!({ "a": 1.50 }))
            .expect("taken"),
    );
    drop(
        old.set(&key!["user", 7], &json!({ "name": "x" }))
            .expect("taken"),
    );
    feed.message(r#"{"entity":"stream","id":1,"payload":{"p":"0.10"}}"#)
        .expect("taken");
    assert_eq!(old.dehydrate(DehydrateOptions::new()).queries.len(), 2);
    let all = DehydrateOptions::new()
        .entities(["stream", "user"])
        .buster("v1");
    let stored = old.dehydrate(all);
    assert_eq!(
        (stored.queries.len(), stored.buster.as_deref()),
        (3, Some("v1"))
    );

    let (new, mut feed) = cache();
    let mut hydrating = new.hydrate(restart(&stored));
    assert!(
        now(&mut hydrating).is_none(),
        "the feed has not taken its value yet"
    );
    assert_eq!(hydrating.so_far().added, 2);
    feed.settle();
    assert_eq!(now(&mut hydrating), Some(hydrated(3, 0, 0)));
    let keys = [key!["note"], key!["user", 7], key!["stream", 1]];
    for key in &keys {
        let state = new.query::<Value>(key).state();
        assert_eq!(state.shared(), old.get(key), "{key}");
        assert!(
            state.freshness().reasons().contains(Reasons::RESTORED),
            "{key}: {state:?}"
        );
        assert!(state.is_stale());
    }
    let again = new.hydrate(restart(&stored));
    feed.settle();
    assert_eq!(
        now(again),
        Some(hydrated(0, 0, 3)),
        "of equal age is not newer"
    );
    feed.message(r#"{"entity":"stream","id":1,"payload":{"p":"0.20"}}"#)
        .expect("taken");
    drop(new.set(&key!["note"], &json!(2)).expect("taken"));
    for key in [&keys[0], &keys[2]] {
        assert!(
            new.query::<Value>(key).state().freshness().is_live(),
            "{key}"
        );
    }
}

#[test]
fn a_list_takes_its_items_along() {
    let (old, mut feed) = cache();
    let server = Server::default();
    let lists = key!["stream", "all"];
    old.defaults(&lists).list("id").fetch(server.fetcher());
    let list = old.query::<Value>(&lists).observe_list();
    server.answer(r#"[{"id":2,"n":2},{"id":1,"n":1}]"#);
    feed.settle();
    let stored = old.dehydrate(DehydrateOptions::new().only(&lists));
    assert_eq!(stored.queries.len(), 3);
    drop(list);

    let (new, mut feed) = cache();
    let hydrating = new.hydrate(restart(&stored));
    feed.settle();
    assert_eq!(now(hydrating), Some(hydrated(3, 0, 0)));
    let mut list = new.query::<Value>(&lists).list("id").observe_list();
    assert_eq!(list.rows().len(), 2);
    assert_eq!(list.rows()[0].value(), Some(&json!({ "id": 2, "n": 2 })));
    assert!(
        list.state()
            .freshness()
            .reasons()
            .contains(Reasons::RESTORED)
    );
}

#[test]
fn older_never_replaces_newer() {
    let key = key!["note"];
    let at = |value: i32, advance: u64| {
        let (cache, mut feed) = cache();
        feed.advance(std::time::Duration::from_secs(advance));
        drop(cache.set(&key, &value).expect("taken"));
        cache.dehydrate(DehydrateOptions::new())
    };
    let (first, second) = (at(1, 0), at(2, 1));
    let (cache, _feed) = cache();
    assert_eq!(cache.hydrate(first.clone()).so_far(), hydrated(1, 0, 0));
    assert_eq!(cache.hydrate(second).so_far(), hydrated(0, 1, 0));
    assert_eq!(cache.hydrate(first).so_far(), hydrated(0, 0, 1));
    assert_eq!(cache.get(&key).as_deref(), Some(&2));
}
