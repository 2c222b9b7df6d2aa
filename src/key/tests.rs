//! Identity and partial matching, by the acceptance cases of the field, and the text of keys.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use proptest::prelude::*;

use super::{Id, IdRef, Key, KeyError, Part};
use crate::key;

/// Checks that the two are one key, by each of the ways in which keys are told apart.
fn same(a: &Key, b: &Key) {
    let hasher = RandomState::new();
    assert_eq!(a, b);
    assert_eq!(a.cmp(b), std::cmp::Ordering::Equal, "{a} {b}");
    assert_eq!(hasher.hash_one(a), hasher.hash_one(b), "{a} {b}");
    assert_eq!(a.to_json(), b.to_json());
}

/// Checks that no two of them are one key.
fn all_differ(keys: &[Key]) {
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
    let texts: HashSet<_> = keys.iter().map(Key::to_json).collect();
    assert_eq!(texts.len(), keys.len());
}

/// Checks which of the two matches when the other is the filter.
fn matches(key: &Key, filter: &Key, expected: bool) {
    assert_eq!(key.starts_with(filter), expected, "{key} held by {filter}");
}

#[test]
fn case_01_the_order_of_members_does_not_matter_at_any_depth() {
    same(&key![{"b": 2, "a": 1}], &key![{"a": 1, "b": 2}]);
    same(
        &key![{"a": {"d": 4, "c": 3}, "b": 2}],
        &key![{"b": 2, "a": {"c": 3, "d": 4}}],
    );
    same(
        &key![[{"a": [{"y": 0, "x": 1}], "b": 2}]],
        &key![[{"b": 2, "a": [{"x": 1, "y": 0}]}]],
    );
    all_differ(&[key![1, 2], key![2, 1], key![[1, 2]], key![[2, 1]]]);
}

#[test]
fn case_02_an_absent_member_is_no_member() {
    let absent: Option<&str> = None;
    same(&key!["todos", {"filters": ?absent}], &key!["todos", {}]);
    same(
        &key!["todos", {"filters": {"page": 1, "state": ?absent}}],
        &key!["todos", {"filters": {"page": 1}}],
    );
    all_differ(&[
        key!["todos", {"filters": absent}],
        key!["todos", {}],
        key!["todos"],
    ]);
}

#[test]
fn case_03_a_key_matches_what_it_begins_with() {
    let key = key![1, 2, 3];
    matches(&key, &key![1, 2], true);
    matches(&key, &key![1, 2, 3], true);
    matches(&key, &key![2], false);
    matches(&key, &key![1, 3], false);
    matches(&key, &key![1, 2, 3, 4], false);
    matches(&key, &key![1, 2, 3, null], false);
}

#[test]
fn case_05_null_and_an_object_never_match() {
    for (a, b) in [
        (key![null], key![{}]),
        (key![null], key![{"a": 1}]),
        (key![{"a": null}], key![{"a": {"b": 1}}]),
        (
            key!["todos", {"a": {"b": null}}],
            key!["todos", {"a": {"b": {}}}],
        ),
    ] {
        matches(&a, &b, false);
        matches(&b, &a, false);
    }
    matches(&key![null], &key![null], true);
    matches(&key![{"a": null, "b": 1}], &key![{"a": null}], true);
}

#[test]
fn case_06_absent_members_match_missing_ones() {
    let absent: Option<i64> = None;
    let (written, missing) = (key!["todos", {"filters": ?absent}], key!["todos", {}]);
    matches(&missing, &written, true);
    matches(&written, &missing, true);
}

#[test]
fn types_are_told_apart_and_widths_are_not() {
    all_differ(&[
        key![1],
        key!["1"],
        key![true],
        key!["true"],
        key![null],
        key!["null"],
        key![0],
        key![false],
        key![""],
        key![[]],
        key![{}],
        key![],
    ]);
    same(&key![7_u64], &key![7_i8]);
    same(&key![-0], &key![0]);
    matches(&key!["1"], &key![1], false);
    matches(&key![1], &key![true], false);
}

#[test]
fn the_empty_filter_matches_every_key() {
    for key in [key![], key![null], key!["todos", 1], key![{}]] {
        matches(&key, &key![], true);
    }
    matches(&key![], &key![null], false);
}

#[test]
fn nested_arrays_match_by_their_beginnings() {
    let key = key!["a", [1, [2, 3], 4], "b"];
    matches(&key, &key!["a", [1, [2, 3], 4], "b"], true);
    matches(&key, &key!["a", [1, [2]]], true);
    matches(&key, &key!["a", [1, [2]], "b"], true);
    matches(&key, &key!["a", []], true);
    matches(&key, &key!["a", [1, [3]]], false);
    matches(&key, &key!["a", [1, [2, 3, 4]]], false);
    matches(&key, &key!["a", [[1]]], false);
}

#[test]
fn objects_match_what_has_at_least_their_members() {
    let key = key!["todos", {"filters": {"state": "open", "tags": ["x", "y"]}, "page": 2}];
    matches(&key, &key!["todos", {"page": 2}], true);
    matches(&key, &key!["todos", {"filters": {"state": "open"}}], true);
    matches(&key, &key!["todos", {"filters": {"tags": ["x"]}}], true);
    matches(&key, &key!["todos", {"filters": {"state": "done"}}], false);
    matches(&key, &key!["todos", {"filters": {"tags": ["y"]}}], false);
    matches(&key, &key!["todos", {"page": 2, "size": 10}], false);
    matches(&key!["todos", {"page": 2}], &key, false);
}

#[test]
fn empty_objects_and_arrays_match_their_own_kind_only() {
    let kinds = [
        key![null],
        key![false],
        key![0],
        key![""],
        key![["x"]],
        key![{"0": "x"}],
    ];
    for (at, key) in kinds.iter().enumerate() {
        matches(key, &key![[]], at == 4);
        matches(key, &key![{}], at == 5);
    }
    // Members named as places are not elements.
    matches(&key![["x"]], &key![{"0": "x"}], false);
    matches(&key![{"0": "x"}], &key![["x"]], false);
}

#[test]
fn a_slot_is_a_text_and_an_id() {
    let job = key!["job", 42];
    let (entity, id) = job.slot().expect("a slot");
    assert_eq!((&**entity, id), ("job", IdRef::Int(42)));
    assert_eq!(job, Key::of_slot("job", 42));
    let text = key!["job", ""];
    assert_eq!(text.slot().expect("a slot").1, IdRef::Text(""));
    let longer = key!["job", 42, "logs"];
    assert_eq!(longer.slot(), None);
    let (entity, id) = longer.slot_prefix().expect("begins with one");
    assert_eq!((&**entity, id), ("job", IdRef::Int(42)));
    for none in [
        key![],
        key!["job"],
        key![1, 2],
        key!["job", null],
        key!["job", [1]],
    ] {
        assert_eq!((none.slot(), none.slot_prefix()), (None, None), "{none}");
    }
    assert_eq!(key!["job"].entity().map(|name| &**name), Some("job"));
    assert_eq!((key![1].entity(), key![].entity()), (None, None));
}

#[test]
fn a_text_is_shared_with_the_id_it_came_from() {
    // Short ones are in the id itself.
    let text: Arc<str> = "an id of some upstream that is longer than most".into();
    let key = Key::of_slot("job", Id::from(Arc::clone(&text)));
    assert!(matches!(&key.parts()[1], Part::Text(part) if Arc::ptr_eq(part, &text)));
}

#[test]
fn everything_that_the_macro_takes() {
    let (name, id, list) = (String::from("n"), Id::from(7), vec!["x", "y"]);
    let (some, none) = (Some(1), None::<&str>);
    let key = key![
        "a",
        &name,
        id,
        list,
        null,
        true,
        -1,
        2 + 3,
        [false, ?none, ?some, [null,], {"k": null,},],
        {(name.clone()): [], "list": vec![1], "opt": some, "sum": 1 + 1, "x": ?none, "y": ?some},
        some,
        none,
        ?none,
        ?some,
        [1, 2].len(),
        ({ name.len() }),
    ];
    assert_eq!(
        key.to_json(),
        concat!(
            r#"["a","n",7,["x","y"],null,true,-1,5,[false,1,[null],{"k":null}],"#,
            r#"{"list":[1],"n":[],"opt":1,"sum":2,"y":1},1,null,1,2,1]"#
        )
    );
    assert_eq!(key![?none], key![]);
    assert_eq!(key![{"a": 1, "b": 2, "a": 3}], key![{"a": 3, "b": 2}]);
}

#[test]
fn members_are_found_by_name() {
    let Part::Object(members) = Part::object([("b", 1.into()), ("a", 2.into()), ("b", 3.into())])
    else {
        panic!("an object");
    };
    let names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(members.get("b"), Some(&Part::Int(3)));
    assert_eq!(members.get("c"), None);
}

#[test]
fn text_is_read_whatever_its_spaces_and_order() {
    let read = |json: &str| Key::from_json(json).expect("a key");
    same(
        &read(" [ \"a\" , { \"c\" : [ ] , \"b\" : 1 } , -0 , true , null ] \n"),
        &key!["a", {"b": 1, "c": []}, 0, true, null],
    );
    same(&read(r#"["\u00e9\ud83d\ude00\/\b"]"#), &key!["é😀/\u{8}"]);
    same(
        &read("[170141183460469231731687303715884105727,-170141183460469231731687303715884105728]"),
        &key![i128::MAX, i128::MIN],
    );
}

#[test]
fn text_that_is_no_key_is_refused_with_the_reason() {
    let refused = |json: &str| Key::from_json(json).expect_err(json);
    for json in [
        "",
        "[",
        "[1,]",
        "[01]",
        "[1] 2",
        "[\"\n\"]",
        r#"["\ud800"]"#,
    ] {
        assert!(matches!(refused(json), KeyError::Json(_)), "{json}");
    }
    for json in ["1", "null", "{}", "\"[]\""] {
        assert_eq!(refused(json), KeyError::NotArray, "{json}");
    }
    for number in ["1.0", "-0.5", "1e3", "1E400"] {
        let error = refused(&format!("[[{number}]]"));
        assert_eq!(error, KeyError::Fraction(number.into()));
        assert!(error.to_string().starts_with(number), "{error}");
    }
    let big = "170141183460469231731687303715884105728";
    assert_eq!(refused(&format!("[{big}]")), KeyError::TooBig(big.into()));
    assert_eq!(
        refused(r#"[{"a":1,"b":2,"\u0061":1}]"#),
        KeyError::Repeated("a".into())
    );
}

#[test]
fn text_nested_too_deep_is_refused() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let deepest = Key::from_json(&nested(128)).expect("128 is allowed");
    assert_eq!(deepest.to_json(), nested(128));
    assert_eq!(Key::from_json(&nested(129)), Err(KeyError::TooDeep));
    assert_eq!(Key::from_json(&nested(20_000)), Err(KeyError::TooDeep));
}

fn part() -> impl Strategy<Value = Part> {
    let leaf = prop_oneof![
        Just(Part::Null),
        any::<bool>().prop_map(Part::from),
        prop_oneof![-2..3_i128, any::<i128>()].prop_map(Part::from),
        prop_oneof!["[ab]{0,2}", ".*"].prop_map(Part::from),
        prop::collection::vec(any::<char>(), 0..4)
            .prop_map(|text| Part::from(text.into_iter().collect::<String>())),
    ];
    leaf.prop_recursive(4, 24, 4, |part| {
        prop_oneof![
            prop::collection::vec(part.clone(), 0..4).prop_map(Part::array),
            prop::collection::vec(("[ab]{0,2}", part), 0..4).prop_map(Part::object),
        ]
    })
}

fn any_key() -> impl Strategy<Value = Key> {
    prop::collection::vec(part(), 0..4).prop_map(Key::new)
}

proptest! {
    #[test]
    fn text_gives_the_key_back(key in any_key()) {
        prop_assert_eq!(Key::from_json(&key.to_json()), Ok(key));
    }

    #[test]
    fn texts_are_escaped_as_others_do(text in prop::collection::vec(any::<char>(), 0..9)) {
        let text: String = text.into_iter().chain("\u{0}\u{1f}\u{7f}".chars()).collect();
        let theirs = serde_json::to_string(&[&text]).expect("JSON");
        prop_assert_eq!(key![text].to_json(), theirs);
    }

    #[test]
    fn equal_texts_are_equal_keys(a in any_key(), b in any_key()) {
        prop_assert_eq!(a == b, a.to_json() == b.to_json());
        prop_assert_eq!(a == b, a.cmp(&b).is_eq());
    }

    #[test]
    fn a_key_starts_with_itself_and_all_its_beginnings(key in any_key()) {
        for len in 0..=key.len() {
            let beginning: Key = key.parts()[..len].iter().cloned().collect();
            prop_assert!(key.starts_with(&beginning));
            prop_assert_eq!(beginning.starts_with(&key), len == key.len());
        }
    }
}
