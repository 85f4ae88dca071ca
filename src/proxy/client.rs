//! The connection of one client, and the limit of such connections. hyper reads and writes the connection, and
//! the proxy asks about its state.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::sync;

/// Time for which a connection without a request counts as new: its first request is on its way.
const NEW_CONNECTION_TIME: Duration = Duration::from_secs(2);
/// Interval at which the end of a connection is looked for behind unread bytes.
const CLOSE_CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// Maximum time to discard the rest of a request before its connection is closed.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);
/// Delay before an idle connection is asked to close for a new one.
const CLOSE_REQUEST_DELAY: Duration = Duration::from_millis(1);
/// Number of file descriptors kept for everything but clients and their upstream connections.
const RESERVED_DESCRIPTORS: u64 = 64;

/// The connection of one client.
#[derive(Debug)]
pub(super) struct ClientConnection {
    stream: TcpStream,
    pub(super) peer: SocketAddr,
    accepted: Instant,
    /// A request has come on this connection.
    has_served: AtomicBool,
    /// Cloned for each request that is being answered.
    busy: Arc<()>,
    /// A request was answered before all of it was read.
    has_unread_request: AtomicBool,
    /// The last bytes that hyper read end a request's head, so none of the body has been read.
    read_head_only: AtomicBool,
    /// The close of this connection is a reset.
    is_reset: AtomicBool,
    /// Notified if the connection must be closed once the current response has ended.
    close_after_response: Notify,
    /// hyper has written all it had, so an interim response can be written.
    is_flushed: AtomicBool,
    /// Rest of an interim response that the socket did not take at once.
    interim_rest: Mutex<Vec<u8>>,
    /// Permit of the connection limit; released when the connection is dropped.
    _slot: OwnedSemaphorePermit,
}

impl ClientConnection {
    pub(super) fn new(stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            peer,
            accepted: Instant::now(),
            has_served: AtomicBool::new(false),
            busy: Arc::default(),
            has_unread_request: AtomicBool::new(false),
            read_head_only: AtomicBool::new(true),
            is_reset: AtomicBool::new(false),
            close_after_response: Notify::new(),
            is_flushed: AtomicBool::new(true),
            interim_rest: Mutex::default(),
            _slot: slot,
        }
    }

    /// Asks for the close of the connection once the current response has ended.
    pub(super) fn close_after_response(&self) {
        self.close_after_response.notify_one();
    }

    /// Waits until the connection must close after its response.
    pub(super) fn must_close_after_response(&self) -> impl Future<Output = ()> {
        self.close_after_response.notified()
    }

    /// Whether the connection can be closed in favour of a new one.
    ///
    /// A client takes it for a failure if its connection closes right after it was accepted, or while a
    /// request is on its way.
    pub(super) fn is_idle(&self) -> bool {
        let is_new =
            !self.has_served.load(Ordering::Relaxed) && self.accepted.elapsed() < NEW_CONNECTION_TIME;
        let mut byte = [MaybeUninit::uninit()];
        let mut has_unread_bytes =
            || SockRef::from(&self.stream).peek(&mut byte).is_ok_and(|count| count > 0);
        Arc::strong_count(&self.busy) == 1 && !is_new && !has_unread_bytes()
    }

    /// Marks the connection as busy until the returned value is dropped.
    pub(super) fn begin_request(&self) -> Arc<()> {
        self.has_served.store(true, Ordering::Relaxed);
        Arc::clone(&self.busy)
    }

    /// Records that a request was answered before all of it was read, so the connection has to be closed with
    /// care.
    pub(super) fn set_unread_request(&self) {
        self.has_unread_request.store(true, Ordering::Relaxed);
    }

    /// Makes the coming close a reset. If only the close ends a response, a plain close would make a cut
    /// response look complete.
    pub(super) fn reset_on_close(&self) {
        self.is_reset.store(true, Ordering::Relaxed);
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Waits until the client closes its sending side. Needed only while hyper does not read; otherwise hyper
    /// notices it.
    pub(super) async fn peer_closed(&self) {
        while let Ok(ready) = self.stream.ready(Interest::READABLE).await {
            if ready.is_read_closed() {
                return;
            }
            // Bytes of the request are unread, and the kernel reports no close behind them.
            tokio::time::sleep(CLOSE_CHECK_INTERVAL).await;
        }
    }

    /// Waits until bytes of the request's body have arrived, or the client has left.
    pub(super) async fn body_arrived(&self) {
        if self.read_head_only.load(Ordering::Relaxed) {
            let _ = self.stream.peek(&mut [0]).await;
        }
    }

    /// Writes an interim response (1xx), or drops it while an earlier response is not written completely.
    /// Clients do not depend on interim responses (RFC 9110, 15.2).
    pub(super) fn write_interim(&self, interim: &[u8]) {
        let mut rest = sync::lock(&self.interim_rest);
        if !self.is_flushed.load(Ordering::Acquire) || !rest.is_empty() {
            return;
        }
        if let Ok(written @ 1..) = self.stream.try_write(interim) {
            rest.extend_from_slice(&interim[written..]);
        }
    }

    /// Writes the rest of an interim response and then what hyper has.
    fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.is_flushed.store(false, Ordering::Release);
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let mut rest = sync::lock(&self.interim_rest);
            let result = if rest.is_empty() { write(&self.stream) } else { self.stream.try_write(&rest) };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(written) if !rest.is_empty() => drop(rest.drain(..written)),
                result => return Poll::Ready(result),
            }
        }
    }

    /// Discards the rest of a request that was answered early, for a limited time. Closing a socket with
    /// unread bytes resets the connection, and the client might lose the response.
    pub(super) async fn lingering_close(&self) {
        if !self.has_unread_request.load(Ordering::Relaxed) || self.is_reset.load(Ordering::Relaxed) {
            return;
        }
        let _ = SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write);
        let discard = async {
            let mut scrap = vec![0; 16 * 1024];
            while self.stream.readable().await.is_ok() {
                match self.stream.try_read(&mut scrap) {
                    Ok(0) => return,
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
                    _ => {}
                }
            }
        };
        let _ = tokio::time::timeout(LINGER_TIMEOUT, discard).await;
    }
}

/// A [`ClientConnection`] as hyper reads and writes it.
pub(super) struct ClientStream(pub(super) Arc<ClientConnection>);

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let client = &self.0;
        loop {
            ready!(client.stream.poll_read_ready(cx))?;
            let before = buf.filled().len();
            match client.stream.try_read_buf(buf) {
                Ok(_) => {
                    let ends_head = buf.filled()[before..].ends_with(b"\r\n\r\n");
                    client.read_head_only.store(ends_head, Ordering::Relaxed);
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
        self.0.poll_write_with(cx, |stream| stream.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_with(cx, |stream| stream.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.is_flushed.store(true, Ordering::Release);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.0.stream).shutdown(std::net::Shutdown::Write))
    }
}

/// Slots for client connections. At the limit, idle connections are asked to close.
#[derive(Debug)]
pub(super) struct ConnectionSlots {
    free: Arc<Semaphore>,
    /// Asks the connection that has waited longest to close, if it is idle.
    close_requests: Notify,
}

impl ConnectionSlots {
    /// `limit` connections at most, or as many as there are descriptors for. Each of the `listeners` holds a
    /// slot while it waits for a client.
    pub(super) fn new(limit: usize, listeners: usize) -> Self {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        // One descriptor for the client, and one for the upstream.
        let affordable = |count: u64| count.saturating_sub(RESERVED_DESCRIPTORS.min(count / 2)) / 2;
        let affordable = descriptors.map_or(u64::MAX, affordable).try_into().unwrap_or(usize::MAX);
        let slots = limit.min(affordable).saturating_add(listeners).clamp(1, Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(slots)), close_requests: Notify::new() }
    }

    /// Asks the connection that has waited longest to close, if it is idle.
    pub(super) fn request_close(&self) {
        self.close_requests.notify_one();
    }

    /// Waits until a connection is asked to close.
    pub(super) fn close_requested(&self) -> impl Future<Output = ()> {
        self.close_requests.notified()
    }

    /// Waits for a free slot, and asks idle connections to close meanwhile.
    pub(super) async fn acquire(&self) -> io::Result<OwnedSemaphorePermit> {
        loop {
            let slot = Arc::clone(&self.free).acquire_owned();
            if let Ok(slot) = tokio::time::timeout(CLOSE_REQUEST_DELAY, slot).await {
                return slot.map_err(io::Error::other);
            }
            self.request_close();
        }
    }
}
