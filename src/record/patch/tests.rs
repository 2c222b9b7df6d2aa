use super::super::harness::{Message, compile, number, patch_of};
use super::super::merge::Mode;
use super::super::schema::Schema;
use super::*;

#[test]
fn operations_come_in_order_objects_before_their_members() {
    let mut schema = Schema::default();
    patch_of(r#"{"c":1}"#, Mode::Replace, &mut schema);
    let patch = patch_of(
        r#"{"a":{"b":"0123456789abcdefgh"},"c":null}"#,
        Mode::Merge,
        &mut schema,
    );
    let find = |path: &[&str]| schema.layout().find(path).expect("known");
    let text = Value::from_token(Token::new(Kind::String, b"0123456789abcdefgh"));
    assert_eq!(
        patch.operations().collect::<Vec<_>>(),
        [
            (Node::ROOT, Operation::Object),
            (find(&["a"]), Operation::Object),
            (find(&["a", "b"]), Operation::Set(text)),
            (find(&["c"]), Operation::Delete),
        ]
    );
    assert_eq!(patch.len(), 4);
}

#[test]
fn undo_takes_back_a_path_and_nothing_beside_it() {
    let mut schema = Schema::default();
    let mut patch = patch_of(
        r#"{"a":{"b":1,"c":{"d":2}},"e":3}"#,
        Mode::Merge,
        &mut schema,
    );
    let find = |path: &[&str]| schema.layout().find(path).expect("known");
    patch.undo(find(&["a", "c"]), schema.layout());
    assert!(patch.touched(find(&["a"])) && patch.touched(find(&["a", "b"])));
    assert!(!patch.touched(find(&["a", "c"])) && !patch.touched(find(&["a", "c", "d"])));
    assert_eq!(patch.len(), 4);
    patch.undo(find(&["a"]), schema.layout());
    assert_eq!(
        patch.operations().map(|(node, _)| node).collect::<Vec<_>>(),
        [Node::ROOT, find(&["e"])]
    );
}

#[test]
fn a_cleared_patch_is_a_new_one_that_kept_its_memory() {
    let mut schema = Schema::default();
    let long = super::super::harness::text_of(5000);
    let message = Message::parse(&format!(
        "{{\"a\":1,\"b\":\"0123456789abcdef\",\"c\":{long}}}"
    ));
    let mut patch = Patch::new();
    compile(&message, Mode::Merge, &mut schema, &mut patch);
    let first = patch.clone();
    let (ops, words) = (patch.ops.as_ptr(), patch.words.as_ptr());
    compile(&message, Mode::Merge, &mut schema, &mut patch);
    assert_eq!(patch, first);
    assert_eq!((patch.ops.as_ptr(), patch.words.as_ptr()), (ops, words));
    patch.set_tree(message.tree());
    assert!(patch.is_tree() && !patch.is_empty() && patch.operations().next().is_none());
    patch.clear();
    assert!(patch.is_empty() && !patch.touched(Node::ROOT));
}

#[test]
fn an_object_as_a_token_is_an_object_without_members() {
    let mut schema = Schema::default();
    let mut patch = Patch::new();
    patch.set(&mut schema, Node::ROOT, Token::new(Kind::Object, b"{}"));
    patch.set(&mut schema, Node::ROOT, number("1"));
    let operations: Vec<_> = patch.operations().map(|(_, operation)| operation).collect();
    assert_eq!(operations[0], Operation::Object);
    assert_eq!(
        operations[1],
        Operation::Set(Value::from_token(number("1")))
    );
}

#[test]
fn a_node_that_is_named_twice_takes_a_second_look() {
    let mut schema = Schema::default();
    let x = schema.add(Node::ROOT, "x").expect("room");
    let layout = schema.layout().clone();
    let mut patch = Patch::new();
    patch.object(&layout, Node::ROOT);
    patch.delete(&layout, x);
    assert!(patch.fits(layout.cells(), layout.widened()));
    patch.object(&layout, x);
    assert!(!patch.fits(layout.cells(), layout.widened()));
    assert!(crate::record::fits(&patch, &layout));
    patch.clear();
    assert!(patch.fits(layout.cells(), layout.widened()));
    assert!(!patch.names_all(2));
    patch.object(&layout, Node::ROOT);
    patch.delete(&layout, x);
    assert!(patch.names_all(2) && !patch.names_all(3));
}
