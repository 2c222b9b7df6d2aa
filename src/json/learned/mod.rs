//! Learned layouts: templates of messages that came before, which take most messages apart without
//! a parser.
//!
//! A [`Template`] is the literal bytes between the *holes* of one parsed message. A later message
//! that has the same bytes there, and a token of the strict grammar in each hole, is that message
//! with other values: it needs no parser. Anything else is a miss and goes to the parser, so what is
//! accepted never depends on what was learned.
//!
//! * **The strict grammar** (`scan`): strings without escapes; numbers with at most 18 digits before
//!   the point and without exponent; `true`, `false`, `null`; arrays of those and of objects, taken
//!   whole. A token's end is found by its own grammar, never by looking for what should follow it.
//! * **By quotes** (`marks`, `spots`), where the processor lists them quickly: between which two of a
//!   message a token lies is the same in every message of a layout. Each token is then held against
//!   the same grammar from end to end.
//! * **Which template is tried first** is the one that followed last time; then the others, the one
//!   that fitted last first. A wrong one mostly fails at its first literal.
//! * **A layout is learned** when it is seen the second time, from a message in which no name is
//!   repeated or escaped.
//! * **Where nothing fits**, trying stops for a while, so that a feed of messages that are all
//!   different pays next to nothing.

mod block;
mod isa;
mod learn;
mod marks;
mod portable;
mod scan;
#[cfg(target_arch = "x86_64")]
mod simd;
mod skip;
mod spots;
mod template;

use isa::Isa;
use learn::Outline;
use marks::Marks;
pub(super) use template::{Hole, Template};

use super::items::Decoded;

/// The most templates of one decoder.
const MOST_TEMPLATES: usize = 32;
/// How many fingerprints of messages without a template are remembered.
const SIGHTS: usize = 64;
/// How many paths of arrays that the protocol looks into are remembered.
const MOST_LOOKED: usize = 64;

/// What a hit adds to the credit, of which a miss takes 1: below one hit in nine messages trying
/// costs more than it saves.
const HIT_CREDIT: u32 = 8;
/// The most credit, and what a new template brings.
const MOST_CREDIT: u32 = 256;
/// Credit after a pause.
const SOME_CREDIT: u32 = 32;
/// Messages that the first pause lasts.
const SHORT_PAUSE: u32 = 64;
/// Messages that the longest pause lasts.
const LONG_PAUSE: u32 = 4096;

/// After a template had to go for a new one, as many messages pass before the next one may: at
/// first, and at most.
const SHORT_TENURE: u64 = 64;
const LONG_TENURE: u64 = 65_536;

/// What a decoder's templates have done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayoutCounts {
    /// Messages that fitted a template.
    pub hits: u64,
    /// Messages that fitted none, or were not tried.
    pub misses: u64,
    /// Templates made.
    pub learned: u64,
    /// Templates dropped for another.
    pub evicted: u64,
}

/// What a decoder has learned, and which template fits the message at hand.
#[derive(Debug)]
pub(super) struct Learned {
    isa: Isa,
    /// Of the message at hand.
    marks: Marks,
    templates: Vec<Template>,
    /// The numbers of the templates, the one that fitted last first.
    order: Vec<usize>,
    /// The one that the last hit was of.
    last: usize,
    counts: LayoutCounts,
    /// Messages that are not tried before the next that is.
    pause: u32,
    /// What the next pause would be.
    next_pause: u32,
    credit: u32,
    outline: Outline,
    /// Fingerprints seen once, oldest overwritten first.
    sights: [u64; SIGHTS],
    next_sight: usize,
    /// Paths of arrays that the protocol looks into.
    looked: Vec<u64>,
    /// No template is dropped for another before so many messages.
    tenured_until: u64,
    tenure: u64,
    max_depth: u32,
    enabled: bool,
}

impl Learned {
    /// Nothing learned yet; and nothing ever learned unless `enabled`.
    pub(super) fn new(max_depth: u32, enabled: bool) -> Self {
        Self {
            isa: Isa::detect(),
            marks: Marks::new(),
            templates: Vec::new(),
            order: Vec::new(),
            last: 0,
            counts: LayoutCounts::default(),
            pause: 0,
            next_pause: SHORT_PAUSE,
            credit: MOST_CREDIT,
            outline: Outline::default(),
            sights: [0; SIGHTS],
            next_sight: 0,
            looked: Vec::new(),
            tenured_until: 0,
            tenure: SHORT_TENURE,
            max_depth,
            enabled,
        }
    }

    pub(super) fn counts(&self) -> LayoutCounts {
        self.counts
    }

    /// Whether there is a template that `message` fits; its holes are then filled from it.
    #[inline]
    pub(super) fn find(&mut self, message: &[u8]) -> bool {
        self.marks.forget();
        if let Some(last) = self.templates.get(self.last)
            && !last.opened.get()
            && self.pause == 0
        {
            let guess = last.successor;
            if self.fits(guess, message) {
                self.hit(guess);
                return true;
            }
            return self.find_other(guess, message);
        }
        self.find_hindered(message)
    }

    /// The template that [`find`](Self::find) found.
    ///
    /// # Panics
    ///
    /// If it has found none.
    #[inline]
    pub(super) fn found(&self) -> &Template {
        &self.templates[self.last]
    }

    #[inline]
    fn fits(&mut self, number: usize, message: &[u8]) -> bool {
        let Some(Template { layout, holes, .. }) = self.templates.get_mut(number) else {
            return false;
        };
        self.isa.fit(layout, holes, message, &mut self.marks)
    }

    #[inline]
    fn hit(&mut self, number: usize) {
        self.counts.hits += 1;
        self.credit = MOST_CREDIT.min(self.credit + HIT_CREDIT);
        self.templates[number].used = self.messages();
        self.last = number;
    }

    #[inline]
    fn messages(&self) -> u64 {
        self.counts.hits + self.counts.misses
    }

    /// Tries all but `guess`.
    #[inline(never)]
    fn find_other(&mut self, guess: usize, message: &[u8]) -> bool {
        for place in 0..self.order.len() {
            let number = self.order[place];
            if number != guess && self.fits(number, message) {
                self.order[..=place].rotate_right(1);
                let last = self.last;
                self.templates[last].successor = number;
                self.hit(number);
                return true;
            }
        }
        self.counts.misses += 1;
        self.credit -= 1;
        if self.credit == 0 {
            self.credit = SOME_CREDIT;
            self.pause = self.next_pause;
            self.next_pause = LONG_PAUSE.min(2 * self.next_pause);
        } else if self.credit == MOST_CREDIT - 1 {
            self.next_pause = SHORT_PAUSE;
        }
        false
    }

    /// The first message, one of a pause, or one after a message whose template is to go.
    #[cold]
    fn find_hindered(&mut self, message: &[u8]) -> bool {
        self.drop_opened();
        if self.pause == 0 {
            return self.find_other(usize::MAX, message);
        }
        self.pause -= 1;
        self.counts.misses += 1;
        false
    }

    /// Drops the last template if the protocol has looked into an array that is a hole of it: the
    /// next of its kind is learned with that array as structure.
    fn drop_opened(&mut self) {
        let Some(template) = self.templates.get(self.last) else {
            return;
        };
        if !template.opened.get() {
            return;
        }
        for (cell, path) in template.inside.iter().zip(&template.paths) {
            if cell.get().is_some() && !self.looked.contains(path) {
                if self.looked.len() == MOST_LOOKED {
                    self.looked.remove(0);
                }
                self.looked.push(*path);
            }
        }
        self.remove(self.last);
    }

    fn remove(&mut self, number: usize) {
        self.templates.remove(number);
        self.order.retain(|&other| other != number);
        for other in &mut self.order {
            *other -= usize::from(*other > number);
        }
        // A successor is a guess: a wrong one costs a comparison.
        self.last = 0;
        self.counts.evicted += 1;
    }

    /// Learns from a message that fitted no template and was then parsed, if it is time to.
    pub(super) fn learn(&mut self, decoded: &Decoded, message: &[u8]) {
        if !self.enabled || self.pause != 0 {
            return;
        }
        let Self {
            outline, looked, ..
        } = self;
        if !outline.draw(decoded, message, self.max_depth, looked) {
            return;
        }
        let fingerprint = self.outline.fingerprint;
        let known = |template: &Template| template.fingerprint == fingerprint;
        if self.templates.iter().any(known) {
            // Its tokens are beyond the strict grammar.
            return;
        }
        if !self.sights.contains(&fingerprint) {
            self.sights[self.next_sight] = fingerprint;
            self.next_sight = (self.next_sight + 1) % SIGHTS;
            return;
        }
        let full = self.templates.len() == MOST_TEMPLATES;
        if full && self.messages() < self.tenured_until {
            return;
        }
        let Some(template) = self.outline.template(message) else {
            return;
        };
        if full {
            self.make_room();
        }
        self.counts.learned += 1;
        self.credit = MOST_CREDIT;
        self.next_pause = SHORT_PAUSE;
        let number = self.templates.len();
        self.templates.push(Template {
            used: self.messages(),
            successor: number,
            ..template
        });
        self.order.insert(0, number);
        if let Some(last) = self.templates.get_mut(self.last) {
            last.successor = number;
        }
        self.last = number;
    }

    /// Drops the template that has not fitted for the longest time. The more often that happens,
    /// the rarer it is allowed.
    #[cold]
    fn make_room(&mut self) {
        let oldest = (0..self.templates.len()).min_by_key(|&at| self.templates[at].used);
        let Some(oldest) = oldest else {
            return;
        };
        let now = self.messages();
        let idle = now - self.templates[oldest].used;
        // One that nobody missed for long is no loss.
        self.tenure = if idle > self.tenure {
            SHORT_TENURE.max(self.tenure / 2)
        } else {
            LONG_TENURE.min(self.tenure * 2)
        };
        self.tenured_until = now + self.tenure;
        self.remove(oldest);
    }
}

#[cfg(test)]
mod tests;
