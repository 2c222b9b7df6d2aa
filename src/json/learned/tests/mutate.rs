//! Messages made from samples by a seeded generator.

/// Xorshift: the same numbers every run.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }

    pub(super) fn of<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

/// Tokens, and what is nearly one.
pub(super) const TOKENS: &[&str] = &[
    "null",
    "true",
    "false",
    "nul",
    "tru",
    "fals",
    "nulll",
    "True",
    "0",
    "-0",
    "-",
    "--1",
    "+1",
    "7",
    "-7",
    "10",
    "01",
    "-01",
    "00",
    "1.",
    "1.5",
    ".5",
    "-.5",
    "0.5",
    "-0.5",
    "1.5.5",
    "1e5",
    "1E5",
    "1e",
    "0e0",
    "1.5e-7",
    "12345678901234",
    "123456789012345",
    "1234567890123456",
    "12345678901234567",
    "123456789012345678",
    "1234567890123456789",
    "12345678901234567890123",
    "-123456789012345678",
    "-1234567890123456789",
    "1234567890123.5",
    "12345678901234.5",
    "123456789012345.5",
    "1.12345678901234567890",
    "12345678901234.",
    "123456789012345.",
    "1234567890123456.",
    "NaN",
    "0x1",
    "\"\"",
    "\"a\"",
    "\"\\n\"",
    "\"\\u0041\"",
    "\"\\\"\"",
    "\"\\\\\"",
    "\"a",
    "\"\t\"",
    "\"\u{1}\"",
    "\"\u{7f}\"",
    "\"ü\"",
    "\"値段\"",
    "\"\u{10ffff}\"",
    "\"{\\\"a\\\":1}\"",
    "\",\"",
    "\"}\"",
    "\":\"",
    "\"0123456789abcd\"",
    "\"0123456789abcde\"",
    "\"0123456789abcdef\"",
    "\"0123456789abcdefg\"",
    "\"0123456789abcdef0123456789abcd\"",
    "\"0123456789abcdef0123456789abcde\"",
    "\"0123456789abcdef0123456789abcdef\"",
    "\"0123456789abcdef0123456789abcdefg\"",
    "\"0123456789abcd\\\\\"",
    "\"0123456789abcde\\\\\"",
    "\"0123456789abcdef\\\\\"",
    "\"0123456789abcdef0123456789abcde\t\"",
    "[]",
    "[ ]",
    "[1]",
    "[1,2]",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[[],[]]",
    "[[1,\"a\"],[2,\"b\"]]",
    "[{}]",
    "[{\"a\":1}]",
    "[{\"a\":1,}]",
    "[{\"a\"}]",
    "[{a:1}]",
    "[{\"a\":1,\"a\":2}]",
    "[{\"a\" : [ 1 , null ] } ]",
    "[\"\\n\"]",
    "[01]",
    "[1e5]",
    "[\"a]",
    "[",
    "]",
    "[}",
    "[[[[[[1]]]]]]",
    "[[[[[[[1]]]]]]]",
    "[[[[[[[[1]]]]]]]]",
    "[[[[[[[[[1]]]]]]]]]",
    "{}",
    "{\"a\":1}",
    "{",
    "}",
    "",
    " ",
    " 1",
    "1 ",
    "1,2",
    "\"a\"\"b\"",
];

/// Where the tokens of a message are that are neither names nor nested: roughly, since that is all
/// a mutation needs.
fn tokens(message: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < message.len() {
        let start = at;
        match message[at] {
            b'"' => {
                at += 1;
                while at < message.len() && message[at] != b'"' {
                    at += 1;
                }
                at = message.len().min(at + 1);
                if message[at..].trim_ascii_start().first() != Some(&b':') {
                    found.push((start, at));
                }
            }
            b'-' | b'0'..=b'9' | b'a'..=b'z' => {
                while at < message.len() && !b",]} \n".contains(&message[at]) {
                    at += 1;
                }
                found.push((start, at));
            }
            _ => at += 1,
        }
    }
    found
}

/// `sample` with some of it changed: mostly values, sometimes anything.
pub(super) fn mutated(sample: &[u8], random: &mut Random) -> Vec<u8> {
    let mut message = sample.to_vec();
    for _ in 0..=random.below(3) {
        let places = tokens(&message);
        match random.below(14) {
            0..=7 if !places.is_empty() => {
                let (start, end) = places[random.below(places.len())];
                let token = random.of(TOKENS);
                message.splice(start..end, token.bytes());
            }
            8 if !message.is_empty() => {
                let at = random.below(message.len());
                message[at] = random.below(256) as u8;
            }
            9 => {
                let at = random.below(message.len() + 1);
                let byte = b"\"\\,:{}[] \n0a.-e\x00\x1f\x80\xff"[random.below(19)];
                message.insert(at, byte);
            }
            10 if !message.is_empty() => {
                message.remove(random.below(message.len()));
            }
            11 => message.truncate(random.below(message.len() + 1)),
            12 if !places.is_empty() => {
                // A text of any length, with a quote at any distance from the end.
                let (start, end) = places[random.below(places.len())];
                let text = "x".repeat(random.below(70));
                message.splice(start..end, format!("\"{text}\"").into_bytes());
            }
            _ if !places.is_empty() => {
                let (start, end) = places[random.below(places.len())];
                let digits = "1234567890".repeat(3);
                let number = &digits[..1 + random.below(20)];
                message.splice(start..end, number.bytes());
            }
            _ => {}
        }
    }
    message
}
