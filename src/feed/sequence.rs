//! Which of two updates is the newer one: the rule is chosen for each source, as a type.
//!
//! Exchanges number their messages in different ways, and a wrong rule either raises false alarms
//! (+1 demanded of a counter that jumps) or loses updates (an equal number dropped where numbers
//! repeat). Everything here is pure: what is held comes in, a [`Verdict`] comes out.

/// Where an update stands in its source's numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sequence {
    /// First number the update covers; equal to `last` for most sources.
    pub first: u64,
    /// Last number the update covers. This is the one that is kept with the value.
    pub last: u64,
    /// The number that the source says came before, where it names one ([`Rule::Chained`]).
    pub previous: Option<u64>,
}

impl Sequence {
    /// An update with one number.
    #[must_use]
    pub const fn at(number: u64) -> Self {
        Self {
            first: number,
            last: number,
            previous: None,
        }
    }

    /// An update that stands for all numbers from `first` to `last`.
    #[must_use]
    pub const fn range(first: u64, last: u64) -> Self {
        Self {
            first,
            last,
            previous: None,
        }
    }

    /// An update that names its predecessor.
    #[must_use]
    pub const fn after(previous: u64, last: u64) -> Self {
        Self {
            first: last,
            last,
            previous: Some(previous),
        }
    }
}

/// How a source numbers its updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rule {
    /// No numbers: the order of arrival on one connection.
    #[default]
    None,
    /// The number is a time of the source. Order of arrival decides all the same (clocks step
    /// back); the number only serves to compare with a fetched answer.
    Timestamp,
    /// Rises, by any step: lower is older, equal is a duplicate, a jump is normal.
    SparseRising,
    /// Rises, and may repeat with another payload: only lower is older.
    RisingEqualAllowed,
    /// One more than the last for the same key.
    ContiguousPerKey,
    /// A range that must touch or overlap what is held: `first <= held + 1 <= last`.
    ContiguousRange,
    /// Names its predecessor, which must be what is held.
    Chained,
    /// One more than the last of the connection, whatever the key: a hole makes every slot of the
    /// connection suspect. What is held is then the connection's number, not the slot's. Messages
    /// that bring no patch count as well: [`Sink::advance`](super::Sink::advance).
    ContiguousPerConnection,
}

/// What becomes of the numbering when the connection is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Across {
    /// It goes on: a lower number is older on the next connection too.
    #[default]
    Continues,
    /// It starts anew: numbers of two connections cannot be compared.
    Restarts,
}

/// The rule of one source, and whether its numbering outlives a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Policy {
    /// How updates are numbered.
    pub rule: Rule,
    /// What a new connection does to the numbering.
    pub across: Across,
}

/// Whether what is held came over the connection that the update came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Connection {
    /// The same one.
    Same,
    /// An earlier one.
    Earlier,
}

/// The number that is held, and where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// [`Sequence::last`] of the update that is held.
    pub last: u64,
    /// Which connection brought it.
    pub connection: Connection,
}

/// What an update is, next to what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// To be applied.
    Fresh,
    /// Overtaken by what is held: to be dropped.
    Older,
    /// What is held, once more: to be dropped.
    Duplicate,
    /// Something between the two is missing: the value is suspect until it is replaced whole.
    Gap {
        /// The number that would have continued what is held.
        expected: u64,
        /// The number that came.
        found: u64,
    },
}

impl Policy {
    /// The rule, with a numbering that outlives connections.
    #[must_use]
    pub const fn continuing(rule: Rule) -> Self {
        Self {
            rule,
            across: Across::Continues,
        }
    }

    /// The rule, with a numbering that each connection starts anew.
    #[must_use]
    pub const fn restarting(rule: Rule) -> Self {
        Self {
            rule,
            across: Across::Restarts,
        }
    }

    /// Judges an update against what is held. `whole` says that the update is a whole value, which
    /// restarts the rules that chain one update to the next.
    ///
    /// After a reconnect an equal number is [`Verdict::Fresh`]: the source confirms on the new
    /// connection what was held from the old one, and dropping it would leave the value stale.
    #[must_use]
    pub fn judge(self, held: Option<Held>, update: Sequence, whole: bool) -> Verdict {
        let Some(held) = held else {
            return Verdict::Fresh;
        };
        let anew = held.connection == Connection::Earlier;
        let next = held.last.saturating_add(1);
        match self.rule {
            Rule::None | Rule::Timestamp => Verdict::Fresh,
            Rule::SparseRising | Rule::RisingEqualAllowed => {
                if anew && self.across == Across::Restarts {
                    Verdict::Fresh
                } else if update.last < held.last {
                    Verdict::Older
                } else if update.last == held.last && self.rule == Rule::SparseRising && !anew {
                    Verdict::Duplicate
                } else {
                    Verdict::Fresh
                }
            }
            Rule::ContiguousPerConnection if anew => Verdict::Fresh,
            Rule::ContiguousPerConnection => step(held.last, next, update.last),
            Rule::ContiguousPerKey | Rule::ContiguousRange | Rule::Chained if whole => {
                Verdict::Fresh
            }
            Rule::ContiguousPerKey | Rule::ContiguousRange | Rule::Chained
                if anew && self.across == Across::Restarts =>
            {
                // A change cannot continue a value from another numbering.
                Verdict::Gap {
                    expected: next,
                    found: update.first,
                }
            }
            Rule::ContiguousPerKey => step(held.last, next, update.last),
            Rule::ContiguousRange => {
                if update.last <= held.last {
                    behind(held.last, update.last)
                } else if update.first <= next {
                    Verdict::Fresh
                } else {
                    Verdict::Gap {
                        expected: next,
                        found: update.first,
                    }
                }
            }
            Rule::Chained => match update.previous {
                // Checked first: a source may restart its numbers lower, but names what it follows.
                Some(previous) if previous == held.last && update.last != held.last => {
                    Verdict::Fresh
                }
                _ if update.last <= held.last => behind(held.last, update.last),
                previous => {
                    let found = previous.unwrap_or(update.last);
                    Verdict::Gap {
                        expected: held.last,
                        found,
                    }
                }
            },
        }
    }
}

fn step(held: u64, next: u64, found: u64) -> Verdict {
    if found <= held {
        behind(held, found)
    } else if found == next {
        Verdict::Fresh
    } else {
        Verdict::Gap {
            expected: next,
            found,
        }
    }
}

fn behind(held: u64, found: u64) -> Verdict {
    if found == held {
        Verdict::Duplicate
    } else {
        Verdict::Older
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Duplicate, Fresh, Older};

    const SAME: Option<Held> = Some(Held {
        last: 10,
        connection: Connection::Same,
    });
    const EARLIER: Option<Held> = Some(Held {
        last: 10,
        connection: Connection::Earlier,
    });

    fn gap(expected: u64, found: u64) -> Verdict {
        Verdict::Gap { expected, found }
    }

    /// `cases` are patches; each is judged with 10 held from `held`.
    #[track_caller]
    fn check(policy: Policy, held: Option<Held>, cases: &[(Sequence, Verdict)]) {
        for (update, verdict) in cases {
            assert_eq!(
                policy.judge(held, *update, false),
                *verdict,
                "{policy:?} {update:?}"
            );
        }
    }

    #[test]
    fn nothing_held_is_always_fresh() {
        use Rule::*;
        for rule in [
            None,
            Timestamp,
            SparseRising,
            RisingEqualAllowed,
            ContiguousPerKey,
            ContiguousRange,
            Chained,
            ContiguousPerConnection,
        ] {
            let verdict = Policy::continuing(rule).judge(Option::None, Sequence::at(3), false);
            assert_eq!(verdict, Fresh, "{rule:?}");
        }
    }

    #[test]
    fn sparse_rising_drops_lower_and_equal_and_takes_any_jump() {
        let at = Sequence::at;
        let policy = Policy::continuing(Rule::SparseRising);
        check(
            policy,
            SAME,
            &[
                (at(9), Older),
                (at(10), Duplicate),
                (at(11), Fresh),
                (at(99), Fresh),
            ],
        );
        // The source confirms on the new connection what was held from the old one.
        check(
            policy,
            EARLIER,
            &[(at(9), Older), (at(10), Fresh), (at(11), Fresh)],
        );
        check(
            Policy::restarting(Rule::SparseRising),
            EARLIER,
            &[(at(1), Fresh), (at(10), Fresh)],
        );
        check(
            Policy::restarting(Rule::SparseRising),
            SAME,
            &[(at(1), Older)],
        );
    }

    #[test]
    fn equal_numbers_pass_where_they_may_repeat_and_times_never_drop() {
        let at = Sequence::at;
        let policy = Policy::continuing(Rule::RisingEqualAllowed);
        check(
            policy,
            SAME,
            &[(at(9), Older), (at(10), Fresh), (at(11), Fresh)],
        );
        let policy = Policy::continuing(Rule::Timestamp);
        check(
            policy,
            SAME,
            &[(at(9), Fresh), (at(10), Fresh), (at(11), Fresh)],
        );
    }

    #[test]
    fn contiguous_rules_see_holes() {
        let at = Sequence::at;
        let cases = [
            (at(9), Older),
            (at(10), Duplicate),
            (at(11), Fresh),
            (at(13), gap(11, 13)),
        ];
        check(Policy::continuing(Rule::ContiguousPerKey), SAME, &cases);
        check(Policy::continuing(Rule::ContiguousPerKey), EARLIER, &cases);
        check(
            Policy::continuing(Rule::ContiguousPerConnection),
            SAME,
            &cases,
        );
        check(
            Policy::continuing(Rule::ContiguousPerConnection),
            EARLIER,
            &[(at(0), Fresh)],
        );
        check(
            Policy::restarting(Rule::ContiguousPerKey),
            EARLIER,
            &[(at(1), gap(11, 1))],
        );
        let range = Sequence::range;
        check(
            Policy::continuing(Rule::ContiguousRange),
            SAME,
            &[
                (range(5, 9), Older),
                (range(5, 10), Duplicate),
                (range(8, 12), Fresh),
                (range(11, 12), Fresh),
                (range(12, 14), gap(11, 12)),
            ],
        );
    }

    #[test]
    fn a_chain_follows_the_number_it_names() {
        let after = Sequence::after;
        check(
            Policy::continuing(Rule::Chained),
            SAME,
            &[
                (after(10, 15), Fresh),
                (after(10, 3), Fresh),
                (after(10, 10), Duplicate),
                (after(8, 9), Older),
                (after(12, 15), gap(10, 12)),
                (Sequence::at(15), gap(10, 15)),
            ],
        );
    }

    #[test]
    fn a_whole_value_restarts_the_chaining_rules_only() {
        for rule in [Rule::ContiguousPerKey, Rule::ContiguousRange, Rule::Chained] {
            let verdict = Policy::continuing(rule).judge(SAME, Sequence::at(1), true);
            assert_eq!(verdict, Fresh, "{rule:?}");
        }
        let verdict = Policy::continuing(Rule::SparseRising).judge(SAME, Sequence::at(1), true);
        assert_eq!(verdict, Older);
    }

    #[test]
    fn the_largest_number_does_not_overflow() {
        let held = Some(Held {
            last: u64::MAX,
            connection: Connection::Same,
        });
        let policy = Policy::continuing(Rule::ContiguousPerKey);
        assert_eq!(policy.judge(held, Sequence::at(u64::MAX), false), Duplicate);
    }
}
