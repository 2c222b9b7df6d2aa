//! Fetching documents: dedupe, retries, cancels, writes meanwhile, the end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::rig::{Rig, Upstream, end, failure, text};
use crate::io::plane::{
    FetchContext, FetchErrorKind, Fetched, Fetcher, Initial, QueryError, Retry, Settings,
};
use crate::key;
use crate::query::{
    CacheEvent, EventKind, FetchStatus, Filter, Poll, RefetchKind, StaleTime, Status, Update,
};
use crate::record::Mode;

const SECOND: Duration = Duration::from_secs(1);

fn settings() -> Settings {
    Settings {
        stale: Some(StaleTime::Never),
        ..Settings::default()
    }
}

#[test]
fn two_observers_and_a_call_are_one_fetch() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let query = rig.query(key!["todos"], &upstream, settings());
    assert_eq!(rig.info(&query).status, Status::Pending);
    let _first = rig.observe(&query);
    let _second = rig.observe(&query);
    assert_eq!(query.state().fetch_status, FetchStatus::Fetching);
    assert_eq!(rig.info(&query).observers, 2);
    let called = rig.fetch(&query);
    assert_eq!((upstream.calls(), end(&called)), (1, "open".into()));
    upstream.answer(&rig, r#"[1,2]"#);
    assert_eq!(
        (end(&called), text(&query)),
        ("data".into(), "[1,2]".into())
    );
    let state = rig.info(&query);
    assert_eq!(
        (state.status, state.fetch_status),
        (Status::Success, FetchStatus::Idle)
    );
    assert_eq!((state.data_count, state.stale), (1, false));
    let again = rig.plane.query(&key!["todos"], None).expect("a query");
    assert!(Arc::ptr_eq(&query, &again), "one query for a key");
}

#[test]
fn what_fails_is_tried_again_three_times_and_then_said() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let query = rig.query(key!["todos"], &upstream, settings());
    let promise = rig.fetch(&query);
    for (attempt, pause) in [(1, 1), (2, 2), (3, 4)] {
        assert_eq!(upstream.last().0, attempt);
        upstream.fail(&rig, "no");
        assert_eq!(query.state().failure_count, attempt);
        rig.advance(Duration::from_secs(pause) - Duration::from_millis(1));
        assert_eq!(
            upstream.calls() as u32,
            attempt,
            "not before the pause is over"
        );
        rig.advance(Duration::from_millis(1));
        assert_eq!(upstream.calls() as u32, attempt + 1);
    }
    assert_eq!(end(&promise), "open");
    upstream.fail(&rig, "still no");
    assert_eq!(end(&promise), "failed: still no");
    let state = rig.info(&query);
    assert_eq!(
        (state.status, state.fetch_status),
        (Status::Error, FetchStatus::Idle)
    );
    assert_eq!(
        state.error.as_ref().expect("an error").to_string(),
        "still no"
    );
    rig.advance(Duration::from_secs(60));
    assert_eq!(upstream.calls(), 4);
}

#[test]
fn a_cancelled_fetch_is_dropped_with_its_future_and_its_late_answer() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let query = rig.query(key!["todos"], &upstream, settings());
    drop(rig.plane.set(&query, b"\"data\"".to_vec()).expect("set"));
    let promise = rig.fetch(&query);
    rig.plane.cancel(&Filter::under(key!["todos"]), true);
    assert!(upstream.is_dropped(0));
    assert_eq!(
        (end(&promise), text(&query)),
        ("data".into(), "\"data\"".into())
    );
    upstream.answer(&rig, "\"late\"");
    assert_eq!(text(&query), "\"data\"");
    assert_eq!(rig.info(&query).status, Status::Success);

    let promise = rig.fetch(&query);
    rig.plane.cancel(&Filter::all(), false);
    assert_eq!(
        (end(&promise), rig.info(&query).status),
        ("the fetch was cancelled".into(), Status::Error)
    );
}

#[test]
fn a_token_that_was_taken_cancels_when_nobody_looks_any_more() {
    let (rig, tokens) = (Rig::new(), Arc::new(Mutex::new(Vec::new())));
    let kept = Arc::clone(&tokens);
    let fetcher = Fetcher::new(move |cx: FetchContext| {
        kept.lock().expect("no panic").push(cx.token());
        std::future::pending()
    });
    let more = Settings {
        fetcher: Some(fetcher),
        ..settings()
    };
    let query = rig
        .plane
        .query(&key!["todos"], Some(&more))
        .expect("a query");
    let observation = rig.observe(&query);
    let token = tokens.lock().expect("no panic")[0].clone();
    assert!(!token.is_cancelled());
    drop(observation);
    assert!(token.is_cancelled());
    assert_eq!(query.state().fetch_status, FetchStatus::Idle);
    pollster::block_on(token.cancelled());
}

#[test]
fn any_number_of_marks_during_a_fetch_are_one_more_fetch() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let query = rig.query(key!["todos", {"page": 1}], &upstream, settings());
    let _observation = rig.observe(&query);
    for _ in 0..100 {
        rig.store.entity("todos").expect("room").invalidate();
        rig.hub.scan();
        rig.drive();
    }
    assert_eq!(upstream.calls(), 1);
    upstream.answer(&rig, "1");
    assert_eq!(upstream.calls(), 2, "the first began before the marks");
    assert!(rig.info(&query).invalidated);
    upstream.answer(&rig, "2");
    assert_eq!((upstream.calls(), text(&query)), (2, "2".into()));
    assert!(!rig.info(&query).invalidated);
    drop(rig.plane.mark(&Filter::under(key!["todos"])));
    rig.drive();
    assert_eq!(upstream.calls(), 3);
}

#[test]
fn writes_meanwhile_are_laid_over_the_answer_or_win() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let query = rig.query(key!["todo", 1, "notes"], &upstream, settings());
    rig.fetch(&query);
    drop(
        rig.plane
            .patch(&query, br#"{"p":2}"#.to_vec(), Mode::Merge)
            .expect("kept"),
    );
    assert_eq!(text(&query), "nothing");
    upstream.answer(&rig, r#"{"p":1,"q":1}"#);
    assert_eq!(text(&query), r#"{"p":2,"q":1}"#);
    let promise = rig.fetch(&query);
    drop(rig.plane.set(&query, b"3".to_vec()).expect("set"));
    assert_eq!(query.state().fetch_status, FetchStatus::Fetching, "case 14");
    upstream.answer(&rig, "1");
    assert_eq!((end(&promise), text(&query)), ("data".into(), "3".into()));
    let version = query.document().expect("a document").version;
    rig.plane
        .set_at(&query, version, b"4")
        .expect("nothing came in between");
    let late = rig.plane.set_at(&query, version, b"5");
    assert!(matches!(late, Err(QueryError::Moved)), "{late:?}");
}

#[test]
fn an_older_answer_is_an_error_that_retries_see() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let more = Settings {
        retry: Some(Retry::Times(0)),
        ..settings()
    };
    let query = rig.query(key!["todos"], &upstream, more);
    rig.fetch(&query);
    upstream.answer_as_of(&rig, "7", Some(7));
    let promise = rig.fetch(&query);
    assert_eq!(upstream.last(), (1, Some(7)));
    upstream.answer_as_of(&rig, "6", Some(6));
    let error = failure(&promise);
    let kind = error.kind();
    assert!(
        matches!(kind, FetchErrorKind::TooOld { as_of: 6, held: 7 }),
        "{kind:?}"
    );
    assert_eq!(
        (text(&query), rig.info(&query).status),
        ("7".into(), Status::Error)
    );
}

#[test]
fn a_fetcher_that_panics_has_failed_and_harms_no_other() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let broken = |late: bool| {
        Fetcher::new(move |_: FetchContext| {
            assert!(late, "at once");
            async move {
                assert!(!late, "later");
                Ok(Fetched::removed())
            }
        })
    };
    for (late, text) in [(false, "at once"), (true, "later")] {
        let more = Settings {
            fetcher: Some(broken(late)),
            retry: Some(Retry::Times(0)),
            ..settings()
        };
        let query = rig
            .plane
            .query(&key!["broken", late], Some(&more))
            .expect("a query");
        let promise = rig.fetch(&query);
        assert_eq!(
            end(&promise),
            format!("failed: the fetcher panicked: {text}")
        );
    }
    let query = rig.query(key!["todos"], &upstream, settings());
    rig.fetch(&query);
    upstream.answer(&rig, "1");
    assert_eq!(text(&query), "1");
}

#[test]
fn closing_drops_fetches_and_tells_who_waits() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let query = rig.query(key!["todos"], &upstream, settings());
    let observation = rig.observe(&query);
    let promise = rig.fetch(&query);
    rig.plane.stop();
    assert!(upstream.is_dropped(0));
    assert_eq!(end(&promise), "the cache has been closed");
    assert_eq!(query.state().fetch_status, FetchStatus::Idle);
    assert!(rig.plane.join(Duration::ZERO).is_empty());
    let refused = rig.plane.query(&key!["todos"], None).expect_err("closed");
    assert!(matches!(refused, QueryError::Closed), "{refused:?}");
    assert!(matches!(
        rig.plane.set(&query, b"1".to_vec()),
        Err(QueryError::Closed)
    ));
    drop((observation, rig.plane.mark(&Filter::all())));
    assert_eq!(rig.drive(), None);
}

#[test]
fn polls_go_by_the_state_and_stop_when_nobody_looks() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let more = Settings {
        poll_by: Some(Arc::new(|query, _| match query.read::<u64>() {
            Some(100) => Poll::Stop,
            _ => Poll::every(SECOND),
        })),
        gc: Some(Duration::ZERO),
        ..settings()
    };
    let query = rig.query(key!["progress"], &upstream, more);
    let observation = rig.observe(&query);
    upstream.answer(&rig, "50");
    // The jitter makes an interval a tenth longer at most.
    rig.advance(SECOND + SECOND / 10);
    assert_eq!(upstream.calls(), 2);
    upstream.answer(&rig, "100");
    rig.advance(10 * SECOND);
    assert_eq!(upstream.calls(), 2, "the function said stop");
    drop(rig.plane.set(&query, b"7".to_vec()).expect("set"));
    rig.advance(SECOND + SECOND / 10);
    assert_eq!(upstream.calls(), 3, "asked again when the state changed");
    upstream.answer(&rig, "8");
    drop(observation);
    rig.advance(10 * SECOND);
    assert_eq!(upstream.calls(), 3);
    assert_eq!(text(&query), "nothing", "collected");
    assert!(rig.plane.find(&key!["progress"]).is_none());
}

#[test]
fn a_function_of_the_state_that_panics_is_no_answer() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let more = Settings {
        poll_by: Some(Arc::new(|_, _| panic!("on purpose"))),
        stale_by: Some(Arc::new(|_, _| panic!("on purpose"))),
        ..Settings::default()
    };
    let query = rig.query(key!["todos"], &upstream, more);
    let _observation = rig.observe(&query);
    upstream.answer(&rig, "1");
    rig.advance(10 * SECOND);
    assert_eq!((upstream.calls(), text(&query)), (1, "1".into()));
}

#[test]
fn initial_data_is_there_from_the_start_and_after_a_reset() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let more = Settings {
        initial: Some(Initial::new(r#"{"a":0}"#, None).expect("JSON")),
        ..settings()
    };
    let query = rig.query(key!["todos"], &upstream, more);
    assert_eq!(
        (text(&query), rig.info(&query).status),
        (r#"{"a":0}"#.into(), Status::Success)
    );
    rig.fetch(&query);
    upstream.answer(&rig, r#"{"a":1}"#);
    assert_eq!(text(&query), r#"{"a":1}"#);
    rig.fetch(&query);
    let promises = rig.plane.reset(&Filter::all());
    assert!(promises.is_empty(), "nobody observes it");
    assert!(upstream.is_dropped(1));
    assert_eq!(text(&query), r#"{"a":0}"#);
    assert_eq!(query.state().data_count, 0);
    assert_eq!(rig.plane.remove(&Filter::all()), 1);
    assert!(!query.look().known());
}

#[test]
fn defaults_reach_what_is_there_and_what_comes() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let query = rig
        .plane
        .query(&key!["job", 7, "log"], None)
        .expect("a query");
    let refused = rig.plane.fetch(
        &query,
        crate::query::Want {
            stale: None,
            restart: false,
            cause: crate::query::Cause::User,
        },
    );
    assert!(
        matches!(refused, Err(QueryError::NoFetcher(_))),
        "{refused:?}"
    );
    let fetcher = upstream.fetcher();
    rig.plane
        .change_defaults(&key!["job"], |level| level.fetcher = Some(fetcher))
        .expect("open");
    rig.fetch(&query);
    upstream.answer(&rig, "1");
    assert_eq!(text(&query), "1");
    let other = rig
        .plane
        .query(&key!["job", 8, "log"], None)
        .expect("a query");
    rig.fetch(&other);
    assert_eq!(upstream.calls(), 2);
}

#[test]
fn events_come_in_order_to_whoever_listens() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let events = rig.plane.events();
    let before = events.news().level();
    let query = rig.query(key!["todos"], &upstream, settings());
    rig.fetch(&query);
    rig.fetch(&query);
    upstream.answer(&rig, "1");
    let kinds: Vec<EventKind> = std::iter::from_fn(|| events.pop())
        .map(|CacheEvent { key, kind }| {
            assert_eq!(key, key!["todos"]);
            kind
        })
        .collect();
    let updated = EventKind::Updated;
    assert_eq!(
        kinds,
        [
            EventKind::Added,
            updated(Update::Fetch),
            updated(Update::Success)
        ]
    );
    assert!(events.news().level() > before);
    for _ in 0..super::super::events::MAX_EVENTS + 5 {
        drop(rig.plane.set(&query, b"1".to_vec()).expect("set"));
    }
    assert_eq!((events.take_missed(), events.take_missed()), (5, 0));
}

#[test]
fn a_large_document_is_no_feeds_business() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let query = rig.query(key!["report"], &upstream, settings());
    rig.fetch(&query);
    let row = r#"{"symbol":"BTCUSDT","price":"27000.10"}"#;
    let rows: Vec<String> = (0..200_000).map(|n| format!("\"{n}\":{row}")).collect();
    let json = format!("{{{}}}", rows.join(","));
    assert!(json.len() > 9 << 20);
    upstream.answer(&rig, &json);
    let first = query
        .document()
        .expect("a document")
        .tree
        .clone()
        .expect("a value");
    assert_eq!(first.members().len(), 200_000);
    rig.fetch(&query);
    upstream.answer(&rig, &json);
    let second = query
        .document()
        .expect("a document")
        .tree
        .clone()
        .expect("a value");
    assert!(
        second.is_same(&first),
        "an equal answer keeps the old memory"
    );
    assert_eq!(rig.owners.counters(), [], "no owner had to do with it");
}

#[test]
fn an_optimistic_write_is_shown_over_answers_until_it_is_taken_back() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let query = rig.query(key!["todos"], &upstream, settings());
    drop(
        rig.plane
            .set(&query, br#"{"done":false}"#.to_vec())
            .expect("set"),
    );
    let level = query.level();
    let (overlay, _) = rig
        .plane
        .overlay(&query, br#"{"done":true}"#.to_vec(), Mode::Merge)
        .expect("shown");
    assert!(query.level() > level, "whoever waits is told");
    rig.fetch(&query);
    upstream.answer(&rig, r#"{"done":false,"title":"x"}"#);
    assert_eq!(text(&query), r#"{"done":true,"title":"x"}"#);
    drop(
        rig.plane
            .end_overlay(&query, overlay, false)
            .expect("known"),
    );
    assert_eq!(text(&query), r#"{"done":false,"title":"x"}"#);
}

#[test]
fn many_marked_at_once_are_fetched_a_few_at_a_time() {
    let (rig, upstream) = (Rig::new(), Upstream::new());
    let queries: Vec<_> = (0..40)
        .map(|n| rig.query(key!["page", {"n": n}], &upstream, settings()))
        .collect();
    let _observed: Vec<_> = queries
        .iter()
        .map(|query| {
            let observation = rig.observe(query);
            upstream.answer(&rig, "1");
            observation
        })
        .collect();
    assert_eq!(upstream.calls(), 40);
    let promises = rig.plane.mark(&Filter::all()).refetch(RefetchKind::Active);
    rig.drive();
    assert_eq!((promises.len(), upstream.calls()), (40, 56));
}
