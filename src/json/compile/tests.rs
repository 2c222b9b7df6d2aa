//! What messages do to a record once they are compiled.

use std::thread;

use super::{Refused, compile};
use crate::{
    json::Decoder,
    record::{INLINE_TOKEN, Limits, Mode, Node, Patch, Record, Schema, SchemaSource},
};

struct Entity {
    limits: Limits,
    decoder: Decoder,
    schema: Schema,
    patch: Patch,
    record: Record,
}

impl Entity {
    fn new(limits: Limits) -> Self {
        let schema = Schema::new(limits);
        let record = Record::absent(schema.layout().clone());
        Self {
            limits,
            decoder: Decoder::new(1000),
            schema,
            patch: Patch::new(),
            record,
        }
    }

    fn compile(&mut self, message: &str, mode: Mode) -> Result<(), Refused> {
        let root = self
            .decoder
            .decode(message.as_bytes())
            .expect("valid")
            .root();
        compile(root, mode, &self.limits, &mut self.schema, &mut self.patch)
    }

    fn apply(&mut self, message: &str, mode: Mode) -> String {
        self.compile(message, mode).expect("within limits");
        self.record.apply(&self.patch, mode, self.schema.layout());
        self.record.to_json()
    }
}

/// The value after these messages, one after the other, for each size of schema.
fn check(mode: Mode, messages: &[&str], expected: &str) {
    for max_fields in [1024, 1] {
        let mut entity = Entity::new(Limits {
            max_fields,
            ..Limits::default()
        });
        let last = messages
            .iter()
            .fold(String::new(), |_, message| entity.apply(message, mode));
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(
            read(&last),
            read(expected),
            "{messages:?} with {max_fields} fields: {last}"
        );
    }
}

/// RFC 7396, appendix A.
#[test]
fn merges_as_rfc_7396_says() {
    for [original, patch, result] in [
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
    ] {
        for max_fields in [1024, 1] {
            let mut entity = Entity::new(Limits {
                max_fields,
                ..Limits::default()
            });
            entity.apply(original, Mode::Replace);
            let merged = entity.apply(patch, Mode::Merge);
            let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
            assert_eq!(read(&merged), read(result), "{original} with {patch}");
        }
    }
    check(Mode::Merge, &["{}", r#"{"a":{"a":null}}"#], r#"{"a":{}}"#);
    check(Mode::Merge, &[r#"{"c":"s"}"#, r#"{"c":{}}"#], r#"{"c":{}}"#);
    check(
        Mode::Merge,
        &[r#"{"a":{"b":1}}"#, r#"{"a":{"b":null}}"#],
        r#"{"a":{}}"#,
    );
    check(
        Mode::Merge,
        &[r#"{"a":[1,null,{"b":null}]}"#],
        r#"{"a":[1,null,{"b":null}]}"#,
    );
}

#[test]
fn null_deletes_only_in_a_merge() {
    let old = r#"{"a":1,"b":{"x":1,"y":2},"c":3}"#;
    let new = r#"{"a":null,"b":{"x":null}}"#;
    check(Mode::Merge, &[old, new], r#"{"b":{"y":2},"c":3}"#);
    check(
        Mode::Shallow,
        &[old, new],
        r#"{"a":null,"b":{"x":null},"c":3}"#,
    );
    check(Mode::Replace, &[old, new], new);
}

#[test]
fn of_a_repeated_name_only_the_last_value_counts() {
    let check_each = |message: &str, expected: [&str; 3]| {
        let old = r#"{"a":{"z":0},"b":9}"#;
        for (mode, expected) in [Mode::Merge, Mode::Shallow, Mode::Replace]
            .into_iter()
            .zip(expected)
        {
            check(mode, &[old, message], expected);
        }
    };
    check_each(
        r#"{"a":{"x":1},"a":{"y":2}}"#,
        [
            r#"{"a":{"z":0,"y":2},"b":9}"#,
            r#"{"a":{"y":2},"b":9}"#,
            r#"{"a":{"y":2}}"#,
        ],
    );
    check_each(
        r#"{"a":1,"\u0061":{"y":2}}"#,
        [
            r#"{"a":{"z":0,"y":2},"b":9}"#,
            r#"{"a":{"y":2},"b":9}"#,
            r#"{"a":{"y":2}}"#,
        ],
    );
    check_each(
        r#"{"a":{"x":1},"b":null,"a":null,"b":2}"#,
        [r#"{"b":2}"#, r#"{"a":null,"b":2}"#, r#"{"a":null,"b":2}"#],
    );
    check_each(
        r#"{"a":null,"a":{"y":{"q":1,"q":{"r":1}}}}"#,
        [
            r#"{"a":{"z":0,"y":{"q":{"r":1}}},"b":9}"#,
            r#"{"a":{"y":{"q":{"r":1}}},"b":9}"#,
            r#"{"a":{"y":{"q":{"r":1}}}}"#,
        ],
    );
    let many: Vec<String> = (0..5000)
        .map(|nth| format!("\"n{}\":{nth}", nth % 50))
        .collect();
    let last: Vec<String> = (4950..5000)
        .map(|nth| format!("\"n{}\":{nth}", nth % 50))
        .collect();
    check(
        Mode::Merge,
        &[&format!("{{{}}}", many.join(","))],
        &format!("{{{}}}", last.join(",")),
    );
}

#[test]
fn names_are_interned_unescaped() {
    let mut entity = Entity::new(Limits::default());
    entity.apply(r#"{"\u0061":1,"":{"":2},"\"\n":3,"é":4}"#, Mode::Merge);
    let layout = entity.schema.layout();
    for path in [&["a"][..], &[""], &["", ""], &["\"\n"], &["é"]] {
        assert!(layout.find(path).is_some(), "{path:?}");
    }
    assert_eq!(layout.nodes(), 6);
    let json = entity.apply(
        r#"{"a":5,"":{"":6},"\u0022\u000a":7,"\u00e9":8}"#,
        Mode::Merge,
    );
    assert_eq!(json, r#"{"a":5,"":{"":6},"\"\n":7,"é":8}"#);
    assert_eq!(entity.schema.layout().nodes(), 6);
}

#[test]
fn a_message_of_known_names_leaves_the_schema_alone() {
    let mut entity = Entity::new(Limits::default());
    let long = "x".repeat(100);
    let wide = format!(r#"{{"a":1,"b":{{"c":"{long}","d":[1,2,3]}},"e":0,"f":"{long}"}}"#);
    entity.apply(&wide, Mode::Merge);
    let generation = entity.schema.layout().generation();
    for message in [
        &wide[..],
        r#"{"f":"short","e":1,"b":{"d":0,"c":null},"a":2}"#,
        r#"{"b":{"d":0}}"#,
        r#"{"e":{},"a":{}}"#,
        "{}",
        "7",
    ] {
        entity.apply(message, Mode::Merge);
        assert_eq!(entity.schema.layout().generation(), generation, "{message}");
        let compiled = entity.patch.operations().count();
        assert_eq!(compiled, entity.patch.len());
        assert!(!entity.patch.is_tree());
    }
}

/// Every order of the members, and every subset, finds the same nodes as the first one.
#[test]
fn the_order_of_members_means_nothing() {
    let mut entity = Entity::new(Limits::default());
    entity.apply(r#"{"a":0,"b":0,"c":0,"d":0}"#, Mode::Replace);
    let names = ["a", "b", "c", "d", "a", "b", "c"];
    for picks in 0..5_u32.pow(4) {
        let chosen: Vec<_> = (0..4)
            .filter_map(|nth| names.get((picks / 5_u32.pow(nth) % 5) as usize))
            .collect();
        let members: Vec<_> = chosen
            .iter()
            .enumerate()
            .map(|(nth, name)| format!("\"{name}\":{nth}"))
            .collect();
        let message = format!("{{{}}}", members.join(","));
        let json = entity.apply(&message, Mode::Replace);
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(read(&json), read(&message));
    }
    assert_eq!(entity.schema.layout().nodes(), 5);
}

#[test]
fn tokens_of_every_length_arrive_whole() {
    let mut entity = Entity::new(Limits::default());
    let lengths = (0..70).chain([
        200,
        1000,
        4000,
        INLINE_TOKEN - 2,
        INLINE_TOKEN,
        5000,
        100_000,
    ]);
    for length in lengths.clone().chain(lengths.rev()) {
        let text = format!(
            r#"{{"s":"{}","n":{}}}"#,
            "y".repeat(length),
            "1".repeat(length + 1)
        );
        assert_eq!(entity.apply(&text, Mode::Merge), text);
        let array = format!("[{}]", "1".repeat(length + 1));
        assert_eq!(entity.apply(&array, Mode::Merge), array);
    }
}

#[test]
fn limits_are_kept_and_a_refused_patch_does_nothing() {
    let limits = Limits {
        max_value: 40,
        max_depth: 3,
        ..Limits::default()
    };
    let mut entity = Entity::new(limits);
    assert_eq!(entity.compile(r#"{"a":1}"#, Mode::Merge), Ok(()));
    assert_eq!(
        entity.compile(r#"{"a":{"b":{"c":1}}}"#, Mode::Merge),
        Ok(())
    );
    let deep = r#"{"x":1,"a":{"b":{"c":{}}}}"#;
    assert_eq!(entity.compile(deep, Mode::Merge), Err(Refused::TooDeep));
    assert!(entity.patch.is_empty());
    assert_eq!(
        entity.compile(r#"{"a":1,"a":{"b":{"c":{}}}}"#, Mode::Merge),
        Err(Refused::TooDeep)
    );
    assert!(entity.patch.is_empty());
    // Also where only the first of two is too deep, and the last one counts.
    assert_eq!(
        entity.compile(r#"{"x":1,"x":2,"a":{"b":{"c":{}}},"a":1}"#, Mode::Merge),
        Err(Refused::TooDeep)
    );
    assert_eq!(
        entity.compile(&format!("\"{}\"", "x".repeat(38)), Mode::Merge),
        Ok(())
    );
    let large = format!("\"{}\"", "x".repeat(39));
    assert_eq!(entity.compile(&large, Mode::Merge), Err(Refused::TooLarge));
    assert!(entity.patch.is_empty());
    entity.limits.max_depth = 0;
    assert_eq!(entity.compile("{}", Mode::Merge), Err(Refused::TooDeep));
    assert_eq!(entity.compile("[[[]]]", Mode::Merge), Ok(()));
    // Too deep is found too where the schema is full.
    let mut entity = Entity::new(Limits {
        max_fields: 1,
        ..limits
    });
    assert_eq!(entity.compile(deep, Mode::Merge), Err(Refused::TooDeep));
    assert!(entity.patch.is_empty());
}

#[test]
fn a_value_with_too_many_names_becomes_a_tree_and_adds_none() {
    let mut entity = Entity::new(Limits {
        max_fields: 3,
        ..Limits::default()
    });
    entity.apply(r#"{"a":1}"#, Mode::Merge);
    for message in [
        r#"{"b":1,"c":2,"d":3}"#,
        r#"{"b":{"c":{"d":{}}}}"#,
        r#"{"a":{"x":1,"y":2,"z":3}}"#,
    ] {
        entity.compile(message, Mode::Merge).expect("within limits");
        assert!(entity.patch.is_tree());
        assert_eq!(entity.schema.layout().nodes(), 2);
    }
    entity.apply(r#"{"b":1,"c":2}"#, Mode::Merge);
    assert!(!entity.patch.is_tree());
    let json = entity.apply(r#"{"e":5,"a":null}"#, Mode::Merge);
    assert!(entity.patch.is_tree());
    assert_eq!(json, r#"{"b":1,"c":2,"e":5}"#);
    assert_eq!(
        entity.apply(r#"{"b":2}"#, Mode::Merge),
        r#"{"b":2,"c":2,"e":5}"#
    );
    assert_eq!(entity.apply(r#"{"a":1}"#, Mode::Replace), r#"{"a":1}"#);
    assert!(
        entity.record.document().is_none(),
        "a whole message brings it back to cells"
    );
}

/// A name that is only deleted is in the patch: a record that lives in its document may have it,
/// and so may a value that is fetched while the patch is kept.
#[test]
fn a_name_that_the_schema_lacks_can_be_deleted() {
    for max_fields in [1, 2, 3, 1024] {
        let mut entity = Entity::new(Limits {
            max_fields,
            ..Limits::default()
        });
        let whole = r#"{"a":1,"b":{"c":2},"d":3,"e":4}"#;
        assert_eq!(entity.apply(whole, Mode::Replace), whole);
        let json = entity.apply(r#"{"a":null,"x":null}"#, Mode::Merge);
        assert_eq!(json, r#"{"b":{"c":2},"d":3,"e":4}"#);
        // The last value counts for the value before the message, also where the first deletes it.
        let json = entity.apply(r#"{"b":null,"b":{}}"#, Mode::Merge);
        assert_eq!(json, r#"{"b":{"c":2},"d":3,"e":4}"#);
        let json = entity.apply(r#"{"b":{"d":1},"b":null,"d":null}"#, Mode::Merge);
        assert_eq!(json, r#"{"e":4}"#);
    }
}

#[test]
fn deep_messages_fit_a_small_stack() {
    let compile_deep = || {
        let depth = Limits::default().max_depth as usize;
        let text = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        for max_fields in [1024, 1] {
            let mut entity = Entity::new(Limits {
                max_fields,
                ..Limits::default()
            });
            assert_eq!(entity.apply(&text(depth), Mode::Merge), text(depth));
            assert_eq!(
                entity.compile(&text(depth + 1), Mode::Merge),
                Err(Refused::TooDeep)
            );
            assert_eq!(
                entity.compile(&text(1000), Mode::Merge),
                Err(Refused::TooDeep)
            );
        }
    };
    let thread = thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(compile_deep);
    thread.expect("a thread").join().expect("no panic");
}

#[test]
fn a_value_below_the_root_of_the_message_is_compiled_alone() {
    let limits = Limits::default();
    let (mut decoder, mut schema) = (Decoder::new(128), Schema::new(limits));
    let mut patch = Patch::new();
    let message = br#"{"entity":"x","payload":{"a":1},"more":[{"b":2}]}"#;
    let root = decoder.decode(message).expect("valid").root();
    let payload = root.get("payload").expect("a payload");
    compile(payload, Mode::Merge, &limits, &mut schema, &mut patch).expect("within limits");
    let nodes: Vec<_> = patch.operations().map(|(node, _)| node).collect();
    assert_eq!(
        nodes,
        [Node::ROOT, schema.layout().find(&["a"]).expect("a name")]
    );
    let element = root
        .get("more")
        .and_then(|more| more.elements().next())
        .expect("an element");
    compile(element, Mode::Merge, &limits, &mut schema, &mut patch).expect("within limits");
    assert!(schema.layout().find(&["b"]).is_some());
}

#[test]
fn messages_of_one_layout_may_be_for_schemas_that_differ() {
    let mut decoder = Decoder::new(10);
    let mut entities = [(); 2].map(|()| Entity::new(Limits::default()));
    // The same names, in another order.
    entities[1].apply(r#"{"b":0}"#, Mode::Merge);
    for n in 0..20 {
        for entity in &mut entities {
            let message = format!(r#"{{"a":{n},"b":{}}}"#, 100 + n);
            let root = decoder.decode(message.as_bytes()).expect("valid").root();
            let Entity {
                limits,
                schema,
                patch,
                record,
                ..
            } = entity;
            compile(root, Mode::Merge, limits, schema, patch).expect("within limits");
            record.apply(patch, Mode::Merge, schema.layout());
            let read = |name| record.as_ref().get(name).u64();
            assert_eq!((read("a"), read("b")), (Ok(n), Ok(100 + n)));
        }
    }
}
