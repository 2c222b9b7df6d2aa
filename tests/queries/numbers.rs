//! A stream that numbers its messages, and answers that say as of which number they are: race R3.

use serde_json::{Value, json};
use tickcache::feed::{Envelope, Policy, Rule};
use tickcache::testing::TestFeed;
use tickcache::{Cache, Feed, Fetched, Reasons, key};

use crate::kit::Server;

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
        self.feed.settle();
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
