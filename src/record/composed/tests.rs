use super::super::harness::{
    Message, Oracle, Random, Subject, compile, patch_of, subject, text_of,
};
use super::super::record::Record;
use super::super::schema::{Limits, Schema};
use super::*;

fn schema_of(max_fields: u32) -> Schema {
    Schema::new(Limits {
        max_fields,
        ..Limits::default()
    })
}

fn record(subject: &Subject) -> Record {
    let words = subject.cells.0.clone().into();
    Record::new(subject.layout.clone(), words, subject.document.clone())
}

fn apply_all(record: &mut Record, composed: &Composed, schema: &mut Schema) {
    for (patch, mode) in composed.patches(schema) {
        record.apply(&patch, mode, schema.layout());
    }
}

/// `start`, with the messages composed and then applied.
#[track_caller]
fn check(start: &str, messages: &[&str], mode: Mode, expected: &str) {
    let mut schema = Schema::default();
    let mut composed = Composed::new();
    for message in messages {
        let patch = patch_of(message, mode, &mut schema);
        composed.push(&patch, mode, schema.layout()).expect("room");
    }
    assert_eq!(composed.patches(&mut schema).len(), 1);
    let mut record = record(&subject(start, &mut schema));
    apply_all(&mut record, &composed, &mut schema);
    assert_eq!(
        Oracle::of_json(&record.to_json()),
        Oracle::of_json(expected),
        "{start} with {messages:?}"
    );
}

#[test]
fn merges_that_no_merge_patch_says_compose() {
    use Mode::{Merge, Replace, Shallow};
    let start = r#"{"c":{"x":1},"k":{"l":{"m":2}}}"#;
    let kept = r#""k":{"l":{"m":2}}"#;
    for (messages, expected) in [
        (&[r#"{"c":"s"}"#, r#"{"c":{}}"#][..], r#""c":{}"#),
        (&[r#"{"c":null}"#, r#"{"c":{"y":2}}"#], r#""c":{"y":2}"#),
        (&[r#"{"c":{}}"#, r#"{"c":{"y":2}}"#], r#""c":{"x":1,"y":2}"#),
        (
            &[r#"{"c":{"y":{}}}"#, r#"{"c":{"y":null}}"#],
            r#""c":{"x":1}"#,
        ),
        (
            &[r#"{"c":{"y":1}}"#, r#"{"c":null}"#, r#"{"c":{"z":3}}"#],
            r#""c":{"z":3}"#,
        ),
    ] {
        check(start, messages, Merge, &format!("{{{expected},{kept}}}"));
    }
    check(
        start,
        &[r#"{"c":{}}"#, r#"{"c":{"y":null}}"#],
        Shallow,
        &format!("{{\"c\":{{\"y\":null}},{kept}}}"),
    );
    check(start, &["[1]", r#"{"a":1}"#], Merge, r#"{"a":1}"#);
    check(start, &[r#"{"a":1}"#, "7"], Merge, "7");
    check(
        start,
        &[r#"{"a":1}"#, r#"{"b":null}"#],
        Replace,
        r#"{"b":null}"#,
    );
    check("[1]", &[r#"{"a":{"b":null}}"#], Merge, r#"{"a":{}}"#);
}

const TOKENS: [&str; 9] = [
    "null",
    "null",
    "null",
    "0",
    "1.50",
    "\"0123456789abcde\"",
    "\"0123456789abcdef\"",
    "[null,1]",
    "[\"a long array\",{\"a\":null,\"b\":[1,2,3]}]",
];

fn random_message(random: &mut Random, depth: usize) -> Message {
    if depth < 4 && random.below(if depth == 0 { 20 } else { 2 }) > 0 {
        let members = (0..random.below(4)).map(|_| {
            let name = (*random.pick(&["a", "b", "c"])).to_owned();
            (name, random_message(random, depth + 1))
        });
        return Message::Object(members.collect());
    }
    match random.below(40) {
        0 => Message::Token(text_of(*random.pick(&[31, 32, 4096, 4097]))),
        _ => Message::Token((*random.pick(&TOKENS)).to_owned()),
    }
}

/// Random messages in any mode, to records of cells and of trees: composed they do what they do
/// one by one. Both ways of composing: message by message, and one composition after another.
#[test]
fn composed_patches_do_what_each_of_them_does() {
    for seed in 0..25_000 {
        let random = &mut Random::new(seed);
        let max_fields = *random.pick(&[1024, 1024, 2, 5, 12]);
        let mut schema = schema_of(max_fields);
        let modes = *random.pick::<&[Mode]>(&[
            &[Mode::Merge],
            &[Mode::MergeNull],
            &[Mode::Shallow],
            &[Mode::Merge, Mode::MergeNull, Mode::Shallow, Mode::Replace],
        ]);
        let mut one_by_one = Subject::new(schema.layout());
        let mut expected = None;
        let mut patch = Patch::new();
        if random.below(4) > 0 {
            let start = random_message(random, 0);
            compile(&start, Mode::Replace, &mut schema, &mut patch);
            one_by_one.apply(&patch, Mode::Replace, &schema);
            expected = Some(Oracle::merged(None, &start, Mode::Replace));
        }
        let mut together = record(&one_by_one);
        let mut halves = together.clone();
        let (mut composed, mut last) = (Composed::new(), Composed::new());
        let steps = 1 + random.below(8);
        for step in 0..steps {
            let message = random_message(random, 0);
            let mode = *random.pick(modes);
            compile(&message, mode, &mut schema, &mut patch);
            one_by_one.apply(&patch, mode, &schema);
            composed.push(&patch, mode, schema.layout()).expect("room");
            last.push(&patch, mode, schema.layout()).expect("room");
            if step == steps / 2 {
                apply_all(&mut halves, &last, &mut schema);
                last = Composed::new();
            }
            expected = Some(Oracle::merged(expected.as_ref(), &message, mode));
        }
        let mut twice = Composed::new();
        twice.append(&composed, &mut schema).expect("room");
        twice.append(&last, &mut schema).expect("room");
        let mut again = together.clone();
        apply_all(&mut together, &composed, &mut schema);
        apply_all(&mut halves, &last, &mut schema);
        apply_all(&mut again, &twice, &mut schema);
        let expected = expected.expect("there was a message");
        assert_eq!(Oracle::of_json(&one_by_one.json()), expected, "seed {seed}");
        for (record, how) in [(together, "one"), (halves, "halves"), (again, "twice")] {
            assert_eq!(
                Oracle::of_json(&record.to_json()),
                expected,
                "seed {seed}, {how}"
            );
        }
    }
}

#[test]
fn what_is_held_is_bounded_by_the_schema_and_not_by_the_patches() {
    let mut schema = Schema::default();
    let mut composed = Composed::new();
    for round in 0..10_000 {
        let json = format!(
            r#"{{"a":{{"b":{round}}},"c":"{}"}}"#,
            "x".repeat(round % 50)
        );
        let patch = patch_of(&json, Mode::Merge, &mut schema);
        composed
            .push(&patch, Mode::Merge, schema.layout())
            .expect("room");
    }
    assert_eq!(composed.first.entries.len(), 4);
    assert!(composed.behind.is_empty());
}

#[test]
fn patches_that_outgrew_the_schema_are_kept_up_to_a_bound_and_a_whole_one_replaces_them() {
    let mut schema = schema_of(1);
    let mut composed = Composed::new();
    for _ in 0..MAX_TREES {
        let patch = patch_of(r#"{"a":1,"b":2}"#, Mode::Merge, &mut schema);
        assert!(patch.is_tree());
        assert_eq!(composed.push(&patch, Mode::Merge, schema.layout()), Ok(()));
    }
    let patch = patch_of(r#"{"a":1,"b":2}"#, Mode::Merge, &mut schema);
    assert_eq!(
        composed.push(&patch, Mode::Merge, schema.layout()),
        Err(ComposedFull)
    );
    composed
        .push(&patch, Mode::Replace, schema.layout())
        .expect("it replaces");
    assert_eq!(composed.patches(&mut schema).len(), 1);
    let patch = patch_of("7", Mode::Merge, &mut schema);
    composed
        .push(&patch, Mode::Merge, schema.layout())
        .expect("room");
    assert!(composed.behind.is_empty());
}
