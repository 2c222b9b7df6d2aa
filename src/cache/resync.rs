//! Resyncs as users describe them: who is asked for a value that a feed has lost.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
#[cfg(feature = "net")]
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::attach_error::AttachError;
use super::feed::Feed;
use super::freshness::{Reasons, Surroundings, standing};
use super::handle::Cache;
use super::query::QueryError;
use crate::feed::{Counters, Protocol, Snapshot};
use crate::io::plane::{
    FetchContext, FetchError, Fetched, Fetcher, Plane, Resyncing as PlaneResyncing,
};
use crate::io::wanted::Wanted;
use crate::key::Id;
use crate::store::Store;
use crate::sync::Arc;

#[cfg(feature = "net")]
use super::feed::Connect;
#[cfg(feature = "net")]
use crate::io::{
    connect::ConnectOptions,
    rest::{Rest, RestError},
};

/// How long a stream has to heal a value by itself, unless set.
const AFTER: Duration = Duration::from_secs(1);

/// A value that a feed has lost, or has not brought yet: what [`Feed::resync`] asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Resync {
    /// The entity.
    pub entity: Arc<str>,
    /// The channel: the entity without the name of the feed before it.
    pub channel: Arc<str>,
    /// The id.
    pub id: Id,
    /// Why the value is not live; nothing if there is none yet.
    pub reason: Reasons,
    /// Where the value held stands in its source's numbering, if it has a number: an answer that is
    /// [`as_of`](Fetched::as_of) less is dropped, and asked for again.
    pub sequence: Option<u64>,
    /// Which attempt it is, from 1.
    pub attempt: u32,
}

type Asking = Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send>>;
type Ask = Arc<dyn Fn(Resync) -> Asking + Send + Sync>;
type SnapshotOf = dyn Fn(&str, &Id) -> Option<Snapshot> + Send + Sync;

/// A preset's snapshots.
enum Snapshots<P> {
    /// Of the protocol as it will be when the feed is attached.
    #[cfg_attr(not(feature = "net"), allow(dead_code, reason = "asked over sockets"))]
    Of(fn(&P) -> Box<SnapshotOf>),
    /// Of the protocol that another one is around.
    Made(Box<SnapshotOf>),
}

/// What a feed says of resyncs.
pub(super) struct Resyncing<P> {
    all: Option<Ask>,
    channels: Vec<(Box<str>, Ask)>,
    snapshots: Option<Snapshots<P>>,
    after: Duration,
    #[cfg(feature = "net")]
    base: Option<String>,
    #[cfg(feature = "net")]
    connect: ConnectOptions,
}

impl<P> Default for Resyncing<P> {
    fn default() -> Self {
        Self {
            all: None,
            channels: Vec::new(),
            snapshots: None,
            after: AFTER,
            #[cfg(feature = "net")]
            base: None,
            #[cfg(feature = "net")]
            connect: ConnectOptions::default(),
        }
    }
}

impl<P: Protocol> Feed<P> {
    /// Has every value that the feed has lost fetched by `fetch`: after a gap, after the open of a
    /// connection (under [`OnConnect::Invalidate`](crate::OnConnect::Invalidate)), or because a
    /// subscription has brought none yet; and what was invalidated otherwise. Nobody need observe
    /// it. Until it is there, the value reads stale, with its reason.
    ///
    /// The stream comes first: what it has made whole by itself within
    /// [`resync_after`](Self::resync_after) is left alone. The fetch is one of the slow plane's:
    /// what comes while it runs is laid over its answer, by number where both have one
    /// ([`Fetched::as_of`]); it is tried again, begins at the pace of
    /// [`CacheBuilder::resyncs_per_second`](crate::CacheBuilder::resyncs_per_second), and is one
    /// with a fetch of the same key that a query runs. A query's own fetcher goes before this one.
    ///
    /// A value whose subscription was ended or refused is not fetched: nobody would say when it
    /// changes. Nor is anything while there is no connection.
    ///
    /// ```
    /// use tickcache::{Feed, FetchError, Fetched, Resync};
    ///
    /// # async fn depth_of(id: tickcache::Id) -> Result<(String, u64), std::io::Error> {
    /// #     Ok((String::new(), 0))
    /// # }
    /// let feed = Feed::events().resync(|lost: Resync| async move {
    ///     let (json, last_update) = depth_of(lost.id).await?;
    ///     Ok(Fetched::json(json).as_of(last_update))
    /// });
    /// ```
    #[must_use]
    pub fn resync<F, R>(mut self, fetch: F) -> Self
    where
        F: Fn(Resync) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Fetched, FetchError>> + Send + 'static,
    {
        self.resync.all = Some(Arc::new(move |resync| Box::pin(fetch(resync))));
        self
    }

    /// As [`resync`](Self::resync), for one channel: the entity without the name of the feed before
    /// it. Goes before what is said for all.
    #[must_use]
    pub fn resync_channel<F, R>(mut self, channel: &str, fetch: F) -> Self
    where
        F: Fn(Resync) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Fetched, FetchError>> + Send + 'static,
    {
        let ask: Ask = Arc::new(move |resync| Box::pin(fetch(resync)));
        self.resync.channels.retain(|(name, _)| **name != *channel);
        self.resync.channels.push((channel.into(), ask));
        self
    }

    /// How long the stream has to heal a value by itself before it is resynced; up to half as much
    /// again is added, so that many do not come at once. Default: 1 s. Shorter heals sooner what
    /// the stream does not, and asks for what it would have sent.
    #[must_use]
    pub fn resync_after(mut self, after: Duration) -> Self {
        self.resync.after = after;
        self
    }
}

#[cfg(feature = "net")]
impl<P: Protocol + Clone + Sync> Feed<P> {
    /// As [`resync`](Self::resync), from the exchange's own REST interface, for the channels whose
    /// answers there are, or map exactly to, what the stream sends; see
    /// [`Protocol::snapshot`]. The others are not resynced, unless a fetcher is given for them,
    /// which goes before this. Connections are made as the feed's are: roots, proxy, local address,
    /// deadlines.
    #[must_use]
    pub fn resync_rest(mut self) -> Self {
        self.resync.snapshots = Some(Snapshots::Of(|protocol| {
            let protocol = protocol.clone();
            Box::new(move |entity, id| protocol.snapshot(entity, id))
        }));
        self
    }

    /// Where [`resync_rest`](Self::resync_rest) asks, in place of the exchange's public host:
    /// `https://host[:port][/path]`. A feed that connects elsewhere than to the public endpoint has
    /// to say it: values of two servers never meet.
    #[must_use]
    pub fn rest_base(mut self, url: &str) -> Self {
        self.resync.base = Some(url.to_owned());
        self
    }
}

#[cfg(feature = "net")]
impl Rest {
    /// Settings of the socket, its proxy and TLS, as of a feed.
    #[must_use]
    pub fn connect(self, change: impl FnOnce(Connect) -> Connect) -> Self {
        let Connect(options) = change(Connect(self.options().clone()));
        self.with_options(options)
    }
}

impl<P> Snapshots<P> {
    fn made(self, protocol: &P) -> Box<SnapshotOf> {
        match self {
            Self::Of(make) => make(protocol),
            Self::Made(snapshots) => snapshots,
        }
    }
}

impl<P> Resyncing<P> {
    /// The same for a protocol around this one.
    pub(super) fn around<Q>(self, protocol: &P) -> Resyncing<Q> {
        let snapshots = self.snapshots.map(|snapshots| snapshots.made(protocol));
        Resyncing {
            all: self.all,
            channels: self.channels,
            snapshots: snapshots.map(Snapshots::Made),
            after: self.after,
            #[cfg(feature = "net")]
            base: self.base,
            #[cfg(feature = "net")]
            connect: self.connect,
        }
    }

    /// Connects as the feed does.
    #[cfg(feature = "net")]
    pub(super) fn connecting(mut self, connect: &ConnectOptions) -> Self {
        self.connect = connect.clone();
        self
    }

    fn is_said(&self) -> bool {
        self.all.is_some() || !self.channels.is_empty() || self.snapshots.is_some()
    }
}

/// Resyncs of a feed that is being attached.
pub(super) struct Plan {
    feed: Arc<str>,
    entities: Vec<Box<str>>,
    wildcard: bool,
    after: Duration,
    wanted: Arc<Wanted>,
    sources: Sources,
}

impl Plan {
    /// What the feed's subscriptions keep up.
    pub(super) fn wanted(&self) -> &Arc<Wanted> {
        &self.wanted
    }

    /// Begins to resync.
    pub(super) fn begin(
        self,
        plane: &Arc<Plane>,
        counters: &Arc<Counters>,
    ) -> Result<(), QueryError> {
        let sources = self.sources;
        plane.resync(PlaneResyncing {
            feed: self.feed,
            entities: self.entities,
            wildcard: self.wildcard,
            fetcher: Box::new(move |entity, id| sources.fetcher(entity, id)),
            after: self.after,
            wanted: self.wanted,
            counters: Arc::clone(counters),
        })?;
        Ok(())
    }
}

impl Cache {
    /// What is resynced of a feed that speaks `protocol`, if anything.
    pub(super) fn resync_plan<P: Protocol>(
        &self,
        said: Resyncing<P>,
        protocol: &P,
    ) -> Result<Option<Plan>, AttachError> {
        if !said.is_said() {
            return Ok(None);
        }
        let claims = protocol.claims();
        let wanted = Wanted::new();
        for subscription in protocol.initial() {
            if let Some((entity, id)) = protocol.value_of(&subscription) {
                wanted.add(&entity, id);
            }
        }
        let feed: Arc<str> = protocol.name().into();
        let about = About {
            store: Arc::clone(&self.shared().store),
            prefix: format!("{feed}."),
        };
        let about = Arc::new(about);
        let fetcher = |ask: Ask| about.fetcher(ask);
        let sources = Sources {
            all: said.all.map(fetcher),
            channels: said
                .channels
                .into_iter()
                .map(|(channel, ask)| (channel, fetcher(ask)))
                .collect(),
            #[cfg(feature = "net")]
            venue: match said.snapshots.map(|snapshots| snapshots.made(protocol)) {
                Some(snapshots) => Some(Desk::new(snapshots, said.base, said.connect)?),
                None => None,
            },
            about,
        };
        Ok(Some(Plan {
            feed,
            entities: claims.entities,
            wildcard: claims.wildcard,
            after: said.after,
            wanted: Arc::new(wanted),
            sources,
        }))
    }
}

/// Who is asked for the values of a feed.
struct Sources {
    about: Arc<About>,
    all: Option<Fetcher>,
    channels: Vec<(Box<str>, Fetcher)>,
    #[cfg(feature = "net")]
    venue: Option<Desk>,
}

impl Sources {
    fn fetcher(&self, entity: &str, id: &Id) -> Option<Fetcher> {
        let channel = self.about.channel(entity);
        let mut own = self.channels.iter();
        let own = own.find(|(name, _)| **name == *channel);
        let own = own.map(|(_, fetcher)| fetcher).or(self.all.as_ref());
        #[cfg(feature = "net")]
        if own.is_none() {
            return self.venue.as_ref()?.fetcher(entity, id);
        }
        let _ = id;
        own.cloned()
    }
}

/// What is told to whoever is asked.
struct About {
    store: Arc<Store>,
    prefix: String,
}

impl About {
    fn channel<'a>(&self, entity: &'a str) -> &'a str {
        entity.strip_prefix(&*self.prefix).unwrap_or(entity)
    }

    fn fetcher(self: &Arc<Self>, ask: Ask) -> Fetcher {
        let about = Arc::clone(self);
        Fetcher::new(move |cx: FetchContext| {
            let asking = about.resync(&cx).map(&*ask);
            async move { asking?.await }
        })
    }

    fn resync(&self, cx: &FetchContext) -> Result<Resync, FetchError> {
        let id = cx.id()?;
        let entity = cx.key().entity().map_or_else(|| "".into(), Arc::clone);
        let slot = self.store.find(&entity);
        let slot = slot.and_then(|entity| entity.find(id.as_ref()));
        let reason = slot.map_or(Reasons::NONE, |slot| {
            let now = Surroundings {
                link: slot.link(),
                invalidation: slot.invalidation(),
            };
            standing(&slot.head(), now).reasons()
        });
        Ok(Resync {
            channel: self.channel(&entity).into(),
            entity,
            id,
            reason,
            sequence: cx.sequence(),
            attempt: cx.attempt(),
        })
    }
}

/// The REST interface of an exchange.
#[cfg(feature = "net")]
struct Desk {
    snapshots: Box<SnapshotOf>,
    /// In place of the exchange's own hosts.
    instead: Option<Rest>,
    connect: ConnectOptions,
    /// By host.
    clients: Mutex<Vec<(&'static str, Rest)>>,
}

#[cfg(feature = "net")]
impl Desk {
    fn new(
        snapshots: Box<SnapshotOf>,
        base: Option<String>,
        connect: ConnectOptions,
    ) -> Result<Self, RestError> {
        let instead = base.map(|base| Rest::new(&base)).transpose()?;
        Ok(Self {
            instead: instead.map(|client| client.with_options(connect.clone())),
            snapshots,
            connect,
            clients: Mutex::default(),
        })
    }

    fn client(&self, base: &'static str) -> Result<Rest, RestError> {
        if let Some(instead) = &self.instead {
            return Ok(instead.clone());
        }
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(of, _)| *of == base) {
            return Ok(client.clone());
        }
        if base.is_empty() {
            return Err(RestError::NoBase);
        }
        let client = Rest::new(base)?.with_options(self.connect.clone());
        clients.push((base, client.clone()));
        Ok(client)
    }

    fn fetcher(&self, entity: &str, id: &Id) -> Option<Fetcher> {
        let snapshot = (self.snapshots)(entity, id)?;
        let client = self.client(snapshot.base);
        Some(Fetcher::new(move |_| {
            let (client, snapshot) = (client.clone(), snapshot.clone());
            async move {
                let path = &snapshot.path_and_query;
                let answer = client?.get_with(path, &snapshot.headers).await?;
                let taken = (snapshot.take)(&answer)?;
                let fetched = Fetched::json(taken.value);
                Ok(match taken.as_of {
                    Some(number) => fetched.as_of(number),
                    None => fetched,
                })
            }
        }))
    }
}

impl<P> fmt::Debug for Resyncing<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channels: Vec<&str> = self.channels.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("Resyncing")
            .field("all", &self.all.is_some())
            .field("channels", &channels)
            .field("rest", &self.snapshots.is_some())
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}
