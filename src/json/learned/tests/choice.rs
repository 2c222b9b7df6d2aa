//! What is learned, which template is tried, and what is given up.

use super::super::{LONG_PAUSE, MOST_TEMPLATES, SHORT_PAUSE};
use super::{DEPTH, template};
use crate::json::{Decoder, LayoutCounts};

fn decode(decoder: &mut Decoder, message: &str) {
    decoder.decode(message.as_bytes()).expect("valid");
}

/// A message of the kind `kind`.
fn message(kind: usize, value: usize) -> String {
    format!(r#"{{"kind":"k","m{kind}":{value},"text":"{value}"}}"#)
}

#[test]
fn the_second_sight_is_learned_and_the_third_fits() {
    let mut decoder = Decoder::new(DEPTH);
    for value in 0..10 {
        decode(&mut decoder, &message(0, value));
    }
    let counts = LayoutCounts {
        hits: 8,
        misses: 2,
        learned: 1,
        evicted: 0,
    };
    assert_eq!(decoder.layout_counts(), counts);
}

#[test]
fn nothing_is_learned_of_messages_that_are_all_different() {
    let mut decoder = Decoder::new(DEPTH);
    for kind in 0..2_000 {
        decode(&mut decoder, &message(kind, 1));
    }
    assert_eq!(decoder.layout_counts().learned, 0);
}

#[test]
fn templates_are_few_and_the_one_least_used_goes() {
    let mut decoder = Decoder::new(DEPTH);
    for kind in 0..MOST_TEMPLATES {
        for value in 0..4 {
            decode(&mut decoder, &message(kind, value));
        }
    }
    let full = decoder.layout_counts();
    assert_eq!(full.learned, MOST_TEMPLATES as u64);
    assert_eq!(full.evicted, 0);
    // All but the first two are in use when another kind comes.
    for round in 0..20 {
        for kind in 2..=MOST_TEMPLATES {
            decode(&mut decoder, &message(kind, round));
        }
    }
    let counts = decoder.layout_counts();
    assert_eq!((counts.learned, counts.evicted), (full.learned + 1, 1));
    let misses = counts.misses;
    for kind in 2..=MOST_TEMPLATES {
        decode(&mut decoder, &message(kind, 7));
    }
    assert_eq!(decoder.layout_counts().misses, misses);
}

#[test]
fn more_kinds_than_templates_do_not_replace_each_other_all_the_time() {
    let mut decoder = Decoder::new(DEPTH);
    let kinds = MOST_TEMPLATES + 4;
    for round in 0..2_000 {
        for kind in 0..kinds {
            decode(&mut decoder, &message(kind, round));
        }
    }
    let counts = decoder.layout_counts();
    assert!(counts.evicted < 30, "{counts:?}");
    assert!(counts.hits > 3 * counts.misses, "{counts:?}");
}

#[test]
fn where_nothing_fits_trying_stops_and_starts_again() {
    let mut decoder = Decoder::new(DEPTH);
    for value in 0..10 {
        decode(&mut decoder, &message(0, value));
    }
    for kind in 1..20_000 {
        decode(&mut decoder, &message(kind, 0));
    }
    // Back to the first kind: it is found again after one pause at most.
    let before = decoder.layout_counts();
    let most = (SHORT_PAUSE + LONG_PAUSE) as usize;
    for value in 0..2 * most {
        decode(&mut decoder, &message(0, value));
    }
    let counts = decoder.layout_counts();
    assert!(counts.hits - before.hits >= most as u64, "{counts:?}");
    assert_eq!(counts.learned, before.learned);
}

#[test]
fn repeated_and_escaped_names_are_not_learned() {
    for message in [
        r#"{"a":1,"b":2,"a":3,"c":4}"#,
        r#"{"o":{"a":1,"b":2,"a":3}}"#,
        r#"[1,{"o":[{"a":1,"a":2}]}]"#,
        r#"{"a\u0062":1,"b":2,"c":4}"#,
        r#""a text as the whole message""#,
        "12345678901234567890",
    ] {
        assert!(template(message.as_bytes()).is_none(), "{message}");
        let mut decoder = Decoder::new(DEPTH);
        for _ in 0..5 {
            decode(&mut decoder, message);
        }
        let counts = LayoutCounts {
            misses: 5,
            ..LayoutCounts::default()
        };
        assert_eq!(decoder.layout_counts(), counts, "{message}");
    }
    // The same names in objects beside each other, or inside an array that is a hole, are no repeat.
    for message in [
        r#"{"a":{"a":1},"b":{"a":1}}"#,
        r#"[{"a":1,"b":2},{"a":1,"b":2}]"#,
    ] {
        assert!(template(message.as_bytes()).is_some(), "{message}");
    }
}

#[test]
fn what_the_strict_grammar_lacks_is_parsed_and_not_learned_again() {
    let mut decoder = Decoder::new(DEPTH);
    for _ in 0..50 {
        decode(&mut decoder, r#"{"price":1.5,"text":"plain"}"#);
        decode(&mut decoder, r#"{"price":1e5,"text":"plain"}"#);
        decode(&mut decoder, r#"{"price":1.5,"text":"with \n escape"}"#);
    }
    let counts = decoder.layout_counts();
    assert_eq!((counts.learned, counts.evicted), (1, 0));
    assert_eq!(counts.hits, 49);
}

#[test]
fn an_array_that_is_looked_into_becomes_structure() {
    let mut decoder = Decoder::new(DEPTH);
    let message = |value: usize| format!(r#"{{"type":"list","values":["a",{value},null]}}"#);
    let mut seen = 0;
    for value in 0..20 {
        let text = message(value);
        let root = decoder.decode(text.as_bytes()).expect("valid").root();
        let values = root.get("values").expect("a member");
        let second = values.elements().nth(1).and_then(|value| value.u64());
        assert_eq!(second, Some(value as u64));
        assert_eq!(values.len(), 3);
        seen += 1;
    }
    assert_eq!(seen, 20);
    let counts = decoder.layout_counts();
    // Once as a hole, dropped at the first look, and once as structure.
    assert_eq!((counts.learned, counts.evicted), (2, 1));
    assert_eq!(counts.hits, 1 + 15);
    // One of many elements is left to the parser for good.
    let long = format!(r#"{{"type":"list","values":[{}]}}"#, ["1"; 40].join(","));
    for _ in 0..20 {
        let root = decoder.decode(long.as_bytes()).expect("valid").root();
        assert_eq!(root.get("values").expect("a member").len(), 40);
    }
    assert_eq!(decoder.layout_counts().learned, 2);
}
