//! Copies an upgraded connection both ways, until one side ends it or its generation's streams are released.

use std::io;
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::websocket::{CLOSE_SERVICE_RESTART, FrameBoundary};
use crate::proxy::connections::ConnectionTask;
use crate::proxy::in_flight::InFlightGuard;

/// Time for a side to end its message after the other side has gone or the generation's streams were
/// released.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Size of the copy buffer of each direction, in bytes.
const BUFFER_SIZE: usize = 16 * 1024;

/// Protocol of an upgraded connection, as far as it matters for its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Protocol {
    /// A close frame can be sent between two frames.
    WebSocket,
    Other,
}

/// Both ends of an upgrade that the upstream has accepted.
pub(in crate::proxy) struct Tunnel {
    client: OnUpgrade,
    upstream: OnUpgrade,
    in_flight: InFlightGuard,
    task: ConnectionTask,
    protocol: Protocol,
}

impl Tunnel {
    pub(in crate::proxy) fn new(
        client: OnUpgrade,
        upstream: OnUpgrade,
        in_flight: InFlightGuard,
        task: ConnectionTask,
        protocol: Protocol,
    ) -> Self {
        Self { client, upstream, in_flight, task, protocol }
    }

    /// Copies until both sides have ended, the generation's streams are released, or `kill` is cancelled.
    pub(in crate::proxy) async fn run(self, kill: CancellationToken) {
        let upgraded = async { tokio::try_join!(self.client, self.upstream) };
        let Some(Ok((client, upstream))) = kill.run_until_cancelled(upgraded).await else { return };
        let copied = copy(client, upstream, &self.in_flight, self.protocol);
        if let Some(Err(error)) = kill.run_until_cancelled(copied).await {
            tracing::debug!(%error, "upgraded connection failed");
        }
        drop(self.task);
    }
}

type Reader = ReadHalf<TokioIo<Upgraded>>;
type Writer = WriteHalf<TokioIo<Upgraded>>;

async fn copy(
    client: Upgraded,
    upstream: Upgraded,
    in_flight: &InFlightGuard,
    protocol: Protocol,
) -> io::Result<()> {
    let (mut from_client, to_client) = tokio::io::split(TokioIo::new(client));
    let (from_upstream, mut to_upstream) = tokio::io::split(TokioIo::new(upstream));
    let released = CancellationToken::new();
    let mut downward_copy = DownwardCopy::new(to_client, in_flight, protocol);
    let downward = async {
        let result = downward_copy.run(from_upstream).await;
        if downward_copy.deadline.is_some() {
            released.cancel();
        }
        result
    };
    let upward = async {
        let copied = copy_until_end(&mut from_client, &mut to_upstream);
        let result = released.run_until_cancelled(copied).await;
        let _ = to_upstream.shutdown().await;
        match result {
            Some(result) => result,
            // Closing a socket with unread bytes resets it, and the client would lose the close frame.
            None => copy_until_end(&mut from_client, &mut tokio::io::sink()).await,
        }
    };
    tokio::pin!(downward, upward);
    tokio::select! {
        result = &mut downward => {
            let _ = timeout(CLOSE_TIMEOUT, upward).await;
            result
        }
        // A client that has closed its sending side may still receive.
        result = &mut upward => {
            result?;
            downward.await
        }
    }
}

async fn copy_until_end(from: &mut Reader, to: &mut (impl AsyncWriteExt + Unpin)) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_SIZE];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count]).await?;
    }
}

/// The direction from the upstream to the client, which ends at a frame boundary.
struct DownwardCopy<'a> {
    to_client: Writer,
    in_flight: &'a InFlightGuard,
    /// Position within WebSocket frames; `None` for other protocols.
    frames: Option<FrameBoundary>,
    /// Time at which the copy ends even within a frame; set when the streams are released.
    deadline: Option<Instant>,
}

impl<'a> DownwardCopy<'a> {
    fn new(to_client: Writer, in_flight: &'a InFlightGuard, protocol: Protocol) -> Self {
        let frames = (protocol == Protocol::WebSocket).then(FrameBoundary::default);
        Self { to_client, in_flight, frames, deadline: None }
    }

    /// Copies until the upstream ends, or, once released, until the end of the current frame.
    async fn run(&mut self, mut from: Reader) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER_SIZE];
        while self.deadline.is_none() || !self.is_at_boundary() {
            let Some(count) = self.read(&mut from, &mut buffer).await? else { continue };
            if count == 0 {
                return self.to_client.shutdown().await;
            }
            let passed = self.count_passed(&buffer[..count]);
            self.write(&buffer[..passed]).await?;
            self.in_flight.add_bytes(passed);
        }
        if self.frames.as_ref().is_some_and(|frames| !frames.is_closed()) {
            self.write(&CLOSE_SERVICE_RESTART).await?;
        }
        self.to_client.shutdown().await
    }

    /// Reads from the upstream; `None` if the streams were released meanwhile.
    async fn read(&mut self, from: &mut Reader, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        tokio::select! {
            biased;
            () = self.in_flight.generation().release_token().cancelled(), if self.deadline.is_none() => {
                self.deadline = Some(Instant::now() + CLOSE_TIMEOUT);
                Ok(None)
            }
            read = from.read(buffer) => read.map(Some),
            () = expire(self.deadline) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Writes all bytes to the client, also across a release, so that no frame stays half-written.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let write = self.to_client.write_all(bytes);
        tokio::pin!(write);
        loop {
            tokio::select! {
                biased;
                result = &mut write => return result,
                () = self.in_flight.generation().release_token().cancelled(), if self.deadline.is_none() => {
                    self.deadline = Some(Instant::now() + CLOSE_TIMEOUT);
                }
                () = expire(self.deadline) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// Number of bytes to pass on: all of them, or, once released, the rest of the current frame.
    fn count_passed(&mut self, bytes: &[u8]) -> usize {
        match &mut self.frames {
            Some(frames) if self.deadline.is_some() => frames.push_frame(bytes),
            Some(frames) => {
                frames.push(bytes);
                bytes.len()
            }
            None => bytes.len(),
        }
    }

    fn is_at_boundary(&self) -> bool {
        self.frames.as_ref().is_none_or(FrameBoundary::is_at_boundary)
    }
}

async fn expire(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
