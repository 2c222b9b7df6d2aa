//! Clients for the plain events, from the socket to values that any thread can read, each with a
//! [gate](crate::gate) in its thread; and those who look at less, as a bound.

#![allow(dead_code, reason = "each bench uses a part of it")]

use std::cell::OnceCell;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket};
use futures_util::StreamExt;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use simd_json::OwnedValue;
use simd_json::prelude::*;
use socket2::{Domain, Socket, Type};
use tickcache::cache::{Cache, Feed, Field, Slot};
use tickcache::feed::presets::Events;
use tickcache::feed::{
    Address, Claims, Class, Missing, Outbox, Protocol, Refusal, Sink, Subscription,
};
use tickcache::json::Message as Decoded;
use tickcache::ws::{Decoder, Event as Frame, Limits};
use tokio::sync::{broadcast, watch};
use tungstenite::Message;

use crate::gate::Gate;
use crate::server::Server;
use crate::support::ENTITY;
use crate::support::json::{merge_serde, merge_simd};

/// What makes a connected client, of frames of this size.
pub(crate) type ConnectClient = fn(&Server, Gate, usize) -> Client;

/// A name, and what makes the client.
#[derive(Clone, Copy)]
pub(crate) struct Stack {
    pub(crate) name: &'static str,
    pub(crate) connect: ConnectClient,
}

const fn stack(name: &'static str, connect: ConnectClient) -> Stack {
    Stack { name, connect }
}

/// Ours first.
pub(crate) const ALL: [Stack; 6] = [
    stack("tickcache", tickcache),
    stack("1 tungstenite, Value, DashMap, broadcast", value_in_map),
    stack("2 tungstenite, typed, DashMap, watch", typed_in_watch),
    stack("3 fastwebsockets, simd-json, arc-swap", simd_in_swap),
    stack("bound: frames split only", split_only),
    stack("bound: read and discard", read_only),
];

/// What every client asks the kernel for, to receive into. It may give less.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A socket that is connected to the server, as all clients but ours have it.
fn dial(addr: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket
        .set_recv_buffer_size(RECEIVE_BUFFER)
        .expect("before connecting");
    socket.set_tcp_nodelay(true).expect("a socket");
    socket.connect(&addr.into()).expect("the server listens");
    socket.into()
}

/// How many bytes such a socket takes while nobody reads it.
pub(crate) fn receive_room() -> usize {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket
        .set_recv_buffer_size(RECEIVE_BUFFER)
        .expect("a socket");
    let both = socket.recv_buffer_size().expect("a socket");
    // Half of it is for what the kernel has to say about the bytes; some room is left.
    (both / 8 * 3).min(RECEIVE_BUFFER / 4)
}

/// Reads the best bid of an id; `None` for who keeps nothing.
type ReadBid = dyn Fn(&str) -> Option<Option<f64>>;

/// A client that runs.
pub(crate) struct Client {
    /// How many messages have become visible; `None` for who shows none.
    received: Option<Box<dyn Fn() -> u64>>,
    bid: Box<ReadBid>,
    /// All numbers of all ids, added up. Ours alone: the others are not asked.
    sum: Box<dyn Fn(bool) -> f64>,
    end: Box<dyn FnOnce()>,
}

impl Client {
    /// How many messages have become visible; 0 for who shows none.
    pub(crate) fn received(&self) -> u64 {
        self.received.as_ref().map_or(0, |received| received())
    }

    /// Returns when so many messages have become visible, and no more; at once for who shows none.
    pub(crate) fn until_received(&self, messages: u64) {
        if self.received.is_none() {
            return;
        }
        while self.received() < messages {
            std::thread::sleep(Duration::from_micros(50));
        }
        assert_eq!(self.received(), messages, "none comes twice");
    }

    /// A value, as any thread may read it.
    pub(crate) fn bid(&self, id: &str) -> Option<Option<f64>> {
        (self.bid)(id)
    }

    /// Reads all numbers of each id to `f64`: the four, or those and [`EXTRA`].
    pub(crate) fn sum(&self, long: bool) -> f64 {
        (self.sum)(long)
    }

    /// To be called when the server is gone.
    pub(crate) fn end(self) {
        (self.end)();
    }
}

/// The plain events, with a gate at the end of each message.
#[derive(Clone)]
struct Gated {
    events: Events,
    gate: Gate,
}

impl Protocol for Gated {
    fn name(&self) -> &str {
        self.events.name()
    }

    fn claims(&self) -> Claims {
        self.events.claims()
    }

    fn address(&self, wanted: &[&Subscription]) -> Option<Address> {
        self.events.address(wanted)
    }

    #[inline]
    fn message<'a, S: Sink>(
        &mut self,
        message: &Decoded<'a>,
        sink: &mut S,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let class = self.events.message(message, sink, out);
        self.gate.one();
        class
    }
}

fn numbers_of<const N: usize>(slots: &[Slot], fields: [Field; N]) -> f64 {
    let numbers = slots
        .iter()
        .flat_map(|slot| slot.read(fields).even_if_stale());
    numbers.map(|number| number.f64().expect("a number")).sum()
}

fn tickcache(server: &Server, gate: Gate, _: usize) -> Client {
    let cache = Cache::builder().build().expect("a thread");
    let url = server.url();
    let events = Events::new().url(&url).missing(Missing::Insert);
    let room = u32::try_from(RECEIVE_BUFFER).expect("some megabytes");
    let feed = Feed::custom(Gated { events, gate }).connect(|connect| connect.receive_buffer(room));
    let feed = cache.attach(feed).expect("nobody owns anything");
    let entity = cache.entity(ENTITY);
    let [bid] = entity.fields(["bid"]).expect("room for a field");
    let four = entity.fields(["bid", "bidSize", "ask", "askSize"]);
    let extra = entity.fields(EXTRA).expect("room");
    let (four, of, slots) = (four.expect("room"), entity.clone(), OnceCell::new());
    Client {
        received: Some(Box::new(move || {
            let counters = feed.counters();
            counters.applied + counters.unchanged
        })),
        bid: Box::new(move |id| {
            let [value] = entity.find(id)?.read([bid]).even_if_stale();
            Some(value.f64().ok())
        }),
        sum: Box::new(move |long| {
            let slots: &Vec<Slot> = slots.get_or_init(|| of.iter().collect());
            let further = if long { numbers_of(slots, extra) } else { 0.0 };
            numbers_of(slots, four) + further
        }),
        end: Box::new(move || {
            cache
                .close_blocking(Duration::from_secs(5))
                .expect("the cache ends");
        }),
    }
}

/// Takes frames apart and looks at nothing else, or not even that.
fn raw(server: &Server, take: impl FnOnce(TcpStream) + Send + 'static) -> Client {
    let (client, _) = tungstenite::client(server.url(), dial(server.addr())).expect("a handshake");
    let socket = client.into_inner();
    let thread = std::thread::spawn(move || take(socket));
    Client {
        received: None,
        bid: Box::new(|_| None),
        sum: Box::new(|_| f64::NAN),
        end: Box::new(move || thread.join().expect("the client ends")),
    }
}

fn split_only(server: &Server, mut gate: Gate, _: usize) -> Client {
    raw(server, move |mut socket| {
        let mut decoder = Decoder::new(Limits::default());
        loop {
            match decoder.next().expect("a valid stream") {
                Some(Frame::Text(text)) => {
                    std::hint::black_box(text.len());
                    gate.one();
                }
                Some(_) => {}
                None => match socket.read(decoder.space()) {
                    Ok(0) | Err(_) => return,
                    Ok(filled) => decoder.filled(filled),
                },
            }
        }
    })
}

fn read_only(server: &Server, mut gate: Gate, frame_bytes: usize) -> Client {
    raw(server, move |mut socket| {
        let mut buffer = vec![0; Limits::default().read_buffer];
        let mut ahead = 0;
        while let Ok(filled @ 1..) = socket.read(&mut buffer) {
            ahead += filled;
            gate.some((ahead / frame_bytes) as u64);
            ahead %= frame_bytes;
        }
    })
}

/// A peer's thread, with a runtime in which `take` takes messages until the connection ends. The
/// number of messages that it counts is the one of the client.
fn peer<F: Future<Output = ()>>(
    gate: Gate,
    take: impl FnOnce(Count) -> F + Send + 'static,
    bid: impl Fn(&str) -> Option<f64> + 'static,
) -> Client {
    let received = Arc::new(AtomicU64::new(0));
    let count = Count(Arc::clone(&received), gate);
    let thread: JoinHandle<()> = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a poller").block_on(take(count));
    });
    Client {
        received: Some(Box::new(move || received.load(Ordering::Acquire))),
        bid: Box::new(move |id| Some(bid(id))),
        sum: Box::new(|_| f64::NAN),
        end: Box::new(move || thread.join().expect("the client ends")),
    }
}

/// Counts messages; it alone does.
struct Count(Arc<AtomicU64>, Gate);

impl Count {
    #[inline]
    fn one(&mut self) {
        self.0
            .store(self.0.load(Ordering::Relaxed) + 1, Ordering::Release);
        self.1.one();
    }
}

/// A socket on the runtime that this is called on.
fn tokio_of(socket: TcpStream) -> tokio::net::TcpStream {
    socket.set_nonblocking(true).expect("a socket");
    tokio::net::TcpStream::from_std(socket).expect("a poller")
}

type Key = (String, String);

fn key(id: &str) -> Key {
    (ENTITY.to_owned(), id.to_owned())
}

fn value_in_map(server: &Server, gate: Gate, _: usize) -> Client {
    let map: Arc<DashMap<Key, Value>> = Arc::default();
    let (news, listener) = broadcast::channel::<Key>(1024);
    let (url, socket) = (server.url(), dial(server.addr()));
    let store = Arc::clone(&map);
    let take = async move |mut count: Count| {
        let socket = tokio_of(socket);
        let (mut socket, _) = tokio_tungstenite::client_async(url, socket)
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
    peer(gate, take, move |id| {
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

/// The struct of stack 2: the six members of every message, and the further numbers of long ones.
macro_rules! quote {
    ($($extra:ident)*) => {
        /// The further numbers.
        pub(crate) const EXTRA: [&str; [$(stringify!($extra)),*].len()] = [$(stringify!($extra)),*];

        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Change {
            bid: Option<Number>,
            bid_size: Option<Number>,
            ask: Option<Number>,
            ask_size: Option<Number>,
            sequence: Option<u64>,
            active: Option<bool>,
            $($extra: Option<Number>,)*
        }

        #[derive(Clone, Copy, Debug, Default)]
        struct Quote {
            bid: f64,
            bid_size: f64,
            ask: f64,
            ask_size: f64,
            sequence: u64,
            active: bool,
            $($extra: f64,)*
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
                $(set(&mut self.$extra, number(change.$extra));)*
            }
        }
    };
}

quote!(p00 p01 p02 p03 p04 p05 p06 p07 p08 p09 p10 p11 p12 p13 p14 p15 p16 p17 p18);

fn typed_in_watch(server: &Server, gate: Gate, _: usize) -> Client {
    let map: Arc<DashMap<String, watch::Sender<Quote>>> = Arc::default();
    let (url, socket) = (server.url(), dial(server.addr()));
    let store = Arc::clone(&map);
    let take = async move |mut count: Count| {
        let socket = tokio_of(socket);
        let (mut socket, _) = tokio_tungstenite::client_async(url, socket)
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
    peer(gate, take, move |id| Some(map.get(id)?.borrow().bid))
}

/// A value that is replaced whole, and how often it was.
struct Versions {
    value: ArcSwap<OwnedValue>,
    epoch: AtomicU64,
}

fn simd_in_swap(server: &Server, gate: Gate, _: usize) -> Client {
    let map: Arc<DashMap<Key, Arc<Versions>>> = Arc::default();
    let store = Arc::clone(&map);
    let socket = dial(server.addr());
    // The server says nothing before it is told to: no byte is lost with the handshake's buffer.
    let (client, _) = tungstenite::client(server.url(), socket).expect("a handshake");
    let socket = client.into_inner();
    let take = async move |mut count: Count| {
        let socket = tokio_of(socket);
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
    peer(gate, take, move |id| {
        let versions = map.get(&key(id))?;
        versions.value.load().get_str("bid")?.parse().ok()
    })
}
