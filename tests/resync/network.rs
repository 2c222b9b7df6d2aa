//! Over real sockets: a feed, its server, and the server's other interface with a certificate.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tickcache::{Cache, Feed, FeedRef, Reasons, Roots, Slot};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::kit::{Toy, ms, toy};
use crate::server::{Connection, Server};

const LONG: Duration = Duration::from_secs(30);

/// The server's other interface: answers everything, and writes down what it was asked.
struct Rest {
    _runtime: Runtime,
    base: String,
    roots: Roots,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Rest {
    fn start() -> Self {
        let names = vec!["localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
            .expect("a matching key");
        let runtime = Runtime::new().expect("a runtime");
        let bound = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = bound.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&asked);
        runtime.spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            loop {
                let (stream, _) = listener.accept().await.expect("a client");
                let (acceptor, heard) = (acceptor.clone(), Arc::clone(&heard));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let answer = service_fn(move |request: Request<Incoming>| {
                        let path = request.uri().path().to_owned();
                        heard.lock().expect("unbroken").push(path);
                        let body = Full::new(Bytes::from(r#"{"n":7,"fetched":7}"#));
                        async { Ok::<_, Infallible>(Response::new(body)) }
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    drop(http.serve_connection(TokioIo::new(stream), answer).await);
                });
            }
        });
        Self {
            _runtime: runtime,
            base: format!("https://localhost:{port}"),
            roots: Roots::Pem(made.cert.pem().into()),
            asked,
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("unbroken").clone()
    }
}

/// Waits until the slot is as it should be.
#[track_caller]
fn until(slot: &Slot, is: impl Fn(&Slot) -> bool) {
    let mut watch = slot.watch();
    while !is(slot) {
        watch.wait(LONG).expect("in time");
    }
}

fn json(slot: &Slot) -> String {
    slot.snapshot().record().to_json()
}

fn attach(cache: &Cache, url: &str, rest: &Rest) -> FeedRef {
    let feed = toy(["A", "B", "C"])
        .base(url.trim_end_matches('/'))
        .backoff(tickcache::Backoff::fixed(ms(1)))
        .resync_rest()
        .rest_base(&rest.base)
        .resync_after(ms(50))
        .connect(|connect| connect.roots(rest.roots.clone()));
    cache.attach(feed).expect("attached")
}

#[test]
fn what_the_server_does_not_send_comes_from_its_other_interface() {
    let rest = Rest::start();
    // A comes by stream, B does not, and C is refused.
    let (drop_it, dropping) = std::sync::mpsc::channel::<()>();
    let dropping = Mutex::new(dropping);
    let server = Server::start(move |connection| {
        if connection.number > 1 {
            return connection.hold();
        }
        let connection = connection.say(r#"{"s":"A","n":1,"whole":1,"v":{"n":1}}"#);
        let connection = connection.say(r#"{"refuse":"C"}"#);
        let _ = dropping.lock().expect("unbroken").recv();
        connection.drop_it()
    });
    let cache = Cache::builder()
        .resyncs_per_second(1000)
        .build()
        .expect("a cache");
    let mut events = cache.events();
    let feed = attach(&cache, &server.url(), &rest);
    let entity = cache.entity("toy.tick");
    let [a, b, c, d] = ["A", "B", "C", "D"].map(|symbol| entity.slot(symbol));
    until(&b, |b| b.freshness().is_live());
    assert_eq!(json(&b), r#"{"n":7,"fetched":7}"#);
    assert!(a.freshness().is_live());
    assert_eq!(rest.asked(), ["/tick/B"], "A came, C was refused");

    let ended = feed.unsubscribe("tick", ["A"]);
    pollster::block_on(ended).expect("ended");
    assert!(a.freshness().reasons().contains(Reasons::UNSUBSCRIBED));
    let new = feed.subscribe("tick", ["D"]);
    pollster::block_on(new).expect("asked for");
    until(&d, |d| d.freshness().is_live());
    drop_it.send(()).expect("it waits");
    until(&b, |b| !b.freshness().is_live());
    until(&b, |b| b.freshness().is_live());
    until(&d, |d| d.freshness().is_live());
    let mut asked = rest.asked();
    asked.sort();
    assert_eq!(asked, ["/tick/B", "/tick/B", "/tick/D", "/tick/D"]);
    assert!(!a.freshness().is_live() && !c.freshness().is_live());
    // A value is there before the fetch that brought it is known to be over.
    while feed.counters().resyncs_done < 4 {
        events.wait(LONG).expect("in time");
    }
    let counters = feed.counters();
    assert_eq!((counters.resyncs_done, counters.resyncs_failed), (4, 0));
    cache.close_blocking(LONG).expect("everything ends");
}

#[test]
fn a_certificate_that_is_not_trusted_is_reported_and_nothing_is_taken() {
    let rest = Rest::start();
    let server = Server::start(Connection::hold);
    let cache = Cache::builder()
        .resyncs_per_second(1000)
        .build()
        .expect("a cache");
    let feed = toy(["B"])
        .base(server.url().trim_end_matches('/'))
        .resync_rest()
        .rest_base(&rest.base)
        .resync_after(ms(1))
        .connect(|connect| connect.roots(Roots::WebPki));
    let _feed = cache.attach(feed).expect("attached");
    let key = tickcache::key!["toy.tick", "B"];
    let mut events = cache.events();
    let failure = loop {
        let _ = events.wait(LONG);
        let state = cache.query::<serde_json::Value>(key.clone()).state();
        if let Some(failure) = state.failure() {
            break failure.to_string();
        }
    };
    assert!(failure.contains("unknown issuer"), "{failure}");
    assert!(rest.asked().is_empty());
    cache.close_blocking(LONG).expect("everything ends");
}

#[test]
fn a_base_that_is_none_is_an_error_at_once() {
    let cache = Cache::builder().build().expect("a cache");
    let feed: Feed<tickcache::feed::presets::Exchange<Toy>> = toy(["B"]);
    let error = cache.attach(feed.resync_rest().rest_base("wss://host"));
    let error = error.expect_err("no such scheme");
    assert!(error.to_string().contains("http:// or https://"), "{error}");
    cache.close_blocking(LONG).expect("everything ends");
}
