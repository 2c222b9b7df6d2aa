//! One connection as a feed's thread sees it: non-blocking TCP, with or without TLS.
//!
//! The poller reports edges, so the socket remembers what it was told: it is readable until a read
//! would block or leaves room, and writable until a write would block. Nothing is buffered here for plain TCP; for TLS
//! what rustls holds is bounded in both directions.

use mio::event::{Event, Source};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ClientConnection;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;

/// Whether a read that leaves room has emptied the socket, so that the poller reports all that
/// comes from then on. It has where the poller is epoll or kqueue (`man 7 epoll`, "Do I need to
/// continuously read"); a read that only says so would cost a system call for each burst.
const SHORT_READ_DRAINS: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "macos"
));

/// How many bytes of unsent TLS records rustls may hold.
const TLS_BACKLOG: usize = 64 << 10;

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// So many bytes; there may be more.
    Filled(usize),
    /// Nothing now: the poller tells when there is.
    Blocked,
    /// The peer sends no more.
    Closed {
        /// Whether TLS, if there is any, was ended as it should be; without that an attacker may
        /// have cut the stream short.
        clean: bool,
    },
}

/// A socket that never blocks.
pub(crate) struct Socket {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    readable: bool,
    writable: bool,
    /// The peer sends no more, or the connection broke: said once, and to be found by reading on.
    ending: bool,
}

impl Socket {
    /// Takes over a connection that was just opened.
    pub(crate) fn new(stream: std::net::TcpStream, tls: Option<Box<ClientConnection>>) -> Self {
        let mut tls = tls;
        if let Some(tls) = &mut tls {
            tls.set_buffer_limit(Some(TLS_BACKLOG));
        }
        // Both until shown otherwise: edges that came before registration are not reported, and
        // the TLS session may hold bytes already.
        Self {
            stream: TcpStream::from_std(stream),
            tls,
            readable: true,
            writable: true,
            ending: false,
        }
    }

    /// Has `registry` report it under `token`, and sends what TLS may owe from its handshake.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream
            .register(registry, token, Interest::READABLE | Interest::WRITABLE)?;
        self.flush()
    }

    /// Takes it off the poller.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.stream.deregister(registry)
    }

    /// What the poller said.
    pub(crate) fn notice(&mut self, event: &Event) {
        self.ending |= event.is_read_closed() || event.is_error();
        self.readable |= self.ending || event.is_readable();
        self.writable |= event.is_writable();
    }

    /// Whether a read may give something without waiting.
    pub(crate) fn may_read(&self) -> bool {
        self.readable
    }

    /// Reads into `into`, which must not be empty.
    ///
    /// # Errors
    /// The connection broke, or its TLS did; what TLS has to say about it was sent if there was
    /// room.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<ReadOutcome> {
        debug_assert!(
            !into.is_empty(),
            "an empty read looks like the end of the stream"
        );
        let Some(tls) = &mut self.tls else {
            return match retrying(|| self.stream.read(into)) {
                Ok(0) => Ok(ReadOutcome::Closed { clean: true }),
                Ok(filled) => {
                    if SHORT_READ_DRAINS && filled < into.len() && !self.ending {
                        self.readable = false;
                    }
                    Ok(ReadOutcome::Filled(filled))
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    Ok(ReadOutcome::Blocked)
                }
                Err(error) => Err(error),
            };
        };
        loop {
            match tls.reader().read(into) {
                Ok(0) => return Ok(ReadOutcome::Closed { clean: true }),
                Ok(filled) => return Ok(ReadOutcome::Filled(filled)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(ReadOutcome::Closed { clean: false });
                }
                Err(error) => return Err(error),
            }
            match retrying(|| tls.read_tls(&mut self.stream)) {
                // The end of the stream as well: the reader above knows which end it was.
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(ReadOutcome::Blocked);
                }
                Err(error) => return Err(error),
            }
            if let Err(error) = tls.process_new_packets() {
                // The alert is a courtesy; the reason is what matters.
                let _ = flush_tls(tls, &mut self.stream, &mut self.writable);
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
            if tls.wants_write() {
                flush_tls(tls, &mut self.stream, &mut self.writable)?;
            }
        }
    }

    /// Writes as much of `bytes` as goes without waiting, and says how much that was.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        match &mut self.tls {
            None => {
                while written < bytes.len() && self.writable {
                    match retrying(|| self.stream.write(&bytes[written..])) {
                        Ok(0) => return Err(ErrorKind::WriteZero.into()),
                        Ok(count) => written += count,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            self.writable = false;
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Some(tls) => loop {
                let taken = tls.writer().write(&bytes[written..])?;
                written += taken;
                flush_tls(tls, &mut self.stream, &mut self.writable)?;
                if written == bytes.len() || (taken == 0 && !self.writable) {
                    break;
                }
            },
        }
        Ok(written)
    }

    /// Sends what TLS still holds.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => flush_tls(tls, &mut self.stream, &mut self.writable),
            None => Ok(()),
        }
    }

    /// Ends our side: what is written is sent, then the peer sees the end. Never waits.
    pub(crate) fn close(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // The peer learns it by the end of the stream otherwise.
            let _ = flush_tls(tls, &mut self.stream, &mut self.writable);
        }
        // Fails only where the peer was faster.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

fn retrying<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn flush_tls(
    tls: &mut ClientConnection,
    stream: &mut TcpStream,
    writable: &mut bool,
) -> io::Result<()> {
    while *writable && tls.wants_write() {
        match retrying(|| tls.write_tls(stream)) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => *writable = false,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("tls", &self.tls.is_some())
            .field("readable", &self.readable)
            .field("writable", &self.writable)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
