//! A data race and a use after free, planted: what the sanitizers have to report before their silence
//! means anything. `.ci/sanitize` compiles them, with `--cfg tickcache_planted`; nothing else does.

#![allow(unsafe_code, reason = "both are what this is for")]

use std::cell::UnsafeCell;
use std::hint::black_box;
use std::thread;

struct Shared(UnsafeCell<u64>);

// SAFETY: none. Two threads write to it at once.
unsafe impl Sync for Shared {}

#[test]
fn planted_for_thread() {
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

#[test]
fn planted_for_address() {
    let freed = {
        let value = Box::new(7_u64);
        black_box(&raw const *value)
    };
    // SAFETY: none. The value is gone.
    assert_eq!(black_box(unsafe { freed.read() }), 7);
}
