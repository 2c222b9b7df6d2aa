//! Whole connections that are cut, over TLS, in every way there is: the server is killed, or falls
//! into a black hole; the connection hangs half open; who comes back is shown a wrong certificate,
//! a 503, or nothing at all for too long.
//!
//! Each cut is known before it heals: nothing is live. Once the door is as it should be, a fresh
//! value comes within the longest back-off and one second. `CUTS=1000` makes so many cuts, holds
//! each of them to that, and says how long it took; without it there are a few, which are held to
//! everything but the time.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use tickcache::feed::{Jitter, Rule};
use tickcache::{Backoff, Feed, Roots};

use crate::desk::{Desk, Tally};
use crate::door::{Door, Mode, Pause};
use crate::random::Random;
use crate::seeds::number;
use crate::wire::Wire;
use crate::world::World;

const DEAD_AFTER: Duration = Duration::from_millis(500);
const SILENT_AFTER: Duration = Duration::from_millis(250);
/// For the TCP connection, and for both handshakes.
const ATTEMPT: Duration = Duration::from_millis(300);
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(25),
    factor: 2,
    max: Duration::from_millis(400),
    jitter: Jitter::Half,
};
/// After so many failures in a row a pause is the longest.
const LONGEST: u32 = 4;
/// The bound, from the moment at which the door is as it should be.
const WITHIN: Duration = Duration::from_millis(400 + 1000);

/// Markets at a time, when there are many cuts.
const TOGETHER: u64 = 8;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Killed,
    BlackHole,
    HalfOpen,
    BadTls,
    Refuses,
    Slow,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Killed,
        Self::BlackHole,
        Self::HalfOpen,
        Self::BadTls,
        Self::Refuses,
        Self::Slow,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::BlackHole => "black hole",
            Self::HalfOpen => "half open",
            Self::BadTls => "TLS failure",
            Self::Refuses => "503",
            Self::Slow => "slow handshake",
        }
    }
}

/// One market, one door, one feed.
struct Run {
    desk: Desk,
    door: Door,
    random: Random,
    tally: Tally,
}

impl Run {
    fn start(seed: u64) -> Self {
        let rule = Rule::ContiguousPerKey;
        let world = World::start(rule, seed);
        let door = Door::start(world.address);
        let url = format!("wss://{}/", door.address);
        let roots = Roots::Pem(door.pem.clone().into_bytes());
        let feed = Feed::custom(Wire { rule, url })
            .connect(|connect| connect.roots(roots))
            .backoff(BACKOFF)
            .settings(|settings| {
                settings.dead_after = DEAD_AFTER;
                settings.silent_after = SILENT_AFTER;
                settings.connect_timeout = ATTEMPT;
                settings.handshake_timeout = ATTEMPT;
                settings.close_timeout = Duration::from_millis(5);
            });
        Self {
            desk: Desk::start(world, feed, Duration::from_millis(4)),
            door,
            random: Random::new(seed ^ 0xc0_7500),
            tally: Tally::default(),
        }
    }

    /// One cut, from its beginning to its end.
    fn cut(&mut self, kind: Kind) {
        let before = self.desk.feed.counters();
        let time = self.random.millis(0, 1200);
        let some = 1 + time.as_millis() as u64 % 5;
        let mut bound = WITHIN;
        match kind {
            Kind::HalfOpen => {
                // Its end is its beginning: who comes back is let in.
                bound += DEAD_AFTER;
                self.door.strands();
                let began = Instant::now();
                self.desk.is_told();
                self.heals(kind, began, bound);
                return self.counts(kind, &before);
            }
            Kind::Killed | Kind::BlackHole => {
                let mode = match kind {
                    Kind::Killed => Mode::Killed,
                    _ => Mode::BlackHole,
                };
                self.door.breaks(mode);
                self.desk.is_told();
                self.desk.plays(time);
            }
            Kind::BadTls => self.breaks(Mode::BadTls, some),
            // Long enough for pauses to be the longest.
            Kind::Refuses => self.breaks(Mode::Refuses, u64::from(LONGEST) + 3),
            Kind::Slow => self.breaks(Mode::Slow, some.min(2)),
        }
        self.door.heals();
        self.heals(kind, Instant::now(), bound);
        self.counts(kind, &before);
    }

    /// Those who come are refused until so many attempts have failed.
    fn breaks(&self, mode: Mode, failures: u64) {
        let failed = || self.desk.feed.counters().failures;
        let enough = failed() + failures;
        self.door.breaks(mode);
        self.desk.is_told();
        self.desk.until("attempts that fail", || failed() >= enough);
    }

    fn heals(&mut self, kind: Kind, since: Instant, bound: Duration) {
        let healed = self.desk.heals(since);
        self.tally.note(kind.name(), healed, bound, Duration::ZERO);
    }

    /// The engine has seen what there was to be seen.
    fn counts(&self, kind: Kind, before: &tickcache::CounterValues) {
        let now = self.desk.feed.counters();
        let losses = now.losses - before.losses;
        assert_eq!(now.opens - before.opens, losses, "{kind:?} {now:?}");
        // A black hole may heal before the connection is given up.
        assert!(
            losses >= u64::from(!matches!(kind, Kind::BlackHole)),
            "{kind:?}"
        );
    }

    /// Ends the run; gives its times, and what it has seen of pauses.
    fn end(self) -> (Tally, Vec<Pause>) {
        self.desk.end();
        let seen = self.door.seen();
        assert_eq!(seen.at_once, 0, "two connections at a time");
        (self.tally, seen.pauses)
    }
}

#[test]
fn every_cut_heals_with_one_attempt_at_a_time() {
    let asked = number("CUTS");
    let cuts = asked.unwrap_or(12);
    let together = TOGETHER.min(cuts / Kind::ALL.len() as u64).max(1);
    let ended = Mutex::new((Tally::default(), Vec::new()));
    thread::scope(|scope| {
        for seed in 0..together {
            let ended = &ended;
            scope.spawn(move || {
                let mut run = Run::start(seed);
                for cut in (seed..cuts).step_by(together as usize) {
                    // Each kind in turn, in every run.
                    let turn = cut / together + seed;
                    run.cut(Kind::ALL[turn as usize % Kind::ALL.len()]);
                }
                let (tally, mut pauses) = run.end();
                let mut ended = ended.lock().expect("no panic");
                ended.0.merge(tally);
                ended.1.append(&mut pauses);
            });
        }
    });
    let (tally, pauses) = ended.into_inner().expect("no panic");
    eprintln!("{tally}");
    let (made, late) = tally.counted();
    assert_eq!(made as u64, cuts);
    if asked.is_some() {
        assert_eq!(late, 0, "cuts that took longer than they may");
    }
    are_jittered(&pauses, asked.is_some());
}

/// No pause is shorter than half of what it would be without chance. Of the longest ones some are
/// hardly longer than that half, and some are hardly shorter than the whole.
#[track_caller]
fn are_jittered(pauses: &[Pause], is_many: bool) {
    let mut parts = Vec::new();
    for pause in pauses {
        // The loss of the connection was the first failure of the row.
        let longest = BACKOFF
            .first
            .saturating_mul(2_u32.saturating_pow(pause.failed));
        let least = BACKOFF.max.min(longest) / 2;
        assert!(pause.time >= least, "{pause:?}");
        // The others hold time of the attempt itself.
        if pause.failed >= LONGEST && pause.mode == Mode::Refuses {
            parts.push(pause.time.as_secs_f64() / BACKOFF.max.as_secs_f64());
        }
    }
    parts.sort_unstable_by(f64::total_cmp);
    if parts.len() < 8 {
        return;
    }
    let at = |part: usize| parts[(parts.len() * part).div_ceil(100).max(1) - 1];
    eprintln!(
        "{} of the longest pauses, as parts of {:?}: {:.2} to {:.2}, quartiles {:.2}, {:.2}, {:.2}",
        parts.len(),
        BACKOFF.max,
        at(0),
        at(100),
        at(25),
        at(50),
        at(75)
    );
    // A late machine makes pauses longer, never shorter.
    assert!(!is_many || at(25) < 0.75, "they are not spread: {parts:?}");
}
