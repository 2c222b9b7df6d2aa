#![allow(dead_code, unused_imports, missing_docs)]
#[path = "../src/bin/tickcache/simulator/mod.rs"]
mod simulator;
use simulator::*;
use std::io::{Read, Write};
#[test]
fn rate() {
    for streams in ["btcusdt@bookTicker", "mix"] {
        let s = Simulator::start(Settings {
            rate: Rate::Max,
            ..Settings::default()
        })
        .unwrap();
        let list = if streams == "mix" {
            symbol_names(200)
                .map(|n| n.to_lowercase())
                .map(|n| format!("{n}@bookTicker/{n}@ticker"))
                .collect::<Vec<_>>()
                .join("/")
        } else {
            streams.to_string()
        };
        let mut c = std::net::TcpStream::connect(s.addr()).unwrap();
        write!(c, "GET /stream?streams={list} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").unwrap();
        let mut b = vec![0; 256 * 1024];
        let t = std::time::Instant::now();
        while t.elapsed().as_secs_f64() < 3.0 {
            c.read(&mut b).unwrap();
        }
        let st = s.stats();
        println!(
            "{streams}: {:.3} M/s  {:.1} MB/s cpu {:.2}",
            st.messages as f64 / 3e6,
            st.bytes as f64 / 3e6,
            st.cpu.as_secs_f64() / 3.0
        );
    }
    let r = std::num::NonZeroU64::new(50_000).unwrap();
    let s = Simulator::start(Settings {
        rate: Rate::PerSecond(r),
        ..Settings::default()
    })
    .unwrap();
    let mut c = std::net::TcpStream::connect(s.addr()).unwrap();
    write!(c, "GET /ws/btcusdt@bookTicker HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").unwrap();
    let mut b = vec![0; 256 * 1024];
    let mut lat = vec![];
    let t = std::time::Instant::now();
    while t.elapsed().as_secs_f64() < 3.0 {
        let n = c.read(&mut b).unwrap();
        let now = std::time::Instant::now();
        // first u in the chunk
        let text = &b[..n];
        if let Some(p) = text.windows(4).position(|w| w == b"\"u\":") {
            let mut v = 0u64;
            for d in &text[p + 4..] {
                if d.is_ascii_digit() {
                    v = v * 10 + (d - b'0') as u64
                } else {
                    break;
                }
            }
            if let Some(l) = s.clock().since(v, now) {
                lat.push(l.as_nanos() as u64)
            }
        }
    }
    lat.sort();
    println!(
        "50k/s: reads {} p50 {} us p99 {} us p999 {} us cpu {:.3}",
        lat.len(),
        lat[lat.len() / 2] / 1000,
        lat[lat.len() * 99 / 100] / 1000,
        lat[lat.len() * 999 / 1000] / 1000,
        s.stats().cpu.as_secs_f64() / 3.0
    );
}
