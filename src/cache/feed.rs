//! A feed as users describe it: the protocol, the connection, the thread.

use std::time::Duration;

use super::liveness::Watched;
use super::resync::Resyncing;
use super::unmapped::UnmappedHook;
use crate::feed::presets::{BinanceSpot, Events, Exchange, Venue};
use crate::feed::{Backoff, Covers, Envelope, Ids, Missing, OnConnect, Pace, Protocol, Settings};
#[cfg(feature = "net")]
use crate::io::{
    connect::{ConnectOptions, Proxy},
    endpoint::{Attempt, BoxError, Endpoint, EndpointSource},
    feed_thread::{Restart, ThreadOptions, Waiting},
    tls::{Roots, Tls},
};
use crate::record::Mode;
use crate::ws::Limits;

mod presets;

/// One upstream: what it speaks, how to reach it, and how its thread behaves. Handed to
/// [`Cache::attach`](super::Cache::attach), or to [`Cache::local`](super::Cache::local) to be driven
/// without sockets.
///
/// ```
/// use std::time::Duration;
/// use tickcache::Feed;
///
/// let feed = Feed::binance_spot()
///     .named("spot")
///     .book_ticker(["BTCUSDT"])
///     .ticker(["BTCUSDT", "ETHUSDT"])
///     .silent_after(Duration::from_secs(5));
/// ```
#[derive(Debug)]
pub struct Feed<P> {
    pub(super) protocol: P,
    pub(super) settings: Settings,
    pub(super) inbox: usize,
    pub(super) max_items: usize,
    pub(super) watched: Vec<Watched>,
    pub(super) unmapped: Option<UnmappedHook>,
    pub(super) resync: Resyncing<P>,
    #[cfg(feature = "net")]
    pub(super) thread: ThreadOptions,
    #[cfg(feature = "net")]
    pub(super) redundant: bool,
    #[cfg(feature = "net")]
    pub(super) lifetime: Option<Duration>,
}

/// How many commands may wait for a feed, unless set.
const INBOX: usize = 1024;
/// How many patches one message may hold, unless set.
const MAX_ITEMS: usize = 65_536;

impl<P: Protocol> Feed<P> {
    /// A feed with a protocol of your own.
    #[must_use]
    pub fn custom(protocol: P) -> Self {
        Self {
            protocol,
            settings: Settings::default(),
            inbox: INBOX,
            max_items: MAX_ITEMS,
            watched: Vec::new(),
            unmapped: None,
            resync: Resyncing::default(),
            #[cfg(feature = "net")]
            thread: ThreadOptions::default(),
            #[cfg(feature = "net")]
            redundant: false,
            #[cfg(feature = "net")]
            lifetime: None,
        }
    }

    fn with(mut self, change: impl FnOnce(P) -> P) -> Self {
        self.protocol = change(self.protocol);
        self
    }

    /// The same feed with another protocol: mostly one around its own, which listens in. The
    /// endpoint and all settings stay.
    #[must_use]
    pub fn map<Q: Protocol>(self, change: impl FnOnce(P) -> Q) -> Feed<Q> {
        let resync = self.resync.around(&self.protocol);
        Feed {
            protocol: change(self.protocol),
            settings: self.settings,
            inbox: self.inbox,
            max_items: self.max_items,
            watched: self.watched,
            unmapped: self.unmapped,
            resync,
            #[cfg(feature = "net")]
            thread: self.thread,
            #[cfg(feature = "net")]
            redundant: self.redundant,
            #[cfg(feature = "net")]
            lifetime: self.lifetime,
        }
    }

    /// Values turn `Silent` when no data came for so long; heartbeats and pongs are not data.
    /// Default: off, since only you know how often the source speaks.
    #[must_use]
    pub fn silent_after(mut self, silence: Duration) -> Self {
        self.settings.silent_after = silence;
        self
    }

    /// Values of one entity turn `Silent` when nothing came for *it* for so long, whatever comes for
    /// others: a channel of the feed (`"ticker"`) or the entity by its whole name. Counts from the
    /// open of a connection; what a user writes is nothing that came. Costs one store for each
    /// message, and a look when the time has come. Default: off.
    ///
    /// Attaching fails if the feed writes no such entity.
    #[must_use]
    pub fn entity_silent_after(mut self, channel_or_entity: &str, silence: Duration) -> Self {
        self.watched.push((channel_or_entity.into(), silence));
        self
    }

    /// The connection is given up when nothing at all came for so long; half-way a ping is sent.
    /// Default: 30 s.
    #[must_use]
    pub fn dead_after(mut self, silence: Duration) -> Self {
        self.settings.dead_after = silence;
        self
    }

    /// Delays between attempts to connect. Default: 500 ms, doubling to 30 s, half of it random.
    /// `Backoff::fixed(Duration::from_secs(3))` is what many web clients do.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// What the open of a connection does to the values it covers. Default: invalidate.
    #[must_use]
    pub fn on_connect(mut self, on_connect: OnConnect) -> Self {
        self.settings.on_connect = on_connect;
        self
    }

    /// How fast messages may be sent. Default: what the protocol knows, else any speed.
    #[must_use]
    pub fn pace(mut self, pace: Pace) -> Self {
        self.settings.pace = Some(pace);
        self
    }

    /// Longest message and size of the read buffer, in bytes. Default: 16 MiB and 64 KiB.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Every other setting of the connection's state machine.
    #[must_use]
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// How many commands of other threads may wait. Default: 1,024.
    #[must_use]
    pub fn inbox(mut self, commands: usize) -> Self {
        self.inbox = commands;
        self
    }

    /// How many patches one message may hold; one with more is refused whole. Default: 65,536.
    #[must_use]
    pub fn max_items(mut self, patches: usize) -> Self {
        self.max_items = patches;
        self
    }
}

#[cfg(feature = "net")]
impl<P: Protocol> Feed<P> {
    /// Where to connect to, with headers and first texts. Default: where the protocol says.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.thread.endpoint = EndpointSource::Fixed(endpoint);
        self
    }

    /// As [`endpoint`](Self::endpoint), made anew for each attempt to connect: fresh tokens,
    /// signatures, another host. Runs on the runtime, never on the feed's thread. What it holds is
    /// neither logged nor shown by `Debug`.
    #[must_use]
    pub fn endpoint_with<F, R>(mut self, make: F) -> Self
    where
        F: Fn(Attempt) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Endpoint, BoxError>> + Send + 'static,
    {
        self.thread.endpoint = EndpointSource::hook(make);
        self
    }

    /// Two connections carry the same streams, so that either may be lost, or fall silent for
    /// [`silent_after`](Self::silent_after), and nothing turns stale. Where whole values have a
    /// number that strictly rises, each is shown as soon as either connection brings it; of all
    /// else the second connection's is shown once the first one is lost or silent. Costs the
    /// traffic twice, and memory for a second copy of what has no such number. Default: one.
    #[must_use]
    pub fn redundant(mut self) -> Self {
        self.redundant = true;
        self
    }

    /// As [`redundant`](Self::redundant), with the second connection by another way: another host
    /// of the same venue, another address. It has to carry the same streams with the same numbers.
    #[must_use]
    pub fn redundant_via(mut self, endpoint: Endpoint) -> Self {
        self.thread.second = Some(EndpointSource::Fixed(endpoint));
        self.redundant()
    }

    /// How long the server lets a connection live: each is replaced before that, by a successor
    /// that carries the same streams before the old one is closed, so that nothing turns stale.
    /// Default: what the protocol knows; and whenever the server says that it will close a
    /// connection. [`Duration::MAX`] switches both off.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Keeps the feed's thread on this core. Linux; elsewhere it is ignored with a warning.
    #[must_use]
    pub fn pin(mut self, core: usize) -> Self {
        self.thread.pin = Some(core);
        self
    }

    /// Asks the sockets again and again instead of sleeping: saves the wake-up, occupies a core. As
    /// [`waiting`](Self::waiting) with [`Waiting::BusyPoll`].
    #[must_use]
    pub fn busy_poll(mut self) -> Self {
        self.thread.waiting = Waiting::BusyPoll;
        self
    }

    /// How the feed's thread waits for messages. Default: [`Waiting::Block`].
    ///
    /// A feed that must be fast and whose messages come in flurries:
    /// `feed.waiting(Waiting::SPIN_THEN_PARK)`.
    #[must_use]
    pub fn waiting(mut self, waiting: Waiting) -> Self {
        self.thread.waiting = waiting;
        self
    }

    /// What follows a panic on the feed's thread. Default: the feed ends and says why.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.thread.restart = restart;
        self
    }

    /// Settings of the socket, its proxy and TLS.
    #[must_use]
    pub fn connect(mut self, change: impl FnOnce(Connect) -> Connect) -> Self {
        self.thread.connect = change(Connect(self.thread.connect)).0;
        self
    }
}

/// Settings of the socket, its proxy and TLS.
#[cfg(feature = "net")]
#[derive(Clone, Debug)]
pub struct Connect(pub(super) ConnectOptions);

#[cfg(feature = "net")]
impl Connect {
    /// The local address to connect from.
    #[must_use]
    pub fn bind(mut self, address: std::net::IpAddr) -> Self {
        self.0.bind = Some(address);
        self
    }

    /// Whether small writes are sent at once. Default: yes.
    #[must_use]
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.0.nodelay = nodelay;
        self
    }

    /// The kernel's receive buffer, in bytes. Default: the system's.
    #[must_use]
    pub fn receive_buffer(mut self, bytes: u32) -> Self {
        self.0.receive_buffer = Some(bytes);
        self
    }

    /// An HTTP proxy to be asked for the connection with `CONNECT`.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.0.proxy = Some(proxy);
        self
    }

    /// Which certificates are trusted. Default: the system's.
    #[must_use]
    pub fn roots(mut self, roots: Roots) -> Self {
        self.0.tls = Tls::from_roots(roots);
        self
    }

    /// A TLS configuration of your own, used as it is.
    #[must_use]
    pub fn tls(mut self, config: std::sync::Arc<rustls::ClientConfig>) -> Self {
        self.0.tls = Tls::given(config);
        self
    }
}

impl<V: Venue> Feed<Exchange<V>> {
    /// What the feed is called, and the prefix of its entities. Default: the name of the preset.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.with(|exchange| exchange.named(name))
    }

    /// Where to connect to, in place of the public endpoint.
    #[must_use]
    pub fn base(self, url: &str) -> Self {
        self.with(|exchange| exchange.base(url))
    }

    /// Streams of a channel, as the exchange spells it, one for each id.
    #[must_use]
    pub fn stream<N: AsRef<str>>(self, channel: &str, ids: impl IntoIterator<Item = N>) -> Self {
        self.with(|exchange| exchange.stream(channel, ids))
    }

    /// Changes a setting of the venue.
    #[must_use]
    pub fn venue(self, change: impl FnOnce(V) -> V) -> Self {
        self.with(|exchange| exchange.with(change))
    }
}

impl Feed<BinanceSpot> {
    /// Best bid and ask of these symbols, on each change.
    #[must_use]
    pub fn book_ticker<N: AsRef<str>>(self, symbols: impl IntoIterator<Item = N>) -> Self {
        self.stream("bookTicker", symbols)
    }

    /// Statistics of the last 24 hours of these symbols, each second.
    #[must_use]
    pub fn ticker<N: AsRef<str>>(self, symbols: impl IntoIterator<Item = N>) -> Self {
        self.stream("ticker", symbols)
    }

    /// The last trade of these symbols.
    #[must_use]
    pub fn trade<N: AsRef<str>>(self, symbols: impl IntoIterator<Item = N>) -> Self {
        self.stream("trade", symbols)
    }
}

impl Feed<Events> {
    /// Plain events: `{"entity","id","payload"}` merges, without `payload` it invalidates, and
    /// `payload: null` removes.
    #[must_use]
    pub fn events() -> Self {
        Self::custom(Events::new())
    }

    /// What the feed is called.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.with(|protocol| protocol.named(name))
    }

    /// Where to connect to.
    #[must_use]
    pub fn url(self, url: &str) -> Self {
        self.with(|protocol| protocol.url(url))
    }

    /// How payloads change values. Default: [`Mode::Merge`], RFC 7396; [`Mode::Shallow`] is
    /// `{...old, ...payload}`.
    #[must_use]
    pub fn merge(self, mode: Mode) -> Self {
        self.with(|protocol| protocol.merge(mode))
    }

    /// What a payload for an unknown id does. Default: it is ignored.
    #[must_use]
    pub fn missing(self, missing: Missing) -> Self {
        self.with(|protocol| protocol.missing(missing))
    }

    /// Payloads are whole values: they replace, and make live.
    #[must_use]
    pub fn whole(self) -> Self {
        self.with(Events::whole)
    }

    /// Whether ids are texts whatever they are sent as: `7` and `"7"` are then one id. Default: as
    /// sent.
    #[must_use]
    pub fn ids(self, ids: Ids) -> Self {
        self.with(|protocol| protocol.ids(ids))
    }

    /// A text to be sent whenever a connection opens: a subscription, an authentication.
    #[must_use]
    pub fn on_open(self, text: &str) -> Self {
        self.with(|protocol| protocol.on_open(text))
    }

    /// Entities it owns from the start; it claims others at their first payload.
    #[must_use]
    pub fn entities<N: Into<Box<str>>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.with(|protocol| protocol.entities(names))
    }

    /// Which entities of others go stale with its connection. Default: those no other feed owns.
    #[must_use]
    pub fn covers(self, covers: Covers) -> Self {
        self.with(|protocol| protocol.covers(covers))
    }
}

impl Feed<Envelope> {
    /// Messages whose parts are found by JSON pointers.
    #[must_use]
    pub fn envelope(envelope: Envelope) -> Self {
        Self::custom(envelope)
    }
}
