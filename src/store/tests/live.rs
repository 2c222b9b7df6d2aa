use serde_json::json;

use super::kit::{Dice, owner, publish, whole};
use crate::record::{SHORT_TOKEN, Value, is_whole};
use crate::store::{Field, SlotReader, Stamp, StoreConfig, flags};

const NONE: [Field; 0] = [];

/// The quick read hands out what the other one does, and asks about the same stamps.
#[test]
fn it_is_the_same_read() {
    let (_store, mut writer) = owner(StoreConfig::default());
    let dice = &mut Dice(5);
    let texts = [
        "",
        "short",
        "as long as two cells take",
        "a text that takes three cells at least",
    ];
    let schema = writer.entity().schema();
    let fields: Vec<Field> = ["a", "b", "c"]
        .iter()
        .map(|name| schema.field(&[name]).expect("room"))
        .collect();
    let (slot, _) = publish(&mut writer, "1", &json!({}), whole());
    let mut reader = SlotReader::new(slot.clone());
    let mut quick = 0;
    for round in 0..2000_u64 {
        let mut text = || texts[dice.roll(texts.len() as u64) as usize];
        let json = match round % 5 {
            0 => json!({"a": round, "b": text()}),
            1 => json!({"a": text(), "c": "x".repeat(if round % 100 == 1 { 5000 } else { 3 })}),
            2 => json!({"b": null, "a": {"d": 1}}),
            _ => json!({"a": round, "b": round + 1}),
        };
        let stamp = Stamp {
            whole: round % 3 == 0,
            link: round << 8,
            flags: if round % 7 == 0 { flags::GAP } else { 0 },
            ..Stamp::default()
        };
        publish(&mut writer, "1", &json, stamp);
        let fields = [fields[0], fields[(round % 3) as usize]];
        let (head, values) = slot.read(fields);
        let asked = std::cell::Cell::new(None);
        // Goes on to where the slot has grown to.
        reader.epoch();
        let cells = reader.cells_if(slot.shared(), &fields, |stamps| {
            asked.set(Some(stamps));
            true
        });
        assert_eq!(reader.cells_if(slot.shared(), &fields, |_| false), None);
        let first = slot.cells_if(slot.shared(), &fields, |_| true);
        let later = slot.later_cells_if(slot.shared(), &fields, |_| true);
        assert!(first.is_none() || later.is_none(), "in one block");
        assert_eq!(cells, first.or(later));
        if values.iter().any(|value| value.raw().len() > SHORT_TOKEN) {
            assert_eq!(cells, None, "too long");
        }
        let Some(cells) = cells else { continue };
        quick += 1;
        assert_eq!(asked.get(), Some(head.stamps()));
        assert!(cells.iter().all(|cell| is_whole(cell[0])));
        assert_eq!(Value::from_cells_whole(&cells), values);
    }
    assert!(quick > 500, "it was quick {quick} times");
}

#[test]
fn no_value_is_never_quick() {
    let (store, mut writer) = owner(StoreConfig::default());
    let entity = store.find("tests").expect("made by its owner");
    let slot = entity.slot("1".into()).expect("room");
    assert_eq!(slot.cells_if(slot.shared(), &NONE, |_| true), None, "empty");
    let (slot, _) = publish(&mut writer, "1", &json!({"a": 1}), whole());
    assert_eq!(slot.cells_if(slot.shared(), &NONE, |_| true), Some([]));
    let at = writer
        .locate("1".into(), crate::store::Missing::Ignore)
        .expect("there");
    writer.remove(at, &Stamp::default());
    assert_eq!(
        slot.cells_if(slot.shared(), &NONE, |_| true),
        None,
        "removed"
    );
    writer.purge(at);
    assert_eq!(slot.cells_if(slot.shared(), &NONE, |_| true), None, "dead");
}
