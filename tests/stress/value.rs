//! Values that show whether they are whole.

use tickcache::Value;

/// What the checksum member of the value of this number is.
const fn checksum(n: u64) -> u64 {
    (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 13) ^ n
}

/// How often the text repeats the number: mostly in one cell, now and then far beyond.
const fn repeats(n: u64) -> usize {
    match n % 97 {
        0 => 700,
        1..9 => 7,
        _ => 1,
    }
}

/// The value of this number, as JSON. Every so often it has a member that no value had before.
pub(crate) fn spell(n: u64, grows_every: u64) -> String {
    let text = n.to_string().repeat(repeats(n));
    let sum = checksum(n);
    let more = if n.is_multiple_of(grows_every) {
        format!(r#","m{}":{n}"#, n / grows_every)
    } else {
        String::new()
    };
    format!(r#"{{"n":{n},"sum":{sum},"text":"{text}"{more}}}"#)
}

/// The number of a value whose members these are; `None` for no value.
///
/// # Panics
/// If they are not of one value.
pub(crate) fn whole(n: &Value, sum: &Value, text: &Value) -> Option<u64> {
    let Ok(number) = n.u64() else {
        let absent = [n, sum, text].map(|member| member.is_missing());
        assert_eq!(absent, [true; 3], "torn: {n:?} {sum:?} {text:?}");
        return None;
    };
    assert_eq!(sum.u64(), Ok(checksum(number)), "torn: the sum of {number}");
    let text = text.str().expect("a text");
    assert!(
        text.len() == number.to_string().len() * repeats(number),
        "torn: the text of {number}"
    );
    assert!(
        text.starts_with(&number.to_string()),
        "torn: the text of {number} is {text}"
    );
    Some(number)
}
