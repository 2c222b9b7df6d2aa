//! What goes wrong: the kinds of faults, which exchange each can happen to, and by which counter the
//! engine has to have seen it.

use std::time::Duration;

use fastrand::Rng;
use serde::Serialize;
use tickcache::feed::CounterValues;

use super::board::DEAD_AFTER;
use super::form::Form;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Cut,
    CutInFrame,
    Reset,
    BlackHole,
    HalfOpen,
    Stall,
    SmallPieces,
    Repeat,
    Gap,
    Garbage,
    IllegalFrame,
    Refuse,
    SlowHandshake,
    Restart,
    HangingFetch,
    Burst,
}

impl Kind {
    pub(crate) const ALL: [Self; 16] = [
        Self::Cut,
        Self::CutInFrame,
        Self::Reset,
        Self::BlackHole,
        Self::HalfOpen,
        Self::Stall,
        Self::SmallPieces,
        Self::Repeat,
        Self::Gap,
        Self::Garbage,
        Self::IllegalFrame,
        Self::Refuse,
        Self::SlowHandshake,
        Self::Restart,
        Self::HangingFetch,
        Self::Burst,
    ];

    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::CutInFrame => "cut in a frame",
            Self::Reset => "reset",
            Self::BlackHole => "black hole",
            Self::HalfOpen => "half open",
            Self::Stall => "stall",
            Self::SmallPieces => "small pieces",
            Self::Repeat => "repeat",
            Self::Gap => "gap",
            Self::Garbage => "garbage",
            Self::IllegalFrame => "illegal frame",
            Self::Refuse => "503",
            Self::SlowHandshake => "slow handshake",
            Self::Restart => "restart, state lost",
            Self::HangingFetch => "hanging fetch",
            Self::Burst => "burst",
        }
    }

    /// Whether it can happen to an exchange of this form, and be seen there.
    pub(crate) fn suits(self, form: Form) -> bool {
        form.has_faults()
            && match self {
                Self::Gap => form.sees_gaps(),
                Self::HangingFetch => form.fetches(),
                // The second connection repeats everything anyway; an event twice is an event.
                Self::Repeat => !matches!(form, Form::Pair | Form::Jobs),
                _ => true,
            }
    }

    /// Whether it takes connections away.
    pub(crate) fn loses(self) -> bool {
        matches!(
            self,
            Self::Cut
                | Self::CutInFrame
                | Self::Reset
                | Self::BlackHole
                | Self::HalfOpen
                | Self::IllegalFrame
                | Self::Refuse
                | Self::SlowHandshake
                | Self::Restart
        )
    }

    /// Whether it can happen to one connection of two.
    fn singles(self) -> bool {
        matches!(
            self,
            Self::Cut | Self::CutInFrame | Self::Reset | Self::HalfOpen | Self::IllegalFrame
        )
    }

    /// What the engine needs after its end, until it can know of it.
    pub(crate) fn noticed_after(self) -> Duration {
        match self {
            Self::HalfOpen | Self::BlackHole => DEAD_AFTER,
            _ => Duration::ZERO,
        }
    }

    /// How long it lasts, at least.
    fn length(self, rng: &mut Rng) -> Duration {
        let millis = |range| Duration::from_millis(range);
        match self {
            // Longer than it takes to notice.
            Self::BlackHole => DEAD_AFTER + millis(rng.u64(200..1000)),
            // Longer than silence, shorter than death.
            Self::Stall => millis(rng.u64(1200..1500)),
            Self::SmallPieces | Self::Refuse | Self::SlowHandshake | Self::Burst => {
                millis(rng.u64(300..1200))
            }
            Self::Restart => millis(rng.u64(100..600)),
            Self::HangingFetch => millis(rng.u64(400..900)),
            _ => Duration::ZERO,
        }
    }
}

/// One fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) form: Form,
    /// It happens to one connection of two.
    pub(crate) single: bool,
    pub(crate) length: Duration,
    /// Messages that are repeated or left out.
    pub(crate) count: usize,
}

/// The faults of a run, drawn by its seed: each kind comes once before any comes again.
#[derive(Debug)]
pub(crate) struct Deck {
    rng: Rng,
    kinds: Vec<Kind>,
}

impl Deck {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed ^ 0xfa01_7a01),
            kinds: Vec::new(),
        }
    }

    /// The next fault, of an exchange with so many ids.
    pub(crate) fn draw(&mut self, ids: usize) -> Fault {
        let rng = &mut self.rng;
        if self.kinds.is_empty() {
            self.kinds.extend(Kind::ALL);
            rng.shuffle(&mut self.kinds);
        }
        let kind = self.kinds.pop().unwrap_or(Kind::Cut);
        let forms: Vec<_> = Form::ALL
            .into_iter()
            .filter(|form| kind.suits(*form))
            .collect();
        let form = forms[rng.usize(..forms.len())];
        Fault {
            kind,
            form,
            single: form == Form::Pair && kind.singles() && rng.u8(..3) > 0,
            length: kind.length(rng),
            // Each id at most once, so that it can be said what becomes of each message.
            count: rng.usize(1..=ids.min(16)),
        }
    }
}

impl Fault {
    /// Whether the counters have moved as they must: `Ok` if so, else what is missing. `hit` is to
    /// how many connections it happened. Where `over`, it was so before, and nothing more may come.
    pub(crate) fn seen(&self, before: &Counted, now: &Counted, hit: u64, over: bool) -> Seen {
        if self.kind.loses() {
            at_least("losses", now.since(before, |now| now.losses), hit)?;
            at_least("opens", now.since(before, |now| now.opens), hit)?;
        }
        self.caught(before, now, hit, over)
    }

    /// The part of it that can be told while the fault lasts.
    pub(crate) fn caught(&self, before: &Counted, now: &Counted, hit: u64, over: bool) -> Seen {
        let moved = |of: fn(&CounterValues) -> u64| now.since(before, of);
        // A number that can be said exactly is, once everything is through, unless a connection was
        // lost for another reason.
        let alone = over && (self.kind.loses() || moved(|now| now.losses) == 0);
        let exactly = |name: &str, is: u64, wanted: u64| match over {
            false => at_least(name, is, wanted),
            true if alone && is > wanted => Err(format!("{name} moved by {is}, beyond {wanted}")),
            true => Ok(()),
        };
        match self.kind {
            Kind::Refuse => {
                let refused = now.refused - before.refused;
                at_least("refused handshakes", refused, 1)?;
                at_least("failures", moved(|now| now.failures), refused)
            }
            Kind::Restart => at_least("failures", moved(|now| now.failures), 1),
            Kind::Stall => at_least("silences", moved(|now| now.silences), 1),
            Kind::Repeat => {
                let dropped = moved(|now| now.duplicate + now.older + now.unchanged);
                at_least("repetitions", dropped, self.count as u64)
            }
            Kind::Gap if self.form == Form::Counted => exactly("gaps", moved(|now| now.gaps), hit),
            Kind::Gap => {
                let holes = now.holes - before.holes;
                at_least("holes", holes, 1)?;
                exactly("gaps", moved(|now| now.gaps), holes)
            }
            Kind::Garbage => exactly("refused messages", moved(|now| now.refused), hit),
            Kind::HangingFetch => {
                at_least("hung requests", now.hung - before.hung, 1)?;
                let given_up = now.timed_out - before.timed_out;
                at_least("fetches that were given up", given_up, 1)
            }
            Kind::SmallPieces | Kind::Burst => at_least("messages", moved(|now| now.messages), 1),
            _ => Ok(()),
        }
    }
}

/// What is missing, if anything is.
pub(crate) type Seen = Result<(), String>;

fn at_least(name: &str, is: u64, least: u64) -> Seen {
    if is >= least {
        return Ok(());
    }
    Err(format!("{name} moved by {is}, not by {least}"))
}

/// What the engine has counted for a feed, and what its exchange and its fetchers have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) engine: CounterValues,
    /// Holes in the numbering that the exchange has told of.
    pub(crate) holes: u64,
    /// Handshakes that were answered with 503.
    pub(crate) refused: u64,
    /// Requests that were never answered, and those that were given up.
    pub(crate) hung: u64,
    pub(crate) timed_out: u64,
}

impl Counted {
    fn since(&self, before: &Self, of: fn(&CounterValues) -> u64) -> u64 {
        of(&self.engine).saturating_sub(of(&before.engine))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: Kind, form: Form) -> Fault {
        Fault {
            kind,
            form,
            single: false,
            length: Duration::ZERO,
            count: 3,
        }
    }

    /// Every kind comes before any comes twice, to exchanges where it can be seen; the same seed
    /// draws the same.
    #[test]
    fn a_deck_has_every_kind_once() {
        let (mut deck, mut again) = (Deck::new(4), Deck::new(4));
        for _ in 0..5 {
            let mut kinds: Vec<_> = (0..Kind::ALL.len())
                .map(|_| {
                    let (fault, same) = (deck.draw(9), again.draw(9));
                    assert_eq!((fault.kind, fault.form), (same.kind, same.form));
                    assert!(fault.kind.suits(fault.form) && (1..=9).contains(&fault.count));
                    fault.kind
                })
                .collect();
            kinds.sort_unstable();
            let mut all = Kind::ALL;
            all.sort_unstable();
            assert_eq!(kinds, all);
        }
    }

    /// A gap that was not counted, was counted twice, or a loss without a new connection: each is
    /// noticed.
    #[test]
    fn counters_have_to_move_by_as_much() {
        let counted = |change: &dyn Fn(&mut CounterValues)| {
            let mut counted = Counted::default();
            change(&mut counted.engine);
            counted.holes = counted.engine.gaps.min(8);
            counted
        };
        let gaps = |gaps| counted(&|engine| engine.gaps = gaps);
        let gap = fault(Kind::Gap, Form::Chain);
        let one_more = Counted {
            holes: 8,
            ..gaps(7)
        };
        assert!(gap.seen(&gaps(5), &one_more, 1, false).is_err());
        assert!(gap.seen(&gaps(5), &gaps(8), 1, true).is_ok());
        assert!(gap.seen(&gaps(5), &gaps(9), 1, true).is_err());
        let lost =
            |losses, opens| counted(&|engine| (engine.losses, engine.opens) = (losses, opens));
        let cut = fault(Kind::Cut, Form::Pair);
        assert!(cut.seen(&lost(1, 2), &lost(3, 3), 2, true).is_err());
        assert!(cut.seen(&lost(1, 2), &lost(3, 4), 2, true).is_ok());
    }
}
