//! What a client sends: RFC 6455, section 4.1.

use thiserror::Error;

use super::{Accepted, HandshakeError, Key, is_token, verify_response};

/// Headers that belong to the handshake itself and cannot be set by hand.
const OWN_HEADERS: [&str; 9] = [
    "host",
    "upgrade",
    "connection",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "content-length",
    "transfer-encoding",
];

/// Why a request cannot be sent. Each names the text at fault, but for what may be a secret: the
/// query of a path and the value of a header.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The host is empty or has bytes that a `Host` header cannot carry.
    #[error("{0:?} is not a host")]
    Host(String),
    /// The path does not begin with `/`, or has spaces, a fragment or bytes that are not ASCII.
    #[error("{0:?} is not a path with a query")]
    Path(String),
    /// The name of a header or of a subprotocol is not a token.
    #[error("{0:?} is not a token")]
    Name(String),
    /// The value of the named header has line breaks, other control bytes, or is not ASCII.
    #[error("the value of header {0:?} cannot be sent")]
    Value(String),
    /// The handshake sets this header itself.
    #[error("header {0:?} belongs to the handshake")]
    Reserved(String),
    /// The subprotocol was offered already.
    #[error("subprotocol {0:?} is offered twice")]
    ProtocolTwice(String),
}

/// The request that opens a WebSocket: what to send, and what the answer must match.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    host: String,
    path: String,
    key: Key,
    protocols: Vec<String>,
    /// The offered subprotocols as one header value.
    protocol_list: String,
    extra: Vec<(String, String)>,
}

impl Request {
    /// A request for `path` (with its query) at `host` (with its port, unless it is the default of
    /// the scheme). `nonce` is 16 random bytes, new for each attempt.
    ///
    /// # Errors
    /// If host or path cannot stand in a request.
    pub fn new(host: &str, path: &str, nonce: [u8; 16]) -> Result<Self, RequestError> {
        let host_byte = |byte: u8| byte.is_ascii_graphic() && !b"/?#@\\".contains(&byte);
        if host.is_empty() || !host.bytes().all(host_byte) {
            return Err(RequestError::Host(host.to_owned()));
        }
        let path_byte = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if !path.starts_with('/') || !path.bytes().all(path_byte) {
            let shown = path.split('?').next().unwrap_or_default();
            return Err(RequestError::Path(shown.to_owned()));
        }
        Ok(Self {
            host: host.to_owned(),
            path: path.to_owned(),
            key: Key::new(nonce),
            protocols: Vec::new(),
            protocol_list: String::new(),
            extra: Vec::new(),
        })
    }

    /// Offers a subprotocol, after those offered before.
    ///
    /// # Errors
    /// If it is not a token, or was offered already.
    pub fn protocol(mut self, name: &str) -> Result<Self, RequestError> {
        if !is_token(name) {
            return Err(RequestError::Name(name.to_owned()));
        }
        if self.protocols.iter().any(|offered| offered == name) {
            return Err(RequestError::ProtocolTwice(name.to_owned()));
        }
        if !self.protocols.is_empty() {
            self.protocol_list.push_str(", ");
        }
        self.protocol_list.push_str(name);
        self.protocols.push(name.to_owned());
        Ok(self)
    }

    /// Adds a header: `Origin`, `Authorization`, `User-Agent` and the like.
    ///
    /// # Errors
    /// If the name is not a token or belongs to the handshake, or if the value could break out of
    /// its line.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, RequestError> {
        if !is_token(name) {
            return Err(RequestError::Name(name.to_owned()));
        }
        if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(RequestError::Reserved(name.to_owned()));
        }
        if !value
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ' || byte == b'\t')
        {
            return Err(RequestError::Value(name.to_owned()));
        }
        self.extra.push((name.to_owned(), value.to_owned()));
        Ok(self)
    }

    /// The path with its query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The key of this attempt.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// All headers of the request, in the order in which they are to be sent.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let offered = (!self.protocols.is_empty()).then_some(&*self.protocol_list);
        [
            ("Host", &*self.host),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", self.key.as_str()),
            ("Sec-WebSocket-Version", "13"),
        ]
        .into_iter()
        .chain(offered.map(|list| ("Sec-WebSocket-Protocol", list)))
        .chain(self.extra.iter().map(|(name, value)| (&**name, &**value)))
    }

    /// Appends the whole request as HTTP/1.1 text.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"GET ");
        out.extend_from_slice(self.path.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        for (name, value) in self.headers() {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Judges the response to this request: [`verify_response`] with its key and subprotocols.
    ///
    /// # Errors
    /// What is wrong with the response.
    pub fn verify<'h>(
        &self,
        status: u16,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    ) -> Result<Accepted, HandshakeError> {
        verify_response(status, headers, &self.key, &self.protocols)
    }
}

impl std::fmt::Debug for Request {
    /// Leaves out the values of added headers and the query, which carry credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self
            .path
            .split_once('?')
            .map_or(&*self.path, |(path, _)| path);
        f.debug_struct("Request")
            .field("host", &self.host)
            .field("path", &path)
            .field("protocols", &self.protocols)
            .finish_non_exhaustive()
    }
}
