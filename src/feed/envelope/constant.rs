//! A payload that is the same for every message.

use std::fmt;

use crate::json::{Decoder, JsonError, Value};

/// How deep a constant may be nested.
const MAX_DEPTH: u32 = 64;

/// A JSON text, and what takes it apart when it is needed.
pub(super) struct Constant {
    text: Box<str>,
    decoder: Decoder,
}

impl Constant {
    /// The constant with this JSON text.
    pub(super) fn new(text: &str) -> Result<Self, JsonError> {
        let mut decoder = Decoder::new(MAX_DEPTH);
        decoder.decode(text.as_bytes())?;
        Ok(Self {
            text: text.into(),
            decoder,
        })
    }

    /// Its value.
    pub(super) fn value(&mut self) -> Option<Value<'_>> {
        let decoded = self.decoder.decode(self.text.as_bytes());
        decoded.ok().map(|message| message.root())
    }
}

impl Clone for Constant {
    fn clone(&self) -> Self {
        Self {
            text: self.text.clone(),
            decoder: Decoder::new(MAX_DEPTH),
        }
    }
}

impl fmt::Debug for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Constant").field(&self.text).finish()
    }
}
