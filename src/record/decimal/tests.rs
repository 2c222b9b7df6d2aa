use std::collections::hash_map::DefaultHasher;

use super::super::harness::Random;
use super::*;
use FieldError::{Range, WrongType};

fn dec(text: &str) -> Decimal {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

const MAX: &str = "170141183460469231731687303715884105727";
const MIN: &str = "-170141183460469231731687303715884105728";

#[test]
fn digits_and_scale_are_kept_as_written() {
    for (text, mantissa, scale, printed) in [
        ("0", 0, 0, "0"),
        ("-0", 0, 0, "0"),
        ("0.00", 0, 2, "0.00"),
        ("1.50", 150, 2, "1.50"),
        ("-1.50", -150, 2, "-1.50"),
        ("0.05", 5, 2, "0.05"),
        ("-0.05", -5, 2, "-0.05"),
        ("007.0", 70, 1, "7.0"),
        ("1e3", 1, -3, "1e3"),
        ("1E+3", 1, -3, "1e3"),
        ("1.5e3", 15, -2, "15e2"),
        ("1.5e1", 15, 0, "15"),
        ("1.5e0", 15, 1, "1.5"),
        ("1e-3", 1, 3, "0.001"),
        ("1e400", 1, -400, "1e400"),
        ("1e-400", 1, 400, "1e-400"),
        ("-12e-65", -12, 65, "-12e-65"),
        ("0e99999999999", 0, i32::MIN, "0e2147483648"),
        ("1e2147483648", 1, i32::MIN, "1e2147483648"),
        ("1e-2147483647", 1, i32::MAX, "1e-2147483647"),
        (MAX, i128::MAX, 0, MAX),
        (MIN, i128::MIN, 0, MIN),
        ("18446744073709551616", 1 << 64, 0, "18446744073709551616"),
        (
            "0.12345678901234567890123456789012345678",
            12345678901234567890123456789012345678,
            38,
            "0.12345678901234567890123456789012345678",
        ),
    ] {
        let number = dec(text);
        assert_eq!((number.mantissa, number.scale), (mantissa, scale), "{text}");
        assert_eq!(number.to_string(), printed);
        let again = dec(printed);
        assert_eq!(
            (again.mantissa, again.scale),
            (mantissa, scale),
            "round trip of {text}"
        );
    }
}

#[test]
fn more_digits_than_fit_are_refused_unless_they_are_zeros_at_the_end() {
    let one_and_zeros = format!("1.{}", "0".repeat(60));
    assert_eq!(dec(&one_and_zeros), dec("1"));
    assert_eq!(dec(&format!("1{}", "0".repeat(60))), dec("1e60"));
    assert_eq!(dec(&format!("{}1.5", "0".repeat(60))), dec("1.5"));
    assert_eq!(dec(&format!("{MAX}00.000")), dec(&format!("{MAX}e2")));
    for text in [
        "170141183460469231731687303715884105728",
        "-170141183460469231731687303715884105729",
        "1.00000000000000000000000000000000000000000000000001",
        "1e2147483649",
        "1e-2147483648",
        "1e99999999999999999999999999",
    ] {
        assert_eq!(text.parse::<Decimal>(), Err(Range), "{text}");
    }
    for text in [
        "", "-", "+1", "1.", ".1", "1e", "e1", "1,5", "NaN", "0x1", " 1", "1 ",
    ] {
        assert_eq!(text.parse::<Decimal>(), Err(WrongType), "{text:?}");
    }
}

fn hash(number: Decimal) -> u64 {
    let mut hasher = DefaultHasher::new();
    number.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn order_equality_and_hash_go_by_the_number() {
    let classes: &[&[&str]] = &[
        &[MIN],
        &["-1e38", "-100000000000000000000000000000000000000"],
        &["-2"],
        &["-1.5", "-1.50", "-15e-1"],
        &["-1e-400"],
        &["0", "-0", "0.000", "0e5", "0e-5", "0e99999999999"],
        &["1e-2147483647"],
        &["1e-400"],
        &["0.1", "0.10", "1e-1", "100e-3"],
        &[
            "1",
            "1.0",
            "10e-1",
            "1.00000000000000000000000000000000000000",
        ],
        &["1.00000000000000000000000000000000000001"],
        &["1.5", "1.50"],
        &["9.99"],
        &["10", "1e1", "10.0"],
        &["11"],
        &["100000000000000000000000000000000000000", "1e38"],
        &[MAX],
        &["2e38"],
        &["9e38"],
        &["1e39"],
        &["1e400"],
        &["1e2147483648"],
    ];
    for (i, a) in classes.iter().enumerate() {
        for (j, b) in classes.iter().enumerate() {
            for x in *a {
                for y in *b {
                    assert_eq!(dec(x).cmp(&dec(y)), i.cmp(&j), "{x} against {y}");
                    assert_eq!(dec(x) == dec(y), i == j);
                    assert!(
                        i != j || hash(dec(x)) == hash(dec(y)),
                        "{x} and {y} hash alike"
                    );
                }
            }
        }
    }
}

#[test]
fn arithmetic_is_exact_or_none() {
    let sum = |a: &str, b: &str| dec(a).checked_add(dec(b)).map(|sum| sum.to_string());
    assert_eq!(sum("1.50", "0.5").as_deref(), Some("2.00"));
    assert_eq!(sum("1e3", "1").as_deref(), Some("1001"));
    assert_eq!(sum("0", "1e400").as_deref(), Some("1e400"));
    assert_eq!(sum("1e400", "0.00").as_deref(), Some("1e400"));
    assert_eq!(sum("1e400", "1"), None);
    assert_eq!(sum(MAX, "1"), None);
    assert_eq!(sum("1e38", "0.000"), Some("1e38".to_owned()));
    assert_eq!(sum("100000000000000000000000000000000000000", "0.50"), None);
    let difference = |a: &str, b: &str| dec(a).checked_sub(dec(b)).map(|it| it.to_string());
    assert_eq!(difference("1.5", "1.50").as_deref(), Some("0.00"));
    assert_eq!(difference("0.1", "0.3").as_deref(), Some("-0.2"));
    assert_eq!(difference("0", MIN), None);
    let product = |a: &str, b: &str| dec(a).checked_mul(dec(b)).map(|it| it.to_string());
    assert_eq!(product("61837.63", "0.001").as_deref(), Some("61.83763"));
    assert_eq!(
        product("1e2147483648", "10e-1").as_deref(),
        Some("10e2147483647")
    );
    assert_eq!(product("1e2147483648", "1e1"), None);
    assert_eq!(product(MAX, "2"), None);
    assert_eq!(
        product("10000000000000000000000000000000000000.0", "10.0").as_deref(),
        Some("1e38")
    );
}

#[test]
fn to_integer_and_float() {
    assert_eq!(dec("1e3").to_i128(), Some(1000));
    assert_eq!(dec("15.00").to_i128(), Some(15));
    assert_eq!(dec("15.01").to_i128(), None);
    assert_eq!(dec("0e-400").to_i128(), Some(0));
    assert_eq!(dec("1e-400").to_i128(), None);
    assert_eq!(dec(MIN).to_i128(), Some(i128::MIN));
    assert_eq!(dec("1e39").to_i128(), None);
    assert_eq!(dec("61837.63").to_f64(), 61837.63);
    assert_eq!(dec("-1e400").to_f64(), f64::NEG_INFINITY);
    assert_eq!(dec("1e-400").to_f64(), 0.0);
    assert_eq!(Decimal::from(7_u64), dec("7.0"));
}

#[test]
fn random_numbers_round_trip_and_agree_with_integers() {
    let random = &mut Random::new(3);
    for _ in 0..20_000 {
        let mantissa = (i128::from(random.next() as i64) << 64 | i128::from(random.next()))
            >> random.below(127);
        let number = Decimal::new(mantissa, random.below(200) as i32 - 100);
        let again = dec(&number.to_string());
        assert_eq!(
            (again.mantissa, again.scale),
            (number.mantissa, number.scale)
        );
        let other = Decimal::new(i128::from(random.next() as i32), random.below(4) as i32);
        let third = Decimal::new(i128::from(random.next() as i32), random.below(4) as i32);
        let aligned = |it: Decimal| it.mantissa * 10_i128.pow(4 - it.scale.unsigned_abs());
        assert_eq!(other.cmp(&third), aligned(other).cmp(&aligned(third)));
        let sum = other.checked_add(third).expect("small");
        assert_eq!(aligned(sum), aligned(other) + aligned(third));
    }
}

#[test]
fn printing_obeys_width() {
    assert_eq!(
        format!("{:>8}|{:<8}|{:+}", dec("1.50"), dec("-1.5"), dec("2")),
        "    1.50|-1.5    |+2"
    );
}

#[test]
fn through_serde_json_a_decimal_is_text_and_is_read_from_text_and_numbers() {
    assert_eq!(
        serde_json::to_string(&dec("1.50")).expect("serializes"),
        "\"1.50\""
    );
    for (json, expected) in [
        ("\"1.50\"", "1.5"),
        ("3", "3"),
        ("-3", "-3"),
        ("0.25", "0.25"),
    ] {
        let number: Decimal = serde_json::from_str(json).expect("a number");
        assert_eq!(number, dec(expected));
    }
    assert!(serde_json::from_str::<Decimal>("\"x\"").is_err());
    assert!(serde_json::from_str::<Decimal>("true").is_err());
}

#[cfg(feature = "rust_decimal")]
#[test]
fn rust_decimals_convert_exactly_or_not_at_all() {
    for (text, back) in [
        ("1.50", Some("1.50")),
        ("1e3", Some("1000")),
        ("-0.001", Some("-0.001")),
        ("1e-28", Some("0.0000000000000000000000000001")),
        ("10e-29", Some("1e-28")),
        ("1e-29", None),
        ("1e28", Some("10000000000000000000000000000")),
        ("1e29", None),
        (
            "79228162514264337593543950335",
            Some("79228162514264337593543950335"),
        ),
        ("79228162514264337593543950336", None),
        (MAX, None),
    ] {
        let theirs = rust_decimal::Decimal::try_from(dec(text));
        assert_eq!(theirs.map(Decimal::from).ok(), back.map(dec), "{text}");
    }
    let theirs = rust_decimal::Decimal::try_from(dec("1.50")).expect("fits");
    assert_eq!(theirs.to_string(), "1.50");
}
