//! What no other reader of JSON keeps: every digit, and the last of repeated names, whatever the
//! number of members.

use tickcache::json::Decoder;
use tickcache::{Cache, Feed, FieldError, Missing};

use crate::tree::Tree;

#[test]
fn every_digit_is_kept_and_out_of_range_is_said() {
    let digits = "9".repeat(400);
    let numbers = [
        "-0",
        "0",
        "-0.0",
        "1e400",
        "-1e400",
        "1e-400",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "340282366920938463463374607431768211456",
        "0.10000000000000000555",
        "1.0000000000000000000000000000001",
        &digits,
        "-1.50e+0007",
        "100",
        "1E2",
    ];
    let cache = Cache::builder().build().expect("a cache");
    let feed = Feed::events().whole().entities(["v"]);
    let mut feed = cache.local(feed).expect("nothing else is attached");
    feed.open();
    let slot = cache.entity("v").slot(1);
    for round in 0..3 {
        for number in numbers {
            let message =
                format!(r#"{{"entity":"v","id":1,"payload":{{"n":{number},"m":[{number}]}}}}"#);
            feed.message_text(&message).expect("taken");
            let shown = slot.snapshot();
            let n = shown.record().get("n");
            assert_eq!(n.json().as_deref(), Ok(number), "round {round}");
            assert_eq!(
                shown.record().get("m").json().as_deref(),
                Ok(&*format!("[{number}]"))
            );
            // By the standard library, which reads integers exactly or not at all.
            let expected = number
                .parse::<u64>()
                .ok()
                .filter(|_| !number.starts_with('-'));
            assert!(
                n.u64().ok() == expected || number == "-0" || number.contains(['.', 'e', 'E']),
                "{number}: {:?}",
                n.u64()
            );
            if number
                .parse::<i128>()
                .is_ok_and(|n| i64::try_from(n).is_err())
            {
                assert_eq!(n.i64(), Err(FieldError::Range), "{number}");
            }
            if let Ok(exact) = number.parse::<i64>() {
                assert_eq!(n.i64(), Ok(exact), "{number}");
            }
            let float: f64 = number.parse().expect("a number");
            match n.f64() {
                Ok(found) => assert_eq!(found.to_bits(), float.to_bits(), "{number}"),
                Err(error) => {
                    assert_eq!(error, FieldError::Range, "{number}");
                    assert!(float.is_infinite(), "{number}");
                }
            }
        }
    }
}

/// Other readers look a name up in another way beyond 32 members, and find the first.
#[test]
fn the_last_of_repeated_names_counts_on_both_sides_of_32_members() {
    let cache = Cache::builder().build().expect("a cache");
    let feed = Feed::events().missing(Missing::Insert).entities(["v"]);
    let mut feed = cache.local(feed).expect("nothing else is attached");
    feed.open();
    let (mut parsing, mut learning) = (Decoder::parsing_only(128), Decoder::new(128));
    for members in [1, 2, 3, 30, 31, 32, 33, 34, 64, 65] {
        for first in [0, members / 2, members - 1] {
            for again in [r#""name""#, r#""n\u0061me""#] {
                let mut texts: Vec<_> = (0..members).map(|at| format!(r#""m{at}":{at}"#)).collect();
                texts[first] = r#""name":"first""#.to_owned();
                texts.push(format!(r#"{again}:{{"x":1}}"#));
                texts.push(r#""end":[{"name":0}]"#.to_owned());
                texts.push(format!(r#"{again}:{{"y":2}}"#));
                let payload = format!("{{{}}}", texts.join(","));
                for decoder in [&mut parsing, &mut learning] {
                    for _ in 0..3 {
                        let message = decoder.decode(payload.as_bytes()).expect("JSON");
                        let last = message.root().get("name").expect("the member");
                        assert_eq!(last.raw(), br#"{"y":2}"#, "{members} members");
                        assert_eq!(
                            message.root().pick(&["name"])[0].map(|v| v.raw()),
                            Some(&br#"{"y":2}"#[..])
                        );
                    }
                }
                let id = members * 1000 + first;
                let message = format!(r#"{{"entity":"v","id":{id},"payload":{payload}}}"#);
                for _ in 0..3 {
                    feed.message_text(&message).expect("taken");
                    let slot = cache.entity("v").slot(id as u64);
                    let shown = Tree::parse(&slot.snapshot().record().to_json());
                    let expected = Tree::empty().merged(Tree::parse(&payload).expect("JSON"));
                    assert_eq!(shown, Some(expected), "{payload}");
                }
            }
        }
    }
}
