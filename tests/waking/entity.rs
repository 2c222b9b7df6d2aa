//! A whole entity: which of its slots moved, and that none is missed.

use super::*;

#[test]
fn changes_name_each_slot_that_moved_once() {
    let (cache, mut feed) = open(venue());
    let book = cache.entity(BOOK);
    say(&mut feed, whole("0", r#"{"n":0}"#));
    let mut changes = book.changes();
    let mut from_nothing = book.changes_from_nothing();
    assert_eq!(changes.poll(|_| panic!("nothing moved")).slots, 0);
    for round in 1..=3 {
        for id in 1..=5 {
            say(
                &mut feed,
                whole(&id.to_string(), &format!(r#"{{"n":{round}}}"#)),
            );
        }
    }
    let mut moved = Vec::new();
    let polled = changes.poll(|slot| moved.push(slot.id().to_string()));
    moved.sort();
    assert_eq!(moved, ["1", "2", "3", "4", "5"]);
    assert_eq!((polled.slots, polled.freshness), (5, false));
    let mut all = 0;
    from_nothing.poll(|_| all += 1);
    assert_eq!(all, 6, "what was there, and what moved");
    say(&mut feed, remove("3"));
    let mut removed = Vec::new();
    changes.poll(|slot| removed.push((slot.id().clone(), slot.freshness())));
    assert_eq!(removed, [(3.into(), Freshness::Removed)]);
}

#[test]
fn a_subscriber_that_is_lapped_misses_nothing() {
    let (cache, mut feed) = open(venue());
    let mut changes = cache.entity(BOOK).changes();
    const IDS: u64 = 300;
    for round in 0..50 {
        for id in 0..IDS {
            say(
                &mut feed,
                whole(&id.to_string(), &format!(r#"{{"n":{round}}}"#)),
            );
        }
    }
    let mut moved = std::collections::BTreeSet::new();
    let polled = changes.poll(|slot| {
        assert!(moved.insert(slot.id().clone()), "each once");
        assert_eq!(slot.snapshot().record().get("n").u64(), Ok(49));
    });
    assert_eq!(moved.len() as u64, IDS);
    assert!(polled.lapped, "fifty rounds do not fit any ring");
    assert_eq!(changes.poll(|_| {}).slots, 0);
}

#[test]
fn a_stream_of_changes_wakes_on_any_executor_and_on_a_blocked_thread() {
    let blocked: Executor = ("blocked", pollster::block_on);
    for (name, run) in EXECUTORS.into_iter().chain([blocked]) {
        let (cache, mut feed) = open(venue());
        let mut changes = cache.entity(BOOK).changes();
        let (told, heard) = channel();
        let listener = thread::spawn(move || {
            run(Box::pin(async move {
                loop {
                    let mut ids = Vec::new();
                    let each = |slot: &Slot| ids.push(slot.id().to_string());
                    let polled = if name == "blocked" {
                        changes.wait(LONG, each).map_err(|_| Closed)
                    } else {
                        changes.next(each).await
                    };
                    if polled.is_err() || told.send(ids).is_err() {
                        return;
                    }
                }
            }));
        });
        for id in ["7", "8", "9"] {
            say(&mut feed, whole(id, "{}"));
            assert_eq!(heard.recv_timeout(LONG), Ok(vec![id.to_owned()]), "{name}");
        }
        cache.close_blocking(LONG).expect("nothing holds it up");
        listener
            .join()
            .unwrap_or_else(|_| panic!("the listener ({name}) has panicked"));
    }
}
