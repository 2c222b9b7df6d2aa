use super::super::harness::subject;
use super::super::schema::Schema;
use super::super::value::FieldError;
use super::*;

#[test]
fn an_object_is_read_by_node_by_name_by_path_and_whole() {
    let mut schema = Schema::default();
    let json = r#"{"p":"1.50","s":{"v":2,"e":{}},"n":null,"a":[1,2]}"#;
    let subject = subject(json, &mut schema);
    let record = subject.record();
    assert!(record.is_object() && !record.is_absent());
    assert_eq!(record.get("p").f64(), Ok(1.5));
    assert_eq!(record.path(&["s", "v"]).i64(), Ok(2));
    assert_eq!(record.get("s").json().as_deref(), Ok(r#"{"v":2,"e":{}}"#));
    assert_eq!(record.path(&[]).json().as_deref(), Ok(json));
    assert!(record.get("n").is_null());
    assert_eq!(record.get("q").f64(), Err(FieldError::Missing));
    assert!(record.path(&["p", "x"]).is_missing());
    assert_eq!(record.names().collect::<Vec<_>>(), ["p", "s", "n", "a"]);
    assert_eq!(
        record
            .members()
            .filter(|(_, value)| value.is_null())
            .count(),
        1
    );
    assert_eq!(record.to_json(), json);
    assert_eq!(record.to_tree().expect("present").to_json(), json);
    assert!(record.value(Node(99)).is_missing());
}

#[test]
fn a_value_that_is_no_object_is_one_token() {
    let mut schema = Schema::default();
    for json in [
        "1.50",
        "\"x\"",
        "null",
        "[1,{\"a\":2}]",
        "[\"longer than fifteen bytes\"]",
    ] {
        let subject = subject(json, &mut schema);
        let record = subject.record();
        assert!(!record.is_object() && !record.is_absent());
        assert_eq!(record.to_json(), json);
        assert_eq!(record.value(Node::ROOT).json().as_deref(), Ok(json));
        assert_eq!(record.names().count(), 0);
        assert!(record.get("a").is_missing());
    }
}

#[test]
fn nothing_is_absent() {
    let schema = Schema::default();
    let record = Record::absent(super::super::schema::SchemaSource::layout(&schema).clone());
    assert!(record.is_absent() && !record.is_object());
    assert_eq!(record.to_json(), "");
    assert!(record.as_ref().to_tree().is_none());
    assert_eq!(record.members().count(), 0);
    assert!(record.deserialize::<Option<u8>>().expect("none").is_none());
    assert!(record.deserialize::<u8>().is_err());
}

#[test]
fn a_field_of_a_newer_layout_is_found_in_a_tree_and_missing_in_cells() {
    let mut schema = Schema::default();
    let old = subject(r#"{"a":1}"#, &mut schema);
    subject(r#"{"b":1}"#, &mut schema);
    let newest = super::super::schema::SchemaSource::layout(&schema).clone();
    let b = newest.find(&["b"]).expect("known");
    assert!(old.record().value(b).is_missing());
    let document = Document::Whole(Tree::parse(r#"{"b":2}"#).expect("valid"));
    assert_eq!(document.value(&newest, b).i64(), Ok(2));
    assert!(document.value(&old.layout, b).is_missing());
}
