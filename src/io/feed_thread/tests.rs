use super::*;
use crate::feed::{
    Asked, Claims, Class, Config, Counters, Covers, EntityIx, Machine, Outbox, Refusal, Settings,
    Sink, State, SubscribeError, Transaction, Update,
};
use crate::io::command::Command;
use crate::io::inbox::CommandError;
use crate::io::peer::{Authority, LONG, Peer, accept, drain, read_head, secure};
use crate::io::tls::{Roots, Tls};
use crate::json::{Message as Json, Value};
use crate::key::{Id, IdRef};
use std::cell::Cell;
use std::future::Future as _;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Wake};
use tungstenite::{Message, WebSocket};

/// What happened to a target, in order.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
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
struct Recorder {
    tell: Sender<Seen>,
    staged: Vec<Seen>,
}

impl Recorder {
    fn tell(&self, seen: Seen) {
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
struct Script;

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

thread_local! {
    /// How the feeds of this test wait.
    static WAITING: Cell<Waiting> = const { Cell::new(Waiting::Block) };
}

/// Everything below holds in every mode: as it stands in the poller's, and once more in the others.
macro_rules! in_the_other_modes {
    ($($test:ident)*) => {
        mod spinning_then_parking {
            $(#[test] fn $test() { super::in_mode(super::Waiting::SPIN_THEN_PARK, super::$test) })*
        }
        mod busy_polling {
            $(#[test] fn $test() { super::in_mode(super::Waiting::BusyPoll, super::$test) })*
        }
    };
}

fn in_mode(waiting: Waiting, test: fn()) {
    WAITING.set(waiting);
    test();
}

in_the_other_modes! {
    data_arrives_and_a_closed_connection_is_replaced
    a_frozen_server_is_silent_then_dead_then_replaced
    commands_are_carried_out_without_a_connection_and_during_one
    a_panic_is_reported_and_ends_the_feed
    a_panic_restarts_the_feed_where_the_policy_says_so
    stopping_waits_for_no_handshake_and_no_back_off
    a_server_that_never_says_goodbye_does_not_hold_a_stopping_feed
    the_hook_is_asked_for_each_attempt_and_may_fail
    a_secure_feed_behaves_the_same
    a_flood_does_not_keep_commands_waiting
    a_users_waker_is_never_run_on_the_feeds_thread
    a_real_feed_lands_in_the_store_and_balances_its_ledgers
}

/// A feed under test, and what its target sees.
struct Trial {
    feed: FeedHandle,
    seen: Receiver<Seen>,
}

fn quick() -> Settings {
    let mut settings = Settings::default();
    settings.backoff = Backoff::fixed(Duration::from_millis(1));
    settings.close_timeout = LONG;
    settings
}

fn start(
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
    fn sees(&self, expected: Seen) {
        let seen = self.seen.recv_timeout(LONG);
        assert_eq!(seen.expect("something happens"), expected);
    }

    #[track_caller]
    fn sees_patch(&self, id: &str) {
        self.sees(Seen::Patch(id.into(), format!(r#"{{"id":"{id}"}}"#)));
    }

    #[track_caller]
    fn stop(self) {
        self.feed.stop();
        assert!(self.feed.join(LONG), "the thread ends");
        assert_eq!(self.feed.board().end().get(), Some(FeedEnd::Stopped));
        assert_eq!(self.feed.status().state, State::Stopped);
    }

    fn send(&self, command: Command) -> Result<(), CommandError> {
        self.feed.inbox().send(command)?.wait(LONG)
    }
}

fn set(id: &str) -> Command {
    let id = Id::from(id);
    Command::Set {
        entity: "e".into(),
        id,
        update: Update::whole(),
        value: b"1".to_vec(),
    }
}

/// Accepts a WebSocket and reads the feed's first text.
fn greet(listener: &TcpListener) -> WebSocket<TcpStream> {
    let mut socket = tungstenite::accept(accept(listener)).expect("a handshake");
    assert_eq!(text(&mut socket), "hello");
    socket
}

fn text<S: io::Read + io::Write>(socket: &mut WebSocket<S>) -> String {
    loop {
        match socket.read().expect("a message") {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn send<S: io::Read + io::Write>(socket: &mut WebSocket<S>, id: &str) {
    socket
        .send(Message::text(format!(r#"{{"id":"{id}"}}"#)))
        .expect("sent");
}

/// Serves a client that says goodbye, and answers whether it did so by a close frame.
fn goodbye<S: io::Read + io::Write>(mut socket: WebSocket<S>) -> bool {
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
fn threads_named(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("a list of threads");
    let names = tasks
        .flatten()
        .filter_map(|t| std::fs::read_to_string(t.path().join("comm")).ok());
    names.filter(|found| found.trim() == name).count()
}

#[test]
fn data_arrives_and_a_closed_connection_is_replaced() {
    let peer = Peer::listen(|listener| {
        let mut first = greet(&listener);
        send(&mut first, "a");
        first.close(None).expect("closed");
        goodbye(first);
        let mut second = greet(&listener);
        send(&mut second, "b");
        assert!(goodbye(second), "the feed says goodbye");
    });
    let trial = start("again", peer.url("/"), quick(), |_| {});
    trial.sees(Seen::Opened);
    trial.sees_patch("a");
    trial.sees(Seen::Lost);
    trial.sees(Seen::Opened);
    trial.sees_patch("b");
    let status = trial.feed.status();
    assert_eq!(
        (status.generation, status.attempts, status.peer),
        (2, 2, Some(peer.address))
    );
    assert_eq!(status.last_loss, Some(Lost::Closed(None)));
    #[cfg(target_os = "linux")]
    assert_eq!(threads_named("feed-again"), 1);
    trial.feed.stop();
    trial.sees(Seen::Lost);
    trial.sees(Seen::Dropped);
    trial.stop();
    #[cfg(target_os = "linux")]
    assert_eq!(threads_named("feed-again"), 0, "its thread is gone");
    peer.join();
}

#[test]
fn a_frozen_server_is_silent_then_dead_then_replaced() {
    let peer = Peer::listen(|listener| {
        let mut first = greet(&listener);
        send(&mut first, "a");
        // From here on the first connection is frozen: nothing is read, nothing is sent.
        let mut second = greet(&listener);
        send(&mut second, "b");
        goodbye(second);
        drop(first);
    });
    let mut settings = quick();
    settings.silent_after = Duration::from_millis(20);
    settings.dead_after = Duration::from_millis(100);
    let trial = start("frozen", peer.url("/"), settings, |_| {});
    trial.sees(Seen::Opened);
    trial.sees_patch("a");
    trial.sees(Seen::Silent(true));
    trial.sees(Seen::Lost);
    trial.sees(Seen::Opened);
    trial.sees_patch("b");
    assert_eq!(trial.feed.status().last_loss, Some(Lost::Dead));
    trial.stop();
    peer.join();
}

#[test]
fn commands_are_carried_out_without_a_connection_and_during_one() {
    let peer = Peer::listen(|listener| {
        let refuse = |mut stream: TcpStream| {
            let _head = read_head(&mut stream);
            io::Write::write_all(
                &mut stream,
                b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n",
            )
            .expect("sent");
        };
        refuse(accept(&listener));
        let mut socket = greet(&listener);
        assert_eq!(text(&mut socket), "+x");
        assert_eq!(text(&mut socket), "+y");
        assert_eq!(text(&mut socket), "-x");
        goodbye(socket);
    });
    let mut settings = quick();
    // Not before the test has done what it does while disconnected.
    settings.backoff = Backoff::fixed(Duration::from_millis(200));
    let trial = start("commands", peer.url("/"), settings, |_| {});
    assert_eq!(trial.send(set("offline")), Ok(()));
    trial.sees(Seen::Set("offline".into(), "1".into()));
    let x = vec![Subscription::new("c", "x")];
    let waiting = trial
        .feed
        .inbox()
        .send(Command::Subscribe(x.clone()))
        .expect("room");
    let unknown = vec![Subscription::new("other", "x")];
    assert_eq!(
        trial.send(Command::Subscribe(unknown)),
        Err(SubscribeError::UnknownChannel("other".into()).into())
    );
    trial.sees(Seen::Opened);
    let error = waiting.wait(LONG);
    assert_eq!(error, Ok(()), "it was kept until there was a connection");
    assert_eq!(
        trial.send(Command::Subscribe(vec![Subscription::new("c", "y")])),
        Ok(())
    );
    assert_eq!(trial.send(Command::Unsubscribe(x)), Ok(()));
    trial.sees(Seen::Unsubscribed("x".into()));
    let remove = Command::Remove {
        entity: "e".into(),
        id: 7.into(),
        update: Update::whole(),
    };
    assert_eq!(trial.send(remove), Err(CommandError::Foreign));
    let inbox = trial.feed.inbox().clone();
    trial.stop();
    assert_eq!(
        inbox.send(set("late")).expect_err("closed"),
        CommandError::OwnerGone
    );
    peer.join();
}

#[test]
fn a_panic_is_reported_and_ends_the_feed() {
    let peer = Peer::listen(|listener| {
        let mut socket = greet(&listener);
        socket
            .send(Message::text(r#"{"panic":"a bug"}"#))
            .expect("sent");
        assert!(!goodbye(socket), "it is gone without a word");
    });
    let trial = start("panics", peer.url("/"), quick(), |_| {});
    trial.sees(Seen::Opened);
    trial.sees(Seen::Dropped);
    let end = pollster::block_on(trial.feed.board().finished());
    assert_eq!(end, FeedEnd::Panicked("a bug".into()));
    assert_eq!(trial.send(set("late")), Err(CommandError::OwnerGone));
    assert!(trial.feed.join(LONG));
    peer.join();
}

#[test]
fn a_panic_restarts_the_feed_where_the_policy_says_so() {
    let peer = Peer::listen(|listener| {
        let mut socket = greet(&listener);
        assert_eq!(text(&mut socket), "+x");
        socket
            .send(Message::text(r#"{"panic":"a bug"}"#))
            .expect("sent");
        goodbye(socket);
        let mut socket = greet(&listener);
        assert_eq!(text(&mut socket), "+x", "it is asked for again");
        send(&mut socket, "b");
        goodbye(socket);
    });
    let trial = start("restarts", peer.url("/"), quick(), |options| {
        options.restart = Restart::Always(Backoff::fixed(Duration::from_millis(1)));
    });
    let x = vec![Subscription::new("c", "x")];
    assert_eq!(trial.send(Command::Subscribe(x)), Ok(()));
    trial.sees(Seen::Opened);
    trial.sees(Seen::Dropped);
    trial.sees(Seen::Opened);
    trial.sees_patch("b");
    assert_eq!(trial.feed.status().restarts, 1);
    assert_eq!(trial.send(set("again")), Ok(()), "its inbox is open again");
    trial.stop();
    peer.join();
}

#[test]
fn stopping_waits_for_no_handshake_and_no_back_off() {
    let (tell, came) = channel();
    let peer = Peer::once(move |stream| {
        tell.send(()).expect("heard");
        drain(stream);
    });
    let trial = start("connecting", peer.url("/"), quick(), |_| {});
    came.recv_timeout(LONG).expect("an attempt");
    trial.stop();
    peer.join();

    let gone = Peer::listen(drop);
    let url = gone.url("/");
    gone.join();
    let mut settings = quick();
    settings.backoff = Backoff::fixed(LONG);
    let trial = start("waiting", url, settings, |_| {});
    while trial.feed.status().last_error.is_none() {
        std::thread::yield_now();
    }
    trial.stop();
}

#[test]
fn a_server_that_never_says_goodbye_does_not_hold_a_stopping_feed() {
    let (done, wait) = channel::<()>();
    let peer = Peer::listen(move |listener| {
        let socket = greet(&listener);
        wait.recv_timeout(LONG).expect("told");
        drop(socket);
    });
    let mut settings = quick();
    settings.close_timeout = Duration::from_millis(20);
    let trial = start("rude", peer.url("/"), settings, |_| {});
    trial.sees(Seen::Opened);
    trial.stop();
    done.send(()).expect("heard");
    peer.join();
}

#[test]
fn the_hook_is_asked_for_each_attempt_and_may_fail() {
    let peer = Peer::listen(|listener| {
        let mut socket = tungstenite::accept(accept(&listener)).expect("a handshake");
        assert_eq!(text(&mut socket), "attempt 3");
        goodbye(socket);
    });
    let url = peer.url("/");
    let trial = start("hook", String::new(), quick(), |options| {
        options.endpoint = EndpointSource::hook(move |attempt| {
            let url = url.clone();
            async move {
                match attempt.number {
                    1 => Err("no token".into()),
                    2 => panic!("a bug in the hook"),
                    n => Ok(Endpoint::new(url).text(format!("attempt {n}"))),
                }
            }
        });
    });
    trial.sees(Seen::Opened);
    assert_eq!(trial.feed.status().attempts, 3);
    trial.stop();
    peer.join();
}

#[test]
fn a_pinned_busy_feed_behaves_the_same() {
    let peer = Peer::listen(|listener| {
        let mut socket = greet(&listener);
        send(&mut socket, "a");
        goodbye(socket);
    });
    let trial = start("busy", peer.url("/"), quick(), |options| {
        options.waiting = Waiting::BusyPoll;
        options.pin = Some(0);
    });
    trial.sees(Seen::Opened);
    trial.sees_patch("a");
    assert_eq!(trial.send(set("x")), Ok(()));
    trial.sees(Seen::Set("x".into(), "1".into()));
    trial.stop();
    peer.join();
}

#[test]
fn a_secure_feed_behaves_the_same() {
    let authority = Authority::new("ours");
    let config = authority.server("localhost", 2100);
    let peer = Peer::listen(move |listener| {
        let mut socket =
            tungstenite::accept(secure(accept(&listener), &config)).expect("a handshake");
        assert_eq!(text(&mut socket), "hello");
        for n in 0..500 {
            send(&mut socket, &n.to_string());
        }
        assert!(goodbye(socket));
    });
    let url = format!("wss://localhost:{}/", peer.address.port());
    let trial = start("secure", url, quick(), |options| {
        options.connect.tls = Tls::from_roots(Roots::Pem(authority.pem.clone().into()));
    });
    trial.sees(Seen::Opened);
    for n in 0..500 {
        trial.sees_patch(&n.to_string());
    }
    trial.stop();
    peer.join();
}

#[test]
fn a_flood_does_not_keep_commands_waiting() {
    let peer = Peer::listen(|listener| {
        let mut socket = greet(&listener);
        let text = Message::text(r#"{"id":"a"}"#);
        while socket.send(text.clone()).is_ok() {}
    });
    let mut settings = quick();
    // It never answers our close frame.
    settings.close_timeout = Duration::from_millis(20);
    let trial = start("flood", peer.url("/"), settings, |_| {});
    trial.sees(Seen::Opened);
    assert_eq!(trial.send(set("x")), Ok(()));
    trial.stop();
    peer.join();
}

#[test]
fn a_users_waker_is_never_run_on_the_feeds_thread() {
    struct Where(Sender<Option<String>>);
    impl Wake for Where {
        fn wake(self: Arc<Self>) {
            let name = std::thread::current().name().map(str::to_owned);
            self.0.send(name).expect("heard");
        }
    }
    let peer = Peer::listen(drop);
    let trial = start("waker", peer.url("/"), quick(), |_| {});
    let (tell, told) = channel();
    let mut finished = Box::pin(trial.feed.board().finished());
    let waker = Arc::new(Where(tell)).into();
    assert!(
        finished
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    trial.stop();
    let name = told.recv_timeout(LONG).expect("woken");
    assert_eq!(name.as_deref(), Some("tickcache-slow"));
    peer.join();
}

#[test]
fn a_real_feed_lands_in_the_store_and_balances_its_ledgers() {
    use crate::feed::presets::Events;
    use crate::feed::{Missing, OnConnect};
    use crate::io::ingest::{Ingest, IngestConfig};
    use crate::record::Limits;
    use crate::store::{Hub, Link, State as Held, Store, StoreConfig, TurnCounter};

    const MESSAGES: u64 = 2000;
    let (sent, wait) = channel::<()>();
    let peer = Peer::listen(move |listener| {
        let mut socket = greet(&listener);
        for n in 0..MESSAGES {
            let (id, entity) = (n % 50, n % 3);
            let text = format!(r#"{{"entity":"e{entity}","id":{id},"payload":{{"n":{n}}}}}"#);
            socket.write(Message::text(text)).expect("sent");
        }
        socket.send(Message::text("not json")).expect("sent");
        sent.send(()).expect("heard");
        goodbye(socket);
    });
    let store = Store::new(StoreConfig::default());
    let (hub, runner) = Hub::new();
    let counters = Arc::new(Counters::default());
    let events = Events::new().missing(Missing::Insert);
    let config = IngestConfig {
        feed: "events".into(),
        source: 1,
        claims: events.claims(),
        on_connect: OnConnect::Invalidate,
        limits: Limits::default(),
        max_items: 1000,
        silence: Vec::new(),
    };
    let turns = Arc::new(TurnCounter::new());
    let target = Ingest::new(
        config,
        Arc::clone(&store),
        Arc::clone(&hub),
        Arc::clone(&counters),
        turns,
    )
    .expect("attached");
    let machine = Machine::new(Config::default(), events, Arc::clone(&counters), 1);
    let machine = machine.expect("a machine");
    let options = ThreadOptions {
        endpoint: EndpointSource::Fixed(Endpoint::new(peer.url("/")).text("hello")),
        waiting: WAITING.get(),
        ..ThreadOptions::default()
    };
    let runtime = Runtime::new(None).expect("a runtime");
    let rebuild = || Err("never".into());
    let feed = spawn(
        options,
        runtime,
        Clock::real(),
        Parts {
            group: Group::single(machine),
            target,
        },
        rebuild,
    );
    let feed = feed.expect("a thread");
    wait.recv_timeout(LONG).expect("all was sent");
    let started = Clock::real().now();
    while counters.snapshot().messages <= MESSAGES {
        assert!(Clock::real().now().since(started) < LONG, "{counters:?}");
        std::thread::yield_now();
    }
    feed.stop();
    assert!(feed.join(LONG));
    let now = counters.snapshot();
    assert!(now.balanced(), "{now:?}");
    // The first read is timed; of each timed one that published, both ends are known.
    let latencies = counters.latencies();
    let (first, last) = (&latencies.first_visible, &latencies.last_visible);
    assert!(first.count() > 0, "{latencies:?}");
    assert_eq!(first.count(), last.count());
    assert!(first.max() <= last.max(), "{latencies:?}");
    assert_eq!(latencies.blocking.count(), 0, "nobody waits");
    let last = store.find("e2").expect("claimed").find(IdRef::Int(49));
    assert_eq!((now.messages, now.refused, now.gaps), (MESSAGES + 1, 1, 0));
    assert_eq!((now.patches, now.applied), (MESSAGES, MESSAGES));
    let last = last.expect("a slot");
    assert_eq!(last.head().state, Held::Present);
    assert_ne!(Link::from_word(last.link()).bits & Link::STOPPED, 0);
    peer.join();
    drop(runner);
}
