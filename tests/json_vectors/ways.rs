//! The ways that a text takes through the engine.

use tickcache::feed::presets::Events;
use tickcache::json::Decoder;
use tickcache::{Cache, Feed, LocalFeed, Refusal};

use crate::grammar;

/// One text as the value of a message, to a decoder that knows the layout and to one that parses.
pub(crate) struct Holes {
    learned: Decoder,
    parsing: Decoder,
    depth: usize,
    /// Texts that fitted the layout: nobody parsed them.
    fitted: usize,
}

/// A message with a text in the place of one value.
fn around(text: &[u8]) -> Vec<u8> {
    [br#"{"e":"book","v":"#, text, br#","w":"end"}"#].concat()
}

impl Holes {
    pub(crate) fn new(depth: u32) -> Self {
        let mut learned = Decoder::new(depth);
        for _ in 0..4 {
            let message = around(b"1");
            assert!(learned.decode(&message).is_ok());
        }
        assert!(learned.layout_counts().learned > 0, "nothing was learned");
        Self {
            learned,
            parsing: Decoder::parsing_only(depth),
            depth: depth as usize,
            fitted: 0,
        }
    }

    pub(crate) fn check(&mut self, name: &str, text: &[u8]) {
        let message = around(text);
        let expected = grammar::is_json(&message, self.depth);
        // The layout that fitted last is tried first: the plain one, each time.
        let plain = around(b"1");
        let before = self.learned.layout_counts();
        assert!(self.learned.decode(&plain).is_ok(), "{name}");
        let between = self.learned.layout_counts();
        assert_eq!(
            between.hits,
            before.hits + 1,
            "{name}: the layout is forgotten"
        );
        let learned = self.learned.decode(&message);
        let parsed = self.parsing.decode(&message);
        assert_eq!(parsed.is_ok(), expected, "{name}: parsed {parsed:?}");
        assert_eq!(learned.is_ok(), expected, "{name}: learned {learned:?}");
        if let (Ok(learned), Ok(parsed)) = (learned, parsed) {
            let (learned, parsed) = (learned.root(), parsed.root());
            let names = |value: tickcache::json::Value<'_>| -> Vec<_> {
                let members = value.members();
                members
                    .map(|(name, value)| {
                        (name.as_str().to_owned(), value.kind(), value.raw().to_vec())
                    })
                    .collect()
            };
            assert_eq!(names(learned), names(parsed), "{name}");
            let (learned, parsed) = (learned.get("v"), parsed.get("v"));
            let both = learned.zip(parsed).expect("the member");
            assert_eq!(both.0.token(), both.1.token(), "{name}");
            assert_eq!(both.0.str(), both.1.str(), "{name}");
        }
        self.fitted += (self.learned.layout_counts().hits - between.hits) as usize;
    }

    pub(crate) fn fitted(&self) -> usize {
        self.fitted
    }
}

/// An engine that takes whole values of one id.
pub(crate) struct Engine {
    cache: Cache,
    feed: LocalFeed<Events>,
    refused: u64,
}

impl Engine {
    pub(crate) fn new(depth: u32) -> Self {
        let cache = Cache::builder().build().expect("a cache");
        let feed = Feed::events().whole().entities(["v"]);
        let feed = feed.settings(|settings| settings.max_depth = depth);
        let mut feed = cache.local(feed).expect("nothing else is attached");
        feed.open();
        Self {
            cache,
            feed,
            refused: 0,
        }
    }

    fn say(&mut self, text: &[u8]) -> Result<(), Refusal> {
        let message = [br#"{"entity":"v","id":1,"payload":"#, text, b"}"].concat();
        self.feed.message(&mut message.clone())
    }

    pub(crate) fn check(&mut self, name: &str, text: &[u8], is_accepted: bool) {
        let slot = self.cache.entity("v").slot(1);
        self.say(br#""before""#).expect("taken");
        let epoch = slot.epoch();
        // As often as it takes for a layout to be learned.
        for round in 0..3 {
            let answer = self.say(text);
            if !is_accepted {
                let by = answer.expect_err(name);
                assert!(
                    matches!(by, Refusal::Malformed | Refusal::TooDeep),
                    "{name}: {by}"
                );
                assert_eq!(slot.epoch(), epoch, "{name}");
                assert_eq!(slot.snapshot().record().to_json(), r#""before""#, "{name}");
                self.refused += 1;
                continue;
            }
            answer.unwrap_or_else(|refusal| panic!("{name}, round {round}: {refusal}"));
            let text = std::str::from_utf8(text).expect("UTF-8").trim();
            let shown = slot.snapshot();
            if text == "null" {
                assert!(shown.record().is_absent(), "{name}: null removes");
            } else if text.starts_with('{') {
                let expected = crate::tree::Tree::parse(text).expect("JSON");
                let found = crate::tree::Tree::parse(&shown.record().to_json());
                assert_eq!(found, Some(expected), "{name}");
            } else {
                assert_eq!(shown.record().to_json(), text, "{name}");
            }
        }
    }

    pub(crate) fn finish(self) {
        let counters = self.feed.counters();
        assert_eq!(counters.refused, self.refused);
        assert!(counters.balanced(), "{counters:?}");
    }
}
