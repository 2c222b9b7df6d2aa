//! The service with the REST interface and the events, against clients that are not ours.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{connect, end, json};
use crate::simulator::*;

/// A service that changes only when it is told to.
fn still(faults: Faults) -> Api {
    let settings = ApiSettings {
        change_every: None,
        sweep_every: None,
        faults,
        ..ApiSettings::default()
    };
    Api::start(settings).expect("the service starts")
}

fn ask(api: &Api, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(api.addr()).expect("it listens");
    // Only so that a defect fails instead of hanging.
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout can be set");
    let request = format!("GET {path} HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("it reads");
    socket
}

struct Answer {
    status: u16,
    revision: Option<u64>,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

fn get(api: &Api, path: &str) -> Answer {
    let mut text = String::new();
    ask(api, path).read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status");
    let revision = head
        .lines()
        .find_map(|line| line.strip_prefix("x-revision: "));
    Answer {
        status: status.parse().expect("a number"),
        revision: revision.map(|number| number.parse().expect("a number")),
        body: body.to_owned(),
    }
}

#[test]
fn answers_are_what_is_true_and_say_as_of_when() {
    let api = still(Faults::NONE);
    let last = (0..500).map(|_| api.advance()).last().expect("some");
    for id in 1..=12 {
        let answer = get(&api, &format!("/jobs/{id}"));
        assert_eq!((answer.status, answer.revision), (200, Some(last.revision)));
        let version = api.facts().version(id).expect("a job");
        assert_eq!(answer.json(), Value::Object(content(id, version)));
    }
    let list = get(&api, "/jobs").json();
    for row in list.as_array().expect("an array") {
        let id = row["id"].as_u64().expect("an id");
        let whole = content(id, api.facts().version(id).expect("a job"));
        let row = row.as_object().expect("an object");
        assert_eq!(row.len(), 4, "some columns only: {row:?}");
        assert!(row.iter().all(|(name, value)| whole[name] == *value));
    }
    assert_eq!(get(&api, "/notifications").json()["unread"], 50);
    for path in ["/jobs/0", "/jobs/13", "/jobs/x", "/job", "/events"] {
        let status = get(&api, path).status;
        assert!(status == 404, "{path}: {status}");
    }
    let stats = api.stats();
    assert_eq!((stats.requests, stats.errors, stats.old), (16, 0, 0));
    api.stop().expect("ends in order");
}

/// The revisions between two answers are exactly what has changed between them.
#[test]
fn old_answers_are_what_was_true_then() {
    let api = still(Faults {
        old: 1.0,
        lag: 60,
        ..Faults::NONE
    });
    // What each revision made, from the first.
    let changes: Vec<_> = (0..300).map(|_| api.advance()).collect();
    let mut older = 0;
    for _ in 0..40 {
        let answer = get(&api, "/jobs/5");
        let revision = answer.revision.expect("a revision");
        assert!((240..300).contains(&revision), "{revision}");
        let version = changes[..revision as usize]
            .iter()
            .filter(|change| change.id == 5)
            .count();
        assert_eq!(answer.json(), Value::Object(content(5, version as u64)));
        older += u64::from(answer.json()["version"].as_u64() < api.facts().version(5));
    }
    assert!(older > 0, "some versions have passed in 60 revisions");
    assert_eq!(api.stats().old, 40);
}

#[test]
fn failures_are_of_each_kind_and_counted() {
    let api = still(Faults {
        errors: 1.0,
        ..Faults::NONE
    });
    assert!(get(&api, "/jobs").status >= 500);
    assert_eq!(api.stats().errors, 1);

    let api = still(Faults {
        broken: 1.0,
        ..Faults::NONE
    });
    let answer = get(&api, "/jobs/3");
    assert_eq!(answer.status, 200);
    serde_json::from_str::<Value>(&answer.body).expect_err("half of the JSON");
    assert_eq!(api.stats().broken, 1);

    let api = still(Faults {
        hangs: 1.0,
        ..Faults::NONE
    });
    let mut socket = ask(&api, "/jobs/3");
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .expect("a timeout can be set");
    socket.read(&mut [0]).expect_err("nothing comes");
    assert_eq!(api.stats().hung, 1);
    drop(socket);
    api.stop().expect("what hangs does not hold it up");
}

#[test]
fn the_same_seed_fails_in_the_same_way() {
    let fates = |seed| {
        let mut rng = fastrand::Rng::with_seed(seed);
        (0..1000)
            .map(|_| Faults::default().next(&mut rng))
            .collect::<Vec<_>>()
    };
    assert_eq!(fates(7), fates(7));
    assert_ne!(fates(7), fates(8));
    let of = |wanted: fn(&Fate) -> bool| fates(7).iter().filter(|(_, fate)| wanted(fate)).count();
    let share = [
        of(|fate| matches!(fate, Fate::Refused(_))),
        of(|fate| matches!(fate, Fate::Hung)),
        of(|fate| matches!(fate, Fate::Broken)),
        of(|fate| matches!(fate, Fate::Old(1..=60))),
        of(|fate| matches!(fate, Fate::Answered)),
    ];
    for (share, expected) in share.into_iter().zip([120, 30, 50, 350, 450]) {
        assert!(
            share.abs_diff(expected) < 60,
            "{share} instead of {expected}"
        );
    }
}

/// What the events say is enough to follow the jobs whose changes they tell.
#[test]
fn patches_make_each_version_of_the_one_before() {
    let api = still(Faults::NONE);
    let mut client = connect(&api.events_url());
    // Answered only after the subscription: no event is made before.
    client
        .send(tungstenite::Message::Ping("?".into()))
        .expect("sent");
    assert!(matches!(client.read(), Ok(tungstenite::Message::Pong(_))));
    let mut held: HashMap<u64, (Map<String, Value>, u64)> =
        (1..=12).map(|id| (id, (content(id, 0), 0))).collect();
    let mut last = 0;
    for _ in 0..400 {
        let change = api.advance();
        if told(change.id) == Told::Nothing {
            continue;
        }
        let event = json(&mut client);
        assert_eq!(event["entity"], ENTITY);
        let id = event["id"].as_u64().expect("an id");
        let revision = event["revision"].as_u64().expect("a revision");
        let first = event["first"].as_u64().expect("a revision");
        assert!(last < revision && first <= revision, "{event}");
        assert_eq!((id, revision), (change.id, change.revision));
        last = revision;
        let Some(payload) = event.get("payload") else {
            assert_eq!(told(id), Told::Mark);
            continue;
        };
        let (job, as_of) = held.get_mut(&id).expect("a job");
        assert_eq!(first, *as_of + 1, "the ranges touch");
        *as_of = revision;
        job.extend(payload.as_object().expect("an object").clone());
        assert!(
            payload
                .as_object()
                .is_some_and(|patch| patch.len() < job.len())
        );
        assert_eq!(*job, content(id, change.version));
    }
    api.sweep();
    let event = json(&mut client);
    assert!(
        event["entity"] == ENTITY && event.get("id").is_none(),
        "{event}"
    );
    assert_eq!(api.stats().changes, 400);
}

#[test]
fn the_events_are_lost_on_purpose() {
    let settings = ApiSettings {
        drop_every: Some(Duration::from_millis(20)),
        ..ApiSettings::default()
    };
    let api = Api::start(settings).expect("the service starts");
    for _ in 0..3 {
        end(&mut connect(&api.events_url()));
    }
    assert!(api.stats().drops >= 2, "{:?}", api.stats());
    api.stop().expect("ends in order");
}
