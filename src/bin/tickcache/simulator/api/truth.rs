//! What is true: a few jobs that go on, and what is said of each step.
//!
//! What a job looks like is a function of its number and its version alone ([`content`]), so that
//! any earlier answer can be given again, and anything that is shown can be held against it.
//!
//! Every change of any job takes the next *revision*. A patch covers the revisions from the one
//! after the job's previous change to its own: whoever holds the job as of any revision in between
//! can tell that nothing is missing.

use std::collections::VecDeque;

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// The entity that the events are about.
pub(crate) const ENTITY: &str = "job";

/// How far back answers can be given, in revisions.
pub(crate) const HISTORY: usize = 1024;

/// Versions that one run of a job takes; then the next one begins.
const RUN: u64 = 40;

/// How clients are told of changes of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// `{entity, id, payload}`: what has changed.
    Patch,
    /// `{entity, id}`: that something has.
    Mark,
    /// Not at all, but for an `{entity}` now and then.
    Nothing,
}

/// How clients are told of changes of this job.
pub(crate) fn told(id: u64) -> Told {
    match id % 4 {
        1 | 2 => Told::Patch,
        3 => Told::Mark,
        _ => Told::Nothing,
    }
}

/// A job as it is in a version.
pub(crate) fn content(id: u64, version: u64) -> Map<String, Value> {
    let step = version % RUN;
    let status = match step {
        0 | 1 => "queued",
        2..37 => "running",
        _ => "completed",
    };
    // Any fixed mixture will do: workers come and go, as far as a client can tell.
    let worker = (id.wrapping_mul(31) ^ (version / 7).wrapping_mul(2_654_435_761)) % 90 + 10;
    let members = [
        ("id", json!(id)),
        (
            "title",
            json!(format!("job {id}, run {}", version / RUN + 1)),
        ),
        ("status", json!(status)),
        ("done", json!(step * 100 / RUN)),
        ("worker", json!(format!("w{worker}"))),
        ("retries", json!(version / 13)),
        ("lines", json!(version * 3 + version / 4)),
        ("version", json!(version)),
    ];
    let named = members.map(|(name, value)| (name.to_owned(), value));
    named.into_iter().collect()
}

/// How many notifications there are at a revision.
pub(crate) fn notifications(revision: u64) -> u64 {
    revision / 10
}

/// The columns that a list shows of each job.
const COLUMNS: [&str; 4] = ["id", "title", "status", "done"];

/// One step of one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) id: u64,
    /// The version that it made.
    pub(crate) version: u64,
    pub(crate) revision: u64,
    /// The revision of the job's change before, and one.
    pub(crate) first: u64,
}

impl Change {
    /// The event that tells of it, if one does.
    pub(crate) fn event(&self) -> Option<String> {
        let Self {
            id,
            version,
            revision,
            first,
        } = *self;
        let event = match told(id) {
            Told::Patch => {
                let before = content(id, version.saturating_sub(1));
                let mut payload = content(id, version);
                payload.retain(|name, value| before.get(name) != Some(value));
                json!({ "entity": ENTITY, "id": id, "kind": "patch", "first": first,
                    "revision": revision, "payload": payload })
            }
            Told::Mark => {
                json!({ "entity": ENTITY, "id": id, "first": revision, "revision": revision })
            }
            Told::Nothing => return None,
        };
        Some(event.to_string())
    }
}

/// The event that says that every job may have changed.
pub(crate) fn sweep(revision: u64) -> String {
    json!({ "entity": ENTITY, "first": revision, "revision": revision }).to_string()
}

#[derive(Clone, Copy, Debug, Default)]
struct Job {
    version: u64,
    /// Of its last change.
    revision: u64,
}

/// All jobs as they are now, and enough of the past to answer as of then.
#[derive(Debug)]
pub(crate) struct Truth {
    jobs: Vec<Job>,
    revision: u64,
    /// The jobs of the last changes, newest last.
    recent: VecDeque<usize>,
    rng: Rng,
}

impl Truth {
    /// Jobs 1 to `jobs` (at least one) in version 0; the same seed makes the same changes.
    pub(crate) fn new(jobs: usize, seed: u64) -> Self {
        Self {
            jobs: vec![Job::default(); jobs.max(1)],
            revision: 0,
            recent: VecDeque::with_capacity(HISTORY),
            rng: Rng::with_seed(seed),
        }
    }

    /// Takes some job one step further.
    pub(crate) fn advance(&mut self) -> Change {
        let at = self.rng.usize(..self.jobs.len());
        self.revision += 1;
        if self.recent.len() == HISTORY {
            self.recent.pop_front();
        }
        self.recent.push_back(at);
        let job = &mut self.jobs[at];
        let first = job.revision + 1;
        job.version += 1;
        job.revision = self.revision;
        Change {
            id: at as u64 + 1,
            version: job.version,
            revision: self.revision,
            first,
        }
    }

    /// The revision of the last change.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The version of a job now. `None` if there is no such job.
    pub(crate) fn version(&self, id: u64) -> Option<u64> {
        Some(self.jobs.get(Self::index(id)?)?.version)
    }

    /// Everything as of up to `lag` revisions ago.
    pub(crate) fn snapshot(&self, lag: u64) -> Snapshot {
        let lag = usize::try_from(lag)
            .unwrap_or(usize::MAX)
            .min(self.recent.len());
        let mut versions: Vec<_> = self.jobs.iter().map(|job| job.version).collect();
        for at in self.recent.iter().rev().take(lag) {
            versions[*at] -= 1;
        }
        Snapshot {
            versions,
            revision: self.revision - lag as u64,
        }
    }

    fn index(id: u64) -> Option<usize> {
        usize::try_from(id).ok()?.checked_sub(1)
    }
}

/// All jobs as of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    versions: Vec<u64>,
    pub(crate) revision: u64,
}

impl Snapshot {
    /// One job. `None` if there is no such job.
    pub(crate) fn detail(&self, id: u64) -> Option<String> {
        let version = self.versions.get(Truth::index(id)?)?;
        Some(Value::Object(content(id, *version)).to_string())
    }

    /// Some columns of each job that is not queued, the highest version first.
    pub(crate) fn list(&self) -> String {
        let mut jobs: Vec<_> = (1..).zip(&self.versions).collect();
        jobs.sort_by_key(|(id, version)| (std::cmp::Reverse(**version), *id));
        let rows = jobs.into_iter().map(|(id, version)| {
            let mut row = content(id, *version);
            row.retain(|name, _| COLUMNS.contains(&name.as_str()));
            row
        });
        let rows: Vec<_> = rows.filter(|row| row["status"] != "queued").collect();
        json!(rows).to_string()
    }

    /// A document of its own.
    pub(crate) fn notifications(&self) -> String {
        let newest = notifications(self.revision);
        let texts: Vec<_> = (newest.saturating_sub(2)..=newest)
            .map(|number| json!({ "number": number, "text": format!("note {number}") }))
            .collect();
        json!({ "unread": newest, "newest": texts }).to_string()
    }
}
