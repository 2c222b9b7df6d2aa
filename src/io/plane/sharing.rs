//! Structural sharing: of a new document, what equals the old one is the old one.
//!
//! Objects are entered, member by member and whatever their order. An array is one token in a
//! [`Tree`]: one that is written the same is the old one, one in which anything differs is new as a
//! whole. Numbers are compared as they are written: `1` and `1.0` differ.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::record::Tree;

/// `new`, with every part that equals its part in `old` replaced by that one; `old` itself if all do.
pub(super) fn shared(old: &Tree, new: &Tree) -> Tree {
    if !new.is_object() || !old.is_object() {
        return if old == new { old } else { new }.clone();
    }
    let before = old.members();
    // Most often the names come in the same order; else they are looked up.
    let mut index: Option<HashMap<&str, &Tree, foldhash::fast::RandomState>> = None;
    let mut same = before.len() == new.members().len();
    let mut members: Vec<(Arc<str>, Tree)> = Vec::with_capacity(new.members().len());
    for (at, (name, tree)) in new.members().iter().enumerate() {
        let old = match before.get(at) {
            Some((other, old)) if other == name => Some(old),
            _ => index
                .get_or_insert_with(|| before.iter().map(|(name, tree)| (&**name, tree)).collect())
                .get(&**name)
                .copied(),
        };
        let Some(old) = old else {
            same = false;
            members.push((name.clone(), tree.clone()));
            continue;
        };
        let tree = shared(old, tree);
        same &= tree.is_same(old);
        members.push((name.clone(), tree));
    }
    if same {
        old.clone()
    } else {
        Tree::object(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(json: &str) -> Tree {
        Tree::parse(json).expect("JSON")
    }

    #[test]
    fn only_what_changed_and_what_is_around_it_is_new() {
        let old = tree(
            r#"{"todo":{"id":1,"meta":{"at":1},"state":{"done":false}},"other":{"a":[1,2],"b":{}}}"#,
        );
        let new = tree(
            r#"{"todo":{"id":1,"meta":{"at":1},"state":{"done":true}},"other":{"a":[1,2],"b":{}}}"#,
        );
        let next = shared(&old, &new);
        assert_eq!(next, new);
        let is_old = |path: &[&str]| {
            let (next, old) = (next.find(path), old.find(path));
            next.expect("there").is_same(old.expect("there"))
        };
        for path in [
            &["todo", "meta"][..],
            &["other"],
            &["other", "a"],
            &["other", "b"],
        ] {
            assert!(is_old(path), "{path:?}");
        }
        for path in [&[][..], &["todo"], &["todo", "state"]] {
            assert!(!is_old(path), "{path:?}");
        }
    }

    #[test]
    fn what_is_equal_is_the_old_one_whatever_the_order() {
        let old = tree(r#"{"a":1,"b":{"c":"x"},"d":[1]}"#);
        assert!(shared(&old, &tree(r#"{"d":[1],"b":{"c":"x"},"a":1}"#)).is_same(&old));
        for other in [
            r#"{"a":1,"b":{"c":"x"}}"#,
            r#"{"a":1,"b":{"c":"x"},"d":[1],"e":null}"#,
            r#"{"a":1.0,"b":{"c":"x"},"d":[1]}"#,
            r#"{"a":1,"b":{"c":"x"},"d":[1,2]}"#,
            "[1]",
        ] {
            let new = tree(other);
            let next = shared(&old, &new);
            assert_eq!(next, new);
            assert!(!next.is_same(&old), "{other}");
        }
        let text = tree("\"x\"");
        assert!(shared(&text, &tree("\"x\"")).is_same(&text));
    }
}
