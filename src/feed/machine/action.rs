//! What a machine says about itself, and what it asks of its driver.

use thiserror::Error;

use crate::Time;
#[cfg(doc)]
use crate::feed::Machine;
use crate::feed::registry::Settled;
use crate::ws::ProtocolError;

/// Where an upstream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not started.
    Idle,
    /// A connection is being made.
    Connecting,
    /// Connected.
    Open,
    /// Not connected; the next attempt is at `until`.
    Waiting {
        /// When.
        until: Time,
    },
    /// Stopping: our close frame waits for the server's.
    Closing,
    /// Stopped, for good.
    Stopped,
}

/// Why a connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Lost {
    /// The server closed it, with this code if any.
    #[error("closed by the server{}", code_text(.0))]
    Closed(Option<u16>),
    /// The socket ended without a close frame.
    #[error("the socket ended without a close frame")]
    Ended,
    /// The socket failed.
    #[error("the socket failed")]
    Failed,
    /// Nothing came for `dead_after`.
    #[error("nothing came for longer than dead_after")]
    Dead,
    /// The server sends, and has taken nothing of what waits for it for `dead_after`.
    #[error("the server has taken nothing of what was sent for longer than dead_after")]
    Stuck,
    /// The server broke a rule of WebSocket.
    #[error("{0}")]
    Protocol(ProtocolError),
    /// The texts to send on opening do not fit the queue of outgoing messages.
    #[error("the texts to send on opening do not fit max_outgoing_texts and max_outgoing_bytes")]
    Outgoing,
    /// The server refused the connection: a wrong key, a second session.
    #[error("refused by the server")]
    Refused,
    /// The server did not let the protocol in within `answer_timeout`.
    #[error("the server has not answered the login within answer_timeout")]
    NotReady,
    /// The feed was told to stop.
    #[error("stopped")]
    Stopped,
}

fn code_text(code: &Option<u16>) -> String {
    code.map(|code| format!(" with code {code}"))
        .unwrap_or_default()
}

/// What a driver has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a connection. There is never more than one under way.
    Connect {
        /// Number of this attempt since the last connection that proved itself, from 1.
        attempt: u32,
    },
    /// Offer the socket what [`Machine::transmit`] still holds, without waiting, and drop it; or
    /// give up the attempt to make one.
    Disconnect,
    /// A connection is open, and the values it covers are no longer `Disconnected`. Then call
    /// [`Machine::handle_filled`] with 0: bytes may have come with the handshake.
    Opened {
        /// Number of this connection, from 1.
        generation: u64,
    },
    /// The connection is no more, and the values it covers are `Disconnected`.
    Lost(Lost),
    /// No data came for `silent_after`.
    Silent,
    /// Data came after all.
    Audible,
    /// The server says that it will close the connection.
    Closing,
    /// Why the server refuses the connection; [`Lost::Refused`] follows.
    Refused(Box<str>),
    /// A request to subscribe or unsubscribe has its answer.
    Settled(Settled),
    /// The feed has stopped. Nothing follows.
    Finished,
}

/// How a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// End of file.
    Eof,
    /// An error.
    Error,
}
