//! What fits a layout, byte by byte and without regard to speed.

use super::super::{Hole, Template};
use crate::record::Kind;

/// The holes of `message`, if it fits.
pub(super) fn fit(template: &Template, message: &[u8]) -> Option<Vec<Hole>> {
    // Shorter ones are left to the parser.
    std::str::from_utf8(message)
        .ok()
        .filter(|text| text.len() >= 16)?;
    let layout = &template.layout;
    let mut at = 0;
    let mut holes = Vec::new();
    for literal in &layout.literals {
        let (from, length) = (literal.at as usize, literal.length as usize);
        at = after(message, at, &layout.text[from..from + length])?;
        let (kind, end) = token(message, at, literal.room)?;
        let quote = usize::from(kind == Kind::String);
        let (start, inner) = (at + quote, end - quote);
        holes.push(Hole {
            cell: cell(kind, &message[start..inner]),
            start: start as u32,
            end: inner as u32,
            kind,
        });
        at = end;
    }
    let tail = &layout.text[layout.text.len() - layout.tail_length as usize..];
    (after(message, at, tail)? == message.len()).then_some(holes)
}

/// The cell of a token that has one; zeros stand for those that mean nothing.
pub(super) fn cell(kind: Kind, text: &[u8]) -> [u64; 2] {
    let text = match kind {
        Kind::Null | Kind::True | Kind::False => b"",
        Kind::Array => return [0; 2],
        _ if text.len() > 15 => return [0; 2],
        _ => text,
    };
    let mut bytes = [0; 16];
    bytes[0] = (kind as u8) << 4 | text.len() as u8;
    bytes[1..=text.len()].copy_from_slice(text);
    let half = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    [half(0), half(8)]
}

fn after(message: &[u8], at: usize, text: &[u8]) -> Option<usize> {
    message[at..].starts_with(text).then_some(at + text.len())
}

fn token(message: &[u8], at: usize, room: u32) -> Option<(Kind, usize)> {
    match message.get(at)? {
        b'"' => {
            let text = message[at + 1..].iter();
            let stop = text
                .clone()
                .position(|b| b"\"\\".contains(b) || *b < 0x20)?;
            (message[at + 1 + stop] == b'"').then_some((Kind::String, at + stop + 2))
        }
        b'-' | b'0'..=b'9' => {
            let rest = &message[at..];
            let end = rest.iter().position(|b| !b"-+.eE0123456789".contains(b));
            let text = std::str::from_utf8(&rest[..end.unwrap_or(rest.len())]).ok()?;
            let unsigned = text.strip_prefix('-').unwrap_or(text);
            let (integer, fraction) = match unsigned.split_once('.') {
                Some((integer, fraction)) => (integer, Some(fraction)),
                None => (unsigned, None),
            };
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let good = digits(integer)
                && integer.len() <= 18
                && (integer == "0" || !integer.starts_with('0'))
                && fraction.is_none_or(digits);
            good.then_some((Kind::Number, at + text.len()))
        }
        b't' => Some((Kind::True, after(message, at, b"true")?)),
        b'f' => Some((Kind::False, after(message, at, b"false")?)),
        b'n' => Some((Kind::Null, after(message, at, b"null")?)),
        b'[' => Some((Kind::Array, nested(message, at, room)?)),
        _ => None,
    }
}

/// One past the array or object at `at`.
fn nested(message: &[u8], at: usize, room: u32) -> Option<usize> {
    let room = room.checked_sub(1)?;
    let object = message[at] == b'{';
    let close = if object { b'}' } else { b']' };
    let mut at = blanks(message, at + 1);
    if message.get(at) == Some(&close) {
        return Some(at + 1);
    }
    loop {
        if object {
            let (Kind::String, end) = token(message, at, 0)? else {
                return None;
            };
            at = after(message, blanks(message, end), b":")?;
            at = blanks(message, at);
        }
        at = match message.get(at)? {
            b'{' | b'[' => nested(message, at, room)?,
            _ => token(message, at, room)?.1,
        };
        at = blanks(message, at);
        match message.get(at)? {
            b',' => at = blanks(message, at + 1),
            byte if *byte == close => return Some(at + 1),
            _ => return None,
        }
    }
}

fn blanks(message: &[u8], at: usize) -> usize {
    at + message[at..]
        .iter()
        .take_while(|b| b" \t\r\n".contains(b))
        .count()
}
