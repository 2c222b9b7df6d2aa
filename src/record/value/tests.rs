use super::*;
use FieldError::{BadEscape, Missing, Null, Range, WrongType};

fn value(json: &str) -> Value {
    Value::from_token(text::token(json))
}

#[test]
fn numbers_read_alike_from_numbers_and_from_strings() {
    for json in ["61837.63", "\"61837.63\""] {
        assert_eq!(value(json).f64(), Ok(61837.63));
        assert_eq!(value(json).decimal(), Ok(Decimal::new(6_183_763, 2)));
        assert_eq!(value(json).i64(), Err(Range));
    }
    assert_eq!(value("\"18446744073709551615\"").u64(), Ok(u64::MAX));
    assert_eq!(value("-5").i64(), Ok(-5));
    assert_eq!(value("-5").u64(), Err(Range));
    assert_eq!(value("1e400").f64(), Err(Range));
    assert_eq!(value("1e400").decimal(), Ok(Decimal::new(1, -400)));
}

#[test]
fn what_is_no_number_says_so() {
    for (json, error) in [
        ("null", Null),
        ("true", WrongType),
        ("[1]", WrongType),
        ("\"x\"", WrongType),
        ("\"\"", WrongType),
        ("\"\\u0031\"", WrongType),
    ] {
        assert_eq!(value(json).f64(), Err(error));
        assert_eq!(value(json).i64(), Err(error));
        assert_eq!(value(json).u64(), Err(error));
        assert_eq!(value(json).decimal(), Err(error));
    }
    assert_eq!(Value::missing().f64(), Err(Missing));
}

#[test]
fn texts_are_borrowed_unless_escaped() {
    assert!(matches!(value("\"abc\"").str(), Ok(Cow::Borrowed("abc"))));
    assert_eq!(value(r#""a\n\ud83d\ude00""#).str().as_deref(), Ok("a\n😀"));
    assert_eq!(value(r#""\ud83d""#).str(), Err(BadEscape));
    assert_eq!(value(r#""\ud83d""#).json().as_deref(), Ok(r#""\ud83d""#));
    assert_eq!(value("1").str(), Err(WrongType));
    assert_eq!(value("null").str(), Err(Null));
    assert_eq!(Value::missing().str(), Err(Missing));
    assert_eq!(
        Value::from_token(Token::new(Kind::String, b"\xff")).str(),
        Err(WrongType)
    );
}

#[test]
fn literals_and_kinds() {
    assert_eq!(value("true").bool(), Ok(true));
    assert_eq!(value("false").bool(), Ok(false));
    assert_eq!(value("null").bool(), Err(Null));
    assert_eq!(value("1").bool(), Err(WrongType));
    assert_eq!(Value::missing().bool(), Err(Missing));
    assert!(value("null").is_null() && !value("null").is_missing());
    assert!(Value::missing().is_missing() && Value::missing().kind().is_none());
    assert_eq!(value("null").raw(), b"null");
    assert_eq!(value("[]").kind(), Some(Kind::Array));
    assert_eq!(Value::missing().raw(), b"");
}

#[test]
fn json_is_the_token_as_it_came_at_every_length() {
    for length in [0, 1, 14, 15, 16, 29, 30, 31, 32, 4096, 4097] {
        let json = super::super::harness::text_of(length);
        let value = value(&json);
        assert_eq!(value.json().as_deref(), Ok(&*json));
        assert_eq!(value.raw().len(), length);
        assert_eq!(
            matches!(value.0, Repr::Cell(_) | Repr::Two(_)),
            length <= INLINE_VALUE
        );
        assert_eq!(value, value.clone());
    }
    assert_eq!(Value::missing().json(), Err(Missing));
    assert_eq!(Value::from_cell(cell::OBJECT).json(), Err(WrongType));
    assert_eq!(Value::from_cell(cell::OBJECT).kind(), Some(Kind::Object));
}

#[test]
fn too_few_words_are_missing_not_a_panic() {
    let mut words = Vec::new();
    cell::wide(Token::new(Kind::String, &[b'x'; 100]), &mut words);
    for end in 0..words.len() {
        assert!(Value::from_cells(&words[..end]).is_missing());
    }
    assert_eq!(Value::from_cells(&words).raw().len(), 100);
    assert!(Value::from_cell([words[0], words[1]]).is_missing());
    assert!(Value::from_cell(cell::document(Kind::Array, b"[]")).is_missing());
}

#[test]
fn a_field_parses_into_a_type() {
    assert_eq!(
        value("[1,\"2.50\",0.1]")
            .parse::<Vec<Decimal>>()
            .expect("numbers")
            .len(),
        3
    );
    assert_eq!(value("null").parse::<Option<u8>>(), Ok(None));
    assert_eq!(Value::missing().parse::<Option<u8>>(), Ok(None));
    assert!(Value::missing().parse::<u8>().is_err());
}
