//! An upgraded connection, copied both ways until one side ends it or its generation is released.

use std::io;
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::download::Driver;
use super::drain::Seat;
use super::websocket::{Frames, RESTART};

/// How long the sides have to end what they are at, once the other is gone or the generation is released.
const LAST_WORDS: Duration = Duration::from_secs(2);
const BUFFER: usize = 16 * 1024;

/// Both ends of an upgrade that the server has agreed to.
pub(super) struct Bridge {
    pub(super) client: OnUpgrade,
    pub(super) server: OnUpgrade,
    pub(super) seat: Seat,
    pub(super) driver: Driver,
    /// The protocol is WebSocket, so that a close frame can be sent.
    pub(super) websocket: bool,
}

impl Bridge {
    /// Copies until both sides have ended, or the generation is released, or the proxy is stopped at once.
    pub(super) async fn run(self, kill: CancellationToken) {
        let upgraded = async { tokio::try_join!(self.client, self.server) };
        let Some(Ok((client, server))) = kill.run_until_cancelled(upgraded).await else { return };
        let copied = copy(client, server, &self.seat, self.websocket);
        if let Some(Err(error)) = kill.run_until_cancelled(copied).await {
            tracing::debug!(%error, "an upgraded connection broke");
        }
        drop(self.driver);
    }
}

type Reader = ReadHalf<TokioIo<Upgraded>>;
type Writer = WriteHalf<TokioIo<Upgraded>>;

async fn copy(client: Upgraded, server: Upgraded, seat: &Seat, websocket: bool) -> io::Result<()> {
    let (mut from_client, to_client) = tokio::io::split(TokioIo::new(client));
    let (from_server, mut to_server) = tokio::io::split(TokioIo::new(server));
    let released = CancellationToken::new();
    let release = &seat.generation.release;
    let mut down = Downstream { to_client, frames: websocket.then(Frames::default), release, deadline: None };
    let downward = async {
        let result = down.follow(from_server, seat).await;
        if down.deadline.is_some() {
            released.cancel();
        }
        result
    };
    let upward = async {
        let result = released.run_until_cancelled(pour(&mut from_client, &mut Some(&mut to_server))).await;
        let _ = to_server.shutdown().await;
        match result {
            Some(result) => result,
            // Closing a socket that has unread bytes resets it, and the close frame would be lost.
            None => pour(&mut from_client, &mut None).await,
        }
    };
    tokio::pin!(downward, upward);
    tokio::select! {
        result = &mut downward => {
            let _ = timeout(LAST_WORDS, upward).await;
            result
        }
        // A client that has said all it wants may still listen.
        result = &mut upward => { result?; downward.await }
    }
}

async fn pour(from: &mut Reader, to: &mut Option<&mut Writer>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        if let Some(to) = to {
            to.write_all(&buffer[..read]).await?;
        }
    }
}

/// The way from the server to the client.
struct Downstream<'a> {
    to_client: Writer,
    /// Where frames end, if there are any.
    frames: Option<Frames>,
    release: &'a CancellationToken,
    /// Released: by then it ends, at a boundary or not.
    deadline: Option<Instant>,
}

impl Downstream<'_> {
    /// Copies until the server ends it, or, once released, to the end of the frame that has begun.
    async fn follow(&mut self, mut from: Reader, seat: &Seat) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        while !(self.deadline.is_some() && self.at_boundary()) {
            let Some(read) = self.read(&mut from, &mut buffer).await? else { continue };
            if read == 0 {
                return self.to_client.shutdown().await;
            }
            let taken = self.take(&buffer[..read]);
            self.write(&buffer[..taken]).await?;
            seat.count(taken);
        }
        if self.frames.as_ref().is_some_and(|frames| !frames.is_closed()) {
            self.write(&RESTART).await?;
        }
        self.to_client.shutdown().await
    }

    /// `None`: it was released meanwhile.
    async fn read(&mut self, from: &mut Reader, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        tokio::select! {
            biased;
            () = self.release.cancelled(), if self.deadline.is_none() => {
                self.deadline = Some(Instant::now() + LAST_WORDS);
                Ok(None)
            }
            read = from.read(buffer) => read.map(Some),
            () = expire(self.deadline) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Writes all of it: a frame is never left half-written while the client takes it.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let write = self.to_client.write_all(bytes);
        tokio::pin!(write);
        loop {
            tokio::select! {
                biased;
                result = &mut write => return result,
                () = self.release.cancelled(), if self.deadline.is_none() => {
                    self.deadline = Some(Instant::now() + LAST_WORDS);
                }
                () = expire(self.deadline) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// How much of these bytes goes on: all, or, once released, those of the frame that has begun.
    fn take(&mut self, bytes: &[u8]) -> usize {
        match &mut self.frames {
            Some(frames) if self.deadline.is_some() => frames.push_frame(bytes),
            Some(frames) => {
                frames.push(bytes);
                bytes.len()
            }
            None => bytes.len(),
        }
    }

    fn at_boundary(&self) -> bool {
        self.frames.as_ref().is_none_or(Frames::at_boundary)
    }
}

async fn expire(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
