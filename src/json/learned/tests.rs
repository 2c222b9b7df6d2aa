//! Learned layouts against a model of them, and against the parser.

mod blocks;
mod choice;
mod marks;
mod matching;
mod model;
mod mutate;
mod streams;

use super::super::tape::{Decoder, items_of};
use super::{Outline, Template};

/// As deep as the decoders of these tests allow.
const DEPTH: u32 = 8;

/// The template of a message.
fn template(message: &[u8]) -> Option<Template> {
    let mut outline = Outline::default();
    outline
        .draw(&items_of(message), message, DEPTH, &[])
        .then(|| outline.template(message))
        .flatten()
}

/// Messages that templates are made of: compact and not, with every kind of token, of few bytes and
/// many, nested, ending in blanks, with names and texts beyond ASCII.
const SAMPLES: &[&str] = &[
    r#"{"stream":"abc@book","data":{"e":"book","u":400900217,"s":"ABC","b":"61837.63","B":"3.78","a":"61837.64","A":"1.5"}}"#,
    r#"{"entity":"ticker","id":"ABC","payload":{"bid":"1.5","size":3.78,"open":null,"on":true,"off":false,"n":-0.5}}"#,
    r#"[42,{"b":[["5541.3","2.5"],["5541.4","0"]],"c":"974947"},"book-10","XBT/USD"]"#,
    "{ \"type\" : \"ticker\",\n  \"price\": 12.5,\n  \"text\": \"a\",\n  \"list\": [1, 2]\n}\n",
    r#"{"größe":"übergröße","名":"値","n":1}"#,
    r#"{"a_name_that_is_longer_than_sixteen_bytes":"x","another_name_that_is_longer_than_thirty_two_bytes":1,"z":"y"}"#,
    r#"{"type":"trades","data":[{"p":"1.5","v":2,"s":"buy"},{"p":"1.6","v":3,"s":"sell"}],"ts":1723161468414}"#,
    r#"{"a":{"b":{"c":{"d":1,"e":"x"}}},"f":[],"g":{},"h":[[[1]]]}"#,
    r#"[1,2,3,4,5,"six",null]"#,
    r#"{"only":"one","m":""}"#,
    r#"{"type":"ticker","product_id":"BTC-USD","price":"61837.63","volume_24_hours":"8913.3","best_bid_of_all":"61837.62","side":"buy"}"#,
    r#"{"p":-0.5,"q":0.00012,"r":-12,"s":0,"a_long_name_for_it":-0.0001,"t":"0.1","u":1.5}"#,
    r#"{"long":"0123456789012345678901234567890123456789","n":123456789012345678,"m":0.123456789012345678}"#,
];
