//! Properties: random valid conversations, and the same with flipped bytes.

use proptest::prelude::*;
use tickcache::ws::Limits;

use crate::{PART, PING, PONG, Seen, frame, play};

/// What a server says: a message with the number of bytes in each of its fragments, or a control
/// frame that may come between any two fragments.
#[derive(Debug, Clone)]
struct Said {
    message: Seen,
    fragments: Vec<usize>,
    control_after: Vec<Option<Seen>>,
}

fn control() -> impl Strategy<Value = Seen> {
    let payload = prop::collection::vec(any::<u8>(), 0..=125);
    (any::<bool>(), payload).prop_map(|(ping, bytes)| {
        if ping {
            Seen::Ping(bytes)
        } else {
            Seen::Pong(bytes)
        }
    })
}

fn said() -> impl Strategy<Value = Said> {
    let message = prop_oneof![
        prop::collection::vec(any::<char>(), 0..200)
            .prop_map(|c| Seen::Text(c.into_iter().collect())),
        "[ -~]{0,700}".prop_map(Seen::Text),
        prop::collection::vec(any::<u8>(), 0..700).prop_map(Seen::Binary),
    ];
    let fragments = prop::collection::vec(0..300_usize, 0..5);
    let controls = prop::collection::vec(prop::option::weighted(0.3, control()), 6);
    (message, fragments, controls).prop_map(|(message, fragments, control_after)| Said {
        message,
        fragments,
        control_after,
    })
}

/// The bytes of a conversation, and the events they stand for.
fn spoken(conversation: &[Said]) -> (Vec<u8>, Vec<Seen>) {
    let (mut bytes, mut events) = (Vec::new(), Vec::new());
    for Said {
        message,
        fragments,
        control_after,
    } in conversation
    {
        let (opcode, mut payload) = match message {
            Seen::Text(text) => (0x01, text.as_bytes()),
            Seen::Binary(binary) => (0x02, &binary[..]),
            other => unreachable!("{other:?} is no message"),
        };
        let mut first = opcode;
        for (len, control) in fragments.iter().zip(control_after) {
            let (part, rest) = payload.split_at((*len).min(payload.len()));
            bytes.extend(frame(first, part));
            (first, payload) = (PART, rest);
            match control {
                Some(Seen::Ping(ping)) => bytes.extend(frame(PING, ping)),
                Some(Seen::Pong(pong)) => bytes.extend(frame(PONG, pong)),
                _ => {}
            }
            events.extend(control.clone());
        }
        bytes.extend(frame(first | 0x80, payload));
        events.push(message.clone());
    }
    (bytes, events)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn valid_conversations_mean_the_same_however_they_are_cut(
        conversation in prop::collection::vec(said(), 0..8),
        reads in prop::collection::vec(1..2000_usize, 1..50),
        read_buffer in 256..2000_usize,
    ) {
        let (bytes, events) = spoken(&conversation);
        let limits = Limits { max_message: 4096, read_buffer };
        let mut parts = Vec::new();
        let mut rest = &bytes[..];
        for len in reads.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (part, left) = rest.split_at((*len).min(rest.len()));
            parts.push(part);
            rest = left;
        }
        let expected = (events, None);
        prop_assert_eq!(&play(limits, parts), &expected);
        prop_assert_eq!(&play(limits, [&bytes[..]]), &expected);
        prop_assert_eq!(&play(limits, bytes.chunks(1)), &expected);
    }

    #[test]
    fn any_bytes_mean_the_same_however_they_are_cut(
        conversation in prop::collection::vec(said(), 0..4),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        reads in prop::collection::vec(1..400_usize, 1..20),
    ) {
        let (mut bytes, _) = spoken(&conversation);
        for (at, byte) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        let limits = Limits { max_message: 1024, read_buffer: 256 };
        let whole = play(limits, [&bytes[..]]);
        prop_assert_eq!(&play(limits, bytes.chunks(1)), &whole);
        prop_assert_eq!(&play(limits, bytes.chunks(reads[0])), &whole);
        prop_assert_eq!(&play(Limits { read_buffer: 64 << 10, ..limits }, [&bytes[..]]), &whole);
    }
}
