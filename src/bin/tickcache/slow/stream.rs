//! The stream of events, with a note of what it has delivered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tickcache::feed::{
    Address, Claims, Class, Covers, Envelope, EnvelopeError, MessageKind, Missing, Outbox,
    OutboxFull, Policy, Protocol, Refusal, Rule, Sink,
};
use tickcache::json::Message;

use crate::simulator::ENTITY;

/// The newest version of each job that a patch has brought, once readers can see it.
#[derive(Debug)]
pub(crate) struct Delivered(Box<[AtomicU64]>);

impl Delivered {
    /// Of jobs with ids up to `jobs`.
    pub(crate) fn new(jobs: usize) -> Arc<Self> {
        Arc::new(Self((0..=jobs).map(|_| AtomicU64::new(0)).collect()))
    }

    /// The newest version of a job: what is read of it from now on is that version or a newer one.
    pub(crate) fn version(&self, id: u64) -> u64 {
        let at = usize::try_from(id).ok().and_then(|id| self.0.get(id));
        // Pairs with the store in `note`: the publication came before.
        at.map_or(0, |version| version.load(Ordering::Acquire))
    }

    fn note(&self, id: u64, version: u64) {
        if let Some(at) = usize::try_from(id).ok().and_then(|id| self.0.get(id)) {
            at.fetch_max(version, Ordering::Release);
        }
    }
}

/// The events as an [`Envelope`]. Versions are noted with the message after theirs: by then what
/// they brought has been published.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    envelope: Envelope,
    delivered: Arc<Delivered>,
    /// Of the last message.
    said: Option<(u64, u64)>,
}

impl Stream {
    /// Events from an address.
    pub(crate) fn new(url: &str, delivered: Arc<Delivered>) -> Result<Self, EnvelopeError> {
        let envelope = Envelope::builder("jobs")
            .url(url)
            .entity("/entity")
            .entities([ENTITY])
            // The other resources have no events of their own: they go stale with the connection.
            .covers(Covers::Unowned)
            .id("/id")
            .payload("/payload")
            .kind("/kind")
            .word("patch", MessageKind::Patch)
            .default_kind(MessageKind::Invalidate)
            // What comes before the first answer is not lost: it says how new the answer has to be.
            .missing(Missing::Insert)
            .sequence("/revision", Policy::continuing(Rule::ContiguousRange))
            .first_sequence("/first")
            .build()?;
        Ok(Self {
            envelope,
            delivered,
            said: None,
        })
    }
}

impl Protocol for Stream {
    fn name(&self) -> &str {
        self.envelope.name()
    }

    fn claims(&self) -> Claims {
        self.envelope.claims()
    }

    fn address(&self, wanted: &[&tickcache::feed::Subscription]) -> Option<Address> {
        self.envelope.address(wanted)
    }

    fn opened(&mut self, out: &mut Outbox) -> Result<(), OutboxFull> {
        self.envelope.opened(out)
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        if let Some((id, version)) = self.said.take() {
            self.delivered.note(id, version);
        }
        let class = self.envelope.message(message, sink, out)?;
        let root = message.root();
        let version = root
            .get("payload")
            .and_then(|payload| payload.get("version"));
        let said = root.get("id").zip(version);
        self.said = said.and_then(|(id, version)| Some((id.u64()?, version.u64()?)));
        Ok(class)
    }
}
