//! The thread that makes the faults happen, one at a time, and holds the engine to what must follow:
//! that it is counted, that fresh values come within the bound, and that everything heals.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tickcache::cache::Reasons;

use super::board::{BACKOFF, Line, SLACK};
use super::exchange::{Conditions, Order};
use super::fault::{Counted, Deck, Fault, Kind};
use super::form::Form;
use super::readers::Desk;

/// How long a fault is made to last at most, where the engine has not noticed it yet.
const HOLD: Duration = Duration::from_secs(10);

/// A hanging fetch is tried again for longer than this.
const HOLD_FETCH: Duration = Duration::from_secs(2);

/// How long everything may take to heal. It is no promise of the engine: how often an id moves, and
/// how many values are fetched in a second, is a matter of settings.
const HEAL: Duration = Duration::from_secs(30);

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How late a handshake is answered.
const SLOW_HANDSHAKE: Duration = Duration::from_millis(900);

/// What became of one fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) fault: Fault,
    /// From its end until a value was live that was made after it, and until all were.
    pub(crate) first: Option<Duration>,
    pub(crate) all: Option<Duration>,
    /// What `first` may be.
    pub(crate) bound: Duration,
    /// What of the bound was granted because the machine was late.
    pub(crate) late: Duration,
}

/// The thread. Dropping it lets it run on; it ends with the cache's readers.
#[derive(Debug)]
pub(crate) struct Driver {
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Driver {
    /// Makes a fault every so often, drawn by the seed.
    pub(crate) fn start(desk: &Arc<Desk>, seed: u64, every: Duration) -> io::Result<Self> {
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = mpsc::channel();
        let (told, desk) = (Arc::clone(&outcomes), Arc::clone(desk));
        let thread = std::thread::Builder::new()
            .name("soak-faults".into())
            .spawn(move || {
                let (mut deck, began) = (Deck::new(seed), Instant::now());
                let mut due = every;
                // Ended by word, and by the end of its handle.
                let wait =
                    |due: Duration| stopped.recv_timeout(due.saturating_sub(began.elapsed()));
                while let Err(RecvTimeoutError::Timeout) = wait(due) {
                    due = (due + every).max(began.elapsed());
                    let fault = deck.draw(desk.lines.first().map_or(1, |line| line.slots.len()));
                    if let Some(outcome) = happens(&desk, fault) {
                        lock(&told).push(outcome);
                    }
                }
            })?;
        Ok(Self {
            outcomes,
            stop,
            thread,
        })
    }

    /// What became of the faults so far.
    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        lock(&self.outcomes).clone()
    }

    /// Ends it, once the fault of the moment is healed. Gives all outcomes.
    pub(crate) fn stop(self) -> Result<Vec<Outcome>, &'static str> {
        // It may have ended by a panic, which the next line tells.
        let _ = self.stop.send(());
        self.thread
            .join()
            .map_err(|_| "the thread of the faults panicked")?;
        Ok(lock(&self.outcomes).clone())
    }
}

fn lock(outcomes: &Mutex<Vec<Outcome>>) -> MutexGuard<'_, Vec<Outcome>> {
    outcomes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until every line is healthy: all values live, all connections there.
pub(crate) fn healthy(desk: &Desk, within: Duration) -> bool {
    let began = Instant::now();
    while began.elapsed() < within + desk.beat.late() {
        if desk.lines.iter().all(|line| is_fresh(line, 0)) {
            return true;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    for line in desk.lines.iter().filter(|line| !is_fresh(line, 0)) {
        desk.problems
            .add("everything is live at the start", || unhealed(line, 0));
    }
    false
}

fn counted(line: &Line) -> Counted {
    // The engine's first: it has counted nothing yet that is not told of.
    let engine = line.feed.counters();
    Counted {
        engine,
        holes: line.exchange.told.holes.load(Relaxed),
        refused: line.exchange.told.refused.load(Relaxed),
        hung: line.exchange.told.hung.load(Relaxed),
        timed_out: line.fetches.timed_out.load(Relaxed),
    }
}

/// Whether every value is live and was made at that time or later.
fn is_fresh(line: &Line, at: u64) -> bool {
    line.is_whole() && (0..line.slots.len()).all(|id| is_live(line, id, at))
}

fn is_live(line: &Line, id: usize, at: u64) -> bool {
    let look = line.look(id);
    look.freshness.is_live() && look.value.at >= at
}

/// What is not live yet.
fn unhealed(line: &Line, at: u64) -> String {
    let sick: Vec<_> = (0..line.slots.len())
        .filter(|id| !is_live(line, *id, at))
        .collect();
    let first = sick.first().map_or_else(
        || "all values are fresh".to_owned(),
        |id| format!("first {id}: {:?}", line.look(*id)),
    );
    let (name, all) = (line.form.name(), line.slots.len());
    format!(
        "{name}: {} of {all} values are not live and newer than {at} us; {first}; {}",
        sick.len(),
        line.standing()
    )
}

/// Makes a fault happen, and waits until it is healed. `None` if there is no such line.
fn happens(desk: &Desk, fault: Fault) -> Option<Outcome> {
    let line = desk.lines.iter().find(|line| line.form == fault.form)?;
    let before = counted(line);
    let mut stale_moments = 0_u64;
    let hit = begins(line, &fault);
    let began = Instant::now();
    let hold = match fault.kind {
        Kind::HangingFetch => HOLD_FETCH,
        _ => HOLD,
    };
    let lasts = !fault.length.is_zero();
    while lasts
        && (began.elapsed() < fault.length
            || (began.elapsed() < hold
                && fault.caught(&before, &counted(line), hit, false).is_err()))
    {
        std::thread::sleep(LOOK_EVERY);
    }
    line.exchange
        .change(|conditions| *conditions = Conditions::FINE);
    let (ended, ended_at) = (Instant::now(), line.exchange.now());
    let (mut first, mut all) = (None, None);
    let mut late = desk.beat.late();
    let mut missing = fault.seen(&before, &counted(line), hit, false);
    while ended.elapsed() < HEAL + late && (all.is_none() || missing.is_err()) {
        late = late.max(desk.beat.late());
        let ids = 0..line.slots.len();
        if first.is_none() && ids.clone().any(|id| is_live(line, id, ended_at)) {
            first = Some(ended.elapsed());
        }
        if all.is_none() && !line.exchange.is_dropping() && is_fresh(line, ended_at) {
            all = Some(ended.elapsed());
        }
        // A machine that stands still takes the other connection as well.
        if fault.single && desk.beat.late() < SLACK {
            let looks = ids.map(|id| line.look(id).freshness.reasons());
            let gone = looks.filter(|reasons| reasons.contains(Reasons::DISCONNECTED));
            stale_moments += gone.count() as u64;
        }
        missing = fault.seen(&before, &counted(line), hit, false);
        std::thread::sleep(LOOK_EVERY);
    }
    if missing.is_ok() {
        missing = fault.seen(&before, &counted(line), hit, true);
    }
    let bound = BACKOFF.max + SLACK + fault.kind.noticed_after() + late;
    let told = |what: String| {
        let (kind, name) = (fault.kind.name(), line.form.name());
        let single = if fault.single {
            ", one of two connections"
        } else {
            ""
        };
        move || format!("{kind} of {name}{single}: {what}")
    };
    let problems = &desk.problems;
    if let Err(missing) = missing {
        problems.add("every fault is seen in a counter", told(missing));
    }
    if first.is_none_or(|first| first > bound) {
        let how = format!(
            "{first:?}, the bound is {bound:?}; {}",
            unhealed(line, ended_at)
        );
        problems.add("a fresh value comes within the bound", told(how));
    }
    if all.is_none() {
        problems.add("everything heals", told(unhealed(line, ended_at)));
    }
    if stale_moments > 0 {
        let how = format!("{stale_moments} values read as disconnected");
        problems.add("one connection of two is enough", told(how));
    }
    Some(Outcome {
        fault,
        first,
        all,
        bound,
        late,
    })
}

/// Makes it begin; to how many connections it happens.
fn begins(line: &Line, fault: &Fault) -> u64 {
    let exchange = &line.exchange;
    let order = |order| exchange.order(&order, fault.single) as u64;
    match fault.kind {
        Kind::Cut => order(Order::Cut),
        Kind::CutInFrame => order(Order::Truncate),
        Kind::Reset => order(Order::Reset),
        Kind::HalfOpen => order(Order::Forget),
        Kind::Garbage => order(Order::Garbage),
        Kind::IllegalFrame => order(Order::Illegal),
        Kind::Repeat => order(Order::Repeat(fault.count)),
        Kind::Gap if line.form == Form::Counted => order(Order::Skip(fault.count as u64)),
        Kind::Gap => {
            exchange.drop_next(fault.count);
            1
        }
        Kind::BlackHole => {
            exchange.change(|conditions| conditions.reachable = false);
            order(Order::Forget)
        }
        Kind::Stall => {
            exchange.change(|conditions| conditions.moving = false);
            0
        }
        Kind::SmallPieces => {
            exchange.change(|conditions| conditions.chopped = true);
            0
        }
        Kind::Burst => {
            exchange.change(|conditions| conditions.bursting = true);
            0
        }
        Kind::Refuse => {
            exchange.change(|conditions| conditions.refusing = true);
            order(Order::Cut)
        }
        Kind::SlowHandshake => {
            exchange.change(|conditions| conditions.handshake_delay = SLOW_HANDSHAKE);
            order(Order::Cut)
        }
        Kind::Restart => {
            exchange.change(|conditions| conditions.listening = false);
            let hit = order(Order::Reset);
            exchange.lose_state();
            hit
        }
        Kind::HangingFetch => {
            exchange.change(|conditions| conditions.hanging = true);
            if line.form == Form::Chain {
                exchange.drop_next(fault.count);
            }
            0
        }
    }
}
