//! How the objects of a learned layout become patches.
//!
//! The members of an object are the same in every message that fits a template. So which nodes of
//! a schema they are is looked up once for each layout of the schema, and from then on a message is
//! compiled by following the [`Plan`]: one operation a member, its cell as the matcher left it. The
//! operations are those of [`compile`](super::compile), in the same order.
//!
//! Messages of one template may be for a thousand schemas, one after the other: the plan that was
//! followed last is compared first, and the others are found by a hash.

use std::cell::{Cell, RefCell};
use std::hash::BuildHasher;
use std::sync::{Arc, Weak};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::learned::{Hole, Template};
use super::pick::Picks;
use super::value::Value;
use crate::record::{
    Kind, Layout, Limits, Patch, Planned, SHORT_TOKEN, SchemaSource, Token, Tokens,
};

/// Plans that one template has at a time: one for each schema, of as many entities as a feed may
/// well have. A plan of six members takes half a kilobyte.
const PLANS: usize = 2048;
/// Added to the number of an item that is no hole, to tell it from a hole.
const FIXED: u32 = 1 << 31;
/// The most messages that pass without a plan before the next one is made.
const MAX_WAIT: u32 = 1 << 14;
/// Uses of a plan that has to go, halved with each that was made since, below which it was hardly
/// worth making.
const FEW: u32 = 16;

/// What readers have found out about one template.
#[derive(Debug, Default)]
pub(super) struct Memo {
    pub(super) picks: Picks,
    pub(super) plans: Plans,
}

/// The plans of one template.
#[derive(Debug, Default)]
pub(super) struct Plans {
    kept: RefCell<Kept>,
    /// The one that was followed last.
    last: Cell<usize>,
    /// Messages that pass before another plan is made, and how many the next time.
    wait: Cell<u32>,
    patience: Cell<u32>,
}

/// How one object becomes a patch under one layout of a schema.
#[derive(Debug)]
struct Plan {
    object: u32,
    /// Kept, so that no other layout can have its address; weakly, since a schema that grows leaves
    /// its layouts behind.
    layout: Weak<Layout>,
    /// How many objects lie inside each other, the outermost included.
    depth: u32,
    planned: Planned,
    uses: Cell<u32>,
}

impl Plan {
    #[inline]
    fn is_for(&self, object: u32, layout: &Arc<Layout>) -> bool {
        self.object == object && std::ptr::eq(self.layout.as_ptr(), Arc::as_ptr(layout))
    }

    fn hash(&self) -> u64 {
        hash(self.object, self.layout.as_ptr())
    }
}

#[inline]
fn hash(object: u32, layout: *const Layout) -> u64 {
    FixedState::with_seed(0).hash_one((object, layout.addr()))
}

/// Plans, and their places by the hash of what they are for.
#[derive(Debug, Default)]
struct Kept {
    plans: Vec<Plan>,
    index: HashTable<usize>,
}

impl Kept {
    #[inline(never)]
    fn find(&self, object: u32, layout: &Arc<Layout>) -> Option<usize> {
        let hash = hash(object, Arc::as_ptr(layout));
        let is_it = |at: &usize| self.plans[*at].is_for(object, layout);
        self.index.find(hash, is_it).copied()
    }

    /// Puts a plan there, in the place of the one that there is.
    fn put(&mut self, at: usize, plan: Plan) {
        let hash = plan.hash();
        match self.plans.get_mut(at) {
            Some(place) => {
                let before = std::mem::replace(place, plan);
                if let Ok(entry) = self.index.find_entry(before.hash(), |it| *it == at) {
                    entry.remove();
                }
            }
            None => self.plans.push(plan),
        }
        let plans = &self.plans;
        self.index
            .insert_unique(hash, at, |at: &usize| plans[*at].hash());
    }
}

impl Plans {
    /// Makes `patch` the change that the object is, if there is a plan for that.
    #[inline]
    pub(super) fn follow(
        &self,
        matched: Matched<'_>,
        limits: &Limits,
        schema: &mut impl SchemaSource,
        patch: &mut Patch,
    ) -> bool {
        let kept = self.kept.borrow();
        let layout = schema.layout();
        let plan = match kept.plans.get(self.last.get()) {
            Some(plan) if plan.is_for(matched.object, layout) => plan,
            _ => {
                let Some(at) = kept.find(matched.object, layout) else {
                    return false;
                };
                self.last.set(at);
                &kept.plans[at]
            }
        };
        if plan.depth > limits.max_depth {
            return false;
        }
        plan.uses.set(plan.uses.get().saturating_add(1));
        patch.follow(&plan.planned, schema, &matched);
        true
    }

    /// Makes a plan of how the object was compiled into `patch`, unless plans are hardly used:
    /// where every message is of another schema, or the schema grows with each of them.
    pub(super) fn learn(&self, matched: Matched<'_>, layout: &Arc<Layout>, patch: &Patch) {
        let wait = self.wait.get();
        if wait > 0 {
            self.wait.set(wait - 1);
            return;
        }
        let mut sources = Vec::new();
        let depth = list(matched.value(), &mut sources);
        let Some(planned) = patch.plan(layout, &sources) else {
            // It is a tree: the schema is full, and will be.
            self.wait.set(MAX_WAIT);
            return;
        };
        let plan = Plan {
            object: matched.object,
            layout: Arc::downgrade(layout),
            depth,
            planned,
            uses: Cell::new(0),
        };
        let mut kept = self.kept.borrow_mut();
        let kept = &mut *kept;
        if kept.plans.len() < PLANS {
            let at = kept.plans.len();
            self.last.set(at);
            return kept.put(at, plan);
        }
        // One goes whose layout is gone, or else the least used; what the others were used for counts
        // for less from now on.
        let worth = |plan: &Plan| match plan.layout.strong_count() {
            0 => 0,
            _ => plan.uses.get().saturating_add(1),
        };
        let least = kept.plans.iter().map(worth).enumerate();
        let Some((at, worth)) = least.min_by_key(|(_, worth)| *worth) else {
            return;
        };
        let patience = match worth {
            0 => self.patience.get(),
            1..=FEW => (2 * self.patience.get() + 1).min(MAX_WAIT),
            _ => self.patience.get() / 2,
        };
        self.patience.set(patience);
        self.wait.set(patience);
        for plan in &kept.plans {
            plan.uses.set(plan.uses.get() / 2);
        }
        kept.put(at, plan);
        self.last.set(at);
    }
}

/// Where each operation of a compiled object has its token from, in the order of the operations;
/// how deep objects lie inside each other.
fn list(object: Value<'_>, sources: &mut Vec<Option<u32>>) -> u32 {
    sources.push(None);
    let mut below = 0;
    for (_, member) in object.members() {
        if member.is_object() {
            below = below.max(list(member, sources));
        } else {
            sources.push(member.matched().map(|(template, _, at)| {
                let hole = template.places[at as usize].hole;
                if (hole as usize) < template.holes.len() {
                    hole
                } else {
                    at | FIXED
                }
            }));
        }
    }
    below + 1
}

/// An object of a message that fits a template.
#[derive(Clone, Copy)]
pub(super) struct Matched<'a> {
    template: &'a Template,
    holes: &'a [Hole],
    text: &'a [u8],
    object: u32,
    /// The kinds that are not the cell that the matcher has cut, as bits.
    other_kinds: u32,
}

const fn bit(kind: Kind) -> u32 {
    1 << kind as u32
}

impl<'a> Matched<'a> {
    /// The object that an item of the message is.
    #[inline]
    pub(super) fn new(
        template: &'a Template,
        text: &'a [u8],
        object: u32,
        nulls_delete: bool,
    ) -> Self {
        let nulls = if nulls_delete { bit(Kind::Null) } else { 0 };
        Self {
            template,
            holes: &template.holes,
            text,
            object,
            other_kinds: bit(Kind::Array) | nulls,
        }
    }

    fn value(self) -> Value<'a> {
        Value::of_template(self.template, self.text, self.object)
    }
}

impl Tokens for Matched<'_> {
    #[inline(always)]
    fn cell(&self, source: u32) -> Option<&[u64; 2]> {
        let hole = self.holes.get(source as usize)?;
        let is_short = (hole.end - hole.start) as usize <= SHORT_TOKEN;
        (is_short && self.other_kinds & bit(hole.kind) == 0).then_some(&hole.cell)
    }

    fn token(&self, source: u32) -> Option<Token<'_>> {
        let token = match self.holes.get(source as usize) {
            Some(hole) => hole.token(self.text),
            None => Value::of_template(self.template, self.text, source & !FIXED).token(),
        };
        let deletes = token.kind == Kind::Null && self.other_kinds & bit(Kind::Null) != 0;
        (!deletes).then_some(token)
    }
}
