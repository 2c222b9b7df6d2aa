//! A server of real sockets on one thread, whose connections behave as a test wants.

#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tungstenite::{Message, WebSocket};

/// One event of the entity `job`, id 1.
pub(crate) fn event(n: u64) -> String {
    format!(r#"{{"entity":"job","id":1,"payload":{{"n":{n}}}}}"#)
}

/// What is to become of a connection that was served.
pub(crate) enum End {
    /// Closed.
    Dropped,
    /// Kept open, never read, never written again.
    Hold(TcpStream),
}

/// Serves one connection after another, until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// `serve` is called for each connection once it is a WebSocket.
    pub(crate) fn start(serve: impl Fn(Connection) -> End + Send + 'static) -> Self {
        Self::raw(move |stream, number| match tungstenite::accept(stream) {
            Ok(socket) => serve(Connection { socket, number }),
            Err(_) => End::Dropped,
        })
    }

    /// `serve` is called for each TCP connection with its number, from 1.
    pub(crate) fn raw(serve: impl Fn(TcpStream, u64) -> End + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = channel::<()>();
        let (ready, running) = channel::<()>();
        let thread = thread::Builder::new().name("server".into()).spawn(move || {
            let mut held = Vec::new();
            for (number, stream) in (1..).zip(listener.incoming()) {
                if stopped.try_recv() != Err(TryRecvError::Empty) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                if let End::Hold(stream) = serve(stream, number) {
                    held.push(stream);
                }
            }
        });
        running.recv().expect("the server's thread");
        Self {
            address,
            stop: Some(stop),
            thread: Some(thread.expect("a thread")),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        // Wakes the one who accepts.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(5));
        if let Some(thread) = self.thread.take()
            && !thread::panicking()
        {
            thread.join().expect("the server");
        }
    }
}

/// One WebSocket of a server.
pub(crate) struct Connection {
    pub(crate) socket: WebSocket<TcpStream>,
    /// Which one it is, from 1.
    pub(crate) number: u64,
}

impl Connection {
    /// Sends a text. A client that is gone by now is no fault.
    pub(crate) fn say(mut self, text: &str) -> Self {
        let _ = self.socket.send(Message::text(text));
        self
    }

    /// Sends bytes as they are.
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        let _ = self.socket.get_mut().write_all(bytes);
        self
    }

    /// Waits until the client has hung up, reading whatever it says.
    pub(crate) fn until_gone(mut self) -> End {
        let stream = self.socket.get_mut();
        while stream.read(&mut [0; 256]).is_ok_and(|read| read > 0) {}
        End::Dropped
    }

    /// Freezes: nothing is read or written any more, and the connection stays.
    pub(crate) fn hold(self) -> End {
        End::Hold(self.socket.get_ref().try_clone().expect("a second handle"))
    }

    /// Ends the TCP connection without a word.
    pub(crate) fn drop_it(self) -> End {
        let _ = self.socket.get_ref().shutdown(Shutdown::Both);
        End::Dropped
    }

    /// Says goodbye as the protocol has it.
    pub(crate) fn close(mut self) -> End {
        let _ = self.socket.close(None);
        let _ = self.socket.flush();
        self.until_gone()
    }
}
