//! What tests of protocols and of the machine share: a sink that records, and a harness.

use std::sync::Arc;

use super::config::Settings;
use super::counters::Counters;
use super::intake::Intake;
use super::machine::{Action, Machine};
use super::outbox::Outbox;
use super::protocol::{
    Class, Control, EntityIx, Missing, Protocol, Refusal, Sink, Transaction, Update,
};
use crate::Time;
use crate::json::Value;
use crate::key::IdRef;
use crate::record::Mode;

/// A sink that writes down what it is given, one line each; a refused message leaves nothing.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    names: Vec<String>,
    staged: Vec<String>,
    pub(crate) lines: Vec<String>,
    pub(crate) updates: Vec<Update>,
    /// The next patch is refused.
    pub(crate) refuse: Option<Refusal>,
}

impl Recording {
    /// What was recorded since the last call.
    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    fn name(&self, entity: EntityIx) -> &str {
        &self.names[entity.index()]
    }
}

fn show(id: IdRef<'_>) -> String {
    match id {
        IdRef::Int(id) => id.to_string(),
        IdRef::Text(id) => format!("{id:?}"),
    }
}

impl Sink for Recording {
    fn entity(&mut self, name: &str) -> Result<EntityIx, Refusal> {
        let found = self.names.iter().position(|known| known == name);
        let index = found.unwrap_or_else(|| {
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
        if let Some(reason) = self.refuse.take() {
            return Err(reason);
        }
        let verb = match (update.mode, update.whole) {
            (Mode::Merge, _) => "merge",
            (Mode::MergeNull, _) => "merge-null",
            (Mode::Shallow, _) => "shallow",
            (_, true) => "whole",
            (_, false) => "replace",
        };
        let insert = if update.missing == Missing::Insert {
            "+"
        } else {
            ""
        };
        let sequence = update
            .sequence
            .map(|s| format!(" #{}", s.last))
            .unwrap_or_default();
        let time = update
            .source_time
            .map(|t| format!(" @{t}"))
            .unwrap_or_default();
        let (entity, id) = (self.name(entity), show(id));
        let value = String::from_utf8_lossy(value.raw());
        self.staged.push(format!(
            "{verb}{insert} {entity} {id} {value}{sequence}{time}"
        ));
        self.updates.push(update);
        Ok(())
    }

    fn remove(&mut self, entity: EntityIx, id: IdRef<'_>, update: Update) -> Result<(), Refusal> {
        let sequence = update
            .sequence
            .map(|s| format!(" #{}", s.last))
            .unwrap_or_default();
        self.staged.push(format!(
            "remove {} {}{sequence}",
            self.name(entity),
            show(id)
        ));
        Ok(())
    }

    fn invalidate(&mut self, entity: EntityIx, id: Option<IdRef<'_>>) -> Result<(), Refusal> {
        let id = id.map(|id| format!(" {}", show(id))).unwrap_or_default();
        self.staged
            .push(format!("invalidate {}{id}", self.name(entity)));
        Ok(())
    }

    fn advance(&mut self, number: u64) -> Result<(), Refusal> {
        self.staged.push(format!("advance {number}"));
        Ok(())
    }
}

impl Transaction for Recording {
    fn commit(&mut self) {
        self.lines.append(&mut self.staged);
    }

    fn rollback(&mut self) {
        self.staged.clear();
    }
}

/// A protocol, an intake and a recording sink.
pub(crate) struct Desk<P> {
    pub(crate) intake: Intake<P>,
    pub(crate) sink: Recording,
    pub(crate) counters: Arc<Counters>,
}

impl<P: Protocol> Desk<P> {
    pub(crate) fn new(protocol: P) -> Self {
        let counters = Arc::new(Counters::default());
        let intake = Intake::new(
            protocol,
            128,
            Outbox::new(64, 1 << 16),
            Arc::clone(&counters),
        );
        Self {
            intake,
            sink: Recording::default(),
            counters,
        }
    }

    /// What a message does: the recorded lines, or its class, or why it was refused.
    pub(crate) fn take(&mut self, message: &str) -> Vec<String> {
        let outcome = match self.intake.text(message.as_bytes(), &mut self.sink) {
            Ok(Class::Data | Class::Invalidation) => None,
            Ok(Class::Control(Control::Granted(n))) => Some(format!("granted {n}")),
            Ok(Class::Control(Control::Denied(n, why))) => {
                let number = n.map_or_else(|| "?".to_owned(), |n| n.to_string());
                Some(format!("denied {number} {why}"))
            }
            Ok(Class::Control(control)) => Some(format!("{control:?}").to_lowercase()),
            Ok(Class::Unmapped(channel)) => Some(format!("unmapped {channel}")),
            Err(reason) => Some(format!("refused {reason:?}")),
        };
        let mut lines = self.sink.take();
        lines.extend(outcome);
        lines
    }
}

/// Table test of a protocol: each message next to the lines it leads to. The first ledger balances
/// after each of them.
#[track_caller]
pub(crate) fn check<P: Protocol>(protocol: P, cases: &[(&str, &[&str])]) {
    let mut desk = Desk::new(protocol);
    for (message, expected) in cases {
        assert_eq!(desk.take(message), *expected, "{message}");
        assert!(desk.counters.snapshot().balanced(), "{message}");
    }
    assert_eq!(desk.counters.snapshot().messages, cases.len() as u64);
}

/// A machine, the clock that is turned by hand, and the server at the other end of the wire.
pub(crate) struct Pair<P> {
    pub(crate) machine: Machine<P>,
    pub(crate) sink: Recording,
    pub(crate) counters: Arc<Counters>,
    pub(crate) now: Time,
    actions: Vec<Action>,
    sent: Vec<u8>,
}

impl<P: Protocol> Pair<P> {
    pub(crate) fn new(settings: Settings, protocol: P) -> Self {
        let counters = Arc::new(Counters::default());
        let config = settings.check().expect("the settings can work");
        let machine = Machine::new(config, protocol, Arc::clone(&counters), 1)
            .expect("the streams can be asked for");
        let now = Time::from_nanos(1_000_000_000);
        let sink = Recording::default();
        Self {
            machine,
            sink,
            counters,
            now,
            actions: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// Started, and connected at once.
    pub(crate) fn open(settings: Settings, protocol: P) -> Self {
        let mut pair = Self::new(settings, protocol);
        pair.machine.start(pair.now);
        assert_eq!(pair.actions(), [Action::Connect { attempt: 1 }]);
        pair.connect(&[]);
        assert_eq!(pair.actions(), [Action::Opened { generation: 1 }]);
        pair
    }

    /// The connection is made to where the protocol says, and `leftover` came with the handshake.
    pub(crate) fn connect(&mut self, leftover: &[u8]) {
        self.machine.address();
        self.machine.handle_connected(self.now, leftover, &[]);
        self.machine.handle_filled(self.now, 0, &mut self.sink);
        self.collect();
    }

    /// Bytes come from the server.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            let space = self.machine.space();
            let n = space.len().min(rest.len());
            space[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            self.machine.handle_filled(self.now, n, &mut self.sink);
            self.collect();
            if rest.is_empty() {
                return;
            }
        }
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.receive(&frame(0x1, text.as_bytes()));
    }

    /// Time passes; every deadline on the way is kept at its instant.
    pub(crate) fn pass(&mut self, millis: u64) {
        let end = Time::from_nanos(self.now.as_nanos() + millis * 1_000_000);
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.machine.handle_timeout(self.now);
            self.collect();
        }
        self.now = end;
    }

    /// Actions since the last call.
    pub(crate) fn actions(&mut self) -> Vec<Action> {
        self.collect();
        std::mem::take(&mut self.actions)
    }

    /// What the server got since the last call: `text ..`, `ping ..`, `pong ..`, `close ..`. The
    /// socket takes all of it.
    pub(crate) fn sent(&mut self) -> Vec<String> {
        self.write(usize::MAX);
        let (frames, rest) = client_frames(&self.sent);
        self.sent = rest;
        frames
    }

    /// The socket takes at most so many bytes, as often as there are any.
    pub(crate) fn write(&mut self, most: usize) {
        loop {
            let n = self.machine.transmit().len().min(most);
            if n == 0 {
                return;
            }
            self.sent.extend_from_slice(&self.machine.transmit()[..n]);
            self.machine.handle_transmitted(self.now, n);
            self.collect();
        }
    }

    fn collect(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            self.actions.push(action);
        }
    }
}

/// A server's frame, whole and unmasked.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        len @ 0..=125 => bytes.push(len as u8),
        len @ 126..=0xFFFF => {
            bytes.push(126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// Takes a client's frames apart, as a server would; an unfinished one is given back.
pub(crate) fn client_frames(mut bytes: &[u8]) -> (Vec<String>, Vec<u8>) {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert_eq!(second & 0x80, 0x80, "a client masks its frames");
        let (len, rest) = match (second & 0x7F, rest) {
            (126, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            (127, rest) if rest.len() >= 8 => {
                let (len, rest) = rest.split_at(8);
                (
                    u64::from_be_bytes(len.try_into().expect("8 bytes")) as usize,
                    rest,
                )
            }
            (len @ 0..=125, rest) => (usize::from(len), rest),
            _ => break,
        };
        let Some((mask, rest)) = rest.split_at_checked(4) else {
            break;
        };
        let Some((payload, rest)) = rest.split_at_checked(len) else {
            break;
        };
        let payload: Vec<u8> = payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(b, m)| b ^ m)
            .collect();
        let text = String::from_utf8_lossy(&payload).into_owned();
        frames.push(match first & 0x0F {
            0x1 => format!("text {text}"),
            0x8 if payload.is_empty() => "close".to_owned(),
            0x8 => format!("close {}", u16::from_be_bytes([payload[0], payload[1]])),
            0x9 => format!("ping {text}"),
            0xA => format!("pong {text}"),
            opcode => panic!("a client has no reason to send opcode {opcode}"),
        });
        bytes = rest;
    }
    (frames, bytes.to_vec())
}
