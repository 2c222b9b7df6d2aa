//! What is gone, what is only silent, and how a machine tells.

use super::*;

#[test]
fn a_socket_that_ends_is_a_loss() {
    for (how, reason) in [(Ended::Eof, Lost::Ended), (Ended::Error, Lost::Failed)] {
        let mut pair = events();
        pair.machine.handle_closed(pair.now, how);
        assert_eq!(pair.actions(), [Action::Lost(reason), Action::Disconnect]);
        // Said twice, it is one loss.
        pair.machine.handle_closed(pair.now, how);
        assert_eq!(pair.actions(), []);
    }
}

#[test]
fn a_dead_connection_is_probed_and_then_given_up() {
    let dead_after = Duration::from_secs(10);
    let mut pair = Pair::open(
        Settings {
            dead_after,
            ..settings()
        },
        Events::new(),
    );
    pair.pass(4999);
    assert_eq!(pair.sent(), [""; 0]);
    pair.pass(1);
    assert_eq!(pair.sent(), ["ping "]);
    pair.pass(4999);
    pair.receive(&frame(PONG, b""));
    pair.pass(9999);
    assert_eq!(pair.sent(), ["ping "]);
    assert_eq!(pair.actions(), []);
    pair.pass(1);
    assert_eq!(
        pair.actions(),
        [Action::Lost(Lost::Dead), Action::Disconnect]
    );
    assert_eq!(pair.counters.snapshot().probes, 2);
}

/// What a server sends says nothing about whether it reads.
#[test]
fn a_server_that_never_reads_is_given_up() {
    let dead_after = Duration::from_secs(10);
    let mut pair = Pair::open(
        Settings {
            dead_after,
            ..settings()
        },
        Events::new(),
    );
    for _ in 0..9 {
        pair.receive(&frame(PING, b"again"));
        pair.pass(1000);
    }
    // It takes one byte: that is progress, and the rest has as long again.
    pair.machine.handle_transmitted(pair.now, 1);
    for _ in 0..9 {
        pair.pass(1000);
        pair.receive(&frame(PING, b"again"));
    }
    assert_eq!(pair.actions(), []);
    pair.pass(1000);
    assert_eq!(
        pair.actions(),
        [Action::Lost(Lost::Stuck), Action::Disconnect]
    );
}

#[test]
fn half_a_frame_keeps_a_connection_alive() {
    let dead_after = Duration::from_secs(10);
    let mut pair = Pair::open(
        Settings {
            dead_after,
            ..settings()
        },
        Events::new(),
    );
    for byte in &frame(TEXT, EVENT.as_bytes())[..8] {
        pair.pass(9000);
        pair.receive(std::slice::from_ref(byte));
        // It reads, too.
        pair.sent();
    }
    assert_eq!(pair.actions(), []);
}

#[test]
fn silence_is_the_lack_of_data_and_of_nothing_else() {
    let silent_after = Duration::from_secs(5);
    let binance = BinanceSpot::new()
        .base("ws://here")
        .book_ticker(["BTCUSDT"]);
    let mut pair = Pair::open(
        Settings {
            silent_after,
            ..settings()
        },
        binance,
    );
    pair.pass(4000);
    // None of these is data.
    pair.receive(&frame(PING, b""));
    pair.receive(&frame(PONG, b""));
    pair.text(r#"{"result":null,"id":1}"#);
    pair.text(r#"{"stream":"btcusdt@depth","data":{}}"#);
    pair.text("{");
    pair.pass(999);
    assert_eq!(pair.actions(), []);
    pair.pass(1);
    assert_eq!(pair.actions(), [Action::Silent]);
    assert!(pair.machine.is_silent());
    pair.pass(60_000);
    assert_eq!(pair.actions(), []);
    let data = r#"{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"1","A":"1"}"#;
    pair.text(data);
    assert_eq!(pair.actions(), [Action::Audible]);
    pair.pass(4999);
    pair.text(data);
    pair.pass(4999);
    assert_eq!(pair.actions(), []);
    pair.pass(1);
    assert_eq!(pair.actions(), [Action::Silent]);
    assert_eq!(pair.counters.snapshot().silences, 2);
    assert_eq!(pair.machine.state(), State::Open);
}

#[test]
fn silence_begins_anew_with_each_connection() {
    let silent_after = Duration::from_secs(5);
    let mut pair = Pair::open(
        Settings {
            silent_after,
            ..settings()
        },
        Events::new(),
    );
    pair.pass(5000);
    assert_eq!(pair.actions(), [Action::Silent]);
    pair.machine.handle_closed(pair.now, Ended::Eof);
    assert!(!pair.machine.is_silent());
    pair.actions();
    pair.pass(500);
    pair.connect(&[]);
    pair.actions();
    pair.pass(4999);
    assert_eq!(pair.actions(), []);
    pair.pass(1);
    assert_eq!(pair.actions(), [Action::Silent]);
}
