use super::*;
use crate::json::Decoder;

#[test]
fn places_are_names_in_braces_and_all_else_is_text() {
    let counted = |text: &str| Template::new(text, Use::Beat).map(|t| t.counted(7));
    assert_eq!(counted(r#"{"id":{count}}"#), Ok(r#"{"id":7}"#.to_owned()));
    for text in [
        "{}",
        "{ count }",
        "{\"count\":1}",
        "{",
        "}{",
        "{COUNT}",
        "{1}",
    ] {
        assert_eq!(counted(text), Ok(text.to_owned()));
    }
    let error = |text, used| Template::new(text, used).expect_err("wrong");
    assert_eq!(
        error("{n}", Use::Beat),
        "`{n}` is unknown here: expected `{count}`"
    );
    assert_eq!(
        error("{id:caps}", Use::Stream),
        "`{id:caps}`: after `:` expected `lower` or `upper`"
    );
    assert_eq!(
        error("{ids}", Use::Stream),
        "`{ids}` is unknown here: expected `{channel}`, `{id}`"
    );
    assert_eq!(
        error("{id}", Use::Opening),
        "`{id}` is unknown here: expected no places"
    );
    assert!(error("{/a~b}", Use::Reply).starts_with("`{/a~b}`: a JSON pointer"));
}

#[test]
fn a_reply_holds_what_the_message_says() {
    let template = Template::new(r#"{"pong":{/ping},"of":{/who}}"#, Use::Reply);
    let template = template.expect("a template");
    let mut decoder = Decoder::new(4);
    let reply = |decoder: &mut Decoder, text: &str| {
        let message = decoder.decode(text.as_bytes()).expect("JSON");
        template.answer(|pointer| message.root().at(pointer))
    };
    assert_eq!(
        reply(&mut decoder, r#"{"ping":1492420473027,"who":"a\"b"}"#).as_deref(),
        Some(r#"{"pong":1492420473027,"of":"a\"b"}"#)
    );
    assert_eq!(reply(&mut decoder, r#"{"ping":1}"#), None);
}
