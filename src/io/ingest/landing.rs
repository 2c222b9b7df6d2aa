//! The result of a fetch, laid under what came while it ran.
//!
//! With numbers that can be compared nothing older than before is ever shown; without them the
//! value converges: what the stream had said before the answer was made is in the answer, what it
//! says later is laid over it.

use super::super::command::{KeepId, LandItem, Landed, Order};
use super::apply::spans_answer;
use super::attention::{Attended, Keep, Kept, Position};
use super::overlay::removal;
use super::{Ingest, Role};
use crate::feed::{Connection, EntityIx, Held, Refusal, Rule, Verdict};
use crate::record::{Composed, Patch, Record, SchemaSource};
use crate::store::{self, Head, Outcome, State, flags};

/// What an answer is compared with.
struct Case<'a> {
    as_of: Option<u64>,
    keep: &'a Keep,
    kept: Option<&'a Kept>,
    /// What the slot holds, without optimistic writes.
    head: &'a Head,
    /// The numbers of the slot and of the answer may be of two numberings.
    renumbered: bool,
}

impl Case<'_> {
    /// The answer's number, if it can be compared.
    fn number(&self) -> Option<u64> {
        self.as_of.filter(|_| !self.renumbered)
    }

    /// The slot's number when the fetch began, and whatever may not be gone behind since.
    fn floor(&self) -> Option<u64> {
        let untouched = || self.head.sequence.filter(|_| !self.renumbered);
        self.kept.map_or_else(untouched, |kept| kept.floor)
    }

    /// Why the answer is dropped, if it is.
    fn dropped(&self) -> Option<Landed> {
        let number = self.number();
        if let Some(kept) = self.kept {
            if kept.lost {
                return Some(Landed::Lost);
            }
            if let Some(whole) = kept.whole {
                let newer = number
                    .zip(whole)
                    .is_some_and(|(number, whole)| number >= whole);
                if !newer {
                    return Some(Landed::Overtaken);
                }
            }
        }
        match (number, self.floor()) {
            (Some(as_of), Some(held)) if as_of < held => Some(Landed::Older { as_of, held }),
            _ => None,
        }
    }

    /// What is laid over the answer.
    fn over(&self) -> Option<&Composed> {
        let kept = self.kept?;
        let number = self.number();
        // Where a number may come twice, the second is not in an answer that has the first.
        let repeats = kept
            .first
            .is_some_and(|(policy, _)| policy.rule == Rule::RisingEqualAllowed);
        let newer = match (number, kept.highest) {
            (Some(number), Some(highest)) if repeats => number > highest,
            (Some(number), Some(highest)) => number >= highest,
            _ => false,
        };
        let mended = number
            .zip(kept.gap)
            .is_some_and(|(number, covers)| number >= covers);
        let over = match (newer, mended) {
            (true, _) => &kept.loose,
            (false, true) => &kept.recent,
            (false, false) => &kept.all,
        };
        (!over.is_empty()).then_some(over)
    }

    /// Whether messages are missing between the answer and what is laid over it, or in that.
    fn has_gap(&self) -> bool {
        let Some(kept) = self.kept else { return false };
        let number = self.number();
        let lost = kept
            .gap
            .is_some_and(|covers| number.is_none_or(|number| number < covers));
        // Where nothing was held the first patch has been judged against nothing.
        let torn = match (number, self.floor(), kept.first) {
            (Some(last), None, Some((policy, first))) if self.over().is_some() => {
                let held = Held {
                    last,
                    connection: Connection::Same,
                };
                let verdict = policy.judge(Some(held), first, false);
                matches!(verdict, Verdict::Gap { .. }) && !spans_answer(policy, first, last)
            }
            _ => false,
        };
        lost || torn
    }

    /// The number of the outcome.
    fn sequence(&self, opens: u64) -> Option<u64> {
        if self.renumbered {
            return self.kept.and_then(|kept| kept.last_of(opens));
        }
        let highest = self.kept.and_then(|kept| kept.highest);
        self.number().max(highest).max(self.head.sequence)
    }
}

impl Ingest {
    /// Lands items of a fetch, in one turn.
    #[cold]
    pub(super) fn land(
        &mut self,
        entity: &str,
        fetch: KeepId,
        items: Vec<LandItem>,
        last: bool,
        order: Order,
    ) -> Vec<Landed> {
        let keep = self.names.get(entity).and_then(|ix| {
            let attention = self.entries[ix.index()].attention.as_ref()?;
            Some((*ix, attention.keep(fetch)?.clone()))
        });
        let Some((ix, keep)) = keep else {
            return vec![Landed::Lost; items.len()];
        };
        self.turn += 1;
        let landed = items
            .into_iter()
            .map(|item| self.land_item(ix, fetch, &keep, item, order))
            .collect();
        if last {
            self.end_keep(ix, fetch);
        }
        self.done();
        landed
    }

    /// Lets go of what was kept for a fetch.
    pub(super) fn end_keep(&mut self, ix: EntityIx, fetch: KeepId) {
        if let Some(attention) = &mut self.entries[ix.index()].attention {
            attention.end(fetch);
        }
        self.unattended(ix);
    }

    fn land_item(
        &mut self,
        ix: EntityIx,
        fetch: KeepId,
        keep: &Keep,
        item: LandItem,
        order: Order,
    ) -> Landed {
        let (mode, patch) = (LandItem::mode(item.whole), item.patch);
        let (now, turn, opens, joined) = (self.now, self.turn, self.opens, self.joined);
        let entry = &mut self.entries[ix.index()];
        let restarts = entry.restarts;
        let (Role::Own(writer), Some(attention)) = (&mut entry.role, &mut entry.attention) else {
            return Landed::Lost;
        };
        // The patch was compiled with a schema that may be newer than this writer has seen.
        writer.renew_schema();
        let id = writer.entity().canonical(item.id.as_ref());
        let lost = attention.keep(fetch).is_none_or(|keep| keep.lost);
        if lost || keep.id.as_ref().is_some_and(|own| *own != id) {
            return Landed::Lost;
        }
        if patch.is_none() && writer.entity().find(id.as_ref()).is_none() {
            return Landed::Unchanged;
        }
        let Ok(slot) = writer.locate(id.as_ref(), store::Missing::Insert) else {
            return Landed::Refused(Refusal::IdsFull);
        };
        let attended = attention.get(&id);
        let overlaid = attended.and_then(|attended| attended.overlaid.as_deref());
        let head = overlaid.map_or_else(|| writer.head(slot), |overlaid| overlaid.head);
        let position = Position::from(&head);
        let case = Case {
            as_of: item.as_of,
            keep,
            kept: attended.and_then(|attended| attended.kept(fetch)),
            head: &head,
            renumbered: restarts
                && (keep.opens != opens || (head.sequence.is_some() && !position.is_since(joined))),
        };
        let underneath = order == Order::Underneath;
        if underneath && let Some(dropped) = case.dropped() {
            return dropped;
        }
        let over = case.over().filter(|_| underneath);
        let inserts = over.is_some() && case.kept.is_some_and(|kept| kept.inserts);
        let over = over.map_or_else(Vec::new, |over| over.patches(writer.schema()));
        let kept = case.kept;
        let stamps = (
            kept.map_or(case.keep.link, |kept| kept.link_over(case.keep.link)),
            kept.map_or(0, |kept| kept.invalidation)
                .max(writer.invalidation_at(slot, keep.moment)),
        );
        let mut doubts = kept.map_or(0, |kept| kept.marks);
        if underneath && case.has_gap() {
            doubts |= flags::GAP;
        }
        let confirmed = Head {
            link: stamps.0,
            invalidation: stamps.1,
            sequence: if underneath {
                case.sequence(opens)
            } else {
                head.sequence.or(item.as_of)
            },
            // What was asked for over an earlier connection says nothing about this one's numbers.
            received_at: if keep.opens == opens {
                now
            } else {
                keep.at.max(kept.map_or(keep.at, |kept| kept.received_at))
            },
            whole_at: now,
            source_time: kept
                .filter(|_| !over.is_empty())
                .map_or(0, |kept| kept.source_time),
            turn,
            flags: doubts,
            state: State::Present,
            ..head
        };
        let (record, terms) = match &patch {
            Some(patch) if item.whole => {
                let record = Record::absent(writer.schema().layout().clone());
                (Some((record, Some(patch))), confirmed)
            }
            Some(patch) => {
                let record = overlaid
                    .filter(|_| head.has_value())
                    .map_or_else(|| writer.record(slot), |overlaid| overlaid.base.clone());
                let terms = partial(&head, &confirmed, &record, patch, writer.schema());
                (Some((record, Some(patch))), terms)
            }
            // What patches make of nothing.
            None if inserts => {
                let record = Record::absent(writer.schema().layout().clone());
                let flags = confirmed.flags | flags::PARTIAL;
                let terms = Head {
                    flags,
                    whole_at: crate::Time::ZERO,
                    ..confirmed
                };
                (Some((record, None)), terms)
            }
            None => (None, confirmed),
        };
        let layout = writer.schema().layout().clone();
        let record = record.map(|(mut record, patch)| {
            if let Some(patch) = patch {
                record.apply(patch, mode, &layout);
            }
            for (patch, mode) in &over {
                record.apply(patch, *mode, &layout);
            }
            record
        });
        let number = case.number();
        let whole = item.whole || patch.is_none();
        let streamed = case.kept.and_then(|kept| kept.highest).max(head.sequence);
        let ahead = number.filter(|number| whole && streamed < Some(*number));
        entry.whole_seen |= whole;
        let outcome = match attention
            .get_mut(&id)
            .and_then(|it| it.overlaid.as_deref_mut())
        {
            Some(overlaid) => {
                overlaid.land(record, &terms, if whole { keep.order } else { 0 });
                overlaid.publish(writer, slot, turn)
            }
            None => match record {
                Some(record) => writer.replace(slot, &record, &terms),
                None => writer.remove(slot, &removal(&terms, turn)),
            },
        };
        self.legs.landed(ix, slot, keep.at);
        // Other fetches of the same id learn of it.
        let floor = head.sequence.filter(|_| !restarts);
        let attended = attention.attend_but(Some(fetch), &id, floor);
        tell(attended, fetch, keep, whole, number, &terms);
        attention.settle(&id);
        if let Some(number) = ahead {
            let answered = entry.answered.get_or_insert_default();
            answered.insert(id, number);
        }
        match outcome {
            Outcome::Applied => Landed::Applied,
            Outcome::Unchanged => Landed::Unchanged,
        }
    }
}

/// What a value says about itself after a part of it was fetched. The other members are as before;
/// only if there are none is the value as good as the answer.
fn partial(
    head: &Head,
    confirmed: &Head,
    record: &Record,
    patch: &Patch,
    schema: &mut impl SchemaSource,
) -> Head {
    if !head.has_value() {
        return Head {
            flags: confirmed.flags | flags::PARTIAL,
            whole_at: crate::Time::ZERO,
            ..*confirmed
        };
    }
    // What the server has besides the members that it names nobody knows: a whole value is not
    // confirmed by it, only what is partial anyway.
    let incomplete = head.flags & flags::PARTIAL != 0;
    if incomplete && record.as_ref().is_object() && names_all(record, patch, schema) {
        return Head {
            flags: confirmed.flags | flags::PARTIAL,
            whole_at: head.whole_at,
            ..*confirmed
        };
    }
    Head {
        received_at: confirmed.received_at.max(head.received_at),
        source_time: confirmed.source_time,
        turn: confirmed.turn,
        // Its number says nothing about members that it does not name.
        ..*head
    }
}

/// Whether the patch names every member that the record has.
fn names_all(record: &Record, patch: &Patch, schema: &mut impl SchemaSource) -> bool {
    let layout = schema.layout();
    record.as_ref().names().all(|name| match patch.tree() {
        Some(tree) => tree.get(name).is_some(),
        None => layout
            .child(crate::record::Node::ROOT, name)
            .is_some_and(|node| patch.touched(node)),
    })
}

/// Tells the other fetches of an id what has landed.
fn tell(
    attended: &mut Attended,
    fetch: KeepId,
    keep: &Keep,
    whole: bool,
    number: Option<u64>,
    terms: &Head,
) {
    for other in attended.others(Some(fetch)) {
        if whole && keep.order > other.order {
            // Begun later, so it knows more; unless numbers say otherwise.
            other.replaced(
                terms.sequence.filter(|_| number.is_some()),
                terms.link,
                terms.invalidation,
            );
        }
        if number.is_some() {
            other.floor = other.floor.max(number);
            if terms.sequence == number {
                other.superseded(number);
            }
        }
    }
}

impl From<&Head> for Position {
    fn from(head: &Head) -> Self {
        Self {
            sequence: head.sequence,
            received_at: head.received_at,
            turn: head.turn,
        }
    }
}

impl Position {
    /// Whether it was reached over the connection that opened then.
    pub(super) fn is_since(&self, (turn, at): (u64, crate::Time)) -> bool {
        // A message without news moves the time alone, one in the batch of the open the turn. One of
        // both kinds is taken for one of before: a stale value that stays stale may count a gap more.
        self.received_at > at || (self.received_at == at && self.turn > turn)
    }
}
