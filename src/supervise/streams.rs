//! This process's own two output streams, shared by what the child writes and what the owner of the supervisor says.
//!
//! Whoever reads them may be slow or gone. So a thread of its own does the writing; the runtime only ever fills bounded
//! queues. A child whose reader is slow waits just as it would on a pipe; the owner never waits.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::termios::Winsize;
use tokio::sync::Notify;

use super::os;
use super::screen::Screen;

/// How much of the child's may wait to be written before the child has to.
const QUEUE: usize = 256 * 1024;
/// How much of what the owner says may wait; what comes then is left out, and counted.
const SAID: usize = 4 * 1024 * 1024;
/// How long a line of the child's that has begun may keep the owner from speaking.
const HALF_A_LINE: Duration = Duration::from_millis(50);
/// How long the owner may be kept until its line is out: a child that writes to the same place itself must not come first.
const IN_TURN: Duration = Duration::from_millis(20);
/// A reader that has taken nothing for so long will not take the rest.
const STUCK: Duration = Duration::from_secs(1);

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standard output and standard error of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Streams {
    out: Sink,
    err: Sink,
    draws: bool,
}

impl Streams {
    /// One terminal for both is one stream, so that the order of what appears is kept. Until a supervisor that has them starts,
    /// what is said is written at once, by who says it, or waits until then where that is not possible.
    ///
    /// `draws`: a status line may be shown on standard error, if that is a terminal.
    #[must_use]
    pub fn open(draws: bool) -> Self {
        // Without a terminal for the child it writes to ours directly, and would stand in a status line.
        let draws = draws && io::stderr().is_terminal() && os::terminal::new_terminal().is_ok();
        let err = Sink::new(true, draws);
        let out = if same_terminal() { err.clone() } else { Sink::new(false, false) };
        Self { out, err, draws }
    }

    /// From now on threads of their own do the writing: for what the owner says, and, if the child's output is captured, for both.
    ///
    /// # Errors
    /// If there is no room for a thread.
    pub(super) fn start(&self, captures: bool) -> io::Result<()> {
        self.err.start()?;
        if captures { self.out.start() } else { Ok(()) }
    }

    /// Whether a status line can be shown.
    #[must_use]
    pub fn draws(&self) -> bool {
        self.draws
    }

    /// Says whole lines on standard error, their ends included. Waits a moment until they are out, but for no reader that
    /// does not read: what then grows too long is left out, and [`Streams::left_out`] tells.
    pub fn say(&self, lines: Vec<u8>) {
        self.err.0.say(lines);
    }

    /// How many times something was left out since this was last asked; zero while there is no room to say so.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        let mut queue = lock(&self.err.0.queue);
        if queue.said > SAID / 2 { 0 } else { std::mem::take(&mut queue.left_out) }
    }

    /// Shows a line below everything, which disappears for what is written and comes back after it; `None` takes it away.
    pub fn status(&self, line: Option<Vec<u8>>) {
        let mut queue = lock(&self.err.0.queue);
        queue.status = Some(line);
        self.err.0.filled.notify_one();
    }

    /// Blocks until everything is written, or the reader takes nothing any more.
    pub fn flush(&self) {
        self.out.flush();
        self.err.flush();
    }

    /// Waits until everything is written, or the reader takes nothing any more.
    pub(super) async fn flushed(&self) {
        for sink in [&self.out, &self.err] {
            while sink.0.busy() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// A child is about to begin that may write to the same places.
    pub(super) fn child_begins(&self) {
        for sink in [&self.out, &self.err] {
            lock(&sink.0.queue).alone = false;
        }
    }

    pub(super) fn of(&self, error: bool) -> &Sink {
        if error { &self.err } else { &self.out }
    }

    /// Whether both are the same stream.
    pub(super) fn is_one(&self) -> bool {
        Arc::ptr_eq(&self.out.0, &self.err.0)
    }
}

/// One of the streams, written to by a thread.
#[derive(Debug, Clone)]
pub(super) struct Sink(Arc<Inner>, #[expect(dead_code, reason = "its end ends the thread")] Arc<End>);

/// The last of these tells the thread that nobody needs it any more.
#[derive(Debug)]
struct End(Arc<Inner>);

impl Drop for End {
    fn drop(&mut self) {
        lock(&self.0.queue).over = true;
        self.0.filled.notify_one();
        self.0.write_unstarted();
    }
}

#[derive(Debug, Default)]
struct Inner {
    error: bool,
    draws: bool,
    queue: Mutex<Queue>,
    filled: Condvar,
    emptied: Notify,
    written: Condvar,
}

/// Something to be written.
#[derive(Debug)]
enum Piece {
    /// Of the child's.
    Passed(Vec<u8>),
    /// Of the owner's.
    Said(Vec<u8>),
}

#[derive(Debug, Default)]
struct Queue {
    pieces: VecDeque<Piece>,
    /// Bytes of the child's that wait, and of the owner's.
    passed: usize,
    said: usize,
    left_out: u64,
    /// A new status line, or none from now on.
    status: Option<Option<Vec<u8>>>,
    /// There is a thread that writes.
    started: bool,
    /// Nobody else writes to the same place: the few lines before the first child need no thread, and nobody has to be woken
    /// for them.
    alone: bool,
    /// The thread writes.
    writing: bool,
    /// Whoever says something writes it.
    directly: bool,
    /// The child writes through here, and not past us.
    captures: bool,
    /// The owner has waited in vain, and does not wait again before everything is out.
    slow: bool,
    /// When the reader has last taken something, or there was nothing to take.
    progress: Option<Instant>,
    /// Nobody reads any more.
    closed: bool,
    over: bool,
}

impl Sink {
    fn new(error: bool, draws: bool) -> Self {
        let inner = Arc::new(Inner { error, draws, ..Inner::default() });
        let sink = Self(Arc::clone(&inner), Arc::new(End(inner)));
        // A terminal may be held, or not be ours.
        lock(&sink.0.queue).alone = !sink.is_terminal();
        sink
    }

    fn start(&self) -> io::Result<()> {
        let mut queue = lock(&self.0.queue);
        if !queue.started {
            let inner = Arc::clone(&self.0);
            let name = if inner.error { "devrun-stderr" } else { "devrun-stdout" };
            std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                // A terminal may stop whoever writes from the background; that would be all of us.
                os::terminal::never_stop_for_writing();
                inner.work(Screen::new(inner.draws));
            })?;
            queue.started = true;
        }
        Ok(())
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.0.with(|fd| rustix::termios::isatty(fd))
    }

    pub(super) fn size(&self) -> Option<Winsize> {
        self.0.with(|fd| rustix::termios::tcgetwinsize(fd)).ok()
    }

    pub(super) fn push(&self, chunk: Vec<u8>) {
        let mut queue = lock(&self.0.queue);
        queue.captures = true;
        // Nobody reads any more: the child goes on all the same.
        if !queue.closed {
            queue.passed += chunk.len();
            queue.push(Piece::Passed(chunk));
            self.0.filled.notify_one();
        }
    }

    /// Waits until there is room.
    pub(super) async fn room(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if lock(&self.0.queue).passed < QUEUE {
                return;
            }
            emptied.await;
        }
    }

    fn flush(&self) {
        self.0.write_unstarted();
        while self.0.busy() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Queue {
    fn push(&mut self, piece: Piece) {
        if self.is_empty() {
            self.progress = Some(Instant::now());
        }
        self.pieces.push_back(piece);
    }

    fn is_empty(&self) -> bool {
        !self.writing && !self.directly && self.pieces.is_empty()
    }

    /// The next piece; a line of the child's that has begun comes to its end first.
    fn next(&mut self, half: bool) -> Option<Piece> {
        let first_passed = || self.pieces.iter().position(|piece| matches!(piece, Piece::Passed(_)));
        let at = if half { first_passed()? } else { 0 };
        let piece = self.pieces.remove(at)?;
        match &piece {
            Piece::Passed(bytes) => self.passed -= bytes.len(),
            Piece::Said(bytes) => self.said -= bytes.len(),
        }
        Some(piece)
    }
}

impl Inner {
    fn say(&self, lines: Vec<u8>) {
        let mut queue = lock(&self.queue);
        if queue.closed {
            return;
        }
        let at_once = match queue.alone {
            true => queue.is_empty() && lines.len() <= libc::PIPE_BUF && self.takes(),
            false => !queue.started,
        };
        if at_once {
            // There is room for one.
            queue.directly = true;
            drop(queue);
            // Nothing can be done if that fails.
            let _ = self.write_all(&lines);
            lock(&self.queue).directly = false;
            self.written.notify_all();
            return;
        }
        if queue.said + lines.len() > SAID {
            queue.left_out += 1;
            return;
        }
        queue.said += lines.len();
        queue.push(Piece::Said(lines));
        if !queue.started {
            return;
        }
        self.filled.notify_one();
        let in_turn = |queue: &mut Queue| !queue.captures && !queue.slow && !queue.is_empty();
        let waited = self.written.wait_timeout_while(queue, IN_TURN, in_turn);
        let (mut queue, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.slow |= waited.timed_out();
    }

    /// Where no thread was started, whoever ends waits for the reader.
    fn write_unstarted(&self) {
        let next = || Some(lock(&self.queue)).filter(|queue| !queue.started)?.next(false);
        while let Some(Piece::Said(bytes) | Piece::Passed(bytes)) = next() {
            let _ = self.write_all(&bytes);
        }
    }

    /// Whether something is left that the reader may still take.
    fn busy(&self) -> bool {
        let queue = lock(&self.queue);
        let left = !queue.is_empty() || queue.status.is_some();
        left && queue.started && !queue.closed && queue.progress.is_none_or(|since| since.elapsed() < STUCK)
    }

    /// The life of the thread.
    fn work(&self, mut screen: Screen) {
        let mut half_since = None;
        while let Some(bytes) = self.take(&mut screen, &mut half_since) {
            let written = self.write_all(&bytes);
            let mut queue = lock(&self.queue);
            queue.writing = false;
            queue.slow &= !queue.is_empty();
            // A full disk may have room again; a reader that is gone does not come back.
            let full = matches!(written, Err(rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT));
            if written.is_err() && !full {
                queue.closed = true;
                queue.pieces.clear();
                (queue.passed, queue.said) = (0, 0);
            }
            drop(queue);
            self.written.notify_all();
            self.emptied.notify_waiters();
        }
    }

    /// Waits for what is to be written next; `None` at the end.
    fn take(&self, screen: &mut Screen, half_since: &mut Option<Instant>) -> Option<Vec<u8>> {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(status) = queue.status.take() {
                screen.wants(status);
            }
            let waits = !screen.at_start() && matches!(queue.pieces.front(), Some(Piece::Said(_)));
            let since = waits.then(|| *half_since.get_or_insert_with(Instant::now));
            let left = since.map(|since| HALF_A_LINE.saturating_sub(since.elapsed()));
            let half = left.is_some_and(|left| !left.is_zero()) && !queue.over;
            let bytes = match queue.next(half) {
                Some(Piece::Passed(chunk)) => screen.passed(&chunk),
                Some(Piece::Said(lines)) => {
                    *half_since = None;
                    screen.said(&lines)
                }
                None => screen.settle(),
            };
            if !bytes.is_empty() {
                queue.writing = true;
                return Some(bytes);
            }
            if queue.over && queue.pieces.is_empty() {
                return None;
            }
            queue = match left.filter(|_| half) {
                Some(left) => match self.filled.wait_timeout(queue, left) {
                    Ok((queue, _)) => queue,
                    Err(poisoned) => poisoned.into_inner().0,
                },
                None => self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn with<T>(&self, run: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        if self.error { run(io::stderr().as_fd()) } else { run(io::stdout().as_fd()) }
    }

    /// Whether up to `PIPE_BUF` bytes can be written now without waiting, as long as nobody else writes (pipe(7)).
    fn takes(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        self.with(|fd| {
            let mut one = [PollFd::new(&fd, PollFlags::OUT)];
            poll(&mut one, Some(&now)).is_ok() && one[0].revents() == PollFlags::OUT
        })
    }

    fn write_all(&self, mut bytes: &[u8]) -> rustix::io::Result<()> {
        use rustix::event::{PollFd, PollFlags, poll};
        use rustix::io::Errno;
        while !bytes.is_empty() {
            match self.with(|fd| rustix::io::write(fd, bytes)) {
                Ok(count) => {
                    bytes = &bytes[count..];
                    lock(&self.queue).progress = Some(Instant::now());
                }
                Err(Errno::INTR) => {}
                // Somebody has made our terminal non-blocking, node for one.
                Err(Errno::AGAIN) => {
                    self.with(|fd| poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether standard output and standard error are one terminal.
fn same_terminal() -> bool {
    let device = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).ok().map(|stat| stat.st_rdev);
    io::stdout().is_terminal()
        && io::stderr().is_terminal()
        && device(io::stdout().as_fd()) == device(io::stderr().as_fd())
}
