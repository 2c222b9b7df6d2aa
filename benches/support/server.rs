//! A WebSocket server on loopback that writes frames which were encoded before, as fast as its
//! one client takes them.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::cpu::thread_cpu;

/// Adds a text frame, as a server sends it, of a payload that fits a 16-bit length.
pub(crate) fn push_frame(frames: &mut Vec<u8>, payload: &[u8]) {
    frames.push(0x81);
    match u8::try_from(payload.len()) {
        Ok(len) if len < 126 => frames.push(len),
        _ => {
            frames.push(126);
            frames.extend(
                u16::try_from(payload.len())
                    .expect("a short payload")
                    .to_be_bytes(),
            );
        }
    }
    frames.extend(payload);
}

/// The server, on a thread of its own. It takes one client, and ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    addr: SocketAddr,
    orders: Option<Sender<usize>>,
    /// For each order: the thread's CPU time that it took.
    done: Receiver<Duration>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// It will write `blocks` round and round, each with one call.
    pub(crate) fn start(blocks: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let addr = listener.local_addr().expect("bound");
        let (orders, ordered) = mpsc::channel();
        let (finished, done) = mpsc::channel();
        let serve = move || {
            let (client, _) = listener.accept().expect("a client");
            let mut client = tungstenite::accept(client).expect("a handshake");
            write(client.get_mut(), &blocks, &ordered, &finished);
        };
        Self {
            addr,
            orders: Some(orders),
            done,
            thread: Some(std::thread::spawn(serve)),
        }
    }

    /// As [`start`](Self::start), and whoever asks gets the client's socket once the handshake is
    /// done, to write to it themselves.
    #[allow(dead_code, reason = "most benches have the server's thread write")]
    pub(crate) fn hand_over() -> (Self, Receiver<TcpStream>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let addr = listener.local_addr().expect("bound");
        let (hand, handed) = mpsc::channel();
        let (_, done) = mpsc::channel();
        let serve = move || {
            let (client, _) = listener.accept().expect("a client");
            let client = tungstenite::accept(client).expect("a handshake");
            hand.send(client.into_inner()).expect("somebody asks");
        };
        let server = Self {
            addr,
            orders: None,
            done,
            thread: Some(std::thread::spawn(serve)),
        };
        (server, handed)
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.addr)
    }

    /// Has it write the next `blocks` blocks. Returns at once.
    pub(crate) fn write(&self, blocks: usize) {
        let orders = self.orders.as_ref().expect("not stopped");
        orders.send(blocks).expect("the server runs");
    }

    /// Waits for so long until an order is carried out; whether it was.
    #[allow(
        dead_code,
        reason = "where a client is held while its socket is filled"
    )]
    pub(crate) fn is_written_within(&self, time: Duration) -> bool {
        self.done.recv_timeout(time).is_ok()
    }

    /// Waits until an order is carried out, and says how much CPU time of the server it took.
    pub(crate) fn written(&self) -> Duration {
        self.done.recv().expect("the server runs")
    }
}

fn write(
    client: &mut TcpStream,
    blocks: &[Vec<u8>],
    orders: &Receiver<usize>,
    done: &Sender<Duration>,
) {
    let mut blocks = blocks.iter().cycle();
    while let Ok(count) = orders.recv() {
        let before = thread_cpu();
        for block in blocks.by_ref().take(count) {
            client.write_all(block).expect("the client reads");
        }
        if done.send(thread_cpu() - before).is_err() {
            return;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server ends");
        }
    }
}
