//! The socket of one client, shared between hyper and whoever must know whether the client is still there.
//!
//! Never parses anything.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit};

/// A client that has asked for nothing yet is about to, for so long.
const FRESH: Duration = Duration::from_secs(2);

/// One client's connection.
#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    peer: SocketAddr,
    since: Instant,
    /// It has asked for something before.
    served: AtomicBool,
    /// A request is being answered: the connection must not be closed to make room.
    busy: AtomicBool,
    /// An answer was given before the whole request was read: closing at once would reset the connection and might
    /// destroy that answer on its way.
    unread: AtomicBool,
    /// The last bytes hyper read ended a request's head, so that nothing of a body has been read with it.
    head_only: AtomicBool,
    /// The connection was cut on purpose.
    cut: AtomicBool,
    /// No further request is wanted on it.
    last: Notify,
    /// All that hyper had to write is written: something may be put in between.
    flushed: AtomicBool,
    /// The rest of what was put in between, where the socket did not take all of it.
    interim: Mutex<Vec<u8>>,
    /// Its place among the connections that there may be.
    _room: OwnedSemaphorePermit,
}

impl Client {
    pub(super) fn new(stream: TcpStream, peer: SocketAddr, room: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            peer,
            since: Instant::now(),
            served: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            head_only: AtomicBool::new(true),
            cut: AtomicBool::new(false),
            last: Notify::new(),
            flushed: AtomicBool::new(true),
            interim: Mutex::default(),
            _room: room,
        }
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
        self.served.store(true, Ordering::Relaxed);
    }

    /// Whether it can be closed to make room: it waits between two requests, or has long had nothing to ask. One that has
    /// only just been accepted, or whose next request is already here, would take that for a failure.
    pub(super) fn is_spare(&self) -> bool {
        let is_busy = self.busy.load(Ordering::Relaxed);
        let is_fresh = !self.served.load(Ordering::Relaxed) && self.since.elapsed() < FRESH;
        !is_busy && !is_fresh && !self.has_unread()
    }

    fn has_unread(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        socket2::SockRef::from(&self.stream).peek(&mut byte).is_ok_and(|count| count > 0)
    }

    pub(super) fn set_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Makes the coming close a reset: for answers that only the close delimits, where a plain one would look whole.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Closes the connection once the answer that goes on now has ended.
    pub(super) fn finish(&self) {
        self.last.notify_one();
    }

    /// Waits until the connection is to be closed after its answer.
    pub(super) async fn finishes(&self) {
        self.last.notified().await;
    }

    /// Waits until the client has closed its sending side. Needed only while hyper does not read: while it does, it notices
    /// itself.
    pub(super) async fn left(&self) {
        loop {
            match self.stream.ready(Interest::READABLE).await {
                Ok(ready) if !ready.is_read_closed() => {
                    // Bytes of the request wait unread, and there is no way to wait for the end behind them.
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                _ => return,
            }
        }
    }

    /// Waits until bytes of the request's body have arrived, or the client has left.
    pub(super) async fn body_arrived(&self) {
        if self.head_only.load(Ordering::Relaxed) {
            let _ = self.stream.peek(&mut [0]).await;
        }
    }

    /// Puts an interim answer between two answers. It is left out where the one before is not all written: a client can
    /// do without (RFC 9110, 15.2).
    pub(super) fn put_between(&self, interim: &[u8]) {
        let mut rest = self.interim();
        if !self.flushed.load(Ordering::Acquire) || !rest.is_empty() {
            return;
        }
        if let Ok(written @ 1..) = self.stream.try_write(interim) {
            rest.extend_from_slice(&interim[written..]);
        }
    }

    fn interim(&self) -> MutexGuard<'_, Vec<u8>> {
        self.interim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is left of an interim answer, and then what hyper has.
    fn poll_write(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.flushed.store(false, Ordering::Release);
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let mut rest = self.interim();
            let result = if rest.is_empty() { write(&self.stream) } else { self.stream.try_write(&rest) };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(written) if !rest.is_empty() => drop(rest.drain(..written)),
                result => return Poll::Ready(result),
            }
        }
    }

    /// Reads and drops what still comes of a request that was answered early, within bounds, so that the answer arrives.
    pub(super) async fn linger(&self) {
        if !self.unread.load(Ordering::Relaxed) || self.cut.load(Ordering::Relaxed) {
            return;
        }
        let _ = socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write);
        let mut scrap = vec![0; 16 * 1024];
        let drain = async {
            loop {
                if self.stream.readable().await.is_err() {
                    return;
                }
                match self.stream.try_read(&mut scrap) {
                    Ok(0) => return,
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
                    _ => {}
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), drain).await;
    }
}

/// The side of a [`Client`] that hyper reads and writes.
pub(super) struct ClientStream(Arc<Client>);

impl ClientStream {
    pub(super) fn new(client: Arc<Client>) -> Self {
        Self(client)
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let client = &self.0;
        loop {
            ready!(client.stream.poll_read_ready(cx))?;
            let before = buf.filled().len();
            match client.stream.try_read_buf(buf) {
                Ok(_) => {
                    let head_only = buf.filled()[before..].ends_with(b"\r\n\r\n");
                    client.head_only.store(head_only, Ordering::Relaxed);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, |stream| stream.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, |stream| stream.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.flushed.store(true, Ordering::Release);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(socket2::SockRef::from(&self.0.stream).shutdown(std::net::Shutdown::Write))
    }
}
