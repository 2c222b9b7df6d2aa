//! A fetch against a stream: the races R1 to R13 of query-core, and what happens here instead.

use serde_json::{Value, json};
use tickcache::feed::{Envelope, Policy, Rule};
use tickcache::testing::TestFeed;
use tickcache::{
    Cache, Feed, Fetched, Filter, Key, Order, QueryError, Reasons, RefetchKind, Status, key,
};

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

/// A cache whose stream numbers its messages by this rule, observed and fetched as of 1000.
struct Numbered {
    cache: Cache,
    feed: TestFeed<Envelope>,
    server: Server,
    observer: tickcache::Observer<Value>,
}

impl Numbered {
    fn new(rule: Rule) -> Self {
        let envelope = Envelope::builder("venue")
            .entity("/e")
            .entities(["stream"])
            .id("/i")
            .payload("/v")
            .sequence("/q", Policy::continuing(rule));
        let envelope = envelope.build().expect("the pointers are right");
        let (cache, feed) = TestFeed::new(Feed::envelope(envelope));
        let server = Server::new();
        cache.defaults(key!["stream"]).fetch(server.fetcher());
        let query = cache.query::<Value>(key!["stream", 1]);
        let observer = query.stale_never().observe();
        let mut this = Self {
            cache,
            feed,
            server,
            observer,
        };
        this.drive();
        this.answer(json!({ "p": 1 }), 1_000);
        this
    }

    fn drive(&mut self) {
        self.cache.drive();
        self.feed.settle();
        self.cache.drive();
    }

    fn answer(&mut self, value: Value, as_of: u64) {
        self.server
            .answer_with(Ok(Fetched::new(value).as_of(as_of)));
        self.drive();
    }

    fn hear(&mut self, p: u64, q: u64) {
        let message = format!(r#"{{"e":"stream","i":1,"v":{{"p":{p}}},"q":{q}}}"#);
        self.feed.message(&message).expect("taken");
        self.drive();
    }

    fn p(&self) -> Option<Value> {
        self.observer.state().data().map(|value| value["p"].clone())
    }
}

/// D1: where messages are numbered, the number is the order, whatever comes first.
#[test]
fn race_r3_numbers_decide_over_arrival() {
    let mut it = Numbered::new(Rule::SparseRising);
    it.hear(2, 2_000);
    it.hear(3, 1_500);
    assert_eq!(it.p(), Some(json!(2)), "the older one is dropped");
    drop(it.cache.refetch(key!["stream", 1]));
    it.drive();
    it.answer(json!({ "p": 4 }), 1_900);
    assert_eq!(it.p(), Some(json!(2)), "and so is an older answer");
}

/// D1: what the answer already knows is not laid over it once more.
#[test]
fn what_an_answer_knows_is_not_replayed() {
    let mut it = Numbered::new(Rule::SparseRising);
    drop(it.cache.refetch(key!["stream", 1]));
    it.drive();
    it.hear(2, 1_001);
    it.hear(3, 1_002);
    it.answer(json!({ "p": 4, "by": "the answer" }), 1_003);
    assert_eq!(it.p(), Some(json!(4)));
    it.hear(3, 1_003);
    assert_eq!(it.p(), Some(json!(4)), "that one was in it");
    it.hear(5, 1_004);
    assert_eq!(it.p(), Some(json!(5)));
}

#[test]
fn a_gap_in_the_stream_asks_again() {
    let mut it = Numbered::new(Rule::ContiguousPerKey);
    it.hear(2, 1_001);
    assert!(it.observer.state().freshness().is_live());
    assert_eq!(it.server.calls(), 1);
    it.hear(4, 1_003);
    assert!(
        it.observer
            .state()
            .freshness()
            .reasons()
            .contains(Reasons::GAP)
    );
    assert_eq!(it.server.calls(), 2);
    it.answer(json!({ "p": 4 }), 1_003);
    assert!(it.observer.state().freshness().is_live());
    assert_eq!(it.server.waiting(), 0);
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
    let mut asked = lab.query(&key).stale_after(ms(0)).fetch_now();
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
    let mut asked = lab.query(&key).fetch_now();
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
    let mut asked = lab.query(&key).stale_after(ms(0)).retry(0).fetch_now();
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
