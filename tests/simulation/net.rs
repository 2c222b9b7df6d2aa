//! The network: connections with delays, cuts and partitions, and what is to happen when.
//!
//! A connection is a pair of local stream sockets: what one end writes, the other can read at once.
//! The delays are made here, on virtual time, before anything is written. Bytes of one direction of
//! one connection arrive in order, as TCP has it; everything else overtakes everything.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tickcache::Time;

use crate::random::Random;
use crate::server::ConnId;

/// What becomes of an attempt to connect.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) enum Dial {
    Made,
    Failed,
    LeaveAlone(Duration),
}

/// What a fetch is answered with.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) enum Answer {
    /// What was true when the server looked.
    Version(usize),
    Error,
    Later(Duration),
    Garbage,
}

#[derive(Clone, Debug, Hash)]
pub(crate) enum Event {
    /// Bytes reach the client.
    Down(ConnId, Vec<u8>),
    /// Bytes reach the server.
    Up(ConnId, Vec<u8>),
    /// The server learns that the client has hung up.
    HungUp(ConnId),
    /// The connection breaks.
    Cut(ConnId),
    Repair(ConnId),
    Dialed {
        leg: usize,
        attempt: u64,
        dial: Dial,
    },
    /// A key that was removed has a value again.
    Return(usize),
    /// A key changes.
    Change(usize),
    /// Changes of all keys are put together and told.
    Flush,
    /// All whole values are told.
    Periodic,
    /// The server looks at what a fetch has asked for.
    Asked(u64, usize),
    Answered(u64, usize, Answer),
    /// A long message is taken apart.
    TakeApart,
    /// Something goes wrong, or somebody comes or goes.
    Mischief,
    Restart,
    ReachableAgain,
    LullEnds,
    StormEnds,
}

/// One connection, seen from the server's end.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) leg: usize,
    end: UnixStream,
    /// What the client has said, up to the last whole frame.
    pub(crate) heard: Vec<u8>,
    /// While nothing comes through: what waits.
    held: Option<Vec<Event>>,
    down_at: Time,
    up_at: Time,
}

#[derive(Debug, Default)]
pub(crate) struct Net {
    pub(crate) conns: BTreeMap<ConnId, Conn>,
    next: ConnId,
    queue: BTreeMap<(Time, u64), Event>,
    order: u64,
    latency: (u64, u64),
}

impl Net {
    pub(crate) fn new(latency: (u64, u64)) -> Self {
        Self {
            latency,
            ..Self::default()
        }
    }

    pub(crate) fn at(&mut self, at: Time, event: Event) {
        self.order += 1;
        self.queue.insert((at, self.order), event);
    }

    pub(crate) fn delay(&self, random: &mut Random) -> Duration {
        random.millis(self.latency.0, self.latency.1)
    }

    /// When the next event is.
    pub(crate) fn next_at(&self) -> Option<Time> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next event that is due.
    pub(crate) fn take_due(&mut self, now: Time) -> Option<Event> {
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// A new connection, and the client's end of it.
    pub(crate) fn open(&mut self, leg: usize, now: Time) -> (ConnId, TcpStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        for end in [&ours, &theirs] {
            end.set_nonblocking(true).expect("a socket need not block");
        }
        self.next += 1;
        let conn = Conn {
            leg,
            end: ours,
            heard: Vec::new(),
            held: None,
            down_at: now,
            up_at: now,
        };
        self.conns.insert(self.next, conn);
        (self.next, TcpStream::from(OwnedFd::from(theirs)))
    }

    /// Sends bytes to the client, in one piece or two.
    pub(crate) fn send(&mut self, id: ConnId, bytes: Vec<u8>, now: Time, random: &mut Random) {
        let cut = random.chance(15).then(|| random.pick(bytes.len()));
        let (first, second) = bytes.split_at(cut.unwrap_or(bytes.len()));
        for piece in [first, second] {
            let delay = self.delay(random);
            let Some(conn) = self.conns.get_mut(&id) else {
                return;
            };
            if !piece.is_empty() {
                conn.down_at = conn.down_at.max(now.after(delay));
                let at = conn.down_at;
                self.at(at, Event::Down(id, piece.to_vec()));
            }
        }
    }

    /// Keeps an event back while its connection lets nothing through.
    pub(crate) fn hold(&mut self, id: ConnId, event: Event) -> Option<Event> {
        match self.conns.get_mut(&id).and_then(|conn| conn.held.as_mut()) {
            Some(held) => {
                held.push(event);
                None
            }
            None => Some(event),
        }
    }

    /// Lets nothing through; whether it did before.
    pub(crate) fn part(&mut self, id: ConnId) -> bool {
        match self.conns.get_mut(&id) {
            Some(conn) if conn.held.is_none() => {
                conn.held = Some(Vec::new());
                true
            }
            _ => false,
        }
    }

    /// Lets everything through again, also what waited.
    pub(crate) fn repair(&mut self, id: ConnId, now: Time) {
        let held = self.conns.get_mut(&id).and_then(|conn| conn.held.take());
        // Before what is on its way: the order of each direction stays.
        let mut due = Vec::new();
        while let Some(event) = self.take_due(now) {
            due.push(event);
        }
        for event in held.into_iter().flatten().chain(due) {
            self.at(now, event);
        }
    }

    /// Gives bytes to the client, if it is there.
    pub(crate) fn deliver(&mut self, id: ConnId, bytes: &[u8]) {
        if let Some(conn) = self.conns.get_mut(&id) {
            match conn.end.write(bytes) {
                Ok(written) => assert_eq!(written, bytes.len(), "a socket that is read has room"),
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) => panic!("the network is broken: {error}"),
            }
        }
    }

    /// Breaks a connection, some within what was on its way; whose it was.
    pub(crate) fn cut(&mut self, id: ConnId, random: &mut Random) -> Option<usize> {
        let mut queue = self.queue.values();
        let under_way = queue.find_map(|event| match event {
            Event::Down(conn, bytes) if *conn == id => Some(bytes.clone()),
            _ => None,
        });
        if let Some(bytes) = under_way.filter(|_| random.chance(70)) {
            let arrived = random.pick(bytes.len());
            self.deliver(id, &bytes[..arrived]);
        }
        self.conns.remove(&id).map(|conn| conn.leg)
    }

    /// Hears what clients have said, and which have hung up.
    pub(crate) fn listen(&mut self, now: Time, random: &mut Random) -> Vec<(ConnId, usize)> {
        let mut gone = Vec::new();
        let mut said = Vec::new();
        for (id, conn) in &mut self.conns {
            let mut bytes = Vec::new();
            match conn.end.read_to_end(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The end, orderly or not.
                _ => gone.push((*id, conn.leg)),
            }
            if !bytes.is_empty() {
                said.push((*id, bytes));
            }
        }
        for (id, bytes) in said {
            let delay = self.delay(random);
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.up_at = conn.up_at.max(now.after(delay));
                let at = conn.up_at;
                self.at(at, Event::Up(id, bytes));
            }
        }
        for (id, _) in &gone {
            let conn = self.conns.remove(id).expect("it was just there");
            // Behind a partition the server learns it late.
            let late = if conn.held.is_some() { 5_000 } else { 0 };
            let at = now.after(self.delay(random) + Duration::from_millis(late));
            self.at(at, Event::HungUp(*id));
        }
        gone
    }
}
