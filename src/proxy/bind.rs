//! Opens the port: all addresses or none, one port for all that ask for a free one.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::error::Error;

/// Connections that may wait to be accepted. With a backlog of 1, as servers under development like to have, a burst
/// costs each client seconds.
const BACKLOG: i32 = 1024;
/// How often a free port is looked for that is free in all families.
const FREE_PORT_TRIES: usize = 32;

/// Opens the addresses.
///
/// # Errors
/// [`Error::Bind`] for the first that cannot be had. An address of a family that this machine does not have is left out
/// if another one can be had: `localhost` is one of IPv6 only where there is IPv6.
pub(super) fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Error> {
    let free = addresses.iter().filter(|address| address.port() == 0).count();
    for _ in 1..FREE_PORT_TRIES {
        match bind_all(addresses) {
            // The port that the first address got is taken in the other family.
            Err(Error::Bind { source, .. }) if free > 1 && source.kind() == io::ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
    bind_all(addresses)
}

fn bind_all(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Error> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let (mut free_port, mut left_out) = (0, None);
    for address in addresses {
        let mut wanted = *address;
        if wanted.port() == 0 {
            wanted.set_port(free_port);
        }
        match open(wanted) {
            Ok(listener) => {
                if address.port() == 0 {
                    free_port = listener.local_addr().map_or(0, |bound| bound.port());
                }
                listeners.push(listener);
            }
            Err(source) if is_missing_family(address, &source) => left_out = Some((*address, source)),
            Err(source) => return Err(Error::Bind { address: *address, source }),
        }
    }
    match left_out {
        Some((address, source)) if listeners.is_empty() => Err(Error::Bind { address, source }),
        _ => Ok(listeners),
    }
}

/// A machine without IPv6, or with it turned off, refuses in many ways.
fn is_missing_family(address: &SocketAddr, error: &io::Error) -> bool {
    address.is_ipv6() && !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Two sockets for the two families, so that each can be given or left out.
        socket.set_only_v6(true)?;
    }
    // Connections of the last run that linger must not keep the port; a second devrun still cannot have it.
    socket.set_reuse_address(cfg!(unix))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}
