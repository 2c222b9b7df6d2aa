//! The client against real servers on loopback, with good and bad certificates.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use super::{Rest, RestError};
use crate::io::connect::{ConnectError, ConnectOptions, Proxy};
use crate::io::peer::{Authority, LONG, Peer, drain, read_head};
use crate::io::tls::{Roots, Tls, TlsFailure};
use crate::sync::{AtomicUsize, Ordering};

const JSON: &str = "application/json;charset=UTF-8";

/// A server that answers as `answer` says, over TLS if it has a configuration.
struct Server {
    runtime: Runtime,
    address: SocketAddr,
    secure: bool,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

type Answer = Option<Response<Full<Bytes>>>;

impl Server {
    fn start(config: Option<Arc<ServerConfig>>, answer: fn(&str) -> Answer) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let bound = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = bound.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (connections, heads) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let secure = config.is_some();
        runtime.spawn(accept(
            listener,
            config.map(TlsAcceptor::from),
            answer,
            Arc::clone(&connections),
            Arc::clone(&heads),
        ));
        Self {
            runtime,
            address,
            secure,
            connections,
            heads,
        }
    }

    fn plain(answer: fn(&str) -> Answer) -> Self {
        Self::start(None, answer)
    }

    fn base(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://localhost:{}", self.address.port())
    }

    fn client(&self) -> Rest {
        Rest::new(&self.base()).expect("a client")
    }

    fn get(&self, client: &Rest, path: &str) -> Result<String, RestError> {
        let got = self.runtime.block_on(client.get(path));
        got.map(|body| String::from_utf8(body).expect("text"))
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    answer: fn(&str) -> Answer,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
) {
    loop {
        let (stream, _) = listener.accept().await.expect("a client");
        connections.fetch_add(1, Ordering::Relaxed);
        let heads = Arc::clone(&heads);
        let service = service_fn(move |request: Request<Incoming>| {
            let head = format!("{} {:?}", request.uri(), request.headers());
            heads.lock().expect("the heads").push(head);
            let answer = answer(request.uri().path());
            async move {
                match answer {
                    Some(answer) => Ok::<_, Infallible>(answer),
                    // As slow as can be.
                    None => std::future::pending().await,
                }
            }
        });
        let http = hyper::server::conn::http1::Builder::new();
        let tls = tls.clone();
        tokio::spawn(async move {
            // A client that goes, or does not like the certificate, is no failure here.
            match tls {
                None => drop(http.serve_connection(TokioIo::new(stream), service).await),
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        drop(http.serve_connection(TokioIo::new(stream), service).await);
                    }
                }
            }
        });
    }
}

fn respond(status: u16, kind: &str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder()
        .status(StatusCode::from_u16(status).expect("a status"))
        .header("content-type", kind)
        .body(Full::new(body.into()))
        .expect("a response")
}

fn ok(_: &str) -> Answer {
    Some(respond(200, JSON, r#"{"price":"0.10"}"#))
}

fn trusting(authority: &Authority) -> ConnectOptions {
    ConnectOptions {
        tls: Tls::from_roots(Roots::Pem(authority.pem.clone().into())),
        ..ConnectOptions::default()
    }
}

#[test]
fn answers_come_over_connections_that_are_kept() {
    let authority = Authority::new("ours");
    let server = Server::start(Some(authority.server("localhost", 2100)), ok);
    let client = server.client().with_options(trusting(&authority));
    let client = client.header("x-key", "secret").expect("a header");
    for _ in 0..20 {
        let got = server.get(&client.clone(), "/v1/price?symbol=X");
        assert_eq!(got.expect("an answer"), r#"{"price":"0.10"}"#);
    }
    // One that is not back in its place yet when the next request comes is not waited for.
    assert!(server.connections() < 20);
    let head = server.heads.lock().expect("the heads")[0].clone();
    assert!(head.starts_with("/v1/price?symbol=X "), "{head}");
    assert!(head.contains("application/json") && head.contains("localhost"));
    assert!(!head.contains("accept-encoding"), "{head}");
    assert!(!format!("{client:?}").contains("secret"));
}

#[test]
fn a_path_before_the_path_is_kept() {
    let server = Server::plain(ok);
    let client = Rest::new(&format!("{}/eu/", server.base())).expect("a client");
    server.get(&client, "/v1").expect("an answer");
    assert!(server.heads.lock().expect("the heads")[0].starts_with("/eu/v1 "));
}

#[test]
fn certificates_that_are_not_in_order_are_named() {
    let authority = Authority::new("ours");
    let check = |name: &str, year, issuer: &Authority, expected: TlsFailure| {
        let server = Server::start(Some(issuer.server(name, year)), ok);
        let client = server.client().with_options(trusting(&authority));
        match server.get(&client, "/") {
            Err(RestError::Connect(error)) => match &*error {
                ConnectError::Tls(failure) => assert_eq!(*failure, expected),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
        assert!(server.heads.lock().expect("the heads").is_empty());
    };
    check("localhost", 2021, &authority, TlsFailure::Expired);
    check("other.example", 2100, &authority, TlsFailure::WrongName);
    let theirs = Authority::new("theirs");
    check("localhost", 2100, &theirs, TlsFailure::UnknownIssuer);
}

#[test]
fn the_default_trusts_nobody_of_a_test() {
    let authority = Authority::new("ours");
    let server = Server::start(Some(authority.server("localhost", 2100)), ok);
    let options = ConnectOptions {
        tls: Tls::from_roots(Roots::WebPki),
        ..ConnectOptions::default()
    };
    let error = server.get(&server.client().with_options(options), "/");
    let error = error.expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "the server's certificate is signed by an unknown issuer"
    );
    assert!(!error.is_retryable());
}

#[test]
fn refusals_are_typed_and_say_what_the_server_said() {
    let server = Server::plain(|path| {
        Some(match path {
            "/500" => respond(500, "text/html", "<h1>sorry</h1>"),
            "/400" => respond(400, JSON, r#"{"code":-1121,"msg":"Invalid symbol."}"#),
            "/302" => respond(302, JSON, ""),
            _ => respond(404, JSON, vec![b'x'; 100_000]),
        })
    });
    let client = server.client();
    let check = |path: &str, code: u16, says: &str, retryable: bool| {
        let error = server.get(&client, path).expect_err("refused");
        let RestError::Status {
            status,
            retry_after,
            body,
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!((*status, &**body, *retry_after), (code, says, None));
        assert_eq!(error.is_retryable(), retryable, "{error}");
    };
    check("/500", 500, "<h1>sorry</h1>", true);
    let said = r#"{"code":-1121,"msg":"Invalid symbol."}"#;
    check("/400", 400, said, false);
    check("/302", 302, "", false);
    check("/404", 404, &"x".repeat(200), false);
}

#[test]
fn a_server_that_asks_to_be_left_alone_is_left_alone() {
    let server = Server::plain(|path| {
        let mut answer = respond(path[1..4].parse().expect("a status"), JSON, "{}");
        if let Some(after) = path.get(5..) {
            let after = after.parse().expect("a value");
            answer.headers_mut().insert("retry-after", after);
        }
        Some(answer)
    });
    for (path, held) in [
        ("/429/7", Some(7)),
        ("/429/99999", Some(300)),
        ("/429", Some(10)),
        ("/429/soon", Some(10)),
        ("/418/7200", Some(3600)),
        ("/418", Some(10)),
        ("/503/30", Some(30)),
        ("/503", None),
    ] {
        let client = server.client();
        let error = server.get(&client, path).expect_err("refused");
        let held = held.map(Duration::from_secs);
        assert_eq!(error.retry_after(), held, "{path}");
        let asked = server.heads.lock().expect("the heads").len();
        let again = server.get(&client.clone(), "/200");
        match held {
            None => drop(again.expect("asked")),
            Some(held) => {
                let error = again.expect_err("held");
                assert!(matches!(error, RestError::Held { left } if left <= held));
                assert!(error.is_retryable() && error.retry_after() <= Some(held));
                let now = server.heads.lock().expect("the heads").len();
                assert_eq!(now, asked, "nothing was sent");
            }
        }
    }
}

#[test]
fn what_is_too_long_too_slow_or_no_json_is_refused() {
    let server = Server::plain(|path| match path {
        "/long" => Some(respond(200, JSON, vec![b' '; 1001])),
        "/fits" => Some(respond(200, JSON, vec![b' '; 1000])),
        "/html" => Some(respond(200, "Text/HTML; charset=utf-8", "<html>")),
        "/problem" => Some(respond(200, "application/problem+json", "{}")),
        _ => None,
    });
    let client = server.client().max_body(1000);
    let error = server.get(&client, "/long").expect_err("too long");
    assert!(matches!(error, RestError::TooLarge(1000)), "{error:?}");
    server.get(&client, "/fits").expect("it fits");
    let error = server.get(&client, "/html").expect_err("no JSON");
    assert_eq!(
        error.to_string(),
        r#"the answer is no JSON but "text/html""#
    );
    server.get(&client, "/problem").expect("JSON");
    let hasty = client.timeout(Duration::from_millis(50));
    let error = server.get(&hasty, "/slow").expect_err("too slow");
    assert!(matches!(error, RestError::TimedOut(_)) && error.is_retryable());
}

#[test]
fn an_answer_that_is_cut_short_is_no_answer() {
    let check = |answer: &'static str| {
        let peer = Peer::once(move |mut stream| {
            read_head(&mut stream);
            stream.write_all(answer.as_bytes()).expect("sent");
        });
        let client = Rest::new(&format!("http://{}", peer.address)).expect("a client");
        let client = client.timeout(LONG);
        let runtime = Runtime::new().expect("a runtime");
        let error = runtime.block_on(client.get("/")).expect_err("cut short");
        assert!(matches!(error, RestError::Broken(_)), "{error:?}");
        assert!(error.is_retryable());
        peer.join();
    };
    check("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"a\"");
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\"");
    check("HTTP/1.1 200 OK\r\nContent-");
    check("SSH-2.0-server\r\n");
}

#[test]
fn requests_go_through_the_proxy() {
    let server = Server::plain(ok);
    let target = server.address;
    let peer = Peer::once(move |mut stream| {
        let head = read_head(&mut stream);
        assert!(head.starts_with(&format!("CONNECT localhost:{}", target.port())));
        stream
            .write_all(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n")
            .expect("sent");
        drain(stream);
    });
    let options = ConnectOptions {
        proxy: Some(Proxy::new(&format!("http://{}", peer.address)).expect("a proxy")),
        ..ConnectOptions::default()
    };
    let error = server.get(&server.client().with_options(options), "/");
    let error = error.expect_err("no tunnel");
    assert!(
        matches!(&error, RestError::Connect(error) if matches!(**error, ConnectError::Proxy { status: 407 })),
        "{error:?}"
    );
    drop(server);
    peer.join();
}

#[test]
fn what_cannot_be_asked_for_is_said_at_once() {
    for base in [
        "ftp://host",
        "host",
        "https://",
        "https://u:p@host",
        "https://h/?q",
    ] {
        let error = Rest::new(base).expect_err(base);
        assert!(matches!(error, RestError::Url(_)), "{error:?}");
        assert!(!error.is_retryable());
    }
    let client = Rest::new("https://host").expect("a client");
    assert!(matches!(
        client.clone().header("a b", ""),
        Err(RestError::Header(_))
    ));
    assert!(matches!(
        client.clone().header("a", "\n"),
        Err(RestError::Header(_))
    ));
    let off = pollster::block_on(client.get("/"));
    assert!(matches!(off, Err(RestError::NoRuntime)), "{off:?}");
    let runtime = Runtime::new().expect("a runtime");
    for path in ["", "v1", "/v 1"] {
        let error = runtime.block_on(client.get(path));
        assert!(matches!(error, Err(RestError::Path)), "{path:?}");
    }
}
