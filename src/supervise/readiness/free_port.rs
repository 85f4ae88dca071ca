//! Finds a free port for a generation to listen on, and names the program that has a fixed port.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::proc_net::{closing_ports, is_listened_on, process_listening_on};

/// Ports to choose from: no system gives them to outgoing connections by default, and few servers use one of
/// them by default.
const PORTS: RangeInclusive<u16> = 20_000..=32_767;
const MAX_TRIES: u16 = 200;
/// Timeout for a connection to a loopback port: only a listener with a full backlog takes longer.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(200);

/// Finds a port that no socket uses now. It is none that the kernel gives to outgoing connections: hundreds
/// of them may begin before the server listens, and one of them could take its port.
pub(crate) fn free_port() -> Option<u16> {
    let ephemeral = ephemeral_ports();
    // Supervisors that start at the same time begin at different ports.
    let start = RandomState::new().hash_one(std::process::id()) as u16;
    candidates(start, ephemeral.as_ref()).take(MAX_TRIES.into()).find(|port| is_free(*port)).or_else(any_port)
}

/// A port that no process listens on, but that closed connections of a server keep: `known`, or any outside the
/// range that the kernel gives to outgoing connections. `last` is what the last attempt has found: that port counts
/// even if it has become free since the server failed.
pub(crate) fn lingering_port(known: Option<u16>, last: Option<u16>) -> Option<u16> {
    let may_be_known = |port| known.is_none_or(|known| known == port);
    if let Some(last) = last.filter(|last| may_be_known(*last) && !is_listened_on(*last)) {
        return Some(last);
    }
    let ephemeral = ephemeral_ports();
    let is_ephemeral = |port| ephemeral.as_ref().is_some_and(|range| range.contains(&port));
    let may_be_it = |port: &u16| may_be_known(*port) && (known.is_some() || !is_ephemeral(*port));
    closing_ports().into_iter().find(may_be_it)
}

/// Names the program that listens on a loopback address already: `process 4711 (python app.py)`.
pub(crate) fn listener_on(address: SocketAddr) -> Option<String> {
    if !address.ip().is_loopback() {
        return None;
    }
    let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).ok()?;
    // Without a listener, a connection can reach itself.
    if stream.local_addr().is_ok_and(|local| local == address) {
        return None;
    }
    let named = process_listening_on(address).map(|(pid, command)| format!("process {pid} ({command})"));
    Some(named.unwrap_or_else(|| "another program".to_owned()))
}

/// The ports that the kernel gives to outgoing connections, and to listeners that ask for no certain port.
pub(super) fn ephemeral_ports() -> Option<RangeInclusive<u16>> {
    parse_range(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?)
}

/// Parses two numbers, as the kernel writes them.
fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.trim().split_once(char::is_whitespace)?;
    Some(first.parse().ok()?..=last.trim().parse().ok()?)
}

/// All ports to choose from, beginning with `start`, except the range that the kernel gives to outgoing
/// connections.
fn candidates(start: u16, ephemeral: Option<&RangeInclusive<u16>>) -> impl Iterator<Item = u16> {
    let length = PORTS.end() - PORTS.start() + 1;
    let all = (0..length).map(move |at| PORTS.start() + (start % length + at) % length);
    all.filter(move |port| ephemeral.is_none_or(|range| !range.contains(port)))
}

/// Whether a server can bind the port on the loopback addresses of both families, even without
/// `SO_REUSEADDR`.
fn is_free(port: u16) -> bool {
    let v6 = bind((Ipv6Addr::LOCALHOST, port).into());
    // A machine without IPv6 fails with another error.
    let taken = v6.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
    !taken && bind((Ipv4Addr::LOCALHOST, port).into()).is_ok()
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A port that the kernel chooses, for when all others are taken.
fn any_port() -> Option<u16> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    Some(probe.local_addr().ok()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_the_kernel_gives_to_outgoing_connections_are_not_chosen() {
        let ephemeral = parse_range("32768\t60999\n").unwrap();
        assert_eq!(candidates(0, Some(&ephemeral)).next(), Some(20_000));
        let ephemeral = parse_range("16384 32000").unwrap();
        let left: Vec<u16> = candidates(7, Some(&ephemeral)).collect();
        assert_eq!((left.len(), left.iter().min()), (767, Some(&32_001)));
        assert_eq!(candidates(u16::MAX, None).count(), PORTS.count());
    }

    #[test]
    fn a_taken_port_is_not_free() {
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        assert!(!is_free(taken.local_addr().unwrap().port()));
        let port = free_port().unwrap();
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    }
}
