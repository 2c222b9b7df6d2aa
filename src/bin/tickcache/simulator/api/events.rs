//! The WebSocket side: every event to everybody who is connected.

use std::sync::Arc;
use std::time::Duration;

use fastwebsockets::OpCode;
use tokio::io::AsyncWriteExt;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::timeout;

use crate::simulator::wire::{Connection, Event, Outbox};

/// Events that a client may be behind; one that is further behind is let go of.
pub(crate) const BEHIND: usize = 1024;

/// How long a closing client is waited for.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Sends events until the client goes away. A client that is too slow is let go of, and any client
/// when its life is over: `true` then.
pub(crate) async fn run(
    mut connection: Connection,
    mut events: broadcast::Receiver<Arc<str>>,
    life: Option<Duration>,
) -> bool {
    let mut outbox = Outbox::default();
    let lost = tokio::select! {
        biased;
        () = over(life) => true,
        lost = serve(&mut connection, &mut events, &mut outbox) => lost,
    };
    if lost {
        connection.reset().await;
    } else {
        connection.end().await;
    }
    lost
}

async fn over(life: Option<Duration>) {
    match life {
        Some(life) => tokio::time::sleep(life).await,
        None => std::future::pending().await,
    }
}

/// Whether the client was let go of; else it went by itself.
async fn serve(
    connection: &mut Connection,
    events: &mut broadcast::Receiver<Arc<str>>,
    outbox: &mut Outbox,
) -> bool {
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(text) => outbox.text(|out| out.extend_from_slice(text.as_bytes())),
                Err(RecvError::Lagged(_)) => return true,
                Err(RecvError::Closed) => return false,
            },
            said = connection.events.recv() => match said {
                Some(Event::Ping(payload)) => outbox.control(OpCode::Pong, &payload),
                Some(Event::Close(payload)) => {
                    outbox.control(OpCode::Close, &payload);
                    // A client that has closed may not read any more.
                    let _ = timeout(CLOSE_WITHIN, connection.write.write_all(outbox.bytes())).await;
                    return false;
                }
                Some(Event::Gone) | None => return false,
                Some(Event::Text(_) | Event::Pong) => {}
            },
        }
        if connection.write.write_all(outbox.bytes()).await.is_err() {
            return false;
        }
        outbox.clear();
    }
}
