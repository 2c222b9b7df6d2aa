//! Whoever waits is told of a change of freshness, once.

use super::*;

/// Every way of waiting for a slot, each on a thread of its own that is about to wait when this
/// returns, each reporting what it is told after the value that was there.
fn waiters(slot: &Slot) -> Receiver<(&'static str, Freshness)> {
    let (told, heard) = channel();
    let (ready, waiting) = channel();
    let seen = slot.freshness();
    let mut watch = slot.watch();
    let first = pollster::block_on(watch.changed()).expect("open");
    assert_eq!(first.freshness(), seen);
    let (tell, about_to) = (told.clone(), ready.clone());
    thread::spawn(move || {
        about_to.send(()).expect("heard");
        let tick = pollster::block_on(watch.changed()).expect("told");
        tell.send(("changed", tick.freshness()))
    });
    let mut watch = slot.watch();
    assert_eq!(watch.wait(Duration::MAX).expect("open").freshness(), seen);
    let (tell, about_to) = (told.clone(), ready.clone());
    thread::spawn(move || {
        about_to.send(()).expect("heard");
        tell.send(("wait", watch.wait(Duration::MAX).expect("told").freshness()))
    });
    let slot = slot.clone();
    thread::spawn(move || {
        ready.send(()).expect("heard");
        let spun = slot.spin(|slot| match slot.freshness() {
            same if same == seen => ControlFlow::Continue(()),
            other => ControlFlow::Break(other),
        });
        told.send(("spin", spun.expect("told")))
    });
    for _ in 0..3 {
        waiting.recv_timeout(LONG).expect("a waiter");
    }
    heard
}

/// `cause` changes what the value is worth without a publication, and everyone is told.
fn check_told(feed: Feed<Envelope>, cause: impl FnOnce(&Slot, &mut Venue), reasons: Reasons) {
    let settings = Cache::builder().stale_after(BOOK, 10 * SECOND);
    let (cache, feed) = TestFeed::with(settings, feed);
    let (slot, mut feed) = begin(&cache, feed);
    let epoch = slot.epoch();
    let heard = waiters(&slot);
    cause(&slot, &mut feed);
    for _ in 0..3 {
        let (who, freshness) = heard.recv_timeout(LONG).expect("everyone is told");
        assert_eq!(freshness, stale(reasons), "told through {who}");
    }
    assert!(
        reasons.contains(Reasons::GAP) || slot.epoch() == epoch,
        "no publication"
    );
}

#[test]
fn a_change_of_freshness_without_a_publication_wakes_everyone_who_waits() {
    check_told(venue(), |_, feed| feed.disconnect(), Reasons::DISCONNECTED);
    check_told(venue(), |slot, _| slot.invalidate(), Reasons::INVALIDATED);
    check_told(
        venue(),
        |slot, _| slot.entity().invalidate(),
        Reasons::INVALIDATED,
    );
    check_told(venue(), |_, feed| feed.gap(), Reasons::GAP);
    let silent = venue().silent_after(5 * SECOND);
    check_told(silent, |_, feed| feed.advance(5 * SECOND), Reasons::SILENT);
    let silent = venue().entity_silent_after("book", 5 * SECOND);
    check_told(silent, |_, feed| feed.advance(5 * SECOND), Reasons::SILENT);
    check_told(
        venue(),
        |_, feed| feed.advance(10 * SECOND),
        Reasons::EXPIRED,
    );
}

#[test]
fn the_end_of_a_feed_wakes_everyone_who_waits() {
    let (cache, feed) = TestFeed::new(venue());
    let (slot, feed) = begin(&cache, feed);
    let heard = waiters(&slot);
    drop(feed);
    for _ in 0..3 {
        let (who, freshness) = heard.recv_timeout(LONG).expect("everyone is told");
        assert_eq!(freshness, stale(Reasons::STOPPED), "told through {who}");
    }
}

#[test]
fn a_subscriber_of_an_entity_is_told_of_its_freshness_once() {
    let causes: [fn(&Slot, &mut Venue); 4] = [
        |_, feed| feed.disconnect(),
        |slot, _| slot.invalidate(),
        |slot, _| slot.entity().invalidate(),
        |_, feed| feed.advance(5 * SECOND),
    ];
    for (number, cause) in causes.into_iter().enumerate() {
        let (slot, mut feed) = begun(venue().silent_after(5 * SECOND));
        let mut changes = slot.entity().changes();
        let (told, heard) = channel();
        thread::spawn(move || {
            let polled = changes.wait(Duration::MAX, |_| {});
            told.send((polled, changes)).expect("heard");
        });
        cause(&slot, &mut feed);
        let told = heard.recv_timeout(LONG);
        let (polled, mut changes) = told.unwrap_or_else(|_| panic!("cause {number} is not told"));
        let polled = polled.expect("open");
        assert!(polled.freshness, "cause {number}: {polled:?}");
        assert!(
            !changes.poll(|_| {}).freshness,
            "cause {number} is told twice"
        );
    }
}

#[test]
fn a_blocking_wait_gives_up_by_the_virtual_clock() {
    let (slot, mut feed) = begun(venue());
    let mut watch = slot.watch();
    watch.wait(SECOND).expect("the present value");
    let (told, heard) = channel();
    thread::spawn(move || told.send(watch.wait(SECOND).map(|tick| tick.epoch())));
    // However late the thread begins to wait, a second of the clock's time passes afterwards.
    let ended = loop {
        feed.advance(SECOND);
        if let Ok(ended) = heard.recv_timeout(Duration::from_millis(1)) {
            break ended;
        }
    };
    assert_eq!(ended, Err(tickcache::WaitError::TimedOut));
}
