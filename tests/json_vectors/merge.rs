//! RFC 7396 by its own words: the example of its introduction, the larger one of section 3, and
//! the fifteen of appendix A. Each is a value that is written and a patch that is merged into it,
//! while the layouts of both are new and when they have been learned.

use tickcache::feed::presets::Events;
use tickcache::record::Mode;
use tickcache::{Cache, Feed, LocalFeed, Missing, Slot};

use crate::tree::Tree;

/// A value, a patch, and what the standard says becomes of them.
const CASES: [(&str, &str, &str); 20] = [
    // Section 1.
    (
        r#"{"a":"b","c":{"d":"e","f":"g"}}"#,
        r#"{"a":"z","c":{"f":null}}"#,
        r#"{"a":"z","c":{"d":"e"}}"#,
    ),
    // Section 3.
    (
        r#"{"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},"tags":["example","sample"],"content":"This will be unchanged"}"#,
        r#"{"title":"Hello!","phoneNumber":"+01-123-456-7890","author":{"familyName":null},"tags":["example"]}"#,
        r#"{"title":"Hello!","author":{"givenName":"John"},"tags":["example"],"content":"This will be unchanged","phoneNumber":"+01-123-456-7890"}"#,
    ),
    // Appendix A.
    (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
    (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
    (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
    (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
    (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
    (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
    (
        r#"{"a":{"b":"c"}}"#,
        r#"{"a":{"b":"d","c":null}}"#,
        r#"{"a":{"b":"d"}}"#,
    ),
    (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
    (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
    (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
    (r#"{"a":"foo"}"#, "null", "null"),
    (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
    (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
    (r"[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
    ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    // What follows from the same rules and is got wrong.
    (r#"{"a":{"b":1}}"#, r#"{"a":{}}"#, r#"{"a":{"b":1}}"#),
    (r#"{"a":1}"#, r#"{"a":{"b":null}}"#, r#"{"a":{}}"#),
    (
        r#"{"a":{"b":1}}"#,
        r#"{"a":[null,{"b":null}]}"#,
        r#"{"a":[null,{"b":null}]}"#,
    ),
];

/// One feed writes whole values, one merges; an id belongs to the entity of each.
pub(crate) struct Merger {
    cache: Cache,
    feed: LocalFeed<Events>,
}

impl Merger {
    pub(crate) fn new() -> Self {
        let cache = Cache::builder().build().expect("a cache");
        let feed = Feed::events()
            .merge(Mode::Merge)
            .missing(Missing::Insert)
            .entities(["v"]);
        let mut feed = cache.local(feed).expect("nothing else is attached");
        feed.open();
        Self { cache, feed }
    }

    pub(crate) fn slot(&self, id: u64) -> Slot {
        self.cache.entity("v").slot(id)
    }

    /// Has a value be replaced, by another thread's command, which is no merge.
    pub(crate) fn set(&mut self, id: u64, value: &str) {
        let set = self.slot(id).set_json(value).expect("room");
        self.feed.settle();
        assert_eq!(set.result(), Some(Ok(())), "{value}");
    }

    pub(crate) fn merge(&mut self, id: u64, patch: &str) {
        let message = format!(r#"{{"entity":"v","id":{id},"payload":{patch}}}"#);
        let taken = self.feed.message_text(&message);
        taken.unwrap_or_else(|refusal| panic!("{message}: {refusal}"));
    }

    /// What a reader sees.
    pub(crate) fn shown(&self, id: u64) -> Option<Tree> {
        let snapshot = self.slot(id).snapshot();
        let record = snapshot.record();
        (!record.is_absent()).then(|| Tree::parse(&record.to_json()).expect("JSON"))
    }
}

#[test]
fn every_example_of_the_standard() {
    let mut merger = Merger::new();
    for round in 0..4 {
        for (at, (value, patch, expected)) in (round * 100..).zip(CASES) {
            merger.set(at, value);
            assert_eq!(merger.shown(at), Tree::parse(value), "{value}");
            merger.merge(at, patch);
            // A payload of null takes the value away, which is null to whoever merges.
            let expected = Tree::parse(expected).filter(|tree| !tree.is_null());
            assert_eq!(
                merger.shown(at),
                expected,
                "{value} and {patch}, round {round}"
            );
        }
    }
}

/// A patch that is merged twice is merged once, but for what JSON cannot say of nulls.
#[test]
fn merging_again_changes_nothing() {
    let mut merger = Merger::new();
    for (id, (value, patch, _)) in (0..).zip(CASES) {
        merger.set(id, value);
        merger.merge(id, patch);
        let once = merger.shown(id);
        let epoch = merger.slot(id).epoch();
        if once.is_some() {
            merger.merge(id, patch);
            assert_eq!(
                merger.slot(id).epoch(),
                epoch,
                "{value} and {patch}: no news"
            );
        }
        assert_eq!(merger.shown(id), once, "{value} and {patch}");
    }
}
