//! The portal's listening socket: an address from the command line, an inherited socket, `$PORT`, or port
//! 5000.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::FromRawFd;

use tokio::net::TcpListener;

/// The first inherited descriptor, as in `sd_listen_fds(3)`.
const FIRST: i32 = 3;

/// Opens or inherits the listening socket. Must be called once, in a tokio runtime.
pub(crate) fn open(asked: Option<SocketAddr>) -> io::Result<TcpListener> {
    if let Some(address) = asked {
        return bind(address);
    }
    if is_handed_over() {
        return inherit();
    }
    let port = match std::env::var("PORT") {
        Ok(text) => text.parse().map_err(|_| io::Error::other(format!("PORT: {text:?} is not a port")))?,
        Err(_) => 5000,
    };
    bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Whether this process inherits a socket: `LISTEN_FDS` is at least 1, and `LISTEN_PID` is absent or names
/// this process.
fn is_handed_over() -> bool {
    let count = std::env::var("LISTEN_FDS").ok().and_then(|text| text.parse::<i32>().ok());
    let for_us = match std::env::var("LISTEN_PID") {
        Ok(pid) => pid == std::process::id().to_string(),
        Err(_) => true,
    };
    for_us && count.is_some_and(|count| count > 0)
}

fn inherit() -> io::Result<TcpListener> {
    // SAFETY: `LISTEN_FDS` declares that descriptor 3 was opened for this process. `main` calls this function
    // once, before it opens any descriptor by number.
    #[allow(unsafe_code)]
    let listener = unsafe { std::net::TcpListener::from_raw_fd(FIRST) };
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
