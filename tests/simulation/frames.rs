//! The server's side of RFC 6455, as far as the simulation needs it: frames out, frames in.

/// A text message, in one frame or (`cut`) in two.
pub(crate) fn text(message: &str, cut: Option<usize>) -> Vec<u8> {
    let bytes = message.as_bytes();
    match cut.filter(|cut| *cut < bytes.len()) {
        None => frame(0x81, bytes),
        Some(cut) => {
            let mut out = frame(0x01, &bytes[..cut]);
            out.extend(frame(0x80, &bytes[cut..]));
            out
        }
    }
}

pub(crate) fn ping() -> Vec<u8> {
    frame(0x89, b"?")
}

pub(crate) fn pong(payload: &[u8]) -> Vec<u8> {
    frame(0x8a, payload)
}

pub(crate) fn close() -> Vec<u8> {
    frame(0x88, &1000_u16.to_be_bytes())
}

fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![head];
    match payload.len() {
        n @ 0..=125 => out.push(n as u8),
        n @ 126..=0xffff => {
            out.push(126);
            out.extend((n as u16).to_be_bytes());
        }
        n => {
            out.push(127);
            out.extend((n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}

/// What a client has said.
#[derive(Debug)]
pub(crate) enum Said {
    Text(String),
    Ping(Vec<u8>),
    Pong,
    Close,
}

/// Takes whole frames of a client off the front of `bytes`.
///
/// # Panics
/// If a client breaks the rules: an unmasked frame, a fragment, a text that is none.
pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Said> {
    let (head, length) = (*bytes.first()?, *bytes.get(1)?);
    assert!(length & 0x80 != 0, "a client masks its frames");
    let (start, length) = match length & 0x7f {
        126 => (
            4,
            u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]).into(),
        ),
        127 => panic!("no message of the client is that long"),
        n => (2, usize::from(n)),
    };
    let end = start + 4 + length;
    if bytes.len() < end {
        return None;
    }
    let mask: [u8; 4] = bytes[start..start + 4].try_into().expect("four bytes");
    let payload: Vec<u8> = bytes[start + 4..end]
        .iter()
        .enumerate()
        .map(|(n, byte)| byte ^ mask[n % 4])
        .collect();
    bytes.drain(..end);
    Some(match head {
        0x81 => Said::Text(String::from_utf8(payload).expect("a client sends text")),
        0x88 => Said::Close,
        0x89 => Said::Ping(payload),
        0x8a => Said::Pong,
        other => panic!("no frame of the client begins with {other:#x}"),
    })
}
