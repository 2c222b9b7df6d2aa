//! The engine's side of an exchange: its feed, its slots, and one look at a value.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tickcache::Endpoint;
use tickcache::cache::{Cache, Entity, Feed, FeedRef, Field, Freshness, Reader, Reading, Slot};
use tickcache::feed::{
    Backoff, Envelope, Jitter, MessageKind, Missing, OnConnect, Policy, Protocol, Rule,
};
use tickcache::{FetchError, Fetched, key};

use super::audit::Claims;
use super::exchange::Exchange;
use super::form::Form;
use super::tape::{Recording, Taped};
use super::truth::{AT, CHECK, COUNT, PARTS, Value};
use crate::Failure;
use crate::rest::{GetError, get};

/// Delays between attempts to connect.
pub(crate) const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(50),
    factor: 2,
    max: Duration::from_secs(1),
    jitter: Jitter::Half,
};

/// Without data for so long, values are `Silent`.
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(1);

/// Without a byte for so long, a connection is given up.
pub(crate) const DEAD_AFTER: Duration = Duration::from_secs(2);

/// How long a handshake may take, and an answer to a request over the stream.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How long an answer of the REST side may take.
const FETCH_WITHIN: Duration = Duration::from_millis(300);

/// Time between two attempts to fetch.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// How long a stream has to heal a value by itself.
const RESYNC_AFTER: Duration = Duration::from_millis(100);

/// Beyond the time in which the engine must notice, what everything else may take.
pub(crate) const SLACK: Duration = Duration::from_secs(1);

/// What the fetchers have seen.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    pub(crate) asked: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl Fetches {
    async fn fetch(self: Arc<Self>, addr: SocketAddr, id: String) -> Result<Fetched, FetchError> {
        self.asked.fetch_add(1, Relaxed);
        let answer = get(addr, &format!("/{id}"), FETCH_WITHIN).await;
        match &answer {
            Ok(_) => {}
            Err(GetError::Timeout(_)) => drop(self.timed_out.fetch_add(1, Relaxed)),
            Err(_) => drop(self.failed.fetch_add(1, Relaxed)),
        }
        let answer = answer?;
        let fetched = Fetched::json(answer.body);
        Ok(match answer.revision {
            Some(number) => fetched.as_of(number),
            None => fetched,
        })
    }
}

/// An exchange and what the engine has of it.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) cache: Cache,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) form: Form,
    pub(crate) feed: FeedRef,
    pub(crate) entity: Entity,
    pub(crate) slots: Vec<Slot>,
    pub(crate) fetches: Arc<Fetches>,
    /// A live value is never older.
    oldest: Duration,
    fields: [Field; COUNT + 2],
}

/// One look at a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) freshness: Freshness,
    pub(crate) epoch: u64,
    /// What is there, complete or not.
    pub(crate) value: Value,
    pub(crate) check: Option<u64>,
}

impl Look {
    fn of(reading: Reading<'_, { COUNT + 2 }>) -> Self {
        let (freshness, epoch) = (reading.freshness(), reading.epoch());
        let members = reading.even_if_stale().map(|member| member.u64().ok());
        let [bid, ask, size, open, high, last, at, check] = members;
        Self {
            freshness,
            epoch,
            value: Value {
                parts: [bid, ask, size, open, high, last],
                at: at.unwrap_or_default(),
            },
            check,
        }
    }

    /// Whether its members are of one version.
    pub(crate) fn checks(&self, id: usize) -> bool {
        self.check == Some(self.value.check(id))
    }
}

impl Line {
    /// Connects the engine to an exchange. `rate` is that of all exchanges.
    pub(crate) fn attach(
        cache: &Cache,
        exchange: &Arc<Exchange>,
        rate: u64,
        recording: &Recording,
    ) -> Result<Self, Failure> {
        let (form, addr) = (exchange.form, exchange.addr);
        let fetches = Arc::new(Fetches::default());
        let url = format!("ws://{addr}");
        let symbols = (0..exchange.ids).map(super::form::symbol);
        let feed = match form {
            Form::Spot => {
                let feed = Feed::binance_spot().named(form.name()).base(&url);
                cache.attach(usual(feed.book_ticker(symbols)))
            }
            Form::Pair => {
                let feed = Feed::binance_spot().named(form.name()).base(&url);
                cache.attach(usual(feed.book_ticker(symbols).redundant()))
            }
            Form::Linear => {
                let feed = Feed::bybit_linear().named(form.name()).base(&url);
                cache.attach(usual(feed.stream("tickers", symbols)))
            }
            Form::Chain => {
                let asking = Arc::clone(&fetches);
                let feed = Feed::envelope(envelope(form, &url)?)
                    .resync(move |lost| Arc::clone(&asking).fetch(addr, lost.id.to_string()));
                let by_stream = cache.defaults(key![form.entity()]);
                by_stream.retry(8).retry_delay(retry_delay);
                cache.attach(usual(feed).resync_after(RESYNC_AFTER))
            }
            Form::Counted => cache.attach(usual(Feed::envelope(envelope(form, &url)?))),
            Form::Jobs => {
                let asking = Arc::clone(&fetches);
                let jobs = cache.defaults(key![form.entity()]);
                jobs.retry(8)
                    .retry_delay(retry_delay)
                    .stale_never()
                    .fetch(move |cx| {
                        let asking = Arc::clone(&asking);
                        async move { asking.fetch(addr, cx.id()?.to_string()).await }
                    });
                let feed = Feed::events().named(form.name()).url(&url);
                cache.attach(usual(feed.entities([form.entity()])))
            }
            Form::Clean => {
                let taped = Taped::new(envelope(form, &url)?, recording);
                // Nothing happens to this connection, however slow the machine is.
                let feed = Feed::custom(taped).endpoint(Endpoint::new(&url));
                cache.attach(feed.silent_after(SILENT_AFTER))
            }
        }?;
        let entity = cache.entity(form.entity());
        let [bid, ask, size, open, high, last] = PARTS;
        let fields = entity.fields([bid, ask, size, open, high, last, AT, CHECK])?;
        let slots = (0..exchange.ids).map(|id| entity.slot(form.id(id)));
        Ok(Self {
            cache: cache.clone(),
            form,
            feed,
            slots: slots.collect(),
            entity,
            fetches,
            oldest: SILENT_AFTER + form.period(rate, exchange.ids) + SLACK,
            fields,
            exchange: Arc::clone(exchange),
        })
    }

    /// What its values are held to.
    pub(crate) fn claims(&self) -> Claims {
        Claims {
            form: self.form,
            oldest: self.oldest,
        }
    }

    /// Looks at a value as anybody may.
    pub(crate) fn look(&self, id: usize) -> Look {
        Look::of(self.slots[id].read(self.fields))
    }

    /// As [`look`](Self::look), by a reader that stays with the slot.
    pub(crate) fn look_by(&self, reader: &mut Reader) -> Look {
        Look::of(reader.read(self.fields))
    }

    /// Whether all its connections could be shown at once.
    pub(crate) fn is_whole(&self) -> bool {
        self.form != Form::Pair || {
            let legs = self.feed.state().legs;
            legs.len() == 2 && legs.iter().all(|leg| leg.ready)
        }
    }

    /// How it stands, in a few words.
    pub(crate) fn standing(&self) -> String {
        let status = self.feed.state();
        let loss = status.last_loss.map(|loss| format!(", last lost: {loss}"));
        let error = status.last_error.map(|error| format!(", {error}"));
        format!(
            "{:?}{}{}",
            status.state,
            loss.unwrap_or_default(),
            error.unwrap_or_default()
        )
    }
}

/// What all feeds have that anything may happen to.
fn usual<P: Protocol>(feed: Feed<P>) -> Feed<P> {
    feed.backoff(BACKOFF)
        .on_connect(OnConnect::Invalidate)
        .silent_after(SILENT_AFTER)
        .dead_after(DEAD_AFTER)
        .settings(|settings| {
            settings.connect_timeout = ANSWER_WITHIN;
            settings.handshake_timeout = ANSWER_WITHIN;
            settings.answer_timeout = ANSWER_WITHIN;
        })
}

fn retry_delay(failures: u32, _: &FetchError) -> Duration {
    RETRY_AFTER * 2_u32.pow(failures.min(3))
}

/// How the messages of an exchange without a preset are read.
pub(crate) fn envelope(form: Form, url: &str) -> Result<Envelope, Failure> {
    let envelope = Envelope::builder(form.name())
        .url(url)
        .constant_entity(form.entity())
        .entities([form.entity()])
        .id("/id")
        .payload("/value");
    let envelope = match form {
        Form::Chain => envelope
            .default_kind(MessageKind::Patch)
            // What comes before the first answer is not lost: it is laid over it.
            .missing(Missing::Insert)
            .sequence("/n", Policy::continuing(Rule::ContiguousPerKey)),
        Form::Counted => envelope
            .default_kind(MessageKind::Whole)
            .connection_sequence("/c"),
        _ => envelope.default_kind(MessageKind::Whole),
    };
    Ok(envelope.build()?)
}
