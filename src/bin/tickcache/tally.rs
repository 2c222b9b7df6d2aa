//! What the feeds of a run have counted, together, and the lines that account for it.

use tickcache::feed::CounterValues;

/// The counters of one or more feeds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sum: CounterValues,
    /// The feeds whose ledgers do not balance. Meaningful at a quiet moment only.
    unbalanced: Vec<String>,
}

impl Tally {
    /// Adds up the counters of these feeds, given by name.
    pub(crate) fn of(feeds: impl IntoIterator<Item = (String, CounterValues)>) -> Self {
        let mut tally = Self::default();
        for (name, values) in feeds {
            if !values.balanced() {
                tally.unbalanced.push(name);
            }
            tally.add(values);
        }
        tally
    }

    fn add(&mut self, other: CounterValues) {
        let sum = &mut self.sum;
        let pairs = [
            (&mut sum.messages, other.messages),
            (&mut sum.data, other.data),
            (&mut sum.invalidation, other.invalidation),
            (&mut sum.control, other.control),
            (&mut sum.unmapped, other.unmapped),
            (&mut sum.refused, other.refused),
            (&mut sum.patches, other.patches),
            (&mut sum.applied, other.applied),
            (&mut sum.unchanged, other.unchanged),
            (&mut sum.missing, other.missing),
            (&mut sum.older, other.older),
            (&mut sum.duplicate, other.duplicate),
            (&mut sum.foreign, other.foreign),
            (&mut sum.forwarded, other.forwarded),
            (&mut sum.held, other.held),
            (&mut sum.patches_refused, other.patches_refused),
            (&mut sum.gaps, other.gaps),
            (&mut sum.opens, other.opens),
            (&mut sum.reconnects, other.reconnects),
            (&mut sum.bytes_received, other.bytes_received),
        ];
        for (total, more) in pairs {
            *total += more;
        }
        for (reason, count) in other.refused_by {
            match sum
                .refused_by
                .iter_mut()
                .find(|(known, _)| *known == reason)
            {
                Some((_, total)) => *total += count,
                None => sum.refused_by.push((reason, count)),
            }
        }
        for (channel, count) in other.unmapped_by {
            match sum
                .unmapped_by
                .iter_mut()
                .find(|(known, _)| *known == channel)
            {
                Some((_, total)) => *total += count,
                None => sum.unmapped_by.push((channel, count)),
            }
        }
    }

    /// Whether every message and every patch is accounted for. To be asked at a quiet moment.
    pub(crate) fn balanced(&self) -> bool {
        self.unbalanced.is_empty()
    }

    /// Fails unless [`balanced`](Self::balanced).
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.balanced() {
            return Ok(());
        }
        let feeds = self.unbalanced.join(", ");
        Err(format!(
            "the ledgers of {feeds} do not balance: this is a bug, please report it"
        ))
    }

    /// What to do where everything came to nothing because no value was there to be patched.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        let in_vain = self.sum.missing > 0 && self.sum.applied == 0;
        in_vain.then_some(
            "every patch was for an unknown id and was ignored; --missing insert keeps them",
        )
    }

    /// Both ledgers, then what is behind `refused` and `unmapped`: one line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let sum = &self.sum;
        let messages = [
            ("data", sum.data),
            ("invalidation", sum.invalidation),
            ("control", sum.control),
            ("unmapped", sum.unmapped),
            ("refused", sum.refused),
        ];
        let patches = [
            ("applied", sum.applied),
            ("unchanged", sum.unchanged),
            ("missing", sum.missing),
            ("older", sum.older),
            ("duplicate", sum.duplicate),
            ("foreign", sum.foreign),
            ("forwarded", sum.forwarded),
            ("held", sum.held),
            ("refused", sum.patches_refused),
        ];
        let mut lines = vec![
            ledger("messages", sum.messages, &messages),
            ledger("patches", sum.patches, &patches),
        ];
        lines.extend(
            sum.refused_by
                .iter()
                .map(|(why, count)| format!("refused: {count} {why}")),
        );
        // Channel names are the server's: nothing in them may move the cursor.
        let named = |name: &str| name.replace(char::is_control, "·");
        let unmapped = sum.unmapped_by.iter();
        lines.extend(unmapped.map(|(name, count)| format!("unmapped: {count} {}", named(name))));
        lines
    }
}

fn ledger(name: &str, total: u64, parts: &[(&str, u64)]) -> String {
    let parts: Vec<_> = parts
        .iter()
        .map(|(part, count)| format!("{part} {count}"))
        .collect();
    format!("{name} {total} = {}", parts.join(" + "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(change: impl FnOnce(&mut CounterValues)) -> CounterValues {
        let mut values = CounterValues::default();
        change(&mut values);
        values
    }

    #[test]
    fn feeds_add_up_and_an_unbalanced_one_is_named() {
        let one = values(|v| {
            (v.messages, v.data, v.unmapped) = (3, 2, 1);
            v.unmapped_by = vec![("depth".into(), 1)];
        });
        let two = values(|v| {
            (v.messages, v.unmapped) = (2, 2);
            v.unmapped_by = vec![("kline".into(), 1), ("depth".into(), 1)];
        });
        let tally = Tally::of([("a".to_owned(), one.clone()), ("b".to_owned(), two)]);
        assert!(tally.check().is_ok());
        assert_eq!(
            tally.lines(),
            [
                "messages 5 = data 2 + invalidation 0 + control 0 + unmapped 3 + refused 0",
                "patches 0 = applied 0 + unchanged 0 + missing 0 + older 0 + duplicate 0 + \
                 foreign 0 + forwarded 0 + held 0 + refused 0",
                "unmapped: 2 depth",
                "unmapped: 1 kline",
            ]
        );
        let lost = values(|v| v.messages = 1);
        let tally = Tally::of([("a".to_owned(), one), ("c".to_owned(), lost)]);
        let error = tally
            .check()
            .expect_err("a message of c is not accounted for");
        assert!(error.contains("ledgers of c do"), "{error}");
    }
}
