//! A recording with snapshots of 5.1 and 2.5 MB, and one of our own making: over a socket, with
//! those taken apart elsewhere, and through memory, where every message is taken as it comes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::kit;
use super::server::Server;
use tickcache::feed::{
    Address, Claims, Class, Control, Covers, Outbox, Protocol, Refusal, Sink, Subscription, Update,
};
use tickcache::json::Message;
use tickcache::{Cache, Feed};

/// The channels `ticker` and `l2_data`, the latter with a value for each level, which no preset
/// would have; every message counts in the numbering of its connection.
#[derive(Clone, Debug)]
struct Advanced {
    url: String,
}

const ENTITIES: [&str; 2] = ["ticker", "level"];

impl Protocol for Advanced {
    fn name(&self) -> &str {
        "advanced"
    }

    fn claims(&self) -> Claims {
        Claims {
            entities: ENTITIES.map(Into::into).to_vec(),
            wildcard: false,
            covers: Covers::Nothing,
        }
    }

    fn address(&self, _: &[&Subscription]) -> Option<Address> {
        Some(Address {
            url: self.url.clone(),
            carries: 0,
        })
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        _: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let root = message.root();
        let number = root.get("sequence_num").and_then(|n| n.u64());
        sink.advance(number.ok_or(Refusal::BadSequence)?)?;
        let channel = root.get("channel").and_then(|channel| channel.str());
        let channel = channel.ok_or(Refusal::Shape)?;
        let (entity, list, key) = match channel {
            "ticker" => ("ticker", "tickers", "product_id"),
            "l2_data" => ("level", "updates", "price_level"),
            "heartbeats" => return Ok(Class::Control(Control::Heartbeat)),
            other => return Ok(Class::Unmapped(other)),
        };
        let entity = sink.entity(entity)?;
        let events = root.get("events").ok_or(Refusal::Shape)?;
        let lists = events.elements().filter_map(|event| event.get(list));
        for item in lists.flat_map(|list| list.elements()) {
            let id = item.get(key).and_then(|id| id.id().ok().flatten());
            sink.patch(entity, id.ok_or(Refusal::NoId)?, Update::whole(), item)?;
        }
        Ok(Class::Data)
    }
}

/// The values of all ids.
fn state(cache: &Cache, ids: &BTreeSet<(usize, String)>) -> Vec<String> {
    let values = ids.iter().map(|(entity, id)| {
        let slot = cache.entity(ENTITIES[*entity]).slot(id.as_str());
        let snapshot = slot.snapshot();
        assert!(snapshot.freshness().is_live(), "{id}");
        format!("{id} {}", snapshot.record().to_json())
    });
    values.collect()
}

fn ids(texts: &[String]) -> BTreeSet<(usize, String)> {
    let mut ids = BTreeSet::new();
    for text in texts {
        let message: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let kinds = [("tickers", "product_id"), ("updates", "price_level")];
        for event in message["events"].as_array().into_iter().flatten() {
            for (entity, (list, key)) in kinds.iter().enumerate() {
                for item in event[*list].as_array().into_iter().flatten() {
                    ids.insert((entity, item[*key].as_str().expect("a text").to_owned()));
                }
            }
        }
    }
    ids
}

/// Takes the same messages both ways and compares. How many were taken apart elsewhere.
fn check(texts: Vec<String>) -> u64 {
    let (count, ids) = (texts.len() as u64, ids(&texts));
    let settings = |feed: Feed<Advanced>| {
        feed.settings(|settings| {
            settings.bulk_above = 64 << 10;
            settings.close_timeout = std::time::Duration::from_millis(10);
            settings.dead_after = std::time::Duration::MAX;
        })
    };
    let here = Cache::builder().build().expect("a cache");
    let protocol = Advanced { url: String::new() };
    let mut local = here
        .local(settings(Feed::custom(protocol)))
        .expect("attached");
    local.open();
    for text in &texts {
        kit::say(&mut local, text);
    }
    let server = Server::start(move |connection| {
        let say = |connection: super::server::Connection, text: &String| connection.say(text);
        texts.iter().fold(connection, say).hold()
    });
    let protocol = Advanced { url: server.url() };
    let there = Cache::builder().build().expect("a cache");
    let feed = there
        .attach(settings(Feed::custom(protocol)))
        .expect("attached");
    super::counted(&feed, |counted| {
        counted.messages == count && counted.balanced()
    });
    let (one, other) = (feed.counters(), local.counters());
    assert_eq!((one.gaps, other.gaps), (0, 0), "none is invented");
    assert_eq!(
        (one.data, one.control, one.unmapped, one.refused),
        (other.data, other.control, other.unmapped, other.refused)
    );
    assert_eq!(one.patches, other.patches);
    assert_eq!(state(&there, &ids), state(&here, &ids));
    one.bulk
}

#[test]
fn a_recording_of_coinbase_advanced_is_the_same_either_way() {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/captures");
    let captures = std::env::var_os("TICKCACHE_CAPTURES").map_or(beside, PathBuf::from);
    let path = captures.join("coinbase-advanced-20260809.jsonl.gz");
    let Ok(file) = std::fs::File::open(&path) else {
        let path = path.display();
        return eprintln!("skipped: {path} is not there; set TICKCACHE_CAPTURES");
    };
    let text = std::io::read_to_string(flate2::read::GzDecoder::new(file)).expect("a gzip");
    assert_eq!(check(text.lines().map(str::to_owned).collect()), 2);
}

#[test]
fn snapshots_among_numbered_updates_are_the_same_either_way() {
    let mut texts = Vec::new();
    let mut say = |channel: &str, list: &str, items: Vec<String>| {
        let (number, items) = (texts.len(), items.join(","));
        texts.push(format!(
            r#"{{"channel":"{channel}","sequence_num":{number},"events":[{{"{list}":[{items}]}}]}}"#
        ));
    };
    for round in 0..6 {
        let level =
            |at: usize| format!(r#"{{"price_level":"{at}.5","new_quantity":"{round}.{at}"}}"#);
        say("l2_data", "updates", (0..2_000).map(level).collect());
        for at in 0..20 {
            let ticker = format!(r#"{{"product_id":"P{}","price":"{round}.{at}"}}"#, at % 3);
            say("ticker", "tickers", vec![ticker]);
            say(
                "l2_data",
                "updates",
                vec![level(at * 97), level(3_000 + at)],
            );
            say("heartbeats", "none", Vec::new());
        }
    }
    assert_eq!(check(texts), 6);
}
