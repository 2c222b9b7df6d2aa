use super::*;
use crate::json::Decoder;

/// What `take` reads from an element of `/events` and below it from one of `/items`.
#[track_caller]
fn check(take: Take, expected: Option<&str>) {
    const MESSAGE: &str = r#"{"type":"message","n":7,"s":"x:y.z","events":[
        {"type":"event","sym":"btc","items":{"A":{"type":"item","p":[1,2,3],"t":null}}}]}"#;
    let mut decoder = Decoder::new(10);
    let message = decoder.decode(MESSAGE.as_bytes()).expect("JSON");
    let root = Scope::message(message.root());
    let at = |pointer| Pointer::new(pointer).expect("a pointer");
    let event = Scope {
        value: root.value.at(&at("/events/0")).expect("an event"),
        key: None,
        outer: Some(&root),
    };
    let item = Scope {
        value: event.value.at(&at("/items/A")).expect("an item"),
        key: Some("A"),
        outer: Some(&event),
    };
    let mut tables = Tables::default();
    tables.add("names");
    tables.learn("names", "7", "seven");
    let mut scratch = "left over".to_owned();
    let found = take.find(&item, &tables, &mut scratch);
    assert_eq!(found.and_then(Found::text), expected, "{take:?}");
    if take.is_borrowed() {
        assert_eq!(take.borrowed_text(&item), expected, "{take:?}");
    }
}

#[test]
fn pointers_are_followed_from_the_item_outwards_or_from_where_they_are_told() {
    check(Take::at("/type"), Some("item"));
    check(Take::at("/sym"), Some("btc"));
    check(Take::at("/n"), Some("7"));
    check(Take::at("/sym").from(Origin::Item), None);
    check(Take::at("/type").from(Origin::Outer), Some("event"));
    check(Take::at("/type").from(Origin::Message), Some("message"));
    check(Take::at("/sym").from(Origin::Message), None);
    check(Take::at("/p/-1"), Some("3"));
    check(Take::at("/p/-3"), Some("1"));
    check(Take::at("/p/-4"), None);
    check(Take::at("/p/-0"), None);
    // Null and what holds others have no text.
    check(Take::at("/t"), None);
    check(Take::at("/p"), None);
}

#[test]
fn keys_names_and_what_was_learned() {
    check(Take::key(0), Some("A"));
    check(Take::key(1), None);
    check(Take::name_of("/p"), Some("p"));
    check(Take::name_of("/events"), Some("events"));
    check(Take::name_of("/q"), None);
    check(Take::name_of("/p").from(Origin::Message), None);
    check(Take::at("/n").learned("names"), Some("seven"));
    check(Take::at("/sym").learned("names"), None);
}

#[test]
fn texts_are_cut_put_together_and_replaced_where_there_is_nothing() {
    check(Take::at("/s").between(":", "."), Some("y"));
    check(Take::at("/s").before("/"), None);
    check(Take::at("/s").before("/").or("/sym".into()), Some("btc"));
    check(
        Take::at("/no").or("/none".into()).or(Take::constant("c")),
        Some("c"),
    );
    check(
        Take::at("/sym").upper().prepend("v.").append("!"),
        Some("v.BTC!"),
    );
    let parts = || [Take::at("/sym").upper(), Take::constant("USD")];
    check(Take::join(parts(), "-"), Some("BTC-USD"));
    check(Take::join(parts(), "").lower(), Some("btcusd"));
    check(
        Take::join(["/sym".into(), "/no".into()], "-").or("/n".into()),
        Some("7"),
    );
    // A part that has to fall back leaves nothing behind.
    let part = Take::at("/no").prepend("lost").or("/sym".into());
    check(Take::join([part, Take::at("/n")], "/"), Some("btc/7"));
}

#[test]
fn times_are_exact_in_every_unit() {
    use TimeUnit::{Microseconds, Milliseconds, Nanoseconds, Rfc3339, Seconds};
    let cases = [
        (
            Seconds,
            "1618678123.481570",
            Some(1_618_678_123_481_570_000),
        ),
        (Seconds, "1618678123", Some(1_618_678_123_000_000_000)),
        (Seconds, "1.0000000019", Some(1_000_000_001)),
        (
            Milliseconds,
            "1550653727731",
            Some(1_550_653_727_731_000_000),
        ),
        (Milliseconds, "1.5", Some(1_500_000)),
        (
            Microseconds,
            "1643640186123000",
            Some(1_643_640_186_123_000_000),
        ),
        (
            Nanoseconds,
            "1545913818099033203",
            Some(1_545_913_818_099_033_203),
        ),
        (Nanoseconds, "7.9", Some(7)),
        (Rfc3339, "1970-01-01T00:00:01Z", Some(1_000_000_000)),
        (Seconds, "1970-01-01T00:00:01Z", None),
        (Rfc3339, "5", None),
        (Seconds, "", None),
        (Seconds, "1.", None),
        (Seconds, ".5", None),
        (Seconds, "-1", None),
        (Seconds, "1e9", None),
        (Seconds, "18446744073709551615", None),
    ];
    for (unit, text, expected) in cases {
        assert_eq!(nanos(unit, text), expected, "{text} {unit:?}");
    }
}
