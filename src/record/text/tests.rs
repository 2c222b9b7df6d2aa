use super::*;

#[test]
fn escapes_resolve_and_half_pairs_are_refused() {
    for (raw, expected) in [
        ("", Ok("")),
        ("plain", Ok("plain")),
        (r#"\"\\\/\b\f\n\r\t"#, Ok("\"\\/\u{8}\u{c}\n\r\t")),
        (r"a\u00e9b", Ok("aéb")),
        (r"\ud83d\ude00!", Ok("😀!")),
        (r"\u0000", Ok("\0")),
        (r"\ud83d", Err(FieldError::BadEscape)),
        (r"\ud83dx", Err(FieldError::BadEscape)),
        (r"\ud83d\u0041", Err(FieldError::BadEscape)),
        (r"\ude00\ud83d", Err(FieldError::BadEscape)),
        (r"\u12", Err(FieldError::BadEscape)),
        (r"\u+123", Err(FieldError::BadEscape)),
        (r"\u00é", Err(FieldError::BadEscape)),
        (r"\x", Err(FieldError::BadEscape)),
        ("\\", Err(FieldError::BadEscape)),
    ] {
        assert_eq!(
            unescape(raw).as_deref(),
            expected.as_ref().map(|text| &**text),
            "{raw}"
        );
    }
}

#[test]
fn what_is_written_reads_back() {
    let names = ["", "a", "\"\\/", "\n\r\t\u{8}\u{1f}", "é😀", "\u{7f}"];
    for name in names {
        let mut out = Vec::new();
        write_string(name, &mut out);
        assert_eq!(
            serde_json::from_slice::<String>(&out).expect("a string"),
            name
        );
    }
}

#[test]
fn trees_keep_tokens_and_order() {
    let json =
        r#"{"b":1.50,"a":{"x":"\u0041","":null},"c":[1, {"d":1e400}],"b":18446744073709551616}"#;
    let tree = Tree::parse(json).expect("valid");
    assert_eq!(
        tree.to_json(),
        r#"{"b":18446744073709551616,"a":{"x":"\u0041","":null},"c":[1, {"d":1e400}]}"#
    );
    assert_eq!(
        tree.find(&["a", "x"])
            .expect("there")
            .value()
            .str()
            .expect("a text"),
        "A"
    );
    assert_eq!(tree.find(&["a", "y"]), None);
    assert_eq!(Tree::parse(" true ").expect("valid").to_json(), "true");
}

#[test]
fn what_is_no_json_or_too_deep_is_refused() {
    for json in ["", "{", "{\"a\":}", "[1,]", "nul", "1 2", "\"\\x\""] {
        assert!(Tree::parse(json).is_err(), "{json}");
    }
    let nested = |depth| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert!(Tree::parse(&nested(128)).is_ok());
    assert!(Tree::parse(&nested(129)).is_err());
}
