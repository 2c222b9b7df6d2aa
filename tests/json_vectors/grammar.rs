//! Whether bytes are a JSON text, written down from the grammar of RFC 8259 rule by rule.
//!
//! Shares nothing with the engine, converts nothing, and does not recurse. Where the standard
//! leaves something open it answers as the engine's documents say: numbers of any size, no byte
//! order mark, whole surrogate pairs only, a limit on nesting.

/// Whether `bytes` are one JSON text, nested at most `depth` deep.
pub(crate) fn is_json(bytes: &[u8], depth: usize) -> bool {
    std::str::from_utf8(bytes).is_ok() && Reader { bytes, at: 0 }.text(depth).is_some()
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq)]
enum Next {
    Value,
    /// A value, or the end of an array that has just begun.
    ValueOrEnd,
    /// A name, or the end of an object that has just begun.
    NameOrEnd,
    Name,
    /// A comma, or the end of what is open.
    More,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn is(&mut self, wanted: &[u8]) -> Option<()> {
        let found = self.bytes[self.at..].starts_with(wanted);
        self.at += wanted.len();
        found.then_some(())
    }

    /// `ws`.
    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// `JSON-text = ws value ws`.
    fn text(&mut self, depth: usize) -> Option<()> {
        let mut open = Vec::new();
        let mut next = Next::Value;
        loop {
            self.blanks();
            if next == Next::More && open.is_empty() {
                return (self.at == self.bytes.len()).then_some(());
            }
            let byte = self.peek()?;
            next = match (next, byte) {
                (Next::ValueOrEnd, b']') | (Next::NameOrEnd, b'}') => {
                    self.at += 1;
                    open.pop();
                    Next::More
                }
                (Next::Name | Next::NameOrEnd, _) => {
                    self.string()?;
                    self.blanks();
                    self.is(b":")?;
                    Next::Value
                }
                (Next::More, b',') => {
                    self.at += 1;
                    if open.last() == Some(&b'{') {
                        Next::Name
                    } else {
                        Next::Value
                    }
                }
                (Next::More, _) => {
                    let opened = if byte == b']' { b'[' } else { b'{' };
                    if !matches!(byte, b']' | b'}') || open.pop() != Some(opened) {
                        return None;
                    }
                    self.at += 1;
                    Next::More
                }
                (_, b'[' | b'{') => {
                    self.at += 1;
                    open.push(byte);
                    if open.len() > depth {
                        return None;
                    }
                    if byte == b'[' {
                        Next::ValueOrEnd
                    } else {
                        Next::NameOrEnd
                    }
                }
                (_, b'"') => {
                    self.string()?;
                    Next::More
                }
                (_, b'-' | b'0'..=b'9') => {
                    self.number()?;
                    Next::More
                }
                (_, b't') => self.is(b"true").map(|()| Next::More)?,
                (_, b'f') => self.is(b"false").map(|()| Next::More)?,
                (_, b'n') => self.is(b"null").map(|()| Next::More)?,
                _ => return None,
            };
        }
    }

    /// `number = [ minus ] int [ frac ] [ exp ]`.
    fn number(&mut self) -> Option<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let before = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > before).then_some(())
    }

    /// `string = quotation-mark *char quotation-mark`.
    fn string(&mut self) -> Option<()> {
        self.is(b"\"")?;
        loop {
            match self.take()? {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                0..0x20 => return None,
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.take()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => match self.four_digits()? {
                0xd800..0xdc00 => {
                    self.is(b"\\u")?;
                    matches!(self.four_digits()?, 0xdc00..0xe000).then_some(())
                }
                0xdc00..0xe000 => None,
                _ => Some(()),
            },
            _ => None,
        }
    }

    fn four_digits(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |number, _| {
            let digit = char::from(self.take()?).to_digit(16)?;
            Some(number * 16 + digit)
        })
    }
}
