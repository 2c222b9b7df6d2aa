//! A data race, planted: what ThreadSanitizer has to report. Compiled with `--cfg tickcache_race` only.

#![allow(unsafe_code, reason = "a race is what this is for")]

use std::cell::UnsafeCell;
use std::thread;

struct Shared(UnsafeCell<u64>);

// SAFETY: none. Two threads write to it at once.
unsafe impl Sync for Shared {}

#[test]
fn two_threads_write_one_word() {
    let shared = Shared(UnsafeCell::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    let shared = &shared;
                    // SAFETY: none, see above.
                    unsafe { *shared.0.get() += 1 };
                }
            });
        }
    });
}
