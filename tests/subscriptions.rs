//! What a feed with a socket says of its subscriptions and of its connection.

mod kit;
mod server;

use std::time::Duration;

use kit::LONG;
use server::{End, Server};
use tickcache::feed::presets::{Exchange, Okx};
use tickcache::feed::{Subscription, SubscriptionState};
use tickcache::{
    Backoff, Cache, CommandError, Feed, FeedRef, NotReadyReason, SubscribeError, WhyNotOpen,
};

const GRANTS: &str = r#"{"event":"subscribe","arg":{"channel":"tickers","instId":"A-B"}}"#;
const DATA: &str =
    r#"{"arg":{"channel":"tickers","instId":"A-B"},"data":[{"instId":"A-B","last":"1"}]}"#;
const GRANTS_QUIET: &str = r#"{"event":"subscribe","arg":{"channel":"trades","instId":"A-B"}}"#;
const REFUSES: &str = r#"{"event":"error","id":"1","code":"60018","msg":"Wrong URL or channel:tickers,instId:NO-SUCH doesn't exist."}"#;

fn okx(server: &Server) -> Feed<Exchange<Okx>> {
    Feed::okx()
        .base(server.url().trim_end_matches('/'))
        .stream("tickers", ["A-B", "NO-SUCH"])
        .stream("trades", ["A-B"])
}

/// Looks until it holds, for a long time at most.
#[track_caller]
#[allow(
    clippy::disallowed_methods,
    reason = "a bound on waiting, not a measure"
)]
fn eventually(feed: &FeedRef, holds: impl Fn(&FeedRef) -> bool) {
    let give_up = std::time::Instant::now() + LONG;
    while !holds(feed) {
        let now = std::time::Instant::now();
        assert!(now < give_up, "{:?}", feed.subscriptions());
        std::thread::yield_now();
    }
}

fn state(feed: &FeedRef, channel: &str, id: &str) -> Option<SubscriptionState> {
    let all = feed.subscriptions().into_iter();
    let mut of_it = all.filter(|s| s.subscription == Subscription::new(channel, id));
    of_it.next().map(|status| status.state)
}

#[test]
fn refused_and_silent_subscriptions_are_told_of() {
    let server = Server::start(|connection| {
        let connection = connection.say(GRANTS).say(REFUSES).say(GRANTS_QUIET);
        connection.say(DATA).until_gone()
    });
    let cache = Cache::builder().build().expect("a cache");
    let quick = okx(&server).settings(|settings| {
        settings.first_data_within = Duration::from_millis(30);
        settings.dead_after = LONG;
    });
    let feed = cache.attach(quick).expect("attached");
    let ticker = cache.entity("okx.tickers").slot("A-B");
    ticker.wait_ready(LONG).expect("data comes");
    eventually(&feed, |feed| feed.counters().subscriptions_silent > 0);
    let trades = state(&feed, "trades", "A-B");
    assert!(
        matches!(trades, Some(SubscriptionState::Silent { quiet }) if quiet >= Duration::from_millis(30)),
        "{trades:?}"
    );
    let refusal = "Wrong URL or channel:tickers,instId:NO-SUCH doesn't exist.";
    let refused = SubscribeError::Denied(refusal.into());
    assert_eq!(
        state(&feed, "tickers", "NO-SUCH"),
        Some(SubscriptionState::Denied(refused))
    );
    let counters = feed.counters();
    assert_eq!(
        (counters.subscriptions_denied, counters.subscriptions_silent),
        (1, 1)
    );
    // Who waits for what was refused learns of it.
    let never = cache.entity("okx.tickers").slot("NO-SUCH");
    let error = never.wait_ready(Duration::ZERO).expect_err("refused");
    assert_eq!(
        error.to_string(),
        format!(
            "not live in time: [okx.tickers, NO-SUCH]: the feed `okx` has no subscription for it: \
             refused by the server: {refusal}"
        )
    );
    drop(cache);
}

#[test]
fn data_makes_a_subscription_flow() {
    let server = Server::start(|connection| {
        let connection = connection.say(GRANTS).say(GRANTS_QUIET).say(REFUSES);
        connection.say(DATA).until_gone()
    });
    let cache = Cache::builder().build().expect("a cache");
    let feed = cache.attach(okx(&server)).expect("attached");
    let ticker = cache.entity("okx.tickers").slot("A-B");
    ticker.wait_ready(LONG).expect("data comes");
    eventually(&feed, |feed| {
        state(feed, "tickers", "A-B") == Some(SubscriptionState::Flowing)
    });
    eventually(&feed, |feed| {
        matches!(
            state(feed, "trades", "A-B"),
            Some(SubscriptionState::Granted { .. })
        )
    });
    // One that is wanted later is pending until the server answers, which this one never does.
    drop(feed.subscribe("tickers", ["C-D"]));
    eventually(&feed, |feed| {
        state(feed, "tickers", "C-D") == Some(SubscriptionState::Pending)
    });
    let end = pollster::block_on(feed.stop());
    assert!(end.is_clean());
    let held = feed.subscriptions().into_iter();
    let denied = |state: &SubscriptionState| matches!(state, SubscriptionState::Denied(_));
    assert!(held.map(|status| status.state).all(|state| denied(&state)));
}

#[test]
fn a_feed_that_cannot_connect_says_why() {
    let server = Server::raw(|_, _| End::Dropped);
    let cache = Cache::builder().build().expect("a cache");
    let slow = okx(&server).backoff(Backoff::fixed(Duration::from_millis(1)));
    let feed = cache.attach(slow).expect("attached");
    eventually(&feed, |feed| feed.state().last_error.is_some());
    let error = feed
        .wait_opened(Duration::ZERO)
        .expect_err("nobody is there");
    assert_eq!(error.feed(), "okx");
    assert!(matches!(error.why(), WhyNotOpen::Connect(_)), "{error}");
    assert!(error.is_retryable());
    let text = error.to_string();
    assert!(
        text.starts_with("the feed `okx` has no connection: "),
        "{text}"
    );
    let async_error = pollster::block_on(feed.opened(Duration::from_millis(1)));
    assert!(async_error.is_err());

    let slot = cache.entity("okx.tickers").slot("A-B");
    let error = slot.wait_ready(Duration::ZERO).expect_err("nothing comes");
    let reason = &error.missing()[0].reason;
    let NotReadyReason::Feed {
        feed: name,
        problem,
    } = reason
    else {
        panic!("{reason:?}");
    };
    assert_eq!(name, "okx");
    assert!(problem.starts_with("has no connection: "), "{problem}");
}

#[test]
fn a_connection_is_waited_for_and_its_end_is_told() {
    let server = Server::start(|connection| connection.until_gone());
    let cache = Cache::builder().build().expect("a cache");
    let feed = cache.attach(okx(&server)).expect("attached");
    feed.wait_opened(LONG).expect("a connection");
    pollster::block_on(feed.opened(LONG)).expect("it is open already");
    let end = pollster::block_on(feed.stop());
    let error = feed.wait_opened(LONG).expect_err("it has ended");
    assert!(
        matches!(error.why(), WhyNotOpen::Ended(why) if *why == end),
        "{error}"
    );
    assert!(!error.is_retryable());
    let gone = pollster::block_on(feed.subscribe("tickers", ["X"]));
    assert_eq!(gone, Err(CommandError::OwnerGone));
}
