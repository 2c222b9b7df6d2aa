//! A target that tells what happens to it, a protocol made for tests, and peers that speak with them.

use super::WAITING;
use crate::feed::{
    Asked, Claims, Class, Counters, Covers, EntityIx, Machine, Outbox, Refusal, Settings, Sink,
    State, SubscribeError, Transaction, Update,
};
use crate::io::command::Command;
use crate::io::feed_thread::*;
use crate::io::inbox::CommandError;
use crate::io::peer::{LONG, accept};
use crate::json::{Message as Json, Value};
use crate::key::{Id, IdRef};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use tungstenite::{Message, WebSocket};

/// What happened to a target, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Opened,
    Lost,
    Joined(Leg),
    Promoted(Leg),
    Silent(bool),
    /// A patch: its id and value.
    Patch(String, String),
    /// A command's value.
    Set(String, String),
    Unsubscribed(String),
    Dropped,
}

/// A target that tells what happens to it.
pub(super) struct Recorder {
    pub(super) tell: Sender<Seen>,
    pub(super) staged: Vec<Seen>,
}

impl Recorder {
    pub(super) fn tell(&self, seen: Seen) {
        // A test that has seen enough listens no more.
        let _ = self.tell.send(seen);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.tell(Seen::Dropped);
    }
}

impl Sink for Recorder {
    fn entity(&mut self, _: &str) -> Result<EntityIx, Refusal> {
        Ok(EntityIx::new(0))
    }

    fn patch(
        &mut self,
        _: EntityIx,
        id: IdRef<'_>,
        _: Update,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        let value = String::from_utf8(value.raw().to_vec()).expect("text");
        self.staged.push(Seen::Patch(id.to_string(), value));
        Ok(())
    }

    fn remove(&mut self, _: EntityIx, _: IdRef<'_>, _: Update) -> Result<(), Refusal> {
        Ok(())
    }

    fn invalidate(&mut self, _: EntityIx, _: Option<IdRef<'_>>) -> Result<(), Refusal> {
        Ok(())
    }

    fn advance(&mut self, _number: u64) -> Result<(), Refusal> {
        Ok(())
    }
}

impl Transaction for Recorder {
    fn commit(&mut self) {
        for seen in std::mem::take(&mut self.staged) {
            self.tell(seen);
        }
    }

    fn rollback(&mut self) {
        self.staged.clear();
    }
}

impl Target for Recorder {
    fn begin(&mut self, _: Time) {}

    fn received(&mut self, _: Time) {}

    fn finish(&mut self) {}

    fn waste(&mut self) -> Option<crate::io::target::Waste> {
        None
    }

    fn opened(&mut self, _: Leg) {
        self.tell(Seen::Opened);
    }

    fn joined(&mut self, leg: Leg) {
        self.tell(Seen::Joined(leg));
    }

    fn left(&mut self, _: Leg) {}

    fn promoted(&mut self, leg: Leg) {
        self.tell(Seen::Promoted(leg));
    }

    fn speaks(&mut self, _: Leg) {}

    fn torn(&mut self) -> Option<Leg> {
        None
    }

    fn catch_up(&mut self) -> bool {
        false
    }

    fn doubt(&mut self, _: &str, _: &Id) {}

    fn lost(&mut self) {
        self.tell(Seen::Lost);
    }

    fn silent(&mut self, silent: bool) {
        self.tell(Seen::Silent(silent));
    }

    fn poll_timeout(&self) -> Option<Time> {
        None
    }

    fn handle_timeout(&mut self) {}

    fn received_at(&self, _: &str, _: &Id) -> Option<Time> {
        None
    }

    fn gap(&mut self) {}

    fn unsubscribed(&mut self, _: &str, id: &Id) {
        self.tell(Seen::Unsubscribed(id.to_string()));
    }

    fn obey(&mut self, command: Command) -> Result<(), CommandError> {
        match command {
            Command::Set { id, value, .. } => {
                let value = String::from_utf8(value).expect("text");
                self.tell(Seen::Set(id.to_string(), value));
                Ok(())
            }
            _ => Err(CommandError::Foreign),
        }
    }
}

/// `{"id": .., ..}` is a patch; `{"panic": ..}` panics. Subscribing sends `+id`, unsubscribing
/// `-id`.
pub(super) struct Script;

impl Protocol for Script {
    fn name(&self) -> &str {
        "script"
    }

    fn claims(&self) -> Claims {
        Claims {
            entities: Vec::new(),
            wildcard: false,
            covers: Covers::Nothing,
        }
    }

    fn value_of(&self, subscription: &Subscription) -> Option<(String, Id)> {
        Some(("e".into(), Id::from(&*subscription.id)))
    }

    fn check(&self, subscription: &Subscription) -> Result<(), SubscribeError> {
        match &*subscription.channel {
            "c" => Ok(()),
            other => Err(SubscribeError::UnknownChannel(other.into())),
        }
    }

    fn subscribe(
        &mut self,
        _: u64,
        wanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        out.push(format!("+{}", wanted[0].id))?;
        Ok(Asked {
            count: 1,
            answer: crate::feed::Answer::None,
        })
    }

    fn unsubscribe(
        &mut self,
        _: u64,
        unwanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        out.push(format!("-{}", unwanted[0].id))?;
        Ok(Asked {
            count: 1,
            answer: crate::feed::Answer::None,
        })
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Json<'a>,
        sink: &mut S,
        _: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let root = message.root();
        if let Some(why) = root.get("panic") {
            panic!("{}", why.str().unwrap_or_default());
        }
        let id = root
            .get("id")
            .and_then(|id| id.str())
            .ok_or(Refusal::NoId)?;
        let entity = sink.entity("e")?;
        sink.patch(entity, IdRef::Text(id), Update::whole(), root)?;
        Ok(Class::Data)
    }
}

/// A feed under test, and what its target sees.
pub(super) struct Trial {
    pub(super) feed: FeedHandle,
    pub(super) seen: Receiver<Seen>,
}

pub(super) fn quick() -> Settings {
    let mut settings = Settings::default();
    settings.backoff = Backoff::fixed(Duration::from_millis(1));
    settings.close_timeout = LONG;
    settings
}

pub(super) fn start(
    name: &str,
    url: String,
    settings: Settings,
    change: impl FnOnce(&mut ThreadOptions),
) -> Trial {
    let mut options = ThreadOptions {
        name: name.into(),
        endpoint: EndpointSource::Fixed(Endpoint::new(url).text("hello")),
        waiting: WAITING.get(),
        ..ThreadOptions::default()
    };
    options.connect.connect_timeout = LONG;
    options.connect.handshake_timeout = LONG;
    change(&mut options);
    let (tell, seen) = channel();
    let build = move || {
        let config = settings
            .clone()
            .check()
            .map_err(|error| error.to_string())?;
        let machine = Machine::new(config, Script, Arc::new(Counters::default()), 1)
            .map_err(|error| error.to_string())?;
        let target = Recorder {
            tell: tell.clone(),
            staged: Vec::new(),
        };
        let group = Group::single(machine);
        Ok(Parts { group, target })
    };
    let first = build().expect("settings that work");
    let runtime = Runtime::new(None).expect("a runtime");
    let feed = spawn(options, runtime, Clock::real(), first, build).expect("a thread");
    Trial { feed, seen }
}

impl Trial {
    #[track_caller]
    pub(super) fn sees(&self, expected: Seen) {
        let seen = self.seen.recv_timeout(LONG);
        assert_eq!(seen.expect("something happens"), expected);
    }

    #[track_caller]
    pub(super) fn sees_patch(&self, id: &str) {
        self.sees(Seen::Patch(id.into(), format!(r#"{{"id":"{id}"}}"#)));
    }

    #[track_caller]
    pub(super) fn stop(self) {
        self.feed.stop();
        assert!(self.feed.join(LONG), "the thread ends");
        assert_eq!(self.feed.board().end().get(), Some(FeedEnd::Stopped));
        assert_eq!(self.feed.status().state, State::Stopped);
    }

    pub(super) fn send(&self, command: Command) -> Result<(), CommandError> {
        self.feed.inbox().send(command)?.wait(LONG)
    }
}

pub(super) fn set(id: &str) -> Command {
    let id = Id::from(id);
    Command::Set {
        entity: "e".into(),
        id,
        update: Update::whole(),
        value: b"1".to_vec(),
    }
}

/// Accepts a WebSocket and reads the feed's first text.
pub(super) fn greet(listener: &TcpListener) -> WebSocket<TcpStream> {
    let mut socket = tungstenite::accept(accept(listener)).expect("a handshake");
    assert_eq!(text(&mut socket), "hello");
    socket
}

pub(super) fn text<S: io::Read + io::Write>(socket: &mut WebSocket<S>) -> String {
    loop {
        match socket.read().expect("a message") {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn send<S: io::Read + io::Write>(socket: &mut WebSocket<S>, id: &str) {
    socket
        .send(Message::text(format!(r#"{{"id":"{id}"}}"#)))
        .expect("sent");
}

/// Serves a client that says goodbye, and answers whether it did so by a close frame.
pub(super) fn goodbye<S: io::Read + io::Write>(mut socket: WebSocket<S>) -> bool {
    let mut polite = false;
    loop {
        match socket.read() {
            Ok(Message::Close(_)) => polite = true,
            Ok(_) => {}
            Err(_) => return polite,
        }
    }
}

/// How many threads of this process have this name.
#[cfg(target_os = "linux")]
pub(super) fn threads_named(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("a list of threads");
    let names = tasks
        .flatten()
        .filter_map(|t| std::fs::read_to_string(t.path().join("comm")).ok());
    names.filter(|found| found.trim() == name).count()
}
