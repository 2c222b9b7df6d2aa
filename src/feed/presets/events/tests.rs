use super::*;
use crate::feed::testing::check;

#[test]
fn payloads_merge_and_their_absence_invalidates() {
    check(
        Events::new(),
        &[
            (
                r#"{"entity":"todos","id":7,"payload":{"a":1,"b":null}}"#,
                &[r#"merge todos 7 {"a":1,"b":null}"#],
            ),
            (
                r#"{"entity":"todos","id":"7","payload":{}}"#,
                &[r#"merge todos "7" {}"#],
            ),
            (
                r#"{"entity":"todos","id":7,"payload":null}"#,
                &["remove todos 7"],
            ),
            (r#"{"entity":"todos","id":7}"#, &["invalidate todos 7"]),
            (r#"{"entity":"todos"}"#, &["invalidate todos"]),
            (r#"{"entity":"todos","id":null}"#, &["invalidate todos"]),
            // Zero and the empty text are ids.
            (r#"{"entity":"todos","id":0}"#, &["invalidate todos 0"]),
            (r#"{"entity":"todos","id":""}"#, &[r#"invalidate todos """#]),
            (
                r#"{"entity":"todos","id":0,"payload":[1]}"#,
                &["merge todos 0 [1]"],
            ),
            // Beyond 64 bits, and negative.
            (
                r#"{"entity":"a","id":18446744073709551616,"payload":1}"#,
                &["merge a 18446744073709551616 1"],
            ),
            (
                r#"{"entity":"a","id":-5,"payload":"x"}"#,
                &[r#"merge a -5 "x""#],
            ),
        ],
    );
}

#[test]
fn the_order_of_members_means_nothing_and_their_case_everything() {
    check(
        Events::new(),
        &[
            (
                r#"{"payload":{"x":1},"id":1,"entity":"a"}"#,
                &[r#"merge a 1 {"x":1}"#],
            ),
            (
                r#"{"v":2,"payload":{},"entity":"a","t":[{}],"id":1}"#,
                &["merge a 1 {}"],
            ),
            (
                r#"{"entity":"a","id":1,"Payload":{"x":1}}"#,
                &["invalidate a 1"],
            ),
            (r#"{"entity":"a","ID":1}"#, &["invalidate a"]),
            (r#"{"Entity":"a","id":1}"#, &["refused NoEntity"]),
            // The last of a repeated name counts, escaped or not.
            (r#"{"entity":"a","id":1,"id":2}"#, &["invalidate a 2"]),
            (r#"{"entity":"a","\u0069d":3}"#, &["invalidate a 3"]),
            (
                r#"{"entity":"\u0061b\n","id":"\"x"}"#,
                &["invalidate ab\n \"\\\"x\""],
            ),
        ],
    );
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    check(
        Events::new(),
        &[
            (r#"{"entity":"a","payload":{}}"#, &["refused WholeEntity"]),
            (
                r#"{"entity":"a","id":null,"payload":{}}"#,
                &["refused WholeEntity"],
            ),
            (r#"{"entity":"a","payload":null}"#, &["refused WholeEntity"]),
            (r#"{"id":1,"payload":{}}"#, &["refused NoEntity"]),
            (r#"{"entity":5,"id":1}"#, &["refused NoEntity"]),
            (r#"{"entity":null}"#, &["refused NoEntity"]),
            (r#"{"entity":"a","id":1.5}"#, &["refused BadId"]),
            (
                r#"{"entity":"a","id":1e3,"payload":{}}"#,
                &["refused BadId"],
            ),
            (r#"{"entity":"a","id":{},"payload":{}}"#, &["refused BadId"]),
            (r#"{"entity":"a","id":true}"#, &["refused BadId"]),
            ("5", &["refused Shape"]),
            ("[]", &["refused Shape"]),
            ("[[]]", &["refused Shape"]),
            ("null", &["refused Shape"]),
            ("", &["refused Malformed"]),
            (r#"{"entity":"a"} x"#, &["refused Malformed"]),
            (r#"{"entity":"a""#, &["refused Malformed"]),
        ],
    );
}

#[test]
fn nesting_beyond_the_bound_is_refused() {
    let deep = format!(
        r#"{{"entity":"a","id":1,"payload":{}{}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    check(Events::new(), &[(&deep, &["refused TooDeep"])]);
}

#[test]
fn one_frame_may_carry_several_events_and_takes_effect_whole() {
    check(
        Events::new(),
        &[
            (
                r#"[{"entity":"a","id":1,"payload":{}},{"entity":"b"},{"entity":"a","id":2}]"#,
                &["merge a 1 {}", "invalidate b", "invalidate a 2"],
            ),
            (
                r#"[{"entity":"a"},{"entity":"b"}]"#,
                &["invalidate a", "invalidate b"],
            ),
            (
                r#"[{"entity":"a","id":1,"payload":{}},{"id":2}]"#,
                &["refused NoEntity"],
            ),
            (
                r#"[{"entity":"a","id":1,"payload":{}},7]"#,
                &["refused Shape"],
            ),
        ],
    );
}

#[test]
fn modes_are_a_choice() {
    let event = r#"{"entity":"a","id":1,"payload":{"x":null}}"#;
    let removal = r#"{"entity":"a","id":1,"payload":null}"#;
    check(
        Events::new().merge(Mode::Shallow).missing(Missing::Insert),
        &[
            (event, &[r#"shallow+ a 1 {"x":null}"#]),
            (removal, &["remove a 1"]),
        ],
    );
    check(
        Events::new().whole(),
        &[
            (event, &[r#"whole+ a 1 {"x":null}"#]),
            (removal, &["remove a 1"]),
        ],
    );
    check(
        Events::new().ids(Ids::Text),
        &[
            (event, &[r#"merge a "1" {"x":null}"#]),
            (r#"{"entity":"a","id":"1"}"#, &[r#"invalidate a "1""#]),
        ],
    );
}

#[test]
fn claims_are_a_choice() {
    let claims = Events::new().claims();
    let expected = Claims {
        entities: vec![],
        wildcard: true,
        covers: Covers::Unowned,
    };
    assert_eq!(claims, expected);
    let covers = Covers::Listed(vec!["c".into()]);
    let claims = Events::new()
        .entities(["a", "b"])
        .covers(covers.clone())
        .claims();
    let expected = Claims {
        entities: vec!["a".into(), "b".into()],
        wildcard: false,
        covers,
    };
    assert_eq!(claims, expected);
}

#[test]
fn messages_of_other_shapes_may_be_left_to_somebody_else() {
    check(
        Events::new().other_shapes(),
        &[
            (
                r#"{"type":"notice","text":"x"}"#,
                &["unmapped (other shapes)"],
            ),
            ("[]", &["unmapped (other shapes)"]),
            ("7", &["unmapped (other shapes)"]),
            (r#"{"entity":"a","id":1}"#, &["invalidate a 1"]),
            // What names an entity is an event, and has to be a good one.
            (r#"{"entity":5}"#, &["refused NoEntity"]),
            (r#"[{"entity":"a","id":1},{"id":2}]"#, &["refused NoEntity"]),
            (r#"{"type""#, &["refused Malformed"]),
        ],
    );
}
