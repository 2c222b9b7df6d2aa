use super::*;
use crate::io::peer::{Authority, LONG, Peer, accept, drain, header, read_head, secure, switching};
use crate::io::tls::{Roots, TlsSetupError};
use crate::ws::HandshakeError;
use std::io::{Read as _, Write as _};

fn run(options: &ConnectOptions, endpoint: Endpoint) -> Result<Connected, ConnectError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let source = EndpointSource::Fixed(endpoint);
    let attempt = Attempt {
        number: 1,
        failed: 0,
    };
    runtime
        .expect("a runtime")
        .block_on(connect(options, &source, attempt))
}

fn options() -> ConnectOptions {
    ConnectOptions {
        connect_timeout: LONG,
        handshake_timeout: LONG,
        ..ConnectOptions::default()
    }
}

fn hasty() -> ConnectOptions {
    ConnectOptions {
        connect_timeout: Duration::from_millis(50),
        handshake_timeout: Duration::from_millis(50),
        ..ConnectOptions::default()
    }
}

fn trusting(authority: &Authority) -> ConnectOptions {
    let roots = Roots::Pem(authority.pem.clone().into_bytes());
    ConnectOptions {
        tls: Tls::from_roots(roots),
        ..options()
    }
}

#[test]
fn a_handshake_hands_over_the_socket_and_the_bytes_behind_it() {
    let peer = Peer::once(|mut stream| {
        let head = read_head(&mut stream);
        assert!(head.starts_with("GET /feed?x=1 HTTP/1.1\r\n"), "{head}");
        assert_eq!(header(&head, "upgrade"), Some("websocket"));
        assert_eq!(header(&head, "x-key"), Some("secret"));
        assert_eq!(header(&head, "sec-websocket-protocol"), Some("v2, v1"));
        let host = stream.local_addr().expect("an address").to_string();
        assert_eq!(header(&head, "host"), Some(&*host));
        let accepted =
            switching(&head).replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: v1\r\n\r\n");
        stream
            .write_all(&[accepted.as_bytes(), b"\x81\x02hi"].concat())
            .expect("sent");
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the client's byte");
        assert_eq!(byte, *b"!");
    });
    let endpoint = Endpoint::new(peer.url("/feed?x=1"))
        .header("X-Key", "secret")
        .subprotocol("v2")
        .subprotocol("v1")
        .text("login");
    let options = ConnectOptions {
        receive_buffer: Some(1 << 20),
        bind: Some([127, 0, 0, 1].into()),
        ..options()
    };
    let connected = run(&options, endpoint).expect("connected");
    assert_eq!(connected.texts, ["login"]);
    assert_eq!(connected.protocol, Some(1));
    assert_eq!(connected.peer, peer.address);
    assert!(connected.tls.is_none());
    let mut stream = connected.stream;
    assert!(stream.nodelay().expect("an option"));
    let mut byte = [0; 16];
    let mut received = connected.leftover.to_vec();
    // Non-blocking: what has not come yet is waited for the hard way.
    stream.set_nonblocking(false).expect("an option");
    while received.len() < 4 {
        let count = stream.read(&mut byte).expect("the rest of the frame");
        received.extend_from_slice(&byte[..count]);
    }
    assert_eq!(received, b"\x81\x02hi");
    stream.write_all(b"!").expect("sent");
    peer.join();
}

#[test]
fn the_socket_is_handed_over_non_blocking() {
    let peer = Peer::answering(switching);
    let connected = run(&options(), Endpoint::new(peer.url("/"))).expect("connected");
    let error = (&connected.stream)
        .read(&mut [0])
        .expect_err("nothing was sent");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    drop(connected);
    peer.join();
}

#[test]
fn a_server_that_proves_nothing_is_refused() {
    let check = |change: fn(String) -> String, expected: HandshakeError| {
        let peer = Peer::answering(move |head| change(switching(head)));
        let error = run(&options(), Endpoint::new(peer.url("/"))).expect_err("refused");
        let ConnectError::Handshake(found) = &error else {
            panic!("{error}")
        };
        assert_eq!(*found, expected);
        assert!(!error.is_retryable());
        peer.join();
    };
    check(
        |ok| ok.replace("Accept: ", "Accept: x"),
        HandshakeError::AcceptWrong,
    );
    check(
        |ok| ok.replace("Sec-WebSocket-Accept", "X-Accept"),
        HandshakeError::AcceptMissing,
    );
    check(
        |ok| ok.replace("Upgrade: websocket", "Upgrade: h2c"),
        HandshakeError::Upgrade,
    );
    check(
        |ok| ok.replace("keep-alive, Upgrade", "keep-alive"),
        HandshakeError::Connection,
    );
    check(
        |ok| {
            ok.replace(
                "\r\n\r\n",
                "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            )
        },
        HandshakeError::Extension("permessage-deflate".into()),
    );
}

#[test]
fn a_refusal_carries_its_status_and_when_to_come_back() {
    let check = |answer: &'static str, status, retry_after, retryable| {
        let peer = Peer::answering(move |_| format!("HTTP/1.1 {answer}\r\n\r\n"));
        let error = run(&options(), Endpoint::new(peer.url("/"))).expect_err("refused");
        assert_eq!(error.status(), Some(status), "{error}");
        assert_eq!(error.retry_after(), retry_after, "{error}");
        assert_eq!(error.is_retryable(), retryable, "{error}");
        peer.join();
    };
    let seconds = |n| Some(Duration::from_secs(n));
    check("401 Unauthorized\r\nContent-Length: 0", 401, None, false);
    check(
        "503 Busy\r\nRetry-After: 7\r\nContent-Length: 0",
        503,
        seconds(7),
        true,
    );
    check(
        "429 Slow down\r\nRetry-After: 90\r\nContent-Length: 4\r\n\r\nslow",
        429,
        seconds(90),
        true,
    );
    check(
        "302 Found\r\nLocation: ws://elsewhere/\r\nContent-Length: 0",
        302,
        None,
        false,
    );
    check("200 OK\r\nContent-Length: 0", 200, None, false);
}

#[test]
fn answers_that_are_not_http_or_never_end_are_refused() {
    let peer = Peer::answering(|_| "SSH-2.0-server\r\n\r\n".into());
    let error = run(&options(), Endpoint::new(peer.url("/"))).expect_err("refused");
    assert!(
        matches!(
            error,
            ConnectError::NotHttp {
                stage: Stage::Upgrade,
                ..
            }
        ),
        "{error}"
    );
    peer.join();

    let peer = Peer::once(|mut stream| {
        let _head = read_head(&mut stream);
        // Fails as soon as the client has had enough.
        let line = format!("X-More: {}\r\n", "x".repeat(8000));
        let sent = stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n");
        let flood = (0..1000).try_fold((), |(), _| stream.write_all(line.as_bytes()));
        assert!(sent.and(flood).is_err(), "8 MB of headers were taken");
    });
    let error = run(&options(), Endpoint::new(peer.url("/"))).expect_err("refused");
    assert!(matches!(error, ConnectError::NotHttp { .. }), "{error:?}");
    peer.join();

    let peer = Peer::once(|mut stream| drop(read_head(&mut stream)));
    let error = run(&options(), Endpoint::new(peer.url("/"))).expect_err("refused");
    assert!(
        matches!(
            error,
            ConnectError::Broken {
                stage: Stage::Upgrade,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.is_retryable());
    peer.join();
}

#[test]
fn every_step_has_a_deadline() {
    let check = |url: &dyn Fn(&Peer) -> String, stage| {
        let peer = Peer::once(drain);
        let endpoint = Endpoint::new(url(&peer));
        let error = run(&hasty(), endpoint).expect_err("nobody answers");
        assert!(
            matches!(error, ConnectError::TimedOut { stage: s, .. } if s == stage),
            "{error}"
        );
        assert!(error.is_retryable());
        peer.join();
    };
    check(&|peer| peer.url("/"), Stage::Upgrade);
    check(&|peer| format!("wss://{}/", peer.address), Stage::Tls);

    let peer = Peer::once(drain);
    let proxy = Proxy::new(&format!("http://{}", peer.address)).expect("a proxy");
    let through = ConnectOptions {
        proxy: Some(proxy),
        ..hasty()
    };
    let error = run(&through, Endpoint::new("ws://far.invalid/")).expect_err("nobody answers");
    assert!(
        matches!(
            error,
            ConnectError::TimedOut {
                stage: Stage::Proxy,
                ..
            }
        ),
        "{error}"
    );
    peer.join();

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let source = EndpointSource::hook(|_| std::future::pending());
    let attempt = Attempt {
        number: 1,
        failed: 0,
    };
    let error = runtime
        .expect("a runtime")
        .block_on(connect(&hasty(), &source, attempt));
    let error = error.expect_err("the hook never ends");
    assert!(
        matches!(
            error,
            ConnectError::TimedOut {
                stage: Stage::Endpoint,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn endpoint_and_addresses_that_cannot_be_used_say_why() {
    let refused = |endpoint| run(&options(), endpoint).expect_err("refused");
    let error = refused(Endpoint::new("http://host/"));
    assert!(
        matches!(error, ConnectError::Url(UrlError::Scheme(_))),
        "{error}"
    );
    let error = refused(Endpoint::new("ws://host/").header("Host", "other"));
    assert!(matches!(error, ConnectError::Request(_)), "{error}");
    let error = refused(Endpoint::new("ws://host/").header("X", "a\r\nY: b"));
    assert!(matches!(error, ConnectError::Request(_)), "{error}");
    let error = refused(Endpoint::new("ws://no-such-host.invalid/"));
    assert!(matches!(error, ConnectError::Resolve { .. }), "{error}");
    let error = run(
        &ConnectOptions {
            bind: Some("::1".parse().expect("an address")),
            ..options()
        },
        Endpoint::new("ws://127.0.0.1:1/"),
    );
    assert!(
        matches!(error, Err(ConnectError::NoAddress { .. })),
        "{error:?}"
    );
    let port = Peer::listen(drop).address.port();
    let error = refused(Endpoint::new(format!(
        "ws://127.0.0.1:{port}/?token=secret"
    )));
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[test]
fn a_refused_port_is_named() {
    let peer = Peer::listen(drop);
    let (url, address) = (peer.url("/"), peer.address);
    peer.join();
    let error = run(&options(), Endpoint::new(url)).expect_err("nobody listens");
    let ConnectError::Connect { address: named, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*named, address);
    assert!(error.is_retryable());
}

#[test]
fn a_proxy_opens_a_tunnel_with_its_credentials() {
    let peer = Peer::once(|mut stream| {
        let head = read_head(&mut stream);
        assert!(
            head.starts_with("CONNECT far.invalid:80 HTTP/1.1\r\n"),
            "{head}"
        );
        assert_eq!(
            header(&head, "proxy-authorization"),
            Some("Basic bWU6c2VjcmV0")
        );
        stream
            .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .expect("sent");
        let head = read_head(&mut stream);
        assert!(head.starts_with("GET /x HTTP/1.1\r\n"), "{head}");
        assert_eq!(header(&head, "host"), Some("far.invalid"));
        assert_eq!(
            header(&head, "proxy-authorization"),
            None,
            "the server must not see it"
        );
        stream.write_all(switching(&head).as_bytes()).expect("sent");
        drain(stream);
    });
    let proxy = Proxy::new(&format!("http://me:secret@{}", peer.address)).expect("a proxy");
    let through = ConnectOptions {
        proxy: Some(proxy),
        ..options()
    };
    let connected = run(&through, Endpoint::new("ws://far.invalid/x")).expect("connected");
    assert_eq!(connected.peer, peer.address);
    drop(connected);
    peer.join();
}

#[test]
fn a_proxy_that_refuses_is_named() {
    let peer = Peer::answering(|_| {
        "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n".into()
    });
    let proxy = Proxy::new(&format!("http://{}", peer.address)).expect("a proxy");
    let through = ConnectOptions {
        proxy: Some(proxy),
        ..options()
    };
    let error = run(&through, Endpoint::new("wss://far.invalid/")).expect_err("refused");
    assert!(
        matches!(error, ConnectError::Proxy { status: 407 }),
        "{error}"
    );
    assert!(!error.is_retryable());
    peer.join();
}

#[test]
fn tls_hands_over_its_session() {
    let authority = Authority::new("ours");
    let config = authority.server("localhost", 2100);
    let peer = Peer::listen(move |listener| {
        let mut stream = secure(accept(&listener), &config);
        let head = read_head(&mut stream);
        let answer = [switching(&head).as_bytes(), b"\x81\x02hi"].concat();
        stream.write_all(&answer).expect("sent");
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the client's byte");
        assert_eq!(byte, *b"!");
    });
    let url = format!("wss://localhost:{}/", peer.address.port());
    let connected = run(&trusting(&authority), Endpoint::new(url)).expect("connected");
    let mut stream = connected.stream;
    stream.set_nonblocking(false).expect("an option");
    let mut tls = connected.tls.expect("a session");
    let mut stream = rustls::Stream::new(&mut *tls, &mut stream);
    let mut received = connected.leftover.to_vec();
    while received.len() < 4 {
        let mut bytes = [0; 16];
        let count = stream.read(&mut bytes).expect("the rest of the frame");
        received.extend_from_slice(&bytes[..count]);
    }
    assert_eq!(received, b"\x81\x02hi");
    stream.write_all(b"!").expect("sent");
    peer.join();
}

#[test]
fn tls_failures_name_the_reason() {
    let authority = Authority::new("ours");
    let check = |name: &str, year, trusted: &Authority, expected| {
        let config = authority.server(name, year);
        let peer = Peer::listen(move |listener| {
            let mut stream = secure(accept(&listener), &config);
            // The client ends it.
            assert!(stream.read(&mut [0]).is_err());
        });
        let url = format!("wss://localhost:{}/", peer.address.port());
        let error = run(&trusting(trusted), Endpoint::new(url)).expect_err("refused");
        let ConnectError::Tls(failure) = &error else {
            panic!("{error:?}")
        };
        assert_eq!(*failure, expected);
        assert!(!error.is_retryable());
        peer.join();
    };
    check("localhost", 2021, &authority, TlsFailure::Expired);
    check("other.example", 2100, &authority, TlsFailure::WrongName);
    check(
        "localhost",
        2100,
        &Authority::new("theirs"),
        TlsFailure::UnknownIssuer,
    );
}

#[test]
fn garbage_instead_of_tls_is_named() {
    let peer = Peer::once(|mut stream| {
        let garbage = vec![b'x'; 64 << 10];
        // The client closes at the first bytes, which may well reset the rest.
        let _ = stream.write_all(&garbage);
        drain(stream);
    });
    let url = format!("wss://{}/", peer.address);
    let roots = ConnectOptions {
        tls: Tls::from_roots(Roots::WebPki),
        ..options()
    };
    let error = run(&roots, Endpoint::new(url)).expect_err("refused");
    assert!(
        matches!(error, ConnectError::Tls(TlsFailure::NotTls)),
        "{error:?}"
    );
    peer.join();
}

#[test]
fn roots_that_cannot_be_read_stop_the_attempt() {
    let peer = Peer::once(drain);
    let url = format!("wss://{}/", peer.address);
    let tls = Tls::from_roots(Roots::Pem(b"nonsense".to_vec()));
    let error = run(&ConnectOptions { tls, ..options() }, Endpoint::new(url)).expect_err("refused");
    assert!(
        matches!(error, ConnectError::TlsSetup(TlsSetupError::BadPem(_))),
        "{error:?}"
    );
    peer.join();
}

#[test]
fn families_take_turns() {
    let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"];
    let addresses = addresses.map(|a| a.parse::<SocketAddr>().expect("an address"));
    let ordered = alternate(addresses.to_vec());
    let [a, b, c, d, e] = addresses;
    assert_eq!(ordered, [a, d, b, e, c]);
}
