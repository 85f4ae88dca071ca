//! Connections to the server: a fresh one for each request, so that a restart never leaves a stale one behind.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

/// How long a server on this machine may take to accept: it is loaded, or its backlog is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to the server.
///
/// # Errors
/// As the system says; a server that does not accept in ten seconds is [`io::ErrorKind::TimedOut`].
pub(super) async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let connect = TcpStream::connect(address);
    tokio::pin!(connect);
    let stream = tokio::select! {
        biased;
        stream = &mut connect => stream?,
        // A server on this machine has accepted at the next look, as a rule: a timer would only wake the loop.
        () = tokio::task::yield_now() => tokio::time::timeout(CONNECT_TIMEOUT, connect).await??,
    };
    // A server that has no listener any more can be met by ourselves: TCP's simultaneous open on a loopback port.
    if stream.local_addr()? == address {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether a connection failed for want of something here, not for what the server did.
pub(super) fn is_crowded(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let own = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|error| own.contains(&error))
}

/// Whether somebody listens there.
pub(super) async fn is_alive(address: SocketAddr) -> bool {
    dial(address).await.is_ok()
}
