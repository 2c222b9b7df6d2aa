//! From a URL to an open WebSocket, on the slow plane.
//!
//! Look-up, TCP, proxy, TLS and handshake run as one future on tokio, each step under its own
//! deadline. What comes out is no longer async: a plain non-blocking socket, the TLS session and
//! the bytes that were read too far, for a feed's own thread to go on with. Dropping the future
//! closes whatever it had opened.

mod error;
mod http;
mod url;

pub use error::{ConnectError, Stage};
pub(crate) use url::Url;
pub use url::{Proxy, UrlError};

use super::endpoint::{Attempt, Endpoint, EndpointSource};
use super::tls::{Tls, TlsFailure};
use crate::ws;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::http::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Method, Request};
use rustls::pki_types::ServerName;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Sleep;
use tokio_rustls::TlsConnector;

/// How a feed connects; the same for all its attempts.
#[derive(Clone, Debug)]
pub(crate) struct ConnectOptions {
    /// How long making the endpoint may take; and then look-up and TCP together.
    pub(crate) connect_timeout: Duration,
    /// How long the proxy may take; and then TLS and the WebSocket handshake together.
    pub(crate) handshake_timeout: Duration,
    /// The local address to connect from.
    pub(crate) bind: Option<IpAddr>,
    /// Sends small packets at once (`TCP_NODELAY`).
    pub(crate) nodelay: bool,
    /// The kernel's receive buffer in bytes; its own choice if `None`.
    pub(crate) receive_buffer: Option<u32>,
    /// Opens a tunnel through this proxy.
    pub(crate) proxy: Option<Proxy>,
    /// For `wss`.
    pub(crate) tls: Tls,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            bind: None,
            nodelay: true,
            receive_buffer: None,
            proxy: None,
            tls: Tls::from_roots(super::tls::Roots::System),
        }
    }
}

/// An open WebSocket, ready for a thread that waits by itself.
#[derive(Debug)]
pub(crate) struct Connected {
    /// Non-blocking, and known to no runtime any more.
    pub(crate) stream: std::net::TcpStream,
    /// The session of a `wss` connection. It may hold received bytes already.
    pub(crate) tls: Option<Box<rustls::ClientConnection>>,
    /// What came behind the handshake's answer.
    pub(crate) leftover: Bytes,
    /// Which of the offered subprotocols the server chose.
    pub(crate) protocol: Option<usize>,
    /// The texts to send first.
    pub(crate) texts: Vec<String>,
    /// The peer's address (a proxy's, if there is one).
    pub(crate) peer: SocketAddr,
}

/// Makes the endpoint of `attempt` and connects.
pub(crate) async fn connect(
    options: &ConnectOptions,
    source: &EndpointSource,
    attempt: Attempt,
) -> Result<Connected, ConnectError> {
    let endpoint = Deadline::new(options.connect_timeout)
        .meet(Stage::Endpoint, async {
            source
                .make(attempt)
                .await
                .map_err(|error| ConnectError::Endpoint(error.to_string()))
        })
        .await?;
    let url = Url::parse(&endpoint.url)?;
    let request = upgrade_request(&url, &endpoint)?;
    let tcp = reach(options, &url).await?;
    let peer = tcp
        .peer_addr()
        .map_err(|source| broken(Stage::Connect, source))?;
    let mut deadline = Deadline::new(options.handshake_timeout);
    let (tcp, tls, leftover, protocol) = if url.secure {
        let stream = deadline
            .meet(Stage::Tls, secure(options, &url, tcp))
            .await?;
        let upgraded = deadline
            .meet(Stage::Upgrade, upgrade(stream, &request))
            .await?;
        let (stream, leftover, protocol) = upgraded;
        let (tcp, tls) = stream.into_inner();
        (tcp, Some(Box::new(tls)), leftover, protocol)
    } else {
        let upgraded = deadline
            .meet(Stage::Upgrade, upgrade(tcp, &request))
            .await?;
        let (tcp, leftover, protocol) = upgraded;
        (tcp, None, leftover, protocol)
    };
    let stream = tcp
        .into_std()
        .map_err(|source| broken(Stage::Upgrade, source))?;
    Ok(Connected {
        stream,
        tls,
        leftover,
        protocol,
        texts: endpoint.texts,
        peer,
    })
}

/// A stream to the server of `url`, encrypted if that says so, for another protocol to speak on.
pub(super) async fn stream(options: &ConnectOptions, url: &Url) -> Result<Wire, ConnectError> {
    let tcp = reach(options, url).await?;
    if !url.secure {
        return Ok(Wire::Plain(tcp));
    }
    let mut deadline = Deadline::new(options.handshake_timeout);
    let stream = deadline.meet(Stage::Tls, secure(options, url, tcp)).await?;
    Ok(Wire::Tls(Box::new(stream)))
}

/// A stream as [`stream`] makes it.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// Opens a TCP connection to the host of `url`, through the proxy if there is one.
async fn reach(options: &ConnectOptions, url: &Url) -> Result<TcpStream, ConnectError> {
    let Some(proxy) = &options.proxy else {
        return dial(options, &url.host, url.port).await;
    };
    let tcp = dial(options, &proxy.host, proxy.port).await?;
    let mut deadline = Deadline::new(options.handshake_timeout);
    deadline.meet(Stage::Proxy, tunnel(tcp, proxy, url)).await
}

fn broken(stage: Stage, source: io::Error) -> ConnectError {
    ConnectError::Broken { stage, source }
}

/// The deadline of one or several steps together.
struct Deadline {
    after: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Deadline {
    fn new(after: Duration) -> Self {
        Self {
            after,
            sleep: Box::pin(tokio::time::sleep(after)),
        }
    }

    /// Does `work`, unless the deadline comes first.
    async fn meet<T>(
        &mut self,
        stage: Stage,
        work: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Pending => self.sleep.as_mut().poll(cx).map(|()| {
                Err(ConnectError::TimedOut {
                    stage,
                    after: self.after,
                })
            }),
            ready => ready,
        })
        .await
    }
}

fn upgrade_request(url: &Url, endpoint: &Endpoint) -> Result<ws::Request, ConnectError> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|error| {
        broken(
            Stage::Upgrade,
            io::Error::other(format!("no random numbers: {error}")),
        )
    })?;
    let mut request = ws::Request::new(&url.authority, &url.path, nonce)
        // Its own message repeats the path, which may hold a token.
        .map_err(|_| ConnectError::Url(UrlError::Malformed))?;
    for name in &endpoint.protocols {
        request = request.protocol(name)?;
    }
    for (name, value) in &endpoint.headers {
        request = request.header(name, value)?;
    }
    Ok(request)
}

/// Opens a TCP connection to one of the host's addresses.
async fn dial(options: &ConnectOptions, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let mut deadline = Deadline::new(options.connect_timeout);
    let found = deadline.meet(Stage::Resolve, async {
        let found = tokio::net::lookup_host((host, port)).await;
        let found = found.map_err(|source| ConnectError::Resolve {
            host: host.into(),
            source,
        })?;
        let usable = |a: &SocketAddr| options.bind.is_none_or(|b| b.is_ipv4() == a.is_ipv4());
        Ok(alternate(found.filter(usable).collect()))
    });
    let addresses = found.await?;
    let tried = deadline.meet(Stage::Connect, async {
        let mut last = ConnectError::NoAddress { host: host.into() };
        for (tried, address) in addresses.iter().enumerate() {
            // An address that swallows packets must leave time for those behind it.
            let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let share = options.connect_timeout / left;
            last = match tokio::time::timeout(share, dial_one(options, *address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(source)) => ConnectError::Connect {
                    address: *address,
                    source,
                },
                Err(_) => ConnectError::TimedOut {
                    stage: Stage::Connect,
                    after: share,
                },
            };
        }
        Err(last)
    });
    tried.await
}

/// Orders addresses so that the two families take turns, the resolver's first choice first: one
/// family may be unreachable as a whole.
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv4() == first_is_v4);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::new();
    loop {
        let before = ordered.len();
        ordered.extend(first.next());
        ordered.extend(second.next());
        if ordered.len() == before {
            return ordered;
        }
    }
}

async fn dial_one(options: &ConnectOptions, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if let Some(bytes) = options.receive_buffer {
        // Before connecting: the window's scale is settled by the first packet.
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(local) = options.bind {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    socket.set_nodelay(options.nodelay)?;
    socket.connect(address).await
}

/// Has the proxy open a tunnel to the URL's host.
async fn tunnel(tcp: TcpStream, proxy: &Proxy, url: &Url) -> Result<TcpStream, ConnectError> {
    let host = if url.host.contains(':') {
        format!("[{}]", url.host)
    } else {
        url.host.clone()
    };
    let target = format!("{host}:{}", url.port);
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(&target)
        .header(HOST, &target);
    if let Some(authorization) = &proxy.authorization {
        let mut value = HeaderValue::try_from(authorization)
            .map_err(|_| ConnectError::Url(UrlError::BadCredentials))?;
        value.set_sensitive(true);
        request = request.header(PROXY_AUTHORIZATION, value);
    }
    let request = request
        .body(Empty::new())
        .map_err(|_| ConnectError::Url(UrlError::Malformed))?;
    let answer = http::exchange(tcp, request, Stage::Proxy).await?;
    match answer.taken {
        Some((tcp, early)) if early.is_empty() => Ok(tcp),
        // The other end of a tunnel waits for us; whatever this is, it is not from there.
        Some(_) => Err(ConnectError::NotHttp {
            stage: Stage::Proxy,
            reason: "bytes behind the proxy's answer".into(),
        }),
        None => Err(ConnectError::Proxy {
            status: answer.head.status.as_u16(),
        }),
    }
}

async fn secure(
    options: &ConnectOptions,
    url: &Url,
    tcp: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ConnectError> {
    let config = match options.tls.ready() {
        Some(config) => config?,
        None => {
            // Reading the system's certificates blocks.
            let tls = options.tls.clone();
            let read = tokio::task::spawn_blocking(move || tls.config()).await;
            read.map_err(|_| ConnectError::RuntimeGone)??
        }
    };
    let name = ServerName::try_from(url.host.clone())
        .map_err(|_| ConnectError::Tls(TlsFailure::BadName))?;
    let connected = TlsConnector::from(config).connect(name, tcp).await;
    connected.map_err(|error| {
        let reason = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match reason.map(TlsFailure::from) {
            Some(failure) => ConnectError::Tls(failure),
            None => broken(Stage::Tls, error),
        }
    })
}

/// The client's opening handshake over a stream of the caller's: the bytes that came behind the
/// answer, and which of the offered subprotocols the server chose. For fuzzing, so no part of what
/// this crate promises.
///
/// # Errors
/// What a feed would be told of such a server.
#[cfg(feature = "testing")]
#[doc(hidden)]
pub async fn handshake<T>(
    io: T,
    request: &ws::Request,
) -> Result<(Vec<u8>, Option<usize>), ConnectError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (_, behind, protocol) = upgrade(io, request).await?;
    Ok((behind.to_vec(), protocol))
}

/// The WebSocket handshake.
async fn upgrade<T>(io: T, request: &ws::Request) -> Result<(T, Bytes, Option<usize>), ConnectError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut head = Request::builder().method(Method::GET).uri(request.path());
    for (name, value) in request.headers() {
        let mut value =
            HeaderValue::try_from(value).map_err(|_| ws::RequestError::Value(name.to_owned()))?;
        value.set_sensitive(true);
        head = head.header(name, value);
    }
    let head = head
        .body(Empty::new())
        .map_err(|_| ConnectError::Url(UrlError::Malformed))?;
    let answer = http::exchange(io, head, Stage::Upgrade).await?;
    let headers = answer
        .head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let accepted = request.verify(answer.head.status.as_u16(), headers)?;
    let (io, leftover) = answer.taken.ok_or_else(|| ConnectError::NotHttp {
        stage: Stage::Upgrade,
        reason: "the connection was not handed over".into(),
    })?;
    Ok((io, leftover, accepted.protocol))
}

#[cfg(test)]
mod tests;
