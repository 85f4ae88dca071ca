//! Connections to the server: a fresh one for each request, so that a restart never leaves a stale one behind.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

/// How long a server on this machine may take to accept: it is loaded, or its backlog is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a first attempt on this machine may take, and a later one at most. A server whose queue is full, as short ones of
/// development servers are soon, does not refuse: the attempt is dropped, and the kernel would make the next ones after 1, 3
/// and 7 seconds.
const FIRST_ATTEMPT: Duration = Duration::from_millis(50);
const LAST_ATTEMPT: Duration = Duration::from_millis(400);

/// Connects to the server.
///
/// # Errors
/// As the system says; a server that does not accept in ten seconds is [`io::ErrorKind::TimedOut`].
pub(super) async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let first = TcpStream::connect(address);
    tokio::pin!(first);
    let stream = tokio::select! {
        biased;
        stream = &mut first => stream?,
        // A server on this machine has accepted at the next look, as a rule: a timer would only wake the loop.
        () = tokio::task::yield_now() => tokio::time::timeout(CONNECT_TIMEOUT, connect(address, first)).await??,
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

/// Makes a new attempt where the one before has come to nothing: of a dropped one the server knows nothing.
async fn connect(
    address: SocketAddr,
    first: impl Future<Output = io::Result<TcpStream>>,
) -> io::Result<TcpStream> {
    if !address.ip().is_loopback() {
        return first.await;
    }
    let mut patience = FIRST_ATTEMPT;
    if let Ok(attempt) = tokio::time::timeout(patience, first).await {
        return attempt;
    }
    loop {
        patience = (patience * 2).min(LAST_ATTEMPT);
        if let Ok(attempt) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
            return attempt;
        }
    }
}

/// How long a connection must live for its listener to be believed to: a process that is killed closes its connections first
/// and the listener after, and only then are those reset that nobody has accepted.
const OUTLIVES: Duration = Duration::from_millis(150);

/// Whether somebody listens there who has not just died.
pub(super) async fn outlives(address: SocketAddr) -> bool {
    let Ok(stream) = dial(address).await else { return false };
    // Nobody has a reason to say anything on it: whatever comes is its end.
    tokio::time::timeout(OUTLIVES, stream.peek(&mut [0])).await.is_err()
}
