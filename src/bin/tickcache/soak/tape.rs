//! What the undisturbed feed receives is recorded on the way, by the recorder of `record`, and
//! replayed at the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value as Json;
use serde_json::value::RawValue;
use sha1::{Digest, Sha1};
use tickcache::cache::{Cache, Feed};
use tickcache::feed::{
    Address, Claims, Class, Envelope, Outbox, OutboxFull, Protocol, Refusal, Sink, Subscription,
};
use tickcache::json::Message;

use crate::Failure;
use crate::input::{Next, Plays, Source};
use crate::record::{Paths, Tape, Writer};

/// An envelope whose messages are recorded before they are looked at.
#[derive(Clone, Debug)]
pub(crate) struct Taped {
    envelope: Envelope,
    tape: Arc<Tape>,
    connection: u64,
}

impl Taped {
    pub(crate) fn new(envelope: Envelope, recording: &Recording) -> Self {
        Self {
            envelope,
            tape: Arc::clone(&recording.tape),
            connection: 0,
        }
    }
}

impl Protocol for Taped {
    fn name(&self) -> &str {
        self.envelope.name()
    }

    fn claims(&self) -> Claims {
        self.envelope.claims()
    }

    fn address(&self, wanted: &[&Subscription]) -> Option<Address> {
        self.envelope.address(wanted)
    }

    fn opened(&mut self, out: &mut Outbox) -> Result<(), OutboxFull> {
        self.connection = self.tape.connection();
        self.envelope.opened(out)
    }

    fn text<'a>(&mut self, text: &'a [u8]) -> Option<Class<'a>> {
        self.tape.message(self.connection, text);
        self.envelope.text(text)
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        self.envelope.message(message, sink, out)
    }
}

/// Files in a directory of their own, which is removed at the end.
#[derive(Debug)]
pub(crate) struct Recording {
    tape: Arc<Tape>,
    directory: PathBuf,
    file: PathBuf,
    writer: Option<Writer>,
}

impl Recording {
    /// Makes the files and begins to write.
    pub(crate) fn start() -> Result<Self, Failure> {
        let name = format!("tickcache-soak-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory)
            .map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
        let file = directory.join("clean.jsonl.gz");
        let tape = Arc::new(Tape::new(None));
        let writer = Writer::start(&Paths::new(&file), true, Arc::clone(&tape))?;
        Ok(Self {
            tape,
            directory,
            file,
            writer: Some(writer),
        })
    }

    /// Ends it, and replays what was recorded into a cache of its own; gives the state of the
    /// entity then, and how many messages it came from.
    pub(crate) fn replayed(
        &mut self,
        envelope: Envelope,
        entity: &str,
    ) -> Result<(Held, u64), Failure> {
        self.tape.close();
        if let Some(writer) = self.writer.take() {
            writer.finish()?;
        }
        let plays = Plays {
            recorded: false,
            connections: Vec::new(),
        };
        let mut source = Source::open(std::slice::from_ref(&self.file), &plays)?;
        let cache = Cache::builder().build()?;
        let mut feed = cache.local(Feed::envelope(envelope))?;
        feed.open();
        let mut text = Vec::new();
        while let Some(Next { begins, .. }) = source.next(|line| {
            text.clear();
            text.extend_from_slice(line.as_bytes());
        }) {
            if begins {
                feed.close();
                feed.open();
            }
            feed.message(&mut text)
                .map_err(|refusal| format!("a recorded message was refused: {refusal}"))?;
        }
        let (held, messages) = (Held::of(&cache, entity), feed.counters().messages);
        drop(feed);
        cache.close_blocking(std::time::Duration::from_secs(10))?;
        Ok((held, messages))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.tape.close();
        if let Some(writer) = self.writer.take() {
            // Whoever wanted to know whether it was written has asked already.
            let _ = writer.finish();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The values of an entity as canonical text: a line for each, `ID VALUE`, sorted by id as printed,
/// members sorted by name, tokens as they were received, no spaces. Freshness, epochs and numbers
/// beside the values are no part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held(pub(crate) Vec<String>);

impl Held {
    /// What the engine holds.
    pub(crate) fn of(cache: &Cache, entity: &str) -> Self {
        let slots = cache.entity(entity);
        let lines = slots.iter().filter_map(|slot| {
            let (text, id) = (slot.read_all(|view| view.record().to_json()), slot.id());
            if text.is_empty() {
                return None;
            }
            // What is no object has no members to be sorted.
            let members: Result<BTreeMap<String, &RawValue>, _> = serde_json::from_str(&text);
            Some(match members {
                Ok(members) => {
                    let members = members.iter();
                    Self::line(
                        &id.to_string(),
                        members.map(|(name, raw)| (name, raw.get())),
                    )
                }
                Err(_) => format!("{id} {text}"),
            })
        });
        Self::sorted(lines.collect())
    }

    /// What these ids and values, which are objects, come to.
    pub(crate) fn all(values: impl IntoIterator<Item = (String, Json)>) -> Self {
        let line = |(id, value): (String, Json)| {
            let members: BTreeMap<_, _> = value.as_object().into_iter().flatten().collect();
            let members: Vec<_> = members
                .into_iter()
                .map(|(name, value)| (name, value.to_string()))
                .collect();
            let members = members.iter();
            Self::line(&id, members.map(|(name, value)| (*name, value.as_str())))
        };
        Self::sorted(values.into_iter().map(line).collect())
    }

    fn line<'a>(id: &str, members: impl Iterator<Item = (&'a String, &'a str)>) -> String {
        let members: Vec<_> = members
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{id} {{{}}}", members.join(","))
    }

    fn sorted(mut lines: Vec<String>) -> Self {
        lines.sort_unstable();
        Self(lines)
    }

    /// SHA-1 of the lines, as hexadecimal digits.
    pub(crate) fn hash(&self) -> String {
        let mut hash = Sha1::new();
        for line in &self.0 {
            hash.update(line.as_bytes());
            hash.update(b"\n");
        }
        hash.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The first line in which two differ.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        if self == other {
            return None;
        }
        let longest = self.0.len().max(other.0.len());
        let at = (0..longest).find(|at| self.0.get(*at) != other.0.get(*at))?;
        let line = |held: &Self| held.0.get(at).map_or("nothing", |line| line).to_owned();
        Some(format!("{} where {} is expected", line(self), line(other)))
    }
}
