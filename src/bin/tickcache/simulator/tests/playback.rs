//! The playback server.

use super::*;

#[test]
fn a_playback_sends_every_message_and_closes() {
    let texts: Vec<_> = (0..5000)
        .map(|k| format!("{{\"k\":{k},\"pad\":\"é{}\"}}", "x".repeat(k % 300)))
        .collect();
    let messages = texts.clone().into_iter().map(|text| Timed {
        text,
        at: Duration::ZERO,
        begins: false,
    });
    let playback = Playback::start(messages).expect("it starts");
    let mut client = connect(&playback.url());
    client.send(Message::text("ignored")).expect("sent");
    for expected in &texts {
        assert_eq!(&text(&mut client), expected);
    }
    match client.read() {
        Ok(Message::Close(Some(frame))) => assert_eq!(u16::from(frame.code), 1000),
        other => panic!("{other:?}"),
    }
    assert!(matches!(end(&mut client), Error::ConnectionClosed));
    assert_eq!(playback.sent(), 5000);
    assert_eq!(playback.finish().expect("it ends well"), 5000);
}

#[test]
fn a_playback_keeps_the_recorded_times() {
    let at = [0, 1, 60, 60, 30, 120].map(Duration::from_millis);
    let messages = at.map(|at| Timed {
        text: at.as_millis().to_string(),
        at,
        begins: false,
    });
    let playback = Playback::start(messages.into_iter()).expect("it starts");
    let begin = Instant::now();
    let mut client = connect(&playback.url());
    for at in at {
        assert_eq!(text(&mut client), at.as_millis().to_string());
        // Never early. How late depends on the machine and is not asserted.
        assert!(begin.elapsed() >= at);
    }
    client.read().expect("a close frame");
    end(&mut client);
    assert_eq!(playback.finish().expect("it ends well"), 6);
}

#[test]
fn a_playback_says_when_its_client_went_away() {
    let messages = (0..u64::MAX).map(|k| Timed {
        text: k.to_string(),
        at: Duration::ZERO,
        begins: false,
    });
    let playback = Playback::start(messages).expect("it starts");
    let mut client = connect(&playback.url());
    assert_eq!(text(&mut client), "0");
    drop(client);
    assert!(matches!(
        playback.finish(),
        Err(PlaybackError::ClientGone(_))
    ));
}

#[test]
fn a_playback_without_a_client_can_be_dropped() {
    drop(Playback::start(std::iter::empty()).expect("it starts"));
}
