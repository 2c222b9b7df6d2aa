//! Cancel, reset, remove, set and a leaving observer in every phase of a fetch, of every kind of
//! query.

use serde_json::{Value, json};
use tickcache::{
    FetchStatus, Fetching, Filter, Key, NetworkMode, Observer, QueryError, Status, key,
};

use crate::kit::{Lab, Server, poll};

const PHASES: [&str; 4] = ["running", "waiting", "paused", "idle"];

/// A query that is observed and waited for, in a phase of its first or of a later fetch.
struct Case {
    lab: Lab,
    key: Key,
    server: Server,
    observer: Observer<Value>,
    fetching: Fetching<Value>,
    held: bool,
}

fn keys() -> [Key; 4] {
    [
        key!["a"],
        key!["slot", 1],
        key!["stream", 1],
        key!["slot", 1, "below"],
    ]
}

impl Case {
    fn new(phase: &str, key: &Key, held: bool) -> Self {
        let mut lab = Lab::new();
        let server = lab.served(key);
        let defaults = lab.cache.defaults(key.clone());
        defaults.stale_never().network(NetworkMode::OfflineFirst);
        if held {
            lab.query(key).prefetch();
            lab.drive();
            server.answer(json!({ "p": 1 }));
            lab.drive();
        }
        let observer = lab.query(key).enabled(false).observe();
        let fetching = observer.refetch();
        lab.drive();
        match phase {
            "waiting" | "paused" => {
                if phase == "paused" {
                    lab.cache.set_online(false);
                }
                server.fail("once");
                lab.drive();
                if phase == "paused" {
                    lab.pass(1_000);
                }
            }
            "idle" => {
                server.answer(json!({ "p": 1 }));
                lab.drive();
            }
            _ => {}
        }
        let expected = match phase {
            "paused" => FetchStatus::Paused,
            "idle" => FetchStatus::Idle,
            _ => FetchStatus::Fetching,
        };
        assert_eq!(observer.state().fetch_status(), expected, "{phase} {key}");
        Self {
            lab,
            key: key.clone(),
            server,
            observer,
            fetching,
            held,
        }
    }

    /// Nothing is left running, and the query can be fetched as ever.
    fn ends_well(mut self, said: &str) {
        self.lab.cache.set_online(true);
        self.lab.drive();
        while self.server.waiting() > 0 {
            self.server.answer(json!({ "p": 8 }));
            self.lab.pass(0);
        }
        let mut again = self.lab.query(&self.key).fetch();
        if poll(&mut again).is_none() {
            self.lab.drive();
            if self.server.waiting() > 0 {
                self.server.answer(json!({ "p": 9 }));
                self.lab.drive();
            }
            assert!(poll(&mut again).expect(said).is_ok(), "{said}");
        }
        self.lab.pass(100_000);
        assert_eq!(
            self.lab.cache.is_fetching(Filter::from(&self.key).exact()),
            0,
            "{said}"
        );
    }
}

fn each(test: impl Fn(Case, &str)) {
    for phase in PHASES {
        for key in keys() {
            for held in [false, true] {
                let said = format!("{phase} {key} {held}");
                test(Case::new(phase, &key, held), &said);
            }
        }
    }
}

#[test]
fn a_cancel_leaves_the_query_as_it_was() {
    each(|mut case, said| {
        drop(case.lab.cache.cancel(&case.key));
        assert_eq!(
            case.observer.state().fetch_status(),
            FetchStatus::Idle,
            "{said}"
        );
        let ended = poll(&mut case.fetching).expect(said);
        if case.held || said.starts_with("idle") {
            assert_eq!(*ended.expect(said), json!({ "p": 1 }), "{said}");
            assert_eq!(case.observer.state().status(), Status::Success, "{said}");
        } else {
            assert!(
                matches!(ended, Err(QueryError::Cancelled)),
                "{said}: {ended:?}"
            );
            assert_eq!(case.observer.state().status(), Status::Pending, "{said}");
        }
        assert_eq!(case.observer.state().failure_count(), 0, "{said}");
        assert_eq!(case.server.waiting(), 0, "{said}");
        case.ends_well(said);
    });
}

#[test]
fn a_cancel_that_reverts_nothing_is_an_error_in_every_phase() {
    each(|mut case, said| {
        drop(case.lab.cache.cancel(&case.key).revert(false));
        let state = case.observer.state();
        assert_eq!(state.fetch_status(), FetchStatus::Idle, "{said}");
        let ended = poll(&mut case.fetching).expect(said);
        if said.starts_with("idle") {
            assert!(ended.is_ok(), "{said}");
            assert_eq!(state.status(), Status::Success, "{said}");
        } else {
            assert!(
                matches!(ended, Err(QueryError::Cancelled)),
                "{said}: {ended:?}"
            );
            assert_eq!(state.status(), Status::Error, "{said}");
            assert_eq!(state.data().is_some(), case.held, "{said}");
        }
        case.ends_well(said);
    });
}

#[test]
fn a_reset_starts_over() {
    each(|mut case, said| {
        drop(case.lab.cache.reset(&case.key));
        case.lab.drive();
        let state = case.observer.state();
        assert!(
            state.error().is_none() && state.failure_count() == 0,
            "{said}"
        );
        // What a feed owns stays.
        let streamed = case.key == key!["stream", 1];
        assert!(streamed || state.data().is_none(), "{said}");
        let ended = poll(&mut case.fetching).expect(said);
        if said.starts_with("idle") {
            let kept = ended.is_ok() || matches!(ended, Err(QueryError::NoData(_)));
            assert!(kept, "{said}: {ended:?}");
        } else {
            assert!(
                matches!(ended, Err(QueryError::Cancelled)),
                "{said}: {ended:?}"
            );
        }
        case.ends_well(said);
    });
}

#[test]
fn a_removal_ends_it() {
    each(|mut case, said| {
        assert!(case.lab.cache.remove(&case.key) >= 1, "{said}");
        case.lab.drive();
        let ended = poll(&mut case.fetching).expect(said);
        if said.starts_with("idle") {
            assert!(ended.is_ok(), "{said}: {ended:?}");
        } else {
            assert!(
                matches!(ended, Err(QueryError::Cancelled)),
                "{said}: {ended:?}"
            );
        }
        assert_eq!(
            case.lab.matching(Filter::from(&case.key).exact()),
            [],
            "{said}"
        );
        assert_eq!(case.server.waiting(), 0, "{said}");
        case.ends_well(said);
    });
}

#[test]
fn a_write_is_data_in_every_phase_and_ends_nothing() {
    each(|mut case, said| {
        let before = case.observer.state().fetch_status();
        let key = case.key.clone();
        case.lab.set(&key, json!({ "p": 5 }));
        let state = case.observer.state();
        assert_eq!(state.data(), Some(&json!({ "p": 5 })), "{said}");
        assert_eq!(state.status(), Status::Success, "{said}");
        assert_eq!(state.fetch_status(), before, "{said}");
        drop(case.lab.cache.cancel(&key));
        assert_eq!(
            case.observer.state().data(),
            Some(&json!({ "p": 5 })),
            "{said}"
        );
        let ended = poll(&mut case.fetching).expect(said).expect(said);
        assert_eq!(*ended, json!({ "p": 5 }), "{said}");
        case.ends_well(said);
    });
}

#[test]
fn who_waits_outlives_the_last_observer() {
    each(|case, said| {
        let Case {
            mut lab,
            key,
            server,
            observer,
            mut fetching,
            held,
        } = case;
        drop(observer);
        lab.cache.set_online(true);
        lab.pass(100_000);
        while server.waiting() > 0 {
            server.answer(json!({ "p": 2 }));
            lab.pass(0);
        }
        let ended = poll(&mut fetching).expect(said);
        let given_up = said.starts_with("waiting") || said.starts_with("paused");
        if given_up {
            // Retries end with the last observer, as in query-core.
            assert!(ended.is_err(), "{said}: {ended:?}");
        } else {
            assert!(ended.is_ok(), "{said}: {ended:?}");
        }
        assert_eq!(lab.cache.is_fetching(&key), 0, "{said} {held}");
    });
}
