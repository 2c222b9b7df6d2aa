//! JSON and merging by their standards, through the public API: RFC 8259 (what is accepted, what is
//! refused, and what the standard leaves open) and RFC 7396.
//!
//! Every text is judged three ways which must agree: by a parser, by a decoder that has learned the
//! layout of the message around it, and by an engine that holds values. The answers are written
//! down in `vectors.txt`; a recogniser that shares no code with the engine holds against them and
//! judges what is made up beside them.

#![allow(missing_docs, reason = "a test binary")]

mod grammar;
mod merge;
mod nesting;
mod numbers;
mod oracle;
mod pairs;
#[path = "../kit/random.rs"]
mod random;
#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
#[path = "../reference/tree.rs"]
mod tree;
mod vectors;
mod ways;

use vectors::{Kind, Vector};
use ways::{Engine, Holes};

/// What the texts of the vectors may be nested.
const DEPTH: u32 = 128;

#[test]
fn the_vectors_are_as_many_as_the_standard_needs() {
    let vectors = vectors::all();
    let count = |kind| vectors.iter().filter(|vector| vector.kind == kind).count();
    assert!(count(Kind::Accept) >= 95, "{}", count(Kind::Accept));
    assert!(count(Kind::Refuse) >= 188, "{}", count(Kind::Refuse));
    let open = count(Kind::Choose(true)) + count(Kind::Choose(false));
    assert!(open >= 35, "{open}");
}

/// The file is right, as far as another reader of the grammar can tell.
#[test]
fn the_grammar_agrees_with_the_vectors() {
    for Vector { name, text, kind } in vectors::all() {
        let answer = grammar::is_json(&text, DEPTH as usize);
        assert_eq!(answer, kind.is_accepted(), "{name}");
    }
}

#[test]
fn every_vector_alone() {
    let mut learning = tickcache::json::Decoder::new(DEPTH);
    for Vector { name, text, kind } in vectors::all() {
        let mut parsing = tickcache::json::Decoder::parsing_only(DEPTH);
        let parsed = parsing.decode(&text).is_ok();
        assert_eq!(parsed, kind.is_accepted(), "{name}");
        // Seen often enough to be learned: the answer stays.
        for round in 0..4 {
            let again = learning.decode(&text).is_ok();
            assert_eq!(again, kind.is_accepted(), "{name}, round {round}");
        }
    }
}

/// A text in the place of a value, in messages whose layout is known and in ones that are parsed:
/// the same answer, the same token.
#[test]
fn every_vector_in_a_hole_of_a_learned_message() {
    let mut holes = Holes::new(DEPTH + 1);
    for Vector { name, text, .. } in vectors::all() {
        holes.check(&name, &text);
    }
    let fitted = holes.fitted();
    assert!(fitted >= 50, "only {fitted} texts fitted a layout");
}

/// Through an engine: what is accepted is there, token for token; what is refused is counted and
/// changes nothing.
#[test]
fn every_vector_as_a_value() {
    let mut engine = Engine::new(DEPTH + 1);
    for Vector { name, text, kind } in vectors::all() {
        engine.check(&name, &text, kind.is_accepted());
    }
    engine.finish();
}

/// Every change of one byte of a message that is known is judged as the grammar has it, whether its
/// layout was learned or not.
#[test]
fn every_changed_byte_of_a_learned_message() {
    let message = br#"{"e":"book","n":-120.50,"t":"a b","u":"xyz","l":[1,{"m":null}],"b":true}"#;
    let mut learned = tickcache::json::Decoder::new(DEPTH);
    for at in 0..message.len() {
        for byte in 0..=255 {
            let mut text = message.to_vec();
            text[at] = byte;
            // Between two others, so that the layout is the one that is tried first.
            assert!(learned.decode(message).is_ok());
            let answer = learned.decode(&text).is_ok();
            let expected = grammar::is_json(&text, DEPTH as usize);
            assert_eq!(answer, expected, "{:?}", String::from_utf8_lossy(&text));
        }
    }
    let counts = learned.layout_counts();
    assert!(counts.hits > counts.misses / 4, "{counts:?}");
}

/// Cut short anywhere, or with a byte in between, a message is judged as the grammar has it.
#[test]
fn every_cut_and_every_insertion() {
    let message =
        r#" {"a":[1.5e3,"\ud83d\ude00é",null,{"":-0}],"b":{"c":true},"d":1e400} "#.as_bytes();
    let mut decoder = tickcache::json::Decoder::new(DEPTH);
    let mut check = |text: &[u8]| {
        let answer = decoder.decode(text).is_ok();
        let expected = grammar::is_json(text, DEPTH as usize);
        assert_eq!(answer, expected, "{:?}", String::from_utf8_lossy(text));
    };
    for at in 0..=message.len() {
        check(&message[..at]);
        check(&message[at..]);
        for byte in [
            b'"', b'\\', b',', b':', b'[', b']', b'{', b'}', b'0', b'-', b'.', b'e', b' ', 0, 0x1f,
            0x7f, 0x80, 0xff,
        ] {
            check(&[&message[..at], &[byte], &message[at..]].concat());
        }
    }
}
