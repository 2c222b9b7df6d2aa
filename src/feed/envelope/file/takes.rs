//! What is read from a message, and what is asked of it, as a file says it.

use super::reader::{Item, Read, Table};
use crate::feed::envelope::condition::{Condition, Test, Type};
use crate::feed::envelope::take::{Origin, Take};

const TAKE: &str = "a pointer, which begins with `/`, a table, or an array of alternatives";

const AT: &str = "a pointer, which begins with `/`, or an array of alternatives";

const ORIGINS: [(&str, Origin); 4] = [
    ("nearest", Origin::Nearest),
    ("item", Origin::Item),
    ("outer", Origin::Outer),
    ("message", Origin::Message),
];

const TYPES: [(&str, Type); 6] = [
    ("string", Type::String),
    ("number", Type::Number),
    ("bool", Type::Bool),
    ("null", Type::Null),
    ("array", Type::Array),
    ("object", Type::Object),
];

/// What is read, as a pointer, a table, or alternatives. `bare` says that a text which is no
/// pointer is a constant.
pub(super) fn take(item: &Item<'_>, bare: bool) -> Read<Take> {
    if let Some(choices) = item.as_array() {
        let mut choices = choices.iter().map(|choice| take(choice, bare));
        let first = choices.next().ok_or_else(|| item.expected(TAKE))??;
        return choices.try_fold(first, |first, next| Ok(first.or(next?)));
    }
    if let Some(table) = item.as_table() {
        let take = take_of(&table, None)?;
        table.finish()?;
        return Ok(take);
    }
    match item.as_text() {
        Some(text) if bare && !text.is_empty() && !text.starts_with('/') => {
            Ok(Take::constant(text))
        }
        Some(text) if !text.is_empty() && !text.starts_with('/') => Err(item.fail(format!(
            "expected {TAKE}, found {text:?}; a constant is {{ constant = {text:?} }}"
        ))),
        Some(text) => item.pointer(false).map(|_| Take::at(text)),
        None => Err(item.expected(TAKE)),
    }
}

/// What is read from parts of the message as they are.
pub(super) fn borrowed(item: &Item<'_>) -> Read<Take> {
    let take = take(item, false)?;
    if take.is_borrowed() {
        Ok(take)
    } else {
        Err(item.fail(
            "expected a part of the message as it is: no constant, `join`, `learned`, `case`, \
             `prepend` or `append`",
        ))
    }
}

/// The keys of a table that say what is read. Its other keys are the caller's, who finishes it.
pub(super) fn take_of(table: &Table<'_>, at: Option<Take>) -> Read<Take> {
    if at.is_none()
        && let Some(item) = table.get("at")
        && let Some(choices) = item.as_array()
    {
        // Alternatives, to all of which the same is done.
        let mut choices = choices.iter().map(|choice| {
            choice.pointer(true)?;
            take_of(table, Some(Take::at(choice.text()?)))
        });
        let first = choices.next().ok_or_else(|| item.expected(AT))??;
        return choices.try_fold(first, |first, next| Ok(first.or(next?)));
    }
    let mut is_pointer = at.is_some();
    let mut may_cut = true;
    let mut sources = Vec::new();
    if let Some(at) = at {
        sources.push(at);
    } else {
        if let Some(item) = table.get("at") {
            // An item may be a text itself.
            if item.as_text().is_none() {
                return Err(item.expected(AT));
            }
            item.pointer(true)?;
            is_pointer = true;
            sources.push(Take::at(item.text()?));
        }
        if let Some(item) = table.get("constant") {
            sources.push(Take::constant(item.some_text()?));
            may_cut = false;
        }
        if let Some(item) = table.get("key") {
            let outwards = item.integer().and_then(|n| usize::try_from(n).ok());
            let expected = "0 for the name of the member that is gone through, 1 for that of the \
                            one it is in, and so on";
            sources.push(Take::key(outwards.ok_or_else(|| item.expected(expected))?));
        }
        if let Some(item) = table.get("name-of") {
            item.pointer(false)?;
            is_pointer = true;
            sources.push(Take::name_of(item.text()?));
        }
        if let Some(item) = table.get("join") {
            let parts = item.as_array().filter(|parts| parts.len() > 1);
            let parts = parts.ok_or_else(|| item.expected("an array of at least two parts"))?;
            let parts: Vec<_> = parts
                .iter()
                .map(|part| take(part, true))
                .collect::<Result<_, _>>()?;
            let with = table.get("with").map(|with| with.text()).transpose()?;
            sources.push(Take::join(parts, with.unwrap_or_default()));
            may_cut = false;
        } else if let Some(with) = table.get("with") {
            return Err(with.fail("`with` says what stands between the parts of a `join`"));
        }
    }
    if sources.len() > 1 {
        return Err(table
            .fail("expected one of `at`, `constant`, `key`, `name-of` and `join`, found several"));
    }
    let Some(mut take) = sources.pop() else {
        return Err(table.fail(
            "expected a pointer under `at`, or one of `constant`, `key`, `name-of` and `join`",
        ));
    };
    if let Some(item) = table.get("from") {
        if !is_pointer {
            return Err(item.fail("`from` says where a pointer begins, and there is none"));
        }
        take = take.from(item.word(&ORIGINS)?);
    }
    take = cuts(table, take, may_cut)?;
    if let Some(item) = table.get("learned") {
        take = take.learned(item.learned()?);
    }
    if let Some(item) = table.get("case") {
        take = match item.word(&[("lower", true), ("upper", false)])? {
            true => take.lower(),
            false => take.upper(),
        };
    }
    if let Some(item) = table.get("prepend") {
        take = take.prepend(item.some_text()?);
    }
    if let Some(item) = table.get("append") {
        take = take.append(item.some_text()?);
    }
    Ok(take)
}

/// `split` and `part`, then `after`, then `before`; or `between`.
fn cuts(table: &Table<'_>, mut take: Take, may_cut: bool) -> Read<Take> {
    let keys = [
        table.get("split"),
        table.get("between"),
        table.get("after"),
        table.get("after-last"),
        table.get("before"),
        table.get("before-last"),
    ];
    if !may_cut && let Some(item) = keys.iter().flatten().next() {
        return Err(item.fail("only what stands at a pointer, or a key, can be cut"));
    }
    let [split, between, after, after_last, before, before_last] = keys;
    let part = table.get("part");
    match (&split, &part) {
        (Some(at), Some(part)) => {
            let number = part.integer().and_then(|n| i32::try_from(n).ok());
            let expected = "the number of a part: 0 is the first, -1 the last";
            take = take.part(
                at.some_text()?,
                number.ok_or_else(|| part.expected(expected))?,
            );
        }
        (Some(at), None) => {
            return Err(at.fail("`split` needs `part`: 0 is the first part, -1 the last"));
        }
        (None, Some(part)) => return Err(part.fail("`part` needs `split`, a separator")),
        (None, None) => {}
    }
    if let (Some(_), Some(other)) = (&after, &after_last) {
        return Err(other.fail("expected `after` or `after-last`, found both"));
    }
    if let (Some(_), Some(other)) = (&before, &before_last) {
        return Err(other.fail("expected `before` or `before-last`, found both"));
    }
    if let Some(item) = &between {
        let others = [&after, &after_last, &before, &before_last];
        if others.iter().any(|other| other.is_some()) {
            return Err(item.fail("`between` stands instead of `after` and `before`"));
        }
        let expected = "a separator, or an array of two: the one before and the one after";
        let (first, second) = match item.as_array().as_deref() {
            None => (item.some_text()?, item.some_text()?),
            Some([first, second]) => (first.some_text()?, second.some_text()?),
            Some(_) => return Err(item.expected(expected)),
        };
        take = take.between(first, second);
    }
    if let Some(item) = after {
        take = take.after(item.some_text()?);
    }
    if let Some(item) = after_last {
        take = take.after_last(item.some_text()?);
    }
    if let Some(item) = before {
        take = take.before(item.some_text()?);
    }
    if let Some(item) = before_last {
        take = take.before_last(item.some_text()?);
    }
    Ok(take)
}

/// Conditions, all of which have to hold: a table of pointers and what is asked of each, or an
/// array of tables with `at` and what is asked.
pub(super) fn conditions(item: &Item<'_>) -> Read<Vec<Condition>> {
    let expected = "conditions: { \"/pointer\" = \"word\", .. }, or an array of tables with `at`";
    let mut all = Vec::new();
    for item in item.one_or_more(expected)? {
        let table = item.table(expected)?;
        if table.is_empty() {
            return Err(item.expected(expected));
        }
        let entries = table.entries();
        if !entries
            .iter()
            .any(|(key, _)| key.starts_with('/') || key.is_empty())
        {
            let take = take_of(&table, None)?;
            tests(&table, &take, &mut all)?;
            table.finish()?;
            continue;
        }
        for (pointer, asked) in entries {
            if !pointer.starts_with('/') && !pointer.is_empty() {
                return Err(asked.fail("expected a key that is a pointer, as the others are"));
            }
            let take = Take::at(pointer);
            if let Some((_, error)) = take.bad() {
                return Err(asked.fail(error));
            }
            if let Some(table) = asked.as_table() {
                let take = take_of(&table, Some(take))?;
                tests(&table, &take, &mut all)?;
                table.finish()?;
            } else {
                let test = Test::Equals(asked.words()?);
                all.push(Condition { take, test });
            }
        }
    }
    Ok(all)
}

/// What is asked, as keys of a table.
fn tests(table: &Table<'_>, take: &Take, into: &mut Vec<Condition>) -> Read<()> {
    let before = into.len();
    let mut ask = |test| {
        let take = take.clone();
        into.push(Condition { take, test });
    };
    type Make = fn(Vec<String>) -> Test;
    let texts: [(&str, Make); 5] = [
        ("equals", Test::Equals),
        ("prefix", Test::Prefix),
        ("suffix", Test::Suffix),
        ("contains", Test::Contains),
        ("not", Test::Not),
    ];
    for (key, make) in texts {
        if let Some(item) = table.get(key) {
            ask(make(item.words()?));
        }
    }
    if let Some(item) = table.get("present") {
        ask(if item.bool()? {
            Test::Present
        } else {
            Test::Absent
        });
    }
    if let Some(item) = table.get("absent") {
        ask(if item.bool()? {
            Test::Absent
        } else {
            Test::Present
        });
    }
    if let Some(item) = table.get("type") {
        let types = item.one_or_more("the name of a type")?;
        let types = types.iter().map(|ty| ty.word(&TYPES));
        ask(Test::Type(types.collect::<Result<_, _>>()?));
    }
    if into.len() == before {
        return Err(table.fail(
            "expected at least one of `equals`, `prefix`, `suffix`, `contains`, `not`, \
             `present`, `absent` and `type`",
        ));
    }
    Ok(())
}
