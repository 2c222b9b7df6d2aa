//! Everything at once over the public interface, with real threads: feeds that publish, grow and purge,
//! clients that invalidate and write, and readers of every kind, most of them on threads that live for a
//! few reads only.
//!
//! Every value carries a checksum and a text made of its number. Whoever reads one, in whichever way, holds
//! them against each other (a torn or mixed value does not pass), and holds the number against the last one
//! that this thread has seen of the key (none goes back). A cut shows the same number for all keys of a
//! message. Whoever waits is woken for the last value.
//!
//! `TICKCACHE_STRESS=n` multiplies the rounds. This is also what the sanitizers run: `.ci/sanitize`.

#![allow(clippy::disallowed_types, reason = "what tests share needs no model")]

mod loads;
#[cfg(tickcache_planted)]
mod planted;
mod readers;
mod value;
mod world;

use std::sync::atomic::Ordering;
use std::thread;

use readers::{await_last, follow_changes, read_for_a_while, wait_for_last};
use world::{ENTITIES, World};

/// Readers that live for a few reads, at the same time.
const SHORT_LIVED: usize = 3;

#[test]
fn no_reader_sees_a_torn_a_mixed_or_an_older_value() {
    let world = World::new();
    thread::scope(|scope| {
        let feeds: Vec<_> = ENTITIES
            .iter()
            .map(|entity| scope.spawn(|| world.publish(entity)))
            .collect();
        let mut others = vec![
            scope.spawn(|| world.invalidate()),
            scope.spawn(|| world.purge()),
            scope.spawn(|| follow_changes(&world)),
        ];
        for entity in ENTITIES {
            others.push(scope.spawn(|| wait_for_last(&world, entity)));
            others.push(scope.spawn(|| await_last(&world, entity)));
        }
        for _ in 0..SHORT_LIVED {
            others.push(scope.spawn(|| {
                // Each makes the next one, so that their threads end in no order.
                let mut lives = 0;
                while !world.done() {
                    lives += 1;
                    let reader = thread::scope(|scope| {
                        scope.spawn(|| read_for_a_while(&world, lives)).join()
                    });
                    reader.expect("it saw nothing wrong");
                }
            }));
        }
        for feed in feeds {
            feed.join().expect("nothing is wrong with what it says");
        }
        world.finish();
        for other in others {
            other.join().expect("it saw nothing wrong");
        }
    });
    let counted = &world.counted;
    println!(
        "stress: {} loads, {} publications, {} reading threads, {} cuts, {} purges, 0 violations",
        counted.loads.load(Ordering::Relaxed),
        counted.publications.load(Ordering::Relaxed),
        counted.threads.load(Ordering::Relaxed),
        counted.cuts.load(Ordering::Relaxed),
        counted.purges.load(Ordering::Relaxed),
    );
    world.check_end();
}
