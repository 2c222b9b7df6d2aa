//! What the simulation has found, told step by step.

use std::io::Write;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tickcache::testing::{self, Wire};
use tickcache::{Cache, Feed, FetchError, Fetched, Freshness, OnConnect, Reasons, Slot};

use crate::desk::{Asker, Call, Desk};
use crate::frames;
use crate::options::{Form, Options};
use crate::venue::{CHANNEL, ENTITY, Venue, name};

/// The first request of a connection has the number 1, each further one the next.
fn ack(request: u64) -> String {
    format!(r#"{{"t":"ack","id":{request}}}"#)
}

/// A feed with one connection and one key, whose lost values are fetched.
struct Case<'c, 'w> {
    wire: &'c mut Wire<'w, Venue>,
    server: UnixStream,
    desk: Desk,
    slot: Slot,
}

impl Case<'_, '_> {
    fn run(form: Form, on_connect: OnConnect, test: impl FnOnce(&mut Case<'_, '_>)) {
        let options = Options {
            form,
            initial: 1,
            inserts: false,
            on_connect: OnConnect::Invalidate,
            ..Options::of(0)
        };
        let desk = Desk::default();
        let asked = desk.clone();
        let feed = Feed::custom(Venue::new(&options))
            .resync(move |lost| asked.ask(0, Asker::Resync, lost.attempt))
            .on_connect(on_connect)
            .dead_after(Duration::MAX);
        let cache = testing::cache(Cache::builder());
        let slot = cache.entity(ENTITY).slot(name(0));
        let ran = Wire::run(&cache, feed, 1, |wire| {
            wire.settle().expect("a poller");
            let server = connect(wire);
            let mut case = Case {
                wire,
                server,
                desk,
                slot,
            };
            case.pass(0);
            test(&mut case);
        });
        ran.expect("the feed can be attached");
    }

    /// The connection is lost, and after a while there is another one.
    fn reconnects(&mut self) {
        let (other, _) = UnixStream::pair().expect("a pair of sockets");
        drop(std::mem::replace(&mut self.server, other));
        self.pass(10_000);
        assert_eq!(self.wire.asked().len(), 1, "it waits for a connection");
        self.server = connect(self.wire);
        self.pass(0);
    }

    fn says(&mut self, text: &str) {
        let frame = frames::text(text, None);
        self.server.write_all(&frame).expect("there is room");
        self.pass(0);
    }

    /// Lets time pass; what falls due on the way is done when it is due.
    fn pass(&mut self, millis: u64) {
        let until = self.wire.now().after(Duration::from_millis(millis));
        self.wire.settle().expect("a poller");
        while let Some(due) = self.wire.due().filter(|due| *due <= until) {
            self.wire.advance_to(due);
            self.wire.settle().expect("a poller");
        }
        self.wire.advance_to(until);
        self.wire.settle().expect("a poller");
    }

    fn call(&self) -> Call {
        let calls = self.desk.take_fresh();
        let [call] = calls[..] else {
            panic!("one fetch, not {calls:?}")
        };
        call
    }
}

/// Gives the feed a connection: the server's end of it.
fn connect(wire: &mut Wire<'_, Venue>) -> UnixStream {
    let (server, client) = UnixStream::pair().expect("a pair of sockets");
    client.set_nonblocking(true).expect("it need not block");
    wire.connect(0, TcpStream::from(OwnedFd::from(client)), &[]);
    server
}

#[test]
fn a_lost_value_is_fetched_while_a_subscription_keeps_it_up_and_no_longer() {
    Case::run(Form::PerKey, OnConnect::Invalidate, |case| {
        case.says(&ack(1));
        case.says(r#"{"t":"snap","k":"K0","n":1,"d":{"v":1}}"#);
        assert!(case.slot.freshness().is_live());
        case.says(r#"{"t":"upd","k":"K0","n":3,"d":{"v":3}}"#);
        assert_eq!(case.slot.freshness().reasons(), Reasons::GAP);
        case.pass(2_000);
        let call = case.call();
        case.desk.answer(call.number, Err(FetchError::new("no")));
        // Between two attempts the subscription ends.
        drop(case.wire.feed().unsubscribe(CHANNEL, [name(0)]));
        case.pass(0);
        case.says(&ack(2));
        let ended = case.slot.freshness().reasons();
        assert!(ended.contains(Reasons::UNSUBSCRIBED), "{ended:?}");
        case.pass(600_000);
        assert_eq!(case.desk.take_fresh().len(), 0, "nobody would keep it up");

        // Asked for again, it has missed what was said in between.
        drop(case.wire.feed().subscribe(CHANNEL, [name(0)]));
        case.pass(0);
        case.says(&ack(3));
        case.says(r#"{"t":"upd","k":"K0","n":9,"d":{"v":9}}"#);
        let missed = case.slot.freshness().reasons();
        assert!(missed.contains(Reasons::GAP), "{missed:?}");
        case.pass(2_000);
        let call = case.call();
        let answer = Fetched::json(r#"{"v":9,"all":1}"#).as_of(9);
        case.desk.answer(call.number, Ok(answer));
        case.pass(0);
        assert!(case.slot.freshness().is_live());
        case.says(r#"{"t":"upd","k":"K0","n":10,"d":{"v":10}}"#);
        let snapshot = case.slot.snapshot();
        assert!(snapshot.freshness().is_live());
        assert_eq!(snapshot.record().to_json(), r#"{"v":10,"all":1}"#);
    });
}

#[test]
fn what_was_removed_may_have_come_back_by_the_time_it_is_subscribed_to_again() {
    Case::run(Form::PerKey, OnConnect::Invalidate, |case| {
        case.says(&ack(1));
        case.says(r#"{"t":"snap","k":"K0","n":1,"d":{"v":1}}"#);
        case.says(r#"{"t":"del","k":"K0","n":2}"#);
        case.pass(60_000);
        assert_eq!(case.slot.freshness(), Freshness::Removed);
        assert_eq!(case.desk.take_fresh().len(), 0, "it is believed");
        drop(case.wire.feed().unsubscribe(CHANNEL, [name(0)]));
        case.pass(0);
        case.says(&ack(2));
        drop(case.wire.feed().subscribe(CHANNEL, [name(0)]));
        case.pass(0);
        case.says(&ack(3));
        case.says(r#"{"t":"upd","k":"K0","n":9,"d":{"v":9}}"#);
        case.pass(2_000);
        let call = case.call();
        let answer = Fetched::json(r#"{"v":9,"all":1}"#).as_of(9);
        case.desk.answer(call.number, Ok(answer));
        case.pass(0);
        assert!(case.slot.freshness().is_live());
    });
}

#[test]
fn what_a_gap_of_the_connection_has_lost_is_fetched_though_the_source_is_trusted() {
    Case::run(Form::PerConnection, OnConnect::Trust, |case| {
        case.says(r#"{"t":"ack","id":1,"c":0}"#);
        case.says(r#"{"t":"snap","k":"K0","c":1,"d":{"v":1}}"#);
        assert!(case.slot.freshness().is_live());
        // What was missed between two connections is sent.
        case.reconnects();
        case.says(r#"{"t":"ack","id":1,"c":0}"#);
        case.says(r#"{"t":"upd","k":"K0","c":1,"d":{"v":2}}"#);
        assert!(case.slot.freshness().is_live());
        case.pass(60_000);
        assert_eq!(case.desk.take_fresh().len(), 0, "there is no need");

        // What was lost before the connection was is not: it is fetched under the next one.
        case.says(r#"{"t":"upd","k":"K0","c":3,"d":{"v":4}}"#);
        assert_eq!(case.slot.freshness().reasons(), Reasons::GAP);
        case.reconnects();
        case.says(r#"{"t":"ack","id":1,"c":0}"#);
        case.says(r#"{"t":"upd","k":"K0","c":1,"d":{"v":5}}"#);
        assert!(!case.slot.freshness().is_live());
        case.pass(2_000);
        let call = case.call();
        case.desk
            .answer(call.number, Ok(Fetched::json(r#"{"v":5,"all":1}"#)));
        case.pass(0);
        assert!(case.slot.freshness().is_live());
    });
}
