//! What `record` and `watch` have in common: how a live server is reached.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tickcache::cache::{Feed, FeedRef};
use tickcache::feed::Protocol;
use tickcache::{CommandError, Completion, Endpoint, FeedStatus, Roots};

use crate::Failure;
use crate::args::{LiveArgs, Stream};

/// Streams that are asked after one by one; of more, each channel as a whole.
const EACH: usize = 256;

/// The feed, connecting as the command line says: to `url`, or where its protocol says.
pub(crate) fn reaching<P: Protocol>(
    feed: Feed<P>,
    url: Option<&str>,
    args: &LiveArgs,
    texts: &[String],
) -> Result<Feed<P>, Failure> {
    let endpoint = url.map_or_else(Endpoint::default, Endpoint::new);
    let endpoint = args
        .headers
        .iter()
        .fold(endpoint, |endpoint, (name, value)| {
            endpoint.header(name, value)
        });
    let endpoint = texts
        .iter()
        .fold(endpoint, |endpoint, text| endpoint.text(text));
    let feed = feed.endpoint(endpoint);
    Ok(match &args.ca {
        Some(path) => {
            let roots = roots(path)?;
            feed.connect(|connect| connect.roots(roots))
        }
        None => feed,
    })
}

/// A URL without user name, password and query, where secrets stand.
pub(crate) fn address(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    let (scheme, rest) = url.split_once("://").unwrap_or(("ws", url));
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// Why a server refused a connection that was open, if it did.
pub(crate) fn refusal(address: &str, status: &FeedStatus) -> Option<String> {
    let why = status.refusal.as_ref()?;
    Some(format!("{address} refused the connection: {why}"))
}

/// The certificates in a PEM file, looked at now so that a wrong file is told at once.
fn roots(path: &Path) -> Result<Roots, Failure> {
    let told = |error: &dyn std::fmt::Display| {
        format!(
            "cannot use the certificates in {}: {error}; name a PEM file",
            path.display()
        )
    };
    let pem = std::fs::read(path).map_err(|error| told(&error))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| told(&error))?;
    if certificates.is_empty() {
        return Err(told(&"there are none").into());
    }
    Ok(Roots::Pem(pem))
}

/// The streams of a feed whose answers are awaited.
#[derive(Debug)]
pub(crate) struct Answers(Vec<(String, Completion)>);

impl Answers {
    /// Asks after the streams that a feed wants from the start.
    pub(crate) fn await_of(feed: &FeedRef, streams: &[Stream]) -> Self {
        let each = streams.iter().map(|stream| stream.ids.len()).sum::<usize>() <= EACH;
        let mut awaited = Vec::new();
        for Stream { channel, ids } in streams {
            match (ids.as_slice(), each) {
                ([], _) => awaited.push((channel.clone(), feed.subscribe(channel, [""]))),
                (ids, true) => awaited.extend(ids.iter().map(|id| {
                    let shown = format!("{channel}:{id}");
                    (shown, feed.subscribe(channel, [id]))
                })),
                (ids, false) => {
                    let shown = format!("{channel}:{},..", ids[0]);
                    awaited.push((shown, feed.subscribe(channel, ids)));
                }
            }
        }
        Self(awaited)
    }

    /// A line for each stream that was refused, or not answered in time, since the last call.
    pub(crate) fn bad(&mut self) -> Vec<String> {
        let mut bad = Vec::new();
        self.0
            .retain(|(stream, completion)| match completion.result() {
                None => true,
                // The end of the feed is no answer.
                Some(Ok(()) | Err(CommandError::OwnerGone | CommandError::Closed)) => false,
                Some(Err(error)) => {
                    bad.push(format!("stream {stream}: {error}"));
                    false
                }
            });
        bad
    }
}
