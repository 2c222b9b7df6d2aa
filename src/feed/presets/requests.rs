//! What is asked of an exchange: symbols that may stand in a request, and requests made of lists.

use std::fmt::Write as _;

use crate::feed::outbox::Outbox;
use crate::feed::protocol::{Answer, Asked, SubscribeError, Subscription, Verb};

/// Whether an id can stand in a request: not empty, without white space, quotes, commas or
/// controls, which no exchange has in a symbol.
///
/// # Errors
/// [`SubscribeError::BadId`] with what is wrong.
pub fn is_symbol(id: &str) -> Result<(), SubscribeError> {
    if id.is_empty() {
        return Err(SubscribeError::BadId(id.into(), "the symbol is empty"));
    }
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || "\"\\,".contains(c);
    if id.chars().any(forbidden) {
        let why = "the symbol holds a character that no symbol has";
        return Err(SubscribeError::BadId(id.into(), why));
    }
    Ok(())
}

/// A request made of a list: `before`, the items that `item` writes for each stream with commas
/// between, `after`. Holds at most `most` streams and about `bytes` bytes, but one stream at least.
///
/// # Errors
/// The request does not fit the queue.
pub(super) fn list_request(
    (before, after): (&str, &str),
    (most, bytes): (usize, usize),
    streams: &[&Subscription],
    answer: Answer,
    item: impl Fn(&Subscription) -> String,
    out: &mut Outbox,
) -> Result<Asked, SubscribeError> {
    let mut text = before.to_owned();
    let mut count = 0;
    for stream in streams.iter().take(most) {
        let item = item(stream);
        if count > 0 && text.len() + item.len() + after.len() + 1 > bytes {
            break;
        }
        let comma = if count > 0 { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{item}");
        count += 1;
    }
    text.push_str(after);
    out.push(text)?;
    Ok(Asked { count, answer })
}

/// A JSON string. Symbols are checked, channels known; this keeps even others from breaking out.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What most exchanges call it.
pub(super) const fn verb_word(verb: Verb) -> &'static str {
    match verb {
        Verb::Subscribe => "subscribe",
        Verb::Unsubscribe => "unsubscribe",
    }
}

/// The streams from the first on that are of its channel, for exchanges whose requests are of one
/// channel each.
pub(super) fn of_one_channel<'s, 'a>(streams: &'s [&'a Subscription]) -> &'s [&'a Subscription] {
    let first = streams.first().map(|stream| &stream.channel);
    let count = streams
        .iter()
        .take_while(|stream| Some(&stream.channel) == first)
        .count();
    &streams[..count]
}
