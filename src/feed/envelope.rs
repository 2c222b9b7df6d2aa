//! A protocol made of rules: which messages there are, and where in them entity, id, payload, kind,
//! sequence and time stand.
//!
//! For venues whose messages are regular enough to be described. A message goes through the rules
//! in order; the first whose conditions hold takes it. What cannot be described is a [`Protocol`]
//! of its own.
//!
//! [`Envelope::from_toml`] reads an envelope from a file, [`Envelope::builder`] says one in code.
//! Both come to the same rules. In steady state a message allocates nothing: pointers are followed
//! in the decoded message, texts that have to be put together use buffers that are kept.

use std::fmt;
use std::time::Duration;

use super::config::Pace;
use super::names::Names;
use super::outbox::{Outbox, OutboxFull};
use super::protocol::{
    Address, Answer, Asked, Claims, Class, Control, Covers, Protocol, Refusal, Sink,
    SubscribeError, Subscription, Verb,
};
use super::reading::Ids;
use crate::json::{Message, Pointer};
use crate::key::Id;

mod builder;
mod condition;
#[cfg_attr(
    not(feature = "toml"),
    allow(dead_code, reason = "only files say some of it")
)]
mod constant;
mod cut;
mod error;
#[cfg(feature = "toml")]
mod file;

#[cfg_attr(
    not(feature = "toml"),
    allow(dead_code, reason = "only files say some of it")
)]
mod requests;
#[cfg_attr(
    not(feature = "toml"),
    allow(dead_code, reason = "only files say some of it")
)]
mod rule;
mod tables;
#[cfg_attr(
    not(feature = "toml"),
    allow(dead_code, reason = "only files say some of it")
)]
mod take;
#[cfg_attr(
    not(feature = "toml"),
    allow(dead_code, reason = "only files say some of it")
)]
mod template;
mod turn;

pub use builder::EnvelopeBuilder;
pub use condition::{Test, Type};
pub use error::EnvelopeError;
pub use requests::Ask;
pub use rule::MessageKind;
pub use take::{Origin, Take};

use constant::Constant;
use requests::Writer;
use rule::Rule;
use tables::Tables;
use template::Template;
use turn::{Scratch, Turn};

/// A protocol made of rules. Read by [`Envelope::from_toml`] or built by [`Envelope::builder`].
#[derive(Clone)]
pub struct Envelope {
    name: Box<str>,
    claims: Claims,
    rules: Vec<Rule>,
    /// Where several events of one message stand.
    each: Option<Pointer>,
    /// What unmapped messages are counted under.
    channel: Option<Take>,
    /// Where the number of the connection stands.
    numbering: Option<Take>,
    ids: Ids,
    link: Link,
    writer: Option<Writer>,
    names: Names,
    tables: Tables,
    constants: Vec<Constant>,
    scratch: Scratch,
    ready: bool,
    beats: u64,
}

/// What is to be known about the connection.
#[derive(Clone, Debug, Default)]
struct Link {
    url: Option<Box<str>>,
    /// Texts, and whether each holds a secret.
    on_open: Vec<(Box<str>, bool)>,
    beat: Option<(Duration, Beat)>,
    /// Texts that are signs of life.
    beats: Vec<Box<str>>,
    pace: Option<Pace>,
    request_pace: Option<Pace>,
    capacity: Option<usize>,
    lifetime: Option<Duration>,
    /// Whether a login has to be answered before anything is asked for.
    waits: bool,
    streams: Vec<Subscription>,
    /// The entity that a stream keeps up.
    value: Option<Template>,
    answered: bool,
}

/// What is sent as a sign of life.
#[derive(Clone, Debug)]
enum Beat {
    Text(Template),
    /// A ping frame.
    #[cfg_attr(not(feature = "toml"), allow(dead_code, reason = "only files say it"))]
    Ping,
}

impl Envelope {
    /// An envelope with nothing said about it yet.
    pub fn builder(name: &str) -> EnvelopeBuilder {
        EnvelopeBuilder::new(name)
    }

    /// The same, connecting elsewhere.
    #[must_use]
    pub fn with_url(mut self, url: &str) -> Self {
        self.link.url = Some(url.into());
        self
    }

    /// The same, with these streams wanted from the start besides those that already are.
    #[must_use]
    pub fn with_streams(mut self, streams: impl IntoIterator<Item = Subscription>) -> Self {
        self.link.streams.extend(streams);
        self
    }

    /// The same, as a listener: it sends no texts, waits for no login and asks for no streams. For
    /// recordings that are played back, where nobody would answer.
    #[must_use]
    pub fn listening(mut self) -> Self {
        self.link.on_open.clear();
        self.link.streams.clear();
        self.link.beat = None;
        self.link.waits = false;
        for rule in &mut self.rules {
            rule.service.reply = None;
        }
        self
    }

    /// An envelope of these rules, which are checked already.
    fn of(
        name: Box<str>,
        rules: Vec<Rule>,
        entities: Option<Vec<Box<str>>>,
        covers: Covers,
    ) -> Self {
        let mut owned = entities.unwrap_or_default();
        let mut wildcard = false;
        if owned.is_empty() {
            for data in rules.iter().filter_map(|rule| rule.data.as_ref()) {
                match data.entity.as_constant() {
                    Some(name) if owned.iter().any(|known| **known == *name) => {}
                    Some(name) => owned.push(name.into()),
                    None => wildcard = true,
                }
            }
        }
        let mut tables = Tables::default();
        for lesson in rules.iter().flat_map(|rule| &rule.service.learn) {
            tables.add(&lesson.table);
        }
        let link = Link {
            waits: rules
                .iter()
                .any(|rule| rule.kind.all().any(|kind| kind == MessageKind::Ready)),
            answered: rules
                .iter()
                .any(|rule| rule.kind.all().any(MessageKind::is_answer)),
            ..Link::default()
        };
        Self {
            name,
            claims: Claims {
                entities: owned,
                wildcard,
                covers,
            },
            rules,
            each: None,
            channel: None,
            numbering: None,
            ids: Ids::default(),
            link,
            writer: None,
            names: Names::default(),
            tables,
            constants: Vec::new(),
            scratch: Scratch::default(),
            ready: false,
            beats: 0,
        }
    }

    fn request(
        &self,
        verb: Verb,
        request: u64,
        streams: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        let writer = self.writer.as_ref().ok_or(SubscribeError::Unsupported)?;
        let answer = if self.link.answered {
            Answer::Expected
        } else {
            Answer::None
        };
        let ask = Ask {
            verb,
            request,
            streams,
        };
        writer.request(ask, answer, out)
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Texts to send may hold a secret, and so may the URL.
        f.debug_struct("Envelope")
            .field("name", &self.name)
            .field("claims", &self.claims)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl Protocol for Envelope {
    fn name(&self) -> &str {
        &self.name
    }

    fn claims(&self) -> Claims {
        self.claims.clone()
    }

    fn address(&self, _wanted: &[&Subscription]) -> Option<Address> {
        self.link.url.as_deref().map(|url| Address {
            url: url.to_owned(),
            carries: 0,
        })
    }

    fn initial(&self) -> Vec<Subscription> {
        self.link.streams.clone()
    }

    fn capacity(&self) -> usize {
        self.link.capacity.unwrap_or(usize::MAX)
    }

    fn pace(&self) -> Option<Pace> {
        self.link.pace
    }

    fn request_pace(&self) -> Option<Pace> {
        self.link.request_pace
    }

    fn lifetime(&self) -> Option<Duration> {
        self.link.lifetime
    }

    fn is_ready(&self) -> bool {
        self.ready || !self.link.waits
    }

    fn check(&self, _subscription: &Subscription) -> Result<(), SubscribeError> {
        if self.writer.is_some() {
            Ok(())
        } else {
            Err(SubscribeError::Unsupported)
        }
    }

    fn value_of(&self, subscription: &Subscription) -> Option<(String, Id)> {
        let template = self.link.value.as_ref()?;
        if subscription.id.is_empty() {
            return None;
        }
        let mut entity = String::new();
        template.stream(subscription, &mut entity);
        Some((entity, Id::from(&*subscription.id)))
    }

    fn subscribe(
        &mut self,
        request: u64,
        wanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        self.request(Verb::Subscribe, request, wanted, out)
    }

    fn unsubscribe(
        &mut self,
        request: u64,
        unwanted: &[&Subscription],
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        self.request(Verb::Unsubscribe, request, unwanted, out)
    }

    fn opened(&mut self, out: &mut Outbox) -> Result<(), OutboxFull> {
        self.ready = false;
        self.tables.clear();
        let mut texts = self.link.on_open.iter();
        texts.try_for_each(|(text, secret)| match secret {
            true => out.push_secret(&**text),
            false => out.push(&**text),
        })
    }

    fn heartbeat(&self) -> Option<Duration> {
        self.link.beat.as_ref().map(|(every, _)| *every)
    }

    fn beat(&mut self, out: &mut Outbox) {
        match &self.link.beat {
            Some((_, Beat::Text(text))) => {
                self.beats += 1;
                // A full queue is a sign of life as well.
                let _ = out.push(text.counted(self.beats));
            }
            Some((_, Beat::Ping)) => out.ping(),
            None => {}
        }
    }

    #[inline]
    fn text<'a>(&mut self, text: &'a [u8]) -> Option<Class<'a>> {
        let is_beat = self.link.beats.iter().any(|beat| beat.as_bytes() == text);
        is_beat.then_some(Class::Control(Control::Heartbeat))
    }

    fn message<'a, S: Sink>(
        &mut self,
        message: &Message<'a>,
        sink: &mut S,
        out: &mut Outbox,
    ) -> Result<Class<'a>, Refusal> {
        let mut turn = Turn {
            rules: &self.rules,
            each: self.each.as_ref(),
            channel: self.channel.as_ref(),
            numbering: self.numbering.as_ref(),
            ids: self.ids,
            entities: (!self.claims.wildcard).then_some(&self.claims.entities),
            names: &mut self.names,
            tables: &mut self.tables,
            constants: &mut self.constants,
            scratch: &mut self.scratch,
            ready: &mut self.ready,
            sink,
            out,
        };
        turn.message(message.root())
    }
}

#[cfg(test)]
mod tests;
