use std::collections::HashMap;

use super::*;
use crate::record::Limits;
use crate::store::marks::Marks;
use crate::store::shared::Shared;

fn shared() -> Arc<Shared> {
    Arc::new(Shared::new(Limits::default(), Arc::new(Marks::new())))
}

fn get(index: &Index, id: IdRef<'_>, shared: &Arc<Shared>) -> Result<Arc<Slot>, Full> {
    index.get_or_insert(id, |number| {
        Ok(Arc::new(Slot::new(id, number, 0, shared.clone())))
    })
}

/// A generator that is the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[cfg(not(tickcache_model))]
#[test]
fn numbers_lie_in_segments_one_after_the_other() {
    let mut next = (0, 0);
    for number in 0..10_000 {
        assert_eq!(Numbers::locate(number), next);
        let len = if next.0 == 0 {
            FIRST
        } else {
            FIRST << (next.0 - 1)
        };
        next = if next.1 + 1 == len {
            (next.0 + 1, 0)
        } else {
            (next.0, next.1 + 1)
        };
    }
}

#[cfg(not(tickcache_model))]
#[test]
fn it_holds_what_a_map_holds() {
    let shared = shared();
    let index = Index::new(usize::MAX);
    let mut map: HashMap<i128, u32> = HashMap::new();
    let mut dice = Dice(7);
    // First mostly insertions, through several growths, then mostly removals, and again.
    for round in 0..4 {
        for _ in 0..6_000 {
            let id = i128::from(dice.roll(4_000));
            let text = format!("a somewhat longer text than fits inline: {id}");
            let key = if id % 3 == 0 {
                IdRef::Text(&text)
            } else {
                IdRef::Int(id)
            };
            if dice.roll(4) < 3 - 2 * (round % 2) {
                let slot = get(&index, key, &shared).expect("there is no bound");
                assert!(slot.is(key));
                assert_eq!(
                    *map.entry(id).or_insert_with(|| slot.number()),
                    slot.number()
                );
            } else if let Some(number) = map.remove(&id) {
                let slot = index.slot(number).expect("it is there");
                index.remove(&slot);
                index.remove(&slot);
                assert!(index.slot(number).is_none());
            }
            assert_eq!(index.with(key, |slot| slot.number()), map.get(&id).copied());
        }
        assert_eq!(index.len(), map.len());
        for (id, number) in &map {
            let text = format!("a somewhat longer text than fits inline: {id}");
            let key = if id % 3 == 0 {
                IdRef::Text(&text)
            } else {
                IdRef::Int(*id)
            };
            assert_eq!(index.with(key, |slot| slot.number()), Some(*number));
        }
    }
    assert!(index.numbers() <= 4_000, "numbers are used again");
}

#[cfg(not(tickcache_model))]
#[test]
fn the_bound_counts_what_is_there() {
    let shared = shared();
    let index = Index::new(2);
    let a = get(&index, IdRef::Text("a"), &shared).expect("room");
    get(&index, IdRef::Text("b"), &shared).expect("room");
    assert_eq!(
        get(&index, IdRef::Text("c"), &shared).map(|_| ()),
        Err(Full)
    );
    assert!(
        get(&index, IdRef::Text("a"), &shared).is_ok(),
        "it is there already"
    );
    index.remove(&a);
    assert!(get(&index, IdRef::Text("c"), &shared).is_ok());
    assert_eq!(
        index
            .get_or_insert(IdRef::Int(1), |_| Err(Full))
            .map(|_| ()),
        Err(Full)
    );
    assert_eq!(index.len(), 2);
}

#[cfg(not(tickcache_model))]
#[test]
fn whoever_asks_first_makes_the_slot_for_all() {
    let shared = shared();
    let index = Index::new(usize::MAX);
    let numbers: Vec<Vec<u32>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let slots = (0..2_000).map(|id| get(&index, IdRef::Int(id), &shared));
                    slots.map(|slot| slot.expect("room").number()).collect()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    assert!(numbers.iter().all(|these| *these == numbers[0]));
    assert_eq!((index.len(), index.numbers()), (2_000, 2_000));
}

/// An id that stays is found by every look-up, whatever comes and goes around it.
#[cfg(not(tickcache_model))]
#[test]
fn moving_entries_hides_none() {
    let shared = shared();
    let index = Index::new(usize::MAX);
    let stays: Vec<i128> = (0..300).collect();
    for id in &stays {
        get(&index, IdRef::Int(*id), &shared).expect("room");
    }
    std::thread::scope(|scope| {
        let churn = scope.spawn(|| {
            let mut dice = Dice(3);
            for _ in 0..40_000 {
                let id = IdRef::Int(1_000 + i128::from(dice.roll(100)));
                let slot = get(&index, id, &shared).expect("room");
                index.remove(&slot);
            }
        });
        while !churn.is_finished() {
            for id in &stays {
                assert!(index.with(IdRef::Int(*id), |_| ()).is_some(), "{id}");
            }
        }
    });
}

/// Models: the shard alone, with tags chosen so that entries stand in each other's way.
#[cfg(tickcache_loom)]
mod models {
    use loom::thread;

    use super::*;
    use crate::store::fault::inject;
    use crate::store::tests::explore;

    fn shard(tags: &[u32]) -> Arc<Shard> {
        let shard = Arc::new(Shard::new());
        for tag in tags {
            shard.insert(&mut lock(&shard.entries), *tag, *tag);
        }
        shard
    }

    /// The entry of 2 is in the second place, and moves to the first when 1 goes.
    fn moving() {
        let shard = shard(&[1, 2]);
        let removing = {
            let shard = shard.clone();
            thread::spawn(move || assert!(shard.remove(&mut lock(&shard.entries), 1, 1)))
        };
        assert_eq!(
            shard.find(2, |number| number == 2),
            Some(2),
            "an entry was missed"
        );
        removing.join().expect("no panic");
        assert_eq!(shard.find(1, |number| number == 1), None);
        assert_eq!(
            shard.find(2, |number| number == 2),
            Some(2),
            "an entry was missed"
        );
    }

    #[test]
    fn an_entry_that_moves_is_found() {
        explore(moving);
    }

    #[test]
    #[should_panic = "an entry was missed"]
    fn a_miss_is_checked() {
        inject(Fault::MissUnchecked, || explore(moving));
    }

    #[test]
    fn growing_hides_no_entry() {
        explore(|| {
            let shard = shard(&[1, 2, 3]);
            let level = shard.level.own();
            let inserting = {
                let shard = shard.clone();
                thread::spawn(move || shard.insert(&mut lock(&shard.entries), 4, 4))
            };
            assert_eq!(
                shard.find(3, |number| number == 3),
                Some(3),
                "an entry was missed"
            );
            let new = shard.find(4, |number| number == 4);
            assert!(new.is_none() || new == Some(4));
            inserting.join().expect("no panic");
            assert_eq!(shard.find(4, |number| number == 4), Some(4));
            assert_eq!(shard.level.own(), level + 1, "it grew");
        });
    }

    #[test]
    fn two_who_ask_get_one_slot() {
        explore(|| {
            let shared = shared();
            let index = Arc::new(Index::new(usize::MAX));
            let other = {
                let (index, shared) = (index.clone(), shared.clone());
                thread::spawn(move || get(&index, IdRef::Int(1), &shared).expect("room"))
            };
            let found = index.with(IdRef::Int(1), Arc::clone);
            let own = get(&index, IdRef::Int(1), &shared).expect("room");
            let other = other.join().expect("no panic");
            assert!(Arc::ptr_eq(&own, &other));
            assert!(found.is_none_or(|found| Arc::ptr_eq(&own, &found)));
            assert_eq!(index.len(), 1);
        });
    }
}
