//! Models of the version ring: the code that ships, two threads, every interleaving and every
//! value that a load may see, within a bound of pre-emptions.
//!
//! Each ordering and each step has a variant without it, which the model must catch.

use loom::thread;

use super::{explore, explore_all};
use crate::record::{Layout, Limits, Schema, SchemaSource};
use crate::store::block::Block;
use crate::store::epoch::Epoch;
use crate::store::fault::{Fault, inject};
use crate::sync::{Arc, Ordering};

pub(super) fn root_only() -> Arc<Layout> {
    Schema::new(Limits::default()).layout().clone()
}

fn publish<const K: usize>(block: &Block<K>) {
    let next = block.epoch.own().next();
    let body = block.body().expect("installed");
    block.epoch.begin();
    // Two words of the version, far apart.
    let version = body.version(next.number());
    version
        .header
        .stamps
        .low
        .store(next.number(), Ordering::Relaxed);
    version.cells[0][1].store(next.number(), Ordering::Relaxed);
    block.epoch.publish(next);
}

/// The publication read, unless lapped.
fn read<const K: usize>(block: &Block<K>) -> Option<u64> {
    let epoch = block.epoch.load();
    let copied = block.attempt(epoch, |version| {
        [version.header.stamps.low, &version.cells[0][1]].map(|word| word.load(Ordering::Relaxed))
    });
    copied.map(|words| {
        assert_eq!(words, [epoch.number(); 2], "torn");
        epoch.number()
    })
}

fn ring<const K: usize>(publications: u64) {
    let block = Arc::new(Block::<K>::new(Epoch::empty(0)));
    block.make_room(&root_only()).expect("made");
    publish(&block);
    let owner = {
        let block = block.clone();
        thread::spawn(move || (0..publications).for_each(|_| publish(&block)))
    };
    let first = read(&block).unwrap_or(0);
    let second = read(&block).unwrap_or(first);
    assert!(second >= first, "backwards");
    owner.join().expect("no panic");
    assert_eq!(
        read(&block),
        Some(publications + 1),
        "the last one is shown"
    );
}

#[test]
fn two_versions() {
    explore_all(|| ring::<2>(2));
}

#[test]
fn three_versions() {
    explore(|| ring::<3>(3));
}

#[test]
fn four_versions() {
    explore(|| ring::<4>(3));
}

#[test]
#[should_panic = "torn"]
fn the_reader_needs_its_fence() {
    inject(Fault::ReaderFence, || explore(|| ring::<2>(2)));
}

#[test]
#[should_panic = "torn"]
fn the_owner_needs_its_fence() {
    inject(Fault::WriterFence, || explore(|| ring::<2>(2)));
}

#[test]
#[should_panic = "torn"]
fn the_epoch_releases_the_words() {
    inject(Fault::PublishRelaxed, || explore(|| ring::<2>(2)));
}

#[test]
#[should_panic = "torn"]
fn one_publication_more_is_too_many() {
    inject(Fault::AcceptLate, || explore(|| ring::<2>(2)));
}

#[test]
#[should_panic = "torn"]
fn three_versions_need_the_fences_as_well() {
    inject(Fault::WriterFence, || explore(|| ring::<3>(3)));
}

#[test]
#[should_panic = "torn"]
fn three_versions_have_the_same_bound() {
    inject(Fault::AcceptLate, || explore(|| ring::<3>(3)));
}
