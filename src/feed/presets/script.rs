//! A scripted server for tests of presets: it expects what an exchange would be sent, answers as
//! one would, and lets time pass. Real frames over virtual time; nothing waits.
//!
//! ```ignore
//! let mut server = Script::open(Feed::of_a_venue());
//! server.expect(&[r#"{"op":"subscribe","args":["a"]}"#]);
//! server.say(r#"{"op":"subscribe","success":true}"#);
//! assert_eq!(server.news(), [""; 0]);
//! ```

use std::collections::VecDeque;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;

use crate::Time;
use crate::feed::backoff::{Backoff, Jitter};
use crate::feed::config::Settings;
use crate::feed::counters::CounterValues;
use crate::feed::machine::{Action, Ended, State};
use crate::feed::protocol::{Protocol, SubscribeError, Subscription};
use crate::feed::registry::Ticket;
use crate::feed::testing::{Pair, frame};

/// Without jitter, so that instants are exact: the next connection is made after 500 ms.
pub(crate) fn settings() -> Settings {
    Settings {
        backoff: Backoff {
            jitter: Jitter::None,
            ..Backoff::default()
        },
        ..Settings::default()
    }
}

/// The server's end of a feed's connection, and the clock.
pub(crate) struct Script<P> {
    pair: Pair<P>,
    url: String,
    tickets: u64,
    /// Texts that were sent and not looked at yet.
    texts: VecDeque<String>,
    /// Pings, pongs and closes that were sent and not looked at yet.
    frames: VecDeque<String>,
    /// When each frame of the present connection was sent.
    times: Vec<Time>,
    news: Vec<String>,
    /// The feed waits for a connection.
    wants: bool,
}

impl<P: Protocol> Script<P> {
    /// A feed that has started and is connected to where its protocol says.
    pub(crate) fn open(protocol: P) -> Self {
        Self::with(settings(), protocol)
    }

    /// As [`open`](Self::open), with settings.
    pub(crate) fn with(settings: Settings, protocol: P) -> Self {
        let mut script = Self {
            pair: Pair::new(settings, protocol),
            url: String::new(),
            tickets: 0,
            texts: VecDeque::new(),
            frames: VecDeque::new(),
            times: Vec::new(),
            news: Vec::new(),
            wants: false,
        };
        script.pair.machine.start(script.pair.now);
        script.connect();
        script
    }

    /// The URL of the present connection.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Streams are asked for; the number of the ticket, from 1.
    #[track_caller]
    pub(crate) fn subscribe(&mut self, channel: &str, ids: &[&str]) -> u64 {
        self.try_subscribe(channel, ids)
            .expect("they can be asked for")
    }

    /// As [`subscribe`](Self::subscribe), where the engine itself may refuse.
    pub(crate) fn try_subscribe(
        &mut self,
        channel: &str,
        ids: &[&str],
    ) -> Result<u64, SubscribeError> {
        self.tickets += 1;
        let Pair { machine, now, .. } = &mut self.pair;
        machine.subscribe(*now, Ticket(self.tickets), streams(channel, ids))?;
        self.collect();
        Ok(self.tickets)
    }

    /// Streams are taken back; the number of the ticket.
    pub(crate) fn unsubscribe(&mut self, channel: &str, ids: &[&str]) -> u64 {
        self.tickets += 1;
        let Pair { machine, now, .. } = &mut self.pair;
        machine
            .unsubscribe(*now, Ticket(self.tickets), &streams(channel, ids))
            .expect("the feed runs");
        self.collect();
        self.tickets
    }

    /// The engine sent these texts since the last look, in this order, and no others. JSON is
    /// compared by value, anything else letter by letter.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: &[&str]) {
        let sent = self.texts();
        let sent: Vec<_> = sent.iter().map(|text| parsed(text)).collect();
        let expected: Vec<_> = expected.iter().map(|text| parsed(text)).collect();
        assert_eq!(sent, expected);
    }

    /// The texts that were sent since the last look.
    pub(crate) fn texts(&mut self) -> Vec<String> {
        self.texts.drain(..).collect()
    }

    /// The control frames that were sent since the last look: `ping ..`, `pong ..`, `close ..`.
    pub(crate) fn frames(&mut self) -> Vec<String> {
        self.frames.drain(..).collect()
    }

    /// The server sends a text.
    pub(crate) fn say(&mut self, text: &str) {
        self.pair.text(text);
        self.collect();
    }

    /// The server sends a text, which leads to these lines of the sink (see
    /// [`Recording`](crate::feed::testing::Recording)).
    #[track_caller]
    pub(crate) fn check(&mut self, text: &str, expected: &[&str]) {
        self.say(text);
        assert_eq!(self.pair.sink.take(), *expected, "{text}");
    }

    /// The server sends a ping frame; what the engine answers is under [`frames`](Self::frames).
    pub(crate) fn ping(&mut self, payload: &str) {
        self.pair.receive(&frame(0x9, payload.as_bytes()));
        self.collect();
    }

    /// Time passes; every deadline on the way is kept at its instant. A connection that is lost on
    /// the way stays lost: see [`reconnect`](Self::reconnect).
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.pair.now.after(time);
        while let Some(at) = self
            .pair
            .machine
            .poll_timeout()
            .filter(|at| *at <= end && !self.wants)
        {
            self.pair.now = self.pair.now.max(at);
            self.pair.machine.handle_timeout(self.pair.now);
            self.collect();
        }
        self.pair.now = end;
    }

    /// The server says goodbye with this code.
    pub(crate) fn close(&mut self, code: u16) {
        self.pair.receive(&frame(0x8, &code.to_be_bytes()));
        self.collect();
    }

    /// The socket ends without a word.
    pub(crate) fn cut(&mut self) {
        self.pair.machine.handle_closed(self.pair.now, Ended::Error);
        self.collect();
    }

    /// Once the feed wants to, it connects again; what the last connection left is forgotten.
    #[track_caller]
    pub(crate) fn reconnect(&mut self) -> String {
        self.texts.clear();
        self.frames.clear();
        let State::Waiting { until } = self.pair.machine.state() else {
            return self.connect();
        };
        self.pass(until.since(self.pair.now));
        self.connect()
    }

    /// What happened since the last look, one line each: `opened 1`, `settled 3: ok`,
    /// `settled 3: refused by the server: ..` (`settled -: ..` for a stream wanted from the
    /// start), `silent`, `audible`, `closing`, `refused: ..`, `lost: ..`.
    pub(crate) fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// The counters, which balance.
    #[track_caller]
    pub(crate) fn counted(&self) -> CounterValues {
        let values = self.pair.counters.snapshot();
        assert!(values.balanced(), "{values:?}");
        values
    }

    /// No interval of length `per` holds more than `most` frames of this connection, whatever
    /// their kind.
    #[track_caller]
    pub(crate) fn assert_pace(&self, most: usize, per: Duration) {
        for window in self.times.windows(most + 1) {
            let span = window[most].since(window[0]);
            assert!(span >= per, "{} frames within {span:?}", most + 1);
        }
    }

    /// How many frames were sent on this connection.
    pub(crate) fn sent(&self) -> usize {
        self.times.len()
    }

    /// Every stream that the present connection asks for: those that `url` finds in its URL, and
    /// those that `request` finds in its requests, each of which is answered with what `answer`
    /// makes of it. Sorted, so that one asked for twice is there twice. Other texts are skipped
    /// where `request` finds none.
    pub(crate) fn asked(
        &mut self,
        url: impl Fn(&str) -> Vec<String>,
        request: impl Fn(&Json) -> Vec<String>,
        answer: impl Fn(&Json) -> Vec<String>,
    ) -> Vec<String> {
        let mut asked = url(&self.url);
        let mut quiet = 0;
        // As long as the pace, or an answer that was waited for, may bring more.
        while quiet < 100 {
            quiet += 1;
            for text in self.texts() {
                let Ok(text) = serde_json::from_str(&text) else {
                    continue;
                };
                let streams = request(&text);
                if !streams.is_empty() {
                    quiet = 0;
                }
                asked.extend(streams);
                for answer in answer(&text) {
                    self.say(&answer);
                }
            }
            self.pass(Duration::from_millis(100));
        }
        asked.sort_unstable();
        asked
    }

    #[track_caller]
    fn connect(&mut self) -> String {
        self.collect();
        assert!(self.wants, "the feed does not want to connect");
        self.wants = false;
        self.times.clear();
        let url = self.pair.machine.address();
        self.url = url.expect("the protocol knows where");
        self.pair.connect(&[]);
        self.collect();
        self.url.clone()
    }

    /// Takes what the engine sent and says at this instant.
    fn collect(&mut self) {
        for sent in self.pair.sent() {
            self.times.push(self.pair.now);
            match sent.strip_prefix("text ") {
                Some(text) => self.texts.push_back(text.to_owned()),
                None => self.frames.push_back(sent),
            }
        }
        for action in self.pair.actions() {
            let line = match action {
                Action::Connect { .. } => {
                    self.wants = true;
                    continue;
                }
                Action::Disconnect => continue,
                Action::Opened { generation } => format!("opened {generation}"),
                Action::Lost(reason) => format!("lost: {reason}"),
                Action::Refused(reason) => format!("refused: {reason}"),
                Action::Settled(settled) => {
                    let ticket = settled.ticket.map(|ticket| ticket.0.to_string());
                    let result = settled.result.err();
                    let result = result.map(|error| error.to_string());
                    format!(
                        "settled {}: {}",
                        ticket.as_deref().unwrap_or("-"),
                        result.as_deref().unwrap_or("ok")
                    )
                }
                other => format!("{other:?}").to_lowercase(),
            };
            self.news.push(line);
        }
    }
}

/// The messages of a recording, if the folder of recordings is here.
pub(crate) fn recording(name: &str) -> Option<Vec<String>> {
    let given = std::env::var_os("TICKCACHE_CAPTURES").map(PathBuf::from);
    let shared = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/captures"));
    let path = given.unwrap_or(shared).join(format!("{name}.jsonl.gz"));
    let Ok(file) = std::fs::File::open(&path) else {
        let path = path.display();
        eprintln!("skipped: no recording at {path} (set TICKCACHE_CAPTURES)");
        return None;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("it is gzipped text");
    Some(text.lines().map(str::to_owned).collect())
}

fn streams(channel: &str, ids: &[&str]) -> Vec<Subscription> {
    ids.iter()
        .map(|id| Subscription::new(channel, id))
        .collect()
}

fn parsed(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}
