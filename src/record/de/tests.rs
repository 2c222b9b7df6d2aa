use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::super::decimal::Decimal;
use super::super::harness::subject;
use super::super::schema::{Limits, Schema};
use super::*;

/// In cells and as a tree the same.
#[track_caller]
fn read<T: DeserializeOwned + PartialEq + fmt::Debug>(json: &str) -> Result<T, TypeError> {
    let mut cells = Schema::default();
    let mut tree = Schema::new(Limits {
        max_fields: 0,
        ..Limits::default()
    });
    let in_cells = subject(json, &mut cells).record().deserialize();
    assert_eq!(in_cells, subject(json, &mut tree).record().deserialize());
    in_cells
}

fn dec(text: &str) -> Decimal {
    text.parse().expect("a number")
}

#[derive(Debug, Deserialize, PartialEq)]
struct Book {
    #[serde(rename = "b")]
    bid: Decimal,
    #[serde(rename = "a")]
    ask: Decimal,
    #[serde(default)]
    note: Option<String>,
    #[serde(rename = "u")]
    update: u64,
}

#[test]
fn a_struct_of_decimals_and_numbers() {
    let json =
        r#"{"b":"61837.630","a":61837.64000000000000000001,"u":18446744073709551615,"x":[{}]}"#;
    let book: Book = read(json).expect("a book");
    assert_eq!((book.bid.mantissa, book.bid.scale), (61_837_630, 3));
    assert_eq!(book.ask, dec("61837.64000000000000000001"));
    assert_eq!((book.note, book.update), (None, u64::MAX));
}

#[derive(Debug, Deserialize, PartialEq)]
enum Side {
    Buy,
    #[serde(rename = "sell\n")]
    Sell,
    Other(u8),
    Pair(u8, u8),
    At {
        price: Decimal,
    },
}

#[derive(Debug, Deserialize, PartialEq)]
struct Newtype(Decimal);

#[derive(Debug, Deserialize, PartialEq)]
struct Nested {
    levels: Vec<(Decimal, Decimal)>,
    map: BTreeMap<String, Option<Newtype>>,
    by_number: HashMap<u32, bool>,
    side: Side,
    sides: Vec<Side>,
    float: f64,
    text: String,
    character: char,
    unit: (),
    json: serde_json::Value,
    inner: Inner,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Inner {
    deep: BTreeMap<String, Vec<i128>>,
}

#[test]
fn nested_values_of_every_shape() {
    let json = r#"{"levels":[["1.50",2],[0.00000000000000000001, "3"]],
        "map":{"a":null,"b":0.10},"by_number":{"7":true},"side":"Buy",
        "sides":["sell\n",{"Other":3},{"Pair":[1,2]},{"At":{"price":1e3}},"Buy"],
        "float":"61837.63","text":"\u0041 text","character":"é","unit":null,
        "json":{"a":[1,-1,1.5,"x",null,true]},"inner":{"deep":{"k":[170141183460469231731687303715884105727]}}}"#;
    let nested: Nested = read(json).expect("of this shape");
    assert_eq!(
        nested.levels,
        [
            (dec("1.5"), dec("2")),
            (dec("0.00000000000000000001"), dec("3"))
        ]
    );
    assert_eq!(nested.map["a"], None);
    assert_eq!(nested.map["b"], Some(Newtype(dec("0.1"))));
    assert!(nested.by_number[&7]);
    assert_eq!(nested.side, Side::Buy);
    let at = Side::At { price: dec("1000") };
    assert_eq!(
        nested.sides,
        [Side::Sell, Side::Other(3), Side::Pair(1, 2), at, Side::Buy]
    );
    assert_eq!(
        (nested.float, &*nested.text, nested.character),
        (61837.63, "A text", 'é')
    );
    assert_eq!(
        nested.json,
        serde_json::json!({"a": [1, -1, 1.5, "x", null, true]})
    );
    assert_eq!(nested.inner.deep["k"], [i128::MAX]);
}

#[derive(Debug, Deserialize, PartialEq)]
struct Flat {
    id: u64,
    #[serde(flatten)]
    price: Price,
    #[serde(flatten)]
    rest: HashMap<String, serde_json::Value>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Price {
    p: Decimal,
    q: Option<Decimal>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Event {
    Trade { price: Decimal },
    Stop,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Either {
    Number(i64),
    Text(String),
}

#[test]
fn what_serde_buffers_works_too() {
    let flat: Flat = read(r#"{"id":1,"p":"1.50","q":0.25,"z":[1]}"#).expect("flat");
    assert_eq!(
        flat.price,
        Price {
            p: dec("1.5"),
            q: Some(dec("0.25"))
        }
    );
    assert_eq!(flat.rest["z"], serde_json::json!([1]));
    assert_eq!(
        read(r#"{"type":"trade","price":"7"}"#),
        Ok(Event::Trade { price: dec("7") })
    );
    assert_eq!(read(r#"{"type":"stop"}"#), Ok(Event::Stop));
    assert_eq!(
        read::<HashMap<String, Either>>(r#"{"a":"1","b":1}"#).expect("either"),
        HashMap::from([
            ("a".to_owned(), Either::Text("1".to_owned())),
            ("b".to_owned(), Either::Number(1))
        ])
    );
}

#[test]
fn values_that_are_no_objects() {
    assert_eq!(read::<Vec<u8>>("[1,2,3]"), Ok(vec![1, 2, 3]));
    assert_eq!(read::<[u8; 3]>("[1,2,3]"), Ok([1, 2, 3]));
    assert_eq!(read("\"1.50\""), Ok(dec("1.5")));
    assert_eq!(read::<Option<u8>>("null"), Ok(None));
    assert_eq!(read("-0.0"), Ok(-0.0));
    assert_eq!(read("0.1"), Ok(0.1_f32));
    assert_eq!(read("1e3"), Ok(1000_u16));
    assert_eq!(
        read("340282366920938463463374607431768211455"),
        Ok(u128::MAX)
    );
    assert_eq!(
        read::<serde_json::Value>("1e3"),
        Ok(serde_json::json!(1000.0))
    );
}

#[test]
fn errors_name_the_field() {
    let path = |json: &str| {
        read::<Nested>(json)
            .expect_err("of another shape")
            .path()
            .to_owned()
    };
    assert_eq!(path(r#"{"levels":[[1,2],[1,true]]}"#), "levels.1.1");
    assert_eq!(path(r#"{"map":{"a":"x"}}"#), "map.a");
    assert_eq!(
        path(r#"{"inner":{"deep":{"k":[1,1.5]}}}"#),
        "inner.deep.k.1"
    );
    let error = |json: &str| read::<Book>(json).expect_err("no book").to_string();
    assert_eq!(error(r#"{"a":1}"#), "missing field `b`");
    assert_eq!(
        error(r#"{"b":1,"a":2,"u":-1}"#),
        "field `u`: invalid value: integer `-1`, expected u64"
    );
    assert_eq!(
        error(r#"{"b":"x","a":2,"u":1}"#),
        "field `b`: invalid value: string \"x\", expected a decimal number, or a string that holds one"
    );
    for refused in [
        read::<[u8; 2]>("[1,2,3]").map(drop),
        read::<u8>("256").map(drop),
        read::<u8>("1.5").map(drop),
        read::<u8>("\"x\"").map(drop),
        read::<String>("1").map(drop),
        read::<bool>("1").map(drop),
        read::<f64>("1e400").map(drop),
        read::<Side>("\"Nobody\"").map(drop),
        read::<Side>("{\"Other\":1,\"Pair\":[1,2]}").map(drop),
        read::<String>(r#""\ud83d""#).map(drop),
    ] {
        assert!(refused.is_err());
    }
}
