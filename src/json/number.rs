//! The grammar of a JSON number (RFC 8259, section 6), and only the grammar: no value is computed.

/// Whether all of `text` is one JSON number.
pub(super) fn is_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let Some(rest) = integer(digits) else {
        return false;
    };
    let Some(rest) = fraction(rest) else {
        return false;
    };
    exponent(rest).is_some_and(<[u8]>::is_empty)
}

/// Whether a byte may stand anywhere in a number.
pub(super) fn is_number_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
}

/// What follows the integer part, which has no leading zero; `None` if there is no such part.
fn integer(text: &[u8]) -> Option<&[u8]> {
    match text.split_first()? {
        (b'0', rest) => Some(rest),
        _ => digits(text),
    }
}

fn fraction(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b".").map_or(Some(text), digits)
}

fn exponent(text: &[u8]) -> Option<&[u8]> {
    match text.split_first() {
        Some((b'e' | b'E', rest)) => digits(match rest.split_first() {
            Some((b'+' | b'-', unsigned)) => unsigned,
            _ => rest,
        }),
        _ => Some(text),
    }
}

/// What follows one or more digits.
fn digits(text: &[u8]) -> Option<&[u8]> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then(|| &text[count..])
}

#[cfg(test)]
mod tests {
    use super::is_number;

    #[test]
    fn accepts_what_the_grammar_allows() {
        for text in [
            "0",
            "-0",
            "7",
            "-7",
            "10",
            "123456789012345678901234567890",
            "0.0",
            "-0.0",
            "1.5",
            "0.10",
            "1e5",
            "1E5",
            "1e+5",
            "1e-5",
            "0e0",
            "1.25e-400",
            "1e400",
            "9.99999999999999999999999E999999999999",
        ] {
            assert!(is_number(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "-",
            "+1",
            "--1",
            "01",
            "-01",
            "00",
            "1.",
            ".5",
            "-.5",
            "1.e5",
            "1e",
            "1e+",
            "1e-",
            "e5",
            "1e5.0",
            "1.2.3",
            "0x10",
            "1_000",
            "1 ",
            " 1",
            "Infinity",
            "NaN",
            "-Infinity",
            "1f",
            "1\0",
            "0\0",
            "１",
        ] {
            assert!(!is_number(text.as_bytes()), "{text:?}");
        }
    }
}
