//! The WebSocket side of a connection: handshake, frames out in batches, client frames in.

use std::io::{self, Cursor};

use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, WebSocket, WebSocketError};
use fastwebsockets::{Role, upgrade};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, join, sink};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// One write call carries about this much; also what a stalled client can have pending here.
pub(crate) const BATCH_BYTES: usize = 64 * 1024;

/// Client messages waiting to be answered; a client that sends more waits in its socket.
const INBOX: usize = 64;

/// Largest message taken from a client: a subscription to some ten thousand streams.
const CLIENT_MESSAGE_BYTES: usize = 1024 * 1024;

/// Kernel buffer for what is sent. A large one would hide a slow client behind megabytes.
const SEND_BUFFER_BYTES: usize = 512 * 1024;

/// Frames waiting to be written, in one buffer that is reused.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    payload: Vec<u8>,
    frames: u64,
}

impl Outbox {
    /// Adds a text frame whose payload `write` appends to the (empty) buffer it is given.
    pub(crate) fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.payload.clear();
        write(&mut self.payload);
        push(&mut self.bytes, OpCode::Text, &self.payload);
        self.frames += 1;
    }

    /// Adds a control frame, which must not exceed 125 bytes.
    pub(crate) fn control(&mut self, opcode: OpCode, payload: &[u8]) {
        push(&mut self.bytes, opcode, payload);
    }

    /// Adds a close frame.
    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        self.control(OpCode::Close, &payload);
    }

    /// Adds bytes as they are, which need be no frame.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Text frames added since the last [`clear`](Self::clear).
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.frames = 0;
    }
}

fn push(bytes: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    let mut head = [0; 16];
    let size = Frame::new(true, opcode, None, Payload::Borrowed(payload)).fmt_head(&mut head);
    bytes.extend_from_slice(&head[..size]);
    bytes.extend_from_slice(payload);
}

/// What came from the client.
#[derive(Debug)]
pub(crate) enum Event {
    Text(String),
    Ping(Vec<u8>),
    Pong,
    /// It closes, with this payload.
    Close(Vec<u8>),
    /// The connection is gone, or it broke the protocol.
    Gone,
}

/// An open connection: a write half of its own, and a task that reads.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) write: OwnedWriteHalf,
    pub(crate) events: mpsc::Receiver<Event>,
    reader: JoinHandle<()>,
}

impl Connection {
    /// Takes the socket over from the HTTP server once the handshake is done.
    pub(crate) async fn open(upgrade: upgrade::UpgradeFut) -> Result<Self, WebSocketError> {
        let upgraded = upgrade.await?.into_inner().into_inner();
        let parts = upgraded
            .downcast::<TokioIo<TcpStream>>()
            .map_err(|_| WebSocketError::IoError(io::Error::other("not a TCP connection")))?;
        let (read, write) = parts.io.into_inner().into_split();
        let (sender, events) = mpsc::channel(INBOX);
        let reader = tokio::spawn(read_frames(parts.read_buf, read, sender));
        Ok(Self {
            write,
            events,
            reader,
        })
    }

    /// Ends the connection as a crash would: a reset, with nothing said.
    pub(crate) async fn reset(self) {
        let socket = socket2::SockRef::from(self.write.as_ref());
        // Without the option the client sees an orderly end instead, which is a loss as well.
        let _ = socket.set_linger(Some(std::time::Duration::ZERO));
        self.reader.abort();
        let _ = self.reader.await;
        // Dropping this half would end the stream in an orderly way first.
        self.write.forget();
    }

    /// Ends the connection in the middle of a frame, without a close frame.
    pub(crate) async fn truncate(self, out: &Outbox) {
        let _ = self.write.try_write(&out.bytes()[..out.bytes().len() / 2]);
        self.reader.abort();
        let _ = self.reader.await;
    }

    /// Ends the connection after everything that was written has been taken.
    pub(crate) async fn end(self) {
        drop(self.write);
        self.reader.abort();
        let _ = self.reader.await;
    }
}

/// Reads client frames until the connection ends. The write side of its socket is never used: pongs
/// and close frames are owed by the session, which alone writes.
async fn read_frames(begun: Bytes, read: OwnedReadHalf, events: mpsc::Sender<Event>) {
    let stream = join(Cursor::new(begun).chain(read), sink());
    let mut socket = WebSocket::after_handshake(stream, Role::Server);
    socket.set_auto_pong(false);
    socket.set_auto_close(false);
    socket.set_max_message_size(CLIENT_MESSAGE_BYTES);
    let mut socket = FragmentCollector::new(socket);
    loop {
        let event = match socket.read_frame().await {
            Ok(frame) => match frame.opcode {
                OpCode::Text => match String::from_utf8(frame.payload.to_vec()) {
                    Ok(text) => Event::Text(text),
                    Err(_) => Event::Gone,
                },
                OpCode::Ping => Event::Ping(frame.payload.to_vec()),
                OpCode::Pong => Event::Pong,
                OpCode::Close => Event::Close(frame.payload.to_vec()),
                OpCode::Binary | OpCode::Continuation => continue,
            },
            Err(_) => Event::Gone,
        };
        let last = matches!(event, Event::Close(_) | Event::Gone);
        if events.send(event).await.is_err() || last {
            return;
        }
    }
}

/// Serves HTTP on one socket. `route` decides on a WebSocket request by its address: `Ok` takes the
/// connection over when the handshake is done, `Err` is the status that refuses it. Nothing else is
/// served.
pub(crate) async fn serve_http<R>(socket: TcpStream, route: R) -> Result<(), hyper::Error>
where
    R: Fn(&Uri, upgrade::UpgradeFut) -> Result<(), StatusCode>,
{
    let other = |_| std::future::ready(refused(StatusCode::UPGRADE_REQUIRED));
    serve_http_and(socket, route, other).await
}

/// As [`serve_http`], where `other` answers the requests that want no WebSocket. Its future is
/// dropped when the client goes away.
pub(crate) async fn serve_http_and<R, O, F>(
    socket: TcpStream,
    route: R,
    other: O,
) -> Result<(), hyper::Error>
where
    R: Fn(&Uri, upgrade::UpgradeFut) -> Result<(), StatusCode>,
    O: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    // Neither is needed for anything but speed.
    let _ = socket.set_nodelay(true);
    let _ = socket2::SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER_BYTES);
    let service = service_fn(|mut request: Request<Incoming>| {
        let answer = if upgrade::is_upgrade_request(&request) {
            Answer::Ready(upgraded(&mut request, &route))
        } else {
            Answer::Later(other(request))
        };
        async move {
            Ok::<_, std::convert::Infallible>(match answer {
                Answer::Ready(response) => response,
                Answer::Later(response) => response.await,
            })
        }
    });
    let http = http1::Builder::new();
    http.serve_connection(TokioIo::new(socket), service)
        .with_upgrades()
        .await
}

enum Answer<F> {
    Ready(Response<Full<Bytes>>),
    Later(F),
}

fn refused(status: StatusCode) -> Response<Full<Bytes>> {
    let text = status.canonical_reason().unwrap_or("refused");
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

fn upgraded<R>(request: &mut Request<Incoming>, route: &R) -> Response<Full<Bytes>>
where
    R: Fn(&Uri, upgrade::UpgradeFut) -> Result<(), StatusCode>,
{
    let uri = request.uri().clone();
    let Ok((response, upgrade)) = upgrade::upgrade(request) else {
        return refused(StatusCode::BAD_REQUEST);
    };
    match route(&uri, upgrade) {
        Ok(()) => response.map(|_| Full::default()),
        Err(status) => refused(status),
    }
}
