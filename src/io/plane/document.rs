//! A document: the value of a query that is no slot, an immutable [`Tree`] swapped as a whole.
//!
//! It has the rules of a slot's owner. Patches by clients that come while a fetch runs are kept and
//! laid over its result; a whole value that was set meanwhile is newer than the result; an
//! optimistic write is an overlay, shown over whatever lies beneath, so that rolling it back loses
//! nothing that came since.
//!
//! Readers load a pointer. Writers hold a short lock in which trees are merged, never parsed; what
//! they replace is handed out, since dropping a large one takes time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::restore::is_newer;
use super::sharing::shared;
use crate::Time;
use crate::io::command::{KeepId, OverlayId};
use crate::record::{Mode, Tree};
use crate::sync::{Arc, ArcSwap};

/// Patches that are kept for one fetch. With more the fetch has to be made again.
const MAX_KEPT: usize = 1024;

/// A document as readers see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    /// The value, if there is one.
    pub(crate) tree: Option<Tree>,
    /// When it was last known whole, be it as absent.
    pub(crate) whole_at: Option<Time>,
    /// When it was last written.
    pub(crate) received_at: Time,
    /// The invalidations that it is good for.
    pub(crate) stamp: u64,
    pub(crate) sequence: Option<u64>,
    /// It is from an earlier process, and not confirmed since.
    pub(crate) restored: bool,
    /// Raised by every write.
    pub(crate) version: u64,
}

/// What became of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Landed {
    /// It is shown, what was kept over it.
    Applied,
    /// Dropped: what was held when the fetch began is newer.
    Older { as_of: u64, held: u64 },
    /// Dropped: a whole value was set since the fetch began.
    Overtaken,
    /// Dropped: more came than is kept.
    Lost,
}

/// The result of a fetch.
#[derive(Debug)]
pub(super) struct Result {
    /// `None`: there is no such value.
    pub(super) tree: Option<Tree>,
    pub(super) as_of: Option<u64>,
    /// Over what came meanwhile, instead of under it.
    pub(super) last_write_wins: bool,
}

/// A value swapped as a whole.
#[derive(Debug, Default)]
pub(crate) struct Document {
    shown: ArcSwap<Shown>,
    writing: Mutex<Writing>,
}

#[derive(Debug, Default)]
struct Writing {
    /// What overlays are laid over.
    base: Option<Tree>,
    overlays: Vec<(OverlayId, Tree, Mode)>,
    keeps: Vec<Keep>,
}

/// What came since a fetch began.
#[derive(Debug)]
struct Keep {
    fetch: KeepId,
    stamp: u64,
    sequence: Option<u64>,
    patches: Vec<(Tree, Mode)>,
    overtaken: bool,
    lost: bool,
}

/// A version that was replaced: to be dropped with no lock held.
#[derive(Debug)]
#[must_use]
pub(super) struct Old {
    _shown: Option<Arc<Shown>>,
    _base: Option<Tree>,
}

impl Document {
    /// The newest version.
    pub(crate) fn shown(&self) -> Arc<Shown> {
        self.shown.load_full()
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows `base` under the overlays; `change` sets what else is to be said of it.
    fn show(
        &self,
        writing: &mut Writing,
        base: Option<Tree>,
        change: impl FnOnce(&mut Shown),
    ) -> Old {
        let overlays = writing.overlays.iter();
        let tree = overlays.fold(base.clone(), |under, (_, over, mode)| {
            Some(merged(under.as_ref(), over, *mode))
        });
        let old_base = std::mem::replace(&mut writing.base, base);
        let mut shown = Shown::clone(&self.shown.load());
        shown.tree = tree;
        shown.version += 1;
        change(&mut shown);
        Old {
            _shown: Some(self.shown.swap(Arc::new(shown))),
            _base: old_base,
        }
    }

    /// A fetch begins, when the sum of invalidations is `stamp`. Gives the sequence held.
    pub(super) fn begin(&self, fetch: KeepId, stamp: u64) -> Option<u64> {
        let sequence = self.shown.load().sequence;
        self.writing().keeps.push(Keep {
            fetch,
            stamp,
            sequence,
            patches: Vec::new(),
            overtaken: false,
            lost: false,
        });
        sequence
    }

    /// A fetch has no result.
    pub(super) fn abandon(&self, fetch: KeepId) {
        self.writing().keeps.retain(|keep| keep.fetch != fetch);
    }

    /// The result of a fetch, received at `now`.
    pub(super) fn land(&self, fetch: KeepId, result: Result, now: Time) -> (Landed, Option<Old>) {
        let mut writing = self.writing();
        let Some(at) = writing.keeps.iter().position(|keep| keep.fetch == fetch) else {
            return (Landed::Lost, None);
        };
        let keep = writing.keeps.swap_remove(at);
        if let (Some(as_of), Some(held)) = (result.as_of, keep.sequence)
            && as_of < held
            && !result.last_write_wins
        {
            return (Landed::Older { as_of, held }, None);
        }
        let mut tree = result.tree;
        if !result.last_write_wins {
            if keep.overtaken {
                return (Landed::Overtaken, None);
            }
            if keep.lost {
                return (Landed::Lost, None);
            }
            for (patch, mode) in &keep.patches {
                // As to a slot: a patch makes no value where there is none.
                tree = tree.map(|tree| tree.merged(patch, *mode));
            }
        }
        let sequence = result.as_of;
        let old = self.show(&mut writing, tree, |shown| {
            shown.whole_at = Some(now);
            shown.received_at = now;
            shown.stamp = keep.stamp;
            shown.sequence = sequence.or(shown.sequence);
            shown.restored = false;
        });
        (Landed::Applied, Some(old))
    }

    /// A client sets the whole value, or removes it; good for the invalidations so far.
    pub(super) fn set(&self, tree: Option<Tree>, stamp: u64, now: Time) -> Old {
        let mut writing = self.writing();
        for keep in &mut writing.keeps {
            keep.overtaken = true;
            keep.patches.clear();
        }
        self.show(&mut writing, tree, |shown| {
            shown.whole_at = Some(now);
            shown.received_at = now;
            shown.stamp = stamp;
            shown.restored = false;
        })
    }

    /// As [`set`](Self::set), if the newest version is still this one.
    pub(super) fn set_at(
        &self,
        version: u64,
        tree: Option<Tree>,
        stamp: u64,
        now: Time,
    ) -> Option<Old> {
        // Versions move under the caller's lock only.
        (self.shown.load().version == version).then(|| self.set(tree, stamp, now))
    }

    /// A client's patch. `None`: there is nothing to patch. It is kept all the same if a fetch runs.
    pub(super) fn patch(&self, patch: &Tree, mode: Mode, now: Time) -> Option<Old> {
        let mut writing = self.writing();
        for keep in &mut writing.keeps {
            if keep.patches.len() < MAX_KEPT {
                keep.patches.push((patch.clone(), mode));
            } else {
                keep.lost = true;
            }
        }
        let base = writing.base.as_ref()?.merged(patch, mode);
        Some(self.show(&mut writing, Some(base), |shown| shown.received_at = now))
    }

    /// An optimistic write, in place of that of the same name if there is one.
    pub(super) fn put_overlay(&self, overlay: OverlayId, over: Tree, mode: Mode) -> Old {
        let mut writing = self.writing();
        let present = writing.overlays.iter_mut().find(|(id, ..)| *id == overlay);
        match present {
            Some(present) => *present = (overlay, over, mode),
            None => writing.overlays.push((overlay, over, mode)),
        }
        let base = writing.base.clone();
        self.show(&mut writing, base, |_| {})
    }

    /// The end of an optimistic write. Committed, it is a patch from now on. `None`: it is unknown.
    pub(super) fn end_overlay(&self, overlay: OverlayId, commit: bool, now: Time) -> Option<Old> {
        let mut writing = self.writing();
        let at = writing
            .overlays
            .iter()
            .position(|(id, ..)| *id == overlay)?;
        let (_, over, mode) = writing.overlays.remove(at);
        if !commit {
            let base = writing.base.clone();
            return Some(self.show(&mut writing, base, |_| {}));
        }
        for keep in &mut writing.keeps {
            if keep.patches.len() < MAX_KEPT {
                keep.patches.push((over.clone(), mode));
            } else {
                keep.lost = true;
            }
        }
        let base = merged(writing.base.as_ref(), &over, mode);
        Some(self.show(&mut writing, Some(base), |shown| shown.received_at = now))
    }

    /// Puts a value in that an earlier process, or the settings, had. `None`: what is held is as new.
    pub(super) fn restore(&self, restored: Restored, stamp: u64) -> Option<Old> {
        let mut writing = self.writing();
        let shown = self.shown.load();
        let made = shown.tree.is_some().then_some(shown.received_at);
        if let Some(held_at) = shown.whole_at.or(made)
            && !is_newer((restored.sequence, restored.at), (shown.sequence, held_at))
        {
            return None;
        }
        Some(self.show(&mut writing, Some(restored.tree), |shown| {
            shown.whole_at = Some(restored.at);
            shown.received_at = restored.at;
            shown.stamp = stamp;
            shown.sequence = restored.sequence;
            shown.restored = !restored.trusted;
        }))
    }

    /// Forgets everything but the overlays and the fetches that run.
    pub(super) fn clear(&self) -> Old {
        let mut writing = self.writing();
        self.show(&mut writing, None, |shown| {
            *shown = Shown {
                tree: shown.tree.take(),
                version: shown.version,
                ..Shown::default()
            };
        })
    }

    /// `new`, sharing with what is held what is equal. Takes time in proportion to the document.
    pub(super) fn share(&self, new: &Tree) -> Tree {
        let base = self.writing().base.clone();
        base.map_or_else(|| new.clone(), |base| shared(&base, new))
    }
}

/// A value from elsewhere.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) tree: Tree,
    pub(super) at: Time,
    pub(super) sequence: Option<u64>,
    /// It is not from an earlier process, but what the settings say.
    pub(super) trusted: bool,
}

fn merged(under: Option<&Tree>, over: &Tree, mode: Mode) -> Tree {
    match under {
        Some(under) => under.merged(over, mode),
        // Laid over nothing, the nulls of a merge delete nothing and vanish.
        None => Tree::object([]).merged(over, mode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_nanos(100);

    fn tree(json: &str) -> Tree {
        Tree::parse(json).expect("JSON")
    }

    fn result(json: &str) -> Result {
        Result {
            tree: Some(tree(json)),
            as_of: None,
            last_write_wins: false,
        }
    }

    fn text(document: &Document) -> String {
        document
            .shown()
            .tree
            .as_ref()
            .map_or_else(|| "nothing".into(), Tree::to_json)
    }

    #[test]
    fn a_result_goes_under_patches_and_gives_way_to_a_whole_value() {
        let document = Document::default();
        drop(document.set(Some(tree(r#"{"p":1,"q":1}"#)), 3, NOW));
        document.begin(KeepId(1), 5);
        drop(document.patch(&tree(r#"{"p":2}"#), Mode::Merge, NOW));
        let (landed, old) = document.land(KeepId(1), result(r#"{"p":1,"q":9}"#), NOW);
        drop(old);
        assert_eq!(landed, Landed::Applied);
        assert_eq!(
            (text(&document), document.shown().stamp),
            (r#"{"p":2,"q":9}"#.into(), 5)
        );

        document.begin(KeepId(2), 6);
        drop(document.set(Some(tree(r#"{"p":3}"#)), 6, NOW));
        let (landed, _) = document.land(KeepId(2), result(r#"{"p":1}"#), NOW);
        assert_eq!(
            (landed, text(&document)),
            (Landed::Overtaken, r#"{"p":3}"#.into())
        );

        document.begin(KeepId(3), 7);
        drop(document.set(Some(tree("42")), 7, NOW));
        let over = Result {
            last_write_wins: true,
            ..result("23")
        };
        let (landed, _) = document.land(KeepId(3), over, NOW);
        assert_eq!((landed, text(&document)), (Landed::Applied, "23".into()));
    }

    #[test]
    fn a_patch_without_a_value_waits_for_the_fetch_that_runs_and_for_none_else() {
        let document = Document::default();
        assert!(
            document
                .patch(&tree(r#"{"p":2}"#), Mode::Merge, NOW)
                .is_none()
        );
        document.begin(KeepId(1), 0);
        assert!(
            document
                .patch(&tree(r#"{"p":3}"#), Mode::Merge, NOW)
                .is_none()
        );
        let (landed, _) = document.land(KeepId(1), result(r#"{"p":1,"q":1}"#), NOW);
        assert_eq!(
            (landed, text(&document)),
            (Landed::Applied, r#"{"p":3,"q":1}"#.into())
        );
        document.begin(KeepId(2), 0);
        document.abandon(KeepId(2));
        let (landed, _) = document.land(KeepId(2), result("1"), NOW);
        assert_eq!(landed, Landed::Lost);
    }

    #[test]
    fn an_older_sequence_is_dropped_and_too_many_patches_are_told() {
        let document = Document::default();
        let as_of = |sequence, json| Result {
            as_of: Some(sequence),
            ..result(json)
        };
        document.begin(KeepId(1), 0);
        assert_eq!(
            document.land(KeepId(1), as_of(7, "7"), NOW).0,
            Landed::Applied
        );
        assert_eq!(document.begin(KeepId(2), 0), Some(7));
        let older = Landed::Older { as_of: 6, held: 7 };
        assert_eq!(document.land(KeepId(2), as_of(6, "6"), NOW).0, older);
        assert_eq!(text(&document), "7");
        document.begin(KeepId(3), 0);
        for _ in 0..=MAX_KEPT {
            drop(document.patch(&tree("{}"), Mode::Merge, NOW));
        }
        assert_eq!(document.land(KeepId(3), as_of(9, "9"), NOW).0, Landed::Lost);
    }

    #[test]
    fn rolling_back_an_overlay_loses_nothing_that_came_since() {
        let document = Document::default();
        drop(document.set(Some(tree(r#"{"a":1,"b":1}"#)), 0, NOW));
        drop(document.put_overlay(OverlayId(1), tree(r#"{"a":2}"#), Mode::Merge));
        drop(document.put_overlay(OverlayId(2), tree(r#"{"c":3}"#), Mode::Merge));
        drop(document.patch(&tree(r#"{"a":5,"b":5}"#), Mode::Merge, NOW));
        assert_eq!(text(&document), r#"{"a":2,"b":5,"c":3}"#);
        drop(
            document
                .end_overlay(OverlayId(1), false, NOW)
                .expect("known"),
        );
        assert_eq!(text(&document), r#"{"a":5,"b":5,"c":3}"#);
        document.begin(KeepId(1), 0);
        drop(
            document
                .end_overlay(OverlayId(2), true, NOW)
                .expect("known"),
        );
        assert!(document.end_overlay(OverlayId(2), true, NOW).is_none());
        let (_, old) = document.land(KeepId(1), result(r#"{"a":0}"#), NOW);
        drop(old);
        assert_eq!(
            text(&document),
            r#"{"a":0,"c":3}"#,
            "committed during a fetch"
        );
        drop(document.clear());
        assert_eq!(text(&document), "nothing");
        assert!(document.shown().whole_at.is_none());
    }
}
