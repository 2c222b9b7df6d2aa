//! The door of the server: TLS, and everything that can go wrong with whole connections. It passes
//! bytes on and knows no frames.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::sockets;

/// How the door behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As it should.
    Open,
    /// Everything is reset, and nobody listens.
    Killed,
    /// Nothing passes, and nothing ends; whoever comes is not answered.
    BlackHole,
    /// Connections end; whoever comes is shown a wrong certificate, or no TLS at all.
    BadTls,
    /// Connections end; whoever comes is answered with 503.
    Refuses,
    /// Connections end; whoever comes waits for the answer to the handshake.
    Slow,
}

#[derive(Clone, Copy, Debug)]
struct State {
    mode: Mode,
    /// Nothing passes any more on connections up to this number.
    stranded: u64,
}

/// What was seen of those who came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: u64,
    /// How many came while somebody was still there.
    pub(crate) at_once: u64,
    /// In a row since the last one that was let through.
    pub(crate) failed: u32,
    /// When the last one was sent away, and how: before it could know.
    refused: Option<(Mode, Instant)>,
    pub(crate) pauses: Vec<Pause>,
}

/// The time from one refusal to the next attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    pub(crate) mode: Mode,
    /// Refusals in a row before it.
    pub(crate) failed: u32,
    /// At least as long as the client's own pause.
    pub(crate) time: Duration,
}

struct Shared {
    upstream: SocketAddr,
    good: TlsAcceptor,
    bad: Vec<TlsAcceptor>,
    state: watch::Receiver<State>,
    seen: Mutex<Seen>,
}

/// A door on loopback, until it is dropped.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    /// Who signs the right certificate.
    pub(crate) pem: String,
    state: watch::Sender<State>,
    listens: watch::Receiver<bool>,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
    _reserved: Socket,
}

impl Door {
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        let (ours, pem) = authority();
        let (theirs, _) = authority();
        let (state, states) = watch::channel(State {
            mode: Mode::Open,
            stranded: 0,
        });
        let shared = Arc::new(Shared {
            upstream,
            good: acceptor(&ours, "127.0.0.1", 2100),
            bad: vec![
                acceptor(&theirs, "127.0.0.1", 2100),
                acceptor(&ours, "127.0.0.1", 2020),
                acceptor(&ours, "elsewhere.example", 2100),
            ],
            state: states,
            seen: Mutex::default(),
        });
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (reserved, address) = reserve();
        let listener = runtime.block_on(TcpListener::bind(address));
        let listener = listener.expect("it is reserved");
        let (listening, listens) = watch::channel(true);
        runtime.spawn(accept(listener, Arc::clone(&shared), listening));
        Self {
            address,
            pem,
            state,
            listens,
            shared,
            runtime: Some(runtime),
            _reserved: reserved,
        }
    }

    /// Goes wrong, from now on.
    pub(crate) fn breaks(&self, mode: Mode) {
        self.state.send_modify(|state| state.mode = mode);
    }

    /// The connections that there are hang for ever; new ones do not.
    pub(crate) fn strands(&self) {
        let last = self.seen().connections;
        self.state.send_modify(|state| state.stranded = last);
    }

    /// Is as it should be, from the moment at which this returns on.
    pub(crate) fn heals(&self) {
        self.breaks(Mode::Open);
        let mut listens = self.listens.clone();
        let runtime = self.runtime.as_ref().expect("not dropped");
        let listens = runtime.block_on(listens.wait_for(|listens| *listens));
        assert!(*listens.expect("the door is there"));
    }

    pub(crate) fn seen(&self) -> Seen {
        self.shared.seen().clone()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A port of loopback that nobody else is given while nobody listens there.
fn reserve() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("an option");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("loopback");
    let address = socket.local_addr().expect("bound").as_socket();
    (socket, address.expect("an address"))
}

/// Someone who signs, and the certificate that says so.
fn authority() -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).expect("signed").pem();
    (Issuer::new(params, key), pem)
}

/// A server of this name whose certificate is good until this year.
fn acceptor(issuer: &Issuer<'static, KeyPair>, name: &str, until: i32) -> TlsAcceptor {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    params.not_before = date_time_ymd(2010, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key);
    TlsAcceptor::from(Arc::new(config.expect("a matching key")))
}

impl Shared {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("no panic")
    }

    /// Somebody is about to be sent away.
    fn refuse(&self, mode: Mode) {
        let mut seen = self.seen();
        seen.failed += 1;
        seen.refused = Some((mode, Instant::now()));
    }

    /// Somebody has come: their number.
    fn count(&self) -> u64 {
        let mut seen = self.seen();
        seen.connections += 1;
        if let Some((mode, refused)) = seen.refused.take() {
            let (failed, time) = (seen.failed, refused.elapsed());
            seen.pauses.push(Pause { mode, failed, time });
        }
        seen.connections
    }
}

async fn accept(mut listener: TcpListener, shared: Arc<Shared>, listening: watch::Sender<bool>) {
    let address = listener.local_addr().expect("bound");
    let mut state = shared.state.clone();
    loop {
        if state.borrow_and_update().mode == Mode::Killed {
            drop(listener);
            listening.send_replace(false);
            if state
                .wait_for(|state| state.mode != Mode::Killed)
                .await
                .is_err()
            {
                return;
            }
            listener = TcpListener::bind(address).await.expect("it is reserved");
            listening.send_replace(true);
        }
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            came = listener.accept() => {
                let Ok((client, _)) = came else { continue };
                let number = shared.count();
                tokio::spawn(look(address.port(), Arc::clone(&shared)));
                let shared = Arc::clone(&shared);
                // A connection that breaks is what this is about.
                tokio::spawn(async move { serve(client, number, &shared).await.ok() });
            }
        }
    }
}

/// Somebody has just come: nobody else may be connected. One look may fall between two events.
async fn look(port: u16, shared: Arc<Shared>) {
    let mut there = sockets::clients(port);
    for _ in 0..3 {
        if there.len() < 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
        let still = sockets::clients(port);
        there.retain(|client| still.contains(client));
    }
    shared.seen().at_once += u64::from(there.len() > 1);
}

/// One connection, until either side ends it.
async fn serve(client: TcpStream, number: u64, shared: &Shared) -> io::Result<()> {
    let mut state = shared.state.clone();
    client.set_nodelay(true)?;
    let passes = |state: &State| state.mode != Mode::BlackHole;
    state.wait_for(passes).await.map_err(io::Error::other)?;
    let mode = state.borrow_and_update().mode;
    if mode == Mode::BadTls {
        shared.refuse(mode);
        let kind = number as usize % (shared.bad.len() + 1);
        match shared.bad.get(kind) {
            Some(bad) => drop(bad.accept(client).await),
            None => no_tls(client).await?,
        }
        return Ok(());
    }
    let reset = SockRef::from(&client).try_clone()?;
    let mut client = shared.good.accept(client).await?;
    // What the client has said and nobody has read.
    let mut up = Vec::new();
    if mode == Mode::Slow {
        shared.refuse(mode);
        let mut request = Vec::new();
        let healed = tokio::select! {
            // The client has had enough.
            () = until_gone(&mut client, &mut request) => None,
            healed = state.wait_for(|state| state.mode == Mode::Open) => healed.ok().map(drop),
        };
        if healed.is_none() {
            return Ok(());
        }
        up = request;
    }
    if mode == Mode::Refuses {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await?);
        }
        shared.refuse(mode);
        client
            .write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
            .await?;
        return client.shutdown().await;
    }
    {
        let mut seen = shared.seen();
        (seen.failed, seen.refused) = (0, None);
    }
    let mut server = TcpStream::connect(shared.upstream).await?;
    server.set_nodelay(true)?;
    let mut down = Vec::new();
    loop {
        let now = *state.borrow_and_update();
        match now.mode {
            Mode::Open | Mode::BlackHole => {}
            Mode::Killed => {
                SockRef::from(&reset).set_linger(Some(Duration::ZERO))?;
                return Ok(());
            }
            Mode::BadTls | Mode::Refuses | Mode::Slow => return Ok(()),
        }
        let passes = now.mode == Mode::Open && number > now.stranded;
        if passes {
            server.write_all(&up).await?;
            client.write_all(&down).await?;
            client.flush().await?;
            up.clear();
            down.clear();
        }
        tokio::select! {
            changed = state.changed() => changed.map_err(io::Error::other)?,
            read = client.read_buf(&mut up) => if read? == 0 { return Ok(()) },
            // What was read when nothing passes any more is held.
            read = server.read_buf(&mut down), if passes => if read? == 0 {
                return client.shutdown().await;
            },
        }
    }
}

/// Reads until the client hangs up.
async fn until_gone(client: &mut (impl AsyncReadExt + Unpin), into: &mut Vec<u8>) {
    while matches!(client.read_buf(into).await, Ok(1..)) {}
}

/// Answers TLS with plain HTTP.
async fn no_tls(mut client: TcpStream) -> io::Result<()> {
    let mut hello = [0; 512];
    let _ = client.read(&mut hello).await?;
    client
        .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .await?;
    client.shutdown().await
}
