//! A port for a generation to listen on. Looks and asks; holds nothing.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;

use socket2::{Domain, Socket, Type};

/// Where ports are taken from: no system gives them out, and few servers have one of them written down.
const RANGE: RangeInclusive<u16> = 20_000..=32_767;
/// How many are tried.
const TRIES: u16 = 200;

/// A port that nobody uses now, nor will before the server listens on it: not one of those that the kernel gives to outgoing
/// connections, since there may be hundreds of them while a server starts, each of which would be in its way.
pub(super) fn free_port() -> Option<u16> {
    let ephemeral = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    let given_out = ephemeral.as_deref().and_then(range);
    // Supervisors that start at the same time begin at different places.
    let start = RandomState::new().hash_one(std::process::id()) as u16;
    candidates(start, given_out.as_ref()).take(TRIES.into()).find(|port| is_free(*port)).or_else(any)
}

/// Two numbers, as the kernel writes them.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.trim().split_once(char::is_whitespace)?;
    Some(first.parse().ok()?..=last.trim().parse().ok()?)
}

/// The ports of the range from some place on, without those that are given out.
fn candidates(start: u16, given_out: Option<&RangeInclusive<u16>>) -> impl Iterator<Item = u16> {
    let length = RANGE.end() - RANGE.start() + 1;
    let all = (0..length).map(move |at| RANGE.start() + (start % length + at) % length);
    all.filter(move |port| given_out.is_none_or(|range| !range.contains(port)))
}

/// Whether it can be had in both families of the loopback, even by a server that does not ask for reuse.
fn is_free(port: u16) -> bool {
    let v6 = bind((Ipv6Addr::LOCALHOST, port).into());
    // A machine without IPv6 refuses in other ways.
    let taken = v6.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
    !taken && bind((Ipv4Addr::LOCALHOST, port).into()).is_ok()
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// One that the kernel chooses: where all others are taken.
fn any() -> Option<u16> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    Some(probe.local_addr().ok()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_the_kernel_gives_out_are_left_to_it() {
        let given_out = range("32768\t60999\n").unwrap();
        assert_eq!(candidates(0, Some(&given_out)).next(), Some(20_000));
        let given_out = range("16384 32000").unwrap();
        let left: Vec<u16> = candidates(7, Some(&given_out)).collect();
        assert_eq!((left.len(), left.iter().min()), (767, Some(&32_001)));
        assert_eq!(candidates(u16::MAX, None).count(), RANGE.count());
    }

    #[test]
    fn a_taken_port_is_not_free() {
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        assert!(!is_free(taken.local_addr().unwrap().port()));
        let port = free_port().unwrap();
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    }
}
