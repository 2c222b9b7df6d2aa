//! A server that both streams and answers: versions of a few values, and what they are in each.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use serde::Deserialize;
use tickcache::feed::{Backoff, Envelope, MessageKind, Policy, Rule};
use tickcache::{Feed, FetchError, Fetched};

use crate::kit::LONG;
use crate::server::Connection;

/// How many values there are: ids from 0.
pub(crate) const IDS: u64 = 4;

/// A value: its version, and of each of four members the last version that wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Row {
    pub(crate) n: u64,
    pub(crate) f0: u64,
    pub(crate) f1: u64,
    pub(crate) f2: u64,
    pub(crate) f3: u64,
}

impl Row {
    /// What a value is in a version: each writes one member.
    pub(crate) fn at(version: u64) -> Self {
        let last = |rest: u64| {
            let back = (version + 4 - rest) % 4;
            version.saturating_sub(back)
        };
        let [f0, f1, f2, f3] = [0, 1, 2, 3].map(|rest| {
            let last = last(rest);
            if last % 4 == rest { last } else { 0 }
        });
        Self {
            n: version,
            f0,
            f1,
            f2,
            f3,
        }
    }

    pub(crate) fn json(self) -> String {
        let Self { n, f0, f1, f2, f3 } = self;
        format!(r#"{{"n":{n},"f0":{f0},"f1":{f1},"f2":{f2},"f3":{f3}}}"#)
    }
}

#[derive(Default)]
struct Truth {
    versions: [u64; IDS as usize],
    /// Fetches of each that were begun.
    begun: [u64; IDS as usize],
    calls: u64,
}

/// What the server knows.
#[derive(Clone, Default)]
pub(crate) struct Venue(Arc<(Mutex<Truth>, Condvar)>);

impl Venue {
    fn lock(&self) -> MutexGuard<'_, Truth> {
        self.0.0.lock().expect("nothing panics with it")
    }

    pub(crate) fn version(&self, id: u64) -> u64 {
        self.lock().versions[id as usize]
    }

    /// The next version of a value, as a message.
    pub(crate) fn step(&self, id: u64) -> String {
        let mut truth = self.lock();
        let version = &mut truth.versions[id as usize];
        *version += 1;
        let (n, member) = (*version, *version % 4);
        format!(r#"{{"k":"patch","i":{id},"s":{n},"v":{{"n":{n},"f{member}":{n}}}}}"#)
    }

    /// The present version of a value, as a message.
    pub(crate) fn whole(&self, id: u64) -> String {
        let n = self.version(id);
        let value = Row::at(n).json();
        format!(r#"{{"k":"whole","i":{id},"s":{n},"v":{value}}}"#)
    }

    /// What a fetcher brings: the present version, or, now and then, an older one.
    pub(crate) fn answer(&self, id: u64) -> Result<Fetched, FetchError> {
        let calls = {
            let mut truth = self.lock();
            truth.calls += 1;
            truth.calls
        };
        self.older(id, if calls.is_multiple_of(5) { 2 } else { 0 })
    }

    /// What the value was so many versions ago.
    pub(crate) fn older(&self, id: u64, back: u64) -> Result<Fetched, FetchError> {
        let version = self.version(id).saturating_sub(back);
        Ok(Fetched::json(Row::at(version).json()).as_of(version))
    }

    /// A fetch begins.
    pub(crate) fn begin(&self, id: u64) {
        self.lock().begun[id as usize] += 1;
        self.0.1.notify_all();
    }

    pub(crate) fn begun(&self, id: u64) -> u64 {
        self.lock().begun[id as usize]
    }

    /// Waits until a fetch of the value begins after those that had begun.
    pub(crate) fn wait_for_more(&self, id: u64, begun: u64) -> bool {
        let truth = self.lock();
        let none = |truth: &mut Truth| truth.begun[id as usize] <= begun;
        let (_truth, waited) = self
            .0
            .1
            .wait_timeout_while(truth, LONG, none)
            .expect("nothing panics with it");
        !waited.timed_out()
    }

    /// What asks it.
    pub(crate) async fn fetch(self, id: u64) -> Result<Fetched, FetchError> {
        self.begin(id);
        // Before and after the server looks, others get a turn.
        for _ in 0..id {
            tokio::task::yield_now().await;
        }
        let answer = self.answer(id);
        for _ in 0..=id {
            tokio::task::yield_now().await;
        }
        answer
    }
}

/// What marks a value; or, without an id, all of them.
pub(crate) fn mark(id: Option<u64>) -> String {
    match id {
        Some(id) => format!(r#"{{"k":"drop","i":{id}}}"#),
        None => r#"{"k":"drop"}"#.to_owned(),
    }
}

/// How the stream numbers its messages.
///
/// A whole message begins a contiguous numbering anew, be it lower than what a fetch has brought.
/// So either there are none of them, or a number only has to rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Patches alone; what is missing is noticed.
    Contiguous,
    /// Whole messages as well.
    Rising,
}

/// The feed of the entity `job`.
pub(crate) fn feed(url: &str, numbers: Numbers) -> Feed<Envelope> {
    let rule = match numbers {
        Numbers::Contiguous => Rule::ContiguousPerKey,
        Numbers::Rising => Rule::SparseRising,
    };
    let envelope = Envelope::builder("venue")
        .constant_entity("job")
        .id("/i")
        .payload("/v")
        .kind("/k")
        .word("whole", MessageKind::Whole)
        .word("patch", MessageKind::Patch)
        .word("drop", MessageKind::Invalidate)
        .sequence("/s", Policy::continuing(rule))
        .url(url);
    Feed::envelope(envelope.build().expect("the pointers are right"))
        .backoff(Backoff::fixed(std::time::Duration::from_millis(1)))
        .settings(|settings| settings.close_timeout = std::time::Duration::from_millis(10))
}

/// Sends texts; `false` once the client is gone.
pub(crate) fn send(connection: &mut Connection, text: String) -> bool {
    connection
        .socket
        .send(tungstenite::Message::text(text))
        .is_ok()
}
