//! Records and values back to JSON text: tokens exactly as received, members in the schema's order.
//!
//! All of it appends to a buffer that the caller keeps, and nothing is checked again: the tokens of
//! a record were cut from valid messages, so what is written is valid JSON.

use crate::record::{Kind, RecordRef, Token, Tree, Value};

/// Appends a record; nothing if the record is absent.
pub fn write_record(record: RecordRef<'_>, out: &mut Vec<u8>) {
    record.write_json(out);
}

/// Appends a tree.
pub fn write_tree(tree: &Tree, out: &mut Vec<u8>) {
    tree.write_json(out);
}

/// Appends a field, and says whether there was one. A missing field writes nothing: what stands for
/// it, or whether its name is left out, is the caller's choice.
pub fn write_value(value: &Value, out: &mut Vec<u8>) -> bool {
    match value.token() {
        Some(token) => write_token(token, out),
        None => return false,
    }
    true
}

/// Appends one token.
fn write_token(token: Token<'_>, out: &mut Vec<u8>) {
    match token.kind {
        Kind::Null => out.extend_from_slice(b"null"),
        Kind::True => out.extend_from_slice(b"true"),
        Kind::False => out.extend_from_slice(b"false"),
        Kind::Number | Kind::Array | Kind::Object => out.extend_from_slice(token.text),
        // The escapes are still in the text.
        Kind::String | Kind::EscapedString => {
            out.push(b'"');
            out.extend_from_slice(token.text);
            out.push(b'"');
        }
    }
}

/// Appends any text as a JSON string: quotes, backslashes and control characters are escaped, all
/// else stays as it is.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        let short = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => {
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
                continue;
            }
            _ => {
                out.push(byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        json::{Decoder, compile},
        record::{Limits, Mode, Patch, Record, Schema, SchemaSource},
    };

    /// What is written for a record that got these messages one after the other.
    fn written(mode: Mode, messages: &[&str]) -> String {
        let limits = Limits::default();
        let (mut decoder, mut schema) = (Decoder::new(128), Schema::new(limits));
        let (mut patch, mut out) = (Patch::new(), Vec::new());
        let mut record = Record::absent(schema.layout().clone());
        for message in messages {
            let root = decoder.decode(message.as_bytes()).expect("valid").root();
            compile(root, mode, &limits, &mut schema, &mut patch).expect("within limits");
            record.apply(&patch, mode, schema.layout());
        }
        write_record(record.as_ref(), &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn tokens_come_back_exactly_as_received() {
        let check = |message: &str| assert_eq!(written(Mode::Replace, &[message]), message);
        check(r#"{"a":1.50,"b":-0,"c":1e400,"d":123456789012345678901234567890}"#);
        check(r#"{"s":"\u00e9\/\"","t":"é","u":"","n":null,"y":true,"z":false}"#);
        check(r#"{"list":[ 1 , {"a": "]"} ],"o":{},"deep":{"er":{"est":[]}}}"#);
        check(r#"{"":{"":0},"with \"quotes\"":1,"line\nfeed\u0001":2}"#);
        for scalar in ["null", "7", "\"a\\n\"", "[1, 2]", "true"] {
            check(scalar);
        }
        check(&format!(r#"{{"long":"{}"}}"#, "x".repeat(10_000)));
        assert_eq!(written(Mode::Merge, &[]), "");
    }

    #[test]
    fn members_come_in_the_order_of_the_schema() {
        let messages = [r#"{"a":1,"b":2}"#, r#"{"c":3,"a":null}"#, r#"{"a":4}"#];
        assert_eq!(written(Mode::Merge, &messages), r#"{"a":4,"b":2,"c":3}"#);
    }

    #[test]
    fn every_text_survives_as_a_string() {
        let all: String = (0..=0x2030)
            .filter_map(char::from_u32)
            .chain("😀".chars())
            .collect();
        for text in [&all[..], "", "\"", "\\", "\u{7f}", "a\0b"] {
            let mut out = Vec::new();
            write_string(text, &mut out);
            let mut decoder = Decoder::new(1);
            assert_eq!(
                decoder.decode(&out).expect("valid").root().str(),
                Some(text)
            );
        }
    }

    #[test]
    fn a_missing_field_writes_nothing() {
        let mut out = Vec::new();
        assert!(!write_value(&Value::missing(), &mut out));
        let token = Token::new(Kind::EscapedString, b"a\\n");
        assert!(write_value(&Value::from_token(token), &mut out));
        assert!(write_value(
            &Value::from_token(Token::new(Kind::True, b"true")),
            &mut out
        ));
        assert_eq!(out, b"\"a\\n\"true");
    }
}
