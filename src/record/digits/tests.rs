use super::super::cell::{self, Token};
use super::super::harness::Random;
use super::{Kind, Short, of_cell};
use crate::record::number;

fn parts(short: &Short) -> (bool, u64, usize) {
    (short.negative, short.digits, short.fraction)
}

fn check(text: &[u8]) {
    let read = of_cell(cell::short(Token::new(Kind::String, text)));
    let number = of_cell(cell::short(Token::new(Kind::Number, text)));
    assert_eq!(
        read.as_ref().map(parts),
        number.as_ref().map(parts),
        "{text:?}"
    );
    let one_by_one = number::short(text);
    assert_eq!(
        read.as_ref().map(parts),
        one_by_one.as_ref().map(parts),
        "{text:?}"
    );
    if let Some(read) = read {
        let text = str::from_utf8(text).expect("digits");
        let expected: f64 = text.parse().expect("a number");
        assert_eq!(read.to_f64().to_bits(), expected.to_bits(), "{text}");
    }
}

#[test]
fn every_byte_is_a_digit_a_point_a_sign_or_wrong() {
    for text in [
        "",
        "-",
        ".",
        "-.",
        "-.5",
        ".5",
        "5.",
        "-5.",
        "0",
        "-0",
        "0.0",
        "-0.0",
        "1.2.3",
        "--1",
        "1-",
        "00",
        "007.50",
        "123456789012345",
        "123456789012.34",
        "0.0000000000001",
        "-12345678901234",
        "9999999.9999999",
        "99999999",
        "9999999.9",
        "-.1234567890124",
        "12345678901234.",
        ".12345678901234",
        "5/",
        "5./",
        "5/.",
        "1..",
        "1.2.",
    ] {
        check(text.as_bytes());
    }
    for text in [
        "7",
        "12345678",
        "123456789",
        "123.4567890123",
        "-1.5",
        "61837.63000000",
    ] {
        for at in 0..text.len() {
            for byte in 0..=255 {
                let mut text = text.as_bytes().to_vec();
                text[at] = byte;
                check(&text);
            }
        }
    }
}

#[test]
fn only_numbers_and_plain_strings_are_read() {
    let [first, second] = cell::short(Token::new(Kind::Number, b"12.5"));
    for tag in 0..16 {
        let read = of_cell([first & !0xf0 | tag << 4, second]);
        assert_eq!(read.is_some(), tag == 4 || tag == 5, "{tag}");
    }
}

/// A million decimals are what the standard library makes of them, to the last bit, and what
/// the straight way makes of them, right or wrong.
#[test]
fn it_reads_what_is_read_one_by_one() {
    let random = &mut Random::new(3);
    for round in 0..1_000_000 {
        let odd: &[u8] = match round % 4 {
            0 => b"0123456789.",
            1 => b"0123456789-./:+e \0\xb0\x1e\x1f",
            _ => b"0123456789",
        };
        let mut text = [0; cell::SHORT_TOKEN];
        let length = random.below(text.len() + 1);
        let text = &mut text[..length];
        text.fill_with(|| *random.pick(odd));
        if length > 2 && round % 4 == 3 {
            text[1 + random.below(length - 2)] = b'.';
        }
        if length > 1 && round % 5 == 0 {
            text[0] = b'-';
        }
        check(text);
    }
}
