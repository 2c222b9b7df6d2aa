//! Settings for all queries under a key.

use super::settings::Settings;
use crate::key::Key;

/// Settings by prefix, shortest first; the empty key is the whole cache.
#[derive(Debug, Default)]
pub(super) struct Defaults(Vec<(Key, Settings)>);

impl Defaults {
    /// Those of a prefix alone.
    pub(super) fn level(&self, prefix: &Key) -> Settings {
        let level = self.0.iter().find(|(key, _)| key == prefix);
        level.map(|(_, level)| level.clone()).unwrap_or_default()
    }

    /// Replaces those of a prefix; gives the old ones, whose drop may run a user's code.
    pub(super) fn put(&mut self, prefix: &Key, level: Settings) -> Option<Settings> {
        if let Some((_, present)) = self.0.iter_mut().find(|(key, _)| key == prefix) {
            return Some(std::mem::replace(present, level));
        }
        let at = self.0.partition_point(|(key, _)| key.len() <= prefix.len());
        self.0.insert(at, (prefix.clone(), level));
        None
    }

    /// Whether anything under this key may have a fetcher.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What holds for a key: of two prefixes that say something, the longer one counts, and of two
    /// equally long ones that which was named later.
    pub(super) fn resolve(&self, key: &Key) -> Settings {
        self.0
            .iter()
            .filter(|(prefix, _)| key.starts_with(prefix))
            .fold(Settings::default(), |base, (_, level)| level.over(&base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key;
    use std::time::Duration;

    #[test]
    fn longer_prefixes_win_whatever_the_order_they_were_named_in() {
        let mut defaults = Defaults::default();
        let gc = |seconds| move |s: &mut Settings| s.gc = Some(Duration::from_secs(seconds));
        let mut change = |prefix, change: &dyn Fn(&mut Settings)| {
            let mut level = defaults.level(&prefix);
            change(&mut level);
            drop(defaults.put(&prefix, level));
        };
        change(key!["job", {"state": "open"}], &gc(3));
        change(key![], &gc(1));
        change(key!["job"], &gc(2));
        change(key!["job"], &|s| s.enabled = Some(false));
        let of = |key| defaults.resolve(&key);
        assert_eq!(of(key!["other"]).gc, Some(Duration::from_secs(1)));
        assert_eq!(of(key!["job", 7]).gc, Some(Duration::from_secs(2)));
        let open = of(key!["job", {"state": "open", "page": 2}]);
        assert_eq!(open.gc, Some(Duration::from_secs(3)));
        assert_eq!(open.enabled, Some(false), "said by the shorter one alone");
    }
}
