//! Streams of messages through a decoder that learns and one that does not: the same messages are
//! accepted, and their handles give the same.

use super::SAMPLES;
use super::mutate::{Random, mutated};
use crate::json::{Decoder, Value};

/// Compares all that two handles give; what is inside of arrays only if `deep`, since to look there
/// makes a decoder learn otherwise.
pub(super) fn compare(ours: Value<'_>, theirs: Value<'_>, deep: bool) {
    assert_eq!(ours.kind(), theirs.kind());
    assert_eq!(ours.raw(), theirs.raw());
    assert_eq!(ours.token(), theirs.token());
    assert_eq!(ours.str(), theirs.str());
    assert_eq!(ours.id(), theirs.id());
    assert_eq!(ours.u64(), theirs.u64());
    assert_eq!(ours.i64(), theirs.i64());
    assert_eq!(ours.bool(), theirs.bool());
    assert_eq!(ours.is_null(), theirs.is_null());
    assert_eq!(ours.is_object(), theirs.is_object());
    let (mut members, mut expected) = (ours.members(), theirs.members());
    loop {
        match (members.next(), expected.next()) {
            (None, None) => break,
            (Some((name, value)), Some((other, otherwise))) => {
                assert_eq!(name.as_str(), other.as_str());
                assert_eq!(name.raw(), other.raw());
                compare(value, otherwise, deep);
                let (found, same) = (ours.get(name.as_str()), theirs.get(name.as_str()));
                assert_eq!(found.map(|v| v.raw()), same.map(|v| v.raw()));
            }
            _ => panic!("another number of members: {ours:?}, {theirs:?}"),
        }
    }
    assert!(ours.get("no such name").is_none());
    if !deep {
        return;
    }
    assert_eq!(ours.len(), theirs.len());
    assert_eq!(ours.is_empty(), theirs.is_empty());
    let (elements, expected) = (ours.elements(), theirs.elements());
    assert_eq!(elements.clone().count(), expected.clone().count());
    for (element, otherwise) in elements.zip(expected) {
        compare(element, otherwise, deep);
    }
}

/// Feeds both decoders, and compares. How many messages were accepted.
pub(super) fn run<'a>(
    learning: &mut Decoder,
    messages: impl IntoIterator<Item = &'a [u8]>,
    mut deep: impl FnMut() -> bool,
) -> usize {
    let mut plain = Decoder::parsing_only(super::DEPTH);
    let mut accepted = 0;
    for message in messages {
        match (learning.decode(message), plain.decode(message)) {
            (Ok(ours), Ok(theirs)) => {
                assert_eq!(ours.text(), theirs.text());
                compare(ours.root(), theirs.root(), deep());
                accepted += 1;
            }
            (Err(ours), Err(theirs)) => assert_eq!(ours, theirs),
            (ours, theirs) => panic!(
                "{ours:?}, {theirs:?}: {:?}",
                String::from_utf8_lossy(message)
            ),
        }
    }
    assert_eq!(
        plain.layout_counts().learned + plain.layout_counts().hits,
        0
    );
    accepted
}

#[test]
fn a_decoder_that_learns_gives_what_one_that_does_not_gives() {
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let mut messages = Vec::new();
        for _ in 0..2_500 {
            let sample = random.of(SAMPLES).as_bytes();
            let changed = random.below(3) != 0;
            messages.push(if changed {
                mutated(sample, &mut random)
            } else {
                sample.to_vec()
            });
        }
        let mut decoder = Decoder::new(super::DEPTH);
        let deep = seed % 3;
        let accepted = run(
            &mut decoder,
            messages.iter().map(Vec::as_slice),
            || match deep {
                0 => false,
                1 => true,
                _ => random.below(20) == 0,
            },
        );
        let counts = decoder.layout_counts();
        assert!(accepted > 800, "{accepted}");
        assert!(counts.hits > 300, "{counts:?}");
        assert_eq!(counts.hits + counts.misses, 2_500);
    }
}

#[test]
fn members_that_are_optional_or_in_another_order_are_layouts_of_their_own() {
    let mut random = Random::new(3);
    let names = ["alpha", "beta", "gamma"];
    let mut messages = Vec::new();
    for _ in 0..600 {
        let mut members = Vec::new();
        for name in names {
            if random.below(4) != 0 {
                members.push(format!("\"{name}\":\"{}\",", random.below(1000)));
            }
        }
        if random.below(2) == 0 {
            members.reverse();
        }
        let members = members.concat();
        messages.push(format!("{{\"type\":\"update\",{members}\"n\":1}}"));
    }
    let mut decoder = Decoder::new(super::DEPTH);
    let accepted = run(&mut decoder, messages.iter().map(String::as_bytes), || true);
    let counts = decoder.layout_counts();
    assert_eq!(accepted, 600);
    // 8 subsets, of which 4 have two orders.
    assert_eq!((counts.learned, counts.evicted), (12, 0));
    assert!(counts.misses < 60, "{counts:?}");
}
