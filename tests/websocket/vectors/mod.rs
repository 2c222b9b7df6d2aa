//! The table: what a server sends, the events that it means, and the rule that it breaks.

mod frames;
mod messages;

use tickcache::ws::ProtocolError;

use crate::{Outcome, Seen};

/// The longest message in the vectors; those that need more room say so by their size.
const MAX_MESSAGE: usize = 2048;

pub(crate) struct Vector {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) refused: Option<ProtocolError>,
    pub(crate) max_message: usize,
}

/// The vector table, in the making.
#[derive(Default)]
struct Vectors(Vec<Vector>);

impl Vectors {
    fn add(&mut self, name: &'static str, parts: &[Vec<u8>], outcome: Outcome) {
        let (seen, refused) = outcome;
        let bytes = parts.concat();
        self.0.push(Vector {
            name,
            bytes,
            seen,
            refused,
            max_message: MAX_MESSAGE,
        });
    }

    fn accepted(&mut self, name: &'static str, parts: &[Vec<u8>], seen: &[Seen]) {
        self.add(name, parts, (seen.to_vec(), None));
    }

    /// A refusal before anything was delivered; use `add` where good frames come first.
    fn refused(&mut self, name: &'static str, parts: &[Vec<u8>], error: ProtocolError) {
        self.add(name, parts, (Vec::new(), Some(error)));
    }
}

fn text(text: &str) -> Seen {
    Seen::Text(text.to_owned())
}

pub(crate) fn all() -> Vec<Vector> {
    let mut v = Vectors::default();
    messages::defects(&mut v);
    frames::headers(&mut v);
    messages::messages(&mut v);
    frames::closing(&mut v);
    v.0
}
