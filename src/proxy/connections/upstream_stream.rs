//! The connection to the upstream, as hyper reads and writes it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinHandle};

/// The task that drives one connection to the upstream. Dropping it closes the connection.
#[derive(Debug)]
pub(in crate::proxy) struct ConnectionTask(AbortHandle);

impl ConnectionTask {
    pub(in crate::proxy) fn new<T>(task: &JoinHandle<T>) -> Self {
        Self(task.abort_handle())
    }

    /// Closes the connection.
    pub(in crate::proxy) fn abort(&self) {
        self.0.abort();
    }
}

impl Drop for ConnectionTask {
    fn drop(&mut self) {
        self.abort();
    }
}

/// A connection to the upstream on which a write error does not end the reading.
///
/// A server that answers early, such as with 413, may close before it has read the request. Its response can
/// still be read, so a refused write stays pending, and the error comes from reading.
#[derive(Debug)]
pub(in crate::proxy) struct UpstreamStream {
    stream: TcpStream,
    is_write_refused: bool,
}

impl UpstreamStream {
    pub(in crate::proxy) fn new(stream: TcpStream) -> Self {
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
        self.is_write_refused = result.as_ref().is_err_and(is_refusal);
        if self.is_write_refused { Poll::Pending } else { Poll::Ready(result) }
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
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
