//! What is published at once leaves the same cells as what is not.

use serde_json::json;

use super::kit::{owner, publish, whole};
use crate::record::{ABSENT, used_cells};
use crate::store::block::load;
use crate::store::{Outcome, Slot, Stamp, StoreConfig};

/// The cells of the member "a" in the newest version, those that its token does not take included.
fn cells_of_a(slot: &Slot) -> Vec<[u64; 2]> {
    let (block, epoch) = slot.newest();
    let body = block.body().expect("published");
    let node = body.layout.find(&["a"]).expect("a member");
    let region = body.layout.region(node).expect("a region");
    let cells = &body.version(epoch.number()).cells[region.cell as usize..];
    cells[..usize::from(region.cells)]
        .iter()
        .map(load)
        .collect()
}

#[test]
fn a_shorter_token_leaves_nothing_of_a_longer_one() {
    let (_store, mut writer) = owner(StoreConfig::default());
    let long = json!(["an array", "of several", "cells", 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let two = json!("two cells of text");
    let (slot, _) = publish(&mut writer, "1", &json!({"a": long, "b": 0}), whole());
    for (round, token) in [
        &two,
        &long,
        &json!("one"),
        &long,
        &two,
        &json!(1),
        &json!(2),
        &two,
    ]
    .into_iter()
    .enumerate()
    {
        let message = json!({"a": token, "b": round + 1});
        let (_, outcome) = publish(&mut writer, "1", &message, Stamp::default());
        assert_eq!(outcome, Outcome::Applied);
        let cells = cells_of_a(&slot);
        let used = usize::from(used_cells(cells[0][0]));
        assert!(cells[used..].iter().all(|cell| *cell == ABSENT), "{token}");
        let (_, outcome) = publish(&mut writer, "1", &message, Stamp::default());
        assert_eq!(outcome, Outcome::Unchanged, "{token}");
        assert_eq!(super::kit::json_of(&slot), Some(message));
    }
}
