//! Holds what is shown against what is true.
//!
//! Four things are wrong: a version that goes back; a value that is live although a newer version
//! had been delivered; a value that is live and has something in it from before its version; and
//! anything that has not happened yet. A value that says it is stale may be old, but never older
//! than what was shown before.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::simulator::content;
use crate::ui::Checked;

/// What has been shown so far, and how often it was wrong.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// The highest version shown of each job.
    shown: HashMap<u64, u64>,
    /// The highest number of notifications shown.
    unread: u64,
    checked: Checked,
}

/// One look at a job.
#[derive(Debug)]
pub(crate) struct Look<'a> {
    pub(crate) id: u64,
    /// Whether the value is said to be live.
    pub(crate) live: bool,
    pub(crate) value: &'a Map<String, Value>,
    /// The version that had been delivered before the look.
    pub(crate) delivered: u64,
    /// The version that was true after the look.
    pub(crate) current: u64,
}

impl Checker {
    /// Checks one look at a job. Values without a version, which is what a list shows of a job that
    /// was never fetched, cannot be told apart from those of a newer one, and do not count.
    pub(crate) fn job(&mut self, look: &Look<'_>) {
        let Some(version) = look.value.get("version").and_then(Value::as_u64) else {
            return;
        };
        let shown = self.shown.entry(look.id).or_default();
        let before = *shown;
        *shown = version.max(before);
        let wrong = if version < before {
            Some(format!("went back from version {before} to {version}"))
        } else if version > look.current {
            Some(format!("version {version} is not there yet"))
        } else if look.live && version < look.delivered {
            let delivered = look.delivered;
            Some(format!(
                "live in version {version} after {delivered} was delivered"
            ))
        } else if look.live {
            mixed(look, version)
        } else {
            None
        };
        self.count(wrong.map(|wrong| format!("[job, {}] {wrong}", look.id)));
    }

    /// Checks one look at the notifications, where `current` of them were there after the look.
    pub(crate) fn notifications(&mut self, unread: u64, current: u64) {
        let before = self.unread;
        self.unread = unread.max(before);
        let wrong = if unread < before {
            Some(format!("went back from {before} to {unread}"))
        } else if unread > current {
            Some(format!("{unread} are not there yet"))
        } else {
            None
        };
        self.count(wrong.map(|wrong| format!("[notifications] {wrong}")));
    }

    /// What came of it.
    pub(crate) fn checked(&self) -> &Checked {
        &self.checked
    }

    fn count(&mut self, wrong: Option<String>) {
        self.checked.values += 1;
        if let Some(wrong) = wrong {
            self.checked.wrong += 1;
            self.checked.first.get_or_insert(wrong);
        }
    }
}

/// A member that the job had in no version from its own to the present one. Newer members than the
/// version are right: a list shows some of them before their patch comes.
fn mixed(look: &Look<'_>, version: u64) -> Option<String> {
    let now = content(look.id, version);
    let odd = look
        .value
        .iter()
        .filter(|(name, value)| now.get(*name) != Some(*value));
    let never = |(name, value): &(&String, &Value)| {
        (version + 1..=look.current)
            .all(|version| content(look.id, version).get(*name) != Some(*value))
    };
    let (name, value) = odd.into_iter().find(never)?;
    let right = now.get(name).unwrap_or(&Value::Null);
    Some(format!(
        "is live in version {version} with {name} {value} instead of {right}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(looks: &[(u64, bool, u64, u64)], wrong: &[&str]) {
        let mut checker = Checker::default();
        let mut told = Vec::new();
        for (version, live, delivered, current) in looks {
            checker.job(&Look {
                id: 1,
                live: *live,
                value: &content(1, *version),
                delivered: *delivered,
                current: *current,
            });
            told.extend(checker.checked.first.take());
        }
        let expected: Vec<_> = wrong
            .iter()
            .map(|wrong| format!("[job, 1] {wrong}"))
            .collect();
        assert_eq!(told, expected);
        assert_eq!(checker.checked.wrong, wrong.len() as u64);
        assert_eq!(checker.checked.values, looks.len() as u64);
    }

    #[test]
    fn a_version_may_stay_and_rise_but_not_go_back() {
        check(&[(4, true, 4, 9), (4, false, 4, 9), (9, true, 5, 9)], &[]);
        check(
            &[(4, true, 0, 9), (3, false, 0, 9), (4, true, 0, 9)],
            &["went back from version 4 to 3"],
        );
    }

    #[test]
    fn a_live_value_is_no_older_than_what_was_delivered() {
        check(&[(4, false, 6, 9)], &[]);
        check(
            &[(4, true, 6, 9)],
            &["live in version 4 after 6 was delivered"],
        );
    }

    #[test]
    fn nothing_is_from_the_future() {
        check(&[(10, false, 6, 9)], &["version 10 is not there yet"]);
    }

    #[test]
    fn a_live_value_has_nothing_old_in_it() {
        let mut checker = Checker::default();
        let mut value = content(1, 27);
        // Newer than the version: a list was quicker than the patch.
        value.insert("done".into(), content(1, 29)["done"].clone());
        let mut check = |value: &Map<String, Value>, live| {
            checker.job(&Look {
                id: 1,
                live,
                value,
                delivered: 27,
                current: 29,
            });
            checker.checked.first.take()
        };
        assert_eq!(check(&value, true), None);
        // Older than it: a patch was lost.
        value.insert("worker".into(), content(1, 20)["worker"].clone());
        assert_eq!(check(&value, false), None, "stale values may be");
        let wrong = check(&value, true).expect("is found");
        assert!(wrong.contains("version 27 with worker"), "{wrong}");
        value.remove("worker");
        value.insert("ghost".into(), Value::Null);
        assert!(check(&value, true).is_some());
    }

    #[test]
    fn notifications_only_rise() {
        let mut checker = Checker::default();
        for (unread, current) in [(3, 3), (3, 4), (5, 5)] {
            checker.notifications(unread, current);
        }
        assert_eq!(checker.checked.first, None);
        checker.notifications(4, 6);
        assert_eq!(
            checker.checked.first.as_deref(),
            Some("[notifications] went back from 5 to 4")
        );
        checker.notifications(7, 6);
        assert_eq!((checker.checked.values, checker.checked.wrong), (5, 2));
    }
}
