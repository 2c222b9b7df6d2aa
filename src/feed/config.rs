//! The settings of one upstream, checked once into a type that cannot be wrong.

use std::num::NonZeroU32;
use std::time::Duration;

use thiserror::Error;

use super::backoff::Backoff;
use super::bulk::Overtaking;
use crate::ws;

/// What the open of a connection, the first included, does to the values it covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConnect {
    /// They are invalidated: whole messages or fetches make them live again. Safe for every
    /// source, and asks the source for everything that is observed.
    #[default]
    Invalidate,
    /// They are believed: each turns live with its own next message, patch or whole. Only for a
    /// source that sends, after a reconnect, what was missed. What a gap has lost counts as sent: such
    /// a value waits for a whole one.
    Trust,
}

/// How many messages may be sent in any interval of a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// So many messages.
    pub messages: NonZeroU32,
    /// In any interval of this length.
    pub per: Duration,
}

impl Pace {
    /// The pace, or `None` for one that would never send.
    #[must_use]
    pub fn new(messages: u32, per: Duration) -> Option<Self> {
        NonZeroU32::new(messages).map(|messages| Self { messages, per })
    }
}

/// The settings of one upstream. [`check`](Self::check) makes a [`Config`] of them.
///
/// A duration of [`Duration::MAX`] switches its watchdog or timeout off.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The connection is given up when no byte came for so long, pongs included; at half of it a
    /// ping is sent. It is given up as well when something waits to be sent and the server has taken
    /// nothing of it for so long. Default: 30 s. Shorter notices a dead peer sooner, and sends more
    /// pings.
    pub dead_after: Duration,
    /// Covered values are `Silent` when no *data* came for so long; the connection stays. Pings,
    /// pongs, heartbeats and acknowledgements are not data. Default: off, since only the user
    /// knows how often a source speaks.
    pub silent_after: Duration,
    /// How long name look-up and the connection of the socket may take. Default: 10 s.
    pub connect_timeout: Duration,
    /// How long TLS and the WebSocket handshake may take. Default: 10 s.
    pub handshake_timeout: Duration,
    /// How long a stopping feed waits for the server's close frame, and then for long messages that
    /// are being taken apart. Default: 1 s. Longer is more polite to a slow server; stopping takes
    /// as long.
    pub close_timeout: Duration,
    /// How long the server may take to answer a subscription. Default: 10 s.
    pub answer_timeout: Duration,
    /// How soon a granted subscription has to bring data: one that does not is reported, and
    /// nothing else. Default: 60 s. Longer suits instruments that are seldom traded.
    pub first_data_within: Duration,
    /// Delays between connection attempts. Default: 500 ms, doubling up to 30 s, half of it random.
    pub backoff: Backoff,
    /// The back-off starts anew once a connection has brought data or was open for so long.
    /// Default: 30 s. Shorter lets a server that accepts and drops be tried faster.
    pub proved_after: Duration,
    /// What the open of a connection does to the values it covers. Default: invalidate.
    pub on_connect: OnConnect,
    /// How fast messages may be sent. Default: what the protocol says, else any speed.
    pub pace: Option<Pace>,
    /// Longest message and size of the read buffer, in bytes. Default: 16 MiB and 64 KiB. The
    /// longest message bounds the memory that a server can make the decoder use, times about 40.
    pub limits: ws::Limits,
    /// How many arrays and objects of a message may be inside each other. Default: 128.
    pub max_depth: u32,
    /// Most text messages that may wait to be sent. Default: 1,024.
    pub max_outgoing_texts: usize,
    /// Most bytes that may wait to be sent: those of texts that wait for the pace and those of
    /// frames that wait for the socket, each. Default: 1 MiB. When a server does not read, further
    /// requests are refused, and of its pings only the last is answered.
    pub max_outgoing_bytes: usize,
    /// Text messages longer than this, in bytes, are taken apart on a thread for blocking work, so
    /// that nothing else of their feed waits for them. Default: 256 KiB, about half a millisecond
    /// of decoding. Less frees the feed's thread from more, and costs a copy of the protocol and
    /// some microseconds for each such message. `usize::MAX` switches it off.
    pub bulk_above: usize,
    /// Which messages may be shown before a long one that came earlier. Default:
    /// [`Overtaking::Complete`].
    pub overtaking: Overtaking,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            dead_after: seconds(30),
            silent_after: Duration::MAX,
            connect_timeout: seconds(10),
            handshake_timeout: seconds(10),
            close_timeout: seconds(1),
            answer_timeout: seconds(10),
            first_data_within: seconds(60),
            backoff: Backoff::default(),
            proved_after: seconds(30),
            on_connect: OnConnect::default(),
            pace: None,
            limits: ws::Limits::default(),
            max_depth: 128,
            max_outgoing_texts: 1024,
            max_outgoing_bytes: 1 << 20,
            bulk_above: 256 << 10,
            overtaking: Overtaking::default(),
        }
    }
}

/// Why settings cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The setting must be more than zero.
    #[error("{0} must be more than zero")]
    Zero(&'static str),
    /// The setting is below what can work.
    #[error("{0} must be at least {1}")]
    TooSmall(&'static str, usize),
    /// The first delay is longer than the longest.
    #[error("backoff.first is longer than backoff.max")]
    Backoff,
}

/// Room that the smallest queue of outgoing bytes must have: a close frame and a few pongs.
const MIN_OUTGOING_BYTES: usize = 1024;

impl Settings {
    /// Checks the settings.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(self) -> Result<Config, ConfigError> {
        let times = [
            ("dead_after", self.dead_after),
            ("silent_after", self.silent_after),
            ("connect_timeout", self.connect_timeout),
            ("handshake_timeout", self.handshake_timeout),
            ("answer_timeout", self.answer_timeout),
            ("first_data_within", self.first_data_within),
        ];
        if let Some((name, _)) = times.iter().find(|(_, time)| time.is_zero()) {
            return Err(ConfigError::Zero(name));
        }
        if self.limits.max_message == 0 {
            return Err(ConfigError::Zero("limits.max_message"));
        }
        if self.max_depth == 0 {
            return Err(ConfigError::Zero("max_depth"));
        }
        if self.backoff.factor == 0 {
            return Err(ConfigError::Zero("backoff.factor"));
        }
        if self.backoff.max.is_zero() {
            // Without a delay a refusing server would be tried as fast as the machine can.
            return Err(ConfigError::Zero("backoff.max"));
        }
        if self.backoff.first > self.backoff.max {
            return Err(ConfigError::Backoff);
        }
        if self.pace.is_some_and(|pace| pace.per.is_zero()) {
            return Err(ConfigError::Zero("pace.per"));
        }
        if self.limits.read_buffer < ws::Limits::MIN_READ_BUFFER {
            return Err(ConfigError::TooSmall(
                "limits.read_buffer",
                ws::Limits::MIN_READ_BUFFER,
            ));
        }
        if self.bulk_above == 0 {
            return Err(ConfigError::Zero("bulk_above"));
        }
        if self.max_outgoing_texts == 0 {
            return Err(ConfigError::Zero("max_outgoing_texts"));
        }
        if self.max_outgoing_bytes < MIN_OUTGOING_BYTES {
            return Err(ConfigError::TooSmall(
                "max_outgoing_bytes",
                MIN_OUTGOING_BYTES,
            ));
        }
        Ok(Config(self))
    }
}

/// Settings that were checked.
#[derive(Clone, Debug, Default)]
pub struct Config(Settings);

impl Config {
    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut Settings), expected: Option<ConfigError>) {
        let mut settings = Settings::default();
        change(&mut settings);
        assert_eq!(settings.check().err(), expected);
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        check(|_| {}, None);
        check(
            |s| s.dead_after = Duration::ZERO,
            Some(ConfigError::Zero("dead_after")),
        );
        check(
            |s| s.silent_after = Duration::ZERO,
            Some(ConfigError::Zero("silent_after")),
        );
        check(
            |s| s.answer_timeout = Duration::ZERO,
            Some(ConfigError::Zero("answer_timeout")),
        );
        check(|s| s.close_timeout = Duration::ZERO, None);
        check(|s| s.backoff = Backoff::fixed(Duration::from_secs(3)), None);
        check(
            |s| s.backoff = Backoff::fixed(Duration::ZERO),
            Some(ConfigError::Zero("backoff.max")),
        );
        check(
            |s| s.backoff.first = Duration::from_secs(99),
            Some(ConfigError::Backoff),
        );
        check(
            |s| s.backoff.factor = 0,
            Some(ConfigError::Zero("backoff.factor")),
        );
        check(
            |s| s.pace = Pace::new(5, Duration::ZERO),
            Some(ConfigError::Zero("pace.per")),
        );
        check(|s| s.bulk_above = 0, Some(ConfigError::Zero("bulk_above")));
        check(|s| s.max_depth = 0, Some(ConfigError::Zero("max_depth")));
        check(
            |s| s.limits.read_buffer = 10,
            Some(ConfigError::TooSmall("limits.read_buffer", 256)),
        );
        check(
            |s| s.max_outgoing_bytes = 10,
            Some(ConfigError::TooSmall("max_outgoing_bytes", 1024)),
        );
        assert_eq!(Pace::new(0, Duration::from_secs(1)), None);
    }

    #[test]
    fn the_defaults_are_what_the_documents_say() {
        let config = Settings::default().check().expect("defaults work");
        assert_eq!(config.settings().dead_after, Duration::from_secs(30));
        assert_eq!(config.settings().silent_after, Duration::MAX);
        assert_eq!(config.settings().on_connect, OnConnect::Invalidate);
    }
}
