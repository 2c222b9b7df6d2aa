//! A protocol that panics: its feed ends or begins again, and nothing else does.

use super::*;

/// Takes `{"id":..}` as values of the entity `job`, and panics at `boom`.
#[derive(Clone)]
struct Fragile {
    url: String,
    job: Option<EntityIx>,
}

impl Protocol for Fragile {
    fn name(&self) -> &str {
        "fragile"
    }

    fn claims(&self) -> Claims {
        Claims {
            entities: vec!["job".into()],
            wildcard: false,
            covers: Covers::Nothing,
        }
    }

    fn address(&self, _wanted: &[&Subscription]) -> Option<Address> {
        Some(Address {
            url: self.url.clone(),
            carries: 0,
        })
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        _out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let job = match self.job {
            Some(job) => job,
            None => *self.job.insert(sink.entity("job")?),
        };
        sink.patch(job, IdRef::from(1), Update::whole(), message.root())?;
        assert!(
            message.root().get("boom").is_none(),
            "the protocol cannot take this"
        );
        Ok(Class::Data)
    }
}

/// A server whose first connections each say 1 and then what makes the protocol panic; the last
/// one says 2 and stays.
fn booming(connections: u64) -> Server {
    Server::start(move |connection| {
        if connection.number > connections {
            return connection.say(r#"{"n":2}"#).hold();
        }
        connection
            .say(r#"{"n":1}"#)
            .say(r#"{"n":666,"boom":1}"#)
            .until_gone()
    })
}

fn fragile(cache: &Cache, server: &Server, restart: Restart) -> FeedRef {
    let feed = Feed::custom(Fragile {
        url: server.url(),
        job: None,
    });
    cache
        .attach(feed.backoff(AT_ONCE).restart(restart))
        .expect("attached")
}

#[test]
fn a_panic_in_a_protocol_stops_its_feed_and_everyone_is_told() {
    let server = booming(1);
    let cache = Cache::builder().build().expect("a cache");
    let mut watch = cache.entity("job").slot(1).watch();
    let feed = fragile(&cache, &server, Restart::Never);
    let stopped = |freshness: Freshness| freshness.reasons().contains(Reasons::STOPPED);
    assert_eq!(
        until(&mut watch, stopped),
        1,
        "what it panicked at has no effect"
    );
    match pollster::block_on(feed.finished()) {
        FeedEnd::Panicked(text) => assert!(text.contains("cannot take this"), "{text}"),
        other => panic!("it ended as {other:?}"),
    }
    assert_eq!(
        feed.subscribe("any", ["id"]).result(),
        Some(Err(CommandError::OwnerGone))
    );
    let again = fragile(&cache, &booming(0), Restart::Never);
    drop(again);
    cache.close_blocking(LONG).expect("every thread ends");
}

#[test]
fn a_feed_that_may_restart_comes_back_after_each_panic() {
    let server = booming(3);
    let cache = Cache::builder().build().expect("a cache");
    let mut watch = cache.entity("job").slot(1).watch();
    let feed = fragile(&cache, &server, Restart::Always(AT_ONCE));
    loop {
        let number = until(&mut watch, |freshness| freshness != Freshness::Empty);
        assert!([1, 2].contains(&number), "{number}");
        if number == 2 {
            break;
        }
    }
    watch.slot().wait_ready(LONG).expect("it is live again");
    assert_eq!(feed.state().restarts, 3);
    assert!(pollster::block_on(feed.stop()).is_clean());
    assert!(!watch.slot().freshness().is_live());
    cache.close_blocking(LONG).expect("every thread ends");
}
