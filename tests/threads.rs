//! Threads: closing joins every one, names those that do not end, and reconnecting for ever makes
//! none. Alone in its binary, and one test, because the threads of the whole process are counted.

#![cfg(target_os = "linux")]

mod kit;
mod server;

use std::collections::BTreeMap;
use std::fs;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kit::LONG;
use server::{Server, event};
use tickcache::feed::{
    Address, Backoff, Claims, Class, Covers, Outbox, Protocol, Refusal, Sink, Subscription,
};
use tickcache::json::Message;
use tickcache::{Cache, Feed};

/// The threads of this process by name, without those of the test and its server.
fn threads() -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").expect("Linux") {
        // A thread may end while the list is read.
        let Ok(name) = fs::read_to_string(task.expect("an entry").path().join("comm")) else {
            continue;
        };
        *names.entry(name.trim().to_owned()).or_insert(0) += 1;
    }
    names
}

/// The ends of threads that were joined may linger in the list for a moment.
fn settled(expected: &BTreeMap<String, usize>) -> Result<(), BTreeMap<String, usize>> {
    for _ in 0..10_000 {
        if threads() == *expected {
            return Ok(());
        }
        std::thread::yield_now();
    }
    Err(threads())
}

/// A protocol that, when it is told to, stays on the feed's thread until it is let go.
#[derive(Clone)]
struct Stuck {
    url: String,
    entered: Sender<()>,
    let_go: Arc<Mutex<Receiver<()>>>,
}

impl Protocol for Stuck {
    fn name(&self) -> &str {
        "stuck"
    }

    fn claims(&self) -> Claims {
        Claims {
            entities: Vec::new(),
            wildcard: false,
            covers: Covers::Nothing,
        }
    }

    fn address(&self, _wanted: &[&Subscription]) -> Option<Address> {
        Some(Address {
            url: self.url.clone(),
            carries: 0,
        })
    }

    fn message<'a, S: Sink>(
        &mut self,
        _message: &Message<'a>,
        _sink: &mut S,
        _out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        self.entered.send(()).expect("the test listens");
        let _ = self.let_go.lock().expect("one feed").recv_timeout(LONG);
        Ok(Class::Unmapped("stuck"))
    }
}

fn feed(server: &Server) -> Feed<tickcache::feed::presets::Events> {
    Feed::events()
        .whole()
        .url(&server.url())
        .backoff(Backoff::fixed(Duration::from_millis(1)))
        // The servers hold connections and never answer a goodbye.
        .settings(|settings| settings.close_timeout = Duration::from_millis(10))
}

#[test]
fn every_thread_is_joined_and_none_is_made_by_reconnecting() {
    let server = Server::start(|connection| connection.say(&event(1)).hold());
    let flapping = Server::start(|connection| connection.say(&event(2)).drop_it());
    let before = threads();

    // Two feeds, values, waiters, a closing.
    let cache = Cache::builder().build().expect("a cache");
    let steady = cache
        .attach(feed(&server).named("steady").entities(["job"]))
        .expect("attached");
    let flaps = cache
        .attach(feed(&flapping).named("flaps").entities(["other"]))
        .expect("attached");
    cache
        .entity("job")
        .slot(1)
        .wait_ready(LONG)
        .expect("the server says it");
    let names = threads();
    assert!(
        names.contains_key("feed-steady") && names.contains_key("feed-flaps"),
        "{names:?}"
    );
    let opens = |at_least: u64| {
        let mut seen = 0;
        while seen < at_least {
            let mut watch = flaps_watch(&cache);
            let _ = watch.wait(Duration::from_millis(5));
            seen = flaps.counters().opens;
        }
    };
    opens(20);
    let early = threads();
    opens(200);
    assert!(steady.counters().balanced());
    assert_eq!(steady.counters().opens, 1);
    assert!(
        threads().values().sum::<usize>() <= early.values().sum::<usize>() + 2,
        "{early:?}"
    );
    pollster::block_on(cache.close(LONG)).expect("every thread ends");
    assert_eq!(settled(&before), Ok(()), "after closing");
    assert!(flaps.counters().balanced(), "{:?}", flaps.counters());
    assert!(flaps.wait_finished(LONG).expect("it has ended").is_clean());

    // A runtime of the user's is left alone, and closing works on it.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    // Its thread has a name once it works.
    runtime
        .block_on(async { tokio::spawn(async {}).await })
        .expect("a task");
    let with_runtime = threads();
    runtime.block_on(async {
        let cache = Cache::builder().build().expect("a cache");
        cache.attach(feed(&server)).expect("attached");
        cache
            .entity("job")
            .slot(1)
            .ready(LONG)
            .await
            .expect("the server says it");
        cache.close(LONG).await.expect("every thread ends");
    });
    assert_eq!(settled(&with_runtime), Ok(()), "after closing on a runtime");
    drop(runtime);

    // Dropping a cache waits for nothing, but ends everything.
    let cache = Cache::builder().build().expect("a cache");
    let dropped = cache.attach(feed(&server)).expect("attached");
    let slot = cache.entity("job").slot(1);
    slot.wait_ready(LONG).expect("the server says it");
    drop(cache);
    assert!(dropped.wait_finished(LONG).expect("it ends").is_clean());
    drop(dropped);
    assert_eq!(settled(&before), Ok(()), "after dropping");
    assert!(!slot.freshness().is_live());

    // A straggler is named; closing again joins it.
    let (entered, inside) = channel();
    let (let_go, wait) = channel();
    let stuck = Stuck {
        url: server.url(),
        entered,
        let_go: Arc::new(Mutex::new(wait)),
    };
    let cache = Cache::builder().build().expect("a cache");
    cache.attach(Feed::custom(stuck)).expect("attached");
    inside
        .recv_timeout(LONG)
        .expect("the server says something");
    let error = cache
        .close_blocking(Duration::from_millis(20))
        .expect_err("one is stuck");
    assert_eq!(error.stragglers(), ["feed-stuck"]);
    assert!(error.is_retryable() && error.to_string().contains("feed-stuck"));
    let_go.send(()).expect("it waits");
    drop(let_go);
    cache.close_blocking(LONG).expect("now it ends");
    assert_eq!(settled(&before), Ok(()), "after the straggler");
}

fn flaps_watch(cache: &Cache) -> tickcache::Watch {
    let mut watch = cache.entity("other").slot(1).watch();
    watch.take();
    watch
}
