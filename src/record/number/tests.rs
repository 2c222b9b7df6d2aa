use super::super::harness::Random;
use super::FieldError::{Range, WrongType};

#[test]
fn integers_are_exact_or_refused() {
    for (text, expected) in [
        ("0", Ok(0)),
        ("-0", Ok(0)),
        ("7", Ok(7)),
        ("-7", Ok(-7)),
        ("007", Ok(7)),
        ("1e3", Ok(1000)),
        ("1E+3", Ok(1000)),
        ("1500e-2", Ok(15)),
        ("1.50e1", Ok(15)),
        ("2.0", Ok(2)),
        (
            "0.0000000000000000000000000000000000000000000000000000000000e60",
            Ok(0),
        ),
        ("9223372036854775807", Ok(i64::MAX)),
        ("-9223372036854775808", Ok(i64::MIN)),
        ("922337203685477580.7e1", Ok(i64::MAX)),
        ("9223372036854775808", Err(Range)),
        ("-9223372036854775809", Err(Range)),
        ("18446744073709551616", Err(Range)),
        ("99999999999999999999", Err(Range)),
        ("1.5", Err(Range)),
        ("1e-1", Err(Range)),
        ("1e400", Err(Range)),
        ("1e99999999999999999999", Err(Range)),
        ("", Err(WrongType)),
        ("-", Err(WrongType)),
        ("+1", Err(WrongType)),
        (".5", Err(WrongType)),
        ("5.", Err(WrongType)),
        ("1.2.3", Err(WrongType)),
        ("1e", Err(WrongType)),
        ("1e+", Err(WrongType)),
        ("1e5.0", Err(WrongType)),
        (" 1", Err(WrongType)),
        ("1 ", Err(WrongType)),
        ("0x10", Err(WrongType)),
        ("1_000", Err(WrongType)),
        ("NaN", Err(WrongType)),
        ("--1", Err(WrongType)),
        ("١", Err(WrongType)),
    ] {
        assert_eq!(super::i64(text.as_bytes()), expected, "{text}");
    }
    assert_eq!(super::u64(b"18446744073709551615"), Ok(u64::MAX));
    assert_eq!(
        super::u64(b"9999999999999999999"),
        Ok(9_999_999_999_999_999_999)
    );
    assert_eq!(super::u64(b"18446744073709551616"), Err(Range));
    assert_eq!(super::u64(b"-1"), Err(Range));
    assert_eq!(super::u64(b"-0"), Ok(0));
}

#[test]
fn floats_are_rounded_as_the_standard_library_does() {
    for text in [
        "-0",
        "-0.0",
        "0.1",
        "61837.63",
        "9007199254740993",
        "1e22",
        "1e23",
        "5e-324",
        "1.7976931348623157e308",
        "0.000000000000000001",
        "123456789012345678.9",
        "1e-400",
        "0.30000000000000004",
        "2.2250738585072011e-308",
        "00000000000000000000000012.50",
    ] {
        let expected: f64 = text.parse().expect("a number");
        let read = super::f64(text.as_bytes()).expect("a number");
        assert_eq!(read.to_bits(), expected.to_bits(), "{text}");
    }
    assert_eq!(super::f64(b"1e400"), Err(Range));
    assert_eq!(super::f64(b"-1e400"), Err(Range));
    for text in [
        "", "inf", "NaN", "nan", "infinity", "+1", "1.", ".1", "1e", "0x1p3",
    ] {
        assert_eq!(super::f64(text.as_bytes()), Err(WrongType), "{text}");
    }
    let random = &mut Random::new(1);
    for _ in 0..100_000 {
        let digits = random.next() >> random.below(64);
        let text = format!("{digits}");
        let text = match random.below(3) {
            0 => text,
            1 => {
                let at = random.below(text.len()) + 1;
                let (whole, fraction) = text.split_at(at);
                format!("-{whole}.{fraction}0")
            }
            _ => format!("{text}e{}", random.below(40) as i32 - 20),
        };
        let expected: f64 = text.parse().expect("a number");
        let read = super::f64(text.as_bytes()).expect("a number");
        assert_eq!(read.to_bits(), expected.to_bits(), "{text}");
    }
}

/// The straight way reads what the general one reads, and leaves the rest to it.
#[test]
fn plain_decimals_are_read_alike_both_ways() {
    let random = &mut Random::new(2);
    for _ in 0..300_000 {
        let odd = *random.pick::<&[u8]>(&[b"0123456789", b"0123456789.", b"019.-/:e+\0\xb0"]);
        let text: Vec<u8> = (0..random.below(24)).map(|_| *random.pick(odd)).collect();
        let printed = || String::from_utf8_lossy(&text).into_owned();
        let short = super::short(&text).map(|it| (it.negative, it.digits, it.fraction));
        let general = super::parts(&text)
            .filter(|_| !text.contains(&b'e'))
            .and_then(|parts| {
                let digits = [parts.integer, parts.fraction].concat();
                let digits = str::from_utf8(&digits).expect("digits").parse().ok()?;
                Some((parts.negative, digits, parts.fraction.len()))
            });
        if text.len() <= super::U64_DIGITS || short.is_some() {
            assert_eq!(short, general, "{}", printed());
        }
    }
}
