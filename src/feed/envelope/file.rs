//! An envelope in a TOML file.

use toml::de::DeTable;

use super::{Envelope, EnvelopeError};
use crate::feed::protocol::Covers;
use crate::feed::reading::Ids;

mod link;
mod reader;
mod rules;
mod takes;

use reader::{Doc, Read, Table, error_at};

impl Envelope {
    /// An envelope from the text of a TOML file: a new venue without code.
    ///
    /// ```
    /// use tickcache::feed::Envelope;
    ///
    /// let envelope = Envelope::from_toml(r#"
    ///     name = "kucoin"
    ///     url = "wss://ws-api-spot.kucoin.com/?token=TOKEN"
    ///
    ///     [requests]
    ///     subscribe = '{"id":{request},"type":"subscribe","topic":"/market/{channel}:{ids}","response":true}'
    ///     quote = ""
    ///
    ///     [streams]
    ///     ticker = ["BTC-USDT", "ETH-USDT"]
    ///
    ///     [[rule]]
    ///     when = { "/type" = "ack" }
    ///     kind = "granted"
    ///     request = "/id"
    ///
    ///     [[rule]]
    ///     when = { "/topic" = { prefix = "/market/ticker:" } }
    ///     entity = "kucoin.ticker"
    ///     id = { at = "/topic", after = ":" }
    ///     payload = "/data"
    ///     sequence = { at = "/data/sequence", rule = "sparse-rising" }
    ///     time = { at = "/data/time", unit = "ms" }
    /// "#)?;
    /// # assert_eq!(tickcache::feed::Protocol::claims(&envelope).entities, ["kucoin.ticker".into()]);
    /// # Ok::<_, tickcache::feed::EnvelopeError>(())
    /// ```
    ///
    /// # The file
    ///
    /// | key | is | default |
    /// | --- | --- | --- |
    /// | `name` | what the feed is called | needed |
    /// | `url` | where to connect to, `ws://` or `wss://` | given in code |
    /// | `entities` | the entities that the feed owns, by their whole names; messages for others are unmapped | the constants among the rules' entities and, if a rule reads its entity from messages, any that nobody owns |
    /// | `covers` | `"nothing"`, `"unowned"` or names: entities of others that go stale with the connection | `"nothing"` |
    /// | `ids` | `"typed"`: `7` and `"7"` are two ids; `"text"`: one | `"typed"` |
    /// | `each` | a pointer to an array of events, each of which goes through the rules by itself; `""` if the message is that array. A message without an array there is one event | |
    /// | `channel` | *read*: what a message is counted under that no rule takes; only parts of the message as they are | `(no channel)` |
    /// | `numbering` | *read*: the number that counts all messages of a connection together, whatever they are; a hole makes all values suspect. A message without one has no place in it | |
    /// | `on-open` | a text or texts to be sent whenever a connection opens; `{ secret = '..' }` is one that is left out of what is shown or recorded | |
    /// | `pace` | `{ messages = 10, seconds = 1 }`: how fast the server allows messages | any speed |
    /// | `request-pace` | as `pace`, of requests alone | |
    /// | `capacity` | how many streams a connection may hold | any number |
    /// | `lifetime` | seconds for which the server lets a connection live | for ever |
    /// | `[heartbeat]` | `every`, in seconds, and `send`, a text with `{count}`, or `ping = true`, a frame; `texts`: whole texts, JSON or not, that are signs of life | |
    /// | `[requests]` | how streams are asked for: below | no streams at run time |
    /// | `[streams]` | streams wanted from the start: `ticker = ["BTC-USDT"]`; `[]` for a channel without ids | |
    /// | `[[rule]]` | what one kind of message says: below | at least one |
    ///
    /// # Rules
    ///
    /// A message goes through the rules in the order of the file. The first whose `when` holds
    /// takes it; with `more = true` those after it are tried as well. A message that none takes is
    /// unmapped. All that the rules make of a message takes effect together or, if it lacks what a
    /// rule needs, not at all.
    ///
    /// | key | is | default |
    /// | --- | --- | --- |
    /// | `when` | *conditions* of the message | every message |
    /// | `items` | a pointer to an array of items, without which the message is refused; `{ members = "/data" }`: the members of an object; `{ one-or-many = "/data" }`: an array, or one item; or an array of such, from the message inwards: `["/events", "/tickers"]` | the message is the item |
    /// | `only` | *conditions* of an item; others are left out | every item |
    /// | `kind` | a kind; or where a word stands, the kinds of words, and that of any other: `{ at = "/type", words = { snapshot = "whole", delta = "patch" }, default = "control" }`. Without `default`, a message with another word is unmapped | `"whole"` |
    /// | `entity` | a name, or *read* | needed for values |
    /// | `id` | *read* | needed for values; none invalidates the entity |
    /// | `payload` | a pointer from the item; `{ at = "/data", from = "outer" }` or `"message"`; `{ json = '{"open":false}' }`, a constant | `""`, the item |
    /// | `merge` | how patches change a value: `"deep"` (RFC 7396), `"deep-null"` (the same, but null is a value), `"shallow"` (each member as a whole; null is a value), `"replace"` | `"deep"` |
    /// | `missing` | a patch for an id without a value: `"ignore"` or `"insert"` | `"ignore"` |
    /// | `sequence` | *read*, with `rule`: `"sparse-rising"`, `"rising-equal-allowed"`, `"contiguous-per-key"`, `"contiguous-range"` (with `first`, *read*), `"chained"` (with `previous`, *read*), `"timestamp"`; with `across = "restarts"` if each connection counts anew; with `optional = true` if it may be missing. See [`Rule`](crate::feed::Rule) | none |
    /// | `time` | *read*, with `unit`: `"s"`, `"ms"`, `"us"`, `"ns"`, with or without decimals, bare or in a text, or `"rfc3339"`; `optional = true` if it may be missing | none |
    /// | `request` | *read*: the number of the request that is answered | |
    /// | `stream` | `{ channel = .., id = .. }`, both *read*: the stream that is answered, as it was asked for | |
    /// | `reason` | *read*: why something is denied or refused | the item |
    /// | `reply` | a text to be sent in answer; `{/pointer}` is what stands there, as JSON | |
    /// | `learn` | `{ table = "symbols", key = .., value = .. }` or an array of such: to be looked up by `learned` until the connection ends | |
    /// | `more` | whether the rules after it are tried as well | `false` |
    ///
    /// | kind | the message |
    /// | --- | --- |
    /// | `whole` | has the whole value; null is one |
    /// | `patch` | has a part of it; a payload of null removes it |
    /// | `remove` | ends the value of the id |
    /// | `invalidate` | makes the value of the id, or all of the entity, suspect |
    /// | `control` | is for the feed itself |
    /// | `heartbeat` | is a sign of life, and no data |
    /// | `granted`, `denied` | answers the request, or the stream |
    /// | `ended` | says that the stream has ended, as was asked |
    /// | `answer` | answers the request: denies it if something other than null is at `reason` |
    /// | `ready` | says that streams may be asked for. With such a rule nothing is asked for before |
    /// | `closing` | says that the server will close the connection |
    /// | `refused` | refuses the connection itself |
    /// | `unmapped` | is counted under `channel` |
    ///
    /// # What is read
    ///
    /// A pointer is a JSON pointer (RFC 6901) from the item or, where the item has nothing there,
    /// from what the item is in, out to the message. With `items = "/data/list"` that is the message;
    /// with `items = ["/data", "/list"]` it is an element of `data`, and then the message. `-1` is the last element of an array. A text
    /// that does not begin with `/` is a constant, for entities only. An array is alternatives, of
    /// which the first counts that is there. A table has one of `at`, `constant`, `key`, `name-of`
    /// and `join`, and may say what is done to it:
    ///
    /// | key | is |
    /// | --- | --- |
    /// | `at` | a pointer, or an array of alternatives to all of which the same is done; `""` is the item |
    /// | `from` | `"item"`, `"outer"` (what the item is in) or `"message"`: that alone, where a pointer would be followed from the nearest |
    /// | `constant` | this text |
    /// | `key` | the name of the member that is gone through, where `items` are `members`: 0 for the innermost, 1 for the one around it |
    /// | `name-of` | a pointer: the name of the member there, if it is there |
    /// | `join`, `with` | an array of several, put together, and the text between them |
    /// | `split`, `part` | a separator, and which part between separators: 0 is the first, -1 the last |
    /// | `after`, `after-last` | what comes after the first or the last of a separator |
    /// | `before`, `before-last` | what comes before the first or the last of one; cut behind `after` |
    /// | `between` | `[".", ":"]`: after the first of one and before the next of the other; `"."` for twice the same |
    /// | `learned` | a table: what was learned under the text |
    /// | `case` | `"lower"` or `"upper"` |
    /// | `prepend`, `append` | texts to be put before and after |
    ///
    /// A text without the separator leaves nothing, as does a member that is not there: the next
    /// alternative counts, or a value lacks its id and is refused.
    ///
    /// # Conditions
    ///
    /// A table of pointers and words, all of which have to hold: `{ "/type" = "message", "/topic" =
    /// { prefix = "/market/ticker:" } }`. A word is equal to a text, to a number or a truth value
    /// as it is written; an array of words is one of them. A table may have `equals`, `prefix`,
    /// `suffix`, `contains`, `not` (there, and none of these), each with a word or an array of
    /// words; `present` and `absent`, with `true`; `type`, with `"string"`, `"number"`, `"bool"`,
    /// `"null"`, `"array"`, `"object"` or an array of them; and the keys of *read* behind `at`. Or
    /// an array of such tables, where *read* may be anything: `[{ at = "/0", learned = "channels",
    /// equals = "ticker" }]`.
    ///
    /// # Requests
    ///
    /// | key | is | default |
    /// | --- | --- | --- |
    /// | `subscribe`, `unsubscribe` | the texts, with places that are filled in | `unsubscribe`: cannot be ended |
    /// | `stream` | how one of `{streams}` is written, with `{channel}` and `{id}` | |
    /// | `stream-without-id` | the same, of a stream without an id | as `stream` |
    /// | `separator` | what stands between the elements of lists | `","` |
    /// | `quote` | what stands around each of `{ids}` and `{channels}` | `"\""` |
    /// | `most` | how many streams a request may hold | any number |
    /// | `bytes` | how long a request for several streams may be | 4000 |
    /// | `entity` | the entity whose value of the same id a stream keeps up, with `{channel}`: it reads `Unsubscribed` when the stream has ended | |
    ///
    /// Places are `{request}`, a number; `{streams}`, `{ids}`, `{channels}`, lists; `{channel}` and
    /// `{id}`. What a text names once is the same for all streams of a request: with `{channel}` or
    /// `{ids}` a request is for one channel, with `{id}` for one id, with both for one stream.
    /// `{id:lower}` and `{id:upper}` change letters. Channels and ids are escaped as in a JSON
    /// string. Any other brace is text. If a rule grants, requests have to be answered; without one
    /// they count as granted when they are sent.
    ///
    /// # Limits
    ///
    /// Messages are text: what a venue sends compressed or in another encoding is refused. A text
    /// that is not JSON can be a sign of life, but not be replied to. A table of learned texts
    /// holds 65,536. What counts the messages of a channel, where a message is about one of many ids
    /// (an order of a book, a level), is no `sequence`, which is compared per id, and no
    /// `numbering`, which is compared per connection: such holes are not seen. The alternatives of a
    /// `time` have one unit. `numbering` is for venues that send in the order of their numbers.
    ///
    /// # Errors
    /// [`EnvelopeError::File`] names the line, the key, and what was expected there.
    pub fn from_toml(text: &str) -> Result<Self, EnvelopeError> {
        let parsed = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            error_at(text, at, "(TOML)", error.message())
        })?;
        let doc = Doc::new(text);
        envelope(&Table::root(&doc, &parsed), &doc)
    }
}

fn envelope(file: &Table<'_>, doc: &Doc<'_>) -> Read<Envelope> {
    let name = file.need("name", "what the feed is called")?.some_text()?;
    let (rules, constants) = rules::rules(file.get("rule"))?;
    let entities = file.get("entities");
    let listed = entities.as_ref().map(|item| item.texts()).transpose()?;
    if let (Some(item), Some(listed)) = (&entities, &listed) {
        let constant = |rule: &super::Rule| {
            let data = rule.data.as_ref()?;
            data.entity.as_constant().map(str::to_owned)
        };
        let mut constants = rules.iter().filter_map(constant);
        if let Some(name) = constants.find(|name| !listed.contains(&&**name)) {
            return Err(item.fail(format!(
                "expected every entity that a rule names; {name:?} is missing"
            )));
        }
    }
    let listed = listed.map(|names| names.into_iter().map(Into::into).collect());
    let covers = file.get("covers").map(|item| covers(&item)).transpose()?;
    let covers = covers.unwrap_or(Covers::Nothing);
    let mut envelope = Envelope::of(name.into(), rules, listed, covers);
    envelope.constants = constants;
    envelope.each = file.get("each").map(|at| at.pointer(true)).transpose()?;
    let channel = file.get("channel").map(|item| takes::borrowed(&item));
    envelope.channel = channel.transpose()?;
    if let Some(item) = file.get("numbering") {
        let take = takes::take(&item, false)?;
        if take.as_constant().is_some() {
            return Err(item.fail("expected a number that stands in the message, found a constant"));
        }
        envelope.numbering = Some(take);
    }
    let ids = file.get("ids");
    let ids = ids.map(|item| item.word(&[("typed", Ids::Typed), ("text", Ids::Text)]));
    envelope.ids = ids.transpose()?.unwrap_or_default();
    link::read(file, &mut envelope)?;
    file.finish()?;
    doc.check_learned(|table| envelope.tables.has(table))?;
    if envelope.rules.is_empty() {
        return Err(file.fail("`rule` is missing: expected at least one rule, under [[rule]]"));
    }
    Ok(envelope)
}

fn covers(item: &reader::Item<'_>) -> Read<Covers> {
    if item.as_array().is_some() {
        let names = item.texts()?.into_iter().map(Into::into);
        return Ok(Covers::Listed(names.collect()));
    }
    let unowned = item.word(&[("nothing", false), ("unowned", true)])?;
    Ok(if unowned {
        Covers::Unowned
    } else {
        Covers::Nothing
    })
}

#[cfg(test)]
mod tests;
