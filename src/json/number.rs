//! The grammar of a JSON number (RFC 8259, section 6), and only the grammar: no value is computed.

use super::tape::JsonError;

/// Whether all of `text` is one JSON number.
fn is_number(text: &[u8]) -> bool {
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
fn is_number_byte(byte: u8) -> bool {
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

/// Replaces every number by `0` and blanks. The result is a JSON text if and only if `text` is one:
/// the token keeps its place and its neighbours, and each number was held against the grammar.
pub(super) fn neutralise(text: &mut [u8]) -> Result<(), JsonError> {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at = string_end(text, at + 1),
            b'-' | b'0'..=b'9' => {
                let end = at
                    + text[at..]
                        .iter()
                        .take_while(|&&byte| is_number_byte(byte))
                        .count();
                if !is_number(&text[at..end]) {
                    return Err(JsonError::Number);
                }
                text[at] = b'0';
                text[at + 1..end].fill(b' ');
                at = end;
            }
            _ => at += 1,
        }
    }
    Ok(())
}

/// One past the closing quote of the string whose content starts at `at`, or the end of an unclosed
/// one.
fn string_end(text: &[u8], mut at: usize) -> usize {
    while let Some(skip) = text
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        if text[at + skip] == b'"' {
            return at + skip + 1;
        }
        at += skip + 2;
    }
    text.len()
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
