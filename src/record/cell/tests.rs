use super::*;

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn a_short_cell_is_a_tag_a_length_the_text_and_zeros() {
    let text = b"0123456789abcde";
    for length in 0..=SHORT_TOKEN {
        for expected in [Kind::Number, Kind::String, Kind::EscapedString, Kind::Array] {
            let token = Token::new(expected, &text[..length]);
            let cell = short(token);
            let mut layout = vec![(expected as u8) << 4 | length as u8];
            layout.extend(&text[..length]);
            layout.resize(16, 0);
            assert_eq!(bytes(&cell), layout);
            assert_eq!(kind(cell[0]), Some(expected));
            assert_eq!(used_cells(cell[0]), 1);
            assert_eq!(token.cells(), 1);
            assert!(is_plain(cell[0]) && !is_absent(cell[0]));
        }
    }
}

#[test]
fn a_wide_token_takes_the_cells_it_says() {
    let text: Vec<u8> = (0..INLINE_TOKEN).map(|at| b'a' + (at % 26) as u8).collect();
    for length in 16..=INLINE_TOKEN {
        let token = Token::new(Kind::String, &text[..length]);
        let mut words = vec![7];
        wide(token, &mut words);
        let words = &words[1..];
        assert_eq!(words.len(), 2 * usize::from(token.cells()));
        assert_eq!(used_cells(words[0]), token.cells());
        assert_eq!(kind(words[0]), Some(Kind::String));
        assert!(!is_plain(words[0]) && !is_document(words[0]) && !is_object(words[0]));
        let bytes = bytes(words);
        assert_eq!(&bytes[text_range(words[0])], &text[..length]);
        assert!(
            bytes[text_range(words[0]).end..]
                .iter()
                .all(|byte| *byte == 0)
        );
    }
    assert_eq!(MAX_CELLS, 257);
}

#[test]
fn literals_have_no_text_and_markers_are_told_apart() {
    for expected in [Kind::Null, Kind::True, Kind::False] {
        let cell = short(Token::new(expected, b"whatever it is called"));
        assert_eq!(cell, short(Token::new(expected, b"")));
        assert_eq!(kind(cell[0]), Some(expected));
    }
    assert_eq!(kind(ABSENT[0]), None);
    assert_eq!(kind(OBJECT[0]), Some(Kind::Object));
    assert!(is_object(OBJECT[0]) && !is_plain(OBJECT[0]) && is_plain(ABSENT[0]));
}

#[test]
fn a_document_cell_tells_texts_apart() {
    let (a, b) = ("a".repeat(5000), "b".repeat(5000));
    let cell = document(Kind::String, a.as_bytes());
    assert!(is_document(cell[0]) && !is_plain(cell[0]));
    assert_eq!(used_cells(cell[0]), 1);
    assert_eq!(kind(cell[0]), Some(Kind::String));
    assert_eq!(cell, document(Kind::String, a.as_bytes()));
    assert_ne!(cell, document(Kind::String, b.as_bytes()));
    assert_ne!(cell, document(Kind::Array, a.as_bytes()));
}
