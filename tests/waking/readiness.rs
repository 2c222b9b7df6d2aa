//! Waiting until values are there, and what is said of those that are not.

use super::*;

#[test]
fn ready_waits_for_one_and_for_all() {
    let (cache, mut feed) = open(venue());
    let book = cache.entity(BOOK);
    let (told, heard) = channel();
    let listen = |slots: Vec<u64>, told: Sender<usize>| {
        let book = book.clone();
        thread::spawn(move || {
            let count = slots.len();
            pollster::block_on(book.ready(slots, LONG)).expect("they come");
            told.send(count)
        })
    };
    let waiting = [listen(vec![1], told.clone()), listen(vec![1, 2, 3], told)];
    say(&mut feed, whole("1", "{}"));
    assert_eq!(
        heard.recv_timeout(LONG),
        Ok(1),
        "an empty object is a value"
    );
    say(&mut feed, whole("2", "{}"));
    book.slot(1).invalidate();
    say(&mut feed, whole("3", "{}"));
    assert!(
        heard.try_recv().is_err(),
        "the first of the three is live no more"
    );
    say(&mut feed, whole("1", "{}"));
    assert_eq!(heard.recv_timeout(LONG), Ok(3));
    for listener in waiting {
        listener.join().expect("a listener").expect("heard");
    }
    book.slot(1).wait_ready(AT_ONCE).expect("it is live");
    pollster::block_on(book.ready(Vec::<u64>::new(), AT_ONCE)).expect("nothing is missing");
}

#[test]
fn what_is_not_ready_is_named_with_the_reason() {
    let cache = Cache::builder().max_ids(3).build().expect("a cache");
    let mut feed = cache.local(venue()).expect("attached");
    feed.open();
    say(&mut feed, whole("1", "{}"));
    say(&mut feed, whole("2", "{}"));
    let book = cache.entity(BOOK);
    book.slot(2).invalidate();
    let error = pollster::block_on(book.ready([1, 2, 3, 4], SOON)).expect_err("not all are live");
    let reasons: Vec<_> = error
        .missing()
        .iter()
        .map(|missing| &missing.reason)
        .collect();
    let invalidated = Freshness::Stale(Reasons::INVALIDATED);
    assert_eq!(
        reasons,
        [
            &NotReadyReason::Freshness(invalidated),
            &NotReadyReason::Freshness(Freshness::Empty),
            &NotReadyReason::LimitReached,
        ]
    );
    assert!(error.is_retryable() && !error.is_closed());
    let text = error.to_string();
    for part in [
        "[venue.book, 2]: stale (invalidated)",
        "[venue.book, 3]: no message",
        "4]: the",
    ] {
        assert!(text.contains(part), "{part:?} in {text:?}");
    }
}

#[test]
fn an_entity_that_nobody_declares_is_named_with_what_may_have_been_meant() {
    let (cache, _feed) = open(venue());
    let near = |name: &str| {
        let error = cache
            .entity(name)
            .slot("BTCUSDT")
            .wait_ready(AT_ONCE)
            .expect_err("nothing");
        match &error.missing()[0].reason {
            NotReadyReason::Undeclared { near } => (near.clone(), error.to_string()),
            other => panic!("{name} is {other}"),
        }
    };
    assert_eq!(near("venue.bok").0[0], BOOK);
    assert_eq!(near("book").0, [BOOK], "a forgotten prefix");
    let (none, text) = near("xyz");
    assert!(none.is_empty());
    assert!(text.contains("no feed declares this entity"), "{text}");
    assert!(near("Venue.Book").1.contains("did you mean venue.book"));
    let (cache, _events) = open(tickcache::Feed::events());
    let error = cache
        .entity("anything")
        .slot(1)
        .wait_ready(AT_ONCE)
        .expect_err("nothing");
    let reason = &error.missing()[0].reason;
    assert_eq!(
        *reason,
        NotReadyReason::Freshness(Freshness::Empty),
        "a wildcard feed may bring it"
    );
}
