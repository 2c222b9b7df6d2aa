//! A sink that writes down what it is told, and what a message comes to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tickcache::feed::{
    Class, Control, Counters, EntityIx, Envelope, Intake, Missing, Outbox, Protocol, Refusal, Sink,
    Transaction, Update,
};
use tickcache::json::Value;
use tickcache::key::IdRef;
use tickcache::record::Mode;

/// Where the files of these tests are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/envelopes")
}

/// The envelope in a file of [`folder`].
#[track_caller]
pub(crate) fn envelope(name: &str) -> Envelope {
    let path = folder().join(name).with_extension("toml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Envelope::from_toml(&text).unwrap_or_else(|error| panic!("{name}.toml: {error}"))
}

#[derive(Debug, Default)]
struct Recorder {
    names: Vec<String>,
    staged: Vec<String>,
    lines: Vec<String>,
}

impl Recorder {
    fn stage(&mut self, verb: &str, entity: EntityIx, id: Option<IdRef<'_>>, rest: &str) {
        let entity = &self.names[entity.index()];
        let id = match id {
            None => String::new(),
            Some(IdRef::Int(id)) => format!(" {id}"),
            Some(IdRef::Text(id)) => format!(" {id:?}"),
        };
        self.staged.push(format!("{verb} {entity}{id}{rest}"));
    }
}

/// Numbers and time of an update: `#7`, `#3..7`, `#7<6`, `@..` in nanoseconds.
fn numbers(update: &Update) -> String {
    let mut text = String::new();
    if let Some(sequence) = update.sequence {
        text = match (sequence.previous, sequence.first == sequence.last) {
            (Some(previous), _) => format!(" #{}<{previous}", sequence.last),
            (None, true) => format!(" #{}", sequence.last),
            (None, false) => format!(" #{}..{}", sequence.first, sequence.last),
        };
    }
    if let Some(time) = update.source_time {
        text += &format!(" @{time}");
    }
    text
}

impl Sink for Recorder {
    fn entity(&mut self, name: &str) -> Result<EntityIx, Refusal> {
        let known = self.names.iter().position(|known| known == name);
        let index = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        Ok(EntityIx::new(u32::try_from(index).expect("few entities")))
    }

    fn patch(
        &mut self,
        entity: EntityIx,
        id: IdRef<'_>,
        update: Update,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        let verb = match (update.mode, update.whole) {
            (_, true) => "whole",
            (Mode::Merge, _) => "patch",
            (Mode::MergeNull, _) => "patch-null",
            (Mode::Shallow, _) => "shallow",
            _ => "replace",
        };
        let inserts = !update.whole && update.missing == Missing::Insert;
        let verb = format!("{verb}{}", if inserts { "+" } else { "" });
        let value = String::from_utf8_lossy(value.raw());
        self.stage(
            &verb,
            entity,
            Some(id),
            &format!("{} {value}", numbers(&update)),
        );
        Ok(())
    }

    fn remove(&mut self, entity: EntityIx, id: IdRef<'_>, update: Update) -> Result<(), Refusal> {
        self.stage("remove", entity, Some(id), &numbers(&update));
        Ok(())
    }

    fn invalidate(&mut self, entity: EntityIx, id: Option<IdRef<'_>>) -> Result<(), Refusal> {
        self.stage("invalidate", entity, id, "");
        Ok(())
    }

    fn advance(&mut self, number: u64) -> Result<(), Refusal> {
        self.staged.push(format!("advance {number}"));
        Ok(())
    }
}

impl Transaction for Recorder {
    fn commit(&mut self) {
        self.lines.append(&mut self.staged);
    }

    fn rollback(&mut self) {
        self.staged.clear();
    }
}

/// An envelope, and what its messages come to.
pub(crate) struct Desk {
    pub(crate) intake: Intake<Envelope>,
    sink: Recorder,
}

impl Desk {
    pub(crate) fn new(envelope: Envelope) -> Self {
        let counters = Arc::new(Counters::default());
        let mut intake = Intake::new(envelope, 128, Outbox::new(64, 1 << 20), counters);
        intake.opened().expect("room for what is sent first");
        while intake.outbox().pop().is_some() {}
        Self {
            intake,
            sink: Recorder::default(),
        }
    }

    /// One line for each thing that a message does.
    pub(crate) fn take(&mut self, text: &str) -> Vec<String> {
        let was_ready = self.intake.protocol().is_ready();
        let class = match self.intake.text(text.as_bytes(), &mut self.sink) {
            Ok(Class::Data) => None,
            Ok(Class::Invalidation) => None,
            Ok(Class::Unmapped(channel)) => Some(format!("unmapped {channel}")),
            Ok(Class::Control(Control::Granted(request))) => Some(format!("granted {request}")),
            Ok(Class::Control(Control::Denied(request, reason))) => {
                let request = request.map(|n| format!(" {n}")).unwrap_or_default();
                Some(format!("denied{request}: {reason}"))
            }
            Ok(Class::Control(Control::Refused(reason))) => Some(format!("refused: {reason}")),
            Ok(Class::Control(Control::Heartbeat)) => Some("heartbeat".to_owned()),
            Ok(Class::Control(Control::Closing)) => Some("closing".to_owned()),
            Ok(Class::Control(Control::Notice)) => Some("notice".to_owned()),
            Err(refusal) => Some(format!("NOT UNDERSTOOD: {refusal}")),
        };
        let mut lines = std::mem::take(&mut self.sink.lines);
        lines.extend(class);
        if !was_ready && self.intake.protocol().is_ready() {
            lines.push("ready".to_owned());
        }
        while let Some(reply) = self.intake.outbox().pop() {
            lines.push(format!("reply {reply}"));
        }
        assert!(self.intake.counters().snapshot().balanced(), "{text}");
        lines
    }
}
