//! The address of a WebSocket, and of a proxy on the way to it.

use hyper::http::Uri;
use std::fmt;

/// What is wrong with an address. Never repeats the address, which may hold credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It is not a URL at all.
    #[error("it is not a URL")]
    Malformed,
    /// It begins with something else than `ws://` or `wss://` (a proxy: `http://`).
    #[error("it must begin with {0}")]
    Scheme(&'static str),
    /// It has no host.
    #[error("it names no host")]
    NoHost,
    /// It carries a user name or password; those belong in a header.
    #[error("it carries a user name or password; send an Authorization header instead")]
    Credentials,
    /// It has a fragment, which means nothing to a WebSocket.
    #[error("it has a fragment (`#..`), which a WebSocket address must not have")]
    Fragment,
    /// The credentials in a proxy's address are not `user:password` as they would be sent.
    #[error("the user name or password of the proxy is badly encoded")]
    BadCredentials,
}

/// The address of a WebSocket, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) secure: bool,
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// As the `Host` header has it: the port only where it is not the usual one.
    pub(crate) authority: String,
    /// With the query; at least `/`.
    pub(crate) path: String,
}

impl Url {
    /// Takes a `ws` or `wss` URL apart.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        const SCHEMES: UrlError = UrlError::Scheme("ws:// or wss://");
        if text.contains('#') {
            return Err(UrlError::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| UrlError::Malformed)?;
        let secure = match uri.scheme_str().ok_or(SCHEMES)? {
            scheme if scheme.eq_ignore_ascii_case("ws") => false,
            scheme if scheme.eq_ignore_ascii_case("wss") => true,
            _ => return Err(SCHEMES),
        };
        let authority = uri.authority().ok_or(UrlError::NoHost)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::Credentials);
        }
        let usual = if secure { 443 } else { 80 };
        let (host, port) = host_and_port(&uri, usual)?;
        let written = authority.host();
        let authority = if port == usual {
            written.to_owned()
        } else {
            format!("{written}:{port}")
        };
        let path = match uri.path_and_query().map(|path| path.as_str()) {
            None | Some("") => "/".to_owned(),
            Some(path) if path.starts_with('/') => path.to_owned(),
            Some(query) => format!("/{query}"),
        };
        Ok(Self {
            secure,
            host,
            port,
            authority,
            path,
        })
    }
}

fn host_and_port(uri: &Uri, usual: u16) -> Result<(String, u16), UrlError> {
    let host = uri.host().ok_or(UrlError::NoHost)?;
    let host = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    // `Uri` takes a port that is no number for no port at all.
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let after = authority.rsplit(['@', ']']).next().unwrap_or_default();
    let port = match (uri.port_u16(), after.rsplit_once(':')) {
        (Some(0), _) | (None, Some((_, _))) => return Err(UrlError::Malformed),
        (Some(port), _) => port,
        (None, None) => usual,
    };
    Ok((host.to_owned(), port))
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        let path = self
            .path
            .split_once('?')
            .map_or(&*self.path, |(path, _)| path);
        write!(f, "{scheme}://{}{path}", self.authority)
    }
}

/// An HTTP proxy that opens tunnels (`CONNECT`).
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(crate) authorization: Option<String>,
}

impl Proxy {
    /// A proxy at `http://[user:password@]host[:port]`; the port is 80 unless given. Characters
    /// of the credentials may be percent-encoded. The way to the proxy itself is not encrypted,
    /// so neither are these credentials.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn new(url: &str) -> Result<Self, UrlError> {
        use base64::Engine as _;
        const SCHEME: UrlError = UrlError::Scheme("http://");
        let uri: Uri = url.parse().map_err(|_| UrlError::Malformed)?;
        if !uri.scheme_str().ok_or(SCHEME)?.eq_ignore_ascii_case("http") {
            return Err(SCHEME);
        }
        let authority = uri.authority().ok_or(UrlError::NoHost)?.as_str();
        let (host, port) = host_and_port(&uri, 80)?;
        let authorization = match authority.rsplit_once('@') {
            None => None,
            Some((credentials, _)) => {
                let plain = percent_decode(credentials).ok_or(UrlError::BadCredentials)?;
                let encoded = base64::engine::general_purpose::STANDARD.encode(plain);
                Some(format!("Basic {encoded}"))
            }
        };
        Ok(Self {
            host,
            port,
            authorization,
        })
    }
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: u8| (byte as char).to_digit(16);
            let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
            plain.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            plain.push(byte);
        }
    }
    Some(plain)
}

/// Shows no credentials.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let check = |text, secure, host, port, authority, path| {
            let url = Url::parse(text).expect(text);
            let got = (
                url.secure,
                &*url.host,
                url.port,
                &*url.authority,
                &*url.path,
            );
            assert_eq!(got, (secure, host, port, authority, path), "{text}");
        };
        check("ws://host", false, "host", 80, "host", "/");
        check("wss://host/a/b?c=d", true, "host", 443, "host", "/a/b?c=d");
        check("WSS://host:9443/", true, "host", 9443, "host:9443", "/");
        check("ws://host:80?x=1", false, "host", 80, "host", "/?x=1");
        check("ws://[::1]:8080/x", false, "::1", 8080, "[::1]:8080", "/x");
        check("ws://[::1]/x", false, "::1", 80, "[::1]", "/x");
    }

    #[test]
    fn bad_addresses_are_refused_by_reason() {
        let check = |text, error| assert_eq!(Url::parse(text), Err(error), "{text}");
        check("", UrlError::Malformed);
        check("host", UrlError::Scheme("ws:// or wss://"));
        check("http://host/", UrlError::Scheme("ws:// or wss://"));
        check("/path", UrlError::Scheme("ws:// or wss://"));
        check("ws://", UrlError::Malformed);
        check("ws://user:secret@host/", UrlError::Credentials);
        check("ws://host/#part", UrlError::Fragment);
        check("ws://host:port/", UrlError::Malformed);
        check("ws://host:0/", UrlError::Malformed);
        check("ws://host:99999/", UrlError::Malformed);
        check("ws://ho st/", UrlError::Malformed);
    }

    #[test]
    fn a_proxy_takes_credentials_and_shows_none() {
        let proxy = Proxy::new("http://me:se%40cret@gate:3128").expect("a proxy");
        assert_eq!((&*proxy.host, proxy.port), ("gate", 3128));
        assert_eq!(
            proxy.authorization.as_deref(),
            Some("Basic bWU6c2VAY3JldA==")
        );
        assert_eq!(format!("{proxy:?}"), "Proxy(gate:3128)");
        assert_eq!(Proxy::new("http://gate").expect("a proxy").port, 80);
        assert_eq!(
            Proxy::new("http://me:secret@gate").expect("a proxy").port,
            80
        );
        assert_eq!(
            Proxy::new("http://me:%zz@gate"),
            Err(UrlError::BadCredentials)
        );
        assert_eq!(
            Proxy::new("socks5://gate"),
            Err(UrlError::Scheme("http://"))
        );
        assert_eq!(Proxy::new("nonsense"), Err(UrlError::Scheme("http://")));
    }
}
