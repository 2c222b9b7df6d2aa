//! The exchange's addresses and its subscription messages.

use hyper::Uri;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::encode::Form;

/// What an address asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) form: Form,
    pub(crate) streams: Vec<String>,
}

/// Reads `/stream`, `/stream?streams=a/b`, `/ws` and `/ws/a/b`; `None` for any other address.
pub(crate) fn target(uri: &Uri) -> Option<Target> {
    let (form, list) = match uri.path() {
        "/stream" => {
            let query = uri.query().unwrap_or("").split('&');
            (
                Form::Combined,
                query
                    .filter_map(|pair| pair.strip_prefix("streams="))
                    .next_back(),
            )
        }
        "/ws" => (Form::Raw, None),
        path => (Form::Raw, Some(path.strip_prefix("/ws/")?)),
    };
    let list = percent_decoded(list.unwrap_or(""))?;
    let streams = list
        .split('/')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    Some(Target { form, streams })
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|two| str::from_utf8(two).ok())?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &tail[2..];
    }
    String::from_utf8(out).ok()
}

/// What a client asks for while connected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Subscribe(Vec<String>),
    Unsubscribe(Vec<String>),
    List,
}

#[derive(Deserialize)]
struct RequestText<'a> {
    method: String,
    params: Option<Vec<String>>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

/// Reads a client message: the request, with the id that its answer must repeat, or the answer that
/// refuses it.
pub(crate) fn request(text: &str) -> Result<(Request, String), String> {
    let message: RequestText<'_> = serde_json::from_str(text)
        .map_err(|error| refusal(3, &format!("Invalid JSON: {error}"), "null"))?;
    let id = message.id.map_or("null", RawValue::get).to_owned();
    let params = message.params.unwrap_or_default();
    let request = match message.method.as_str() {
        "SUBSCRIBE" | "UNSUBSCRIBE" if params.is_empty() => {
            return Err(refusal(2, "Invalid request: params must not be empty", &id));
        }
        "SUBSCRIBE" => Request::Subscribe(params),
        "UNSUBSCRIBE" => Request::Unsubscribe(params),
        "LIST_SUBSCRIPTIONS" => Request::List,
        method => {
            let why = format!("Invalid request: unknown variant {method}");
            return Err(refusal(2, &why, &id));
        }
    };
    Ok((request, id))
}

/// The answer to a request that was carried out.
pub(crate) fn acknowledgement(id: &str) -> String {
    format!("{{\"result\":null,\"id\":{id}}}")
}

/// The answer to [`Request::List`].
pub(crate) fn listing(streams: &[String], id: &str) -> String {
    let names = serde_json::to_string(streams).unwrap_or_else(|_| "[]".to_owned());
    format!("{{\"result\":{names},\"id\":{id}}}")
}

fn refusal(code: u8, message: &str, id: &str) -> String {
    let message = serde_json::to_string(message).unwrap_or_else(|_| "\"\"".to_owned());
    format!("{{\"error\":{{\"code\":{code},\"msg\":{message}}},\"id\":{id}}}")
}
