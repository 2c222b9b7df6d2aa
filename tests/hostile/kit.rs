//! Servers that attack, and what has to hold whatever they do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::time::Duration;

use tickcache::feed::presets::Events;
use tickcache::feed::{Backoff, CounterValues, Lost};
use tickcache::{Cache, Feed, Freshness, Reasons, Watch};

use crate::counting::{Meter, alone};
use crate::server::{End, Server, event};

/// Longer than anything takes: reached only by what would never have come.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// What everything else of a process that is attacked may hold besides: the threads of a runtime,
/// sockets, a hub, the strings of a test.
pub(crate) const BESIDE: usize = 1 << 20;

pub(crate) fn feed(url: &str) -> Feed<Events> {
    Feed::events()
        .whole()
        .entities(["job"])
        .url(url)
        .backoff(Backoff::fixed(Duration::from_millis(1)))
        // The servers hold connections and never answer a goodbye.
        .settings(|settings| settings.close_timeout = Duration::from_millis(10))
}

/// Waits for news until the value is worth what is wanted. No value but 1 and 2 is ever shown.
#[track_caller]
pub(crate) fn until(watch: &mut Watch, wanted: impl Fn(Freshness) -> bool) -> u64 {
    loop {
        let tick = watch.wait(LONG).expect("news");
        let n = tick.snapshot().record().get("n");
        if tick.freshness() != Freshness::Empty {
            assert!(n.u64().is_ok_and(|n| n == 1 || n == 2), "{n:?} was shown");
        }
        if wanted(tick.freshness()) {
            return n.u64().expect("a number");
        }
    }
}

/// What an attack has come to.
pub(crate) struct Outcome {
    pub(crate) counters: CounterValues,
    pub(crate) lost: Lost,
    /// The code of the client's close frame, if one came.
    pub(crate) code: Option<u16>,
    /// The most bytes that the process held beyond those before the attack.
    pub(crate) peak: usize,
}

/// The first connection says 1 and attacks, every later one says 2 and stays. A watcher sees 1 live,
/// then 1 stale, then 2 live, and nothing else: the feed comes back by itself.
#[track_caller]
pub(crate) fn attack(
    what: &str,
    change: impl FnOnce(Feed<Events>) -> Feed<Events>,
    assault: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + 'static,
) -> Outcome {
    let _alone = alone();
    let (go, told) = channel();
    let (say, said) = channel();
    let server = Server::start(move |connection| {
        if connection.number > 1 {
            let _ = told.recv_timeout(LONG);
            return connection.say(&event(2)).hold();
        }
        let mut connection = connection.say(&event(1));
        let _ = told.recv_timeout(LONG);
        let stream = connection.socket.get_mut();
        // Fails as soon as the client has had enough.
        let _ = assault(stream);
        let _ = say.send(close_code(stream));
        End::Dropped
    });
    let cache = Cache::builder().build().expect("a cache");
    let mut watch = cache.entity("job").slot(1).watch();
    let attached = cache.attach(change(feed(&server.url()))).expect("attached");
    assert_eq!(until(&mut watch, Freshness::is_live), 1, "{what}");
    let meter = Meter::start();
    go.send(()).expect("the server waits");
    let stale = |freshness: Freshness| freshness.reasons().contains(Reasons::DISCONNECTED);
    assert_eq!(until(&mut watch, stale), 1, "{what}: the last value stays");
    let peak = meter.peak();
    go.send(()).expect("the server waits");
    assert_eq!(until(&mut watch, Freshness::is_live), 2, "{what}");
    let lost = attached.state().last_loss;
    let lost = lost.unwrap_or_else(|| panic!("{what}: nothing was lost"));
    let code = said.recv_timeout(LONG).expect("the attack is over");
    cache.close_blocking(LONG).expect("every thread ends");
    let counters = attached.counters();
    assert!(counters.balanced(), "{what}: {counters:?}");
    assert_eq!((counters.opens, counters.reconnects), (2, 1), "{what}");
    Outcome {
        counters,
        lost,
        code,
        peak,
    }
}

/// Reads to the end, and finds the code of the client's close frame.
fn close_code(stream: &mut TcpStream) -> Option<u16> {
    let mut bytes = Vec::new();
    // A reset ends it as well.
    let _ = stream.read_to_end(&mut bytes);
    let mut rest = &bytes[..];
    while let [first, second, ..] = *rest {
        let (head, len) = match second & 0x7f {
            126 => (
                4,
                usize::from(u16::from_be_bytes(*rest.get(2..)?.first_chunk()?)),
            ),
            127 => return None,
            len => (2, usize::from(len)),
        };
        let mask = rest.get(head..head + 4)?;
        let payload = rest.get(head + 4..head + 4 + len)?;
        if first == 0x88 {
            let [high, low] = *payload.first_chunk()?;
            return Some(u16::from_be_bytes([high ^ mask[0], low ^ mask[1]]));
        }
        rest = &rest[head + 4 + len..];
    }
    None
}

/// A frame with the shortest length, whatever its first byte says.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        len @ 0..=125 => out.push(len as u8),
        len @ 126..=0xffff => {
            out.push(126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(payload);
    out
}

/// Sends the same bytes again and again: `times` times, or until the client hangs up.
pub(crate) fn flood(stream: &mut TcpStream, bytes: &[u8], times: usize) -> std::io::Result<()> {
    // Many in one call: small writes would make the flood a trickle.
    let many = (64 << 10) / bytes.len() + 1;
    let block = bytes.repeat(many.min(times));
    let (blocks, rest) = (times / many.min(times), times % many.min(times));
    for _ in 0..blocks {
        stream.write_all(&block)?;
    }
    stream.write_all(&block[..rest * bytes.len()])
}
