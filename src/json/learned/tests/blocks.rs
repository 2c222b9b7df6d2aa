//! Every implementation of a block of sixteen bytes against plain loops.

use super::super::block::{Block, Census, census};
use super::super::portable::Words;
#[cfg(target_arch = "x86_64")]
use super::super::simd::Vector;
use super::model;
use super::mutate::Random;
use crate::record::Kind;

fn mask(bytes: &[u8], is: impl Fn(u8) -> bool) -> u32 {
    bytes
        .iter()
        .enumerate()
        .map(|(at, byte)| u32::from(is(*byte)) << at)
        .sum()
}

fn is_barred(byte: u8) -> bool {
    byte == b'\\' || byte < 0x20
}

fn check<B: Block>(bytes: &[u8; 16], other: &[u8; 16]) {
    let block = B::load(bytes);
    let same: u32 = (0..16)
        .map(|at| u32::from(bytes[at] == other[at]) << at)
        .sum();
    assert_eq!(block.same(other), same, "{bytes:?} {other:?}");
    for byte in [b'"', b'.', b'0', bytes[3], bytes[15]] {
        assert_eq!(
            block.equal(byte),
            mask(bytes, |b| b == byte),
            "{bytes:?} {byte}"
        );
    }
    assert_eq!(block.barred(), mask(bytes, is_barred), "{bytes:?}");
    assert_eq!(
        block.digits(),
        mask(bytes, |b| b.is_ascii_digit()),
        "{bytes:?}"
    );
    assert_eq!(block.high(), !bytes.is_ascii(), "{bytes:?}");
    for length in 0..16 {
        for kind in [Kind::Number, Kind::String] {
            let cell = block.cell(length as u32, kind as u8);
            assert_eq!(
                cell,
                model::cell(kind, &bytes[..length]),
                "{bytes:?} {length}"
            );
        }
    }
}

fn check_all<B: Block>() {
    for byte in 0..=255 {
        for at in 0..16 {
            let mut bytes = [b'7'; 16];
            bytes[at] = byte;
            check::<B>(&bytes, &[b'7'; 16]);
            check::<B>(&[byte; 16], &bytes);
        }
    }
    let mut random = Random::new(1);
    for _ in 0..20_000 {
        let few = random.below(2) == 0;
        let bytes = std::array::from_fn(|_| match few {
            true => b"\"\\ \x1f\x20/09:;.\x7f\x80\xff\0"[random.below(15)],
            false => random.below(256) as u8,
        });
        let mut other: [u8; 16] = bytes;
        for _ in 0..random.below(4) {
            other[random.below(16)] ^= 1 << random.below(8);
        }
        check::<B>(&bytes, &other);
    }
}

#[test]
fn words_are_blocks() {
    check_all::<Words>();
}

#[cfg(target_arch = "x86_64")]
#[test]
fn vectors_are_blocks() {
    check_all::<Vector>();
}

#[test]
fn a_census_sees_every_byte() {
    for length in 16..100 {
        let plain = vec![b'a'; length];
        let none = Census {
            barred: false,
            high: false,
        };
        for (is, count) in censuses() {
            assert_eq!(count(&plain), none, "{is}, {length}");
        }
        for at in 0..length {
            for byte in [0, 0x1f, b'\\', 0x80, 0xff, b'\n', 0x20, b'[', b']', 0x7f] {
                let mut message = plain.clone();
                message[at] = byte;
                let expected = Census {
                    barred: is_barred(byte),
                    high: byte >= 0x80,
                };
                for (is, count) in censuses() {
                    assert_eq!(
                        count(&message),
                        expected,
                        "{is}, {byte} at {at} of {length}"
                    );
                }
            }
        }
    }
}

type Count = Box<dyn Fn(&[u8]) -> Census>;

fn censuses() -> Vec<(&'static str, Count)> {
    let mut all: Vec<(_, Count)> = vec![("portable", Box::new(census::<Words>))];
    #[cfg(target_arch = "x86_64")]
    {
        all.push(("baseline", Box::new(census::<Vector>)));
        if let Some(avx2) = super::super::simd::Avx2::detect() {
            all.push(("avx2", Box::new(move |message| avx2.census(message))));
        }
    }
    all
}
