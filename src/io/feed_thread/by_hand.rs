//! A feed without its thread: the same turns, taken by whoever drives it, on a virtual clock.
//!
//! Everything of a feed runs but what waits: the connections of its group, frames, protocol, inbox, sockets
//! (anything that is a connected, non-blocking stream), errands of long messages. Connections are made by the driver when
//! they are asked for, and long messages are taken apart when it says so.

use super::turn::Feed;
use super::{EVENTS, FeedHandle, Parts, Post, Replies, Seen, ThreadOptions, WAKER};
use crate::Time;
use crate::feed::{Leg, Protocol};
use crate::io::bulk::{Offload, Work};
use crate::io::clock::Clock;
use crate::io::connect::{ConnectError, Connected, Stage};
use crate::io::connector::Connector;
use crate::io::inbox::inbox;
use crate::io::latch::WakeOn;
use crate::io::runtime::Runtime;
use crate::io::status::{Board, FeedEnd};
use crate::io::target::Target;
use crate::ws::HandshakeError;
use hyper::body::Bytes;
use mio::{Events, Poll};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a connection that is made by hand says of its peer.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// Long messages that wait to be taken apart.
type Errands = Arc<Mutex<VecDeque<Work>>>;

/// A feed whose turns its driver takes.
pub(crate) struct HandFeed<'a, P, T> {
    feed: Feed<'a, P, T>,
    errands: Errands,
    ended: bool,
}

/// What a feed by hand is made of, for as long as it is driven.
pub(crate) struct Bench {
    post: Post,
    errands: Errands,
    handle: FeedHandle,
}

impl Bench {
    /// Room for a feed on `clock`, which is to be a virtual one. What is no longer needed is dropped
    /// on `runtime`.
    ///
    /// # Errors
    /// If the system gives no poller.
    pub(crate) fn new<P: Protocol, T: Target>(
        options: ThreadOptions,
        runtime: Runtime,
        clock: Clock,
        parts: &Parts<P, T>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        let bell = Arc::clone(&waker);
        let ring = move || {
            // Fails only where the poller is gone, and the feed with it.
            let _ = bell.wake();
        };
        let counters = Arc::clone(parts.group.counters());
        let (inbox, commands) = inbox(options.inbox, counters, WakeOn::here(), ring);
        let first_data_within = parts.group.config().settings().first_data_within;
        let board = Arc::new(Board::new(WakeOn::here(), first_data_within));
        let errands = Errands::default();
        let (queue, waiting) = (Arc::clone(&errands), Arc::clone(&errands));
        let offload = Offload::by_hand(
            move |work| lock(&queue).push_back(work),
            move || {
                take_apart(&waiting);
            },
        );
        Ok(Self {
            post: Post {
                poll,
                offload,
                events: Events::with_capacity(EVENTS),
                runtime,
                connectors: Leg::ALL.map(|_| Connector::by_hand(Arc::clone(&waker))),
                legs: <[Seen; Leg::COUNT]>::default(),
                commands,
                board: Arc::clone(&board),
                clock,
                replies: Replies::default(),
                wanted: BTreeSet::new(),
                options,
            },
            errands,
            handle: FeedHandle {
                inbox,
                board,
                thread: Mutex::new(None),
            },
        })
    }

    /// Gives the feed's handle away, which is as that of one with a thread.
    pub(crate) fn handle(&self) -> FeedHandle {
        FeedHandle {
            inbox: self.handle.inbox.clone(),
            board: Arc::clone(&self.handle.board),
            thread: Mutex::new(None),
        }
    }

    /// Begins the feed.
    pub(crate) fn begin<P: Protocol, T: Target>(
        &mut self,
        parts: Parts<P, T>,
    ) -> HandFeed<'_, P, T> {
        let mut feed = Feed::new(&mut self.post, parts);
        let now = feed.begin();
        let ended = feed.conclude(now);
        HandFeed {
            feed,
            errands: Arc::clone(&self.errands),
            ended,
        }
    }

    /// The feed has ended: whoever waits is told.
    pub(crate) fn end(self) {
        let board = Arc::clone(&self.post.board);
        drop(self.post);
        board.ended(FeedEnd::Stopped);
    }
}

impl<P: Protocol, T: Target> HandFeed<'_, P, T> {
    /// The legs that ask for a connection, each with the number of its attempt.
    pub(crate) fn asked(&self) -> impl Iterator<Item = (usize, u64)> {
        let connectors = self.feed.post.connectors.iter().enumerate();
        connectors.filter_map(|(leg, connector)| Some((leg, connector.asked()?)))
    }

    /// The attempt of a leg has led to this connection, whose handshake is done; `leftover` came
    /// behind it.
    pub(crate) fn connected(&self, leg: usize, stream: TcpStream, leftover: &[u8]) {
        self.feed.post.connectors[leg].answer(Ok(Connected {
            stream,
            tls: None,
            leftover: Bytes::copy_from_slice(leftover),
            protocol: None,
            texts: Vec::new(),
            peer: PEER,
        }));
    }

    /// The attempt of a leg has failed: it took too long, or the server asks to be left alone.
    pub(crate) fn failed(&self, leg: usize, retry_after: Option<Duration>) {
        let error = match retry_after {
            None => ConnectError::TimedOut {
                stage: Stage::Connect,
                after: self.feed.post.options.connect.connect_timeout,
            },
            Some(_) => ConnectError::Handshake(HandshakeError::Status {
                status: 503,
                location: None,
                retry_after,
            }),
        };
        self.feed.post.connectors[leg].answer(Err(error));
    }

    /// Takes turns until nothing is left to be done at this instant; whether the feed goes on.
    ///
    /// # Errors
    /// If the poller fails.
    pub(crate) fn run(&mut self) -> io::Result<bool> {
        while !self.ended && self.has_something()? {
            let now = self.feed.turn(None);
            self.ended = self.feed.conclude(now);
        }
        Ok(!self.ended)
    }

    /// Whether a thread would not sleep now.
    fn has_something(&mut self) -> io::Result<bool> {
        self.feed.post.wait(Some(Duration::ZERO))?;
        let now = self.feed.post.clock.now();
        Ok(!self.feed.post.events.is_empty()
            || self.feed.has_work()
            || self.feed.may_read()
            || self.feed.due().is_some_and(|due| due <= now))
    }

    /// Whether commands wait for [`run`](Self::run).
    pub(crate) fn has_commands(&self) -> bool {
        !self.feed.post.commands.is_empty()
    }

    /// When the feed has something to do by itself, if ever.
    pub(crate) fn due(&self) -> Option<Time> {
        self.feed.due().filter(|_| !self.ended)
    }

    /// Takes the first long message apart that waits for it; whether one did.
    pub(crate) fn take_apart(&mut self) -> bool {
        take_apart(&self.errands)
    }
}

/// Whether there was one.
fn take_apart(errands: &Errands) -> bool {
    let work = lock(errands).pop_front();
    work.map(|work| work()).is_some()
}

fn lock(errands: &Errands) -> std::sync::MutexGuard<'_, VecDeque<Work>> {
    errands.lock().unwrap_or_else(PoisonError::into_inner)
}
