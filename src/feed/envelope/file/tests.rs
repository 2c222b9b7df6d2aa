//! What files say about the connection.

use std::time::Duration;

use crate::feed::config::{Pace, Settings};
use crate::feed::envelope::Envelope;
use crate::feed::machine::Action;
use crate::feed::outbox::{Outbox, Reply};
use crate::feed::protocol::{Answer, Asked, Protocol, SubscribeError, Subscription};
use crate::feed::testing::{Desk, Pair};

fn read(text: &str) -> Envelope {
    Envelope::from_toml(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The requests for these streams, one after the other.
fn requests(file: &str, streams: &[(&str, &str)]) -> Vec<String> {
    let mut envelope = read(&format!(
        "name = \"x\"\n{file}\n[[rule]]\nkind = \"control\"\n"
    ));
    let streams: Vec<_> = streams
        .iter()
        .map(|(channel, id)| Subscription::new(channel, id))
        .collect();
    let mut wanted: Vec<_> = streams.iter().collect();
    let mut out = Outbox::new(64, 1 << 16);
    let mut number = 0;
    while !wanted.is_empty() {
        number += 1;
        let asked = envelope.subscribe(number, &wanted, &mut out);
        let Asked { count, answer } = asked.expect("it can be asked for");
        assert_eq!(answer, Answer::None, "no rule answers");
        wanted.drain(..count);
    }
    std::iter::from_fn(|| out.pop()).collect()
}

const FOUR: [(&str, &str); 4] = [("t", "A"), ("t", "B"), ("q", "A"), ("q", "")];

#[test]
fn a_request_holds_what_its_text_can_say() {
    let list = "[requests]\nsubscribe = '{\"n\":{request},\"args\":[{streams}]}'\nstream = '\"{channel}.{id:lower}\"'";
    let bare = "stream-without-id = '\"{channel}\"'";
    assert_eq!(
        requests(&format!("{list}\n{bare}"), &FOUR),
        [r#"{"n":1,"args":["t.a","t.b","q.a","q"]}"#]
    );
    assert_eq!(
        requests(&format!("{list}\nmost = 3"), &FOUR),
        [
            r#"{"n":1,"args":["t.a","t.b","q.a"]}"#,
            r#"{"n":2,"args":["q."]}"#
        ]
    );
    assert_eq!(
        requests(&format!("{list}\nbytes = 30"), &FOUR),
        [
            r#"{"n":1,"args":["t.a","t.b"]}"#,
            r#"{"n":2,"args":["q.a","q."]}"#
        ]
    );
    // The ids of one channel.
    assert_eq!(
        requests(
            "[requests]\nsubscribe = '{channel}:{ids}'\nquote = \"\"\nseparator = \" \"",
            &FOUR
        ),
        ["t:A B", "q:A"]
    );
    // The channels of one id.
    assert_eq!(
        requests("[requests]\nsubscribe = '{id} {channels}'", &FOUR),
        [r#"A "t""#, r#"B "t""#, r#"A "q""#, r#" "q""#]
    );
    // One stream.
    assert_eq!(
        requests(
            "[requests]\nsubscribe = '{\"s\":\"{channel}_{id:lower}\"}'",
            &FOUR[..2]
        ),
        [r#"{"s":"t_a"}"#, r#"{"s":"t_b"}"#]
    );
    // What would end a JSON text is escaped.
    assert_eq!(
        requests("[requests]\nsubscribe = '[{ids}]'", &[("t", "a\"\\\n")]),
        [r#"["a\"\\\u000a"]"#]
    );
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let stream = Subscription::new("t", "A");
    let mut out = Outbox::new(1, 100);
    let mut silent = read("name = \"x\"\n[[rule]]\nkind = \"control\"\n");
    assert_eq!(silent.check(&stream), Err(SubscribeError::Unsupported));
    assert_eq!(
        silent.subscribe(1, &[&stream], &mut out),
        Err(SubscribeError::Unsupported)
    );
    let mut file =
        read("name = \"x\"\n[requests]\nsubscribe = '{id}'\n[[rule]]\nkind = \"control\"\n");
    assert_eq!(file.check(&stream), Ok(()));
    assert_eq!(
        file.unsubscribe(1, &[&stream], &mut out),
        Err(SubscribeError::Unsupported)
    );
}

const VENUE: &str = r#"
name = "venue"
url = "wss://venue.example/ws"
on-open = [{ secret = "login" }, '{"op":"hello"}']
pace = { messages = 5, seconds = 2 }
request-pace = { messages = 1 }
capacity = 10
lifetime = 86400

[heartbeat]
every = 0.5
send = '{"op":"ping","n":{count}}'
texts = ["pong", "PONG"]

[requests]
subscribe = '{"sub":"{channel}:{id}"}'
unsubscribe = '{"unsub":"{channel}:{id}"}'
entity = "venue.{channel}"

[streams]
tick = ["A", "B"]
all = []

[[rule]]
when = { "/op" = "welcome" }
kind = "ready"

[[rule]]
when = { "/ok" = { present = true } }
kind = "granted"
stream = { channel = { at = "/ok", before = ":" }, id = { at = "/ok", after = ":" } }
learn = { table = "ids", key = "/number", value = { at = "/ok", after = ":" } }

[[rule]]
when = { "/no" = { present = true } }
kind = "denied"
stream = { channel = { at = "/no", before = ":" }, id = { at = "/no", after = ":" } }
reason = "/why"

[[rule]]
when = { "/over" = { present = true } }
kind = "ended"
stream = { channel = { constant = "tick" }, id = "/over" }

[[rule]]
when = [{ at = "/0", learned = "ids", present = true }]
entity = "venue.tick"
id = { at = "/0", learned = "ids" }
payload = "/1"

[[rule]]
when = { "/closed" = true }
kind = "invalidate"
entity = "venue.tick"

[[rule]]
when = { "/halted" = { present = true } }
entity = "venue.tick"
id = "/halted"
payload = { json = '{"halted":true}' }
"#;

#[test]
fn a_file_says_all_there_is_to_say_about_the_connection() {
    let envelope = read(VENUE);
    assert_eq!(envelope.name(), "venue");
    let address = envelope.address(&[]).expect("a URL");
    assert_eq!(
        (&*address.url, address.carries),
        ("wss://venue.example/ws", 0)
    );
    assert_eq!(envelope.pace(), Pace::new(5, Duration::from_secs(2)));
    assert_eq!(
        envelope.request_pace(),
        Pace::new(1, Duration::from_secs(1))
    );
    assert_eq!(envelope.capacity(), 10);
    assert_eq!(envelope.lifetime(), Some(Duration::from_secs(86_400)));
    assert_eq!(envelope.heartbeat(), Some(Duration::from_millis(500)));
    let streams: Vec<_> = envelope.initial().iter().map(ToString::to_string).collect();
    assert_eq!(streams, ["tick/A", "tick/B", "all/"]);
    let value = envelope.value_of(&Subscription::new("tick", "A"));
    assert_eq!(value, Some(("venue.tick".to_owned(), "A".into())));
    assert_eq!(envelope.value_of(&Subscription::new("all", "")), None);
    let claims = envelope.claims();
    assert_eq!(
        (claims.entities, claims.wildcard),
        (vec!["venue.tick".into()], false)
    );
    assert!(!envelope.is_ready());

    let listener = envelope.listening();
    assert!(listener.is_ready());
    assert_eq!(
        (listener.heartbeat(), listener.initial()),
        (None, Vec::new())
    );
}

#[test]
fn texts_that_are_no_json_and_constants_are_understood() {
    let mut desk = Desk::new(read(VENUE));
    assert_eq!(desk.take("pong"), ["heartbeat"]);
    assert_eq!(desk.take("PONG"), ["heartbeat"]);
    assert_eq!(desk.take("pongs"), ["refused Malformed"]);
    assert_eq!(desk.take(r#"{"closed":true}"#), ["invalidate venue.tick"]);
    assert_eq!(
        desk.take(r#"{"halted":"A"}"#),
        [r#"whole+ venue.tick "A" {"halted":true}"#]
    );
    assert_eq!(desk.take(r#"{"closed":false}"#), ["unmapped (no channel)"]);
}

#[test]
fn answers_name_streams() {
    let mut desk = Desk::new(read(VENUE));
    assert_eq!(desk.take(r#"{"ok":"tick:A","number":5}"#), ["notice"]);
    assert_eq!(desk.take(r#"{"no":"tick:B","why":"unknown"}"#), ["notice"]);
    assert_eq!(desk.take(r#"{"over":"C"}"#), ["notice"]);
    assert_eq!(
        desk.intake.outbox.take_answers(),
        [
            (Subscription::new("tick", "A"), Reply::Granted),
            (
                Subscription::new("tick", "B"),
                Reply::Refused("unknown".into())
            ),
            (Subscription::new("tick", "C"), Reply::Ended)
        ]
    );
}

#[test]
fn what_was_learned_is_forgotten_with_the_connection() {
    let mut desk = Desk::new(read(VENUE));
    let data = r#"[5,{"p":1}]"#;
    assert_eq!(desk.take(data), ["unmapped (no channel)"]);
    desk.take(r#"{"ok":"tick:A","number":5}"#);
    assert_eq!(desk.take(data), [r#"whole+ venue.tick "A" {"p":1}"#]);
    desk.take(r#"{"ok":"tick:B","number":5}"#);
    assert_eq!(desk.take(data), [r#"whole+ venue.tick "B" {"p":1}"#]);
    desk.intake.opened().expect("room");
    assert_eq!(desk.take(data), ["unmapped (no channel)"]);
}

#[test]
fn a_conversation_goes_as_the_file_says() {
    let mut pair = Pair::open(Settings::default(), read(VENUE));
    assert_eq!(pair.sent(), ["text login", r#"text {"op":"hello"}"#]);
    pair.pass(499);
    assert!(pair.sent().is_empty());
    pair.pass(1);
    assert_eq!(pair.sent(), [r#"text {"op":"ping","n":1}"#]);
    // Nothing is asked for before the server is ready, and then no faster than it allows.
    pair.text(r#"{"op":"welcome"}"#);
    assert_eq!(pair.sent(), [r#"text {"sub":"tick:A"}"#]);
    pair.pass(999);
    let sent = pair.sent();
    assert!(!sent.iter().any(|text| text.contains("sub")), "{sent:?}");
    pair.pass(2000);
    let sent = pair.sent();
    assert!(
        sent.contains(&r#"text {"sub":"tick:B"}"#.to_owned()),
        "{sent:?}"
    );
    pair.text(r#"{"ok":"tick:A","number":5}"#);
    pair.text(r#"[5,{"p":1}]"#);
    assert_eq!(pair.sink.take(), [r#"whole+ venue.tick "A" {"p":1}"#]);
    pair.text(r#"{"no":"tick:B","why":"unknown"}"#);
    let actions = pair.actions();
    let refused = |action: &Action| format!("{action:?}").contains("unknown");
    assert!(actions.iter().any(refused), "{actions:?}");
}
