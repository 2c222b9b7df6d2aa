use super::*;

const VALID: [&[u8]; 9] = [
    b"",
    b"plain",
    "\u{80}\u{7ff}".as_bytes(),
    "\u{800}\u{ffff}".as_bytes(),
    "\u{10000}\u{10ffff}".as_bytes(),
    "\u{d7ff}\u{e000}\u{fdd0}".as_bytes(),
    "κόσμε".as_bytes(),
    "a\0b".as_bytes(),
    "日本語 and 😀 and ß".as_bytes(),
];

/// Texts that are wrong, with the number of bytes after which no continuation can help.
const INVALID: [(&[u8], usize); 14] = [
    (b"\x80", 1),
    (b"a\xbf", 2),
    (b"\xc0\xaf", 1),
    (b"\xc1\xbf", 1),
    (b"\xe0\x9f\xbf", 2),
    (b"\xed\xa0\x80", 2),
    (b"\xf0\x8f\xbf\xbf", 2),
    (b"\xf4\x90\x80\x80", 2),
    (b"\xf5\x80\x80\x80", 1),
    (b"\xfe", 1),
    (b"\xff", 1),
    (b"\xc3a", 2),
    (b"\xe2\x82a", 3),
    (b"\xf0\x9f\x98\xff", 4),
];

#[test]
fn accepts_valid_text_however_it_is_cut() {
    for text in VALID {
        assert!(is_valid(text));
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let mut check = Utf8::default();
                for part in [&text[..first], &text[first..second], &text[second..]] {
                    check.feed(part).unwrap();
                }
                check.finish().unwrap();
            }
        }
    }
}

#[test]
fn refuses_at_the_first_hopeless_byte() {
    for (text, at) in INVALID {
        assert!(!is_valid(text));
        let mut check = Utf8::default();
        let refused = text.iter().position(|byte| check.feed(&[*byte]).is_err());
        assert_eq!(refused, Some(at - 1), "{text:02x?}");
        for cut in 0..=text.len() {
            let mut check = Utf8::default();
            let parts = [&text[..cut], &text[cut..]];
            assert!(
                parts.iter().any(|part| check.feed(part).is_err()),
                "{text:02x?} at {cut}"
            );
        }
    }
}

#[test]
fn a_text_must_not_end_inside_a_character() {
    for text in ["ß", "€", "😀"] {
        for cut in 1..text.len() {
            let mut check = Utf8::default();
            check.feed(&text.as_bytes()[..cut]).unwrap();
            assert_eq!(check.finish(), Err(Invalid));
        }
    }
}

#[test]
fn agrees_with_the_library_on_all_short_texts() {
    // Representatives of each class of bytes that the rules tell apart.
    let classes = [
        0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef,
        0xf0, 0xf1, 0xf4, 0xf5, 0xff,
    ];
    for a in classes {
        for b in classes {
            for c in classes {
                for d in classes {
                    let text = [a, b, c, d];
                    let mut check = Utf8::default();
                    let fed = text.iter().try_for_each(|byte| check.feed(&[*byte]));
                    let whole = fed.and_then(|()| check.finish()).is_ok();
                    assert_eq!(whole, str::from_utf8(&text).is_ok(), "{text:02x?}");
                    assert_eq!(is_valid(&text), whole);
                }
            }
        }
    }
}

#[test]
fn a_high_byte_is_seen_wherever_it_is() {
    for len in 0..=3 * BLOCK + 1 {
        let mut text = vec![b'a'; len];
        assert!(is_ascii(&text), "{len} bytes");
        for at in 0..len {
            text[at] = 0x80;
            assert!(!is_ascii(&text), "byte {at} of {len}");
            assert!(!is_valid(&text), "byte {at} of {len}");
            text[at] = 0x7f;
        }
    }
}
