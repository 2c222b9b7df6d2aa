//! What is wrong in a file is named: the line, the key, what was expected.

use tickcache::feed::{Envelope, EnvelopeError};

/// A file of one rule that is right, with a line of its own for everything.
const RIGHT: &str = r#"name = "venue"
[[rule]]
when = { "/type" = "tick" }
entity = "venue.tick"
id = "/id"
"#;

#[track_caller]
fn wrong(text: &str) -> String {
    let error = Envelope::from_toml(text).expect_err(text);
    assert!(matches!(error, EnvelopeError::File { .. }), "{error:?}");
    error.to_string()
}

/// The error of a file that has `line` below [`RIGHT`], so in its rule.
#[track_caller]
fn check(line: &str, expected: &str) {
    let error = wrong(&format!("{RIGHT}{line}\n"));
    assert_eq!(error, format!("line 6, column {expected}"), "{line}");
}

#[test]
fn a_right_file_is_right() {
    let envelope = Envelope::from_toml(RIGHT).expect("nothing is wrong with it");
    assert!(!format!("{envelope:?}").is_empty());
}

#[test]
fn what_stands_under_at_may_be_alternatives() {
    let error = |line: &str| Envelope::from_toml(&format!("{RIGHT}{line}\n")).map(|_| ());
    let time = "time = { at = [\"/ts\", \"/E\"], unit = \"ms\" }";
    error(time).unwrap_or_else(|error| panic!("{error}"));
    check(
        "time = { at = [], unit = \"ms\" }",
        "15: rule[1].time.at: expected a pointer, which begins with `/`, or an array of \
         alternatives, found an empty array",
    );
    check(
        "time = { at = [\"/ts\", \"E\"], unit = \"ms\" }",
        "23: rule[1].time.at[2]: expected a pointer, which begins with `/`, found \"E\"",
    );
}

#[test]
fn a_number_that_never_changes_counts_nothing() {
    let error =
        wrong("name = \"venue\"\nnumbering = { constant = \"3\" }\n[[rule]]\nkind = \"control\"\n");
    assert_eq!(
        error,
        "line 2, column 13: numbering: expected a number that stands in the message, found a constant"
    );
}

#[test]
fn a_list_within_a_text_needs_no_quotes() {
    let file = |quote: &str| {
        format!(
            "name = \"venue\"\n[requests]\nsubscribe = '{{\"ch\":\"{{channel}}:{{ids}}\"}}'\n{quote}\n\
             [[rule]]\nkind = \"control\"\n"
        )
    };
    let error = wrong(&file(""));
    assert!(
        error.starts_with("line 3, column 13: requests.subscribe: expected JSON"),
        "{error}"
    );
    assert!(error.ends_with("expected `quote = \"\"`"), "{error}");
    Envelope::from_toml(&file("quote = \"\"")).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn keys_and_words_that_are_unknown_are_named_and_others_suggested() {
    let error = wrong(&format!("{RIGHT}payloda = \"/p\"\n"));
    assert!(
        error.starts_with("line 6, column 1: rule[1].payloda: unknown key; expected "),
        "{error}"
    );
    assert!(error.ends_with("; did you mean \"payload\"?"), "{error}");
    let error = wrong("nmae = \"x\"");
    assert_eq!(
        error,
        "line 1, column 1: nmae: unknown key; did you mean \"name\"?"
    );
    let error = wrong("name = \"x\"\nurll = \"wss://x\"\n[[rule]]\nkind = \"control\"");
    assert!(
        error.starts_with("line 2, column 1: urll: unknown key"),
        "{error}"
    );
    assert!(error.ends_with("did you mean \"url\"?"), "{error}");
    let error = wrong(&format!("{RIGHT}kind = \"wohle\"\n"));
    assert!(
        error.starts_with("line 6, column 8: rule[1].kind: expected \"whole\", \"patch\""),
        "{error}"
    );
    assert!(
        error.ends_with("found \"wohle\"; did you mean \"whole\"?"),
        "{error}"
    );
    check(
        r#"time = { at = "/t", unit = "msec" }"#,
        r#"28: rule[1].time.unit: expected "s", "ms", "us", "ns" or "rfc3339", found "msec"; did you mean "ms"?"#,
    );
}

#[test]
fn pointers_and_types_are_checked() {
    check(
        r#"payload = "data""#,
        r#"11: rule[1].payload: expected a pointer, which begins with `/`, found "data""#,
    );
    check(
        r#"payload = "/a~b""#,
        r#"11: rule[1].payload: expected a pointer, which begins with `/`, found "/a~b": a JSON pointer is empty or begins with `/`, and writes `~` as `~0`"#,
    );
    check(
        "more = 1",
        "8: rule[1].more: expected `true` or `false`, found 1",
    );
    let error = wrong("name = \"x\"\n[[rule]]\nentity = \"x\"\nid = \"symbol\"\n");
    assert_eq!(
        error,
        "line 4, column 6: rule[1].id: expected a pointer, which begins with `/`, a table, or an array of \
         alternatives, found \"symbol\"; a constant is { constant = \"symbol\" }"
    );
    let error = wrong("name = \"x\"\n[[rule]]\nentity = \"x\"\nid = \"\"\n");
    assert_eq!(
        error,
        "line 4, column 6: rule[1].id: expected a pointer that is not empty: the whole of it is no text, \
         found \"\""
    );
    let error =
        wrong("name = \"x\"\n[[rule]]\nentity = \"x\"\nid = { at = \"/s\", split = \".\" }\n");
    assert_eq!(
        error,
        "line 4, column 27: rule[1].id.split: `split` needs `part`: 0 is the first part, -1 the last"
    );
}

#[test]
fn what_contradicts_itself_is_refused() {
    check(
        r#"sequence = "/u""#,
        r#"12: rule[1].sequence: expected a table: { at = "/pointer", rule = .. }; the rule says how the numbers are to be read, found "/u""#,
    );
    check(
        r#"sequence = { at = "/u" }"#,
        "12: rule[1].sequence: `rule` is missing: expected how the source numbers",
    );
    check(
        r#"sequence = { at = "/u", rule = "sparse-rising", previous = "/pu" }"#,
        r#"60: rule[1].sequence.previous: only the rule "chained" has a previous number"#,
    );
    check(
        r#"sequence = { at = "/u", rule = "chained" }"#,
        "32: rule[1].sequence.rule: a chain needs `previous`, a pointer to the number that came before",
    );
    check(
        r#"sequence = { at = "/u", rule = "contiguous-range" }"#,
        "32: rule[1].sequence.rule: a range needs `first`, a pointer to its first number; `at` is its last",
    );
    let error = wrong(&format!(
        "{RIGHT}sequence = {{ at = \"/u\", rule = \"contiguous-per-connection\" }}\n"
    ));
    assert!(
        error.contains("numbers of a whole connection stand in `numbering`"),
        "{error}"
    );
    check(
        r#"merge = "shallow""#,
        "9: rule[1].merge: is about patches, and no message of this rule is one",
    );
    check(
        r#"reason = "/why""#,
        "10: rule[1].reason: means nothing here: no message of this rule is `denied`, `answer` or `refused`",
    );
    let error = wrong("name = \"x\"\n[[rule]]\nentity = \"x\"\n");
    assert_eq!(
        error,
        "line 2, column 1: rule[1]: `id` is missing: expected a pointer to the id"
    );
    let error = wrong("name = \"x\"\n[[rule]]\nid = \"/x\"\n");
    assert_eq!(
        error,
        "line 2, column 1: rule[1]: `entity` is missing: expected a name, or a pointer to one"
    );
    let error = wrong("name = \"x\"\n[[rule]]\nkind = \"control\"\nid = \"/x\"\n");
    assert!(
        error.starts_with("line 4, column 6: rule[1].id: means nothing here"),
        "{error}"
    );
    let error = wrong("name = \"x\"\n[[rule]]\nkind = \"granted\"\n");
    assert!(error.contains("an answer names what it answers"), "{error}");
    let error = wrong(&format!(
        "name = \"x\"\n[[rule]]\nkind = \"control\"\n{}",
        &RIGHT[15..]
    ));
    assert_eq!(
        error,
        "line 4, column 1: rule[2]: never reached: rule[1] has no `when` and takes every message"
    );
    let error = wrong("name = \"x\"\n");
    assert_eq!(
        error,
        "line 1, column 1: (file): `rule` is missing: expected at least one rule, under [[rule]]"
    );
    let error = wrong(&format!("entities = [\"other\"]\n{RIGHT}"));
    assert_eq!(
        error,
        "line 1, column 12: entities: expected every entity that a rule names; \"venue.tick\" is missing"
    );
    check(
        r#"only = [{ at = "/0", learned = "names", equals = "x" }]"#,
        r#"32: rule[1].only[1].learned: expected a table that a rule teaches by `learn`, found "names""#,
    );
}

#[test]
fn conditions_say_what_they_ask() {
    let with = |when: &str| {
        wrong(&format!(
            "name = \"x\"\n[[rule]]\nkind = \"control\"\nwhen = {when}\n"
        ))
    };
    assert_eq!(
        with("{}"),
        "line 4, column 8: rule[1].when: expected conditions: { \"/pointer\" = \"word\", .. }, or an array of \
         tables with `at`, found an empty table"
    );
    assert_eq!(
        with(r#"{ "/type" = { prefix = [] } }"#),
        "line 4, column 31: rule[1].when.\"/type\".prefix: expected a text, a number, `true`, `false`, or an \
         array of such, found an empty array"
    );
    assert_eq!(
        with(r#"[{ at = "/type" }]"#),
        "line 4, column 9: rule[1].when[1]: expected at least one of `equals`, `prefix`, `suffix`, `contains`, \
         `not`, `present`, `absent` and `type`"
    );
    assert_eq!(
        with(r#"{ "/type" = "a", topic = "b" }"#),
        "line 4, column 33: rule[1].when.topic: expected a key that is a pointer, as the others are"
    );
    let error = with(r#"{ "/a" = { type = "text" } }"#);
    assert!(
        error.contains("expected \"string\", \"number\", \"bool\""),
        "{error}"
    );
}

#[test]
fn requests_are_tried_before_they_are_sent() {
    let with = |requests: &str| {
        wrong(&format!(
            "name = \"x\"\n[requests]\n{requests}\n[[rule]]\nkind = \"control\"\n"
        ))
    };
    assert_eq!(
        with(r#"subscribe = '{"op":"subscribe"}'"#),
        "line 3, column 13: requests.subscribe: expected a text that names what it asks for, with \
         `{streams}`, `{channel}`, `{id}`, `{channels}` or `{ids}`; a text that is always the same belongs \
         in `on-open`"
    );
    assert_eq!(
        with(r#"subscribe = '{"op":{reqest},"args":[{ids}]}'"#),
        "line 3, column 13: requests.subscribe: `{reqest}` is unknown here: expected `{request}`, \
         `{channel}`, `{id}`, `{streams}`, `{channels}`, `{ids}`"
    );
    let error = with(r#"subscribe = '{"op":"subscribe","args":[{ids}}'"#);
    assert!(
        error.contains("requests.subscribe: expected JSON, since the text begins as JSON does"),
        "{error}"
    );
    let error = with(r#"subscribe = '{"args":[{streams}]}'"#);
    assert!(error.contains("`stream` is missing"), "{error}");
    let error = wrong("name = \"x\"\n[streams]\nticker = [\"A\"]\n[[rule]]\nkind = \"control\"\n");
    assert!(
        error.starts_with("line 2, column 1: streams: streams need [requests]"),
        "{error}"
    );
    let error =
        wrong("name = \"x\"\nurl = \"https://x?token=SECRET\"\n[[rule]]\nkind = \"control\"\n");
    assert!(!error.contains("SECRET"), "{error}");
    let error = wrong(
        "name = \"x\"\nheartbeat = { every = 0, send = \"ping\" }\n[[rule]]\nkind = \"control\"\n",
    );
    assert_eq!(
        error,
        "line 2, column 23: heartbeat.every: expected seconds, a number of more than 0, found 0"
    );
}

#[test]
fn what_is_no_toml_is_named_by_its_place() {
    let error = wrong("name = \"x\"\nurl = \n");
    assert!(error.starts_with("line 2, column "), "{error}");
    let error = wrong("name = \"x\"\nname = \"y\"\n");
    assert!(error.starts_with("line 2, column 1: (TOML): "), "{error}");
}

#[test]
fn what_may_be_secret_is_not_shown() {
    let text = "name = \"x\"\nurl = \"wss://x?token=SECRET\"\non-open = 'auth SECRET'\n[heartbeat]\nevery = 5\n\
                send = 'SECRET'\n[requests]\nsubscribe = 'SECRET {id}'\n[[rule]]\nwhen = { \"/a\" = \"b\" }\n\
                kind = \"control\"\nreply = 'SECRET'\n";
    let envelope = Envelope::from_toml(text).expect("a right file");
    assert!(!format!("{envelope:?}").contains("SECRET"));
}

#[test]
fn a_misspelt_key_is_named_before_what_it_leaves_out() {
    assert_eq!(
        wrong(&RIGHT.replace("entity =", "entitty =")),
        "line 4, column 1: rule[1].entitty: unknown key; did you mean \"entity\"?"
    );
    check(
        "sequence = { at = \"/n\", rulle = \"sparse-rising\" }",
        "25: rule[1].sequence.rulle: unknown key; did you mean \"rule\"?",
    );
}
