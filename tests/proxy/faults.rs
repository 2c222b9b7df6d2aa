//! The proxy between server and engine: it knows frames, and does to them what a bad network does.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

use crate::random::Random;

/// How likely each fault is, in percent of frames.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) drop: u64,
    pub(crate) duplicate: u64,
    pub(crate) reorder: u64,
    pub(crate) delay: u64,
    /// The connection ends inside a frame.
    pub(crate) cut: u64,
    /// The connection ends with a reset.
    pub(crate) reset: u64,
    /// Nothing is forwarded any more, and nothing ends.
    pub(crate) half_open: u64,
    /// One bit of a frame is flipped.
    pub(crate) corrupt: u64,
    /// Every frame takes so long: whoever sends faster is ever further ahead.
    pub(crate) lag: Duration,
}

/// How connections end, or do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// In order.
    End,
    /// With a reset.
    Reset,
    /// Nothing is forwarded any more, and nothing ends.
    HalfOpen,
    /// Texts are swallowed, and nothing ends.
    Silent,
}

/// What arrived at the engine's end, in order: the number of the connection, and the text.
pub(crate) type Log = Arc<Mutex<Vec<(usize, String)>>>;

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) log: Log,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    faults: Faults,
    is_clean: AtomicBool,
    /// Nobody gets through from now on.
    is_closed: AtomicBool,
    stop: AtomicBool,
    connections: AtomicUsize,
    injected: AtomicUsize,
    log: Log,
    /// Connections that carry.
    lines: Mutex<Vec<Line>>,
    /// Held for ever, or until the end of the run: half-open connections.
    held: Mutex<Vec<TcpStream>>,
}

/// One connection, and what has become of it.
struct Line {
    number: usize,
    client: TcpStream,
    server: TcpStream,
    death: Option<Death>,
}

impl Proxy {
    pub(crate) fn start(upstream: SocketAddr, faults: Faults, seed: u64) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
        let address = listener.local_addr().expect("bound");
        let log = Log::default();
        let shared = Arc::new(Shared {
            faults,
            is_clean: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            injected: AtomicUsize::new(0),
            log: Arc::clone(&log),
            lines: Mutex::default(),
            held: Mutex::default(),
        });
        let accepted = Arc::clone(&shared);
        let accepting = thread::spawn(move || {
            for client in listener.incoming() {
                if accepted.stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(client) = client else { continue };
                if accepted.is_closed.load(Ordering::SeqCst) {
                    continue;
                }
                let shared = Arc::clone(&accepted);
                let number = shared.connections.fetch_add(1, Ordering::SeqCst);
                let random = Random::new(seed.wrapping_add(number as u64 * 7919));
                thread::spawn(move || {
                    // A connection that breaks is what this is about.
                    let _ = carry(&client, upstream, number, &shared, random);
                    let mut lines = shared.lines.lock().expect("no panic");
                    lines.retain(|line| line.number != number);
                });
            }
        });
        Self {
            address,
            log,
            shared,
            accepting: Some(accepting),
        }
    }

    /// From now on everything is forwarded as it is. Connections that hang end.
    pub(crate) fn clean(&self) {
        self.shared.is_clean.store(true, Ordering::SeqCst);
        for held in self.shared.held.lock().expect("no panic").drain(..) {
            let _ = held.shutdown(Shutdown::Both);
        }
        for line in self.shared.lines.lock().expect("no panic").iter_mut() {
            if line.death == Some(Death::Silent) {
                let _ = line.server.shutdown(Shutdown::Both);
            }
        }
    }

    /// Whether faults are held back for now.
    pub(crate) fn spare(&self, is_clean: bool) {
        self.shared.is_clean.store(is_clean, Ordering::SeqCst);
    }

    /// Something happens to all connections that there are.
    pub(crate) fn strike(&self, death: Death) {
        for line in self.shared.lines.lock().expect("no panic").iter_mut() {
            line.death = Some(death);
            if death == Death::End {
                let _ = line.client.shutdown(Shutdown::Both);
            }
            if matches!(death, Death::End | Death::Reset) {
                let _ = line.server.shutdown(Shutdown::Both);
            }
        }
    }

    /// Whether nobody gets through from now on.
    pub(crate) fn close(&self, is_closed: bool) {
        self.shared.is_closed.store(is_closed, Ordering::SeqCst);
    }

    pub(crate) fn injected(&self) -> usize {
        self.shared.injected.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.clean();
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// One connection, until either side ends it.
fn carry(
    client: &TcpStream,
    upstream: SocketAddr,
    number: usize,
    shared: &Arc<Shared>,
    mut random: Random,
) -> std::io::Result<()> {
    let server = TcpStream::connect(upstream)?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    shared.lines.lock().expect("no panic").push(Line {
        number,
        client: client.try_clone()?,
        server: server.try_clone()?,
        death: None,
    });
    let back = thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            if to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let mut reader = Frames::new(server.try_clone()?);
    let mut writer = client.try_clone()?;
    writer.write_all(&reader.head()?)?;
    // Frames that come later than they should.
    let mut late: Vec<(u64, Vec<u8>)> = Vec::new();
    while let Some(mut frame) = reader.next().unwrap_or_default() {
        let mut copies = 1;
        let is_text = frame[0] & 0x0f == 1;
        match shared.death(number) {
            Some(Death::HalfOpen) => {
                let mut held = shared.held.lock().expect("no panic");
                held.extend([client.try_clone()?, server]);
                return Ok(());
            }
            Some(Death::Silent) if is_text => continue,
            Some(Death::End | Death::Reset) => break,
            _ => {}
        }
        if !shared.is_clean.load(Ordering::SeqCst) && is_text {
            let faults = shared.faults;
            let mut hit = |percent| {
                let hit = random.chance(percent);
                shared
                    .injected
                    .fetch_add(usize::from(hit), Ordering::SeqCst);
                hit
            };
            if !faults.lag.is_zero() {
                thread::sleep(faults.lag);
            }
            if hit(faults.cut) {
                let half = frame.len() / 2;
                writer.write_all(&frame[..half])?;
                break;
            }
            if hit(faults.reset) {
                shared.forget(number);
                return reset(client, &server, back);
            }
            if hit(faults.half_open) {
                let mut held = shared.held.lock().expect("no panic");
                held.extend([client.try_clone()?, server]);
                return Ok(());
            }
            if hit(faults.corrupt) {
                let bit = random.below(frame.len() as u64 * 8) as usize;
                frame[bit / 8] ^= 1 << (bit % 8);
            } else if hit(faults.drop) {
                copies = 0;
            } else if hit(faults.duplicate) {
                copies = 2;
            } else if hit(faults.reorder) {
                let after = 1 + random.below(3);
                late.push((after, frame));
                continue;
            } else if hit(faults.delay) {
                thread::sleep(Duration::from_micros(100 + random.below(1500)));
            }
        }
        for _ in 0..copies {
            pass(&mut writer, &frame, number, shared)?;
        }
        for (after, _) in &mut late {
            *after -= 1;
        }
        let due = late.iter().filter(|(after, _)| *after == 0);
        for (_, frame) in due {
            pass(&mut writer, frame, number, shared)?;
        }
        late.retain(|(after, _)| *after > 0);
    }
    if shared.death(number) == Some(Death::Reset) {
        shared.forget(number);
        return reset(client, &server, back);
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
    Ok(())
}

/// The last handle to be dropped resets: those of the other direction go first.
fn reset(client: &TcpStream, server: &TcpStream, back: JoinHandle<()>) -> std::io::Result<()> {
    SockRef::from(client).set_linger(Some(Duration::ZERO))?;
    let _ = server.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Read);
    let _ = back.join();
    Ok(())
}

impl Shared {
    fn death(&self, number: usize) -> Option<Death> {
        let lines = self.lines.lock().expect("no panic");
        let line = lines.iter().find(|line| line.number == number);
        line.and_then(|line| line.death)
    }

    /// Handles of a connection are not kept from being closed.
    fn forget(&self, number: usize) {
        let mut lines = self.lines.lock().expect("no panic");
        lines.retain(|line| line.number != number);
    }
}

fn pass(to: &mut TcpStream, frame: &[u8], number: usize, shared: &Shared) -> std::io::Result<()> {
    if frame[0] & 0x0f == 1 {
        let text = String::from_utf8_lossy(payload(frame)).into_owned();
        let mut log = shared.log.lock().expect("no panic");
        log.push((number, text));
    }
    to.write_all(frame)
}

/// The payload of an unmasked frame.
fn payload(frame: &[u8]) -> &[u8] {
    let header = match frame[1] & 0x7f {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    frame.get(header..).unwrap_or_default()
}

/// The bytes of a server, frame by frame.
struct Frames {
    from: TcpStream,
    bytes: Vec<u8>,
}

impl Frames {
    const fn new(from: TcpStream) -> Self {
        Self {
            from,
            bytes: Vec::new(),
        }
    }

    fn more(&mut self) -> std::io::Result<bool> {
        let mut chunk = [0; 8192];
        let read = self.from.read(&mut chunk)?;
        self.bytes.extend_from_slice(&chunk[..read]);
        Ok(read > 0)
    }

    /// The answer to the handshake.
    fn head(&mut self) -> std::io::Result<Vec<u8>> {
        loop {
            let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                return Ok(self.bytes.drain(..end + 4).collect());
            }
            if !self.more()? {
                return Ok(std::mem::take(&mut self.bytes));
            }
        }
    }

    fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(len) = frame_len(&self.bytes)
                && self.bytes.len() >= len
            {
                return Ok(Some(self.bytes.drain(..len).collect()));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }
}

fn frame_len(bytes: &[u8]) -> Option<usize> {
    let short = usize::from(bytes.get(1)? & 0x7f);
    Some(match short {
        126 => 4 + usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
        127 => 10 + usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?,
        short => 2 + short,
    })
}
