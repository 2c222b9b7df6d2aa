//! Asking for streams: how many of them one request holds, and what it says.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "toml")]
use super::template::check_json;
use super::template::{Lists, Part, Template};
use crate::feed::outbox::Outbox;
use crate::feed::protocol::{Answer, Asked, SubscribeError, Subscription, Verb};

/// One request to be written.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What for.
    pub verb: Verb,
    /// Its number, which the answer has to name.
    pub request: u64,
    /// The streams; a request may hold fewer of them, from the first on.
    pub streams: &'a [&'a Subscription],
}

/// Writes the text of a request, and says how many streams it holds (at least one).
pub(super) type Write = Arc<dyn Fn(Ask<'_>) -> (String, usize) + Send + Sync>;

/// How requests are written. Its `Debug` shows no text.
#[derive(Clone)]
pub(super) enum Writer {
    Function(Write),
    Texts(Box<Texts>),
}

/// Requests made of templates.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    pub(super) subscribe: Template,
    pub(super) unsubscribe: Option<Template>,
    pub(super) lists: Lists,
    /// Most streams of a request.
    pub(super) most: usize,
    /// Most bytes of a request that holds more than one stream.
    pub(super) bytes: usize,
}

impl Texts {
    /// Whether a stream can stand in one request with another.
    fn agree(template: &Template, one: &Subscription, other: &Subscription) -> bool {
        let ids = template.has(|part| matches!(part, Part::Ids(_)));
        let channel = template.has(|part| matches!(part, Part::Channel(_))) || ids;
        let id = template
            .has(|part| matches!(part, Part::Id(_)) || (matches!(part, Part::Channels(_)) && !ids));
        (!channel || one.channel == other.channel) && (!id || one.id == other.id)
    }

    /// Whether the template says which streams it is about.
    pub(super) fn names_streams(template: &Template) -> bool {
        template.has(|part| {
            !matches!(
                part,
                Part::Text(_) | Part::Request | Part::Count | Part::Member(_)
            )
        })
    }

    /// Whether requests that begin as JSON are JSON; if not, which key is wrong, and why.
    #[cfg(feature = "toml")]
    pub(super) fn check_json(&self) -> Result<(), (&'static str, String)> {
        let (one, other) = (Subscription::new("c", "x"), Subscription::new("c", "y"));
        let named = [
            ("subscribe", Some(&self.subscribe)),
            ("unsubscribe", self.unsubscribe.as_ref()),
        ];
        for (name, template) in named {
            let Some(template) = template else { continue };
            for streams in [&[&one][..], &[&one, &other]] {
                let error = match check_json(&template.request(1, streams, &self.lists)) {
                    Ok(()) => continue,
                    Err(error) => error,
                };
                let mut bare = self.lists.clone();
                bare.quote = "".into();
                let is_quoted = !self.lists.quote.is_empty()
                    && check_json(&template.request(1, streams, &bare)).is_ok();
                let hint = if is_quoted {
                    "; each of `{ids}` and `{channels}` is put between quotes, which is wrong \
                     within a text: expected `quote = \"\"`"
                } else {
                    ""
                };
                return Err((name, format!("{error}{hint}")));
            }
        }
        Ok(())
    }

    fn write(&self, ask: Ask<'_>) -> Option<(String, usize)> {
        let template = match ask.verb {
            Verb::Subscribe => &self.subscribe,
            Verb::Unsubscribe => self.unsubscribe.as_ref()?,
        };
        let first = ask.streams.first()?;
        let together = ask
            .streams
            .iter()
            .take(self.most)
            .take_while(|stream| Self::agree(template, first, stream));
        let mut count = together.count().max(1);
        loop {
            let text = template.request(ask.request, &ask.streams[..count], &self.lists);
            if text.len() <= self.bytes || count == 1 {
                return Some((text, count));
            }
            // Streams are of about one length: mostly the second text fits.
            count = (count * self.bytes / text.len()).clamp(1, count - 1);
        }
    }
}

impl Writer {
    /// Queues a request for as many of the streams as it may hold.
    pub(super) fn request(
        &self,
        ask: Ask<'_>,
        answer: Answer,
        out: &mut Outbox,
    ) -> Result<Asked, SubscribeError> {
        let (text, count) = match self {
            Self::Function(write) => write(ask),
            Self::Texts(texts) => texts.write(ask).ok_or(SubscribeError::Unsupported)?,
        };
        out.push(text)?;
        Ok(Asked {
            count: count.clamp(1, ask.streams.len()),
            answer,
        })
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Function(_) => "Function",
            Self::Texts(_) => "Texts",
        })
    }
}
