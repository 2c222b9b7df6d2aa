//! Random sequences of messages, in all modes, with room in the schema and without.

use proptest::prelude::*;

use super::replay;

/// Texts of JSON values with few names, so that they meet, and with white space and escapes.
fn any_json() -> impl Strategy<Value = String> {
    #[rustfmt::skip]
    const SCALARS: &[&str] = &[
        "null",
        "null",
        "0",
        "-0",
        "1.50",
        "1e400",
        "99999999999999999999",
        "true",
        "false",
        "\"\"",
        "\"text\"",
        "\"sixteen bytes ..\"",
        "\"\\u00e9\\n\"",
        "\"é\"",
        "[]",
        "[1, null]",
        "{}",
    ];
    let long = (0..6000_usize).prop_map(|length| format!("\"{}\"", "z".repeat(length)));
    let leaf =
        prop_oneof![12 => proptest::sample::select(SCALARS).prop_map(str::to_owned), 1 => long];
    const NAMES: &[&str] = &["a", "b", "c", "\\u0061", "", "é", "\\u00e9", "name"];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        let member = (
            proptest::sample::select(NAMES),
            inner.clone(),
            "[ \t\r]{0,1}",
        );
        let member =
            member.prop_map(|(name, value, blank)| format!("\"{name}\"{blank}:{blank}{value}"));
        let members = proptest::collection::vec(member, 0..6);
        let elements = proptest::collection::vec(inner, 0..3);
        prop_oneof![
            5 => members.prop_map(|members| format!("{{{}}}", members.join(","))),
            1 => elements.prop_map(|elements| format!("[{}]", elements.join(" ,"))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_sequence_of_messages_gives_what_the_oracle_says(
        choice in any::<u8>(),
        messages in proptest::collection::vec(any_json(), 1..8),
    ) {
        let mut input = vec![choice];
        input.extend_from_slice(messages.join("\n").as_bytes());
        prop_assert_eq!(replay::replay(&input), messages.len());
    }
}
