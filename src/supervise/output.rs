//! The child's output: passed on byte for byte, and its tail kept.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use crate::sync::lock;

use super::streams::{OutputStreams, StdStream, StreamWriter};

/// How much of the end is kept for reports.
const TAIL: usize = 64 * 1024;
/// What werkzeug's reloader says when it takes over.
const RELOADER: &[u8] = b" * Restarting with ";

/// The tail of what a process has written, over both of its streams.
#[derive(Debug, Default)]
struct Tail {
    bytes: VecDeque<u8>,
    reloader: bool,
    /// The end of the last chunk, for words that are cut in two.
    seam: Vec<u8>,
}

impl Tail {
    fn push(&mut self, chunk: &[u8]) {
        self.seam.extend_from_slice(chunk);
        self.reloader |= self.seam.windows(RELOADER.len()).any(|window| window == RELOADER);
        let keep = self.seam.len().saturating_sub(RELOADER.len() - 1);
        self.seam.drain(..keep);
        self.bytes.extend(&chunk[chunk.len().saturating_sub(TAIL)..]);
        let over = self.bytes.len().saturating_sub(TAIL);
        self.bytes.drain(..over);
    }
}

/// One captured stream.
#[derive(Debug)]
struct Stream {
    fd: AsyncFd<OwnedFd>,
    sink: StreamWriter,
    tail: Arc<Mutex<Tail>>,
}

impl Stream {
    /// Reads what is there; `Ok(0)` at the end, `WouldBlock` when there is nothing now.
    fn read_some(&self) -> io::Result<usize> {
        let mut buffer = vec![0; 16 * 1024];
        // The lock is held while reading: the pump and the last look must not change places.
        let mut tail = lock(&self.tail);
        let count = match rustix::io::read(self.fd.get_ref(), &mut buffer) {
            // A terminal that nobody has open any more ends so.
            Err(Errno::IO) => 0,
            other => other?,
        };
        buffer.truncate(count);
        tail.push(&buffer);
        if count > 0 {
            self.sink.push(buffer);
        }
        Ok(count)
    }

    async fn pump(&self, reloader: impl Fn()) -> io::Result<()> {
        loop {
            self.sink.space().await;
            let mut ready = self.fd.readable().await?;
            match self.read_some() {
                Ok(0) => return Ok(()),
                Ok(_) if std::mem::take(&mut lock(&self.tail).reloader) => reloader(),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The captured streams of one process.
#[derive(Debug)]
pub(super) struct Output {
    streams: Vec<Arc<Stream>>,
    tail: Arc<Mutex<Tail>>,
    pumps: Vec<tokio::task::JoinHandle<()>>,
}

impl Output {
    /// Begins to pass on what comes through these pipes.
    ///
    /// `reloader` is called when a reloader announces itself in it.
    pub(super) fn new(
        ours: Vec<(OwnedFd, StdStream)>,
        streams: &OutputStreams,
        reloader: impl Fn() + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let tail = Arc::new(Mutex::new(Tail::default()));
        let mut captured = Vec::new();
        for (fd, stream) in ours {
            rustix::io::ioctl_fionbio(&fd, true)?;
            let fd = super::os::unix::readable(fd)?;
            captured.push(Arc::new(Stream {
                fd,
                sink: streams.writer(stream).clone(),
                tail: Arc::clone(&tail),
            }));
        }
        let pump = |stream: &Arc<Stream>| {
            let (stream, reloader) = (Arc::clone(stream), reloader.clone());
            tokio::spawn(async move {
                if let Err(error) = stream.pump(reloader).await {
                    tracing::debug!(%error, "stopped reading the child's output");
                }
            })
        };
        let pumps = captured.iter().map(pump).collect();
        Ok(Self { streams: captured, tail, pumps })
    }

    /// Takes what is still in the pipes: for the moment when the process has ended. What others of its tree write later is
    /// still passed on.
    pub(super) fn catch_up(&self) {
        for stream in &self.streams {
            // A process that writes without end must not keep us here.
            for _ in 0..16 {
                match stream.read_some() {
                    Ok(1..) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    _ => break,
                }
            }
        }
    }

    /// Our terminal has another size now.
    pub(super) fn resize(&self) {
        for stream in &self.streams {
            if let Some(size) = stream.sink.size() {
                // A pipe has none.
                let _: Result<(), Errno> = rustix::termios::tcsetwinsize(stream.fd.get_ref(), size);
            }
        }
    }

    /// The last of it, at most 64 KiB.
    pub(super) fn tail(&self) -> Vec<u8> {
        lock(&self.tail).bytes.iter().copied().collect()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.pumps.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
