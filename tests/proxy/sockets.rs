//! The system's own table of TCP sockets: who is connected to a port, or trying to be.

use std::fs;

/// Ports of the clients that are connected or connecting to `port` on loopback. Empty where there is no such
/// table (it is Linux's).
pub(crate) fn clients(port: u16) -> Vec<u16> {
    const ESTABLISHED: &str = "01";
    const SYN_SENT: &str = "02";
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let server = format!("0100007F:{port:04X}");
    let client = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
        let counts = remote == server && [ESTABLISHED, SYN_SENT].contains(&state);
        let local = counts.then_some(local.rsplit_once(':')?.1)?;
        u16::from_str_radix(local, 16).ok()
    };
    let mut clients: Vec<u16> = table.lines().skip(1).filter_map(client).collect();
    // The table is read in pieces: what moves meanwhile may be there twice.
    clients.sort_unstable();
    clients.dedup();
    clients
}
