//! Every way of listing quotes against a plain loop.

use super::super::block::Census;
use super::super::marks::{self, DENSEST, Found, MOST_MARKS, Places};
use super::super::portable::Words;
#[cfg(target_arch = "x86_64")]
use super::super::simd::{Avx2, Vector};
use super::mutate::Random;

type List = Box<dyn Fn(&[u8], &mut Places) -> Found>;

fn lists() -> Vec<(&'static str, List)> {
    let mut all: Vec<(_, List)> = vec![("portable", Box::new(marks::list::<Words>))];
    #[cfg(target_arch = "x86_64")]
    {
        all.push(("vectors", Box::new(marks::list::<Vector>)));
        if let Some(avx512) = Avx2::detect().and_then(Avx2::avx512) {
            all.push((
                "avx512",
                Box::new(move |message, places| avx512.list(message, places)),
            ));
        }
    }
    all
}

/// Lists the quotes in every way, and whether they were listed at all.
fn check(message: &[u8]) -> bool {
    let quotes: Vec<usize> = (0..message.len())
        .filter(|at| message[*at] == b'"')
        .collect();
    let dense = |chunk: &[u8]| chunk.iter().filter(|byte| **byte == b'"').count() > DENSEST;
    // A whole chunk of places is needed for what is found last.
    let full = quotes.len() + 1 + DENSEST > MOST_MARKS;
    let listed = !message.chunks(64).any(dense) && message.len() <= u16::MAX.into();
    for (name, list) in lists() {
        let mut places = [7; MOST_MARKS];
        let found = list(message, &mut places);
        let census = Census {
            barred: message.iter().any(|byte| *byte == b'\\' || *byte < 0x20),
            high: !message.is_ascii(),
        };
        assert_eq!(found.census, census, "{name}");
        match found.quotes {
            None => assert!(full || !listed, "{name}: {} quotes", quotes.len()),
            Some(count) => {
                assert!(listed, "{name}");
                assert_eq!(count as usize, quotes.len(), "{name}");
                assert_eq!(places[0], 0, "{name}");
                let end = message.len();
                let expected = quotes.iter().chain([&end]);
                for (place, expected) in places[1..].iter().zip(expected) {
                    assert_eq!(usize::from(*place), *expected, "{name}");
                }
            }
        }
    }
    listed && !full
}

#[test]
fn quotes_are_listed_wherever_they_are() {
    let mut random = Random::new(3);
    for length in (16..70).chain(126..130) {
        check(&vec![b'a'; length]);
        for at in 0..length {
            let mut message = vec![b'a'; length];
            message[at] = b'"';
            assert!(check(&message));
            for byte in [0, 0x1f, b'\\', 0x7f, 0x80, 0xff, b'!', b'#'] {
                message[at] = byte;
                check(&message);
            }
        }
        for rarity in [2, 3, 7] {
            let byte = |_| {
                if random.below(rarity) == 0 {
                    b'"'
                } else {
                    b'x'
                }
            };
            check(&(0..length).map(byte).collect::<Vec<_>>());
        }
    }
}

#[test]
fn too_many_too_dense_and_too_long_are_told() {
    for dense in 0..=64 {
        let mut message = vec![b'a'; 200];
        message[64..64 + dense].fill(b'"');
        assert_eq!(check(&message), dense <= DENSEST);
    }
    for quotes in (0..1100).step_by(3).chain(MOST_MARKS - 40..MOST_MARKS + 3) {
        check(&b"\"aaa".repeat(quotes.max(4)));
    }
    for length in [
        u16::MAX as usize - 1,
        u16::MAX as usize,
        u16::MAX as usize + 1,
        70_000,
    ] {
        let mut message = vec![b'a'; length];
        message[length - 2] = b'"';
        assert_eq!(check(&message), length <= u16::MAX.into());
    }
}
