use super::super::harness::{
    Message, Oracle, Random, Subject, compile, patch_of, subject, text_of,
};
use super::super::schema::{Limits, Schema, SchemaSource};
use super::*;

/// Appendix A of RFC 7396, then its two worked examples: original, patch, result.
const RFC_7396: [[&str; 3]; 17] = [
    [r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#],
    [r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#],
    [r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#],
    [r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#],
    [r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#],
    [r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#],
    [
        r#"{"a":{"b":"c"}}"#,
        r#"{"a":{"b":"d","c":null}}"#,
        r#"{"a":{"b":"d"}}"#,
    ],
    [r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#],
    [r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#],
    [r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#],
    [r#"{"a":"foo"}"#, "null", "null"],
    [r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#],
    [r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#],
    ["[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#],
    ["{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#],
    [
        r#"{"a":"b","c":{"d":"e","f":"g"}}"#,
        r#"{"a":"z","c":{"f":null}}"#,
        r#"{"a":"z","c":{"d":"e"}}"#,
    ],
    [
        r#"{"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},
            "tags":["example","sample"],"content":"This will be unchanged"}"#,
        r#"{"title":"Hello!","phoneNumber":"+01-123-456-7890","author":{"familyName":null},
            "tags":["example"]}"#,
        r#"{"title":"Hello!","author":{"givenName":"John"},"tags":["example"],
            "content":"This will be unchanged","phoneNumber":"+01-123-456-7890"}"#,
    ],
];

fn schema_of(max_fields: u32) -> Schema {
    Schema::new(Limits {
        max_fields,
        ..Limits::default()
    })
}

#[test]
fn rfc_7396_holds_in_cells_in_trees_and_between_them() {
    for [original, patch, result] in RFC_7396 {
        // With 0 fields everything is a tree; with 1 to 4 some of it is.
        for max_fields in [1024, 0, 1, 2, 3, 4] {
            let mut schema = schema_of(max_fields);
            let mut record = subject(original, &mut schema);
            record.message(patch, Mode::Merge, &mut schema);
            assert_eq!(
                Oracle::of_json(&record.json()),
                Oracle::of_json(result),
                "{original} + {patch} with {max_fields} fields"
            );
        }
        let merged = Message::parse(original)
            .tree()
            .merged(&Message::parse(patch).tree(), Mode::Merge);
        assert_eq!(Oracle::of_json(&merged.to_json()), Oracle::of_json(result));
    }
}

#[track_caller]
fn check(original: &str, patch: &str, mode: Mode, result: &str) {
    for max_fields in [1024, 0] {
        let mut schema = schema_of(max_fields);
        let mut record = subject(original, &mut schema);
        record.message(patch, mode, &mut schema);
        assert_eq!(
            Oracle::of_json(&record.json()),
            Oracle::of_json(result),
            "{max_fields} fields"
        );
    }
}

#[test]
fn a_null_in_a_new_object_leaves_the_object() {
    check("{}", r#"{"a":{"a":null}}"#, Mode::Merge, r#"{"a":{}}"#);
    check(
        r#"{"a":{"b":1}}"#,
        r#"{"a":{"b":null}}"#,
        Mode::Merge,
        r#"{"a":{}}"#,
    );
    check(r#"{"a":1}"#, r#"{"a":{}}"#, Mode::Merge, r#"{"a":{}}"#);
    check(
        r#"{"a":{"b":1}}"#,
        r#"{"a":{}}"#,
        Mode::Merge,
        r#"{"a":{"b":1}}"#,
    );
}

#[test]
fn a_merge_may_take_null_for_a_value_at_any_depth() {
    let old = r#"{"bid":1,"stats":{"high":2,"low":3},"greeks":null}"#;
    check(
        old,
        r#"{"bid":null,"stats":{"low":null}}"#,
        Mode::MergeNull,
        r#"{"bid":null,"stats":{"high":2,"low":null},"greeks":null}"#,
    );
    check(
        old,
        r#"{"stats":null,"greeks":{"delta":null},"new":{"x":null}}"#,
        Mode::MergeNull,
        r#"{"bid":1,"stats":null,"greeks":{"delta":null},"new":{"x":null}}"#,
    );
    check(old, r#"{"stats":{}}"#, Mode::MergeNull, old);
    check(old, "null", Mode::MergeNull, "null");
    check("[1]", r#"{"a":null}"#, Mode::MergeNull, r#"{"a":null}"#);
}

#[test]
fn shallow_takes_named_members_whole_and_null_as_a_value() {
    let old = r#"{"a":{"x":1,"y":{"z":2}},"b":1,"c":2}"#;
    check(
        old,
        r#"{"a":{"y":{"w":3}}}"#,
        Mode::Shallow,
        r#"{"a":{"y":{"w":3}},"b":1,"c":2}"#,
    );
    check(
        old,
        r#"{"a":null,"b":{}}"#,
        Mode::Shallow,
        r#"{"a":null,"b":{},"c":2}"#,
    );
    check(
        old,
        r#"{"a":{"x":null}}"#,
        Mode::Shallow,
        r#"{"a":{"x":null},"b":1,"c":2}"#,
    );
    check("[1]", r#"{"a":1}"#, Mode::Shallow, r#"{"a":1}"#);
    check(old, "3", Mode::Shallow, "3");
}

#[test]
fn replace_starts_from_blank_and_keeps_nulls() {
    let old = r#"{"a":{"x":1},"b":1}"#;
    check(
        old,
        r#"{"a":{"y":null}}"#,
        Mode::Replace,
        r#"{"a":{"y":null}}"#,
    );
    check(old, "{}", Mode::Replace, "{}");
    check(old, "null", Mode::Replace, "null");
    check("[1]", r#"{"b":2}"#, Mode::Replace, r#"{"b":2}"#);
}

#[test]
fn nulls_inside_arrays_are_data() {
    check(
        "{}",
        r#"{"a":[null,{"b":null}]}"#,
        Mode::Merge,
        r#"{"a":[null,{"b":null}]}"#,
    );
}

#[test]
fn of_a_repeated_name_only_the_last_counts_and_applies_to_the_old_value() {
    let twice = r#"{"a":{"x":1},"a":{"y":2}}"#;
    check("{}", twice, Mode::Merge, r#"{"a":{"y":2}}"#);
    check(
        r#"{"a":{"x":0}}"#,
        twice,
        Mode::Merge,
        r#"{"a":{"x":0,"y":2}}"#,
    );
    check(r#"{"a":{"x":0}}"#, twice, Mode::Shallow, r#"{"a":{"y":2}}"#);
    check(r#"{"a":{"x":0}}"#, twice, Mode::Replace, r#"{"a":{"y":2}}"#);
    check(
        r#"{"a":{"x":0}}"#,
        r#"{"a":null,"a":{"y":2}}"#,
        Mode::Merge,
        r#"{"a":{"x":0,"y":2}}"#,
    );
    check(r#"{"a":1}"#, r#"{"a":2,"a":null}"#, Mode::Merge, "{}");
    let deep = r#"{"a":{"b":{"c":1},"b":{"d":2}},"e":1,"a":{"b":{"f":3}}}"#;
    check("{}", deep, Mode::Merge, r#"{"a":{"b":{"f":3}},"e":1}"#);
}

#[test]
fn tokens_of_every_length_widen_narrow_and_compare() {
    let lengths = [
        0, 1, 3, 4, 7, 8, 14, 15, 16, 17, 30, 31, 32, 255, 256, 257, 4095, 4096, 4097, 9000,
    ];
    let mut schema = Schema::default();
    let mut record = subject("{}", &mut schema);
    for from in lengths {
        for to in lengths {
            for length in [from, to] {
                record.message(
                    &format!("{{\"a\":{}}}", text_of(length)),
                    Mode::Merge,
                    &mut schema,
                );
                assert_eq!(record.json(), format!("{{\"a\":{}}}", text_of(length)));
                let again = format!("{{\"a\":{}}}", text_of(length));
                assert!(!record.message(&again, Mode::Merge, &mut schema).any());
                assert_eq!(record.document.is_some(), length > 4096);
            }
        }
    }
    // A text of the same length that differs in its last byte alone is a change.
    for length in [15, 16, 4096, 4097] {
        let text = text_of(length);
        record.message(&format!("{{\"a\":{text}}}"), Mode::Merge, &mut schema);
        let other = format!("{}y\"", &text[..text.len() - 2]);
        let change = record.message(&format!("{{\"a\":{other}}}"), Mode::Merge, &mut schema);
        assert!(change.cells);
        assert_eq!(change.document, length > 4096);
        assert_eq!(record.json(), format!("{{\"a\":{other}}}"));
    }
    record.message(r#"{"a":null}"#, Mode::Merge, &mut schema);
    assert_eq!(
        record.cells.0.iter().filter(|word| **word != 0).count(),
        1,
        "only the root"
    );
}

#[test]
fn where_regions_may_not_grow_further_texts_go_to_the_document() {
    let mut schema = Schema::default();
    let names: Vec<String> = (0..40).map(|at| format!("f{at}")).collect();
    let members: Vec<String> = names
        .iter()
        .map(|name| format!("\"{name}\":{}", text_of(4000)))
        .collect();
    let json = format!("{{{}}}", members.join(","));
    let record = subject(&json, &mut schema);
    assert_eq!(record.json(), json);
    assert!(!record.is_tree());
    assert!(matches!(
        record.document.as_deref(),
        Some(Document::Long(_))
    ));
    assert!(schema.layout().cells() <= 1 + 40 + super::super::schema::MAX_WIDE_CELLS);
}

#[test]
fn a_record_that_outgrows_the_schema_becomes_a_tree_and_replace_brings_it_back() {
    let mut schema = schema_of(2);
    let mut record = subject(r#"{"a":1,"b":{"c":2}}"#, &mut schema);
    assert!(record.is_tree());
    assert!(record.record().is_object());
    let a = schema.layout().find(&["a"]).expect("known");
    assert_eq!(record.record().value(a).i64(), Ok(1));
    assert_eq!(record.record().path(&["b", "c"]).i64(), Ok(2));
    let words = record.cells.clone();
    assert!(
        record
            .message(r#"{"a":2}"#, Mode::Merge, &mut schema)
            .document
    );
    assert_ne!(
        record.cells, words,
        "the root's cell tells one tree from another"
    );
    assert_eq!(record.json(), r#"{"a":2,"b":{"c":2}}"#);
    assert!(
        !record
            .message(r#"{"a":2,"b":{"c":2}}"#, Mode::Merge, &mut schema)
            .any()
    );
    record.message(r#"{"a":3}"#, Mode::Replace, &mut schema);
    assert!(!record.is_tree());
    assert_eq!(record.json(), r#"{"a":3}"#);
}

#[test]
fn a_patch_for_a_newer_layout_fits_an_older_one_if_its_own_fields_do() {
    let mut schema = Schema::default();
    let old = subject(r#"{"a":1,"w":"0123456789abcdef"}"#, &mut schema).layout;
    let mut patch = |json| patch_of(json, Mode::Merge, &mut schema);
    patch(r#"{"b":1,"w":"0123456789abcdef0123456789abcdef"}"#);
    for fitting in [r#"{"a":3}"#, "[1]"] {
        assert!(fits_at_a_glance(&patch(fitting), &old), "{fitting}");
    }
    // It takes a second look to see that the older region is wide enough.
    for wide in [r#"{"w":1}"#, r#"{"w":"0123456789abcdef"}"#] {
        let wide = patch(wide);
        assert!(!fits_at_a_glance(&wide, &old) && fits(&wide, &old));
    }
    for refused in [
        r#"{"b":1}"#,
        r#"{"a":4,"b":null}"#,
        r#"{"a":"0123456789abcdef"}"#,
        r#"{"w":"0123456789abcdef0123456789abcdef"}"#,
    ] {
        let patch = patch(refused);
        assert!(!fits(&patch, &old), "{refused} does not fit");
    }
    let patch = patch(r#"{"a":"0123456789abcdef","b":2,"w":"0123456789abcdef"}"#);
    assert!(fits(&patch, schema.layout()));
}

fn fits_at_a_glance(patch: &Patch, layout: &Layout) -> bool {
    patch.fits(layout.cells(), layout.widened())
}

const TOKENS: [&str; 12] = [
    "null",
    "null",
    "null",
    "true",
    "false",
    "0",
    "1.50",
    "\"\"",
    "\"0123456789abcde\"",
    "\"0123456789abcdef\"",
    "[null,1]",
    "[\"a long array\",{\"a\":null,\"b\":[1,2,3]}]",
];

fn random_message(random: &mut Random, depth: usize) -> Message {
    if depth < 4 && random.below(if depth == 0 { 12 } else { 2 }) > 0 {
        let members = (0..random.below(4)).map(|_| {
            let name = random.pick(&["a", "b", "c"]).to_string();
            (name, random_message(random, depth + 1))
        });
        return Message::Object(members.collect());
    }
    match random.below(40) {
        0 => Message::Token(text_of(*random.pick(&[15, 16, 31, 32, 100, 4096]))),
        1 => Message::Token(text_of(4097 + random.below(2))),
        _ => Message::Token(random.pick(&TOKENS).to_string()),
    }
}

/// Sequences of random messages to two records of one schema, against the oracle.
#[test]
fn random_sequences_of_messages_agree_with_walking_trees() {
    for seed in 0..20_000 {
        let random = &mut Random::new(seed);
        let max_fields = *random.pick(&[1024, 1024, 2, 5, 12]);
        let mut schema = schema_of(max_fields);
        let mut records = [(); 2].map(|()| (Subject::new(schema.layout()), None::<Oracle>));
        let mut patch = Patch::new();
        let modes = *random.pick::<&[Mode]>(&[
            &[Mode::Merge],
            &[Mode::MergeNull],
            &[Mode::Shallow],
            &[Mode::Replace],
            &[Mode::Merge, Mode::MergeNull, Mode::Shallow, Mode::Replace],
        ]);
        for step in 0..8 {
            let message = random_message(random, 0);
            let mode = *random.pick(modes);
            let (record, expected) = &mut records[random.below(2)];
            let case = || format!("seed {seed}, step {step}: {mode:?} {message:?}");
            compile(&message, mode, &mut schema, &mut patch);
            let next = Oracle::merged(expected.as_ref(), &message, mode);
            let was_tree = record.is_tree();
            let change = record.apply(&patch, mode, &schema);

            assert_eq!(Oracle::of_json(&record.json()), next, "{}", case());
            if Some(&next) != expected.as_ref() || was_tree != record.is_tree() {
                assert!(change.any(), "{}", case());
            } else if !was_tree {
                assert!(!change.any(), "{}", case());
            }
            assert!(
                !record.apply(&patch, mode, &schema).any(),
                "idempotent: {}",
                case()
            );
            check_fields(record, &next, schema.layout());
            check_canonical(record);
            *expected = Some(next);
        }
    }
}

/// Each field on its own is what the oracle has there.
fn check_fields(record: &Subject, expected: &Oracle, layout: &Layout) {
    for node in (1..record.layout.nodes()).map(Node) {
        let value = record.record().value(node);
        match expected.find(&layout.path(node)) {
            None => assert!(value.is_missing()),
            Some(field) => {
                assert_eq!(&Oracle::of_json(&value.json().expect("present")), field);
            }
        }
    }
}

/// The words of a record depend on its value alone, not on how it came about.
fn check_canonical(record: &Subject) {
    if record.is_tree() {
        return;
    }
    let mut grown = record.clone();
    grown.grow(&record.layout);
    assert_eq!(
        grown.cells, record.cells,
        "nothing is left over beyond the tokens"
    );
}

#[test]
fn an_owned_record_moves_to_a_newer_layout_by_itself() {
    let mut schema = Schema::default();
    let mut record = super::super::record::Record::absent(schema.layout().clone());
    assert!(record.is_absent());
    for (json, result) in [
        (r#"{"a":1}"#, r#"{"a":1}"#),
        (
            r#"{"b":"0123456789abcdef"}"#,
            r#"{"a":1,"b":"0123456789abcdef"}"#,
        ),
        (
            r#"{"a":"0123456789abcdef0123456789abcdef"}"#,
            r#"{"a":"0123456789abcdef0123456789abcdef","b":"0123456789abcdef"}"#,
        ),
        (r#"{"a":null}"#, r#"{"b":"0123456789abcdef"}"#),
    ] {
        let patch = patch_of(json, Mode::Merge, &mut schema);
        assert!(record.apply(&patch, Mode::Merge, schema.layout()).any());
        assert_eq!(record.to_json(), result);
    }
}
