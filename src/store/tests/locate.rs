//! Finding slots by what came next the last time: the same answers as by looking them up.

use serde_json::json;

use super::kit::{Dice, owner, publish, whole};
use crate::key::IdRef;
use crate::store::{Locate, Missing, Stamp, StoreConfig};

#[test]
fn ids_that_come_in_the_order_of_before_are_expected() {
    let (_store, mut writer) = owner(StoreConfig::default());
    let ids = ["a", "b", "c", "d"];
    for id in ids {
        assert!(writer.expected(id.into()).is_none(), "it is new");
        publish(&mut writer, id, &json!({"x": 1}), whole());
    }
    // Once around, to learn what follows the last of them.
    writer.locate("a".into(), Missing::Ignore).expect("a value");
    for round in 0..3 {
        for id in ["b", "c", "d", "a"] {
            let slot = writer.expected(id.into());
            let slot = slot.unwrap_or_else(|| panic!("{id} in round {round}"));
            assert_eq!(writer.id(slot), Some(id.into()));
            assert_eq!(writer.again(slot, Missing::Ignore), Ok(slot));
        }
    }
    // The same again and again changes nothing about what comes after it.
    for _ in 0..2 {
        writer.locate("a".into(), Missing::Ignore).expect("a value");
    }
    assert!(writer.expected("b".into()).is_some());
}

#[test]
fn what_is_expected_is_what_would_be_found() {
    let (_store, mut writer) = owner(StoreConfig::default());
    let mut dice = Dice(7);
    let mut order: Vec<String> = (0..12).map(|number| format!("id{number}")).collect();
    for _ in 0..2_000 {
        let at = dice.roll(order.len() as u64) as usize;
        match dice.roll(20) {
            0 => {
                let with = dice.roll(order.len() as u64) as usize;
                order.swap(at, with);
            }
            1 => {
                let id: IdRef<'_> = order[at].as_str().into();
                if let Ok(slot) = writer.locate(id, Missing::Ignore) {
                    writer.purge(slot);
                    assert_eq!(writer.id(slot), None);
                    assert_eq!(writer.again(slot, Missing::Insert), Err(Locate::Missing));
                }
            }
            2 => {
                let id: IdRef<'_> = order[at].as_str().into();
                if let Ok(slot) = writer.locate(id, Missing::Ignore) {
                    writer.remove(slot, &Stamp::default());
                    assert_eq!(writer.again(slot, Missing::Ignore), Err(Locate::Missing));
                    assert_eq!(writer.again(slot, Missing::Insert), Ok(slot));
                }
            }
            _ => {
                let first = order[at].clone();
                let rest = order[at..].iter().chain(&order[..at]);
                for id in rest.take(dice.roll(6) as usize) {
                    let (slot, _) = publish(&mut writer, id, &json!({"n": 1}), whole());
                    assert_eq!(slot.id(), IdRef::Text(id), "after {first}");
                }
            }
        }
    }
}
