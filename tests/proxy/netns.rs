//! Packets that the kernel loses: 20 of 100 in either direction, all of them for a while, those of
//! one connection for ever; connections that the kernel ends. Real sockets in a network namespace
//! of their own, which `.ci/netns` makes; without it this says so and passes.
//!
//! Held in every round: no live value is wrong, values are stale while nothing comes, one attempt
//! at a time, and a fresh value in time. Where no packet is lost but by the fault itself, in time
//! means the longest back-off and one second after healing. Where 20 of 100 are lost all along, TCP
//! sends again after 200 ms, 400 ms and so on, and a first packet after a whole second: an attempt
//! may fail although the network has healed. Each one that does may take its two deadlines and
//! one more pause, and the last connection as long as one that is not given up may stand still.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use tickcache::feed::{Jitter, Rule};
use tickcache::{Backoff, Feed};

use crate::desk::{Desk, Healed, Tally};
use crate::random::Random;
use crate::seeds::number;
use crate::sockets::clients;
use crate::wire::Wire;
use crate::world::World;

const SILENT_AFTER: Duration = Duration::from_millis(600);
const DEAD_AFTER: Duration = Duration::from_millis(1500);
const CONNECT: Duration = Duration::from_millis(500);
const HANDSHAKE: Duration = Duration::from_millis(1000);
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(50),
    factor: 2,
    max: Duration::from_millis(500),
    jitter: Jitter::Half,
};
/// The longest back-off and one second.
const WITHIN: Duration = Duration::from_millis(500 + 1000);

/// Markets at a time.
const TOGETHER: u64 = 8;

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The kernel ends the connection.
    Killed,
    /// Every packet to the server is answered with a reset, for a while.
    Refused,
    /// Every packet is lost, for a while.
    BlackHole,
    /// The packets of this connection are lost, for ever.
    HalfOpen,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Killed, Self::Refused, Self::BlackHole, Self::HalfOpen];

    const fn name(self, lossy: bool) -> &'static str {
        match (self, lossy) {
            (Self::Killed, false) => "killed",
            (Self::Killed, true) => "killed, 20 % lost",
            (Self::Refused, false) => "refused",
            (Self::Refused, true) => "refused, 20 % lost",
            (Self::BlackHole, false) => "black hole",
            (Self::BlackHole, true) => "black hole, 20 % lost",
            (Self::HalfOpen, false) => "half open",
            (Self::HalfOpen, true) => "half open, 20 % lost",
        }
    }
}

/// What becomes of the packets of one port, for as long as this lives.
struct Rules {
    port: u16,
    lossy: bool,
}

impl Rules {
    /// Packets are lost at random, or not, and these rules come first.
    fn set(&self, first: &[String]) {
        let port = self.port;
        let mut rules = first.to_vec();
        if self.lossy {
            rules.push(format!(
                "tcp dport {port} numgen random mod 100 < 20 counter drop"
            ));
            rules.push(format!(
                "tcp sport {port} numgen random mod 100 < 20 counter drop"
            ));
        }
        let rules = rules.join("\n");
        // All at once: there is no moment without rules.
        nft(&format!(
            "table inet p{port}\ndelete table inet p{port}\ntable inet p{port} {{ chain in {{\n\
             type filter hook input priority 0; policy accept;\n{rules}\n}}\n}}\n"
        ));
    }

    /// A verdict on every packet; on those of one client, if its port is given.
    fn both_ways(&self, client: Option<u16>, verdict: &str) -> [String; 2] {
        let port = self.port;
        let of = |way| client.map_or_else(String::new, |client| format!("tcp {way} {client}"));
        [
            format!("tcp dport {port} {} {verdict}", of("sport")),
            format!("tcp sport {port} {} {verdict}", of("dport")),
        ]
    }

    /// How many packets were lost at random.
    fn lost(&self) -> u64 {
        let table = format!("p{}", self.port);
        let listed = run("nft", &["list", "table", "inet", &table], "");
        let counted = |line: &str| {
            let count = line.split_once("packets ")?.1.split(' ').next()?;
            count.parse::<u64>().ok()
        };
        listed.lines().filter_map(counted).sum()
    }
}

fn nft(rules: &str) {
    run("nft", &["-f", "-"], rules);
}

/// Has the kernel end the connections to a port.
fn kill(port: u16) {
    let port = format!(":{port}");
    let to = ["-K", "-t", "-n", "dst", "127.0.0.1", "dport", "=", &port];
    run("ss", &to, "");
}

/// Written while a program is started: until it runs, it holds copies of all our sockets, and those
/// that are closed meanwhile stay.
static STARTING: RwLock<()> = RwLock::new(());

/// Runs a program with this input; what it says.
#[track_caller]
fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = {
        let _alone = STARTING.write().expect("no panic");
        command.spawn()
    };
    let mut running = started.expect("the program is installed");
    let mut to = running.stdin.take().expect("piped");
    to.write_all(input.as_bytes()).expect("it reads");
    drop(to);
    let said = running.wait_with_output().expect("it ends");
    let error = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{program}: {error} {input}");
    String::from_utf8(said.stdout).expect("text")
}

/// How many looks have seen two clients of a port, the same two three times over.
fn looks(port: u16, stop: &AtomicBool, at_once: &AtomicU64) {
    let pause = || thread::sleep(Duration::from_millis(10));
    while !stop.load(Ordering::SeqCst) {
        let nobody_starts = STARTING.read().expect("no panic");
        let mut there = clients(port);
        for _ in 0..2 {
            if there.len() > 1 {
                pause();
                let still = clients(port);
                there.retain(|client| still.contains(client));
            }
        }
        drop(nobody_starts);
        at_once.fetch_add(u64::from(there.len() > 1), Ordering::SeqCst);
        pause();
    }
}

struct Run {
    desk: Desk,
    rules: Rules,
    random: Random,
    tally: Tally,
    lost: u64,
}

impl Run {
    fn start(seed: u64, lossy: bool) -> Self {
        let rule = Rule::ContiguousPerKey;
        let world = World::start(rule, seed);
        let port = world.address.port();
        let rules = Rules { port, lossy };
        rules.set(&[]);
        let url = format!("ws://{}/", world.address);
        let feed = Feed::custom(Wire { rule, url })
            .backoff(BACKOFF)
            .settings(|settings| {
                settings.silent_after = SILENT_AFTER;
                settings.dead_after = DEAD_AFTER;
                settings.connect_timeout = CONNECT;
                settings.handshake_timeout = HANDSHAKE;
                settings.close_timeout = Duration::from_millis(5);
            });
        Self {
            desk: Desk::start(world, feed, Duration::from_millis(10)),
            rules,
            random: Random::new(seed ^ 0x7075),
            tally: Tally::default(),
            lost: 0,
        }
    }

    fn round(&mut self, kind: Kind) {
        // Between two faults: long enough for the loss to show.
        self.desk.plays(self.random.millis(100, 500));
        self.desk.until("every value", || self.desk.is_live());
        self.lost += self.rules.lost();
        let mut since = Instant::now();
        let mut bound = WITHIN;
        match kind {
            Kind::Killed => {
                let losses = self.desk.feed.counters().losses;
                kill(self.rules.port);
                self.desk
                    .until("the loss", || self.desk.feed.counters().losses > losses);
            }
            Kind::Refused => {
                let port = self.rules.port;
                self.rules
                    .set(&[format!("tcp dport {port} reject with tcp reset")]);
                self.desk.is_told();
                self.desk.plays(self.random.millis(0, 1500));
                self.rules.set(&[]);
                since = Instant::now();
            }
            Kind::BlackHole => {
                self.rules.set(&self.rules.both_ways(None, "drop"));
                let began = Instant::now();
                self.desk.is_told();
                let length = self.random.millis(1000, 3000);
                self.desk.plays(length.saturating_sub(began.elapsed()));
                self.rules.set(&[]);
                since = Instant::now();
            }
            Kind::HalfOpen => {
                bound += DEAD_AFTER;
                let here = clients(self.rules.port);
                let rules: Vec<_> = here
                    .iter()
                    .flat_map(|client| self.rules.both_ways(Some(*client), "drop"))
                    .collect();
                self.rules.set(&rules);
                self.desk.is_told();
            }
        }
        let healed = self.desk.heals(since);
        let more = match self.rules.lossy {
            true => lossy(&healed),
            false => Duration::ZERO,
        };
        let name = kind.name(self.rules.lossy);
        self.tally.note(name, healed, bound, more);
    }
}

/// What the loss may add: see above.
fn lossy(healed: &Healed) -> Duration {
    let attempt = CONNECT + HANDSHAKE;
    let (failures, losses) = (healed.failures as u32, healed.losses as u32);
    attempt + DEAD_AFTER + (attempt + BACKOFF.max) * failures + (DEAD_AFTER + BACKOFF.max) * losses
}

#[test]
fn what_the_kernel_loses_is_got_over() {
    if std::env::var_os("TICKCACHE_NETNS").is_none() {
        eprintln!(
            "skipped: this is no network namespace whose packets may be lost (see .ci/netns)"
        );
        return;
    }
    let rounds = number("ROUNDS").unwrap_or(64);
    let ended = Mutex::new((Tally::default(), 0));
    thread::scope(|scope| {
        for seed in 0..TOGETHER {
            let ended = &ended;
            scope.spawn(move || {
                let mut run = Run::start(seed, seed % 2 == 0);
                let (stop, at_once) = (AtomicBool::new(false), AtomicU64::new(0));
                let port = run.rules.port;
                thread::scope(|scope| {
                    scope.spawn(|| looks(port, &stop, &at_once));
                    for round in (seed..rounds).step_by(TOGETHER as usize) {
                        let turn = (round / TOGETHER + seed / 2) as usize;
                        run.round(Kind::ALL[turn % Kind::ALL.len()]);
                    }
                    stop.store(true, Ordering::SeqCst);
                });
                assert_eq!(at_once.into_inner(), 0, "two connections at a time");
                run.rules.lossy = false;
                run.rules.set(&[]);
                run.desk.end();
                let mut ended = ended.lock().expect("no panic");
                ended.0.merge(run.tally);
                ended.1 += run.lost;
            });
        }
    });
    let (tally, lost) = ended.into_inner().expect("no panic");
    eprintln!("{tally}packets lost at random: {lost}");
    assert!(lost > 0, "nothing was lost");
    let (made, late) = tally.counted();
    assert_eq!(
        (made as u64, late),
        (rounds, 0),
        "rounds, and those that took too long"
    );
}
