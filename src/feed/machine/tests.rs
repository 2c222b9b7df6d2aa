use std::time::Duration;

use super::*;
use crate::feed::backoff::{Backoff, Jitter};
use crate::feed::config::{Pace, Settings};
use crate::feed::presets::{BinanceSpot, Events};
use crate::feed::protocol::Refusal;
use crate::feed::registry::{Settled, Ticket};
use crate::feed::testing::{Pair, frame};
use crate::ws::ProtocolError;

mod attempts;
mod custom;
mod liveness;
mod sending;
mod subscriptions;

const EVENT: &str = r#"{"entity":"todos","id":7,"payload":{"done":true}}"#;
const EVENT_LINE: &str = r#"merge todos 7 {"done":true}"#;

const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// Without jitter, so that instants are exact.
fn settings() -> Settings {
    Settings {
        backoff: Backoff {
            jitter: Jitter::None,
            ..Backoff::default()
        },
        dead_after: Duration::MAX,
        ..Settings::default()
    }
}

fn events() -> Pair<Events> {
    Pair::open(settings(), Events::new().url("ws://here"))
}

#[test]
fn messages_reach_the_sink_and_are_counted() {
    let mut pair = events();
    assert_eq!(pair.machine.state(), State::Open);
    pair.text(EVENT);
    pair.text(r#"{"entity":"todos","id":7}"#);
    assert_eq!(pair.sink.take(), [EVENT_LINE, "invalidate todos 7"]);
    let values = pair.counters.snapshot();
    assert_eq!(
        (values.messages, values.data, values.invalidation),
        (2, 1, 1)
    );
    assert!(values.balanced());
}

#[test]
fn one_byte_at_a_time_means_the_same() {
    let mut pair = events();
    let mut bytes = frame(TEXT, EVENT.as_bytes());
    bytes.extend(frame(PING, b"x"));
    bytes.extend(frame(TEXT, EVENT.as_bytes()));
    for byte in &bytes {
        pair.receive(std::slice::from_ref(byte));
    }
    assert_eq!(pair.sink.take(), [EVENT_LINE, EVENT_LINE]);
    assert_eq!(pair.sent(), ["pong x"]);
    assert_eq!(pair.counters.snapshot().bytes_received, bytes.len() as u64);
}

#[test]
fn bytes_that_came_with_the_handshake_are_data() {
    let mut pair = Pair::new(settings(), Events::new());
    pair.machine.start(pair.now);
    // More than the read buffer holds, and an unfinished frame at the end.
    let one = frame(TEXT, EVENT.as_bytes());
    let count = 3 + pair.machine.space().len() / one.len();
    let mut leftover = one.repeat(count);
    let tail = leftover.split_off(leftover.len() - 10);
    pair.connect(&leftover);
    assert_eq!(pair.sink.take().len(), count - 1);
    pair.receive(&tail);
    assert_eq!(pair.sink.take(), [EVENT_LINE]);
    assert_eq!(
        pair.counters.snapshot().bytes_received,
        (one.len() * count) as u64
    );
}

#[test]
fn a_refused_message_leaves_nothing_and_ends_nothing() {
    let mut pair = events();
    pair.text("{");
    pair.text(r#"[{"entity":"a","id":1,"payload":{}},{"id":2}]"#);
    pair.receive(&frame(BINARY, b"\x01"));
    pair.text(EVENT);
    assert_eq!(pair.sink.take(), [EVENT_LINE]);
    assert_eq!(pair.machine.state(), State::Open);
    assert_eq!(pair.actions(), []);
    let values = pair.counters.snapshot();
    let expected = [
        (Refusal::Malformed, 1),
        (Refusal::Binary, 1),
        (Refusal::NoEntity, 1),
    ];
    assert_eq!(values.refused_by, expected);
    assert!(values.balanced());
}

#[test]
fn pings_are_answered_within_the_batch_in_order() {
    let mut pair = events();
    let mut bytes = Vec::new();
    for payload in ["a", "b", ""] {
        bytes.extend(frame(PING, payload.as_bytes()));
    }
    bytes.extend(frame(TEXT, EVENT.as_bytes()));
    pair.receive(&bytes);
    assert_eq!(pair.sent(), ["pong a", "pong b", "pong "]);
    assert_eq!(pair.sink.take(), [EVENT_LINE]);
}

#[test]
fn a_server_that_does_not_read_is_owed_one_pong_at_most() {
    let max_outgoing_bytes = 1024;
    let mut pair = Pair::open(
        Settings {
            max_outgoing_bytes,
            ..settings()
        },
        Events::new(),
    );
    for ping in 0..10_000 {
        pair.receive(&frame(PING, format!("{ping:0125}").as_bytes()));
        assert!(pair.machine.transmit().len() <= max_outgoing_bytes + 131);
    }
    let pongs = pair.sent();
    assert!(pongs.len() < 12, "{}", pongs.len());
    assert_eq!(pongs.last(), Some(&format!("pong {:0125}", 9999)));
    let values = pair.counters.snapshot();
    assert_eq!(values.pings, 10_000);
    assert_eq!(values.pings_skipped, 10_000 - pongs.len() as u64);
}

#[test]
fn a_close_of_the_server_is_answered_and_the_connection_replaced() {
    let mut pair = events();
    let mut bytes = frame(TEXT, EVENT.as_bytes());
    bytes.extend(frame(CLOSE, &1001_u16.to_be_bytes()));
    bytes.extend(frame(TEXT, EVENT.as_bytes()));
    pair.receive(&bytes);
    // What comes after the close is not looked at.
    assert_eq!(pair.sink.take(), [EVENT_LINE]);
    assert_eq!(pair.sent(), ["close 1001"]);
    assert_eq!(
        pair.actions(),
        [Action::Lost(Lost::Closed(Some(1001))), Action::Disconnect]
    );
    pair.pass(499);
    assert_eq!(pair.actions(), []);
    pair.pass(1);
    assert_eq!(pair.actions(), [Action::Connect { attempt: 2 }]);
    pair.connect(&[]);
    assert_eq!(pair.actions(), [Action::Opened { generation: 2 }]);
    let values = pair.counters.snapshot();
    assert_eq!((values.opens, values.reconnects, values.losses), (2, 1, 1));
}

#[test]
fn a_broken_rule_ends_the_connection_with_its_code() {
    for (bytes, code, error) in [
        (&b"\x81\x81abcdx"[..], 1002, ProtocolError::Masked),
        (b"\xC1\x00", 1002, ProtocolError::ReservedBits),
        (b"\x81\x01\xFF", 1007, ProtocolError::InvalidUtf8),
        (
            b"\x82\x7E\x20\x00",
            1009,
            ProtocolError::TooLarge { limit: 4096 },
        ),
    ] {
        let mut settings = settings();
        settings.limits.max_message = 4096;
        let mut pair = Pair::open(settings, Events::new());
        pair.receive(bytes);
        assert_eq!(pair.sent(), [format!("close {code}")]);
        assert_eq!(
            pair.actions(),
            [Action::Lost(Lost::Protocol(error)), Action::Disconnect]
        );
        assert!(matches!(pair.machine.state(), State::Waiting { .. }));
        // Whatever else comes from the old socket is not looked at.
        pair.text(EVENT);
        assert_eq!(pair.sink.take(), [""; 0]);
        // The next connection begins with a clean decoder.
        pair.pass(500);
        pair.connect(&[]);
        pair.text(EVENT);
        assert_eq!(pair.sink.take(), [EVENT_LINE]);
    }
}

/// The milliseconds until the next attempt, and its number.
fn next_attempt(pair: &mut Pair<Events>) -> (u64, u32) {
    let before = pair.now;
    let State::Waiting { until } = pair.machine.state() else {
        panic!("not waiting")
    };
    let millis = until.since(before).as_millis() as u64;
    pair.actions();
    pair.pass(millis);
    match pair.actions()[..] {
        [Action::Connect { attempt }] => (millis, attempt),
        ref actions => panic!("{actions:?}"),
    }
}

#[test]
fn attempts_back_off_until_a_connection_proves_itself() {
    let mut pair = Pair::new(settings(), Events::new());
    pair.machine.start(pair.now);
    let mut attempts = Vec::new();
    for _ in 0..8 {
        pair.machine.handle_failed(pair.now);
        attempts.push(next_attempt(&mut pair));
    }
    let expected = [
        (500, 2),
        (1000, 3),
        (2000, 4),
        (4000, 5),
        (8000, 6),
        (16_000, 7),
        (30_000, 8),
        (30_000, 9),
    ];
    assert_eq!(attempts, expected);
    assert_eq!(pair.counters.snapshot().failures, 8);
    // Accepted and dropped proves nothing.
    pair.connect(&[]);
    pair.machine.handle_closed(pair.now, Ended::Eof);
    assert_eq!(next_attempt(&mut pair), (30_000, 10));
    // The first data does.
    pair.connect(&[]);
    pair.text(EVENT);
    pair.machine.handle_closed(pair.now, Ended::Eof);
    assert_eq!(next_attempt(&mut pair), (500, 2));
    pair.machine.handle_failed(pair.now);
    assert_eq!(next_attempt(&mut pair), (1000, 3));
    // So does time.
    pair.connect(&[]);
    pair.pass(29_999);
    pair.machine.handle_closed(pair.now, Ended::Eof);
    assert_eq!(next_attempt(&mut pair), (2000, 4));
    pair.connect(&[]);
    pair.pass(30_000);
    pair.machine.handle_closed(pair.now, Ended::Eof);
    assert_eq!(next_attempt(&mut pair), (500, 2));
}

#[test]
fn the_fixed_delay_of_the_seed_is_one_setting() {
    let backoff = Backoff::fixed(Duration::from_millis(3000));
    let mut pair = Pair::new(
        Settings {
            backoff,
            ..settings()
        },
        Events::new(),
    );
    pair.machine.start(pair.now);
    for attempt in 2..6 {
        pair.machine.handle_failed(pair.now);
        assert_eq!(next_attempt(&mut pair), (3000, attempt));
    }
}

#[test]
fn stopping_says_goodbye_and_starts_nothing() {
    let mut pair = events();
    pair.machine.stop(pair.now);
    assert_eq!(pair.machine.state(), State::Closing);
    assert_eq!(pair.sent(), ["close 1000"]);
    assert_eq!(pair.actions(), [Action::Lost(Lost::Stopped)]);
    // Messages on their way are dropped, pings are not answered after a close frame.
    pair.text(EVENT);
    pair.receive(&frame(PING, b"x"));
    assert_eq!(pair.sink.take(), [""; 0]);
    assert_eq!(pair.sent(), [""; 0]);
    pair.receive(&frame(CLOSE, &1000_u16.to_be_bytes()));
    assert_eq!(pair.actions(), [Action::Disconnect, Action::Finished]);
    assert_eq!(pair.machine.state(), State::Stopped);
    assert_eq!(pair.machine.poll_timeout(), None);
    // Nothing wakes it again.
    pair.machine.handle_closed(pair.now, Ended::Eof);
    pair.machine.start(pair.now);
    pair.machine.handle_connected(pair.now, &[], &[]);
    pair.machine.handle_failed(pair.now);
    pair.machine.stop(pair.now);
    pair.pass(1_000_000);
    assert_eq!(pair.actions(), []);
}

#[test]
fn a_server_that_does_not_say_goodbye_delays_the_stop_for_a_second_at_most() {
    let mut pair = events();
    pair.machine.stop(pair.now);
    pair.actions();
    pair.pass(999);
    assert_eq!(pair.actions(), []);
    pair.pass(1);
    assert_eq!(pair.actions(), [Action::Disconnect, Action::Finished]);

    let mut pair = events();
    pair.machine.stop(pair.now);
    pair.machine.handle_closed(pair.now, Ended::Eof);
    pair.receive(b"");
    assert_eq!(
        pair.actions(),
        [
            Action::Lost(Lost::Stopped),
            Action::Disconnect,
            Action::Finished
        ]
    );
}

#[test]
fn stopping_without_a_connection_ends_at_once() {
    let mut pair = Pair::new(settings(), Events::new());
    pair.machine.stop(pair.now);
    assert_eq!(pair.actions(), [Action::Finished]);

    let mut pair = Pair::new(settings(), Events::new());
    pair.machine.start(pair.now);
    pair.actions();
    pair.machine.stop(pair.now);
    assert_eq!(pair.actions(), [Action::Disconnect, Action::Finished]);

    let mut pair = Pair::new(settings(), Events::new());
    pair.machine.start(pair.now);
    pair.machine.handle_failed(pair.now);
    pair.actions();
    pair.machine.stop(pair.now);
    assert_eq!(pair.actions(), [Action::Finished]);
    pair.pass(100_000);
    assert_eq!(pair.actions(), []);
}

#[test]
fn texts_of_the_user_go_out_before_those_of_the_protocol() {
    let mut pair = Pair::new(settings(), Events::new().on_open("hello"));
    pair.machine.start(pair.now);
    let texts = ["login".to_owned(), "listen".to_owned()];
    pair.machine.handle_connected(pair.now, &[], &texts);
    assert_eq!(pair.sent(), ["text login", "text listen", "text hello"]);
}

#[test]
fn texts_that_do_not_fit_end_the_connection() {
    let mut pair = Pair::new(
        Settings {
            max_outgoing_texts: 1,
            ..settings()
        },
        Events::new().on_open("hello"),
    );
    pair.machine.start(pair.now);
    pair.actions();
    pair.machine
        .handle_connected(pair.now, &[], &["login".to_owned()]);
    let opened = Action::Opened { generation: 1 };
    let lost = Action::Lost(Lost::Outgoing);
    assert_eq!(pair.actions(), [opened, lost, Action::Disconnect]);
}

#[test]
fn no_interval_holds_more_messages_than_the_pace_allows() {
    let pace = Pace::new(2, Duration::from_secs(1));
    let mut pair = Pair::new(Settings { pace, ..settings() }, Events::new());
    pair.machine.start(pair.now);
    let texts: Vec<_> = (0..5).map(|n| n.to_string()).collect();
    pair.machine.handle_connected(pair.now, &[], &texts);
    assert_eq!(pair.sent(), ["text 0", "text 1"]);
    pair.pass(999);
    assert_eq!(pair.sent(), [""; 0]);
    // A pong is not held back, but takes its place.
    pair.receive(&frame(PING, b"x"));
    assert_eq!(pair.sent(), ["pong x"]);
    pair.pass(1);
    assert_eq!(pair.sent(), ["text 2"]);
    pair.pass(999);
    assert_eq!(pair.sent(), ["text 3"]);
    pair.pass(1);
    assert_eq!(pair.sent(), ["text 4"]);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut pair = Pair::new(Settings::default(), Events::new());
        pair.machine.start(pair.now);
        (0..20)
            .map(|_| {
                pair.machine.handle_failed(pair.now);
                next_attempt_jittered(&mut pair)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

fn next_attempt_jittered(pair: &mut Pair<Events>) -> Time {
    let State::Waiting { until } = pair.machine.state() else {
        panic!("not waiting")
    };
    pair.machine.handle_timeout(until);
    pair.now = until;
    until
}

#[test]
fn a_server_that_asks_to_be_left_alone_is_within_reason() {
    let mut settings = Settings::default();
    settings.backoff = Backoff::fixed(Duration::from_secs(1));
    let asks = [(0, 1), (5, 5), (7200, 300)];
    for (asked, waits) in asks.map(|(asked, waits)| (Duration::from_secs(asked), waits)) {
        let config = settings.clone().check().expect("settings that work");
        let protocol = Events::new();
        let mut machine = Machine::new(config, protocol, Arc::default(), 1).expect("a machine");
        machine.start(Time::ZERO);
        machine.handle_refused(Time::ZERO, asked);
        let until = Time::ZERO.after(Duration::from_secs(waits));
        assert_eq!(machine.state(), State::Waiting { until });
        assert_eq!(machine.poll_timeout(), Some(until));
    }
}
