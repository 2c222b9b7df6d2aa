//! Everything that the handles of a message show, written down.

use std::fmt::Write as _;

use tickcache::json::{Decoder, JsonError, Pointer, Value};

/// Decodes messages with and without layouts; what their handles show has to be the same.
pub(crate) fn compare(messages: &mut dyn Iterator<Item = Vec<u8>>) {
    // Looking into arrays changes what is learned, so each sees a message with other eyes.
    let mut learning = [Decoder::new(40), Decoder::new(40), Decoder::new(40)];
    let mut parsing = Decoder::parsing_only(40);
    for (at, message) in messages.enumerate() {
        let expected = [true, false].map(|deep| shown(&mut parsing, &message, deep));
        let [deep, flat, seldom] = &mut learning;
        let text = String::from_utf8_lossy(&message);
        assert_eq!(shown(deep, &message, true), expected[0], "{text}");
        assert_eq!(shown(flat, &message, false), expected[1], "{text}");
        let looks = at % 7 == 0;
        assert_eq!(
            shown(seldom, &message, looks),
            expected[usize::from(!looks)],
            "{text}"
        );
    }
    let hits = learning.map(|decoder| decoder.layout_counts().hits);
    assert!(hits.iter().all(|hits| *hits > 0), "{hits:?}");
    assert_eq!(parsing.layout_counts().hits, 0);
}

fn shown(decoder: &mut Decoder, message: &[u8], deep: bool) -> Result<String, JsonError> {
    let message = decoder.decode(message)?;
    let mut out = String::new();
    writeln!(out, "{}", message.text()).expect("a string");
    show(message.root(), deep, &mut out);
    // Once more: what is remembered has to be what was found.
    show(message.root(), deep, &mut out);
    Ok(out)
}

static NAMES: [&str; 4] = ["s", "data", "no such name", "id"];
static OTHERS: [&str; 4] = ["payload", "s", "id", "params"];

fn show(value: Value<'_>, deep: bool, out: &mut String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (raw, token) = (text(value.raw()), value.token());
    writeln!(
        out,
        "{:?} {raw} {:?} {} {value:?} {:?} {:?} {:?} {:?} {:?} {} {}",
        value.kind(),
        token.kind,
        text(token.text),
        value.str(),
        value.id(),
        value.u64(),
        value.i64(),
        value.bool(),
        value.is_null(),
        value.is_object(),
    )
    .expect("a string");
    for names in [&NAMES, &OTHERS] {
        let picked = value
            .pick(names)
            .map(|member| member.map(|member| text(member.raw())));
        let got = names.map(|name| value.get(name).map(|member| text(member.raw())));
        assert_eq!(picked, got);
        writeln!(out, "{picked:?}").expect("a string");
    }
    for (name, member) in value.members() {
        writeln!(out, "{} {} {name:?}", name.as_str(), text(name.raw())).expect("a string");
        let path = format!("/{}", name.as_str().replace('~', "~0").replace('/', "~1"));
        let pointer = Pointer::new(&path).expect("a pointer");
        // Of a repeated name the last counts.
        let found = value.at(&pointer).map(|found| text(found.raw()));
        assert_eq!(
            found,
            value.get(name.as_str()).map(|found| text(found.raw()))
        );
        show(member, deep, out);
    }
    if deep || value.is_object() {
        writeln!(out, "{} {}", value.len(), value.is_empty()).expect("a string");
    }
    if deep {
        for element in value.elements() {
            show(element, deep, out);
        }
        for path in ["/0", "/1/0", "/-1", "/-1/s"] {
            let found = value.at(&Pointer::new(path).expect("a pointer"));
            writeln!(out, "{:?}", found.map(|found| text(found.raw()))).expect("a string");
        }
    }
}
