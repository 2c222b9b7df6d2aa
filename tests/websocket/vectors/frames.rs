//! Single frames: headers, control frames, closing.

use tickcache::ws::ProtocolError::*;

use super::{MAX_MESSAGE, Vectors, text};
use crate::{BINARY, CLOSE, LAST, PING, Seen, TEXT, TEXT_PART, announce, frame};

/// Headers: RFC 6455, section 5.2 and 5.5.
pub(crate) fn headers(v: &mut Vectors) {
    v.refused("RSV1 on text", &[frame(TEXT | 0x40, "x")], ReservedBits);
    v.refused("RSV2 on binary", &[frame(BINARY | 0x20, "x")], ReservedBits);
    v.refused(
        "RSV3 on a part",
        &[frame(TEXT_PART | 0x10, "x")],
        ReservedBits,
    );
    v.refused("RSV1 on a ping", &[frame(PING | 0x40, "")], ReservedBits);
    v.refused(
        "all RSV bits on a close",
        &[frame(CLOSE | 0x70, "")],
        ReservedBits,
    );
    v.refused(
        "RSV1 on a continuation",
        &[frame(TEXT_PART, "x"), frame(LAST | 0x40, "y")],
        ReservedBits,
    );
    v.refused("opcode 3", &[frame(0x83, "")], UnknownOpcode(3));
    v.refused("opcode 7 in parts", &[frame(0x07, "x")], UnknownOpcode(7));
    v.refused("opcode 11", &[frame(0x8b, "")], UnknownOpcode(11));
    v.refused(
        "opcode 15 with payload",
        &[frame(0x8f, "xyz")],
        UnknownOpcode(15),
    );
    v.refused("masked ping", &[vec![PING, 0x80, 1, 2, 3, 4]], Masked);
    v.refused(
        "masked close without payload",
        &[vec![CLOSE, 0x80, 0, 0, 0, 0]],
        Masked,
    );
    v.refused(
        "masked by a zero key",
        &[b"\x81\x82\0\0\0\0hi".to_vec()],
        Masked,
    );
    v.refused(
        "ping in parts",
        &[frame(0x09, "x"), frame(LAST, "y")],
        ControlFragmented,
    );
    v.refused("pong in parts", &[frame(0x0a, "x")], ControlFragmented);
    v.refused(
        "close in parts",
        &[frame(0x08, close_payload(1000, ""))],
        ControlFragmented,
    );
    v.refused(
        "ping of 126 bytes",
        &[frame(PING, [0; 126])],
        ControlTooLong,
    );
    v.refused(
        "ping announcing 1 TiB",
        &[announce(PING, 1 << 40)],
        ControlTooLong,
    );
    v.refused(
        "length with its top bit",
        &[announce(TEXT, 1 << 63)],
        LengthOverflow,
    );
    v.refused(
        "length of all ones",
        &[announce(BINARY, u64::MAX)],
        LengthOverflow,
    );
    v.refused(
        "longest valid length",
        &[announce(BINARY, u64::MAX >> 1)],
        TooLarge { limit: MAX_MESSAGE },
    );
    v.refused(
        "16-bit length for 5 bytes",
        &[b"\x81\x7e\0\x05hello".to_vec()],
        LengthNotMinimal,
    );
    v.refused(
        "16-bit length for 125 bytes",
        &[b"\x82\x7e\0\x7d".to_vec(), vec![0; 125]],
        LengthNotMinimal,
    );
    v.refused(
        "16-bit length of zero",
        &[b"\x81\x7e\0\0".to_vec()],
        LengthNotMinimal,
    );
    v.refused(
        "64-bit length for 5 bytes",
        &[announce(TEXT, 5), b"hello".to_vec()],
        LengthNotMinimal,
    );
    v.refused(
        "64-bit length for 65535 bytes",
        &[announce(TEXT, 65535)],
        LengthNotMinimal,
    );
    v.refused(
        "one byte past the limit",
        &[frame(BINARY, vec![0; MAX_MESSAGE + 1])],
        TooLarge { limit: MAX_MESSAGE },
    );
    let longest = vec![7; MAX_MESSAGE];
    v.accepted(
        "exactly the limit",
        &[frame(BINARY, &longest)],
        &[Seen::Binary(longest.clone())],
    );
    for (name, len) in [
        ("125 bytes", 125),
        ("126 bytes", 126),
        ("127 bytes", 127),
        ("256 bytes", 256),
    ] {
        let payload = "x".repeat(len);
        v.accepted(
            name,
            &[frame(TEXT, &payload), frame(TEXT, "end")],
            &[text(&payload), text("end")],
        );
    }
    for (name, len) in [
        ("65535 bytes", 65535),
        ("65536 bytes", 65536),
        ("70000 bytes", 70000),
    ] {
        let payload = "y".repeat(len);
        v.accepted(
            name,
            &[frame(TEXT, &payload), frame(TEXT, "end")],
            &[text(&payload), text("end")],
        );
        v.0.last_mut().unwrap().max_message = 70_000;
    }
}

/// Closing: sections 5.5.1 and 7.4.
pub(crate) fn closing(v: &mut Vectors) {
    let closed = |code, reason: &str| Seen::Close(Some((code, reason.to_owned())));
    v.accepted(
        "close without a code",
        &[frame(CLOSE, "")],
        &[Seen::Close(None)],
    );
    v.accepted(
        "close with a reason",
        &[frame(CLOSE, close_payload(1001, "gone ß"))],
        &[closed(1001, "gone ß")],
    );
    v.accepted(
        "close with the longest reason",
        &[frame(CLOSE, close_payload(1000, "r".repeat(123)))],
        &[closed(1000, &"r".repeat(123))],
    );
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ] {
        v.accepted(
            "close with a valid code",
            &[frame(CLOSE, close_payload(code, ""))],
            &[closed(code, "")],
        );
    }
    for code in [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ] {
        v.refused(
            "close with an invalid code",
            &[frame(CLOSE, close_payload(code, ""))],
            CloseCode(code),
        );
    }
    v.refused("close of one byte", &[frame(CLOSE, b"\x03")], CloseTooShort);
    v.refused(
        "close with a wrong reason",
        &[frame(CLOSE, close_payload(1000, b"\xff"))],
        InvalidUtf8,
    );
    v.refused(
        "close with a cut reason",
        &[frame(CLOSE, close_payload(1000, b"ab\xe2\x82"))],
        InvalidUtf8,
    );
    v.accepted(
        "text after a close",
        &[
            frame(TEXT, "a"),
            frame(CLOSE, ""),
            frame(TEXT, "b"),
            frame(PING, ""),
        ],
        &[text("a"), Seen::Close(None)],
    );
    v.accepted(
        "garbage after a close",
        &[frame(CLOSE, close_payload(1000, "")), vec![0xff; 700]],
        &[closed(1000, "")],
    );
    v.accepted(
        "close inside a message",
        &[frame(TEXT_PART, "a"), frame(CLOSE, ""), frame(LAST, "b")],
        &[Seen::Close(None)],
    );
}

pub(crate) fn close_payload(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_ref()].concat()
}
