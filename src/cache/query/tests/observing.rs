use std::sync::Arc;
use std::time::Duration;

use super::kit::{Server, cache, ms, now};
use crate::{Cache, FetchStatus, Fetched, Poll, QueryError, QueryState, Reasons, Status, key};

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Job {
    status: String,
    #[serde(default)]
    steps: u32,
}

#[test]
fn a_state_keeps_its_facts_apart_and_a_version_is_decoded_once() {
    let (cache, _feed) = cache();
    let server = Server::default();
    let query = || {
        cache
            .query::<Job>(key!["jobs", "of", 7])
            .retry(0)
            .stale_never()
    };
    cache.defaults(key!["jobs"]).fetch(server.fetcher());
    let observer = query().observe();
    cache.drive();
    let state = observer.state();
    assert_eq!(
        (state.status(), state.fetch_status()),
        (Status::Pending, FetchStatus::Fetching)
    );
    assert!(state.is_stale() && state.data().is_none() && state.epoch() == 0);
    server.answer(r#"{"status":"running"}"#);
    cache.drive();
    let state = observer.state();
    assert_eq!(
        (state.status(), state.fetch_status()),
        (Status::Success, FetchStatus::Idle)
    );
    assert_eq!(state.live().map(|job| &*job.status), Some("running"));
    assert!(!state.is_stale());
    let again = observer.state();
    assert!(Arc::ptr_eq(
        &state.shared().expect("data"),
        &again.shared().expect("data")
    ));

    drop(observer.refetch());
    cache.drive();
    server.fail("down");
    cache.drive();
    let state = observer.state();
    assert_eq!(state.status(), Status::Error);
    assert!(matches!(state.error(), Some(QueryError::Fetch(_))));
    assert_eq!(
        state.live().map(|job| &*job.status),
        Some("running"),
        "beside the data"
    );
    assert_eq!((state.error_count(), state.failure_count()), (1, 1));

    drop(
        cache
            .invalidate(key!["jobs"])
            .refetch(crate::RefetchKind::None),
    );
    let state = observer.state();
    assert!(state.is_invalidated() && state.is_stale() && state.live().is_none());

    let wrong = cache.query::<Vec<u8>>(key!["jobs", "of", 7]).state();
    assert!(
        matches!(wrong.error(), Some(QueryError::Decode(_))),
        "{wrong:?}"
    );
    assert_eq!((wrong.data(), wrong.status()), (None, Status::Error));
}

#[test]
fn an_equal_answer_is_the_same_value() {
    let (cache, _feed) = cache();
    let server = Server::default();
    let observer = cache
        .query::<Job>(key!["jobs"])
        .fetch_with(server.fetcher())
        .observe();
    server.answer(r#"{"status":"running","steps":1}"#);
    cache.drive();
    let first = observer.state().shared().expect("data");
    drop(observer.refetch());
    server.answer(r#"{"steps":1,"status":"running"}"#);
    cache.drive();
    assert_eq!(server.calls(), 2);
    assert!(Arc::ptr_eq(
        &first,
        &observer.state().shared().expect("data")
    ));
}

#[test]
fn changes_conflate_and_the_first_look_gives_what_there_is() {
    let (cache, mut feed) = cache();
    let mut job = cache
        .query::<Job>(key!["stream", 1])
        .stale_never()
        .observe();
    let first = now(job.changed()).expect("what there is").expect("open");
    assert!(first.is_pending());
    assert!(now(job.changed()).is_none());
    for status in ["queued", "running"] {
        let message = format!(r#"{{"entity":"stream","id":1,"payload":{{"status":"{status}"}}}}"#);
        feed.message(&message).expect("taken");
    }
    let next = now(job.changed()).expect("news").expect("open");
    assert_eq!(next.data().map(|job| &*job.status), Some("running"));
    assert_eq!(next.epoch(), 2, "one was skipped");
    assert!(now(job.changed()).is_none());
    feed.disconnect();
    let next = now(job.changed()).expect("news").expect("open");
    assert!(next.freshness().reasons().contains(Reasons::DISCONNECTED));
    assert_eq!((next.live(), next.data().is_some()), (None, true));
    assert_eq!(
        job.wait(ms(0)).expect_err("nothing"),
        crate::WaitError::TimedOut
    );
}

#[test]
fn time_alone_makes_data_stale_and_tells() {
    let (cache, mut feed) = cache();
    drop(cache.set(&key!["note"], "hello").expect("taken"));
    let mut note = cache
        .query::<String>(key!["note"])
        .stale_after(ms(10))
        .observe();
    cache.drive();
    let state = now(note.changed()).expect("what there is").expect("open");
    assert!(!state.is_stale());
    feed.advance(ms(10));
    let state = now(note.changed()).expect("news").expect("open");
    assert!(state.is_stale() && state.freshness().is_live());
}

#[test]
fn until_waits_for_data_that_the_query_stands_for() {
    let (cache, mut feed) = cache();
    let say = |feed: &mut crate::testing::TestFeed<_>, status: &str| {
        let message = format!(r#"{{"entity":"stream","id":1,"payload":{{"status":"{status}"}}}}"#);
        feed.message(&message).expect("taken");
    };
    let done = |job: &Job| job.status == "completed";
    let mut job = cache
        .query::<Job>(key!["stream", 1])
        .stale_never()
        .observe();
    assert!(now(job.until(done)).is_none());
    say(&mut feed, "completed");
    cache.invalidate(key!["stream", 1]);
    assert!(now(job.until(done)).is_none(), "it is about to be replaced");
    assert!(now(job.until_state(|state| state.data().is_some_and(done))).is_some());
    say(&mut feed, "completed");
    assert_eq!(
        now(job.until(done)).expect("there").expect("good").status,
        "completed"
    );
    assert_eq!(job.until(done).wait().expect("good").status, "completed");

    let late = job.until(|job| job.status == "gone").timeout(ms(0)).wait();
    assert!(
        matches!(late, Err(QueryError::TimedOut { last: None })),
        "{late:?}"
    );
    feed.message(r#"{"entity":"stream","id":1,"payload":{"status":1}}"#)
        .expect("taken");
    assert!(matches!(
        now(job.until(done)),
        Some(Err(QueryError::Decode(_)))
    ));
}

#[test]
fn a_deadline_of_until_is_of_the_caches_clock_and_tells_the_last_error() {
    let (cache, mut feed) = cache();
    let server = Server::default();
    cache
        .defaults(key!["jobs"])
        .fetch(server.fetcher())
        .retry(0);
    let mut job = cache.query::<Job>(key!["jobs"]).observe();
    server.fail("down");
    cache.drive();
    let mut until = job.until(|_| true).timeout(ms(50));
    assert!(now(&mut until).is_none(), "an error alone ends no wait");
    feed.advance(ms(50));
    match now(&mut until) {
        Some(Err(error @ QueryError::TimedOut { .. })) => {
            assert!(
                error.to_string().ends_with("the fetch failed: down"),
                "{error}"
            );
            assert!(error.is_retryable() && error.fetch_error().is_some());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_selection_tells_when_it_is_another() {
    let (cache, _feed) = cache();
    let key = key!["jobs", 1, "state"];
    let set = |json: &str| {
        let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
        drop(cache.set(&key, &value).expect("taken"));
    };
    set(r#"{"status":"running","steps":1}"#);
    let calls = Arc::new(std::sync::Mutex::new(0));
    let counted = Arc::clone(&calls);
    let mut status = cache
        .query::<Job>(&key)
        .stale_never()
        .observe()
        .select(move |job| {
            *counted.lock().expect("the count") += 1;
            job.status.clone()
        });
    let first = now(status.changed()).expect("what there is").expect("open");
    assert_eq!(first.data().map(String::as_str), Some("running"));
    set(r#"{"status":"running","steps":2}"#);
    assert!(now(status.changed()).is_none(), "the same selection");
    let same = status.state();
    assert!(Arc::ptr_eq(
        &first.shared().expect("data"),
        &same.shared().expect("data")
    ));
    assert_eq!(
        *calls.lock().expect("the count"),
        2,
        "once for each version"
    );
    set(r#"{"status":"done","steps":2}"#);
    let next = now(status.changed()).expect("news").expect("open");
    assert_eq!(next.data().map(String::as_str), Some("done"));

    let steps = |job: &Job| u8::try_from(job.steps);
    let mut steps = cache
        .query::<Job>(&key)
        .stale_never()
        .observe()
        .try_select(steps);
    assert_eq!(steps.state().data(), Some(&2));
    set(r#"{"status":"done","steps":300}"#);
    let state = steps.state();
    assert_eq!(
        (state.status(), state.data()),
        (Status::Error, Some(&2)),
        "the last good one"
    );
    assert!(matches!(state.error(), Some(QueryError::Select(_))));
}

#[test]
fn placeholders_are_of_one_observer_and_may_be_what_was_shown_before() {
    let (cache, _feed) = cache();
    drop(cache.set(&key!["page", 1, "rows"], "one").expect("taken"));
    let page = |n: u32| cache.query::<String>(key!["page", n, "rows"]).stale_never();
    let mut shown = page(1).observe();
    shown.switch(page(2).keep_previous());
    let state = shown.state();
    assert_eq!(
        (state.data().map(String::as_str), state.is_placeholder()),
        (Some("one"), true)
    );
    assert!(state.live().is_none());
    assert_eq!((state.status(), page(2).get()), (Status::Success, None));
    drop(cache.set(&key!["page", 2, "rows"], "two").expect("taken"));
    let state = shown.state();
    assert_eq!(
        (state.data().map(String::as_str), state.is_placeholder()),
        (Some("two"), false)
    );
    let blank = page(3).placeholder("...".into()).observe().state();
    assert_eq!(blank.data().map(String::as_str), Some("..."));
    assert!(now(page(3).placeholder("...".into()).observe().until(|_| true)).is_none());
}

#[test]
fn polling_is_a_function_of_the_state_and_ends_with_its_observer() {
    let (cache, mut feed) = cache();
    let server = Server::default();
    cache.defaults(key!["jobs"]).fetch(server.fetcher());
    let poll = |state: &QueryState<Job>| match state.data() {
        Some(job) if job.status == "completed" => Poll::Stop,
        _ => Poll::every(ms(100)),
    };
    let mut job = cache
        .query::<Job>(key!["jobs"])
        .stale_never()
        .poll(poll)
        .observe();
    server.answer(r#"{"status":"running"}"#);
    cache.drive();
    assert_eq!(server.calls(), 1);
    server.answer(r#"{"status":"completed"}"#);
    // The jitter is a tenth at most.
    feed.advance(ms(110));
    cache.drive();
    assert_eq!(server.calls(), 2);
    assert!(now(job.until(|job| job.status == "completed")).is_some());
    feed.advance(ms(1000));
    cache.drive();
    assert_eq!(server.calls(), 2, "it has stopped");
    drop(
        cache
            .set(&key!["jobs"], &serde_json::json!({ "status": "again" }))
            .expect("taken"),
    );
    cache.drive();
    feed.advance(ms(110));
    cache.drive();
    assert_eq!(server.calls(), 3, "and started again");
    server.answer(r#"{"status":"running"}"#);
    cache.drive();
    drop(job);
    feed.advance(ms(1000));
    cache.drive();
    assert_eq!(server.calls(), 3, "nobody looks");
}

#[test]
fn what_cannot_be_observed_says_why() {
    let (cache, _feed) = cache();
    let mut list = cache
        .query::<Job>(key![1, "rows"])
        .list("id")
        .observe_list();
    assert!(
        matches!(list.state().error(), Some(QueryError::NoEntity(_))),
        "{list:?}"
    );
    assert!(list.rows().is_empty());
    let mut plain = cache.query::<Job>(key!["jobs"]).observe_list();
    assert!(matches!(
        plain.state().error(),
        Some(QueryError::OtherPlace(_))
    ));
    assert!(plain.rows().is_empty());
    cache
        .close_blocking(Duration::from_secs(10))
        .expect("closed");
    let mut late = cache.query::<Job>(key!["jobs"]).observe();
    assert!(matches!(late.state().error(), Some(QueryError::Closed)));
    assert!(matches!(
        now(late.until(|_| true)),
        Some(Err(QueryError::Closed))
    ));
    let fetched = now(cache.query::<Job>(key!["jobs"]).fetch());
    assert!(
        matches!(fetched, Some(Err(QueryError::Closed))),
        "{fetched:?}"
    );
}

struct Api;

#[allow(non_upper_case_globals, reason = "as the design names it")]
static api: Api = Api;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

struct Reply {
    body: serde_json::Value,
    version: u64,
}

impl Api {
    async fn job(&self, id: crate::Id) -> Result<Reply, std::io::Error> {
        let body = serde_json::json!({ "id": id.to_string(), "status": "completed" });
        Ok(Reply { body, version: 7 })
    }
}

/// The lines of the design, as they are written there.
#[test]
#[rustfmt::skip]
fn what_a_user_writes() {
    async fn lines(cache: &Cache) -> Result<Arc<Job>, QueryError> {
        cache.defaults(key!["job"]).fetch(|cx| async move { let r = api.job(cx.id()?).await?; Ok(Fetched::new(r.body).as_of(r.version)) });
        let mut job = cache.query::<Job>(key!["job", 42])
            .stale_after(Duration::MAX)
            .poll(|s| match s.data() { Some(j) if j.status == "completed" => Poll::Stop, _ => Poll::every(secs(1)) })
            .observe();
        cache.drive();
        let done = job.until(|j| j.status == "completed").timeout(secs(60)).await?;
        cache.invalidate(key!["job"]);
        Ok(done)
    }
    let (cache, _feed) = cache();
    let done = now(lines(&cache)).expect("it was driven").expect("completed");
    assert_eq!(done.status, "completed");
    assert!(cache.query::<Job>(key!["job", 42]).state().is_invalidated());
    let slot = cache.entity("job").slot(42);
    assert_eq!(slot.snapshot().sequence(), Some(7));
}
