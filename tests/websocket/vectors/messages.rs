//! Messages of several frames, and text.

use tickcache::ws::ProtocolError::*;

use super::frames::close_payload;
use super::{MAX_MESSAGE, Vectors, text};
use crate::{
    BINARY, BINARY_PART, CLOSE, LAST, PART, PING, PONG, Seen, TEXT, TEXT_PART, announce, frame,
};

/// What other clients were seen to let through; each row is a defect of a published library.
pub(crate) fn defects(v: &mut Vectors) {
    let kib = vec![b'a'; 1024];
    let part = || frame(PART, &kib);
    let mut fragments = vec![frame(TEXT_PART, &kib)];
    fragments.resize_with(64, part);
    fragments.push(frame(LAST, &kib));
    let too_large = TooLarge { limit: MAX_MESSAGE };
    v.refused(
        "fragments that add up past the limit",
        &fragments,
        too_large,
    );
    v.refused(
        "text that ends inside a code point",
        &[frame(TEXT_PART, b"c"), frame(LAST, b"\xe2\x82")],
        InvalidUtf8,
    );
    v.refused(
        "second text part while one is open",
        &[
            frame(TEXT_PART, "one"),
            frame(TEXT_PART, "two"),
            frame(LAST, "three"),
        ],
        ExpectedContinuation,
    );
    v.refused(
        "masked frame",
        &[
            b"\x81\x85\x01\x02\x03\x04igohn".to_vec(),
            frame(TEXT, "later"),
        ],
        Masked,
    );
    v.refused(
        "pong of 126 bytes",
        &[frame(PONG, [0; 126])],
        ControlTooLong,
    );
    v.refused(
        "close of 126 bytes",
        &[frame(CLOSE, close_payload(1000, [b'a'; 124]))],
        ControlTooLong,
    );
    v.refused(
        "header announcing 64 MiB",
        &[announce(BINARY, 64 << 20)],
        too_large,
    );
    v.refused(
        "header announcing 1 TiB",
        &[announce(TEXT, 1 << 40)],
        too_large,
    );
}

/// Messages: section 5.4, and text: section 8.1.
pub(crate) fn messages(v: &mut Vectors) {
    let empty = || frame(TEXT, "");
    v.accepted("no bytes", &[], &[]);
    v.accepted(
        "empty messages",
        &[empty(), frame(BINARY, ""), empty()],
        &[text(""), Seen::Binary(Vec::new()), text("")],
    );
    v.accepted("header without payload", &[vec![TEXT, 5]], &[]);
    v.accepted(
        "message that is never finished",
        &[frame(TEXT, "whole"), frame(TEXT_PART, "half")],
        &[text("whole")],
    );
    v.accepted(
        "empty parts",
        &[frame(TEXT_PART, ""), frame(PART, ""), frame(LAST, "")],
        &[text("")],
    );
    v.accepted(
        "parts with control frames between them",
        &[
            frame(TEXT_PART, "a"),
            frame(PING, "p"),
            frame(PART, "b"),
            frame(PONG, ""),
            frame(LAST, "c"),
            frame(TEXT, "d"),
        ],
        &[
            Seen::Ping(b"p".to_vec()),
            Seen::Pong(Vec::new()),
            text("abc"),
            text("d"),
        ],
    );
    v.accepted(
        "binary in parts need not be UTF-8",
        &[frame(BINARY_PART, b"\xff"), frame(LAST, b"\xe2")],
        &[Seen::Binary(vec![0xff, 0xe2])],
    );
    v.accepted(
        "control frames of 125 bytes",
        &[frame(PING, [1; 125]), frame(PONG, [2; 125])],
        &[Seen::Ping(vec![1; 125]), Seen::Pong(vec![2; 125])],
    );
    let half = "z".repeat(MAX_MESSAGE / 2);
    v.accepted(
        "parts that reach the limit, twice",
        &[
            frame(TEXT_PART, &half),
            frame(LAST, &half),
            frame(TEXT_PART, &half),
            frame(LAST, &half),
        ],
        &[text(&half.repeat(2)), text(&half.repeat(2))],
    );
    v.refused(
        "parts one byte past the limit",
        &[
            frame(TEXT_PART, &half),
            frame(PART, &half),
            frame(LAST, "!"),
        ],
        TooLarge { limit: MAX_MESSAGE },
    );
    v.refused(
        "continuation of nothing",
        &[frame(LAST, "x")],
        UnexpectedContinuation,
    );
    v.refused(
        "open continuation of nothing",
        &[frame(PART, "")],
        UnexpectedContinuation,
    );
    v.add(
        "continuation of a finished message",
        &[frame(TEXT, "a"), frame(LAST, "b"), frame(TEXT, "c")],
        (vec![text("a")], Some(UnexpectedContinuation)),
    );
    v.add(
        "continuation after the last part",
        &[frame(TEXT_PART, "a"), frame(LAST, "b"), frame(PART, "c")],
        (vec![text("ab")], Some(UnexpectedContinuation)),
    );
    v.refused(
        "whole text inside a message",
        &[frame(BINARY_PART, "a"), frame(TEXT, "b")],
        ExpectedContinuation,
    );
    v.refused(
        "whole binary inside a message",
        &[frame(TEXT_PART, "a"), frame(BINARY, "b"), frame(LAST, "c")],
        ExpectedContinuation,
    );
    v.add(
        "new message after a ping inside one",
        &[frame(TEXT_PART, "a"), frame(PING, ""), frame(TEXT, "b")],
        (vec![Seen::Ping(Vec::new())], Some(ExpectedContinuation)),
    );

    v.accepted(
        "text of each width",
        &[frame(TEXT, "a ß € 😀 \u{10ffff}")],
        &[text("a ß € 😀 \u{10ffff}")],
    );
    v.accepted(
        "character cut into parts",
        &[
            frame(TEXT_PART, b"\xf0"),
            frame(PART, b"\x9f\x98"),
            frame(PING, b"\xff"),
            frame(LAST, b"\x80!"),
        ],
        &[Seen::Ping(vec![0xff]), text("😀!")],
    );
    v.refused(
        "lone continuation byte",
        &[frame(TEXT, b"a\x80b")],
        InvalidUtf8,
    );
    v.refused("overlong slash", &[frame(TEXT, b"\xc0\xaf")], InvalidUtf8);
    v.refused("surrogate", &[frame(TEXT, b"ok \xed\xa0\x80")], InvalidUtf8);
    v.refused(
        "above the last code point",
        &[frame(TEXT, b"\xf4\x90\x80\x80")],
        InvalidUtf8,
    );
    v.refused(
        "byte that is never used",
        &[frame(TEXT, b"\xfe")],
        InvalidUtf8,
    );
    v.refused(
        "whole text ends inside a character",
        &[frame(TEXT, b"abc\xe2\x82"), frame(TEXT, b"\xac")],
        InvalidUtf8,
    );
    v.refused(
        "wrong byte after a cut character",
        &[frame(TEXT_PART, b"\xe2\x82"), frame(LAST, b"a")],
        InvalidUtf8,
    );
    v.refused(
        "character finished by the next message",
        &[
            frame(TEXT_PART, b"\xe2"),
            frame(LAST, b"\x82"),
            frame(TEXT, b"\xac"),
        ],
        InvalidUtf8,
    );
    v.add(
        "good text before bad",
        &[
            frame(TEXT, "good"),
            frame(TEXT, b"\xff"),
            frame(TEXT, "never"),
        ],
        (vec![text("good")], Some(InvalidUtf8)),
    );
    v.refused(
        "wrong byte in a part whose message goes on",
        &[frame(TEXT_PART, b"abc\xffdef")],
        InvalidUtf8,
    );
    v.refused(
        "wrong byte in a frame that is not whole",
        &[vec![TEXT, 100], b"abc\xc0".to_vec()],
        InvalidUtf8,
    );
    v.refused(
        "hopeless character in a frame that is not whole",
        &[vec![TEXT, 100], b"\xf4\x90".to_vec()],
        InvalidUtf8,
    );
    v.refused(
        "wrong byte in a long frame that is not whole",
        &[
            b"\x81\x7e\x04\x00".to_vec(),
            vec![b'a'; 600],
            b"\xff".to_vec(),
        ],
        InvalidUtf8,
    );
    v.refused(
        "wrong byte in a part that is not whole",
        &[vec![TEXT_PART, 100], b"a\xed\xa0".to_vec()],
        InvalidUtf8,
    );
}
