//! What has come for one id behind a long message: the value of before, and a log.

use super::super::apply::{behind_answer, confirms, judge};
use super::super::attention::Position;
use super::Answers;
use crate::Time;
use crate::feed::{Missing, Overtaking, Rule, Update, Verdict};
use crate::key::Id;
use crate::record::{Layout, Mode, Patch, Record, SchemaSource};
use crate::store::{Head, Stamp, State, flags};
use std::collections::VecDeque;
use std::sync::Arc;

/// A value beside its slot.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) record: Record,
    pub(super) head: Head,
}

/// The stamps of an update: how things stood when it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    pub(super) link: u64,
    /// The sum of invalidations.
    pub(super) invalidation: u64,
    pub(super) trust: u64,
    pub(super) received_at: Time,
    pub(super) turn: u64,
    /// Turn and time at which the feed opened, and from which on numbers are of one connection.
    pub(super) opened: ((u64, Time), (u64, Time)),
}

/// What became of an update of a value beside its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Became {
    Applied { gap: Option<(u64, u64)> },
    Missing,
    Older,
    Duplicate,
}

/// Something that came after long messages.
#[derive(Debug)]
pub(super) struct Logged {
    /// The last of the long messages before it.
    after: u64,
    what: Entry,
}

#[derive(Debug)]
enum Entry {
    Update(Box<Past>),
    Mark(u8),
}

/// An update that has come.
#[derive(Debug)]
struct Past {
    update: Update,
    /// `None`: a removal.
    patch: Option<Patch>,
    context: Context,
    /// It is published, and counted.
    shown: bool,
}

/// An update that asks whether it may be shown before long messages.
#[derive(Debug)]
pub(super) struct Entrant<'a> {
    pub(super) update: &'a Update,
    pub(super) is_patch: bool,
    /// There is a value with a number.
    pub(super) numbered: bool,
}

/// An id for which something has come after a long message.
#[derive(Debug)]
pub(super) struct Trail {
    /// The value before all that is logged.
    pub(super) base: Base,
    log: VecDeque<Logged>,
    /// Something of a long message has been laid over the base, and is not shown.
    pub(super) touched: bool,
    /// Of the log, what is not shown.
    held: usize,
    /// A whole value that came after this long message is shown, and nothing is held or may be missing
    /// since.
    clear: Option<u64>,
    /// It waits for being closed.
    queued: bool,
    /// What is left of the log was judged by a value that has become another one since.
    moved: bool,
}

/// What an update is next to a value.
pub(super) fn verdict(
    update: &Update,
    position: Position,
    context: &Context,
    answered: Answers<'_>,
    key: &Id,
) -> Verdict {
    let verdict = judge(update, position, context.opened);
    behind_answer(verdict, update, position, answered, || Some(key.clone()))
}

impl Base {
    pub(super) fn new(record: Record, head: Head) -> Self {
        Self { record, head }
    }

    /// That of an id without a slot.
    pub(super) fn nothing(schema: &mut impl SchemaSource) -> Self {
        let head = Head {
            epoch: 0,
            state: State::Empty,
            link: 0,
            invalidation: 0,
            sequence: None,
            received_at: Time::ZERO,
            whole_at: Time::ZERO,
            source_time: 0,
            turn: 0,
            flags: 0,
        };
        Self::new(Record::absent(schema.layout().clone()), head)
    }

    /// Lays an update over it, as its owner would.
    pub(super) fn step(
        &mut self,
        update: &Update,
        patch: Option<&Patch>,
        context: &Context,
        (answered, key): (Answers<'_>, &Id),
        layout: &Arc<Layout>,
    ) -> Became {
        let has_value = self.head.has_value();
        let makes = patch.is_some() && update.missing == Missing::Insert;
        if !has_value && !makes {
            return Became::Missing;
        }
        let mut gap = None;
        if update.sequence.is_some() {
            let position = Position::from(&self.head);
            match verdict(update, position, context, answered, key) {
                Verdict::Fresh => {}
                Verdict::Older => return Became::Older,
                Verdict::Duplicate if !confirms(update, &self.head) => return Became::Duplicate,
                Verdict::Duplicate => {}
                Verdict::Gap { expected, found } => gap = Some((expected, found)),
            }
        }
        let torn = gap.is_some() && !update.whole;
        let stamp = Stamp {
            mode: update.mode,
            whole: update.whole || patch.is_none(),
            trust: context.trust,
            link: context.link,
            invalidation: Some(context.invalidation),
            sequence: update.sequence.map(|sequence| sequence.last),
            received_at: context.received_at,
            source_time: update.source_time.unwrap_or(0),
            turn: context.turn,
            flags: if torn { flags::GAP } else { 0 },
        };
        let head = self.head.stamped(&stamp, context.invalidation);
        self.head = match patch {
            Some(patch) => {
                if !has_value {
                    self.record = Record::absent(layout.clone());
                }
                self.record.apply(patch, update.mode, layout);
                Head {
                    state: State::Present,
                    ..head
                }
            }
            None => Head {
                state: State::Removed,
                whole_at: self.head.whole_at,
                ..head
            },
        };
        Became::Applied { gap }
    }

    /// Its value can no longer be trusted, for these reasons.
    fn mark(&mut self, reasons: u8) {
        if self.head.has_value() {
            self.head.flags |= reasons;
        }
    }
}

impl Logged {
    pub(super) fn update(
        after: u64,
        update: Update,
        patch: Option<Patch>,
        context: Context,
        shown: bool,
    ) -> Self {
        let past = Past {
            update,
            patch,
            context,
            shown,
        };
        Self {
            after,
            what: Entry::Update(Box::new(past)),
        }
    }

    pub(super) const fn mark(after: u64, flags: u8) -> Self {
        Self {
            after,
            what: Entry::Mark(flags),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.what {
            Entry::Update(past) => past.patch.as_ref().map_or(0, Patch::bytes),
            Entry::Mark(_) => 0,
        }
    }
}

impl Past {
    fn step(&self, value: &mut Base, known: (Answers<'_>, &Id), layout: &Arc<Layout>) -> Became {
        value.step(
            &self.update,
            self.patch.as_ref(),
            &self.context,
            known,
            layout,
        )
    }
}

impl Trail {
    pub(super) fn new(base: Base) -> Self {
        Self {
            base,
            log: VecDeque::new(),
            touched: false,
            held: 0,
            clear: None,
            queued: false,
            moved: false,
        }
    }

    /// How many updates are not shown.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// Whether an update that would be applied now may be shown before long messages, of which
    /// `last` came last.
    pub(super) fn lets(&self, entrant: &Entrant<'_>, last: u64, overtaking: Overtaking) -> bool {
        let update = entrant.update;
        if !entrant.is_patch || (update.whole && update.mode == Mode::Replace) {
            return true;
        }
        if self.clear == Some(last) {
            // The value came after all of them.
            return true;
        }
        if self.held > 0 || self.touched {
            return false;
        }
        // By its number it follows the value: there is nothing in between.
        let follows = entrant.numbered
            && update.sequence.is_some()
            && matches!(
                update.policy.rule,
                Rule::ContiguousPerKey | Rule::ContiguousRange | Rule::Chained
            );
        follows || overtaking == Overtaking::Everything
    }

    /// Messages may be missing since what is shown came: no patch is shown before that is known.
    pub(super) fn doubt(&mut self) {
        self.clear = None;
    }

    /// Adds to the log. Whether the trail has to be closed and was not known to need it.
    pub(super) fn log(&mut self, logged: Logged) -> bool {
        let mut is_new = false;
        if let Entry::Update(past) = &logged.what {
            let update = &past.update;
            let whole = past.patch.is_none() || (update.whole && update.mode == Mode::Replace);
            if !past.shown {
                self.held += 1;
                self.clear = None;
                is_new = self.queue();
            } else if whole {
                self.clear = Some(logged.after);
            }
        }
        self.log.push_back(logged);
        is_new
    }

    /// It has to be closed; whether that was not known.
    pub(super) fn queue(&mut self) -> bool {
        !std::mem::replace(&mut self.queued, true)
    }

    /// Lays everything over the base that came before the long message `order`. Tells what became
    /// of it, and whether it was shown, and so counted, before. Answers how many entries and bytes
    /// the log has lost.
    pub(super) fn fold(
        &mut self,
        order: u64,
        (answered, key): (Answers<'_>, &Id),
        layout: &Arc<Layout>,
        mut count: impl FnMut(Became, bool),
    ) -> (usize, usize) {
        let (mut entries, mut bytes) = (0, 0);
        while self.log.front().is_some_and(|logged| logged.after < order) {
            let Some(logged) = self.log.pop_front() else {
                break;
            };
            entries += 1;
            bytes += logged.bytes();
            match logged.what {
                Entry::Mark(reasons) => self.base.mark(reasons),
                Entry::Update(past) => {
                    let became = past.step(&mut self.base, (answered, key), layout);
                    if !past.shown {
                        self.held -= 1;
                        self.touched = true;
                    }
                    count(became, past.shown);
                }
            }
        }
        (entries, bytes)
    }

    /// The value to be shown: the base, and over it what is shown of the log.
    pub(super) fn shown(&self, (answered, key): (Answers<'_>, &Id), layout: &Arc<Layout>) -> Base {
        let mut value = self.base.clone();
        for logged in &self.log {
            match &logged.what {
                Entry::Mark(reasons) => value.mark(*reasons),
                Entry::Update(past) if past.shown => {
                    past.step(&mut value, (answered, key), layout);
                }
                Entry::Update(_) => {}
            }
        }
        value
    }

    /// All that is logged came after one more invalidation than was known when it came.
    pub(super) fn invalidated_before(&mut self, order: u64) {
        for logged in &mut self.log {
            if logged.after >= order
                && let Entry::Update(past) = &mut logged.what
            {
                past.context.invalidation += 1;
            }
        }
    }

    /// It is closed for now: what is shown is what it says.
    pub(super) fn close(&mut self) {
        self.touched = false;
        self.queued = false;
        self.moved = true;
    }

    /// Whether it has to be closed again when the next long message is through.
    pub(super) fn is_unsettled(&self) -> bool {
        self.held > 0 || self.moved
    }
}
