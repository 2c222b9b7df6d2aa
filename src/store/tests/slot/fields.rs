//! Fields that were looked up under one layout, in blocks of others.

use super::*;

#[test]
fn a_field_is_found_in_blocks_of_every_layout() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made");
    let [x, y] = ["x", "y"].map(|name| entity.schema().field(&[name]).expect("room"));
    let (slot, _) = publish(&mut writer, "a", &json!({"x": 1}), whole());
    let z = entity.schema().field(&["z"]).expect("room");
    let (_, [first, second, third]) = slot.read([x, y, z]);
    assert_eq!(first.u64(), Ok(1));
    assert!(
        second.is_missing() && third.is_missing(),
        "the block is older than z"
    );
    let text = "wide enough for two cells";
    publish(&mut writer, "a", &json!({"x": text}), at(1));
    let (_, [first, second, third]) = slot.read([x, y, z]);
    assert_eq!(first.str().as_deref(), Ok(text));
    assert!(second.is_missing() && third.is_missing());
}

#[test]
fn a_field_is_found_wherever_its_cells_are() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made");
    let field = |name: &str| entity.schema().field(&[name]).expect("room");
    let early = [field("moved"), field("stays")];
    let (narrow, _) = publish(
        &mut writer,
        "narrow",
        &json!({"moved": "short", "stays": 1}),
        whole(),
    );
    // From here on the field's cells are elsewhere, but not in the slot that is there.
    let long = "longer than one cell";
    let (wide, _) = publish(
        &mut writer,
        "wide",
        &json!({"moved": long, "stays": 2, "later": 3}),
        whole(),
    );
    let late = [field("moved"), field("stays")];
    let later = field("later");
    assert_eq!(early, late, "the same fields");
    for fields in [early, late] {
        let (_, [moved, stays]) = narrow.read(fields);
        assert_eq!((moved.str().as_deref(), stays.u64()), (Ok("short"), Ok(1)));
        let (_, [moved, stays]) = wide.read(fields);
        assert_eq!((moved.str().as_deref(), stays.u64()), (Ok(long), Ok(2)));
    }
    assert!(narrow.read([later]).1[0].is_missing());
    assert_eq!(wide.read([later]).1[0].u64(), Ok(3));
    // A patch compiled for where the cells are now is laid over where they were.
    let patch = json!({"moved": "other", "stays": 4});
    publish(&mut writer, "narrow", &patch, at(1));
    assert_eq!(writer.growths(), 0, "there is room");
    for fields in [early, late] {
        let (_, [moved, stays]) = narrow.read(fields);
        assert_eq!((moved.str().as_deref(), stays.u64()), (Ok("other"), Ok(4)));
    }
}

#[test]
fn patches_compiled_before_a_field_moved_are_laid_over_where_it_is() {
    let (_store, mut writer) = owner(StoreConfig::default());
    let (slot, _) = publish(&mut writer, "a", &json!({"x": 1, "y": 1}), whole());
    let before = compile(&json!({"x": 2, "y": 3}), Mode::Merge, writer.schema());
    let long = "longer than one cell";
    publish(&mut writer, "a", &json!({"x": long, "y": 1}), whole());
    assert_eq!(writer.growths(), 1);
    let at = writer.locate("a".into(), Missing::Ignore).expect("there");
    writer.publish(at, &before, &Stamp::default());
    assert_eq!(json_of(&slot), Some(json!({"x": 2, "y": 3})));
}

#[test]
fn repeated_patches_of_many_fields_leave_the_others_as_they_were() {
    // More than one mask, and more than two publications of everything.
    let (_store, mut writer) = owner(StoreConfig::default());
    let name = |at: usize| format!("f{at}");
    let mut expected: serde_json::Map<_, _> = (0..150).map(|at| (name(at), json!(0))).collect();
    let (slot, _) = publish(&mut writer, "a", &expected.clone().into(), whole());
    for round in 1..200 {
        let some = [round % 64, 64 + round % 64, 128 + round % 22, round % 7];
        let fields = &some[..1 + round % 4];
        let patch: serde_json::Map<_, _> =
            fields.iter().map(|at| (name(*at), json!(round))).collect();
        expected.extend(patch.clone());
        publish(&mut writer, "a", &patch.into(), at(round as u64));
        assert_eq!(json_of(&slot), Some(expected.clone().into()), "{round}");
    }
}
