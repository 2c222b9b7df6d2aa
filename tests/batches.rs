//! Batches over many entities: what is invalidated while one is under way is undone by nothing in
//! it, whether or not an entity had something in it before; and whoever waits is told, whichever of
//! them moved.

use std::time::Duration;

use tickcache::cache::{Cache, Entity, Feed, Freshness, LocalFeed};
use tickcache::feed::presets::Events;

const ENTITIES: usize = 40;

fn message(entity: usize, value: usize) -> Vec<u8> {
    format!(r#"{{"entity":"e{entity}","id":"x","payload":{{"v":{value}}}}}"#).into_bytes()
}

/// One batch: these entities, then something else, then those.
fn batch(
    feed: &mut LocalFeed<Events>,
    value: usize,
    before: impl Iterator<Item = usize>,
    between: impl FnOnce(),
    after: impl Iterator<Item = usize>,
) {
    let mut batch = feed.batch();
    for entity in before {
        batch.message(&mut message(entity, value)).expect("taken");
    }
    between();
    for entity in after {
        batch
            .message(&mut message(entity, value + 1))
            .expect("taken");
    }
}

fn start() -> (Cache, LocalFeed<Events>, Vec<Entity>) {
    let cache = Cache::builder().build().expect("a cache");
    let mut feed = cache.local(Feed::events().whole()).expect("attached");
    feed.open();
    batch(&mut feed, 0, 0..ENTITIES, || {}, 0..ENTITIES);
    let entities = (0..ENTITIES).map(|n| cache.entity(&format!("e{n}")));
    let entities = entities.collect();
    (cache, feed, entities)
}

#[test]
fn what_is_invalidated_during_a_batch_stays_so_until_the_next_one() {
    let (cache, mut feed, entities) = start();
    let all = || cache.invalidate_all();
    let each_entity = || entities.iter().for_each(Entity::invalidate);
    let each_slot = || {
        entities
            .iter()
            .for_each(|entity| entity.slot("x").invalidate());
    };
    let live = |n: usize| entities[n].slot("x").freshness() == Freshness::Live;
    let mut value = 1;
    for mark in [&all as &dyn Fn(), &each_entity, &each_slot] {
        // Entities that had nothing in the batch before the mark, and others.
        for step in [1, 2, ENTITIES] {
            assert!((0..ENTITIES).all(live), "before");
            batch(
                &mut feed,
                value,
                (0..ENTITIES).step_by(step),
                mark,
                0..ENTITIES,
            );
            assert!(!(0..ENTITIES).any(live), "read before it");
            batch(&mut feed, value + 2, 0..0, || {}, 0..ENTITIES);
            value += 4;
        }
    }
    assert!((0..ENTITIES).all(live), "at last");
}

#[test]
fn a_batch_tells_of_the_entities_that_it_touched() {
    let (_cache, mut feed, entities) = start();
    for (n, entity) in entities.iter().enumerate() {
        let mut watch = entity.slot("x").watch();
        watch.take();
        let others = (0..3).map(|step| (n + 7 * step) % ENTITIES);
        batch(&mut feed, 10 * n + 2, others, || {}, 0..0);
        assert!(watch.wait(Duration::from_secs(60)).is_ok(), "told of {n}");
    }
}
