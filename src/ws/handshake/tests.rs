use std::time::Duration;

use super::*;

const NONCE: [u8; 16] = *b"the sample nonce";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

type Headers = Vec<(&'static str, &'static [u8])>;

/// The response of the standard's example (section 1.3), with some headers replaced or added.
fn response(changes: &[(&'static str, &'static [u8])]) -> Headers {
    let given: Headers = vec![
        ("Upgrade", b"websocket"),
        ("Connection", b"Upgrade"),
        ("Sec-WebSocket-Accept", ACCEPT),
    ];
    let changed = |name: &str| {
        changes
            .iter()
            .any(|(other, _)| name.eq_ignore_ascii_case(other))
    };
    let kept = given.into_iter().filter(|(name, _)| !changed(name));
    kept.chain(changes.iter().copied()).collect()
}

fn verify(status: u16, headers: Headers) -> Result<Accepted, HandshakeError> {
    verify_response(
        status,
        headers,
        &Key::new(NONCE),
        &["v2.example", "v1.example"],
    )
}

#[test]
fn the_key_is_that_of_the_standard() {
    let key = Key::new(NONCE);
    assert_eq!(key.as_str(), "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(key.accept().as_bytes(), ACCEPT);
}

#[test]
fn accepts_what_the_standard_allows() {
    let plain = Ok(Accepted { protocol: None });
    assert_eq!(verify(101, response(&[])), plain);
    for headers in [
        vec![("upgrade", &b"WebSocket"[..])],
        vec![("Connection", b"keep-alive, Upgrade")],
        vec![("Connection", b"keep-alive,upgrade ,x")],
        vec![("Connection", b"keep-alive"), ("connection", b"UPGRADE")],
        vec![("Sec-WebSocket-Extensions", b" ")],
        vec![("Server", b"\xff\xfe"), ("Date", b"whenever")],
    ] {
        assert_eq!(verify(101, response(&headers)), plain, "{headers:?}");
    }
    let mut padded = response(&[]);
    padded[2].1 = b" \ts3pPLMBiTxaQ9kYGzzhZRbK+xOo= ";
    assert_eq!(verify(101, padded), plain);
    let chosen = response(&[("Sec-WebSocket-Protocol", b"v1.example")]);
    assert_eq!(verify(101, chosen), Ok(Accepted { protocol: Some(1) }));
}

#[test]
fn refuses_each_header_that_is_wrong() {
    use HandshakeError as E;
    let without = |name: &str| -> Headers {
        response(&[])
            .into_iter()
            .filter(|(other, _)| *other != name)
            .collect()
    };
    let with = |name, value| response(&[(name, value)]);
    let twice = |name, value| {
        let mut headers = response(&[]);
        headers.push((name, value));
        headers
    };
    for (headers, error) in [
        (without("Upgrade"), E::Upgrade),
        (with("Upgrade", b""), E::Upgrade),
        (with("Upgrade", b"h2c"), E::Upgrade),
        (with("Upgrade", b"websocket2"), E::Upgrade),
        (twice("Upgrade", b"h2c"), E::Upgrade),
        (without("Connection"), E::Connection),
        (with("Connection", b"close"), E::Connection),
        (with("Connection", b"keep-alive; upgrade"), E::Connection),
        (without("Sec-WebSocket-Accept"), E::AcceptMissing),
        (with("Sec-WebSocket-Accept", b""), E::AcceptWrong),
        (
            with("Sec-WebSocket-Accept", b"s3pplmbitxaq9kygzzhzrbk+xoo="),
            E::AcceptWrong,
        ),
        (
            with("Sec-WebSocket-Accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo"),
            E::AcceptWrong,
        ),
        (
            with("Sec-WebSocket-Accept", b"dGhlIHNhbXBsZSBub25jZQ=="),
            E::AcceptWrong,
        ),
        (twice("sec-websocket-accept", ACCEPT), E::AcceptRepeated),
        (
            with(
                "Sec-WebSocket-Extensions",
                b"permessage-deflate; server_no_context_takeover",
            ),
            E::Extension("permessage-deflate; server_no_context_takeover".into()),
        ),
        (
            with("Sec-WebSocket-Protocol", b"v3.example"),
            E::Protocol("v3.example".into()),
        ),
        (
            with("Sec-WebSocket-Protocol", b"V1.example"),
            E::Protocol("V1.example".into()),
        ),
        (
            with("Sec-WebSocket-Protocol", b"v1.example, v2.example"),
            E::Protocol("v1.example, v2.example".into()),
        ),
        (
            with("Sec-WebSocket-Protocol", b"\xff"),
            E::Protocol("\u{fffd}".into()),
        ),
    ] {
        let result = verify(101, headers.clone());
        assert_eq!(result, Err(error.clone()), "{headers:?}");
        assert!(!error.is_retryable());
        assert!(!error.to_string().is_empty());
    }
    let mut headers = with("Sec-WebSocket-Protocol", b"v1.example");
    headers.push(("Sec-WebSocket-Protocol", b"v1.example"));
    assert_eq!(verify(101, headers), Err(E::ProtocolRepeated));
}

#[test]
fn a_subprotocol_that_nobody_offered_is_refused() {
    let request = Request::new("example.org", "/", NONCE).unwrap();
    let chosen = response(&[("Sec-WebSocket-Protocol", b"v1.example")]);
    let expected = HandshakeError::Protocol("v1.example".into());
    assert_eq!(request.verify(101, chosen), Err(expected));
    assert_eq!(
        request.verify(101, response(&[])),
        Ok(Accepted { protocol: None })
    );
}

#[test]
fn other_statuses_keep_what_the_server_said() {
    let of = |status, headers: &[(&'static str, &'static [u8])]| {
        // Even the headers of a good handshake do not make up for the status.
        match verify(status, response(headers)) {
            Err(HandshakeError::Status {
                status,
                retry_after,
                location,
            }) => (status, retry_after.map(|wait| wait.as_secs()), location),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of(503, &[("retry-after", b"120")]), (503, Some(120), None));
    assert_eq!(
        of(503, &[("Retry-After", b"Fri, 31 Dec 1999 23:59:59 GMT")]),
        (503, None, None)
    );
    assert_eq!(of(503, &[("Retry-After", b"")]), (503, None, None));
    assert_eq!(of(503, &[("Retry-After", b"-1")]), (503, None, None));
    assert_eq!(
        of(503, &[("Retry-After", b"99999999999999999999")]),
        (503, None, None)
    );
    assert_eq!(
        of(302, &[("Location", b"/login")]),
        (302, None, Some("/login".into()))
    );
    assert_eq!(of(200, &[]), (200, None, None));
    let (_, _, long) = of(301, &[("Location", &[b'x'; 5000])]);
    assert_eq!(long.map(|text| text.len()), Some(64));
}

#[test]
fn only_what_passes_by_itself_is_retryable() {
    let of = |status, wait: Option<u64>| {
        let retry_after = wait.map(Duration::from_secs);
        HandshakeError::Status {
            status,
            retry_after,
            location: None,
        }
        .is_retryable()
    };
    for status in [408, 425, 429, 500, 502, 503, 504, 520, 522, 530, 599] {
        assert!(of(status, None), "{status}");
    }
    for status in [
        200, 204, 301, 302, 307, 400, 401, 403, 404, 418, 426, 501, 505, 511, 600,
    ] {
        assert!(!of(status, None), "{status}");
    }
    assert!(of(418, Some(30)));
}

#[test]
fn a_request_is_the_text_the_standard_asks_for() {
    let request = Request::new("example.org:8443", "/stream?x=1%20", NONCE)
        .and_then(|request| request.protocol("v2.example"))
        .and_then(|request| request.protocol("v1.example"))
        .and_then(|request| request.header("Authorization", "Bearer a b"))
        .unwrap();
    let mut text = Vec::new();
    request.write_to(&mut text);
    assert_eq!(
        std::str::from_utf8(&text).unwrap(),
        "GET /stream?x=1%20 HTTP/1.1\r\n\
         Host: example.org:8443\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: v2.example, v1.example\r\n\
         Authorization: Bearer a b\r\n\
         \r\n"
    );
    let shown = format!("{request:?}");
    assert!(
        !shown.contains("Bearer") && !shown.contains("x=1"),
        "{shown}"
    );
}

#[test]
fn a_request_cannot_be_broken_by_its_parts() {
    use RequestError as E;
    let new = |host: &str, path: &str| Request::new(host, path, NONCE).unwrap_err();
    for host in ["", "a b", "a\r\nX: y", "a/b", "user@a", "bücher.example"] {
        assert_eq!(new(host, "/"), E::Host(host.into()));
    }
    for path in ["", "x", "/a b", "/a\r\nX: y", "/#part", "/ü"] {
        assert_eq!(new("a", path), E::Path(path.into()));
    }
    let request = || Request::new("[::1]:80", "/", NONCE).unwrap();
    for name in ["", "a b", "a:", "a\n", "ü"] {
        assert_eq!(
            request().header(name, "v").unwrap_err(),
            E::Name(name.into())
        );
        assert_eq!(request().protocol(name).unwrap_err(), E::Name(name.into()));
    }
    for name in [
        "Host",
        "CONNECTION",
        "sec-websocket-key",
        "Sec-WebSocket-Extensions",
    ] {
        assert_eq!(
            request().header(name, "v").unwrap_err(),
            E::Reserved(name.into())
        );
    }
    for value in ["a\r\nb: c", "a\nb", "a\0", "ü"] {
        assert_eq!(
            request().header("Origin", value).unwrap_err(),
            E::Value("Origin".into())
        );
    }
    let twice = request().protocol("p").unwrap().protocol("p").unwrap_err();
    assert_eq!(twice, E::ProtocolTwice("p".into()));
}
