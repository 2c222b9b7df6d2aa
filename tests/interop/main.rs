//! The engine against servers that nobody here wrote: npm's `ws`, PyPI's `websockets`, and nginx
//! ending TLS in front of one of them, with certificates that are right, expired, of another name
//! and of an unknown issuer.
//!
//! They are not part of a Rust toolchain. `.ci/interop` installs them and names their folder in
//! `TICKCACHE_INTEROP`; without it these tests say so and pass.

#![allow(
    clippy::disallowed_methods,
    reason = "foreign processes live in real time"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tickcache::feed::presets::Events;
use tickcache::feed::{Backoff, Lost};
use tickcache::{Cache, ConnectError, Feed, Roots, TlsFailure};

/// Longer than anything takes: reached only by what would never have come.
const LONG: Duration = Duration::from_secs(60);

/// The folder of what `.ci/interop` has installed.
fn installed() -> Option<PathBuf> {
    let folder = std::env::var_os("TICKCACHE_INTEROP").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: TICKCACHE_INTEROP names no folder with foreign servers");
    }
    folder
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/interop")
        .join(name)
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server that says on which port it listens.
fn serve(command: &mut Command) -> (Running, u16) {
    let child = command.stdout(Stdio::piped()).spawn();
    let mut running = Running(child.expect("the server is installed"));
    let mut lines = BufReader::new(running.0.stdout.take().expect("piped")).lines();
    let first = lines.next().expect("it says its port").expect("text");
    let port = first.strip_prefix("port ").expect("`port N`");
    let port = port.trim().parse().expect("a port");
    // What it may say later goes nowhere, but must not block it.
    std::thread::spawn(move || lines.for_each(drop));
    (running, port)
}

fn node(folder: &Path) -> (Running, u16) {
    // Modules are looked up from where the script is: it has to lie beside them.
    let script = folder.join(format!("ws_server-{}.mjs", std::process::id()));
    fs::copy(source("ws_server.mjs"), &script).expect("copied");
    serve(Command::new("node").arg(&script))
}

fn python(folder: &Path) -> (Running, u16) {
    serve(Command::new(folder.join("venv/bin/python")).arg(source("websockets_server.py")))
}

fn feed(url: &str) -> Feed<Events> {
    Feed::events()
        .whole()
        .missing(tickcache::feed::Missing::Insert)
        .on_open("hello, Grüße")
        .url(url)
        .backoff(Backoff::fixed(Duration::from_millis(5)))
}

/// The story of three connections, whoever the server is.
#[track_caller]
fn check(feed: Feed<Events>) {
    let cache = Cache::builder().build().expect("a cache");
    let entity = cache.entity("e");
    let mut watch = entity.slot("done").watch();
    let feed = cache.attach(feed).expect("attached");
    loop {
        let tick = watch.wait(LONG).expect("the third connection's last word");
        let n = tick.snapshot().record().get("n").u64();
        if n == Ok(3) && tick.freshness().is_live() {
            break;
        }
    }
    let of = |id: tickcache::Id, name: &str| {
        let snapshot = entity.slot(id).snapshot();
        assert!(snapshot.freshness().is_live());
        let record = snapshot.record();
        let member = record.get(name);
        member.json().expect("a member").into_owned()
    };
    for id in 0..200_i64 {
        assert_eq!(
            (of(id.into(), "n"), of(id.into(), "id")),
            ("3".into(), id.to_string())
        );
    }
    assert_eq!(of("parts".into(), "n"), "3");
    assert_eq!(of("pong".into(), "right"), "true");
    let big = entity.slot("big").snapshot();
    let record = big.record();
    let text = record.get("text");
    assert!(text.str().expect("a text") == "ü".repeat(400_000));
    let counted = feed.counters();
    // The empty text before the first end is no JSON, if it came at all.
    assert!(counted.balanced() && counted.refused <= 1, "{counted:?}");
    assert_eq!((counted.opens, counted.losses), (3, 2));
    assert_eq!(feed.state().last_loss, Some(Lost::Closed(Some(1012))));
    cache.close_blocking(LONG).expect("everything ends");
}

#[test]
fn the_server_of_npm() {
    let Some(folder) = installed() else { return };
    let (_server, port) = node(&folder);
    check(feed(&format!("ws://127.0.0.1:{port}/")));
}

#[test]
fn the_server_of_pypi() {
    let Some(folder) = installed() else { return };
    let (_server, port) = python(&folder);
    check(feed(&format!("ws://127.0.0.1:{port}/")));
}

/// An authority, and certificates that it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// Writes a certificate for `name` and its key; gives the lines that name them to nginx.
    fn sign(&self, folder: &Path, file: &str, name: &str, expired: bool) -> String {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        if expired {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        let (chain, secret) = (
            folder.join(format!("{file}.pem")),
            folder.join(format!("{file}.key")),
        );
        fs::write(&chain, signed.pem()).expect("written");
        fs::write(&secret, key.serialize_pem()).expect("written");
        format!(
            "ssl_certificate {}; ssl_certificate_key {};",
            chain.display(),
            secret.display()
        )
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// nginx, with a TLS port for each certificate, in front of `upstream`.
fn nginx(folder: &Path, upstream: u16, certificates: &[String]) -> (Running, Vec<u16>) {
    let ports: Vec<u16> = certificates.iter().map(|_| free_port()).collect();
    let mut servers = String::new();
    for (port, certificate) in ports.iter().zip(certificates) {
        servers.push_str(&format!(
            "server {{ listen 127.0.0.1:{port} ssl; {certificate}\n\
             location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1;\n\
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;\n\
             proxy_set_header Host $host; }} }}\n"
        ));
    }
    let at = folder.display();
    let config = format!(
        "daemon off; master_process off; pid {at}/nginx.pid; error_log {at}/error.log;\n\
         events {{}}\n\
         http {{ access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
         fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n{servers}}}\n"
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, config).expect("written");
    let mut command = Command::new("nginx");
    command
        .arg("-c")
        .arg(&path)
        .arg("-e")
        .arg(folder.join("error.log"));
    let running = Running(command.spawn().expect("nginx is installed"));
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", ports[0])).is_err() {
        assert!(began.elapsed() < LONG, "nginx does not listen");
        std::thread::yield_now();
    }
    (running, ports)
}

#[test]
fn nginx_ends_tls() {
    let Some(folder) = installed() else { return };
    let (_server, upstream) = node(&folder);
    let work = std::env::temp_dir().join(format!("tickcache-interop-{}", std::process::id()));
    fs::create_dir_all(&work).expect("a folder");
    let (ours, other) = (Authority::new("ours"), Authority::new("another"));
    let certificates = [
        ours.sign(&work, "right", "localhost", false),
        ours.sign(&work, "expired", "localhost", true),
        ours.sign(&work, "misnamed", "elsewhere.example", false),
        other.sign(&work, "unknown", "localhost", false),
    ];
    let (_nginx, ports) = nginx(&work, upstream, &certificates);
    let over = |port: u16| {
        let roots = Roots::Pem(ours.pem.clone().into_bytes());
        feed(&format!("wss://localhost:{port}/")).connect(|connect| connect.roots(roots))
    };
    for (port, expected) in [
        (ports[1], TlsFailure::Expired),
        (ports[2], TlsFailure::WrongName),
        (ports[3], TlsFailure::UnknownIssuer),
    ] {
        let cache = Cache::builder().build().expect("a cache");
        let feed = cache.attach(over(port)).expect("attached");
        let began = Instant::now();
        let error = loop {
            if let Some(error) = feed.state().last_error {
                break error;
            }
            assert!(began.elapsed() < LONG, "no attempt has failed");
            std::thread::yield_now();
        };
        assert!(
            matches!(&*error, ConnectError::Tls(failure) if *failure == expected),
            "{error}"
        );
        assert!(!error.is_retryable(), "{error}");
        assert_eq!(feed.counters().opens, 0);
        cache.close_blocking(LONG).expect("everything ends");
    }
    check(over(ports[0]));
    // Of this run alone; what is left of it does no harm.
    let _ = fs::remove_dir_all(&work);
}
