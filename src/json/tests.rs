//! What is accepted, what is refused, and that every token is cut from the message as it stands
//! there.

use std::{fs, path::PathBuf, thread};

use flate2::read::GzDecoder;

use super::{BadId, Decoder, JsonError, Pointer, Value};
use crate::{
    json,
    key::IdRef,
    record::{self, Kind, Token},
};

mod oracle;
mod replay;
mod sequences;
mod vectors;

const DEPTH: u32 = 128;

fn decoder() -> Decoder {
    Decoder::new(DEPTH)
}

fn refusal(text: &[u8]) -> JsonError {
    decoder().decode(text).expect_err("a refusal")
}

/// The JSON text of a value put together again from its items, without white space outside of
/// tokens.
fn rejoin(value: Value<'_>, out: &mut Vec<u8>) {
    let list = |out: &mut Vec<u8>, nth: usize| {
        if nth > 0 {
            out.push(b',');
        }
    };
    match value.kind() {
        Kind::Object => {
            out.push(b'{');
            for (nth, (name, value)) in value.members().enumerate() {
                list(out, nth);
                out.extend_from_slice(name.raw());
                out.push(b':');
                rejoin(value, out);
            }
            out.push(b'}');
        }
        Kind::Array => {
            out.push(b'[');
            for (nth, value) in value.elements().enumerate() {
                list(out, nth);
                rejoin(value, out);
            }
            out.push(b']');
        }
        _ => out.extend_from_slice(value.raw()),
    }
}

/// `text` without the white space between tokens.
fn compact(text: &[u8]) -> Vec<u8> {
    let (mut inside, mut escaped) = (false, false);
    let keep = |&byte: &u8| {
        let blank = !inside && matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        inside ^= byte == b'"' && !escaped;
        escaped = inside && byte == b'\\' && !escaped;
        !blank
    };
    text.iter().copied().filter(keep).collect()
}

/// Compares every value under `ours` with what serde_json read, and its text with the message.
fn compare(ours: Value<'_>, theirs: &serde_json::Value) {
    use serde_json::Value as Theirs;
    match theirs {
        Theirs::Null => assert!(ours.is_null()),
        Theirs::Bool(flag) => assert_eq!(ours.bool(), Some(*flag)),
        Theirs::Number(number) => {
            assert_eq!(ours.kind(), Kind::Number);
            // serde_json reads `-0` as a float.
            if ours.raw() != b"-0" {
                assert_eq!(ours.u64(), number.as_u64());
                assert_eq!(ours.i64(), number.as_i64());
            }
        }
        Theirs::String(text) => assert_eq!(ours.str(), Some(&text[..])),
        Theirs::Array(elements) => {
            assert_eq!(ours.kind(), Kind::Array);
            assert_eq!(ours.len(), elements.len());
            ours.elements()
                .zip(elements)
                .for_each(|(ours, theirs)| compare(ours, theirs));
        }
        Theirs::Object(members) => {
            assert_eq!(ours.kind(), Kind::Object);
            for (name, _) in ours.members() {
                assert!(members.contains_key(name.as_str()));
            }
            for (name, theirs) in members {
                compare(ours.get(name).expect("the member"), theirs);
            }
        }
    }
}

#[test]
fn accepts_what_rfc_8259_allows() {
    let mut decoder = decoder();
    for &text in vectors::ACCEPTED {
        let message = decoder
            .decode(text.as_bytes())
            .unwrap_or_else(|e| panic!("{text:?}: {e}"));
        let mut joined = Vec::new();
        rejoin(message.root(), &mut joined);
        assert_eq!(
            String::from_utf8(joined),
            String::from_utf8(compact(text.as_bytes())),
            "{text:?}"
        );
        assert_eq!(
            compact(message.root().raw()),
            compact(text.as_bytes()),
            "{text:?}"
        );
        // serde_json has no number beyond the range of f64.
        if let Ok(theirs) = serde_json::from_str::<serde_json::Value>(text) {
            compare(message.root(), &theirs);
        }
    }
}

#[test]
fn refuses_everything_else() {
    let mut decoder = decoder();
    for (text, expected) in vectors::refused() {
        let shown = String::from_utf8_lossy(&text).into_owned();
        assert_eq!(decoder.decode(&text).err(), Some(expected), "{shown:?}");
        assert!(
            serde_json::from_slice::<serde_json::Value>(&text).is_err(),
            "{shown:?}"
        );
        // A refusal leaves nothing behind.
        assert_eq!(
            decoder
                .decode(b"[1]")
                .expect("the next message")
                .root()
                .raw(),
            b"[1]"
        );
    }
}

/// Every one-byte change of a message is accepted or refused as serde_json does, wherever it
/// stands.
#[test]
fn agrees_with_serde_json_on_every_changed_byte() {
    let mut decoder = decoder();
    let message = br#" {"a" : [1, -2.5e3,true , null],"b\n":"\u00e9x","c":{}, "d":0} "#;
    for at in 0..message.len() {
        for byte in 0..=255 {
            let mut text = message.to_vec();
            text[at] = byte;
            let ours = decoder.decode(&text);
            let theirs = serde_json::from_slice::<serde_json::Value>(&text);
            let shown = String::from_utf8_lossy(&text);
            match (ours, theirs) {
                (Ok(ours), Ok(theirs)) => compare(ours.root(), &theirs),
                (ours, theirs) => assert_eq!(ours.is_ok(), theirs.is_ok(), "{shown:?}"),
            }
        }
    }
}

#[test]
fn keeps_the_limit_on_depth_on_a_small_stack() {
    let check = || {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for limit in [1, 2, 128, 1000] {
                let nested = |depth| format!("{}0{}", open.repeat(depth), close.repeat(depth));
                let mut decoder = Decoder::new(limit);
                assert!(decoder.decode(nested(limit as usize).as_bytes()).is_ok());
                let deeper = nested(limit as usize + 1);
                assert_eq!(
                    decoder.decode(deeper.as_bytes()).err(),
                    Some(JsonError::TooDeep)
                );
            }
        }
        assert_eq!(
            refusal("[".repeat(1_000_000).as_bytes()),
            JsonError::TooDeep
        );
        assert_eq!(
            refusal("{\"a\":".repeat(1_000_000).as_bytes()),
            JsonError::TooDeep
        );
        assert!(Decoder::new(0).decode(b"7").is_ok());
        assert_eq!(
            Decoder::new(0).decode(b"[]").err(),
            Some(JsonError::TooDeep)
        );
    };
    thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(check)
        .expect("a thread")
        .join()
        .expect("no panic");
}

#[test]
fn the_last_value_of_a_repeated_name_counts_however_many_members_there_are() {
    let mut decoder = decoder();
    for members in 1..80 {
        for repeated in 0..members {
            let mut text: Vec<String> = (0..members)
                .map(|nth| format!("\"m{nth}\":{nth}"))
                .collect();
            text.push(format!("\"m{repeated}\":1000"));
            let text = format!("{{{}}}", text.join(","));
            let root = decoder.decode(text.as_bytes()).expect("valid").root();
            assert_eq!(root.len(), members + 1);
            for nth in 0..members {
                let expected = if nth == repeated { 1000 } else { nth as u64 };
                assert_eq!(
                    root.get(&format!("m{nth}")).and_then(|v| v.u64()),
                    Some(expected)
                );
            }
        }
    }
    let root = decoder
        .decode(br#"{"a":1,"\u0061":2,"b":3}"#)
        .expect("valid")
        .root();
    assert_eq!(root.get("a").and_then(|v| v.u64()), Some(2));
    assert!(root.get("\\u0061").is_none());
}

#[test]
fn tokens_are_cut_from_the_message_as_received() {
    let text = r#" { "s" : "a\"b\\" , "e":"", "n": -0.10E+2 ,"big":123456789012345678901234567890, "a":[ 1 , "]" ] ,"\u00e4\/":null }"#;
    let mut decoder = decoder();
    let root = decoder.decode(text.as_bytes()).expect("valid").root();
    let token = |name| root.get(name).expect("a member").token();
    let expected = |kind, text: &'static str| Token {
        kind,
        text: text.as_bytes(),
    };
    assert_eq!(token("s"), expected(Kind::EscapedString, r#"a\"b\\"#));
    assert_eq!(root.get("s").and_then(|v| v.str()), Some(r#"a"b\"#));
    assert_eq!(root.get("s").expect("a member").raw(), br#""a\"b\\""#);
    assert_eq!(token("e"), expected(Kind::String, ""));
    assert_eq!(root.get("e").and_then(|v| v.str()), Some(""));
    assert_eq!(token("n"), expected(Kind::Number, "-0.10E+2"));
    assert_eq!(
        token("big"),
        expected(Kind::Number, "123456789012345678901234567890")
    );
    assert_eq!(token("a"), expected(Kind::Array, r#"[ 1 , "]" ]"#));
    assert_eq!(token("ä/"), expected(Kind::Null, "null"));
    let names: Vec<_> = root
        .members()
        .map(|(name, _)| (name.as_str(), name.raw()))
        .collect();
    assert_eq!(names[5], ("ä/", &br#""\u00e4\/""#[..]));
}

#[test]
fn ids_keep_their_type() {
    let mut decoder = decoder();
    let text = r#"[7,"7",-7,0,-0,"",null,"\u0041\n",170141183460469231731687303715884105727,18446744073709551616]"#;
    let ids: Vec<_> = decoder
        .decode(text.as_bytes())
        .expect("valid")
        .root()
        .elements()
        .map(|v| v.id())
        .collect();
    let int = |n| Ok(Some(IdRef::Int(n)));
    let name = |n| Ok(Some(IdRef::Text(n)));
    let expected = [
        int(7),
        name("7"),
        int(-7),
        int(0),
        int(0),
        name(""),
        Ok(None),
        name("A\n"),
        int(i128::MAX),
        int(1 << 64),
    ];
    assert_eq!(ids, expected);
    let text = b"[7.0,7e0,1.5,true,false,[],{},170141183460469231731687303715884105728]";
    for value in decoder.decode(text).expect("valid").root().elements() {
        assert_eq!(value.id(), Err(BadId), "{value:?}");
    }
}

#[test]
fn scalars_are_read_only_as_what_they_are() {
    let mut decoder = decoder();
    let text = br#"[18446744073709551615,-1,"1",1.0,true,null,{"a":1},[1]]"#;
    let root = decoder.decode(text).expect("valid").root();
    let of: Vec<_> = root
        .elements()
        .map(|v| (v.u64(), v.i64(), v.bool(), v.str(), v.len()))
        .collect();
    let expected = [
        (Some(u64::MAX), None, None, None, 0),
        (None, Some(-1), None, None, 0),
        (None, None, None, Some("1"), 0),
        (None, None, None, None, 0),
        (None, None, Some(true), None, 0),
        (None, None, None, None, 0),
        (None, None, None, None, 1),
        (None, None, None, None, 1),
    ];
    assert_eq!(of, expected);
    for value in root.elements() {
        assert_eq!(value.is_empty(), matches!(value.len(), 0));
        assert_eq!(value.members().count() > 0, value.is_object());
        assert_eq!(value.elements().count() > 0, value.kind() == Kind::Array);
    }
}

/// The document and all pointers of RFC 6901, section 5, and what they lead to.
#[test]
fn follows_json_pointers() {
    let text = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
    let mut decoder = decoder();
    let root = decoder.decode(text.as_bytes()).expect("valid").root();
    let at = |pointer: &str| {
        root.at(&pointer.parse::<Pointer>().expect("a pointer"))
            .map(|v| v.raw())
    };
    let expected = [
        ("", text),
        ("/foo", r#"["bar","baz"]"#),
        ("/foo/0", r#""bar""#),
        ("/foo/1", r#""baz""#),
        ("/", "0"),
        ("/a~1b", "1"),
        ("/c%d", "2"),
        ("/e^f", "3"),
        ("/g|h", "4"),
        ("/i\\j", "5"),
        ("/k\"l", "6"),
        ("/ ", "7"),
        ("/m~0n", "8"),
    ];
    for (pointer, value) in expected {
        assert_eq!(at(pointer), Some(value.as_bytes()), "{pointer:?}");
        assert_eq!(
            Pointer::new(pointer).expect("a pointer").to_string(),
            pointer
        );
    }
    for pointer in [
        "/foo/2", "/foo/-", "/foo/00", "/foo/01", "/foo/+1", "/foo/0/0", "/foo/bar", "/none", "/a",
        "//",
    ] {
        assert_eq!(at(pointer), None, "{pointer:?}");
    }
    for text in ["foo", "#", "/~", "/~2", "/a~", "/~x", "/~é"] {
        assert!(Pointer::new(text).is_err(), "{text:?}");
    }
    let root = decoder
        .decode(br#"{"a":{"x":1},"a":{"x":2}}"#)
        .expect("valid")
        .root();
    assert_eq!(
        root.at(&Pointer::new("/a/x").expect("a pointer"))
            .and_then(|v| v.u64()),
        Some(2)
    );
}

/// Texts of every length around simd-json's blocks, with an escape, a wide character or a number at
/// the seam.
#[test]
fn block_boundaries_do_not_matter() {
    let mut decoder = decoder();
    for pad in 0..200 {
        for tail in [
            r#""\u00e9""#,
            "\"é\"",
            "\"\\\\\"",
            "12345.678e-9",
            "null",
            "[]",
            "99999999999999999999999",
        ] {
            let text = format!(r#"{{"{}":{tail}}}"#, "x".repeat(pad));
            let root = decoder.decode(text.as_bytes()).expect("valid").root();
            let (name, value) = root.members().next().expect("a member");
            assert_eq!((name.as_str().len(), value.raw()), (pad, tail.as_bytes()));
        }
    }
}

fn captures() -> Option<PathBuf> {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/captures");
    let folder =
        std::env::var_os("TICKCACHE_CAPTURES").map_or_else(|| PathBuf::from(shared), PathBuf::from);
    folder.is_dir().then_some(folder)
}

#[test]
fn takes_recorded_feeds_apart_without_losing_a_byte() {
    let Some(folder) = captures() else {
        eprintln!("skipped: no recordings; name their folder in TICKCACHE_CAPTURES");
        return;
    };
    let (mut messages, mut decoder) = (0, decoder());
    for entry in fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        let name = path.to_string_lossy().into_owned();
        if !name.ends_with(".jsonl.gz") && !name.ends_with(".jsonl") {
            continue;
        }
        let file = fs::File::open(&path).expect("a recording");
        let text = if name.ends_with(".gz") {
            std::io::read_to_string(GzDecoder::new(file))
        } else {
            std::io::read_to_string(file)
        };
        for line in text.expect("text").lines().filter(|line| !line.is_empty()) {
            let root = decoder
                .decode(line.as_bytes())
                .unwrap_or_else(|e| panic!("{name}: {e}: {line}"))
                .root();
            let mut joined = Vec::new();
            rejoin(root, &mut joined);
            assert_eq!(joined, compact(line.as_bytes()), "{name}: {line}");
            assert_eq!(root.raw(), line.trim().as_bytes(), "{name}: {line}");
            compare(
                root,
                &serde_json::from_str(line).expect("serde_json agrees"),
            );
            messages += 1;
        }
    }
    assert!(messages > 1000, "only {messages} messages were found");
}
