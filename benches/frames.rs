//! What does it cost to find the messages in the bytes of a connection?
//!
//! Our decoder, fastwebsockets and tungstenite read the same endless stream of equal frames from
//! memory, so a read costs one copy and no system call (`copy alone` is that copy, in reads of
//! 64 KiB). One element is one message, delivered and looked at by its length. All three check text for UTF-8; `binary` shows the cost without that.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fastwebsockets::{Role, WebSocket};
use tickcache::ws::{Decoder, Event, Limits};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::protocol::{Role as TungsteniteRole, WebSocketConfig};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Messages taken in one iteration.
const BATCH: u64 = 1000;

/// Equal frames without end; what is written to it vanishes.
struct Stream {
    /// Enough repetitions for any read to be served in one or two copies.
    frames: Vec<u8>,
    frame_len: usize,
    at: usize,
}

impl Stream {
    fn new(opcode: u8, payload: usize) -> Self {
        let mut frame = vec![0x80 | opcode];
        if payload < 126 {
            frame.push(payload as u8);
        } else {
            frame.push(126);
            frame.extend((payload as u16).to_be_bytes());
        }
        let text = br#"{"e":"bookTicker","s":"BTCUSDT","b":"64012.11000000"}"#;
        frame.extend(text.iter().cycle().take(payload));
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

fn frames(c: &mut Criterion) {
    for (kind, opcode, payload) in [
        ("text", 1, 150),
        ("binary", 2, 150),
        ("text", 1, 600),
        ("text", 1, 40),
    ] {
        let mut group = c.benchmark_group(format!("frames/{kind} {payload} B"));
        group.throughput(Throughput::Elements(BATCH));

        let mut stream = Stream::new(opcode, payload);
        let mut buf = vec![0; Limits::default().read_buffer];
        let bytes = stream.frame_len * BATCH as usize;
        group.bench_function("copy alone", |b| {
            b.iter(|| {
                let mut left = bytes;
                while left > 0 {
                    let room = left.min(buf.len());
                    left -= black_box(stream.read(&mut buf[..room]).expect("memory"));
                }
            });
        });

        let mut stream = Stream::new(opcode, payload);
        let mut decoder = Decoder::new(Limits::default());
        group.bench_function("tickcache", |b| {
            b.iter(|| {
                let mut left = BATCH;
                while left > 0 {
                    match decoder.next().expect("a valid stream") {
                        Some(Event::Text(bytes) | Event::Binary(bytes)) => {
                            black_box(bytes.len());
                            left -= 1;
                        }
                        Some(other) => unreachable!("{other:?}"),
                        None => {
                            let n = stream.read(decoder.space()).expect("memory");
                            decoder.filled(n);
                        }
                    }
                }
            });
        });

        let mut socket = WebSocket::after_handshake(Stream::new(opcode, payload), Role::Client);
        group.bench_function("fastwebsockets", |b| {
            b.iter(|| {
                pollster::block_on(async {
                    for _ in 0..BATCH {
                        let frame = socket.read_frame().await.expect("a valid stream");
                        black_box(frame.payload.len());
                    }
                });
            });
        });

        let mut socket = tungstenite::WebSocket::from_raw_socket(
            Stream::new(opcode, payload),
            TungsteniteRole::Client,
            Some(WebSocketConfig::default()),
        );
        group.bench_function("tungstenite", |b| {
            b.iter(|| {
                for _ in 0..BATCH {
                    let message = socket.read().expect("a valid stream");
                    black_box(message.len());
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, frames);
criterion_main!(benches);
