//! What does it cost to find the messages in the bytes of a connection?
//!
//! `memory`: everybody reads the same endless stream of equal frames from memory, so a read costs
//! one copy and no system call (`copy alone` is that copy, in reads of 64 KiB). `loopback`: a server
//! on a thread of its own writes them in blocks of 256 KiB over loopback, and what counts is the CPU
//! time of the client's thread, kernel included (`read and discard` is the kernel alone). Per
//! message, delivered and looked at by its length; all but `binary` check text for UTF-8.
//!
//! Peers as they are fastest: fastwebsockets with the pair of halves (`unstable-split`), with its
//! collector of fragments, and plainly; tokio-tungstenite and tokio-websockets as streams. All on a
//! current-thread runtime; ours and tungstenite block.

use std::cell::RefCell;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group};
use fastwebsockets::{FragmentCollector, Role, WebSocket, WebSocketError};
use futures_util::StreamExt;
use server::{Server, push_frame};
use support::cpu::{CpuTime, thread_cpu};
use support::paired::Contest;
use tickcache::ws::{Decoder, Event, Limits};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Runtime;
use tungstenite::protocol::{Role as TungsteniteRole, WebSocketConfig};

mod support;

#[path = "support/server.rs"]
mod server;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the server writes with one call, about.
const BLOCK: usize = 256 << 10;

const TEXT: &[u8] = br#"{"e":"bookTicker","s":"BTCUSDT","b":"64012.11000000"}"#;

/// Equal frames without end; what is written to it vanishes.
struct Stream {
    /// Enough repetitions for any read to be served in one or two copies.
    frames: Vec<u8>,
    frame_len: usize,
    at: usize,
}

impl Stream {
    fn new(opcode: u8, payload: usize) -> Self {
        let mut frame = Vec::new();
        let text: Vec<_> = TEXT.iter().cycle().take(payload).copied().collect();
        push_frame(&mut frame, &text);
        frame[0] = 0x80 | opcode;
        Self {
            frame_len: frame.len(),
            frames: frame.repeat((1 << 20) / frame.len()),
            at: 0,
        }
    }

    fn serve(&mut self, room: usize) -> &[u8] {
        if self.at == self.frames.len() {
            self.at = 0;
        }
        let taken = &self.frames[self.at..][..room.min(self.frames.len() - self.at)];
        self.at += taken.len();
        taken
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let taken = self.serve(buf.len());
        buf[..taken.len()].copy_from_slice(taken);
        Ok(taken.len())
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let taken = self.serve(buf.remaining());
        buf.put_slice(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Our decoder on anything that is read from.
struct Ours<R> {
    stream: R,
    decoder: Decoder,
}

impl<R: Read> Ours<R> {
    fn new(stream: R) -> Self {
        Self {
            stream,
            decoder: Decoder::new(Limits::default()),
        }
    }

    #[inline]
    fn take(&mut self, messages: u64) {
        let mut left = messages;
        while left > 0 {
            match self.decoder.next().expect("a valid stream") {
                Some(Event::Text(bytes) | Event::Binary(bytes)) => {
                    black_box(bytes.len());
                    left -= 1;
                }
                Some(other) => unreachable!("{other:?}"),
                None => {
                    let read = self.stream.read(self.decoder.space());
                    self.decoder.filled(read.expect("the stream goes on"));
                }
            }
        }
    }
}

/// Reads and looks at nothing.
struct Discard<R> {
    stream: R,
    buffer: Vec<u8>,
    /// Bytes that were read before they were asked for.
    ahead: usize,
}

impl<R: Read> Discard<R> {
    fn new(stream: R) -> Self {
        Self {
            stream,
            buffer: vec![0; Limits::default().read_buffer],
            ahead: 0,
        }
    }

    fn take(&mut self, bytes: usize) {
        while self.ahead < bytes {
            let read = self
                .stream
                .read(&mut self.buffer)
                .expect("the stream goes on");
            self.ahead += black_box(read);
        }
        self.ahead -= bytes;
    }
}

/// Nothing is owed: the server sends no ping and no close.
async fn owe_nothing(_: fastwebsockets::Frame<'_>) -> Result<(), WebSocketError> {
    Ok(())
}

fn memory(kind: &str, opcode: u8, payload: usize) {
    let stream = || Stream::new(opcode, payload);
    let frame_len = stream().frame_len;
    let mut ours = Ours::new(stream());
    let mut copy = Discard::new(stream());
    let mut plain = WebSocket::after_handshake(stream(), Role::Client);
    let (mut half, _write) =
        fastwebsockets::after_handshake_split(stream(), stream(), Role::Client);
    let config = Some(WebSocketConfig::default());
    let mut tungstenite =
        tungstenite::WebSocket::from_raw_socket(stream(), TungsteniteRole::Client, config);
    let mut websockets = tokio_websockets::ClientBuilder::new().take_over(stream());
    Contest::new(format!("frames/memory, {kind} {payload} B"))
        .row("tickcache", |times| ours.take(times))
        .row("copy alone", |times| copy.take(frame_len * times as usize))
        .row("fastwebsockets read_frame", |times| {
            pollster::block_on(async {
                for _ in 0..times {
                    let frame = plain.read_frame().await.expect("a valid stream");
                    black_box(frame.payload.len());
                }
            });
        })
        .row("fastwebsockets split", |times| {
            pollster::block_on(async {
                for _ in 0..times {
                    let frame = half.read_frame(&mut owe_nothing).await;
                    black_box(frame.expect("a valid stream").payload.len());
                }
            });
        })
        .row("tungstenite", |times| {
            for _ in 0..times {
                black_box(tungstenite.read().expect("a valid stream").len());
            }
        })
        .row("tokio-websockets", |times| {
            pollster::block_on(async {
                for _ in 0..times {
                    let message = websockets.next().await.expect("more");
                    black_box(message.expect("a valid stream").as_payload().len());
                }
            });
        })
        .run();
}

/// A server, and somebody who takes so many messages from it.
struct Client<'a> {
    server: Server,
    messages: u64,
    take: Box<dyn FnMut(u64) + 'a>,
}

impl<'a> Client<'a> {
    /// With the server's blocks of frames; `connect` makes what takes messages.
    fn new<F: FnMut(u64) + 'a>(payload: usize, connect: impl FnOnce(&Server) -> F) -> Self {
        let text: Vec<_> = TEXT.iter().cycle().take(payload).copied().collect();
        let (mut block, mut messages) = (Vec::new(), 0);
        while block.len() < BLOCK {
            push_frame(&mut block, &text);
            messages += 1;
        }
        let server = Server::start(vec![block]);
        let take = Box::new(connect(&server));
        Self {
            server,
            messages,
            take,
        }
    }

    /// The client's CPU time for so many blocks.
    fn blocks(&mut self, blocks: u64) -> Duration {
        self.server.write(usize::try_from(blocks).expect("few"));
        let start = thread_cpu();
        (self.take)(blocks * self.messages);
        let took = thread_cpu() - start;
        self.server.written();
        took
    }
}

/// A socket after the handshake; the server has said nothing yet.
fn connected(server: &Server) -> std::net::TcpStream {
    let socket = std::net::TcpStream::connect(server.addr()).expect("the server listens");
    let (client, _) = tungstenite::client(server.url(), socket).expect("a handshake");
    client.into_inner()
}

fn connected_tokio(server: &Server, runtime: &Runtime) -> tokio::net::TcpStream {
    let socket = connected(server);
    socket.set_nonblocking(true).expect("a socket");
    let _guard = runtime.enter();
    tokio::net::TcpStream::from_std(socket).expect("a poller")
}

fn loopback(payload: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a poller");
    let runtime = &runtime;
    let mut frame = Vec::new();
    push_frame(&mut frame, &vec![b' '; payload]);
    let frame_len = frame.len();

    let ours = Client::new(payload, |server| {
        let mut ours = Ours::new(connected(server));
        move |times| ours.take(times)
    });
    let discard = Client::new(payload, |server| {
        let mut discard = Discard::new(connected(server));
        move |times| discard.take(frame_len * times as usize)
    });
    let plain = Client::new(payload, |server| {
        let socket = connected_tokio(server, runtime);
        let mut socket = WebSocket::after_handshake(socket, Role::Client);
        move |times| {
            runtime.block_on(async {
                for _ in 0..times {
                    let frame = socket.read_frame().await.expect("a valid stream");
                    black_box(frame.payload.len());
                }
            });
        }
    });
    let collected = Client::new(payload, |server| {
        let socket = connected_tokio(server, runtime);
        let socket = WebSocket::after_handshake(socket, Role::Client);
        let mut socket = FragmentCollector::new(socket);
        move |times| {
            runtime.block_on(async {
                for _ in 0..times {
                    let frame = socket.read_frame().await.expect("a valid stream");
                    black_box(frame.payload.len());
                }
            });
        }
    });
    let split = Client::new(payload, |server| {
        let (read, write) = connected_tokio(server, runtime).into_split();
        let (mut read, write) = fastwebsockets::after_handshake_split(read, write, Role::Client);
        move |times| {
            let _kept = &write;
            runtime.block_on(async {
                for _ in 0..times {
                    let frame = read.read_frame(&mut owe_nothing).await;
                    black_box(frame.expect("a valid stream").payload.len());
                }
            });
        }
    });
    let tungstenite = Client::new(payload, |server| {
        let socket = connected_tokio(server, runtime);
        let mut socket = runtime.block_on(tokio_tungstenite::WebSocketStream::from_raw_socket(
            socket,
            TungsteniteRole::Client,
            None,
        ));
        move |times| {
            runtime.block_on(async {
                for _ in 0..times {
                    let message = socket.next().await.expect("more");
                    black_box(message.expect("a valid stream").len());
                }
            });
        }
    });
    let websockets = Client::new(payload, |server| {
        let socket = connected_tokio(server, runtime);
        let mut socket = tokio_websockets::ClientBuilder::new().take_over(socket);
        move |times| {
            runtime.block_on(async {
                for _ in 0..times {
                    let message = socket.next().await.expect("more");
                    black_box(message.expect("a valid stream").as_payload().len());
                }
            });
        }
    });

    let clients = [
        ("tickcache", ours),
        ("read and discard", discard),
        ("fastwebsockets read_frame", plain),
        ("fastwebsockets FragmentCollector", collected),
        ("fastwebsockets split", split),
        ("tokio-tungstenite", tungstenite),
        ("tokio-websockets", websockets),
    ];
    let clients = clients.map(|(name, client)| (name, RefCell::new(client)));
    let mut contest = Contest::new(format!("frames/loopback, text {payload} B"))
        .turns_of(Duration::from_millis(5));
    for (name, client) in &clients {
        let per = client.borrow().messages as f64;
        contest = contest.measured(*name, per, |blocks| client.borrow_mut().blocks(blocks));
    }
    contest.run();
    // The runtime has to outlive its sockets, and the servers end when their clients have.
    for (_, client) in clients {
        let Client { server, take, .. } = client.into_inner();
        drop(take);
        drop(server);
    }
}

/// Our own figures, to be compared with those of the run before.
fn own(criterion: &mut Criterion<CpuTime>) {
    const BATCH: u64 = 1000;
    let mut group = criterion.benchmark_group("own/frames");
    group.throughput(Throughput::Elements(BATCH));
    for (name, payload) in [("text 150 B", 150), ("text 600 B", 600)] {
        let mut ours = Ours::new(Stream::new(1, payload));
        group.bench_function(name, |b| b.iter(|| ours.take(BATCH)));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = support::quick();
    targets = own
}

fn main() {
    for (kind, opcode, payload) in [
        ("text", 1, 150),
        ("binary", 2, 150),
        ("text", 1, 600),
        ("text", 1, 40),
    ] {
        memory(kind, opcode, payload);
    }
    loopback(150);
    loopback(600);
    support::own(benches);
}
