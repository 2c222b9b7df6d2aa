//! A feed's thread over real sockets: what it tells, what it is told, and how it ends.

mod kit;

use super::*;
use crate::feed::{Config, Counters, Machine, SubscribeError, Update};
use crate::io::command::Command;
use crate::io::inbox::CommandError;
use crate::io::peer::{Authority, LONG, Peer, accept, drain, read_head, secure};
use crate::io::tls::{Roots, Tls};
use crate::key::IdRef;
#[cfg(target_os = "linux")]
use kit::threads_named;
use kit::{Seen, goodbye, greet, quick, send, set, start, text};
use std::cell::Cell;
use std::future::Future as _;
use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Wake};
use tungstenite::Message;

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
