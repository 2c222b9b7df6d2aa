//! A server that plays recorded messages to one client and then closes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fastwebsockets::OpCode;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::pace::Timer;
use super::wire::{self, Connection, Event, Outbox};

/// How long the client may take to answer the close frame.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// One message of a playback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timed {
    /// The text of the message.
    pub(crate) text: String,
    /// Time since the beginning at which to send it; zero, or less than that of the message
    /// before, sends it at once.
    pub(crate) at: Duration,
    /// Whether the connection ends before it, and it is the first of the next one.
    pub(crate) begins: bool,
}

/// Why a playback did not reach its end.
#[derive(Debug)]
pub(crate) enum PlaybackError {
    /// The client went away after that many messages had been written.
    ClientGone(u64),
    /// The server's own socket or thread failed.
    Io(io::Error),
}

impl std::fmt::Display for PlaybackError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ClientGone(sent) => write!(f, "the client went away after {sent} messages"),
            Self::Io(error) => write!(f, "the playback server failed: {error}"),
        }
    }
}

impl std::error::Error for PlaybackError {}

impl From<io::Error> for PlaybackError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A playback on loopback: takes the first client that connects, at any path, ignores what it asks
/// for, sends every message in order and closes with code 1000. Where a connection ends in between,
/// the client has to come again. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Playback {
    addr: SocketAddr,
    sent: Arc<AtomicU64>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<Result<u64, PlaybackError>>>,
}

impl Playback {
    /// Listens and starts the thread. `messages` is read as it is sent, never ahead of that by more
    /// than one batch.
    pub(crate) fn start<M>(messages: M) -> io::Result<Self>
    where
        M: Iterator<Item = Timed> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let sent = Arc::new(AtomicU64::new(0));
        let (stop, mut stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let counter = Arc::clone(&sent);
        let body = async move {
            tokio::select! {
                result = play(listener, messages, &counter) => result,
                _ = stopped.wait_for(|stop| *stop) => {
                    Err(PlaybackError::ClientGone(counter.load(Relaxed)))
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("tickcache-playback".into())
            .spawn(move || runtime.block_on(body))?;
        Ok(Self {
            addr,
            sent,
            stop,
            thread: Some(thread),
        })
    }

    /// Where the client should connect.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.addr)
    }

    /// Messages written so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Waits until the closing handshake is done and gives the number of messages sent. Blocks for
    /// as long as no client comes.
    pub(crate) fn finish(mut self) -> Result<u64, PlaybackError> {
        self.join()
    }

    fn join(&mut self) -> Result<u64, PlaybackError> {
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(self.sent()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the playback's thread panicked").into()),
        }
    }
}

impl Drop for Playback {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        // `finish` is there for whoever wants to know how it ended.
        let _ = self.join();
    }
}

async fn play<M>(listener: TcpListener, messages: M, sent: &AtomicU64) -> Result<u64, PlaybackError>
where
    M: Iterator<Item = Timed>,
{
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut connection = next_client(&listener).await?;
    let mut outbox = Outbox::default();
    let mut timer = Timer::new()?;
    let start = Instant::now();
    for message in messages {
        if message.begins {
            flush(&mut connection, &mut outbox, sent).await?;
            close(connection, &mut outbox, sent).await?;
            outbox.clear();
            connection = next_client(&listener).await?;
        }
        let due = start + message.at;
        if due > Instant::now() {
            flush(&mut connection, &mut outbox, sent).await?;
            wait(&mut connection, &mut outbox, &mut timer, due, sent).await?;
        }
        outbox.text(|text| text.extend_from_slice(message.text.as_bytes()));
        if outbox.is_full() {
            flush(&mut connection, &mut outbox, sent).await?;
        }
    }
    flush(&mut connection, &mut outbox, sent).await?;
    // Whoever comes from here on is refused.
    drop(listener);
    close(connection, &mut outbox, sent).await?;
    Ok(sent.load(Relaxed))
}

/// Closes a connection, and waits for the client's answer: by then it has taken in everything.
async fn close(
    mut connection: Connection,
    outbox: &mut Outbox,
    sent: &AtomicU64,
) -> Result<(), PlaybackError> {
    // Alone, so that no pong can follow it.
    outbox.close(1000, "");
    let closed = connection.write.write_all(outbox.bytes()).await;
    closed.map_err(|_| PlaybackError::ClientGone(sent.load(Relaxed)))?;
    let closing = async {
        while let Some(event) = connection.events.recv().await {
            if matches!(event, Event::Close(_) | Event::Gone) {
                return;
            }
        }
    };
    // Everything is written by now; a client that never answers changes nothing.
    let _ = timeout(CLOSE_WITHIN, closing).await;
    connection.end().await;
    Ok(())
}

/// The next client whose handshake succeeds.
async fn next_client(listener: &tokio::net::TcpListener) -> io::Result<Connection> {
    let (opened, mut clients) = mpsc::channel(1);
    loop {
        tokio::select! {
            Some(connection) = clients.recv() => return Ok(connection),
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                let opened = opened.clone();
                tokio::spawn(async move {
                    let route = |_: &hyper::Uri, upgrade| {
                        let opened = opened.clone();
                        tokio::spawn(async move {
                            if let Ok(connection) = Connection::open(upgrade).await {
                                // Fails for the second of two clients: the first is served.
                                let _ = opened.try_send(connection);
                            }
                        });
                        Ok(())
                    };
                    // A client that breaks off its handshake leaves its place to the next.
                    let _ = wire::serve_http(socket, route).await;
                });
            }
        }
    }
}

/// Waits until `due`, answering pings meanwhile.
async fn wait(
    connection: &mut Connection,
    outbox: &mut Outbox,
    timer: &mut Timer,
    due: Instant,
    sent: &AtomicU64,
) -> Result<(), PlaybackError> {
    loop {
        tokio::select! {
            elapsed = timer.until(due) => return Ok(elapsed?),
            event = connection.events.recv() => {
                answer(event.unwrap_or(Event::Gone), outbox, sent)?;
                flush(connection, outbox, sent).await?;
            }
        }
    }
}

fn answer(event: Event, outbox: &mut Outbox, sent: &AtomicU64) -> Result<(), PlaybackError> {
    match event {
        Event::Ping(payload) => outbox.control(OpCode::Pong, &payload),
        Event::Text(_) | Event::Pong => {}
        Event::Close(_) | Event::Gone => {
            return Err(PlaybackError::ClientGone(sent.load(Relaxed)));
        }
    }
    Ok(())
}

/// Writes what is in the outbox, after answering what has come meanwhile.
async fn flush(
    connection: &mut Connection,
    outbox: &mut Outbox,
    sent: &AtomicU64,
) -> Result<(), PlaybackError> {
    while let Ok(event) = connection.events.try_recv() {
        answer(event, outbox, sent)?;
    }
    let written = connection.write.write_all(outbox.bytes()).await;
    written.map_err(|_| PlaybackError::ClientGone(sent.load(Relaxed)))?;
    sent.fetch_add(outbox.frames(), Relaxed);
    outbox.clear();
    tokio::task::yield_now().await;
    Ok(())
}
