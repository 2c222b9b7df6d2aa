//! Observers are woken when what they show turns stale without a message: by time, by a mark.

use serde_json::{Value, json};

use super::kit::{Server, cache, ms, woken};
use crate::testing::TestFeed;
use crate::{Cache, Feed, Key, Reasons, StaleTime, key};

/// A cache whose values of `stream` expire after 10 ms.
fn expiring() -> (Cache, TestFeed<crate::feed::presets::Events>) {
    let settings = Cache::builder().stale_after("stream", ms(10));
    let feed = Feed::events().entities(["stream"]).whole();
    TestFeed::with(settings, feed)
}

fn put(cache: &Cache, feed: &mut TestFeed<crate::feed::presets::Events>, key: &Key) {
    drop(cache.set(key, &json!({ "id": 1 })).expect("taken"));
    feed.settle();
}

#[test]
fn by_the_stale_time_of_the_query() {
    for key in [key!["note"], key!["user", 1], key!["stream", 1]] {
        let (cache, mut feed) = cache();
        put(&cache, &mut feed, &key);
        let mut observer = cache.query::<Value>(&key).stale_after(ms(10)).observe();
        let state = observer.wait(ms(0)).expect("what there is");
        assert!(!state.is_stale(), "{key}");
        let state = woken(|cx| observer.poll_changed(cx), || feed.advance(ms(10)));
        let state = state.expect("open");
        assert!(state.is_stale() && state.freshness().is_live(), "{key}");
    }
}

#[test]
fn by_the_stale_time_of_a_list() {
    for by_state in [false, true] {
        let (cache, mut feed) = cache();
        let server = Server::default();
        let query = cache.query::<Value>(key!["stream", "all"]).list("id");
        let query = query.fetch_with(server.fetcher());
        let query = if by_state {
            query.stale_by(|_| StaleTime::After(ms(10)))
        } else {
            query.stale_after(ms(10))
        };
        let mut list = query.observe_list();
        server.answer("[]");
        feed.settle();
        list.wait(ms(0)).expect("what there is");
        assert!(!list.state().is_stale());
        woken(|cx| list.poll_changed(cx), || feed.advance(ms(10))).expect("open");
        assert!(list.state().is_stale());
    }
}

#[test]
fn by_the_age_that_the_entity_allows() {
    let (cache, mut feed) = expiring();
    let key = key!["stream", 1];
    put(&cache, &mut feed, &key);
    let mut observer = cache.query::<Value>(&key).stale_never().observe();
    let state = observer.wait(ms(0)).expect("what there is");
    assert!(state.freshness().is_live());
    let state = woken(|cx| observer.poll_changed(cx), || feed.advance(ms(10)));
    let reasons = state.expect("open").freshness().reasons();
    assert_eq!(reasons, Reasons::EXPIRED);
}

#[test]
fn by_the_age_that_the_entity_of_the_items_allows() {
    let (cache, mut feed) = expiring();
    put(&cache, &mut feed, &key!["stream", 1]);
    let server = Server::default();
    let all = key!["stream", "all"];
    cache.defaults(&all).list("id").fetch(server.fetcher());
    let mut list = cache.query::<Value>(&all).stale_never().observe_list();
    server.answer(r#"[{"id":1}]"#);
    feed.settle();
    let mut whole = cache.query::<Vec<Value>>(&all).stale_never().observe();
    let row = list.wait(ms(0)).expect("what there is")[0].freshness();
    let state = whole.wait(ms(0)).expect("what there is");
    assert!(
        row.is_live() && state.freshness().is_live(),
        "{row:?} {state:?}"
    );
    woken(|cx| list.poll_changed(cx), || feed.advance(ms(10))).expect("open");
    assert_eq!(list.last_rows()[0].freshness().reasons(), Reasons::EXPIRED);

    // A new whole value puts it off, and the next time the other observer sleeps as well.
    put(&cache, &mut feed, &key!["stream", 1]);
    assert!(whole.state().freshness().is_live());
    let state = woken(|cx| whole.poll_changed(cx), || feed.advance(ms(10)));
    let reasons = state.expect("open").freshness().reasons();
    assert_eq!(reasons, Reasons::EXPIRED);
}

#[test]
fn by_a_mark_though_the_observer_is_disabled() {
    let keys = [key!["note"], key!["user", 1], key!["user", 1, "orders"]];
    for key in keys {
        let (cache, mut feed) = cache();
        put(&cache, &mut feed, &key);
        let query = cache.query::<Value>(&key).stale_never();
        let mut observer = query.enabled(false).observe();
        observer.wait(ms(0)).expect("what there is");
        let mark = || drop(cache.invalidate(&key));
        let state = woken(|cx| observer.poll_changed(cx), mark);
        assert!(state.expect("open").is_invalidated(), "{key}");

        put(&cache, &mut feed, &key);
        let state = observer.wait(ms(0)).expect("news");
        assert!(!state.is_invalidated(), "{key}");
        let state = woken(|cx| observer.poll_changed(cx), || cache.invalidate_all());
        assert!(state.expect("open").is_invalidated(), "{key}");
    }
    let (cache, mut feed) = cache();
    let server = Server::default();
    let all = key!["stream", "all"];
    let query = cache.query::<Value>(&all).list("id").stale_never();
    let query = query.fetch_with(server.fetcher());
    let mut list = query.enabled(false).observe_list();
    drop(list.refetch());
    server.answer("[]");
    feed.settle();
    list.wait(ms(0)).expect("what there is");
    let mark = || drop(cache.invalidate(&all));
    woken(|cx| list.poll_changed(cx), mark).expect("open");
    assert!(list.state().is_invalidated());
}
