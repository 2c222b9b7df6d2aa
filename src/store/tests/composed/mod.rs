//! Compositions: what the models beside the rooms show for two or three threads, here with all of
//! them at once, on a store as a cache has it.
//!
//! shuttle draws interleavings at random and runs all of them sequentially consistent, so this says
//! nothing about orderings and proves nothing; it goes where loom's search would not end. Each
//! composition has variants with a step broken, which have to be noticed. A thread that sleeps on
//! news is a deadlock, and fails.

mod ids;
mod published;
mod waiting;

use crate::Time;
use crate::key::IdRef;
use crate::record::{Kind, Node, Patch, SchemaSource, Token};
use crate::store::wake::Runner;
use crate::store::{Entity, EntityWriter, Field, Missing, Outcome, Stamp};
use crate::sync::{Arc, thread};

/// Publishes numbers by member names, as a message that a feed has compiled.
fn publish(
    writer: &mut EntityWriter,
    id: i128,
    members: &[(&str, &str)],
    stamp: &Stamp,
) -> Outcome {
    let mut patch = Patch::new();
    let schema = writer.schema();
    patch.object(schema.layout(), Node::ROOT);
    for (name, text) in members {
        let node = match schema.layout().find(&[name]) {
            Some(node) => node,
            None => schema.add(Node::ROOT, name).expect("room"),
        };
        patch.set(schema, node, Token::new(Kind::Number, text.as_bytes()));
    }
    let at = writer
        .locate(IdRef::Int(id), Missing::Insert)
        .expect("room");
    writer.publish(at, &patch, stamp)
}

fn fields<const N: usize>(entity: &Entity, names: [&str; N]) -> [Field; N] {
    names.map(|name| entity.schema().field(&[name]).expect("room"))
}

fn spawn_hub(runner: Runner) -> thread::JoinHandle<()> {
    thread::spawn(move || runner.run(&|| Time::ZERO))
}

/// Waits for all of them.
fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("no panic");
    }
}

/// As many handles to each.
fn shared<T, const N: usize>(of: &[Arc<T>; N]) -> [Arc<T>; N] {
    of.each_ref().map(Arc::clone)
}
