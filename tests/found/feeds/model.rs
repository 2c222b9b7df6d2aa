//! What the venue says, and what a value is by all that was said.

use std::time::Duration;

use serde_json::{Value, json};
use tickcache::Feed;
use tickcache::feed::{Envelope, MessageKind, Missing, OnConnect, Policy, Rule};

use crate::bytes::Bytes;

/// The entities of the two feeds, and one that nobody declares.
pub(super) const ENTITIES: [&str; 3] = ["first", "second", "free"];
pub(super) const IDS: [&str; 2] = ["1", "\"x\""];
pub(super) const SILENCE: Duration = Duration::from_secs(10);

const RULES: [Rule; 6] = [
    Rule::None,
    Rule::SparseRising,
    Rule::RisingEqualAllowed,
    Rule::ContiguousPerKey,
    Rule::ContiguousRange,
    Rule::Chained,
];

/// What is the same for a whole history.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) rule: Rule,
    pub(super) restarts: bool,
    pub(super) inserts: bool,
    pub(super) trusts: bool,
    pub(super) falls_silent: bool,
}

/// One value, as the model has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Key {
    pub(super) value: Option<Value>,
    /// The number that is held, and of which connection.
    pub(super) held: Option<(u64, u64)>,
    /// Nothing has confirmed it since the connection was lost.
    pub(super) unconfirmed: bool,
    pub(super) invalidated: bool,
    /// Something before it is missing: known of this value, or of its connection.
    pub(super) gap: bool,
    pub(super) link_gap: bool,
    pub(super) partial: bool,
    /// The highest number that was ever sent, to choose the next ones from.
    pub(super) sent: u64,
}

/// What stands in the numbering of one item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) previous: u64,
}

pub(super) enum Verdict {
    Fresh,
    Older,
    Duplicate,
    Gap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Whole,
    Patch,
    Remove,
    Drop,
}

impl Setup {
    pub(super) fn choose(bytes: &mut Bytes<'_>) -> Self {
        let choice = bytes.byte();
        Self {
            rule: RULES[bytes.below(RULES.len())],
            restarts: choice & 1 != 0,
            inserts: choice & 2 != 0,
            trusts: choice & 4 != 0,
            falls_silent: choice & 8 != 0,
        }
    }

    /// The feed of an entity.
    pub(super) fn feed(self, name: &str) -> Feed<Envelope> {
        let policy = if self.restarts {
            Policy::restarting(self.rule)
        } else {
            Policy::continuing(self.rule)
        };
        let mut envelope = Envelope::builder(name)
            .entity("/e")
            .entities([name])
            .items("/items")
            .id("/i")
            .payload("/v")
            .kind("/k")
            .word("whole", MessageKind::Whole)
            .word("patch", MessageKind::Patch)
            .word("remove", MessageKind::Remove)
            .word("drop", MessageKind::Invalidate)
            .missing(if self.inserts {
                Missing::Insert
            } else {
                Missing::Ignore
            });
        if self.rule != Rule::None {
            envelope = envelope.sequence("/q", policy);
        }
        match self.rule {
            Rule::ContiguousRange => envelope = envelope.first_sequence("/f"),
            Rule::Chained => envelope = envelope.previous_sequence("/p"),
            _ => {}
        }
        let feed = Feed::envelope(envelope.build().expect("the pointers are right"));
        feed.on_connect(if self.trusts {
            OnConnect::Trust
        } else {
            OnConnect::Invalidate
        })
        .silent_after(if self.falls_silent {
            SILENCE
        } else {
            Duration::from_secs(1 << 30)
        })
    }

    /// What an item is, over the feed's connection of that number, next to what is held.
    pub(super) fn judge(self, now: u64, key: &Key, numbers: Numbers, whole: bool) -> Verdict {
        use Verdict::{Duplicate, Fresh, Gap, Older};
        let Some((held, connection)) = key.held else {
            return Fresh;
        };
        let Numbers {
            first,
            last,
            previous,
        } = numbers;
        let earlier = connection != now;
        let anew = earlier && self.restarts;
        let behind = if last == held { Duplicate } else { Older };
        match self.rule {
            Rule::SparseRising | Rule::RisingEqualAllowed => match last {
                _ if anew => Fresh,
                _ if last < held => Older,
                _ if last > held || earlier || self.rule == Rule::RisingEqualAllowed => Fresh,
                _ => Duplicate,
            },
            Rule::ContiguousPerKey | Rule::ContiguousRange | Rule::Chained if whole => Fresh,
            Rule::ContiguousPerKey | Rule::ContiguousRange | Rule::Chained if anew => Gap,
            Rule::Chained if previous == held && last != held => Fresh,
            Rule::ContiguousPerKey | Rule::ContiguousRange | Rule::Chained if last <= held => {
                behind
            }
            Rule::ContiguousPerKey if last == held + 1 => Fresh,
            Rule::ContiguousRange if first <= held + 1 => Fresh,
            Rule::ContiguousPerKey | Rule::ContiguousRange | Rule::Chained => Gap,
            _ => Fresh,
        }
    }
}

/// The message as the venue writes it. A spoilt one has an item without an id.
pub(super) fn spell(
    entity: &str,
    kind: Kind,
    items: &[(usize, Numbers, Value)],
    spoilt: bool,
) -> String {
    let word = ["whole", "patch", "remove", "drop"][kind as usize];
    let mut items: Vec<Value> = items
        .iter()
        .map(|(id, numbers, value)| {
            let mut item = json!({
                "q": numbers.last,
                "f": numbers.first,
                "p": numbers.previous,
                "v": value,
            });
            if let Some(id) = IDS.get(*id) {
                item["i"] = serde_json::from_str(id).expect("JSON");
            }
            item
        })
        .collect();
    if spoilt && let Some(last) = items.last_mut() {
        last.as_object_mut().expect("an object").remove("i");
    }
    json!({ "k": word, "e": entity, "items": items }).to_string()
}
