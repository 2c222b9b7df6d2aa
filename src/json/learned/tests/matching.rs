//! Every form of the scanner against the model.

use super::super::isa::Isa;
use super::super::marks::Marks;
use super::super::{Hole, Template};
use super::mutate::{Random, TOKENS, mutated};
use super::{SAMPLES, model, template};
use crate::record::Kind;

/// The holes as the model has them: cells that mean nothing are zeros.
fn holes(template: &Template) -> Vec<Hole> {
    let meant = |hole: &Hole| match hole.kind {
        Kind::Array => false,
        Kind::String | Kind::Number => hole.end - hole.start <= 15,
        _ => true,
    };
    let zeroed = |hole: &Hole| Hole {
        cell: if meant(hole) { hole.cell } else { [0; 2] },
        ..*hole
    };
    template.holes.iter().map(zeroed).collect()
}

/// Whether all forms agree with the model that `message` fits, or does not, and where its holes
/// are. Whether it fits.
fn check(template: &mut Template, message: &[u8]) -> bool {
    let expected = model::fit(template, message);
    for isa in Isa::all() {
        template.holes.fill(Hole::EMPTY);
        let marks = &mut Marks::new();
        let fits = isa.fit(&template.layout, &mut template.holes, message, marks);
        let text = String::from_utf8_lossy(message);
        assert_eq!(fits, expected.is_some(), "{isa:?}: {text}");
        if let Some(expected) = &expected {
            assert_eq!(&holes(template), expected, "{isa:?}: {text}");
        }
    }
    expected.is_some()
}

#[test]
fn a_message_fits_its_own_template() {
    for sample in SAMPLES {
        let mut template = template(sample.as_bytes()).expect("can be learned");
        assert!(check(&mut template, sample.as_bytes()), "{sample}");
    }
}

#[test]
fn mutations_fit_or_not_as_the_model_says() {
    let mut random = Random::new(2);
    let (mut fitting, mut all) = (0, 0);
    for sample in SAMPLES {
        let mut template = template(sample.as_bytes()).expect("can be learned");
        for _ in 0..4_000 {
            let message = mutated(sample.as_bytes(), &mut random);
            fitting += usize::from(check(&mut template, &message));
            all += 1;
        }
    }
    // The test says nothing if all or none do.
    assert!(
        (all / 10..all * 9 / 10).contains(&fitting),
        "{fitting} of {all}"
    );
}

#[test]
fn every_token_in_every_hole() {
    for sample in SAMPLES {
        let mut template = template(sample.as_bytes()).expect("can be learned");
        assert!(check(&mut template, sample.as_bytes()));
        let places = model::fit(&template, sample.as_bytes()).expect("fits");
        for hole in places {
            let quote = usize::from(hole.kind == Kind::String);
            let before = &sample.as_bytes()[..hole.start as usize - quote];
            let after = &sample.as_bytes()[hole.after() as usize..];
            for token in TOKENS {
                check(&mut template, &[before, token.as_bytes(), after].concat());
            }
        }
    }
}

#[test]
fn every_byte_of_a_message_counts() {
    for sample in SAMPLES {
        let mut template = template(sample.as_bytes()).expect("can be learned");
        for at in 0..sample.len() {
            for other in [b'~', b'"', b' ', b'0'] {
                let mut message = sample.as_bytes().to_vec();
                message[at] = other;
                check(&mut template, &message);
            }
        }
    }
}

#[test]
fn messages_cut_short_or_prolonged_do_not_fit() {
    for sample in SAMPLES {
        let mut template = template(sample.as_bytes()).expect("can be learned");
        for end in 0..sample.len() {
            assert!(
                !check(&mut template, &sample.as_bytes()[..end]),
                "{sample} to {end}"
            );
        }
        for more in [" ", "\n", "}", "]", ",", "1", "\0"] {
            let longer = format!("{sample}{more}");
            assert!(!check(&mut template, longer.as_bytes()), "{longer}");
        }
    }
}

#[test]
fn texts_and_numbers_of_every_length_at_every_distance_from_the_end() {
    for tail in 0..40 {
        let rest = "y".repeat(tail);
        let sample = format!(r#"{{"a":"x","b":"{rest}"}}"#);
        if sample.len() < 16 {
            continue;
        }
        let mut template = template(sample.as_bytes()).expect("can be learned");
        for length in (0..70).chain([255, 256, 4095, 4096, 4097]) {
            let text = "x".repeat(length);
            let message = format!(r#"{{"a":"{text}","b":"{rest}"}}"#);
            assert_eq!(
                check(&mut template, message.as_bytes()),
                message.len() >= 16
            );
            for bad in ["\\", "\n", "\u{1f}"] {
                let broken = format!(r#"{{"a":"{text}{bad}","b":"{rest}"}}"#);
                assert!(!check(&mut template, broken.as_bytes()));
            }
            let high = format!(r#"{{"a":"{text}ü","b":"{rest}"}}"#);
            assert_eq!(check(&mut template, high.as_bytes()), high.len() >= 16);
            let mut invalid = high.into_bytes();
            invalid[6 + length] = b'x';
            assert!(!check(&mut template, &invalid));
        }
        for length in 1..40 {
            for (sign, point) in [
                ("", ""),
                ("-", ""),
                ("", ".25"),
                ("-", ".5"),
                ("", "."),
                ("", "e1"),
            ] {
                let digits = "1234567890".repeat(4);
                let number = format!("{sign}{}{point}", &digits[..length]);
                check(
                    &mut template,
                    format!(r#"{{"a":{number},"b":"{rest}"}}"#).as_bytes(),
                );
            }
        }
    }
}

#[test]
fn an_array_in_a_hole_is_as_deep_as_the_decoder_allows() {
    let sample = r#"{"a":{"b":[1],"c":"some text"}}"#;
    let mut template = template(sample.as_bytes()).expect("can be learned");
    for depth in 1..12 {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let message = format!(r#"{{"a":{{"b":{open}1{close},"c":"some text"}}}}"#);
        let fits = check(&mut template, message.as_bytes());
        let parsed = super::Decoder::parsing_only(super::DEPTH)
            .decode(message.as_bytes())
            .is_ok();
        assert_eq!(fits, parsed, "{message}");
        assert_eq!(fits, depth + 2 <= super::DEPTH as usize);
    }
}
