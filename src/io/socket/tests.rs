use super::*;
use crate::io::peer::{Authority, LONG, Peer, drain, secure};
use crate::io::tls::{Roots, Tls};
use mio::{Events, Poll};
use std::sync::mpsc;

const TOKEN: Token = Token(7);

/// A socket on a poller of its own.
struct Side {
    poll: Poll,
    events: Events,
    socket: Socket,
}

impl Side {
    fn new(stream: std::net::TcpStream, tls: Option<Box<ClientConnection>>) -> Self {
        stream.set_nonblocking(true).expect("an option");
        let poll = Poll::new().expect("a poller");
        let mut socket = Socket::new(stream, tls);
        socket.register(poll.registry(), TOKEN).expect("registered");
        Self {
            poll,
            events: Events::with_capacity(8),
            socket,
        }
    }

    fn plain(peer: &Peer) -> Self {
        Self::new(
            std::net::TcpStream::connect(peer.address).expect("connected"),
            None,
        )
    }

    fn secure(peer: &Peer, authority: &Authority) -> Self {
        let config = Tls::from_roots(Roots::Pem(authority.pem.clone().into()));
        let config = config.config().expect("a configuration");
        let name = "localhost".try_into().expect("a name");
        let tls = ClientConnection::new(config, name).expect("a session");
        let stream = std::net::TcpStream::connect(peer.address).expect("connected");
        Self::new(stream, Some(Box::new(tls)))
    }

    fn wait(&mut self) {
        self.poll
            .poll(&mut self.events, Some(LONG))
            .expect("polled");
        assert!(!self.events.is_empty(), "nothing happened in time");
        for event in &self.events {
            self.socket.notice(event);
        }
        // What rustls holds goes when there is room, as a feed's thread does each turn.
        self.socket.flush().expect("flushed");
    }

    /// Reads until `wanted` bytes have come.
    fn read(&mut self, wanted: usize) -> Vec<u8> {
        let mut received = Vec::new();
        let mut space = [0; 1000];
        while received.len() < wanted {
            match self.socket.read(&mut space).expect("a read") {
                ReadOutcome::Filled(count) => received.extend_from_slice(&space[..count]),
                ReadOutcome::Blocked => self.wait(),
                ReadOutcome::Closed { .. } => panic!("closed after {} bytes", received.len()),
            }
        }
        received
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut written = 0;
        while written < bytes.len() {
            written += self.socket.write(&bytes[written..]).expect("a write");
            if written < bytes.len() {
                self.wait();
            }
        }
    }

    /// Writes what fits without waiting, to a peer that does not read: how much that was.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        loop {
            match self.socket.write(&bytes[written..]).expect("a write") {
                0 => break,
                more => written += more,
            }
        }
        assert!(written < bytes.len(), "the peer does not read");
        written
    }

    fn end(&mut self) -> ReadOutcome {
        loop {
            match self.socket.read(&mut [0; 64]).expect("a read") {
                ReadOutcome::Blocked => self.wait(),
                ReadOutcome::Filled(_) => {}
                end @ ReadOutcome::Closed { .. } => return end,
            }
        }
    }
}

/// More than any kernel buffers for a peer that does not read.
fn flood() -> Vec<u8> {
    (0..16_usize << 20).map(|n| (n % 251) as u8).collect()
}

#[test]
fn a_plain_socket_reads_writes_in_parts_and_sees_the_end() {
    let (go, start) = mpsc::channel::<()>();
    let peer = Peer::once(move |mut stream| {
        stream.write_all(b"hello").expect("sent");
        start.recv_timeout(LONG).expect("told to read");
        let mut received = vec![0; flood().len()];
        stream.read_exact(&mut received).expect("all of it");
        assert_eq!(received, flood());
        stream.write_all(b"bye").expect("sent");
    });
    let mut side = Side::plain(&peer);
    assert_eq!(side.read(5), b"hello");
    let bytes = flood();
    let first = side.fill(&bytes);
    go.send(()).expect("heard");
    side.write(&bytes[first..]);
    assert_eq!(side.read(3), b"bye");
    assert_eq!(side.end(), ReadOutcome::Closed { clean: true });
    peer.join();
}

#[test]
fn closing_sends_what_was_written_and_then_the_end() {
    let peer = Peer::once(|mut stream| {
        let mut received = String::new();
        stream.read_to_string(&mut received).expect("up to the end");
        assert_eq!(received, "last words");
        stream
            .write_all(b"heard")
            .expect("the other direction is still open");
    });
    let mut side = Side::plain(&peer);
    side.write(b"last words");
    side.socket.close();
    assert_eq!(side.read(5), b"heard");
    assert_eq!(side.end(), ReadOutcome::Closed { clean: true });
    peer.join();
}

#[test]
fn a_broken_connection_is_an_error_or_an_end_never_a_wait() {
    let peer = Peer::once(|stream| {
        // Closing with unread bytes resets the connection.
        stream.peek(&mut [0]).expect("a byte");
    });
    let mut side = Side::plain(&peer);
    side.write(b"never read");
    loop {
        match side.socket.read(&mut [0; 64]) {
            Ok(ReadOutcome::Blocked) => side.wait(),
            Ok(ReadOutcome::Filled(_)) => panic!("nothing was sent"),
            Ok(ReadOutcome::Closed { .. }) => break,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                break;
            }
        }
    }
    peer.join();
}

#[test]
fn tls_carries_the_same_both_ways_and_ends_cleanly() {
    let authority = Authority::new("ours");
    let config = authority.server("localhost", 2100);
    let (go, start) = mpsc::channel::<()>();
    let peer = Peer::once(move |stream| {
        let mut stream = secure(stream, &config);
        stream.write_all(b"hello").expect("sent");
        start.recv_timeout(LONG).expect("told to read");
        let mut received = vec![0; flood().len()];
        stream.read_exact(&mut received).expect("all of it");
        assert_eq!(received, flood());
        stream.write_all(&flood()).expect("sent");
        stream.conn.send_close_notify();
        stream.flush().expect("sent");
        let mut end = Vec::new();
        stream
            .read_to_end(&mut end)
            .expect("the client's own close_notify");
        assert!(end.is_empty());
    });
    let mut side = Side::secure(&peer, &authority);
    assert_eq!(side.read(5), b"hello");
    let bytes = flood();
    let first = side.fill(&bytes);
    go.send(()).expect("heard");
    side.write(&bytes[first..]);
    assert_eq!(side.read(flood().len()), flood());
    assert_eq!(side.end(), ReadOutcome::Closed { clean: true });
    side.socket.close();
    peer.join();
}

#[test]
fn a_tls_stream_cut_short_is_told_from_one_that_ended() {
    let authority = Authority::new("ours");
    let config = authority.server("localhost", 2100);
    let peer = Peer::once(move |stream| {
        let mut stream = secure(stream, &config);
        stream.write_all(b"hello").expect("sent");
        stream.read_exact(&mut [0]).expect("the client's byte");
    });
    let mut side = Side::secure(&peer, &authority);
    assert_eq!(side.read(5), b"hello");
    side.write(b"!");
    assert_eq!(side.end(), ReadOutcome::Closed { clean: false });
    peer.join();
}

#[test]
fn garbage_within_tls_is_an_error() {
    let authority = Authority::new("ours");
    let config = authority.server("localhost", 2100);
    let peer = Peer::once(move |stream| {
        let mut stream = secure(stream, &config);
        stream.write_all(b"hello").expect("sent");
        stream.read_exact(&mut [0]).expect("the client's byte");
        stream
            .sock
            .write_all(&[0x17, 3, 3, 0, 20].repeat(10))
            .expect("sent");
        drain(stream.sock);
    });
    let mut side = Side::secure(&peer, &authority);
    assert_eq!(side.read(5), b"hello");
    side.write(b"!");
    let error = loop {
        match side.socket.read(&mut [0; 64]) {
            Ok(ReadOutcome::Blocked) => side.wait(),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    drop(side);
    peer.join();
}

/// As a feed's thread does: it reads only what the poller has spoken of.
#[test]
fn a_short_read_waits_for_the_poller_and_misses_neither_news_nor_the_end() {
    let (go, start) = mpsc::channel::<()>();
    let peer = Peer::once(move |mut stream| {
        stream.write_all(b"hello").expect("sent");
        start.recv_timeout(LONG).expect("told to go on");
        // The end comes with the last bytes, before the client looks.
        stream.write_all(b"bye").expect("sent");
    });
    let mut side = Side::plain(&peer);
    let mut space = [0; 64];
    let mut received = Vec::new();
    while received.len() < 5 {
        if !side.socket.may_read() {
            side.wait();
        }
        if let ReadOutcome::Filled(count) = side.socket.read(&mut space).expect("a read") {
            received.extend_from_slice(&space[..count]);
            assert_eq!(
                side.socket.may_read(),
                !SHORT_READ_DRAINS,
                "there was room left"
            );
        }
    }
    go.send(()).expect("heard");
    peer.join();
    loop {
        if !side.socket.may_read() {
            side.wait();
        }
        match side.socket.read(&mut space).expect("a read") {
            ReadOutcome::Filled(count) => received.extend_from_slice(&space[..count]),
            ReadOutcome::Blocked => {}
            ReadOutcome::Closed { .. } => break,
        }
    }
    assert_eq!(received, b"hellobye");
}
