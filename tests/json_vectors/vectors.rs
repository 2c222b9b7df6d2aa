//! The texts of `vectors.txt`.

/// What becomes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The standard allows it.
    Accept,
    /// The standard does not.
    Refuse,
    /// The standard leaves it open; whether it is accepted here.
    Choose(bool),
}

impl Kind {
    pub(crate) fn is_accepted(self) -> bool {
        matches!(self, Self::Accept | Self::Choose(true))
    }
}

pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) text: Vec<u8>,
    pub(crate) kind: Kind,
}

pub(crate) fn all() -> Vec<Vector> {
    let lines = include_str!("vectors.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(vector).collect()
}

fn vector(line: &str) -> Vector {
    let mut parts = line.splitn(3, " | ");
    let mut part = || {
        parts
            .next()
            .unwrap_or_else(|| panic!("three parts: {line}"))
    };
    let kind = match part() {
        "accept" => Kind::Accept,
        "refuse" => Kind::Refuse,
        "choose accept" => Kind::Choose(true),
        "choose refuse" => Kind::Choose(false),
        other => panic!("no such answer: {other}"),
    };
    Vector {
        name: part().to_owned(),
        text: bytes(part()),
        kind,
    }
}

/// Undoes `%hh` and `%{n*c}`.
fn bytes(written: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = written;
    while let Some((plain, code)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        rest = if let Some(run) = code.strip_prefix('{') {
            let (run, rest) = run.split_once('}').expect("a run ends");
            let (count, byte) = run.split_once('*').expect("a count and a character");
            bytes.extend_from_slice(byte.repeat(count.parse().expect("a count")).as_bytes());
            rest
        } else {
            bytes.push(u8::from_str_radix(&code[..2], 16).expect("two digits"));
            &code[2..]
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[test]
fn bytes_are_read_as_they_are_meant() {
    assert_eq!(bytes("a%00%25b"), b"a\0%b");
    assert_eq!(bytes("[%{3*x}]%ff"), b"[xxx]\xff");
    assert_eq!(bytes(""), b"");
}
