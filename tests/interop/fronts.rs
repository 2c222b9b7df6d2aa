//! nginx and haproxy ending TLS in front of npm's `ws`: certificates that are right, expired, of
//! another name and of an unknown issuer; the proxy is killed and comes back; what is behind it is
//! killed and comes back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tickcache::feed::presets::Events;
use tickcache::{Cache, ConnectError, Feed, Roots, TlsFailure};

use crate::servers::{Folder, LONG, Port, Running, has, installed, node, until_open};
use crate::story::{Listener, feed};

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

    /// Writes a certificate for `name` and its key into one file.
    fn sign(&self, folder: &Path, file: &str, name: &str, expired: bool) -> PathBuf {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        if expired {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        let path = folder.join(format!("{file}.pem"));
        fs::write(&path, signed.pem() + &key.serialize_pem()).expect("written");
        path
    }
}

/// A TLS port, and the file of its certificate and key.
type Door = (Port, PathBuf);

/// How a proxy is started in front of `upstream`; its files go to `folder`.
type Front = fn(folder: &Path, upstream: u16, doors: &[Door]) -> Command;

/// As it is configured by default: TLS 1.2.
fn nginx(folder: &Path, upstream: u16, doors: &[Door]) -> Command {
    let mut servers = String::new();
    for (port, file) in doors {
        let (port, file) = (port.number, file.display());
        servers.push_str(&format!(
            "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {file}; ssl_certificate_key {file};\n\
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
    command.arg("-c").arg(&path);
    command.arg("-e").arg(folder.join("error.log"));
    command
}

/// TLS 1.3 alone.
fn haproxy(folder: &Path, upstream: u16, doors: &[Door]) -> Command {
    let mut config = String::from(
        "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n \
         timeout tunnel 60s\n retries 0\n",
    );
    for (port, file) in doors {
        let (port, file) = (port.number, file.display());
        config.push_str(&format!(
            "frontend f{port}\n bind 127.0.0.1:{port} ssl crt {file} ssl-min-ver TLSv1.3\n \
             default_backend all\n"
        ));
    }
    config.push_str(&format!("backend all\n server one 127.0.0.1:{upstream}\n"));
    let path = folder.join("haproxy.cfg");
    fs::write(&path, config).expect("written");
    let mut command = Command::new("haproxy");
    command.args(["-q", "-db", "-f"]).arg(&path);
    command
}

fn start(front: &mut Command, doors: &[Door]) -> Running {
    let running = Running::start(front);
    doors.iter().for_each(|(port, _)| until_open(port.number));
    running
}

/// The certificate is refused by name, before a connection is open.
#[track_caller]
fn refused(feed: Feed<Events>, expected: &TlsFailure) {
    let cache = Cache::builder().build().expect("a cache");
    let feed = cache.attach(feed).expect("attached");
    let began = std::time::Instant::now();
    let error = loop {
        if let Some(error) = feed.state().last_error {
            break error;
        }
        assert!(began.elapsed() < LONG, "no attempt has failed");
        std::thread::yield_now();
    };
    let is_expected = matches!(&*error, ConnectError::Tls(failure) if failure == expected);
    assert!(is_expected && !error.is_retryable(), "{error}");
    assert_eq!(feed.counters().opens, 0);
    cache.close_blocking(LONG).expect("everything ends");
}

/// What holds of any proxy; `absent` is how it says that there is nobody behind it.
#[track_caller]
fn ends_tls(front: Front, absent: u16) {
    let Some(folder) = installed() else { return };
    let upstream = Port::reserve();
    let server = node(&folder, upstream.number);
    let work = Folder::of(&upstream);
    let (ours, other) = (Authority::new("ours"), Authority::new("another"));
    let doors = [
        ours.sign(&work.0, "right", "localhost", false),
        ours.sign(&work.0, "expired", "localhost", true),
        ours.sign(&work.0, "misnamed", "elsewhere.example", false),
        other.sign(&work.0, "unknown", "localhost", false),
    ]
    .map(|file| (Port::reserve(), file));
    let mut command = front(&work.0, upstream.number, &doors);
    let proxy = start(&mut command, &doors);
    let over = |(port, _): &Door| {
        let roots = Roots::Pem(ours.pem.clone().into_bytes());
        feed(&format!("wss://localhost:{}/", port.number)).connect(|connect| connect.roots(roots))
    };
    refused(over(&doors[1]), &TlsFailure::Expired);
    refused(over(&doors[2]), &TlsFailure::WrongName);
    refused(over(&doors[3]), &TlsFailure::UnknownIssuer);

    let mut listener = Listener::start(over(&doors[0]));
    drop(proxy);
    listener.loses();
    listener.until("an attempt that nobody answers", |feed| {
        let error = feed.state().last_error;
        error.is_some_and(|error| matches!(&*error, ConnectError::Connect { .. }))
    });
    let _proxy = start(&mut command, &doors);
    listener.hears(4);
    assert_eq!(listener.counted(), (4, 3));

    drop(server);
    listener.loses();
    listener.until("what the proxy says of nobody", |feed| {
        let error = feed.state().last_error;
        error.is_some_and(|error| error.status() == Some(absent) && error.is_retryable())
    });
    // A new server counts from 1.
    let _server = node(&folder, upstream.number);
    listener.hears(3);
    assert_eq!(listener.counted(), (7, 6));
    listener.end();
}

#[test]
fn nginx_ends_tls() {
    if has("nginx") {
        ends_tls(nginx, 502);
    }
}

#[test]
fn haproxy_ends_tls() {
    if has("haproxy") {
        ends_tls(haproxy, 503);
    }
}
