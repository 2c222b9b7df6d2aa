//! Recorded messages through the engine: from bytes in this process, and over a real WebSocket.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tickcache::feed::{Backoff, CounterValues, Protocol};
use tickcache::ws::Limits;
use tickcache::{Cache, Endpoint, Feed};
use tungstenite::{Message, WebSocket};

use super::recording::Recording;
use super::reference::Key;
use super::tree::Tree;

/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(60);

/// After the last connection there is none, until the feed is closed.
const RECONNECT: Duration = Duration::from_millis(1);

/// Messages of one batch through memory.
const BATCH: usize = 100;

/// What became of a recording.
pub(crate) struct Ran {
    pub(crate) values: BTreeMap<Key, Tree>,
    pub(crate) counters: CounterValues,
}

/// Plays a recording into a feed in both ways.
pub(crate) fn both<P: Protocol + Clone>(
    make: impl Fn() -> Feed<P>,
    recording: &Arc<Recording>,
) -> [Ran; 2] {
    // Nobody answers a login that is not in the recording.
    let feed = || make().settings(|settings| settings.answer_timeout = Duration::MAX);
    [memory(feed(), recording), websocket(feed(), recording)]
}

fn memory<P: Protocol>(feed: Feed<P>, recording: &Recording) -> Ran {
    let cache = Cache::builder().build().expect("a cache");
    let mut feed = cache.local(feed).expect("the feed");
    for connection in &recording.connections {
        feed.open();
        for lot in recording.texts[connection.clone()].chunks(BATCH) {
            let mut batch = feed.batch();
            for text in lot {
                // What is refused is counted.
                let _ = batch.message(&mut text.clone().into_bytes());
            }
        }
        feed.close();
    }
    Ran {
        values: values(&cache),
        counters: feed.counters(),
    }
}

fn websocket<P: Protocol + Clone>(feed: Feed<P>, recording: &Arc<Recording>) -> Ran {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
    let address = listener.local_addr().expect("bound");
    let played = Arc::clone(recording);
    let server = thread::spawn(move || {
        for connection in &played.connections {
            let (stream, _) = listener.accept().expect("a client");
            let socket = tungstenite::accept(stream).expect("a handshake");
            play(socket, &played.texts[connection.clone()]);
        }
    });
    let cache = Cache::builder().build().expect("a cache");
    let limits = Limits {
        max_message: 64 << 20,
        ..Limits::default()
    };
    let feed = feed
        .endpoint(Endpoint::new(format!("ws://{address}/")))
        .backoff(Backoff::fixed(RECONNECT))
        // A notice that the server closes is part of the recording.
        .lifetime(Duration::MAX)
        .limits(limits);
    let feed = cache.attach(feed).expect("the feed");
    server.join().expect("the server");
    cache.close_blocking(LONG).expect("the threads end");
    Ran {
        values: values(&cache),
        counters: feed.counters(),
    }
}

/// Sends texts and closes. The client's answer comes when it has taken in all of them.
fn play(mut socket: WebSocket<TcpStream>, texts: &[String]) {
    for lot in texts.chunks(BATCH) {
        for text in lot {
            socket.write(Message::text(text.as_str())).expect("written");
        }
        socket.flush().expect("written");
    }
    socket.close(None).expect("written");
    // What the client asks for is read and left unanswered.
    while socket.read().is_ok() {}
}

fn values(cache: &Cache) -> BTreeMap<Key, Tree> {
    let mut values = BTreeMap::new();
    for entity in cache.entities() {
        for slot in entity.iter() {
            let json = slot.read_all(|view| view.record().to_json());
            let key = (entity.name().to_owned(), slot.id().to_string());
            values.insert(key, Tree::parse(&json).expect("JSON"));
        }
    }
    values
}
