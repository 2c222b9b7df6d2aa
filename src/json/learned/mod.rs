//! Learned layouts: templates of messages that came before, which take most messages apart without
//! a parser.
//!
//! A [`Template`] is the literal bytes between the *holes* of one parsed message. A later message
//! that has the same bytes there, and a token of the strict grammar in each hole, is that message
//! with other values: it needs no parser. Anything else is a miss and goes to the parser, so what is
//! accepted never depends on what was learned.

mod template;

pub(super) use template::{Hole, NO_HOLE, Place, Template};

/// What a decoder has learned, and which template fits the message at hand.
#[derive(Debug, Default)]
pub(super) struct Learned {
    templates: Vec<Template>,
    /// The one that the last message fitted.
    last: usize,
}

impl Learned {
    /// Whether there is a template that `message` fits; its holes are then filled from it.
    pub(super) fn find(&mut self, _message: &[u8]) -> bool {
        false
    }

    /// The template that [`find`](Self::find) found.
    ///
    /// # Panics
    ///
    /// If it has found none.
    pub(super) fn found(&self) -> &Template {
        &self.templates[self.last]
    }
}
