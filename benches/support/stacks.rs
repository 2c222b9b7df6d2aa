//! Clients for the plain events, from the socket to values that any thread can read.

#![allow(dead_code, reason = "each bench uses a part of it")]

use std::cell::OnceCell;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket};
use futures_util::StreamExt;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use simd_json::OwnedValue;
use simd_json::prelude::*;
use tickcache::cache::{Cache, Feed, Slot};
use tickcache::feed::Missing;
use tokio::sync::{broadcast, watch};
use tungstenite::Message;

use crate::server::Server;
use crate::support::ENTITY;
use crate::support::json::{merge_serde, merge_simd};

/// A name, and what makes a connected client.
pub(crate) type Stack = (&'static str, fn(&Server) -> Client);

/// Ours first.
pub(crate) const ALL: [Stack; 4] = [
    ("tickcache", tickcache),
    ("1 tungstenite, Value, DashMap, broadcast", value_in_map),
    ("2 tungstenite, typed, DashMap, watch", typed_in_watch),
    ("3 fastwebsockets, simd-json, arc-swap", simd_in_swap),
];

/// Reads the best bid of an id.
type Read = dyn Fn(&str) -> Option<f64>;

/// A client that runs.
pub(crate) struct Client {
    received: Box<dyn Fn() -> u64>,
    bid: Box<Read>,
    /// All four numbers of all ids, added up. Ours alone: the others are not asked.
    sum: Box<dyn Fn() -> f64>,
    end: Box<dyn FnOnce()>,
}

impl Client {
    /// How many messages have become visible.
    pub(crate) fn received(&self) -> u64 {
        (self.received)()
    }

    /// A value, as any thread may read it.
    pub(crate) fn bid(&self, id: &str) -> Option<f64> {
        (self.bid)(id)
    }

    /// Reads all four numbers of each id to `f64`.
    pub(crate) fn sum(&self) -> f64 {
        (self.sum)()
    }

    /// To be called when the server is gone.
    pub(crate) fn end(self) {
        (self.end)();
    }
}

fn tickcache(server: &Server) -> Client {
    let cache = Cache::builder().build().expect("a thread");
    let feed = Feed::events().url(&server.url()).missing(Missing::Insert);
    let feed = cache.attach(feed).expect("nobody owns anything");
    let entity = cache.entity(ENTITY);
    let [bid] = entity.fields(["bid"]).expect("room for a field");
    let numbers = entity.fields(["bid", "bidSize", "ask", "askSize"]);
    let (numbers, of, slots) = (numbers.expect("room"), entity.clone(), OnceCell::new());
    Client {
        received: Box::new(move || {
            let counters = feed.counters();
            counters.applied + counters.unchanged
        }),
        bid: Box::new(move |id| {
            let [value] = entity.find(id)?.read([bid]).even_if_stale();
            value.f64().ok()
        }),
        sum: Box::new(move || {
            let slots: &Vec<Slot> = slots.get_or_init(|| of.iter().collect());
            let numbers = slots
                .iter()
                .flat_map(|slot| slot.read(numbers).even_if_stale());
            numbers.map(|number| number.f64().expect("a number")).sum()
        }),
        end: Box::new(move || {
            cache
                .close_blocking(std::time::Duration::from_secs(5))
                .expect("the cache ends");
        }),
    }
}

/// A peer's thread, with a runtime in which `take` takes messages until the connection ends. The
/// number of messages that it counts is the one of the client.
fn peer<F: Future<Output = ()>>(
    take: impl FnOnce(Count) -> F + Send + 'static,
    bid: impl Fn(&str) -> Option<f64> + 'static,
) -> Client {
    let received = Arc::new(AtomicU64::new(0));
    let count = Count(Arc::clone(&received));
    let thread: JoinHandle<()> = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a poller").block_on(take(count));
    });
    Client {
        received: Box::new(move || received.load(Ordering::Acquire)),
        bid: Box::new(bid),
        sum: Box::new(|| f64::NAN),
        end: Box::new(move || thread.join().expect("the client ends")),
    }
}

/// Counts messages; it alone does.
struct Count(Arc<AtomicU64>);

impl Count {
    fn one(&self) {
        self.0
            .store(self.0.load(Ordering::Relaxed) + 1, Ordering::Release);
    }
}

type Key = (String, String);

fn key(id: &str) -> Key {
    (ENTITY.to_owned(), id.to_owned())
}

fn value_in_map(server: &Server) -> Client {
    let map: Arc<DashMap<Key, Value>> = Arc::default();
    let (news, listener) = broadcast::channel::<Key>(1024);
    let (url, store) = (server.url(), Arc::clone(&map));
    let take = async move |count: Count| {
        let (mut socket, _) = tokio_tungstenite::connect_async(url)
            .await
            .expect("a handshake");
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else {
                continue;
            };
            let mut event: Value = serde_json::from_str(&text).expect("valid");
            let mut name = |name: &str| match event[name].take() {
                Value::String(text) => text,
                _ => unreachable!("a text"),
            };
            let key = (name("entity"), name("id"));
            let payload = event["payload"].take();
            match store.get_mut(&key) {
                Some(mut value) => merge_serde(&mut value, payload),
                None => {
                    store.insert(key.clone(), payload);
                }
            }
            // Somebody listens, who may be behind.
            let _ = news.send(key);
            count.one();
        }
    };
    peer(take, move |id| {
        let _ = &listener;
        map.get(&key(id))?["bid"].as_str()?.parse().ok()
    })
}

/// A number that came as a text.
#[derive(Clone, Copy, Debug)]
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        text.parse().map(Number).map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Deserialize)]
struct Event<'a> {
    entity: &'a str,
    id: &'a str,
    payload: Change,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    bid: Option<Number>,
    bid_size: Option<Number>,
    ask: Option<Number>,
    ask_size: Option<Number>,
    sequence: Option<u64>,
    active: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Quote {
    bid: f64,
    bid_size: f64,
    ask: f64,
    ask_size: f64,
    sequence: u64,
    active: bool,
}

impl Quote {
    fn merge(&mut self, change: &Change) {
        fn set<T: Copy>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        let number = |number: Option<Number>| number.map(|number| number.0);
        set(&mut self.bid, number(change.bid));
        set(&mut self.bid_size, number(change.bid_size));
        set(&mut self.ask, number(change.ask));
        set(&mut self.ask_size, number(change.ask_size));
        set(&mut self.sequence, change.sequence);
        set(&mut self.active, change.active);
    }
}

fn typed_in_watch(server: &Server) -> Client {
    let map: Arc<DashMap<String, watch::Sender<Quote>>> = Arc::default();
    let (url, store) = (server.url(), Arc::clone(&map));
    let take = async move |count: Count| {
        let (mut socket, _) = tokio_tungstenite::connect_async(url)
            .await
            .expect("a handshake");
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else {
                continue;
            };
            let event: Event<'_> = serde_json::from_str(&text).expect("valid");
            assert_eq!(event.entity, ENTITY, "there is one type of values");
            match store.get(event.id) {
                Some(quote) => quote.send_modify(|quote| quote.merge(&event.payload)),
                None => {
                    let mut quote = Quote::default();
                    quote.merge(&event.payload);
                    store.insert(event.id.to_owned(), watch::Sender::new(quote));
                }
            }
            count.one();
        }
    };
    peer(take, move |id| Some(map.get(id)?.borrow().bid))
}

/// A value that is replaced whole, and how often it was.
struct Versions {
    value: ArcSwap<OwnedValue>,
    epoch: AtomicU64,
}

fn simd_in_swap(server: &Server) -> Client {
    let map: Arc<DashMap<Key, Arc<Versions>>> = Arc::default();
    let store = Arc::clone(&map);
    let socket = TcpStream::connect(server.addr()).expect("the server listens");
    // The server says nothing before it is told to: no byte is lost with the handshake's buffer.
    let (client, _) = tungstenite::client(server.url(), socket).expect("a handshake");
    let socket = client.into_inner();
    let take = async move |count: Count| {
        socket.set_nonblocking(true).expect("a socket");
        let socket = tokio::net::TcpStream::from_std(socket).expect("a poller");
        let mut socket = FragmentCollector::new(WebSocket::after_handshake(socket, Role::Client));
        let mut buffers = simd_json::Buffers::default();
        while let Ok(mut frame) = socket.read_frame().await {
            if frame.opcode != OpCode::Text {
                continue;
            }
            let text = frame.payload.to_mut();
            let mut event =
                simd_json::to_owned_value_with_buffers(text, &mut buffers).expect("valid");
            let mut name = |name: &str| match event.remove(name) {
                Ok(Some(OwnedValue::String(text))) => text,
                _ => unreachable!("a text"),
            };
            let key = (name("entity"), name("id"));
            let payload = event.remove("payload").ok().flatten().expect("a payload");
            let versions = store.get(&key).map(|versions| Arc::clone(&versions));
            match versions {
                Some(versions) => {
                    let mut value = OwnedValue::clone(&versions.value.load());
                    merge_simd(&mut value, payload);
                    versions.value.store(Arc::new(value));
                    versions.epoch.fetch_add(1, Ordering::Release);
                }
                None => {
                    let value = ArcSwap::from_pointee(payload);
                    store.insert(
                        key,
                        Arc::new(Versions {
                            value,
                            epoch: AtomicU64::new(1),
                        }),
                    );
                }
            }
            count.one();
        }
    };
    peer(take, move |id| {
        let versions = map.get(&key(id))?;
        versions.value.load().get_str("bid")?.parse().ok()
    })
}
