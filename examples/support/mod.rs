//! A WebSocket server on loopback that says what an example has it say. Not part of the engine.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Waits for the first connection, so that an example says the same every time: what the connection
/// calls outdated when it opens is then nothing yet. A service needs no such wait.
#[allow(dead_code, reason = "only some examples care")]
pub(crate) async fn until_open(feed: &tickcache::FeedRef) {
    while feed.counters().opens == 0 {
        tokio::task::yield_now().await;
    }
}

enum Step {
    #[allow(dead_code, reason = "only some examples say anything")]
    Say(String),
    HangUp,
}

/// Takes one connection after another; ends with the process.
pub(crate) struct Server {
    url: String,
    steps: UnboundedSender<Step>,
}

impl Server {
    /// Starts one. `answer` says what a text of the client is answered with, if anything.
    pub(crate) fn start(
        answer: impl Fn(&str) -> Option<String> + Send + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let url = format!("ws://{}", listener.local_addr()?);
        let (steps, script) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::spawn(move || runtime.block_on(serve(listener, script, answer)));
        Ok(Self { url, steps })
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Sends a text on the present connection, or on the next one if there is none.
    #[allow(dead_code, reason = "only some examples say anything")]
    pub(crate) fn say(&self, text: &str) {
        // It takes steps as long as the process lives.
        let _ = self.steps.send(Step::Say(text.to_owned()));
    }

    /// Drops the present connection, or the next one if there is none, without a goodbye.
    #[allow(dead_code, reason = "only some examples break a connection")]
    pub(crate) fn hang_up(&self) {
        let _ = self.steps.send(Step::HangUp);
    }
}

async fn serve(
    listener: TcpListener,
    mut script: UnboundedReceiver<Step>,
    answer: impl Fn(&str) -> Option<String>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (socket, _) = listener.accept().await?;
        // A connection that breaks is the example's business.
        let _ = converse(socket, &mut script, &answer).await;
    }
}

async fn converse(
    socket: TcpStream,
    script: &mut UnboundedReceiver<Step>,
    answer: &impl Fn(&str) -> Option<String>,
) -> Result<(), Error> {
    let mut socket = tokio_tungstenite::accept_async(socket).await?;
    loop {
        tokio::select! {
            Some(step) = script.recv() => match step {
                Step::Say(text) => socket.send(Message::text(text)).await?,
                Step::HangUp => return Ok(()),
            },
            // Reading answers pings and the client's goodbye.
            message = socket.next() => match message {
                None => return Ok(()),
                Some(message) => if let Message::Text(text) = message? && let Some(reply) = answer(&text) {
                    socket.send(Message::text(reply)).await?;
                },
            },
        }
    }
}
