//! Streams of messages that are mostly laid out as those before them, and sometimes not.

use crate::mutation::{Node, Rng};

/// Messages made of samples, for ever.
pub(crate) struct Stream {
    trees: Vec<Node>,
    rng: Rng,
}

impl Stream {
    pub(crate) fn new(samples: &[String], rng: Rng) -> Self {
        let is_json = |text: &&String| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        let samples = samples.iter().filter(is_json);
        let trees = samples.map(|text| Node::parse(text)).collect();
        Self { trees, rng }
    }
}

impl Iterator for Stream {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let rng = &mut self.rng;
        let mut tree = self.trees[rng.below(self.trees.len())].clone();
        let kind = rng.below(32);
        if kind > 2 {
            vary(&mut tree, kind == 3, rng);
        }
        match kind {
            4 => tree = tree.shuffled(rng),
            5..=7 => tree.mutate(rng),
            _ => {}
        }
        let mut text = tree.text().into_bytes();
        match kind {
            8 => text.truncate(rng.below(text.len())),
            9 => {
                let at = rng.below(text.len());
                text[at] ^= 1 << rng.below(8);
            }
            10 => text.insert(rng.below(text.len()), b' '),
            11 => text.push([b' ', b'\n', b'}', b'0'][rng.below(4)]),
            12 => {
                let at = rng.below(text.len());
                text[at] = rng.below(256) as u8;
            }
            _ => {}
        }
        Some(text)
    }
}

/// Gives tokens other values: plain ones, unless `wild`.
fn vary(node: &mut Node, wild: bool, rng: &mut Rng) {
    match node {
        Node::Object(members) => {
            for (_, member) in members {
                vary(member, wild, rng);
            }
        }
        Node::Array(elements) => {
            if rng.below(16) == 0 && elements.len() < 20 {
                elements.extend(elements.first().cloned());
            }
            for element in elements {
                vary(element, wild, rng);
            }
        }
        Node::Token(token) => {
            let keeps = match token.as_bytes().first() {
                // Words that say what the message is.
                Some(b'"') => rng.below(8) > 0,
                _ => rng.below(8) == 0,
            };
            if !keeps {
                let is_text = token.starts_with('"');
                *token = if wild { odd(rng) } else { plain(is_text, rng) };
            }
        }
    }
}

fn digits(most: usize, rng: &mut Rng) -> String {
    let count = 1 + rng.below(most);
    let first = char::from(b'1' + rng.below(9) as u8);
    let rest = (1..count).map(|_| char::from(b'0' + rng.below(10) as u8));
    std::iter::once(first).chain(rest).collect()
}

/// A token within the strict grammar.
fn plain(is_text: bool, rng: &mut Rng) -> String {
    let number = |rng: &mut Rng| match rng.below(4) {
        0 => digits(18, rng),
        1 => format!("-{}", digits(9, rng)),
        2 => format!("{}.{:04}", digits(7, rng), rng.below(10_000)),
        _ => format!("0.{}", digits(20, rng)),
    };
    match (is_text, rng.below(12)) {
        (_, 0) => "null".to_owned(),
        (true, 1) => r#""""#.to_owned(),
        (true, 2) => format!(r#""{}""#, "é€😀x".repeat(rng.below(5))),
        (true, 3) => format!(r#""{}""#, "y".repeat(rng.below(60))),
        (true, 4) => format!(r#""{}""#, "z".repeat(4090 + rng.below(12))),
        (true, 5) => digits(10, rng),
        (true, _) => format!(r#""{}""#, number(rng)),
        (false, 1) => "true".to_owned(),
        (false, 2) => "false".to_owned(),
        (false, 3) => format!(r#""{}""#, digits(20, rng)),
        (false, 4) => "0".to_owned(),
        (false, _) => number(rng),
    }
}

/// A token beyond it.
fn odd(rng: &mut Rng) -> String {
    const ODD: [&str; 14] = [
        "1e5",
        "-0",
        "-0.0",
        "1E-7",
        "18446744073709551616",
        "123456789012345678901234567890.5",
        r#""a\"b""#,
        r#""\u0041\n""#,
        r#""\\""#,
        "01",
        "1.",
        "-",
        "nul",
        "\"\u{7f}\u{80}\"",
    ];
    ODD[rng.below(ODD.len())].to_owned()
}
