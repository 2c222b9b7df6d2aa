//! What a machine sends by itself: it is paced, bounded and watched as all else is.

use super::custom::Venue;
use super::*;

#[test]
fn an_owed_pong_takes_its_place_in_the_pace() {
    let mut pair = Pair::new(
        Settings {
            pace: Pace::new(2, Duration::from_secs(1)),
            max_outgoing_bytes: 1024,
            ..settings()
        },
        Events::new(),
    );
    pair.machine.start(pair.now);
    // The first fills the room: what follows waits, and so does the pong.
    let texts = ["x".repeat(1018), "next".to_owned()];
    pair.machine.handle_connected(pair.now, &[], &texts);
    pair.receive(&frame(PING, b"p"));
    assert_eq!(pair.sent(), [format!("text {}", texts[0]), "pong p".into()]);
    pair.pass(999);
    assert_eq!(pair.sent(), [""; 0]);
    pair.pass(1);
    assert_eq!(pair.sent(), ["text next"]);
}

#[test]
fn a_probe_takes_its_place_in_the_pace() {
    let mut pair = Pair::open(
        Settings {
            pace: Pace::new(1, Duration::from_secs(8)),
            dead_after: Duration::from_secs(10),
            ..settings()
        },
        Venue::default(),
    );
    pair.pass(5000);
    assert_eq!(pair.sent(), ["text login", "ping "]);
    pair.pass(4000);
    pair.text(r#"{"test":"it"}"#);
    assert_eq!(pair.sent(), [""; 0], "eight seconds after the login");
    pair.pass(4000);
    assert_eq!(pair.sent(), ["text answer it"]);
}

#[test]
fn a_new_connection_has_its_whole_pace() {
    let mut pair = Pair::new(
        Settings {
            pace: Pace::new(2, Duration::from_secs(3600)),
            ..settings()
        },
        Events::new(),
    );
    pair.machine.start(pair.now);
    let texts = ["one".to_owned(), "two".to_owned()];
    for _ in 0..2 {
        pair.machine.handle_connected(pair.now, &[], &texts);
        assert_eq!(pair.sent(), ["text one", "text two"]);
        pair.machine.handle_closed(pair.now, Ended::Eof);
        pair.pass(60_000);
        assert_eq!(pair.machine.state(), State::Connecting);
    }
}

/// So nobody who chooses what is sent chooses the bytes on the wire.
#[test]
fn every_frame_has_a_mask_of_its_own() {
    let mut pair = Pair::new(settings(), Events::new());
    pair.machine.start(pair.now);
    let texts = vec!["hello".to_owned(); 16];
    pair.machine.handle_connected(pair.now, &[], &texts);
    let frames = pair.machine.transmit().chunks(2 + 4 + 5);
    let masks: std::collections::BTreeSet<_> = frames.map(|frame| &frame[2..6]).collect();
    assert_eq!(masks.len(), texts.len());
}

#[test]
fn a_probe_that_the_server_does_not_read_is_watched_from_its_time_on() {
    let mut pair = Pair::open(
        Settings {
            dead_after: Duration::from_secs(10),
            ..settings()
        },
        Events::new(),
    );
    pair.pass(9000);
    // What comes says nothing about whether it reads the probe of four seconds ago.
    pair.receive(&frame(PONG, b""));
    pair.pass(5999);
    assert_eq!(pair.actions(), []);
    pair.pass(1);
    let lost = Action::Lost(Lost::Stuck);
    assert_eq!(pair.actions(), [lost, Action::Disconnect]);
}

#[test]
fn heartbeats_that_the_server_does_not_read_cannot_make_memory_grow() {
    let settings = Settings {
        max_outgoing_bytes: 1024,
        ..settings()
    };
    let mut pair = Pair::open(settings, Venue::pinging());
    pair.pass(10_000 * 20_000);
    assert_eq!(pair.machine.state(), State::Open);
    assert!(pair.machine.transmit().len() < 1024 + 16);
}
