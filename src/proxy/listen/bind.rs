//! Binds the addresses of the proxy: all of them or none. Addresses with port 0 get the same free port.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::proxy::error::Error;

/// Length of the kernel's queue of connections that are not accepted yet. With the short queues of
/// development servers, a burst of clients waits for seconds.
const BACKLOG: i32 = 1024;
/// Maximum number of attempts to find a port that is free in all address families.
const MAX_PORT_ATTEMPTS: usize = 32;

/// Binds the addresses.
///
/// An address of a family that this machine lacks is left out if another address can be bound: `localhost`
/// has an IPv6 address only on machines with IPv6.
///
/// # Errors
/// [`Error::Bind`] for the first address that cannot be bound.
pub(in crate::proxy) fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Error> {
    let free_ports = addresses.iter().filter(|address| address.port() == 0).count();
    for _ in 1..MAX_PORT_ATTEMPTS {
        match bind_all(addresses) {
            // The port that the first address got is in use in the other family.
            Err(Error::Bind { source, .. })
                if free_ports > 1 && source.kind() == io::ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
    bind_all(addresses)
}

fn bind_all(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Error> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut free_port = 0;
    let mut left_out = None;
    for address in addresses {
        let mut wanted = *address;
        if wanted.port() == 0 {
            wanted.set_port(free_port);
        }
        match bind_one(wanted) {
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

/// Whether the machine has no IPv6. There are many error codes for that, so all but two count.
fn is_missing_family(address: &SocketAddr, error: &io::Error) -> bool {
    address.is_ipv6() && !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // One socket per family, so that each address can be given or left out.
        socket.set_only_v6(true)?;
    }
    // Connections of an earlier run in TIME_WAIT must not block the port. A second listener still cannot bind
    // it.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}
