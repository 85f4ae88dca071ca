//! The two output streams of this process, shared by the output of the child and the lines of the program.
//!
//! A reader of a stream may be slow or gone. So each stream has a thread that writes; everything else only
//! fills a bounded queue. A child whose reader is slow waits, as it would on a pipe; the program never waits
//! for a reader.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::termios::Winsize;
use tokio::sync::Notify;

use crate::supervise::signal::Signal;
use crate::supervise::sys::signals;
use crate::sync::{lock, wait};

use super::child_output::open_pty_master;
use super::status_line::StatusLine;

/// Maximum number of bytes of the child's output that wait to be written; more make the child wait.
const MAX_CHILD_BYTES: usize = 256 * 1024;
/// Maximum number of bytes of the program's lines that wait to be written; lines above that are dropped and
/// counted.
const MAX_PROGRAM_BYTES: usize = 4 * 1024 * 1024;
/// Maximum time for which an unfinished line of the child delays the program's lines.
const UNFINISHED_LINE_TIMEOUT: Duration = Duration::from_millis(50);
/// Maximum time for which the program waits until its lines are written: a child that writes to the same
/// place itself must not come first.
const WRITE_TURN_TIMEOUT: Duration = Duration::from_millis(20);
/// Time after which a reader that has taken nothing is given up at the end.
const STUCK_READER_TIMEOUT: Duration = Duration::from_secs(1);
/// Delay between two looks whether everything is written.
const FLUSH_POLL_DELAY: Duration = Duration::from_millis(1);

/// One of the two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StdStream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl StdStream {
    /// `out` or `err`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
        }
    }
}

/// Standard output and standard error of this process. Cheap to clone.
///
/// If both are the same terminal they are one stream, so that the order of what appears is kept.
#[derive(Debug, Clone)]
pub struct OutputStreams {
    out: Arc<StreamWriter>,
    err: Arc<StreamWriter>,
    supports_status: bool,
}

impl OutputStreams {
    /// Starts the threads that write.
    ///
    /// With `status_line`, a status line may be shown on standard error, if that is a terminal.
    ///
    /// # Errors
    /// If the system starts no thread.
    pub fn open(status_line: bool) -> io::Result<Self> {
        // Without a pseudo-terminal the child would write to this terminal directly, and into the status
        // line.
        let supports_status = status_line && io::stderr().is_terminal() && open_pty_master().is_ok();
        let err = StreamWriter::start(StdStream::Err, supports_status)?;
        let out = if same_terminal() { err.clone() } else { StreamWriter::start(StdStream::Out, false)? };
        Ok(Self { out, err, supports_status })
    }

    /// Whether a status line can be shown.
    #[must_use]
    pub fn supports_status(&self) -> bool {
        self.supports_status
    }

    /// Writes whole lines, their ends included, or one operating system command (`ESC ]`) to standard error. Waits at most 20 ms until they are
    /// written. Lines that find the queue full are dropped; [`OutputStreams::take_dropped`] counts them.
    pub fn print(&self, lines: Vec<u8>) {
        let shared = &self.err.shared;
        let mut queue = lock(&shared.queue);
        if queue.reader_is_gone {
            return;
        }
        if queue.program_bytes + lines.len() > MAX_PROGRAM_BYTES {
            queue.dropped += 1;
            return;
        }
        queue.push(Chunk::Program(lines));
        shared.filled.notify_one();
        let must_wait =
            |queue: &mut WriteQueue| !queue.has_child_output && !queue.reader_is_slow && !queue.is_empty();
        let waited = shared.written.wait_timeout_while(queue, WRITE_TURN_TIMEOUT, must_wait);
        let (mut queue, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.reader_is_slow |= waited.timed_out();
    }

    /// Number of calls of [`OutputStreams::print`] whose lines were dropped since the last call; zero while
    /// the queue is still too full for a message about it.
    #[must_use]
    pub fn take_dropped(&self) -> u64 {
        let mut queue = lock(&self.err.shared.queue);
        if queue.program_bytes > MAX_PROGRAM_BYTES / 2 { 0 } else { std::mem::take(&mut queue.dropped) }
    }

    /// Shows a line below everything else; it disappears for other output and comes back after it. `None`
    /// removes it.
    pub fn set_status(&self, line: Option<Vec<u8>>) {
        let mut queue = lock(&self.err.shared.queue);
        queue.status_line.set(line);
        self.err.shared.filled.notify_one();
    }

    /// Blocks until everything is written, or until a reader has taken nothing for a second.
    pub fn flush(&self) {
        while self.is_busy() {
            std::thread::sleep(FLUSH_POLL_DELAY);
        }
    }

    /// Waits as [`OutputStreams::flush`] does, without blocking the thread.
    pub(crate) async fn flushed(&self) {
        while self.is_busy() {
            tokio::time::sleep(FLUSH_POLL_DELAY).await;
        }
    }

    fn is_busy(&self) -> bool {
        self.out.shared.is_busy() || self.err.shared.is_busy()
    }

    pub(super) fn writer(&self, stream: StdStream) -> &Arc<StreamWriter> {
        match stream {
            StdStream::Out => &self.out,
            StdStream::Err => &self.err,
        }
    }

    /// Whether both streams are one terminal.
    pub(super) fn is_one(&self) -> bool {
        Arc::ptr_eq(&self.out, &self.err)
    }
}

/// One stream and the thread that writes to it. When this is dropped the thread writes the rest of its queue, and
/// ends.
#[derive(Debug)]
pub(crate) struct StreamWriter {
    shared: Arc<Shared>,
}

impl StreamWriter {
    fn start(stream: StdStream, has_status_line: bool) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            stream,
            queue: Mutex::new(WriteQueue {
                status_line: StatusLine::new(has_status_line),
                ..WriteQueue::default()
            }),
            filled: Condvar::new(),
            emptied: Notify::new(),
            written: Condvar::new(),
        });
        let name = match stream {
            StdStream::Out => "devrun-stdout",
            StdStream::Err => "devrun-stderr",
        };
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // A terminal may stop a process that writes from the background, and with it the whole program.
            signals::block(Signal::TTOU);
            of_thread.run();
        })?;
        Ok(Arc::new(Self { shared }))
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.shared.with_fd(|fd| rustix::termios::isatty(fd))
    }

    /// Size of the terminal; `None` if the stream is none.
    pub(crate) fn size(&self) -> Option<Winsize> {
        self.shared.with_fd(|fd| rustix::termios::tcgetwinsize(fd)).ok()
    }

    /// Queues output of the child. Discards it if the reader is gone, so that the child goes on.
    pub(crate) fn push(&self, bytes: Vec<u8>) {
        let mut queue = lock(&self.shared.queue);
        queue.has_child_output = true;
        if !queue.reader_is_gone {
            queue.push(Chunk::Child(bytes));
            self.shared.filled.notify_one();
        }
    }

    /// Whether a write has failed for ever.
    pub(crate) fn is_reader_gone(&self) -> bool {
        lock(&self.shared.queue).reader_is_gone
    }

    /// Waits until the queue has space for output of the child.
    pub(crate) async fn space(&self) {
        loop {
            let emptied = self.shared.emptied.notified();
            if lock(&self.shared.queue).child_bytes < MAX_CHILD_BYTES {
                return;
            }
            emptied.await;
        }
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        lock(&self.shared.queue).is_over = true;
        self.shared.filled.notify_one();
    }
}

/// The state that the thread of a stream shares with the writers to its queue.
#[derive(Debug)]
struct Shared {
    stream: StdStream,
    queue: Mutex<WriteQueue>,
    /// Wakes the thread.
    filled: Condvar,
    /// Wakes readers of the child's output that wait for space.
    emptied: Notify,
    /// Wakes the program while it waits until its lines are written.
    written: Condvar,
}

impl Shared {
    /// Whether something is left that the reader may still take.
    fn is_busy(&self) -> bool {
        let queue = lock(&self.queue);
        let is_left = !queue.is_empty() || queue.status_line.is_due();
        let is_stuck = queue.progress.is_some_and(|since| since.elapsed() >= STUCK_READER_TIMEOUT);
        is_left && !queue.reader_is_gone && !is_stuck
    }

    /// The whole life of the thread.
    fn run(&self) {
        while let Some(bytes) = self.next_bytes() {
            let written = self.write_all(&bytes);
            let mut queue = lock(&self.queue);
            queue.is_writing = false;
            queue.reader_is_slow &= !queue.is_empty();
            // A full disk may have space again later; a reader that is gone does not come back.
            let is_full = matches!(written, Err(rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT));
            if written.is_err() && !is_full {
                queue.discard();
            }
            drop(queue);
            self.written.notify_all();
            self.emptied.notify_waiters();
        }
    }

    /// Waits for the next bytes to write; `None` at the end.
    fn next_bytes(&self) -> Option<Vec<u8>> {
        let mut queue = lock(&self.queue);
        loop {
            let program_waits = queue.status_line.has_unfinished_line()
                && matches!(queue.chunks.front(), Some(Chunk::Program(_)));
            let since = program_waits.then(|| *queue.program_waits_since.get_or_insert_with(Instant::now));
            let left = since.map(|since| UNFINISHED_LINE_TIMEOUT.saturating_sub(since.elapsed()));
            let left = left.filter(|left| !left.is_zero() && !queue.is_over);
            let bytes = match queue.pop(left.is_some()) {
                Some(Chunk::Child(bytes)) => queue.status_line.before_child_output(&bytes),
                Some(Chunk::Program(lines)) => {
                    queue.program_waits_since = None;
                    queue.status_line.before_program_lines(&lines)
                }
                None => queue.status_line.redraw(),
            };
            if !bytes.is_empty() {
                queue.is_writing = true;
                return Some(bytes);
            }
            if queue.is_over && queue.chunks.is_empty() {
                return None;
            }
            queue = match left {
                Some(left) => self.filled.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0,
                None => wait(&self.filled, queue),
            };
        }
    }

    fn write_all(&self, mut bytes: &[u8]) -> rustix::io::Result<()> {
        use rustix::event::{PollFd, PollFlags, poll};
        use rustix::io::Errno;
        while !bytes.is_empty() {
            match self.with_fd(|fd| rustix::io::write(fd, bytes)) {
                Ok(count) => {
                    bytes = &bytes[count..];
                    lock(&self.queue).progress = Some(Instant::now());
                }
                Err(Errno::INTR) => {}
                // Some programs, such as node, make the terminal non-blocking for every process that has it
                // open.
                Err(Errno::AGAIN) => {
                    self.with_fd(|fd| poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn with_fd<T>(&self, run: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        match self.stream {
            StdStream::Out => run(io::stdout().as_fd()),
            StdStream::Err => run(io::stderr().as_fd()),
        }
    }
}

/// Bytes to be written.
#[derive(Debug)]
enum Chunk {
    /// Output of the child, cut anywhere.
    Child(Vec<u8>),
    /// Whole lines of the program.
    Program(Vec<u8>),
}

#[derive(Debug, Default)]
struct WriteQueue {
    chunks: VecDeque<Chunk>,
    child_bytes: usize,
    program_bytes: usize,
    /// Number of times that lines of the program were dropped.
    dropped: u64,
    status_line: StatusLine,
    /// Since when lines of the program wait for the end of a line of the child.
    program_waits_since: Option<Instant>,
    /// The thread writes a chunk that is no longer in the queue.
    is_writing: bool,
    /// Output of the child goes through this queue: the child cannot overtake the program's lines.
    has_child_output: bool,
    /// The program has waited in vain, and does not wait again before the queue is empty.
    reader_is_slow: bool,
    /// When the reader took something last, or when the queue was last empty.
    progress: Option<Instant>,
    reader_is_gone: bool,
    /// No more chunks come.
    is_over: bool,
}

impl WriteQueue {
    fn push(&mut self, chunk: Chunk) {
        if self.is_empty() {
            self.progress = Some(Instant::now());
        }
        match &chunk {
            Chunk::Child(bytes) => self.child_bytes += bytes.len(),
            Chunk::Program(lines) => self.program_bytes += lines.len(),
        }
        self.chunks.push_back(chunk);
    }

    /// The next chunk. While a line of the child is unfinished, only the child's chunks can finish it.
    fn pop(&mut self, child_first: bool) -> Option<Chunk> {
        let first_of_child = || self.chunks.iter().position(|chunk| matches!(chunk, Chunk::Child(_)));
        let at = if child_first { first_of_child()? } else { 0 };
        let chunk = self.chunks.remove(at)?;
        match &chunk {
            Chunk::Child(bytes) => self.child_bytes -= bytes.len(),
            Chunk::Program(lines) => self.program_bytes -= lines.len(),
        }
        Some(chunk)
    }

    fn is_empty(&self) -> bool {
        !self.is_writing && self.chunks.is_empty()
    }

    /// Empties the queue for good, because the reader is gone.
    fn discard(&mut self) {
        self.reader_is_gone = true;
        self.chunks.clear();
        (self.child_bytes, self.program_bytes) = (0, 0);
    }
}

/// Whether standard output and standard error are one terminal.
fn same_terminal() -> bool {
    let device = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).ok().map(|stat| stat.st_rdev);
    io::stdout().is_terminal()
        && io::stderr().is_terminal()
        && device(io::stdout().as_fd()) == device(io::stderr().as_fd())
}
