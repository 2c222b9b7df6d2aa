//! What a file says about the connection.

use std::num::NonZeroU32;
use std::time::Duration;

use super::reader::{Item, Read, Table};
use crate::feed::config::Pace;
use crate::feed::envelope::requests::{Texts, Writer};
use crate::feed::envelope::template::{Lists, Part, Template, Use};
use crate::feed::envelope::{Beat, Envelope, Link};
use crate::feed::protocol::Subscription;

/// Bytes of a request that holds several streams, unless the file says otherwise.
const MAX_BYTES: usize = 4000;

/// Everything but the rules.
pub(super) fn read(file: &Table<'_>, envelope: &mut Envelope) -> Read<()> {
    let writer = file
        .get("requests")
        .map(|item| requests(&item))
        .transpose()?;
    let link = &mut envelope.link;
    if let Some(item) = file.get("url") {
        let url = item.some_text()?;
        if !["ws://", "wss://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            // The URL itself may hold a key.
            return Err(item.fail("expected a URL that begins with `ws://` or `wss://`"));
        }
        link.url = Some(url.into());
    }
    if let Some(item) = file.get("on-open") {
        for item in item.one_or_more("a text, { secret = .. }, or an array of such")? {
            let secret = item.as_table();
            let text = match &secret {
                Some(table) => table.need("secret", "a text")?,
                None => item.clone(),
            };
            template(&text, Use::Opening)?;
            link.on_open
                .push((text.some_text()?.into(), secret.is_some()));
            secret.map_or(Ok(()), |table| table.finish())?;
        }
    }
    if let Some(item) = file.get("heartbeat") {
        heartbeat(&item, link)?;
    }
    link.pace = file.get("pace").map(|item| pace(&item)).transpose()?;
    let of_requests = file.get("request-pace").map(|item| pace(&item));
    link.request_pace = of_requests.transpose()?;
    link.capacity = file.get("capacity").map(|item| item.count()).transpose()?;
    link.lifetime = file
        .get("lifetime")
        .map(|item| item.seconds())
        .transpose()?;
    if let Some(item) = file.get("streams") {
        if writer.is_none() {
            return Err(item.fail("streams need [requests], which says how they are asked for"));
        }
        link.streams = streams(&item)?;
    }
    if let Some((writer, value)) = writer {
        envelope.writer = Some(Writer::Texts(Box::new(writer)));
        envelope.link.value = value;
    }
    Ok(())
}

/// A text with places; one that looks like JSON has to be JSON once they are filled.
fn template(item: &Item<'_>, used: Use) -> Read<Template> {
    let template = Template::new(item.some_text()?, used).map_err(|error| item.fail(error))?;
    if used != Use::Stream {
        template.check_json().map_err(|error| item.fail(error))?;
    }
    Ok(template)
}

fn heartbeat(item: &Item<'_>, link: &mut Link) -> Read<()> {
    let table = item.table("a table with `every` and `send`, or with `texts`")?;
    let send = table.get("send");
    let ping = table.get("ping").map(|item| item.bool()).transpose()?;
    let beat = match &send {
        Some(send) => Some(Beat::Text(template(send, Use::Beat)?)),
        None => (ping == Some(true)).then_some(Beat::Ping),
    };
    match (table.get("every"), beat) {
        (Some(every), Some(beat)) => link.beat = Some((every.seconds()?, beat)),
        (None, None) => {}
        (Some(every), None) => {
            return Err(every.fail("`every` needs `send`, the text to be sent, or `ping = true`"));
        }
        (None, Some(_)) => {
            return Err(table.fail("`every` is missing: expected the seconds between two"));
        }
    }
    if let Some(send) = send.filter(|_| ping.is_some()) {
        return Err(send.fail("expected `send` or `ping`, found both"));
    }
    if let Some(texts) = table.get("texts") {
        link.beats = texts.texts()?.into_iter().map(Into::into).collect();
    }
    table.finish()?;
    if link.beat.is_none() && link.beats.is_empty() {
        return Err(table.fail("expected `every` with `send` or `ping`, or `texts`"));
    }
    Ok(())
}

fn pace(item: &Item<'_>) -> Read<Pace> {
    let table = item.table("a table: { messages = 10, seconds = 1 }")?;
    let messages = table.need("messages", "how many")?;
    let number = u32::try_from(messages.count()?)
        .ok()
        .and_then(NonZeroU32::new);
    let pace = Pace {
        messages: number.ok_or_else(|| messages.expected("a smaller number"))?,
        per: match table.get("seconds") {
            Some(seconds) => seconds.seconds()?,
            None => Duration::from_secs(1),
        },
    };
    table.finish()?;
    Ok(pace)
}

/// Channels and their ids; a channel without any is one stream.
fn streams(item: &Item<'_>) -> Read<Vec<Subscription>> {
    let table = item.table("a table of channels and their ids: { ticker = [\"BTC-USDT\"] }")?;
    let mut streams = Vec::new();
    for (channel, ids) in table.entries() {
        let ids = ids
            .as_array()
            .ok_or_else(|| ids.expected("an array of ids; [] for a channel without ids"))?;
        if ids.is_empty() {
            streams.push(Subscription::new(channel, ""));
        }
        for id in ids {
            streams.push(Subscription::new(channel, id.some_text()?));
        }
    }
    Ok(streams)
}

fn requests(item: &Item<'_>) -> Read<(Texts, Option<Template>)> {
    let table = item.table("a table with `subscribe`")?;
    let places = "`{streams}`, `{channel}`, `{id}`, `{channels}` or `{ids}`";
    let one = |item: &Item<'_>| {
        let template = template(item, Use::Request)?;
        if Texts::names_streams(&template) {
            return Ok(template);
        }
        Err(item.fail(format!(
            "expected a text that names what it asks for, with {places}; a text that is always \
             the same belongs in `on-open`"
        )))
    };
    let subscribe = one(&table.need("subscribe", "the text of a request")?)?;
    let unsubscribe = table
        .get("unsubscribe")
        .map(|item| one(&item))
        .transpose()?;
    let streams = table.get("stream");
    let uses_streams = [Some(&subscribe), unsubscribe.as_ref()]
        .into_iter()
        .flatten()
        .any(|template| template.has(|part| *part == Part::Streams));
    match &streams {
        None if uses_streams => {
            return Err(table.fail(
                "`stream` is missing: expected how one of `{streams}` is written, \
                 '\"{channel}.{id}\"' say",
            ));
        }
        Some(item) if !uses_streams => {
            return Err(item.fail("means nothing here: no request has `{streams}`"));
        }
        _ => {}
    }
    let bare = table.get("stream-without-id");
    if let Some(bare) = bare.iter().find(|_| !uses_streams) {
        return Err(bare.fail("means nothing here: no request has `{streams}`"));
    }
    let [separator, quote] = ["separator", "quote"].map(|key| table.get(key));
    let separator = separator.map(|item| item.text()).transpose()?;
    let quote = quote.map(|item| item.text()).transpose()?;
    let value = table.get("entity").map(|item| template(&item, Use::Stream));
    let texts = Texts {
        subscribe,
        unsubscribe,
        lists: Lists {
            stream: streams
                .map(|item| template(&item, Use::Stream))
                .transpose()?,
            bare: bare.map(|item| template(&item, Use::Stream)).transpose()?,
            separator: separator.unwrap_or(",").into(),
            quote: quote.unwrap_or("\"").into(),
        },
        most: match table.get("most") {
            Some(item) => item.count()?,
            None => usize::MAX,
        },
        bytes: match table.get("bytes") {
            Some(item) => item.count()?,
            None => MAX_BYTES,
        },
    };
    table.finish()?;
    texts.check_json().map_err(|(key, error)| {
        let item = table.get(key);
        item.map_or_else(|| table.fail(&error), |item| item.fail(&error))
    })?;
    Ok((texts, value.transpose()?))
}
