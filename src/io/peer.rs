//! Scripted servers on loopback, for the tests of this room.

use crate::ws::Key;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sha1::{Digest as _, Sha1};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Longer than any test takes: what is waited for so long has not happened.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A server thread with an address.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Peer {
    /// Runs `script` with a listener on a free port.
    pub(crate) fn listen(script: impl FnOnce(TcpListener) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let thread = std::thread::spawn(move || script(listener));
        Self { address, thread }
    }

    /// Runs `script` with the first connection.
    pub(crate) fn once(script: impl FnOnce(TcpStream) + Send + 'static) -> Self {
        Self::listen(move |listener| script(accept(&listener)))
    }

    /// Reads a request and answers with `answer(head)`; holds the connection until the client
    /// goes.
    pub(crate) fn answering(answer: impl FnOnce(&str) -> String + Send + 'static) -> Self {
        Self::once(move |mut stream| {
            let head = read_head(&mut stream);
            stream.write_all(answer(&head).as_bytes()).expect("sent");
            drain(stream);
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// Joins the script's thread: a panic in it fails the test.
    pub(crate) fn join(self) {
        self.thread.join().expect("the script ran to its end");
    }
}

/// The next client, for which a test waits no longer than [`LONG`].
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    let mut poll = mio::Poll::new().expect("a poller");
    let mut events = mio::Events::with_capacity(1);
    let waiting = listener.try_clone().expect("a copy");
    waiting.set_nonblocking(true).expect("an option");
    let mut waiting = mio::net::TcpListener::from_std(waiting);
    let interest = mio::Interest::READABLE;
    poll.registry()
        .register(&mut waiting, mio::Token(0), interest)
        .expect("registered");
    poll.poll(&mut events, Some(LONG)).expect("polled");
    let (stream, _) = listener.accept().expect("a client in time");
    stream.set_nonblocking(false).expect("an option");
    stream.set_read_timeout(Some(LONG)).expect("a timeout");
    stream
}

/// Reads to the end, whatever it is.
pub(crate) fn drain(mut stream: impl Read) {
    // A reset is an end as well.
    let _ = io::copy(&mut stream, &mut io::sink());
}

/// Reads the head of a request, up to and with the empty line.
pub(crate) fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a whole head");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

/// The value of a header in a head, whatever its case.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A correct answer to the handshake in `head`.
pub(crate) fn switching(head: &str) -> String {
    use base64::Engine as _;
    let key = header(head, "sec-websocket-key").expect("a key");
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let accept = base64::engine::general_purpose::STANDARD.encode(hash);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
         Connection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[test]
fn the_scripted_answer_agrees_with_the_handshake_room() {
    let key = Key::new([7; 16]);
    let head = format!(
        "GET / HTTP/1.1\r\nSec-WebSocket-Key: {}\r\n\r\n",
        key.as_str()
    );
    assert!(switching(&head).contains(&key.accept()));
}

/// A certificate authority of a test.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a root").pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// A server for `name` whose certificate is good from 2020 until `year`.
    pub(crate) fn server(&self, name: &str, year: i32) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a matching key");
        Arc::new(config)
    }
}

/// The server's end of TLS over `stream`.
pub(crate) fn secure(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
) -> StreamOwned<ServerConnection, TcpStream> {
    StreamOwned::new(
        ServerConnection::new(Arc::clone(config)).expect("a session"),
        stream,
    )
}
