//! A fetch against a stream: the races R1 to R13 of query-core, and what happens here instead.

use serde_json::{Value, json};
use tickcache::{Filter, Key, Order, QueryError, Reasons, RefetchKind, Status, key};

use crate::kit::{Lab, Server, ms, poll};

fn says(id: u64, payload: &Value) -> Value {
    json!({ "entity": "stream", "id": id, "payload": payload })
}

/// A value that the stream keeps up, fetched once and observed; who serves it has its next caller
/// wait.
fn streamed(lab: &mut Lab, value: Value) -> (Key, Server, tickcache::Observer<Value>) {
    let key = key!["stream", 1];
    let server = lab.served(&key!["stream"]);
    let observer = lab.query(&key).stale_never().observe();
    lab.drive();
    server.answer(value);
    lab.drive();
    assert!(observer.state().freshness().is_live());
    (key, server, observer)
}

/// D1: the late result goes under the push.
#[test]
fn race_r1_a_push_during_a_fetch_stays() {
    for (order, p) in [(Order::Underneath, 2), (Order::LastWriteWins, 1)] {
        let mut lab = Lab::new();
        let (key, server, observer) = streamed(&mut lab, json!({ "p": 1, "q": 1 }));
        lab.cache.defaults(key.clone()).order(order);
        drop(lab.cache.refetch(key));
        lab.drive();
        lab.hear(&says(1, &json!({ "p": 2 })));
        assert_eq!(observer.state().data(), Some(&json!({ "p": 2, "q": 1 })));
        server.answer(json!({ "p": 1, "q": 7 }));
        lab.drive();
        assert_eq!(
            observer.state().data(),
            Some(&json!({ "p": p, "q": 7 })),
            "{order:?}"
        );
    }
}

/// D1: stamps do not matter; what was received since the fetch began is laid over its result, and
/// the time of the last data never goes back.
#[test]
fn race_r2_the_time_of_data_does_not_go_back() {
    let mut lab = Lab::new();
    let (key, server, observer) = streamed(&mut lab, json!({ "p": 1 }));
    drop(lab.cache.refetch(key));
    lab.pass(10);
    lab.hear(&says(1, &json!({ "p": 2 })));
    let pushed = observer.state().received_at();
    lab.pass(10);
    server.answer(json!({ "p": 1 }));
    lab.drive();
    let state = observer.state();
    assert_eq!(state.data(), Some(&json!({ "p": 2 })));
    assert!(state.received_at() >= pushed);
}

/// D2: a patch for a value that is being fetched first is kept, and laid over the result.
#[test]
fn race_r4_a_patch_before_the_first_result_is_kept() {
    let mut lab = Lab::new();
    let key = key!["stream", 1];
    let server = lab.served(&key!["stream"]);
    let observer = lab.query(&key).stale_never().observe();
    lab.drive();
    lab.hear(&says(1, &json!({ "p": 2 })));
    assert_eq!(observer.state().data(), None, "half a value is none");
    server.answer(json!({ "p": 1, "q": 1 }));
    lab.drive();
    assert_eq!(observer.state().data(), Some(&json!({ "p": 2, "q": 1 })));
    assert!(observer.state().freshness().is_live());
    assert!(lab.feed.counters().balanced());
}

/// As query-core: the push stays, the late result is dropped; who waited gets what is there.
#[test]
fn race_r5_a_push_after_a_cancel_stays() {
    let mut lab = Lab::new();
    let (key, server, observer) = streamed(&mut lab, json!({ "p": 1 }));
    let mut asked = lab.query(&key).stale_after(ms(0)).fetch();
    lab.drive();
    assert_eq!(server.waiting(), 1);
    drop(lab.cache.cancel(key));
    lab.drive();
    lab.hear(&says(1, &json!({ "p": 2 })));
    assert_eq!(server.waiting(), 0);
    assert_eq!(observer.state().data(), Some(&json!({ "p": 2 })));
    assert!(poll(&mut asked).expect("it has ended").is_ok());
}

/// As query-core since 5.90.2: cancelling takes nothing back that came by another way.
#[test]
fn race_r6_a_push_before_a_cancel_stays() {
    let mut lab = Lab::new();
    let (key, server, observer) = streamed(&mut lab, json!({ "p": 1 }));
    drop(lab.cache.refetch(key.clone()));
    lab.drive();
    lab.hear(&says(1, &json!({ "p": 2 })));
    drop(lab.cache.cancel(key));
    lab.drive();
    assert_eq!(server.waiting(), 0);
    assert_eq!(observer.state().data(), Some(&json!({ "p": 2 })));
}

/// D3: the mark outlives the cancel and the push, so the next occasion fetches.
#[test]
fn race_r7_a_push_does_not_answer_a_cancelled_invalidation() {
    let mut lab = Lab::new();
    let (key, server, observer) = streamed(&mut lab, json!({ "p": 1 }));
    drop(lab.cache.invalidate(key.clone()));
    lab.drive();
    assert_eq!(server.waiting(), 1);
    drop(lab.cache.cancel(key.clone()));
    lab.drive();
    lab.hear(&says(1, &json!({ "p": 2 })));
    assert!(observer.state().is_invalidated());
    assert!(!observer.state().freshness().is_live());
    let calls = server.calls();
    let _another = lab.query(&key).stale_never().observe();
    lab.drive();
    assert_eq!(
        server.calls(),
        calls + 1,
        "somebody comes, and it is fetched"
    );
    server.answer(json!({ "p": 3 }));
    lab.drive();
    assert!(observer.state().freshness().is_live());
}

/// As query-core: pending and idle; here too the next occasion fetches, and who waited was told.
#[test]
fn race_r8_a_cancelled_first_fetch_is_not_stuck() {
    let mut lab = Lab::new();
    let key = key!["stream", 1];
    let server = lab.served(&key!["stream"]);
    let observer = lab.query(&key).observe();
    let mut asked = lab.query(&key).fetch();
    lab.drive();
    drop(lab.cache.cancel(key.clone()));
    lab.drive();
    assert!(matches!(poll(&mut asked), Some(Err(QueryError::Cancelled))));
    assert_eq!(observer.state().status(), Status::Pending);
    lab.feed.disconnect();
    lab.feed.reconnect();
    lab.drive();
    assert_eq!(server.calls(), 2, "every open of the connection asks again");
    server.answer(json!({ "p": 1 }));
    lab.drive();
    assert!(observer.state().freshness().is_live());
}

/// D3: after a reconnect a patch answers nothing, whatever the stale time.
#[test]
fn race_r9_a_patch_does_not_repair_a_lost_connection() {
    let mut lab = Lab::new();
    let (key, server, observer) = streamed(&mut lab, json!({ "p": 1, "q": 1 }));
    drop(observer);
    lab.drive();
    lab.feed.disconnect();
    lab.feed.reconnect();
    lab.hear(&says(1, &json!({ "p": 2 })));
    let calls = server.calls();
    assert!(lab.state(&key).is_invalidated());
    let observer = lab.query(&key).stale_never().observe();
    lab.drive();
    assert_eq!(server.calls(), calls + 1);
    server.answer(json!({ "p": 2, "q": 2 }));
    lab.drive();
    assert_eq!(observer.state().data(), Some(&json!({ "p": 2, "q": 2 })));
    assert!(observer.state().freshness().is_live());
}

/// D5: a message touches its own value and no other, and says so to nobody else.
#[test]
fn race_r10_a_message_touches_its_own_value() {
    let mut lab = Lab::new();
    let server = Server::replying(|n| json!({ "id": n, "p": 0 }));
    lab.serve(&key!["stream"], &server);
    let keys = [1, 2, 3].map(|id| key!["stream", id]);
    let observers = keys
        .each_ref()
        .map(|key| lab.query(key).stale_never().observe());
    lab.drive();
    drop(
        lab.cache
            .invalidate(keys[2].clone())
            .refetch(RefetchKind::None),
    );
    lab.drive();
    let facts = || {
        observers.each_ref().map(|observer| {
            let state = observer.state();
            (state.epoch(), state.updated_at(), state.is_invalidated())
        })
    };
    let before = facts();
    lab.pass(10);
    lab.hear(&says(1, &json!({ "p": 1 })));
    let after = facts();
    assert_eq!(after[0].0, before[0].0 + 1, "once");
    assert_eq!(after[1..], before[1..]);
    assert!(after[2].2, "its mark is still there");
}

/// D8: the error is told beside the data, which is as good as the stream made it.
#[test]
fn race_r11_a_failed_fetch_does_not_mark_pushed_data() {
    let mut lab = Lab::new();
    let (key, server, observer) = streamed(&mut lab, json!({ "p": 1 }));
    let mut asked = lab.query(&key).stale_after(ms(0)).retry(0).fetch();
    lab.drive();
    lab.hear(&says(1, &json!({ "p": 2 })));
    server.fail("no");
    lab.drive();
    assert!(poll(&mut asked).expect("it has ended").is_err());
    let state = observer.state();
    assert_eq!(
        (state.status(), state.error().is_some()),
        (Status::Error, true)
    );
    assert!(state.freshness().is_live());
    assert_eq!(state.live(), Some(&json!({ "p": 2 })));
    lab.hear(&says(1, &json!({ "p": 3 })));
    assert!(
        observer.state().error().is_some(),
        "and a push does not hide it"
    );
}

/// D7: a rollback takes the overlay away, and nothing of what came below it.
#[test]
fn race_r12_a_rollback_keeps_what_was_pushed() {
    let mut lab = Lab::new();
    let (key, _server, observer) = streamed(&mut lab, json!({ "p": 1, "q": 1, "r": 1 }));
    let overlay = lab
        .cache
        .optimistic(&key, &json!({ "p": 9, "r": 9 }))
        .expect("taken");
    lab.drive();
    assert_eq!(
        observer.state().data(),
        Some(&json!({ "p": 9, "q": 1, "r": 9 }))
    );
    lab.hear(&says(1, &json!({ "p": 2, "q": 2 })));
    assert_eq!(
        observer.state().data(),
        Some(&json!({ "p": 9, "q": 2, "r": 9 }))
    );
    drop(overlay.rollback().expect("taken"));
    lab.drive();
    assert_eq!(
        observer.state().data(),
        Some(&json!({ "p": 2, "q": 2, "r": 1 }))
    );
    assert!(observer.state().freshness().is_live());
}

/// D6: a poll has its own clock; a busy stream does not starve it.
#[test]
fn race_r13_a_busy_stream_does_not_starve_polling() {
    let mut lab = Lab::new();
    let key = key!["stream", 1];
    let server = Server::replying(|n| json!({ "n": n, "p": 0 }));
    lab.serve(&key!["stream"], &server);
    let _observer = lab.query(&key).stale_never().poll_every(ms(50)).observe();
    lab.drive();
    for p in 0..20 {
        lab.pass(20);
        lab.hear(&says(1, &json!({ "p": p })));
    }
    assert!(server.calls() >= 7, "{} in 400 ms", server.calls());
}

/// D4: any number of invalidations during a fetch cause one more, during the first one too.
#[test]
fn a_storm_of_events_costs_one_fetch_more() {
    let mut lab = Lab::new();
    let key = key!["stream", 1];
    let server = lab.served(&key!["stream"]);
    let observer = lab.query(&key).stale_never().observe();
    lab.drive();
    for _ in 0..100 {
        lab.hear(&json!({ "entity": "stream", "id": 1 }));
    }
    assert_eq!((server.calls(), server.waiting()), (1, 1));
    server.answer(json!({ "n": 1 }));
    lab.drive();
    assert_eq!((server.calls(), server.waiting()), (2, 1));
    assert!(
        observer.state().is_invalidated(),
        "that answer may be older than the events"
    );
    server.answer(json!({ "n": 2 }));
    lab.pass(60_000);
    assert_eq!(server.calls(), 2);
    assert!(observer.state().freshness().is_live());
}

#[test]
fn losing_the_connection_is_seen_and_its_return_asks_again() {
    let mut lab = Lab::new();
    let (_key, server, observer) = streamed(&mut lab, json!({ "p": 1 }));
    lab.feed.disconnect();
    lab.drive();
    assert!(
        observer
            .state()
            .freshness()
            .reasons()
            .contains(Reasons::DISCONNECTED)
    );
    assert_eq!(server.calls(), 1);
    lab.feed.reconnect();
    lab.drive();
    assert_eq!(server.calls(), 2);
    server.answer(json!({ "p": 2 }));
    lab.drive();
    assert!(observer.state().freshness().is_live());
    assert_eq!(lab.cache.is_fetching(Filter::all()), 0);
}

/// D7: nor does it leave anything where there was nothing.
#[test]
fn a_write_that_was_rolled_back_leaves_no_trace() {
    let mut lab = Lab::new();
    let key = key!["stream", 1];
    let overlay = lab
        .cache
        .optimistic(&key, &json!({ "p": 1 }))
        .expect("taken");
    lab.drive();
    assert_eq!(lab.get(&key), Some(json!({ "p": 1 })));
    drop(overlay);
    lab.drive();
    assert_eq!(lab.get(&key), None);
    assert_eq!(lab.state(&key).status(), Status::Pending);
    let server = lab.served(&key!["stream"]);
    let _observer = lab.query(&key).stale_never().observe();
    lab.drive();
    assert_eq!(server.calls(), 1);
}
