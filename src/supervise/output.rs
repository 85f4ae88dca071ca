//! The child's output: passed on byte for byte, and its tail kept.
//!
//! Whoever reads devrun's output may be slow or gone. So a thread of its own does the writing; the runtime only ever fills a
//! bounded queue, and a child whose reader is slow waits just as it would on a pipe.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

/// How much of the end is kept for reports.
const TAIL: usize = 64 * 1024;
/// How much may wait to be written before the child has to.
const QUEUE: usize = 256 * 1024;
/// What werkzeug's reloader says when it takes over.
const RELOADER: &[u8] = b" * Restarting with ";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of devrun's own streams, written to by a thread.
#[derive(Debug, Clone)]
pub(super) struct Sink(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    queue: Mutex<Queue>,
    filled: Condvar,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    chunks: VecDeque<Vec<u8>>,
    bytes: usize,
    writing: bool,
    closed: bool,
}

impl Sink {
    /// Passes everything on to standard output, or to standard error.
    pub(super) fn new(error: bool) -> io::Result<Self> {
        let inner = Arc::new(Inner::default());
        let thread = Arc::downgrade(&inner);
        let name = if error { "devrun-stderr" } else { "devrun-stdout" };
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some(inner) = thread.upgrade() {
                let Some(chunk) = inner.take() else { continue };
                let written = match error {
                    true => write_all(io::stderr().as_fd(), &chunk),
                    false => write_all(io::stdout().as_fd(), &chunk),
                };
                inner.written(written.is_err());
            }
        })?;
        Ok(Self(inner))
    }

    fn push(&self, chunk: Vec<u8>) {
        let mut queue = lock(&self.0.queue);
        // Nobody reads any more: the child goes on all the same.
        if !queue.closed {
            queue.bytes += chunk.len();
            queue.chunks.push_back(chunk);
            self.0.filled.notify_one();
        }
    }

    /// Waits until there is room.
    async fn room(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if lock(&self.0.queue).bytes < QUEUE {
                return;
            }
            emptied.await;
        }
    }

    /// Waits until everything is written, but not for ever.
    pub(super) async fn flush(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline && self.0.busy() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Inner {
    /// The next chunk; `None` now and then, so that the thread notices when nobody needs it any more.
    fn take(&self) -> Option<Vec<u8>> {
        let mut queue = lock(&self.queue);
        if queue.chunks.is_empty() {
            let waited = self.filled.wait_timeout(queue, Duration::from_secs(60));
            queue = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(queue, _)| queue);
        }
        let chunk = queue.chunks.pop_front();
        queue.writing = chunk.is_some();
        chunk
    }

    fn busy(&self) -> bool {
        let queue = lock(&self.queue);
        !queue.closed && (queue.writing || !queue.chunks.is_empty())
    }

    fn written(&self, failed: bool) {
        let mut queue = lock(&self.queue);
        queue.writing = false;
        queue.closed |= failed;
        if failed {
            queue.chunks.clear();
        }
        queue.bytes = queue.chunks.iter().map(Vec::len).sum();
        drop(queue);
        self.emptied.notify_waiters();
    }
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            // Somebody has made our terminal non-blocking, node for one.
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

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
    sink: Sink,
    tail: Arc<Mutex<Tail>>,
}

impl Stream {
    /// Reads what is there; `Ok(0)` at the end, `WouldBlock` when there is nothing now.
    fn read_some(&self) -> io::Result<usize> {
        let mut buffer = vec![0; 16 * 1024];
        // The lock is held while reading: the pump and the last look must not change places.
        let mut tail = lock(&self.tail);
        let count = rustix::io::read(self.fd.get_ref(), &mut buffer)?;
        buffer.truncate(count);
        tail.push(&buffer);
        if count > 0 {
            self.sink.push(buffer);
        }
        Ok(count)
    }

    async fn pump(&self, reloader: impl Fn()) -> io::Result<()> {
        loop {
            self.sink.room().await;
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

/// Both captured streams of one process.
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
        stdout: (OwnedFd, &Sink),
        stderr: (OwnedFd, &Sink),
        reloader: impl Fn() + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let tail = Arc::new(Mutex::new(Tail::default()));
        let mut streams = Vec::new();
        for (fd, sink) in [stdout, stderr] {
            rustix::io::ioctl_fionbio(&fd, true)?;
            let fd = super::os::unix::readable(fd)?;
            streams.push(Arc::new(Stream { fd, sink: sink.clone(), tail: Arc::clone(&tail) }));
        }
        let pump = |stream: &Arc<Stream>| {
            let (stream, reloader) = (Arc::clone(stream), reloader.clone());
            tokio::spawn(async move {
                if let Err(error) = stream.pump(reloader).await {
                    tracing::debug!(%error, "stopped reading the child's output");
                }
            })
        };
        let pumps = streams.iter().map(pump).collect();
        Ok(Self { streams, tail, pumps })
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
