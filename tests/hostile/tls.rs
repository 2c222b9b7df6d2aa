//! Servers whose TLS is wrong: no byte of the request, and so no token of its headers, goes to a
//! server that has not proved who it is; and the feed comes back to one that has.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tickcache::{Cache, Connect, Endpoint, Freshness, Roots};

use crate::counting::{Meter, alone};
use crate::kit::{BESIDE, LONG, feed, until};
use crate::log;
use crate::server::{End, Server, event};

/// Someone who signs certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a root").pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// A server called `name` whose certificate is good in these years.
    fn server(&self, name: &str, years: (i32, i32)) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        Arc::new(config.expect("a matching key"))
    }
}

/// Speaks TLS, and says what it was sent. The other side ends it.
fn listen(stream: TcpStream, config: &Arc<ServerConfig>) -> Vec<u8> {
    let session = ServerConnection::new(Arc::clone(config)).expect("a session");
    let mut stream = StreamOwned::new(session, stream);
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    heard
}

/// Serves a WebSocket over TLS that says 2 and stays, until the client goes.
fn serve(stream: TcpStream, config: &Arc<ServerConfig>) {
    let session = ServerConnection::new(Arc::clone(config)).expect("a session");
    let stream = StreamOwned::new(session, stream);
    let Ok(mut socket) = tungstenite::accept(stream) else {
        return;
    };
    let _ = socket.send(tungstenite::Message::text(event(2)));
    while socket.read().is_ok() {}
}

type Attack = Box<dyn Fn(TcpStream, &Authority) -> Vec<u8> + Send>;

/// The first connection is attacked and gives nothing away; the second is served.
#[track_caller]
fn refused(what: &str, attack: Attack) -> String {
    let _alone = alone();
    log::listen();
    let authority = Authority::new("ours");
    let pem = authority.pem.clone();
    let (say, said): (_, Receiver<Vec<u8>>) = channel();
    let server = Server::raw(move |stream, number| {
        if number > 1 {
            serve(stream, &authority.server("localhost", (2020, 2100)));
            return End::Dropped;
        }
        let _ = say.send(attack(stream, &authority));
        End::Dropped
    });
    let cache = Cache::builder().build().expect("a cache");
    let meter = Meter::start();
    let mut watch = cache.entity("job").slot(1).watch();
    let port = server.url().rsplit_once(':').expect("a port").1.to_owned();
    let endpoint =
        Endpoint::new(format!("wss://localhost:{port}")).header("Authorization", "Bearer tok-1");
    let trusting = |connect: Connect| connect.roots(Roots::Pem(pem.into_bytes()));
    let feed = feed("ws://unused.invalid/")
        .endpoint(endpoint)
        .connect(trusting);
    let attached = cache.attach(feed).expect("attached");
    assert_eq!(until(&mut watch, Freshness::is_live), 2, "{what}");
    let peak = meter.peak();
    assert!(peak <= 3 * BESIDE, "{what}: {peak} bytes");
    let heard = said.recv_timeout(LONG).expect("the attack is over");
    assert!(
        heard.is_empty(),
        "{what}: it was sent {:?}",
        String::from_utf8_lossy(&heard)
    );
    let counters = attached.counters();
    assert_eq!((counters.failures, counters.opens), (1, 1), "{what}");
    cache.close_blocking(LONG).expect("every thread ends");
    let said = log::said();
    assert!(!said.contains("tok-1"), "{what}: {said}");
    let line = said.lines().find(|line| line.contains("not connected"));
    line.unwrap_or_else(|| panic!("{what}: it is said: {said}"))
        .to_owned()
}

#[test]
fn certificates_that_prove_nothing() {
    let cases: [(&str, &str, (i32, i32), &str); 4] = [
        ("expired", "localhost", (2010, 2020), "has expired"),
        ("not yet valid", "localhost", (2090, 2100), "not valid yet"),
        (
            "another name",
            "elsewhere.example",
            (2020, 2100),
            "another name",
        ),
        ("another address", "127.0.0.2", (2020, 2100), "another name"),
    ];
    for (what, name, years, why) in cases {
        let attack = move |stream: TcpStream, authority: &Authority| {
            listen(stream, &authority.server(name, years))
        };
        let line = refused(what, Box::new(attack));
        assert!(line.contains(why), "{what}: {line}");
    }
    let stranger = |stream: TcpStream, _: &Authority| {
        let stranger = Authority::new("theirs");
        listen(stream, &stranger.server("localhost", (2020, 2100)))
    };
    let line = refused("unknown issuer", Box::new(stranger));
    assert!(line.contains("unknown issuer"), "{line}");
}

/// Answers a client's first record with these bytes, and reads to the end.
fn answers(bytes: Vec<u8>) -> Attack {
    Box::new(move |mut stream, _| {
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).expect("a record");
        let length = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
        stream
            .read_exact(&mut vec![0; length])
            .expect("the rest of it");
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        // What comes then is an alert at most; a request would be text.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        rest.retain(|byte| byte.is_ascii_graphic());
        if rest.len() > 16 { rest } else { Vec::new() }
    })
}

/// A handshake record around a message of this kind that claims to be `claimed` long.
fn handshake(kind: u8, claimed: usize, body: &[u8]) -> Vec<u8> {
    let claimed = (claimed as u32).to_be_bytes();
    let message = [&[kind][..], &claimed[1..], body].concat();
    let mut records = Vec::new();
    for part in message.chunks(16 << 10) {
        records.extend([22, 3, 3]);
        records.extend((part.len() as u16).to_be_bytes());
        records.extend(part);
    }
    records
}

/// A ServerHello for one version, with nothing else that could be wrong.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let body = [&version[..], &[7; 32], &[0], &[0xc0, 0x2f], &[0]].concat();
    handshake(2, body.len(), &body)
}

#[test]
fn answers_that_are_no_tls() {
    let garbage: Vec<u8> = (0..64 << 10)
        .map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let alert = |code| vec![21, 3, 3, 0, 2, 2, code];
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("64 KiB of garbage", garbage, ""),
        ("64 KiB of zeros", vec![0; 64 << 10], ""),
        (
            "plain HTTP",
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            "does not speak TLS",
        ),
        ("the end", Vec::new(), ""),
        (
            "TLS 1.1 alone",
            hello([3, 2]),
            "no TLS version or cipher in common",
        ),
        ("SSL 3", hello([3, 0]), "no TLS version or cipher in common"),
        (
            "an alert about versions",
            alert(70),
            "no TLS version or cipher in common",
        ),
        (
            "a hello of 16 MiB",
            handshake(2, (1 << 24) - 1, &vec![0; 1 << 20]),
            "",
        ),
        (
            "a record beyond the limit",
            [&[22, 3, 3, 0xff, 0xff][..], &[0; 70_000]].concat(),
            "",
        ),
    ];
    for (what, bytes, why) in cases {
        let line = refused(what, answers(bytes));
        assert!(line.contains(why), "{what}: {line}");
    }
}

#[test]
fn a_reset_in_the_middle_of_a_handshake() {
    let reset = |mut stream: TcpStream, _: &Authority| {
        stream.read_exact(&mut [0; 5]).expect("a record");
        let socket = socket2::SockRef::from(&stream);
        socket
            .set_linger(Some(std::time::Duration::ZERO))
            .expect("an option");
        Vec::new()
    };
    refused("reset", Box::new(reset));
}

/// Nobody has said whom to trust: the system's authorities, of which a test's is none.
#[test]
fn a_stranger_is_refused_by_default() {
    let _alone = alone();
    log::listen();
    let authority = Authority::new("nobody knows");
    let config = authority.server("localhost", (2020, 2100));
    let (say, said): (_, Receiver<Vec<u8>>) = channel();
    let server = Server::raw(move |stream, _| {
        let _ = say.send(listen(stream, &config));
        End::Dropped
    });
    let cache = Cache::builder().build().expect("a cache");
    let port = server.url().rsplit_once(':').expect("a port").1.to_owned();
    for (which, roots) in [("default", None), ("built in", Some(Roots::WebPki))] {
        let endpoint = Endpoint::new(format!("wss://localhost:{port}"));
        let feed = tickcache::Feed::events()
            .named(which)
            .entities([which])
            .endpoint(endpoint.header("Authorization", "Bearer tok-1"))
            .backoff(tickcache::Backoff::fixed(LONG));
        let feed = match roots {
            Some(roots) => feed.connect(|connect| connect.roots(roots)),
            None => feed,
        };
        let attached = cache.attach(feed).expect("attached");
        let failed = loop {
            if let Some(error) = attached.state().last_error {
                break error.to_string();
            }
            std::thread::yield_now();
        };
        // A machine may trust nobody at all.
        if !failed.contains("no trusted root certificates") {
            assert!(failed.contains("unknown issuer"), "{which}: {failed}");
            let heard = said.recv_timeout(LONG).expect("it was connected to");
            assert!(heard.is_empty(), "{which}: {heard:?}");
        }
        assert_eq!(attached.counters().opens, 0);
    }
    cache.close_blocking(LONG).expect("every thread ends");
}

/// A configuration of the user's own is the one way to trust otherwise, and is used as it is.
#[test]
fn a_configuration_of_ones_own_is_used_as_it_is() {
    let _alone = alone();
    let authority = Authority::new("ours");
    let mut roots = rustls::RootCertStore::empty();
    let root = rustls::pki_types::pem::PemObject::from_pem_slice(authority.pem.as_bytes());
    roots.add(root.expect("a certificate")).expect("a root");
    let config = authority.server("localhost", (2020, 2100));
    let server = Server::raw(move |stream, _| {
        serve(stream, &config);
        End::Dropped
    });
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let own = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let cache = Cache::builder().build().expect("a cache");
    let mut watch = cache.entity("job").slot(1).watch();
    let port = server.url().rsplit_once(':').expect("a port").1.to_owned();
    let feed = feed(&format!("wss://localhost:{port}"));
    let feed = feed.connect(|connect| connect.tls(Arc::new(own)));
    let attached = cache.attach(feed).expect("attached");
    assert_eq!(until(&mut watch, Freshness::is_live), 2);
    drop(attached);
    cache.close_blocking(LONG).expect("every thread ends");
}

/// The library names nothing that would switch verifying off, reads no variable that could, and
/// has no setting about trust but the two that are known.
#[test]
fn nothing_switches_verifying_off() {
    fn sources(at: &std::path::Path, into: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(at).expect("src is readable") {
            let path = entry.expect("an entry of src").path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                sources(&path, into);
            } else if name.ends_with(".rs") {
                into.push((name, std::fs::read_to_string(&path).expect("UTF-8")));
            }
        }
    }
    let mut files = Vec::new();
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&source.join("io"), &mut files);
    sources(&source.join("cache"), &mut files);
    assert!(files.len() > 100, "{} files", files.len());
    for (name, text) in &files {
        for word in [
            "dangerous",
            "ServerCertVerifier",
            "custom_certificate",
            "env::var",
            "var_os(",
        ] {
            assert!(!text.contains(word), "{name} names {word}");
        }
    }
    let about_trust = |line: &&str| {
        let words = ["tls", "roots", "trust", "verif", "cert"];
        line.starts_with("pub fn") && words.iter().any(|word| line.contains(word))
    };
    let lines = files.iter().flat_map(|(_, text)| text.lines());
    let found: Vec<_> = lines.map(str::trim).filter(about_trust).collect();
    let known = [
        "pub fn roots(mut self, roots: Roots) -> Self {",
        "pub fn tls(mut self, config: std::sync::Arc<rustls::ClientConfig>) -> Self {",
    ];
    assert_eq!(found, known);
}
