//! Nesting, on a stack of 256 KiB: accepted up to the limit, refused beyond it, and never an
//! overflow, which would end the process.

use std::thread;

use tickcache::feed::presets::Events;
use tickcache::json::Decoder;
use tickcache::{Cache, Feed, LocalFeed, Missing, Refusal};

const STACK: usize = 256 << 10;

/// Nested texts: what opens a level, what is innermost, what closes a level.
const SHAPES: [(&str, &str, &str); 5] = [
    ("[", "", "]"),
    ("{\"a\":", "{}", "}"),
    ("[{\"\":", "[]", "}]"),
    ("[0,", "1", ",2]"),
    ("{\"a\":1,\"b\":", "null", "}"),
];

/// How many levels a text of a shape has, and the text.
fn nested((open, inner, close): (&str, &str, &str), times: usize) -> (usize, String) {
    let opens = |text: &str| {
        text.bytes()
            .filter(|byte| matches!(byte, b'[' | b'{'))
            .count()
    };
    let text = [open.repeat(times), inner.to_owned(), close.repeat(times)].concat();
    (opens(open) * times + opens(inner), text)
}

/// From 1 to 100,000 levels; every number where the limits are.
fn times() -> impl Iterator<Item = usize> {
    let powers = (0..17).map(|power| 1 << power);
    (1..140)
        .chain(powers)
        .chain([1000, 1023, 1024, 1025, 99_999, 100_000])
}

fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(STACK).spawn(work);
    thread.expect("a thread").join().expect("it ends well");
}

#[test]
fn decoders_keep_their_limit() {
    on_a_small_stack(|| {
        for limit in [1, 2, 64, 128, 1024] {
            let mut decoders = [Decoder::new(limit), Decoder::parsing_only(limit)];
            for shape in SHAPES {
                for times in times() {
                    let (depth, text) = nested(shape, times);
                    for decoder in &mut decoders {
                        // More than once, so that a layout would be learned.
                        for _ in 0..3 {
                            let answer = decoder.decode(text.as_bytes()).is_ok();
                            assert_eq!(
                                answer,
                                depth <= limit as usize,
                                "{shape:?} {depth} {limit}"
                            );
                        }
                        let cut = &text[..text.len() - 1];
                        assert!(decoder.decode(cut.as_bytes()).is_err(), "{shape:?} {depth}");
                    }
                }
            }
        }
    });
}

fn local(cache: &Cache, feed: Feed<Events>, max_depth: u32) -> LocalFeed<Events> {
    let feed = feed.entities(["v"]);
    let feed = feed.settings(|settings| settings.max_depth = max_depth);
    let mut feed = cache.local(feed).expect("nothing else is attached");
    feed.open();
    feed
}

/// What is nested goes into values, is copied, written, read by serde, and dropped.
fn engine_keeps(limit: u32) {
    let cache = Cache::builder().build().expect("a cache");
    let mut feed = local(&cache, Feed::events().whole(), limit);
    let slot = cache.entity("v").slot(1);
    for shape in SHAPES {
        for times in times() {
            let (depth, text) = nested(shape, times);
            let message = format!(r#"{{"entity":"v","id":1,"payload":{text}}}"#);
            for _ in 0..2 {
                let answer = feed.message_text(&message);
                if depth < limit as usize {
                    answer.unwrap_or_else(|refusal| panic!("{shape:?} {depth}: {refusal}"));
                    let shown = slot.snapshot();
                    assert_eq!(shown.record().to_json(), text, "{shape:?} {depth}");
                    assert!(shown.record().as_ref().to_tree().is_some());
                    let read: Result<serde::de::IgnoredAny, _> = shown.deserialize();
                    assert!(read.is_ok(), "{shape:?} {depth}: {read:?}");
                } else {
                    assert_eq!(answer, Err(Refusal::TooDeep), "{shape:?} {depth}");
                }
            }
        }
    }
    assert!(feed.counters().balanced());
}

#[test]
fn engines_keep_the_default_limit() {
    on_a_small_stack(|| engine_keeps(tickcache::feed::Settings::default().max_depth));
}

/// Patches that go ever deeper than what was there, and shallow again.
#[test]
fn merging_at_every_depth() {
    on_a_small_stack(|| {
        let cache = Cache::builder().build().expect("a cache");
        let mut feed = local(&cache, Feed::events().missing(Missing::Insert), 128);
        let slot = cache.entity("v").slot(1);
        for depth in (1..=126).chain((1..=126).rev()) {
            let (open, close) = (r#"{"a":"#.repeat(depth), "}".repeat(depth));
            let message =
                format!(r#"{{"entity":"v","id":1,"payload":{open}{{"d{depth}":{depth}}}{close}}}"#);
            feed.message_text(&message).expect("within the limit");
            let name = format!("d{depth}");
            let path: Vec<&str> = std::iter::repeat_n("a", depth).chain([&*name]).collect();
            assert_eq!(slot.snapshot().record().path(&path).u64(), Ok(depth as u64));
        }
    });
}
