//! The `tickcache` command: a demo, a replay of recorded messages, a live view of a feed.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod args;
mod input;
mod simulator;
mod ui;

fn main() {}
