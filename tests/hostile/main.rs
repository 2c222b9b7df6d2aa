#![allow(unsafe_code)]
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]
mod counting;
use counting::*;
fn rss() -> usize {
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    let l = s.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    l.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
        * 1024
}
#[test]
fn scratch() {
    let n = 10_000_000;
    let dense = |u: &str| {
        let mut s = String::from("[");
        while s.len() + u.len() < n {
            s.push_str(u);
        }
        s.push_str("0]");
        s
    };
    let nest = {
        let mut s = String::from("[");
        while s.len() < n {
            s.push_str(&"[".repeat(100));
            s.push_str(&"]".repeat(100));
            s.push(',');
        }
        s.push_str("0]");
        s
    };
    let shal = {
        let mut s = String::from("[");
        while s.len() < n {
            s.push_str("[],");
        }
        s.push_str("0]");
        s
    };
    let esc = {
        let mut s = String::from("[\"\\n\",");
        while s.len() < n {
            s.push_str("0,");
        }
        s.push_str("0]");
        s
    };
    let obj = {
        let mut s = String::from("{\"a\":0");
        while s.len() < n {
            s.push_str(",\"\":0");
        }
        s.push('}');
        s
    };
    let big = {
        let mut s = String::from("[1e400");
        while s.len() < n {
            s.push_str(",0");
        }
        s.push(']');
        s
    };
    for (name, text) in [
        ("0,", dense("0,")),
        ("esc", esc),
        ("nest", nest),
        ("shal", shal),
        ("open", "[".repeat(n)),
        ("obj", obj),
        ("bignum", big),
        ("commas", ",".repeat(n)),
    ] {
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let r0 = rss();
        let m = Meter::start();
        let mut d = tickcache::json::Decoder::new(128);
        let ok = d.decode(text.as_bytes()).is_ok();
        let p = m.peak();
        println!(
            "{name:6} ok={ok} peak {:.1}x rss {:.1}x",
            p as f64 / text.len() as f64,
            (rss() - r0) as f64 / text.len() as f64
        );
    }
}
