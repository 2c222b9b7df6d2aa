//! Programs that run beside a test and end with it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// Longer than anything takes: reached only by what would never have come.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The folder of what `.ci/interop` has installed.
pub(crate) fn installed() -> Option<PathBuf> {
    let folder = std::env::var_os("TICKCACHE_INTEROP").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: TICKCACHE_INTEROP names no folder with foreign servers");
    }
    folder
}

/// Whether a program of the system is there.
pub(crate) fn has(program: &str) -> bool {
    let quiet = || Stdio::null();
    let mut asked = Command::new(program);
    asked
        .arg("-v")
        .stdin(quiet())
        .stdout(quiet())
        .stderr(quiet());
    let is_there = asked.status().is_ok();
    if !is_there {
        eprintln!("skipped: there is no {program}");
    }
    is_there
}

/// A program that ends with the test.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("the program is installed"))
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(mut self) {
        let id = self.0.id().to_string();
        let asked = Command::new("kill").arg(id).status();
        assert!(asked.expect("kill").success());
        self.0.wait().expect("it ends");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder of one test, gone with it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// A folder of whoever has reserved this port.
    pub(crate) fn of(port: &Port) -> Self {
        let name = format!("tickcache-interop-{}", port.number);
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Starts a server that says on which port it listens.
fn serve(command: &mut Command) -> (Running, u16) {
    let mut running = Running::start(command.stdout(Stdio::piped()));
    let mut lines = BufReader::new(running.0.stdout.take().expect("piped")).lines();
    let first = lines.next().expect("it says its port").expect("text");
    let port = first.strip_prefix("port ").expect("`port N`");
    let port = port.trim().parse().expect("a port");
    // What it may say later goes nowhere, but must not block it.
    std::thread::spawn(move || lines.for_each(drop));
    (running, port)
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/interop")
        .join(name)
}

/// npm's `ws`, on this port if it is not 0.
pub(crate) fn node(folder: &Path, port: u16) -> (Running, u16) {
    let script = File::open(source("ws_server.mjs")).expect("the script");
    // Modules of a script that is piped in are looked up from the working directory.
    let mut command = Command::new("node");
    command.args(["--input-type=module", "-"]);
    serve(
        command
            .arg(port.to_string())
            .stdin(script)
            .current_dir(folder),
    )
}

/// A script for one of PyPI's servers.
pub(crate) fn python(folder: &Path, script: &str) -> (Running, u16) {
    serve(Command::new(folder.join("venv/bin/python")).arg(source(script)))
}

/// A port that stays ours: others may listen on it, but nobody is given it by chance.
pub(crate) struct Port {
    pub(crate) number: u16,
    _held: Socket,
}

impl Port {
    pub(crate) fn reserve() -> Self {
        let held = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        held.set_reuse_address(true).expect("an option");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        held.bind(&any.into()).expect("a port");
        let address = held.local_addr().expect("bound").as_socket();
        let number = address.expect("an address").port();
        Self {
            number,
            _held: held,
        }
    }
}

/// Waits until a program listens.
#[track_caller]
pub(crate) fn until_open(port: u16) {
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < LONG, "nobody listens");
        std::thread::yield_now();
    }
}
