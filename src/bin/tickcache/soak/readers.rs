//! Everybody who reads while the faults happen: a thread that looks at everything all the time, one
//! that spins, one that takes snapshots and cuts and keeps them, tasks that watch every slot, follow
//! every entity and observe every query, and a thread that blocks.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tickcache::cache::WaitError;
use tickcache::key;
use tokio::task::LocalSet;

use super::audit::{Audit, Looks};
use super::beat;
use super::board::Line;
use super::form::Form;
use super::problems::Problems;
use super::sleepers::{Seen, Sleepers};
use crate::tally::Tally;

/// Time between two looks at everything.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How long a spinning reader stays with a slot, and how long it rests afterwards: on a machine
/// with few cores it would take one from those that it watches.
const SPIN: Duration = Duration::from_millis(2);
const REST: Duration = Duration::from_millis(30);

/// Time between two snapshots.
const TAKE_EVERY: Duration = Duration::from_millis(3);

/// Snapshots that are kept for a while.
const KEPT: usize = 64;

/// How long a blocking reader waits at a time.
const WAIT: Duration = Duration::from_millis(100);

/// What all readers share.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) lines: Vec<Line>,
    pub(crate) problems: Arc<Problems>,
    pub(crate) beat: Arc<beat::Shared>,
    pub(crate) looks: Arc<Looks>,
    pub(crate) spun: Arc<Looks>,
    pub(crate) woken: Arc<Looks>,
    /// Snapshots and cuts.
    pub(crate) taken: AtomicU64,
    pub(crate) cuts: AtomicU64,
    /// Changes told by entities, and states told by queries.
    pub(crate) changes: AtomicU64,
    pub(crate) states: AtomicU64,
    seen: Seen,
    stop: AtomicBool,
}

impl Desk {
    pub(crate) fn new(lines: Vec<Line>, problems: Arc<Problems>, beat: Arc<beat::Shared>) -> Self {
        let ids: Vec<_> = lines.iter().map(|line| line.slots.len()).collect();
        Self {
            seen: Seen::new(&ids),
            lines,
            problems,
            beat,
            looks: Arc::default(),
            spun: Arc::default(),
            woken: Arc::default(),
            taken: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            states: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    /// Each watcher by line and id, what it has seen last, and what there is.
    fn watched(&self) -> impl Iterator<Item = ((usize, usize), (u64, u64))> {
        let line = |(at, line): (usize, &'_ Line)| {
            let slots = line.slots.iter().enumerate();
            slots
                .map(|(id, slot)| {
                    // In this order: what is seen meanwhile is no more than there is.
                    let seen = self.seen.of(at, id);
                    ((at, id), (seen, slot.epoch()))
                })
                .collect::<Vec<_>>()
        };
        self.lines.iter().enumerate().flat_map(line)
    }

    fn sleeper(&self, (at, id): (usize, usize), (seen, epoch): (u64, u64)) -> String {
        let name = self.lines[at].form.name();
        format!("the watcher of {name}/{id} has seen epoch {seen}, there is {epoch}")
    }

    /// Watchers that have not seen the newest version of their slot.
    pub(crate) fn asleep_on_news(&self) -> Vec<String> {
        let behind = self.watched().filter(|(_, (seen, epoch))| seen != epoch);
        behind
            .map(|(whose, epochs)| self.sleeper(whose, epochs))
            .collect()
    }

    /// What the feeds have counted, those of all caches.
    pub(crate) fn tally(&self) -> Tally {
        let counted = |line: &Line| (line.form.name().to_owned(), line.feed.counters());
        Tally::of(self.lines.iter().map(counted))
    }

    fn audit(&self, who: &'static str, looks: &Arc<Looks>) -> Audit {
        let ids: Vec<_> = self.lines.iter().map(|line| line.slots.len()).collect();
        Audit::new(who, &ids, looks, &self.problems, &self.beat)
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Relaxed)
    }
}

/// What a thread does.
type Body = Box<dyn FnOnce(&Arc<Desk>) + Send>;

/// The threads. They end when told to, and when the cache is closed.
#[derive(Debug)]
pub(crate) struct Readers {
    desk: Arc<Desk>,
    threads: Vec<(&'static str, JoinHandle<()>)>,
}

impl Readers {
    pub(crate) fn start(desk: &Arc<Desk>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let mut threads = Vec::new();
        let mut start = |name: &'static str, body: Body| {
            let desk = Arc::clone(desk);
            let thread = std::thread::Builder::new()
                .name(name.into())
                .spawn(move || body(&desk))?;
            threads.push((name, thread));
            Ok::<_, io::Error>(())
        };
        start("soak-look", Box::new(|desk| look(desk)))?;
        start("soak-spin", Box::new(|desk| spin(desk)))?;
        start("soak-take", Box::new(|desk| take(desk)))?;
        start("soak-wait", Box::new(|desk| wait(desk)))?;
        start(
            "soak-tasks",
            Box::new(move |desk| {
                let tasks = LocalSet::new();
                watch(desk, &tasks);
                runtime.block_on(tasks);
            }),
        )?;
        Ok(Self {
            desk: Arc::clone(desk),
            threads,
        })
    }

    /// Tells those that do not wait for the cache to end.
    pub(crate) fn stop(&self) {
        self.desk.stop.store(true, Relaxed);
    }

    /// Waits for all of them, once the cache is closed.
    pub(crate) fn join(self) {
        for (name, thread) in self.threads {
            if thread.join().is_err() {
                let problems = &self.desk.problems;
                problems.add("no thread panics", || name.to_owned());
            }
        }
    }
}

/// Looks at every value and every watcher, again and again.
fn look(desk: &Desk) {
    let mut audit = desk.audit("a reader", &desk.looks);
    let ids: Vec<_> = desk.lines.iter().map(|line| line.slots.len()).collect();
    let mut sleepers = Sleepers::new(&ids, Instant::now());
    while desk.goes_on() {
        let (now, late) = (Instant::now(), desk.beat.late());
        for (whose, epochs) in desk.watched() {
            if sleepers.is_asleep(whose, epochs, now, late) {
                let told = || desk.sleeper(whose, epochs);
                desk.problems.add("no waiter sleeps on news", told);
            }
        }
        for (at, line) in desk.lines.iter().enumerate() {
            for id in 0..line.slots.len() {
                audit.look(at, line, id);
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Spins on one value of the undisturbed feed after the other: it moves at any time.
fn spin(desk: &Desk) {
    let mut audit = desk.audit("a spinning reader", &desk.spun);
    let clean = desk.lines.iter().position(|line| line.form == Form::Clean);
    let Some((at, line)) = clean.map(|at| (at, &desk.lines[at])) else {
        return;
    };
    for id in (0..line.slots.len()).cycle() {
        let began = Instant::now();
        let ended = line.slots[id].spin(|reader| {
            let now = line.exchange.now();
            audit.judge(at, &line.claims(), id, &line.look_by(reader), now);
            if began.elapsed() >= SPIN || !desk.goes_on() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        if ended.is_err() || !desk.goes_on() {
            return;
        }
        std::thread::sleep(REST);
    }
}

/// Takes snapshots and cuts, keeps them while the slots move on, and looks whether they are still
/// what they were.
fn take(desk: &Desk) {
    let mut rng = fastrand::Rng::with_seed(0x7a6e);
    let mut kept = VecDeque::new();
    while desk.goes_on() {
        let line = &desk.lines[rng.usize(..desk.lines.len())];
        let id = rng.usize(..line.slots.len());
        let snapshot = line.slots[id].snapshot();
        let text = snapshot.record().to_json();
        check_text(desk, line, id, &text, snapshot.freshness().is_live());
        desk.taken.fetch_add(1, Relaxed);
        kept.push_back((snapshot, text));
        if kept.len() > KEPT
            && let Some((old, text)) = kept.pop_front()
            && old.record().to_json() != text
        {
            let changed = || format!("{}: was {text}", line.form.name());
            desk.problems.add("a snapshot never changes", changed);
        }
        let other = rng.usize(..line.slots.len());
        // It may be refused where the slots move too fast; jobs are written by whoever owns them.
        if let Ok(cut) = line.cache.cut([&line.slots[id], &line.slots[other]]) {
            desk.cuts.fetch_add(1, Relaxed);
            let records = cut.records().zip(cut.freshness()).zip([id, other]);
            for ((record, freshness), id) in records {
                check_text(desk, line, id, &record.to_json(), freshness.is_live());
            }
        }
        std::thread::sleep(TAKE_EVERY);
    }
}

fn check_text(desk: &Desk, line: &Line, id: usize, text: &str, live: bool) {
    let must_check = live || !line.form.is_patched();
    if let Ok(value @ Json::Object(_)) = serde_json::from_str(text)
        && must_check
        && !super::truth::checks(&value, id)
    {
        let told = || format!("{}/{id}: {text}", line.form.name());
        desk.problems
            .add("a snapshot is one version of the source's", told);
    }
}

/// Waits for one value with a blocked thread.
fn wait(desk: &Desk) {
    let Some((line, slot)) = desk
        .lines
        .iter()
        .find_map(|line| Some((line, line.slots.first()?)))
    else {
        return;
    };
    let (mut watch, mut last) = (slot.watch(), 0);
    while desk.goes_on() {
        match watch.wait(WAIT) {
            Ok(tick) => {
                let back = tick.epoch() < last;
                if back {
                    let told = || format!("a blocked thread of {}", line.form.name());
                    desk.problems.add("epochs never go back", told);
                }
                last = tick.epoch();
            }
            Err(WaitError::TimedOut) => {}
            Err(_) => return,
        }
    }
}

/// A task for every slot, entity and query.
fn watch(desk: &Arc<Desk>, tasks: &LocalSet) {
    for (at, line) in desk.lines.iter().enumerate() {
        for id in 0..line.slots.len() {
            tasks.spawn_local(watch_slot(Arc::clone(desk), at, id));
        }
        tasks.spawn_local(follow(Arc::clone(desk), at));
        if line.form == Form::Jobs {
            for id in 0..line.slots.len() {
                tasks.spawn_local(observe(Arc::clone(desk), at, id));
            }
        }
    }
}

async fn watch_slot(desk: Arc<Desk>, at: usize, id: usize) {
    let line = &desk.lines[at];
    let mut last = 0;
    let mut watch = line.slots[id].watch();
    while let Ok(tick) = watch.changed().await {
        let live = tick.freshness().is_live();
        if tick.epoch() < last {
            let told = || format!("a watcher of {}/{id}", line.form.name());
            desk.problems.add("epochs never go back", told);
        }
        last = tick.epoch();
        if desk.goes_on() && last.is_multiple_of(16) {
            let text = tick.snapshot().record().to_json();
            check_text(&desk, line, id, &text, live);
        }
        let looks = &desk.woken;
        let count = if live { &looks.live } else { &looks.stale };
        count.fetch_add(1, Relaxed);
        desk.seen.note(at, id, last);
    }
}

async fn follow(desk: Arc<Desk>, at: usize) {
    let mut changes = desk.lines[at].entity.changes();
    while let Ok(polled) = changes.next(|_| {}).await {
        desk.changes.fetch_add(polled.slots as u64, Relaxed);
        // Under full load there is always a change: the other tasks must get their turn.
        tokio::task::yield_now().await;
    }
}

async fn observe(desk: Arc<Desk>, at: usize, id: usize) {
    let line = &desk.lines[at];
    let key = key![line.form.entity(), id as u64];
    let mut query = line.cache.query::<Json>(key).observe();
    while let Ok(state) = query.changed().await {
        desk.states.fetch_add(1, Relaxed);
        if let Some(value) = state.data()
            && !super::truth::checks(value, id)
        {
            let told = || format!("{}/{id}: {value}", line.form.name());
            desk.problems
                .add("an observer is shown one version of the source's", told);
        }
    }
}
