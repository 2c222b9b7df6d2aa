//! Rules, as a file says them.

use super::reader::{Item, Read, Table};
use super::takes::{borrowed, conditions, take, take_of};
use crate::feed::envelope::constant::Constant;
use crate::feed::envelope::rule::{
    Data, KindOf, Lesson, MessageKind, Moment, Numbers, Over, Payload, Rule, Service, Step,
};
use crate::feed::envelope::take::{Origin, Take};
use crate::feed::envelope::template::{Template, Use};
use crate::feed::protocol::Missing;
use crate::feed::reading::TimeUnit;
use crate::feed::sequence::{Across, Policy, Rule as Order};
use crate::json::Pointer;
use crate::record::Mode;

const KINDS: [(&str, MessageKind); 14] = [
    ("whole", MessageKind::Whole),
    ("patch", MessageKind::Patch),
    ("remove", MessageKind::Remove),
    ("invalidate", MessageKind::Invalidate),
    ("control", MessageKind::Control),
    ("heartbeat", MessageKind::Heartbeat),
    ("granted", MessageKind::Granted),
    ("denied", MessageKind::Denied),
    ("ended", MessageKind::Ended),
    ("answer", MessageKind::Answer),
    ("ready", MessageKind::Ready),
    ("closing", MessageKind::Closing),
    ("refused", MessageKind::Refused),
    ("unmapped", MessageKind::Unmapped),
];

const ORDERS: [(&str, Order); 7] = [
    ("timestamp", Order::Timestamp),
    ("sparse-rising", Order::SparseRising),
    ("rising-equal-allowed", Order::RisingEqualAllowed),
    ("contiguous-per-key", Order::ContiguousPerKey),
    ("contiguous-range", Order::ContiguousRange),
    ("chained", Order::Chained),
    ("contiguous-per-connection", Order::ContiguousPerConnection),
];

const UNITS: [(&str, TimeUnit); 5] = [
    ("s", TimeUnit::Seconds),
    ("ms", TimeUnit::Milliseconds),
    ("us", TimeUnit::Microseconds),
    ("ns", TimeUnit::Nanoseconds),
    ("rfc3339", TimeUnit::Rfc3339),
];

const MODES: [(&str, Mode); 4] = [
    ("deep", Mode::Merge),
    ("deep-null", Mode::MergeNull),
    ("shallow", Mode::Shallow),
    ("replace", Mode::Replace),
];

/// All rules, in the order of the file, and the constants that they name by number.
pub(super) fn rules(item: Option<Item<'_>>) -> Read<(Vec<Rule>, Vec<Constant>)> {
    let (mut rules, mut constants) = (Vec::<Rule>::new(), Vec::new());
    let expected = "rules, each a table under [[rule]]";
    let tables = match &item {
        None => Vec::new(),
        Some(item) => item.as_array().ok_or_else(|| item.expected(expected))?,
    };
    for item in tables {
        let table = item.table(expected)?;
        if let Some(before) = rules.iter().position(|r| r.when.is_empty() && !r.more) {
            return Err(table.fail(format!(
                "never reached: rule[{}] has no `when` and takes every message",
                before + 1
            )));
        }
        rules.push(rule(&table, &mut constants)?);
    }
    Ok((rules, constants))
}

fn rule(table: &Table<'_>, constants: &mut Vec<Constant>) -> Read<Rule> {
    let when = table.get("when").map(|item| conditions(&item));
    let only = table.get("only").map(|item| conditions(&item));
    let items = table.get("items").map(|item| steps(&item)).transpose()?;
    let kind = match table.get("kind") {
        None => KindOf::Always(MessageKind::Whole),
        Some(item) => kind_of(&item)?,
    };
    let has = |test: fn(MessageKind) -> bool| kind.all().any(test);
    let data = data(table, has(MessageKind::is_data), &kind, constants)?;
    let service = service(table, &kind)?;
    let more = table.get("more").map(|item| item.bool()).transpose()?;
    let rule = Rule {
        when: when.transpose()?.unwrap_or_default(),
        items: items.unwrap_or_default(),
        only: only.transpose()?.unwrap_or_default(),
        kind,
        data,
        service,
        more: more.unwrap_or_default(),
    };
    table.finish()?;
    Ok(rule)
}

/// The way to the items: one step, or several.
fn steps(item: &Item<'_>) -> Read<Vec<Step>> {
    let expected = "a pointer to an array, { members = \"/object\" } or { one-or-many = \"/either\" }; \
                    or an array of these, from the message inwards";
    let one = |item: &Item<'_>| {
        let Some(table) = item.as_table() else {
            if item.as_text().is_none() {
                return Err(item.expected(expected));
            }
            let at = item.pointer(true)?;
            let over = Over::Elements;
            return Ok(Step { at, over });
        };
        let ways = [
            ("elements", Over::Elements),
            ("members", Over::Members),
            ("one-or-many", Over::OneOrMany),
        ];
        let mut found = ways
            .into_iter()
            .filter_map(|(key, over)| Some((table.get(key)?, over)));
        let way = found.next();
        let several = found.next().is_some();
        let (at, over) = way
            .filter(|_| !several)
            .ok_or_else(|| item.expected(expected))?;
        let at = at.pointer(true)?;
        table.finish()?;
        Ok(Step { at, over })
    };
    item.one_or_more(expected)?.iter().map(one).collect()
}

fn kind_of(item: &Item<'_>) -> Read<KindOf> {
    let Some(table) = item.as_table() else {
        if item.as_text().is_some_and(|text| text.starts_with('/')) {
            return Err(item.expected(
                "a kind; one that stands in the message is \
                 { at = \"/pointer\", words = { snapshot = \"whole\", .. } }",
            ));
        }
        return Ok(KindOf::Always(item.word(&KINDS)?));
    };
    let at = take_of(&table, None)?;
    if !at.is_borrowed() {
        return Err(item.fail("the word of a kind is a part of the message as it is"));
    }
    let words = table.need("words", "a table of words and kinds")?;
    let words = words.table("a table of words and kinds: { snapshot = \"whole\", .. }")?;
    if words.is_empty() {
        return Err(words.fail("expected at least one word"));
    }
    let words = words
        .entries()
        .into_iter()
        .map(|(word, kind)| Ok((word.into(), kind.word(&KINDS)?)))
        .collect::<Result<_, _>>()?;
    let default = table.get("default").map(|item| item.word(&KINDS));
    let default = default.transpose()?;
    table.finish()?;
    Ok(KindOf::Word { at, words, default })
}

const DATA_KEYS: [&str; 7] = [
    "entity", "id", "payload", "merge", "missing", "sequence", "time",
];

fn data(
    table: &Table<'_>,
    is_data: bool,
    kind: &KindOf,
    constants: &mut Vec<Constant>,
) -> Read<Option<Data>> {
    let [entity, id, payload, merge, missing, sequence, time] = DATA_KEYS.map(|key| table.get(key));
    if !is_data {
        let given = [entity, id, payload, merge, missing, sequence, time];
        return match given.into_iter().flatten().next() {
            None => Ok(None),
            Some(item) => Err(item.fail(
                "means nothing here: no message of this rule is `whole`, `patch`, `remove` or \
                 `invalidate`",
            )),
        };
    }
    let entity = entity.ok_or_else(|| table.lacks("entity", "a name, or a pointer to one"))?;
    let entity = take(&entity, true)?;
    let valued = kind
        .all()
        .any(|kind| kind.is_data() && kind != MessageKind::Invalidate);
    let id = match id {
        Some(id) => Some(take(&id, false)?),
        None if valued => {
            return Err(table.lacks("id", "a pointer to the id"));
        }
        None => None,
    };
    let patches = kind.all().any(|kind| kind == MessageKind::Patch);
    if let Some(item) = merge.iter().chain(&missing).find(|_| !patches) {
        return Err(item.fail("is about patches, and no message of this rule is one"));
    }
    let merge = merge.map(|item| item.word(&MODES)).transpose()?;
    let words = [("ignore", Missing::Ignore), ("insert", Missing::Insert)];
    let missing = missing.map(|item| item.word(&words)).transpose()?;
    Ok(Some(Data {
        entity,
        id,
        payload: payload_of(payload, constants)?,
        mode: merge.unwrap_or_default(),
        missing: missing.unwrap_or_default(),
        numbers: sequence.map(|item| numbers(&item)).transpose()?,
        time: time.map(|item| moment(&item)).transpose()?,
    }))
}

fn payload_of(item: Option<Item<'_>>, constants: &mut Vec<Constant>) -> Read<Payload> {
    let Some(item) = item else {
        return Ok(Payload::At(Pointer::default(), Origin::Item));
    };
    let Some(table) = item.as_table() else {
        return Ok(Payload::At(item.pointer(true)?, Origin::Item));
    };
    let payload = match (table.get("at"), table.get("json")) {
        (Some(at), None) => {
            let origins = [
                ("item", Origin::Item),
                ("outer", Origin::Outer),
                ("message", Origin::Message),
            ];
            let from = table.get("from").map(|from| from.word(&origins));
            let from = from.transpose()?.unwrap_or(Origin::Item);
            Payload::At(at.pointer(true)?, from)
        }
        (None, Some(json)) => {
            let constant = Constant::new(json.some_text()?)
                .map_err(|error| json.fail(format!("expected a JSON text: {error}")))?;
            constants.push(constant);
            Payload::Constant(constants.len() - 1)
        }
        _ => {
            return Err(
                item.expected("a pointer, { at = \"/pointer\", from = .. } or { json = '..' }")
            );
        }
    };
    table.finish()?;
    Ok(payload)
}

fn numbers(item: &Item<'_>) -> Read<Numbers> {
    let table = item.table(
        "a table: { at = \"/pointer\", rule = .. }; the rule says how the numbers are to be read",
    )?;
    let order = table.need("rule", "how the source numbers")?;
    let rule = order.word(&ORDERS)?;
    if rule == Order::ContiguousPerConnection {
        return Err(order.fail(
            "numbers of a whole connection stand in `numbering` at the top of the file, so that \
             they count in messages without values too",
        ));
    }
    let [first, previous, across, optional] =
        ["first", "previous", "across", "optional"].map(|key| table.get(key));
    match (&first, rule) {
        (None, Order::ContiguousRange) => {
            return Err(order
                .fail("a range needs `first`, a pointer to its first number; `at` is its last"));
        }
        (Some(first), rule) if rule != Order::ContiguousRange => {
            return Err(first.fail("only the rule \"contiguous-range\" has a first number"));
        }
        _ => {}
    }
    match (&previous, rule) {
        (None, Order::Chained) => {
            return Err(
                order.fail("a chain needs `previous`, a pointer to the number that came before")
            );
        }
        (Some(previous), rule) if rule != Order::Chained => {
            return Err(previous.fail("only the rule \"chained\" has a previous number"));
        }
        _ => {}
    }
    let words = [
        ("continues", Across::Continues),
        ("restarts", Across::Restarts),
    ];
    let across = across.map(|item| item.word(&words)).transpose()?;
    let numbers = Numbers {
        last: take_of(&table, None)?,
        first: first.map(|item| take(&item, false)).transpose()?,
        previous: previous.map(|item| take(&item, false)).transpose()?,
        policy: Policy {
            rule,
            across: across.unwrap_or_default(),
        },
        optional: optional
            .map(|item| item.bool())
            .transpose()?
            .unwrap_or_default(),
    };
    table.finish()?;
    Ok(numbers)
}

fn moment(item: &Item<'_>) -> Read<Moment> {
    let table = item.table("a table: { at = \"/pointer\", unit = \"ms\" }")?;
    let unit = table.need("unit", "\"s\", \"ms\", \"us\", \"ns\" or \"rfc3339\"")?;
    let optional = table.get("optional").map(|item| item.bool()).transpose()?;
    let moment = Moment {
        at: take_of(&table, None)?,
        unit: unit.word(&UNITS)?,
        optional: optional.unwrap_or_default(),
    };
    table.finish()?;
    Ok(moment)
}

fn service(table: &Table<'_>, kind: &KindOf) -> Read<Service> {
    let [request, stream, reason, reply, learn] =
        ["request", "stream", "reason", "reply", "learn"].map(|key| table.get(key));
    let has = |wanted: &[MessageKind]| kind.all().any(|kind| wanted.contains(&kind));
    let only = |item: &Option<Item<'_>>, wanted: &[MessageKind], what: &str| match item {
        Some(item) if !has(wanted) => Err(item.fail(format!(
            "means nothing here: no message of this rule is {what}"
        ))),
        _ => Ok(()),
    };
    let answers = [
        MessageKind::Granted,
        MessageKind::Denied,
        MessageKind::Ended,
        MessageKind::Answer,
    ];
    only(
        &request,
        &answers,
        "`granted`, `denied`, `ended` or `answer`",
    )?;
    only(
        &stream,
        &answers,
        "`granted`, `denied`, `ended` or `answer`",
    )?;
    let reasons = [
        MessageKind::Denied,
        MessageKind::Answer,
        MessageKind::Refused,
    ];
    only(&reason, &reasons, "`denied`, `answer` or `refused`")?;
    let answered = has(&[
        MessageKind::Granted,
        MessageKind::Ended,
        MessageKind::Answer,
    ]);
    if answered && request.is_none() && stream.is_none() {
        return Err(table.fail(
            "an answer names what it answers: expected `request`, a pointer to the number of the \
             request, or `stream`, { channel = .., id = .. }",
        ));
    }
    if has(&[MessageKind::Answer]) && reason.is_none() {
        return Err(table.fail(
            "`reason` is missing: an `answer` denies if something other than null stands there",
        ));
    }
    if let Some(item) = reply.iter().chain(&learn).next()
        && kind.all().all(MessageKind::is_data)
    {
        return Err(item.fail("means nothing here: the rule is about values only"));
    }
    Ok(Service {
        request: request.map(|item| take(&item, false)).transpose()?,
        stream: stream.map(|item| stream_of(&item)).transpose()?,
        reason: reason.map(|item| borrowed(&item)).transpose()?,
        reply: reply.map(|item| reply_of(&item)).transpose()?,
        learn: learn
            .map(|item| lessons(&item))
            .transpose()?
            .unwrap_or_default(),
    })
}

type Stream = (Take, Option<Take>);

fn stream_of(item: &Item<'_>) -> Read<Stream> {
    let table = item.table("a table: { channel = .., id = .. }")?;
    let channel = take(&table.need("channel", "a pointer")?, true)?;
    let id = table.get("id").map(|item| take(&item, false)).transpose()?;
    table.finish()?;
    Ok((channel, id))
}

fn reply_of(item: &Item<'_>) -> Read<Template> {
    let template =
        Template::new(item.some_text()?, Use::Reply).map_err(|error| item.fail(error))?;
    template.check_json().map_err(|error| item.fail(error))?;
    Ok(template)
}

fn lessons(item: &Item<'_>) -> Read<Vec<Lesson>> {
    let expected = "a table: { table = .., key = .., value = .. }, or an array of such";
    let one = |item: &Item<'_>| {
        let table = item.table(expected)?;
        let lesson = Lesson {
            table: table.need("table", "a name")?.some_text()?.into(),
            key: take(&table.need("key", "a pointer")?, false)?,
            text: take(&table.need("value", "a pointer")?, true)?,
        };
        table.finish()?;
        Ok(lesson)
    };
    item.one_or_more(expected)?.iter().map(one).collect()
}
