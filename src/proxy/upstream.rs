//! A connection to the upstream: a new one for each request, so that a restart never leaves a stale connection
//! behind.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// Maximum time for a server to accept a connection, because it is loaded or its backlog is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout of the first attempt to connect to a loopback address; each later one has twice as long.
///
/// A server whose backlog is full does not refuse, and the kernel repeats a SYN only after 1, 3 and 7
/// seconds. Development servers often have a short backlog, so a new attempt is faster.
const FIRST_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(50);
/// Maximum timeout of an attempt to connect to a loopback address.
const MAX_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(400);

/// Time that a connection must live to prove its listener. The kernel closes a killed process's connections
/// first, then its listener, and then resets the connections in the backlog.
const LISTENER_PROOF_TIME: Duration = Duration::from_millis(150);

/// Connects to the upstream.
///
/// # Errors
/// The error of the system call, or [`io::ErrorKind::TimedOut`] if the upstream does not accept within ten
/// seconds.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = connect_repeatedly(address).await?;
    // Without a listener, a loopback connection can connect to its own port: TCP's simultaneous open.
    if stream.local_addr()? == address {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether a connection failed because this process or machine lacks a resource, so that the upstream is not
/// at fault.
pub(super) fn is_local_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|error| shortages.contains(&error))
}

/// Whether a process listens at the address that has not just been killed.
pub(super) async fn is_listening(address: SocketAddr) -> bool {
    let Ok(stream) = connect(address).await else { return false };
    // No server speaks first in HTTP, so anything that can be read is the end of the connection.
    tokio::time::timeout(LISTENER_PROOF_TIME, stream.peek(&mut [0])).await.is_err()
}

/// On loopback, repeats an attempt that did not end in time. The server never sees a dropped attempt.
async fn connect_repeatedly(address: SocketAddr) -> io::Result<TcpStream> {
    let end = Instant::now() + CONNECT_TIMEOUT;
    let mut timeout = if address.ip().is_loopback() { FIRST_ATTEMPT_TIMEOUT } else { CONNECT_TIMEOUT };
    while Instant::now() < end {
        if let Ok(attempt) = tokio::time::timeout(timeout, TcpStream::connect(address)).await {
            return attempt;
        }
        timeout = (timeout * 2).min(MAX_ATTEMPT_TIMEOUT);
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// The task that drives one connection to the upstream. Dropping it closes the connection.
pub(super) type ConnectionTask = AbortOnDropHandle<hyper::Result<()>>;

/// A connection to the upstream on which a write error does not end the reading.
///
/// A server that answers early, such as with 413, may close before it has read the request. Its response can
/// still be read, so a refused write stays pending, and the error comes from reading.
#[derive(Debug)]
pub(super) struct UpstreamStream {
    stream: TcpStream,
    is_write_refused: bool,
}

impl UpstreamStream {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, is_write_refused: false }
    }

    fn poll_write_with(
        &mut self,
        write: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.is_write_refused {
            return Poll::Pending;
        }
        let result = ready!(write(Pin::new(&mut self.stream)));
        self.is_write_refused = result.as_ref().is_err_and(|error| {
            matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
        });
        if self.is_write_refused { Poll::Pending } else { Poll::Ready(result) }
    }
}

impl AsyncRead for UpstreamStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_with(|stream| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(|stream| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
