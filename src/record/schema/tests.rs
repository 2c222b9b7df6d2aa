use super::*;

fn schema(max_fields: u32) -> Schema {
    Schema::new(Limits {
        max_fields,
        ..Limits::default()
    })
}

#[test]
fn nodes_are_added_once_and_keep_their_numbers_and_places() {
    let mut schema = schema(8);
    let a = schema.add(Node::ROOT, "a").expect("room");
    let b = schema.add(a, "b").expect("room");
    let before = schema.layout().clone();
    assert_eq!(schema.add(Node::ROOT, "a"), Ok(a));
    assert!(
        Arc::ptr_eq(&before, schema.layout()),
        "nothing new, nothing changed"
    );
    let other = schema.add(Node::ROOT, "b").expect("room");
    assert_ne!(other, b);
    let after = schema.layout();
    assert!(after.generation() > before.generation());
    assert_eq!(after.region(a), before.region(a));
    assert_eq!(before.region(other), None);
    assert_eq!(before.find(&["b"]), None);
    assert_eq!(after.find(&["a", "b"]), Some(b));
    assert_eq!(after.find(&[]), Some(Node::ROOT));
    assert_eq!(after.path(b), ["a", "b"]);
    assert_eq!(after.children(Node::ROOT), [a, other]);
    assert!(after.is_within(b, a) && after.is_within(b, Node::ROOT) && after.is_within(a, a));
    assert!(!after.is_within(other, a));
    assert_eq!((after.name(b), after.parent(b), after.nodes()), ("b", a, 4));
}

#[test]
fn widening_doubles_and_leaves_the_old_region_where_it_is() {
    let mut schema = schema(8);
    let a = schema.add(Node::ROOT, "a").expect("room");
    let b = schema.add(Node::ROOT, "b").expect("room");
    let at = |schema: &Schema, node| schema.layout().region(node).expect("known");
    assert_eq!(at(&schema, a), Region { cell: 1, cells: 1 });
    schema.widen(a, 3).expect("room");
    assert_eq!(at(&schema, a), Region { cell: 3, cells: 4 });
    assert_eq!(at(&schema, b), Region { cell: 2, cells: 1 });
    let generation = schema.layout().generation();
    schema.widen(a, 4).expect("wide enough");
    assert_eq!(schema.layout().generation(), generation);
    schema.widen(a, MAX_CELLS).expect("room");
    assert_eq!(at(&schema, a).cells, MAX_CELLS);
    assert_eq!(schema.widen(a, MAX_CELLS + 1), Err(SchemaFull));
    assert_eq!(schema.widen(Node(99), 2), Err(SchemaFull));
}

#[test]
fn fields_names_and_wide_cells_are_bounded() {
    let mut schema = schema(2);
    let a = schema.add(Node::ROOT, "a").expect("room");
    assert_eq!(schema.add(a, &"x".repeat(MAX_NAME_BYTES)), Err(SchemaFull));
    schema.add(a, "b").expect("room");
    assert_eq!(schema.add(a, "c"), Err(SchemaFull));
    assert_eq!(schema.add(a, "b").expect("there already"), Node(2));

    let mut schema = Schema::default();
    let fields: Vec<Node> = (0..100)
        .map(|at| schema.add(Node::ROOT, &at.to_string()).expect("room"))
        .collect();
    let widened = fields
        .iter()
        .filter(|node| schema.widen(**node, MAX_CELLS).is_ok())
        .count();
    assert_eq!(widened as u32, MAX_WIDE_CELLS / u32::from(MAX_CELLS));
    assert!(schema.layout().cells() <= 101 + MAX_WIDE_CELLS);
}
