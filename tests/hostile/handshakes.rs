//! Servers that do not open a WebSocket, in every way they can think of: each attempt ends, names
//! its reason, costs next to nothing, and the next one is made.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::time::Duration;

use tickcache::{Cache, Freshness};

use crate::counting::{Meter, alone};
use crate::kit::{BESIDE, LONG, feed, until};
use crate::log;
use crate::server::{Connection, End, Server, event};

/// Reads the head of a request.
fn request(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

/// The answer that opens a WebSocket.
fn switching(head: &str) -> String {
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-key")
            .then_some(value)
    });
    let key = key.expect("a key").as_bytes();
    let accept = tungstenite::handshake::derive_accept_key(key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// The first attempt is answered by `refuse`; the second one opens. Says what was logged.
#[track_caller]
fn refused(
    what: &str,
    refuse: impl Fn(&mut TcpStream, &str) -> std::io::Result<()> + Send + 'static,
) -> String {
    let _alone = alone();
    log::listen();
    let server = Server::raw(move |mut stream, number| {
        if number > 1 {
            let Ok(socket) = tungstenite::accept(stream) else {
                return End::Dropped;
            };
            return Connection { socket, number }.say(&event(2)).hold();
        }
        let head = request(&mut stream);
        // Fails as soon as the client has had enough.
        let _ = refuse(&mut stream, &head);
        End::Dropped
    });
    let cache = Cache::builder().build().expect("a cache");
    let meter = Meter::start();
    let mut watch = cache.entity("job").slot(1).watch();
    let impatient = |settings: &mut tickcache::feed::Settings| {
        settings.handshake_timeout = Duration::from_millis(300);
    };
    let attached = cache
        .attach(feed(&server.url()).settings(impatient))
        .expect("attached");
    assert_eq!(until(&mut watch, Freshness::is_live), 2, "{what}");
    let peak = meter.peak();
    assert!(peak <= 2 * BESIDE, "{what}: {peak} bytes");
    let counters = attached.counters();
    assert_eq!((counters.failures, counters.opens), (1, 1), "{what}");
    assert_eq!(attached.state().attempts, 2, "{what}");
    cache.close_blocking(LONG).expect("every thread ends");
    let said = log::said();
    let lines: Vec<_> = said
        .lines()
        .filter(|line| line.contains("not connected"))
        .collect();
    let [line] = lines[..] else {
        panic!("{what}: it is said once: {said}")
    };
    line.to_owned()
}

/// Whatever the server says at once, and how it is called.
#[test]
fn answers_that_open_nothing() {
    let answers: [(&str, String, &str); 22] = [
        ("nothing", String::new(), "closed before the answer"),
        ("a blank line", "\r\n\r\n".into(), ""),
        ("another protocol", "SSH-2.0-OpenSSH_9.6\r\n".into(), "not HTTP/1.1"),
        ("noise", "\u{0}\u{1}\u{2}\u{3}\r\n\r\n".into(), "not HTTP/1.1"),
        ("a status that is no number", "HTTP/1.1 abc\r\n\r\n".into(), "not HTTP/1.1"),
        ("HTTP/0.9", "<html>hello</html>\r\n\r\n".into(), "not HTTP/1.1"),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), "not HTTP/1.1"),
        ("a header without a colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n".into(), "not HTTP/1.1"),
        ("a header with a NUL", "HTTP/1.1 200 OK\r\nA: \u{0}\r\n\r\n".into(), "not HTTP/1.1"),
        ("a page", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".into(), "status 200"),
        ("a page without an end", "HTTP/1.1 200 OK\r\n\r\nhi".into(), "status 200"),
        ("a refusal", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".into(), "status 401"),
        ("an overload", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".into(), "status 503"),
        ("a length that lies", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n".into(), "status 200"),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".into(), "not HTTP/1.1"),
        ("chunks that lie", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".into(), "status 200"),
        ("a redirect", "HTTP/1.1 302 Found\r\nLocation: ws://elsewhere.invalid/\r\nContent-Length: 0\r\n\r\n".into(), "status 302"),
        ("a redirect to itself", "HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".into(), "status 301"),
        ("an upgrade to something else", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n".into(), "upgrade to websocket"),
        ("no accept", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".into(), "lacks Sec-WebSocket-Accept"),
        ("a wrong accept", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n".into(), "does not answer the key"),
        ("no connection option", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n".into(), "connection option upgrade"),
    ];
    for (what, answer, why) in answers {
        let line = refused(what, move |stream, _| stream.write_all(answer.as_bytes()));
        assert!(line.contains(why), "{what}: {line}");
    }
}

/// Right in all but one header.
#[test]
fn grants_that_nobody_asked_for() {
    let headers = [
        ("Sec-WebSocket-Extensions: permessage-deflate", "extension"),
        (
            "Sec-WebSocket-Extensions: x-webkit-deflate-frame",
            "extension",
        ),
        ("Sec-WebSocket-Protocol: soap", "subprotocol"),
        ("Sec-WebSocket-Accept: again", "more than once"),
        ("Upgrade: h2c", "upgrade to websocket"),
    ];
    for (header, why) in headers {
        let line = refused(header, move |stream, head| {
            let answer = switching(head).replace("\r\n\r\n", &format!("\r\n{header}\r\n\r\n"));
            // Frames behind it are not looked at.
            stream.write_all(&[answer.as_bytes(), b"\x81\x05hello"].concat())
        });
        assert!(line.contains(why), "{header}: {line}");
    }
}

/// Heads without an end: refused at 64 KiB, or at the deadline, whichever is first.
#[test]
fn heads_that_never_end() {
    let start = "HTTP/1.1 101 Switching Protocols\r\n";
    let floods: [(&str, String, String); 5] = [
        ("one header", format!("{start}X: "), "x".repeat(4096)),
        ("many headers", start.into(), "X: y\r\n".repeat(500)),
        (
            "folded lines",
            format!("{start}X: y\r\n"),
            " y\r\n".repeat(500),
        ),
        ("a reason", "HTTP/1.1 200 ".into(), "x".repeat(4096)),
        ("blank lines", String::new(), "\r\n".repeat(2048)),
    ];
    for (what, first, again) in floods {
        refused(what, move |stream, _| {
            stream.write_all(first.as_bytes())?;
            // 64 MiB, if the client lets it.
            (0..16_384).try_for_each(|_| stream.write_all(again.as_bytes()))?;
            panic!("{what}: the client reads on")
        });
    }
}

/// Answers that are none: they may go on until the deadline, and cost nothing.
#[test]
fn interim_answers_without_an_end() {
    let line = refused("interim", |stream, _| {
        let many = "HTTP/1.1 100 Continue\r\n\r\n".repeat(200);
        loop {
            stream.write_all(many.as_bytes())?;
        }
    });
    assert!(line.contains("handshake"), "{line}");
}

/// One byte now and then makes no progress that counts: the deadline is that of the whole.
#[test]
fn an_answer_byte_by_byte() {
    // Never told: what waits for it is slow.
    let (_never, slowly) = channel::<()>();
    let line = refused("slow", move |stream, head| {
        for byte in switching(head).bytes() {
            stream.write_all(&[byte])?;
            let _ = slowly.recv_timeout(Duration::from_millis(20));
        }
        panic!("the client waits on")
    });
    assert!(line.contains("took longer than"), "{line}");
}

/// Frames right behind the answer, as many as there is room for: those are the connection's.
#[test]
fn what_comes_behind_the_answer_is_not_lost() {
    let _alone = alone();
    let server = Server::raw(|mut stream, _| {
        let head = request(&mut stream);
        let mut bytes = switching(&head).into_bytes();
        for number in [1; 500].into_iter().chain([2]) {
            bytes.extend(crate::kit::frame(0x81, event(number).as_bytes()));
        }
        stream.write_all(&bytes).expect("taken");
        End::Hold(stream)
    });
    let cache = Cache::builder().build().expect("a cache");
    let mut watch = cache.entity("job").slot(1).watch();
    let attached = cache.attach(feed(&server.url())).expect("attached");
    while until(&mut watch, Freshness::is_live) != 2 {}
    assert_eq!(attached.counters().messages, 501);
    cache.close_blocking(LONG).expect("every thread ends");
}
