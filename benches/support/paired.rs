//! Rivals measured beside each other: in turns of about a millisecond, round after round, so that
//! all of them see the same moods of the machine.
//!
//! A round counts for a row only if its thread ran nearly all the time, by its CPU clock. What is
//! reported is the median and the quartiles over the rounds, and the median of the ratios *within*
//! a round: those hold even where the machine changes its speed every few seconds. Where one of
//! the rows reads the numbers to `f64` ([`Contest::numbers`]) every row is also compared with that
//! one. Each contest leaves its outcome in `target/tmp/bench`, where the report finds it; see
//! [`outcome`](super::outcome).

use std::time::{Duration, Instant};

use super::background::Beside;
use super::cpu::thread_cpu;
use super::outcome::{self, quartiles};

/// Rounds, unless `TICKCACHE_BENCH_ROUNDS` says otherwise.
const ROUNDS: usize = 41;
/// What one turn should take.
const TURN: Duration = Duration::from_millis(1);
/// How often a turn that was disturbed is repeated, before the last one is taken.
const TRIES: usize = 5;
/// A turn is disturbed if so much of the time on the wall went elsewhere.
const DISTURBED: f64 = 0.05;

/// A question, and who answers it.
pub(crate) struct Contest<'a> {
    name: String,
    rows: Vec<Row<'a>>,
    /// The row with the numbers read to `f64`, if there is one.
    numbers: Option<usize>,
    plan: Plan,
}

/// How often everybody has a turn, and how long that should be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) turn: Duration,
    /// Units of work before each turn that are not measured.
    pub(crate) warm: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rounds: ROUNDS,
            turn: TURN,
            warm: 0,
        }
    }
}

/// What one turn took.
struct Turn {
    counted: Duration,
    /// The part of the time on the wall that went elsewhere.
    elsewhere: f64,
}

/// Somebody who answers a question, and the turns taken so far.
pub(crate) struct Row<'a> {
    pub(crate) name: String,
    work: Box<dyn FnMut(u64) -> Turn + 'a>,
    /// What one unit of work counts for.
    per: f64,
    /// Units of work in a turn.
    turn: u64,
    /// Units of work before a turn, which do not count.
    warm: u64,
    pub(crate) nanos: Vec<f64>,
    pub(crate) disturbed: usize,
}

impl<'a> Contest<'a> {
    /// A question with this name, like `read/hot`. The first row is what the others are compared
    /// with.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            rows: Vec::new(),
            numbers: None,
            plan: Plan::default(),
        }
    }

    /// Turns of another length, where something has to get going first.
    pub(crate) fn turns_of(mut self, turn: Duration) -> Self {
        self.plan.turn = turn;
        self
    }

    /// Another number of rounds, where a turn cannot be short.
    pub(crate) fn rounds(mut self, rounds: usize) -> Self {
        self.plan.rounds = rounds;
        self
    }

    /// Before each turn everybody works so often without being measured: once round a working set
    /// that the rivals have put out of the caches meanwhile.
    pub(crate) fn warmed_by(mut self, units: u64) -> Self {
        self.plan.warm = units;
        self
    }

    /// Somebody who answers it: `work(n)` does it `n` times.
    pub(crate) fn row(self, name: impl Into<String>, work: impl FnMut(u64) + 'a) -> Self {
        self.row_of(name, 1.0, work)
    }

    /// As [`row`](Self::row), where one unit of work is `per` operations.
    pub(crate) fn row_of(
        mut self,
        name: impl Into<String>,
        per: f64,
        work: impl FnMut(u64) + 'a,
    ) -> Self {
        self.rows.push(Row::worked(name, per, work));
        self
    }

    /// As [`row`](Self::row), with something that happens only while it has its turn.
    pub(crate) fn row_beside(
        mut self,
        name: impl Into<String>,
        beside: &'a dyn Beside,
        work: impl FnMut(u64) + 'a,
    ) -> Self {
        self.rows.push(Row::beside(name, beside, work));
        self
    }

    /// As [`row_of`](Self::row_of), for work that says itself how much time counts.
    pub(crate) fn measured(
        mut self,
        name: impl Into<String>,
        per: f64,
        work: impl FnMut(u64) -> Duration + 'a,
    ) -> Self {
        self.rows.push(Row::measured(name, per, work));
        self
    }

    /// As [`row`](Self::row), for who measures itself: in another process, say.
    pub(crate) fn told(
        self,
        name: impl Into<String>,
        work: impl FnMut(u64) -> Duration + 'a,
    ) -> Self {
        self.measured(name, 1.0, work)
    }

    /// The row before reads the numbers to `f64`: all others are compared with it, too.
    pub(crate) fn numbers(mut self) -> Self {
        self.numbers = self.rows.len().checked_sub(1);
        self
    }

    /// Measures, prints a table, and leaves the figures for the report. Does nothing if the command
    /// line names another contest; does everything once if it is only tested.
    pub(crate) fn run(mut self) {
        if take_turns(&self.name, &mut self.rows, self.plan) {
            outcome::contest(&self.name, &self.rows, self.numbers);
        }
    }
}

/// Whether the command line asks for something of this name.
pub(crate) fn is_wanted(name: &str) -> bool {
    let mut filters = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .peekable();
    filters.peek().is_none() || filters.any(|filter| name.contains(&filter))
}

/// Whether everything is only to be done once.
pub(crate) fn is_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// Has every row take its turns; false if nothing was measured.
pub(crate) fn take_turns(name: &str, rows: &mut [Row<'_>], plan: Plan) -> bool {
    if !is_wanted(name) {
        return false;
    }
    if is_test() {
        for row in rows.iter_mut() {
            (row.work)(1);
        }
        println!("{name}: {} rows", rows.len());
        return false;
    }
    let rounds = std::env::var("TICKCACHE_BENCH_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(plan.rounds);
    for row in rows.iter_mut() {
        row.warm = row.warm.max(plan.warm);
        row.calibrate(plan.turn);
    }
    for _ in 0..rounds {
        rows.iter_mut().for_each(Row::take_turn);
    }
    true
}

impl<'a> Row<'a> {
    fn new(name: impl Into<String>, per: f64, work: impl FnMut(u64) -> Turn + 'a) -> Self {
        Self {
            name: name.into(),
            work: Box::new(work),
            per,
            turn: 1,
            warm: 0,
            nanos: Vec::new(),
            disturbed: 0,
        }
    }

    /// So often before each turn, unmeasured.
    pub(crate) fn warmed_by(mut self, units: u64) -> Self {
        self.warm = units;
        self
    }

    /// `work(n)` does it `n` times; each is `per` operations.
    pub(crate) fn worked(
        name: impl Into<String>,
        per: f64,
        mut work: impl FnMut(u64) + 'a,
    ) -> Self {
        Self::new(name, per, move |times| timed(|| work(times)))
    }

    /// The same, where the work says how much time counts.
    pub(crate) fn measured(
        name: impl Into<String>,
        per: f64,
        mut work: impl FnMut(u64) -> Duration + 'a,
    ) -> Self {
        Self::new(name, per, move |times| Turn {
            counted: work(times),
            elsewhere: 0.0,
        })
    }

    /// `work(n)` does it `n` times, with something beside it.
    pub(crate) fn beside(
        name: impl Into<String>,
        beside: impl Beside + 'a,
        mut work: impl FnMut(u64) + 'a,
    ) -> Self {
        Self::new(name, 1.0, move |times| {
            beside.begin();
            let mut turn = timed(|| work(times));
            if !beside.end() {
                turn.elsewhere = 1.0;
            }
            turn
        })
    }

    /// Finds out how often the work is to be done in one turn.
    fn calibrate(&mut self, turn: Duration) {
        loop {
            let took = (self.work)(self.turn).counted;
            if took >= turn / 2 {
                let factor = turn.as_secs_f64() / took.as_secs_f64();
                self.turn = ((self.turn as f64 * factor) as u64).max(1);
                return;
            }
            self.turn *= 2;
        }
    }

    fn take_turn(&mut self) {
        for left in (0..TRIES).rev() {
            if self.warm > 0 {
                (self.work)(self.warm);
            }
            let turn = (self.work)(self.turn);
            let disturbed = turn.elsewhere > DISTURBED;
            if !disturbed || left == 0 {
                self.disturbed += usize::from(disturbed);
                let nanos = turn.counted.as_nanos() as f64 / (self.turn as f64 * self.per);
                self.nanos.push(nanos);
                return;
            }
        }
    }

    /// Whether more than a quarter of the turns were disturbed, for all the tries.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.disturbed > self.nanos.len() / 4
    }

    /// Quartiles of what it takes, as a multiple of what another takes in the same round.
    pub(crate) fn ratio_to(&self, other: &Self) -> [f64; 3] {
        let ratios: Vec<_> = self
            .nanos
            .iter()
            .zip(&other.nanos)
            .map(|(own, reference)| own / reference)
            .collect();
        quartiles(&ratios)
    }
}

/// The CPU time that something takes, and how much else happened meanwhile.
fn timed(work: impl FnOnce()) -> Turn {
    let (start, before) = (Instant::now(), thread_cpu());
    work();
    let (counted, wall) = (thread_cpu() - before, start.elapsed());
    Turn {
        counted,
        elsewhere: wall.saturating_sub(counted).as_secs_f64() / wall.as_secs_f64(),
    }
}
