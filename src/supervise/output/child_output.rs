//! The output of one child: the pipes that it writes to, and the tasks that pass it on, byte for byte, and keep
//! the end of it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, Weak};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize};
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

use crate::GenerationId;
use crate::supervise::inner_reloader::InnerReloader;
use crate::supervise::sys::fd::{pipe, wait_readable};
use crate::sync::lock;

use super::conflict_words::without_escapes;
use super::output_log::OutputLog;
use super::writer::{OutputStreams, StdStream, StreamWriter};

/// Maximum number of bytes of output that are kept for reports.
const MAX_TAIL_LENGTH: usize = 64 * 1024;
/// Size of the buffer for one read.
const READ_SIZE: usize = 16 * 1024;
/// Maximum number of reads for the output that is left when a process ends, because another one may write
/// without end.
const MAX_LAST_READS: usize = 16;
/// Maximum number of bytes of a line that are compared with the messages of reloaders, and maximum number of
/// bytes of a stream in which these are looked for.
const MAX_LINE_LENGTH: usize = 200;
const MAX_SCANNED: usize = 256 * 1024;

/// What of the child's output goes through this process.
///
/// If this process writes to a terminal, the child gets a terminal too, so that it keeps its colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Capture {
    /// Nothing: the child writes to the streams of this process directly.
    #[default]
    No,
    /// Output that goes to a terminal, so that a status line can be shown below it.
    Terminal,
    /// Everything, for [`super::super::Options::log`]. When the reader of a stream of this process is gone, the stream of
    /// the child is closed too: `head` ends the child as it does without this process.
    Log,
    /// Everything, so that reports contain the end of it. The child goes on when a reader is gone.
    All,
}

/// The end of a child's output that this process reads, and the stream that the output goes to.
#[derive(Debug)]
pub(crate) struct OutputPipe {
    fd: OwnedFd,
    stream: StdStream,
    /// The output ends when the stream of this process has no reader any more.
    closes_with_reader: bool,
}

/// The pipes and pseudo-terminals for the output of one child.
#[derive(Debug, Default)]
pub(crate) struct OutputPipes {
    pub(crate) readers: Vec<OutputPipe>,
    /// Standard output of the child; `None` for the one of this process.
    pub(crate) child_out: Option<OwnedFd>,
    /// Standard error of the child; `None` for the one of this process.
    pub(crate) child_err: Option<OwnedFd>,
}

impl OutputPipes {
    /// Opens what `capture` asks for.
    pub(crate) fn open(capture: Capture, streams: Option<&OutputStreams>) -> io::Result<Self> {
        let mut pipes = Self::default();
        let Some(streams) = streams.filter(|_| capture != Capture::No) else { return Ok(pipes) };
        if streams.is_one()
            && let Ok((fd, child)) = open_pty(streams.writer(StdStream::Err).size())
        {
            pipes.child_out = Some(child.try_clone()?);
            pipes.child_err = Some(child);
            pipes.readers.push(OutputPipe { fd, stream: StdStream::Err, closes_with_reader: false });
            return Ok(pipes);
        }
        let ends = [(StdStream::Out, &mut pipes.child_out), (StdStream::Err, &mut pipes.child_err)];
        for (stream, child_end) in ends {
            let writer = streams.writer(stream);
            let pty = if writer.is_terminal() { open_pty(writer.size()).ok() } else { None };
            let (fd, child) = match (pty, capture) {
                (Some(pty), _) => pty,
                // If the system has no pseudo-terminal left, a pipe serves for output that must be captured.
                (None, Capture::All | Capture::Log) => pipe()?,
                (None, _) => continue,
            };
            pipes.readers.push(OutputPipe { fd, stream, closes_with_reader: capture == Capture::Log });
            *child_end = Some(child);
        }
        Ok(pipes)
    }
}

/// Opens a pseudo-terminal: the master, and the terminal for the child. It passes output on unchanged,
/// because the terminal of this process does all processing.
fn open_pty(size: Option<Winsize>) -> io::Result<(OwnedFd, OwnedFd)> {
    let master = open_pty_master()?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
    let mut modes = rustix::termios::tcgetattr(&terminal)?;
    modes.output_modes.remove(OutputModes::OPOST);
    rustix::termios::tcsetattr(&terminal, OptionalActions::Now, &modes)?;
    if let Some(size) = size {
        rustix::termios::tcsetwinsize(&master, size)?;
    }
    Ok((master, terminal))
}

/// Opens a new pseudo-terminal and returns its master; no child inherits it.
pub(super) fn open_pty_master() -> io::Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    return Ok(openpt(flags | OpenptFlags::CLOEXEC)?);
    #[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
    {
        // This system has no atomic way.
        let master = openpt(flags)?;
        rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC)?;
        Ok(master)
    }
}

/// The captured output of one process.
#[derive(Debug)]
pub(crate) struct ChildOutput {
    /// The pump owns a source, and closes it at its end.
    sources: Vec<Weak<OutputSource>>,
    tail: Arc<Mutex<Tail>>,
    pumps: Vec<JoinHandle<()>>,
}

impl ChildOutput {
    /// Starts to pass on what comes through the pipes, and to keep it in a log, if there is one. Calls `on_reloader` when a reloader announces itself
    /// in it.
    pub(crate) fn start(
        pipes: Vec<OutputPipe>,
        streams: &OutputStreams,
        log: Option<(&OutputLog, GenerationId)>,
        on_reloader: impl Fn(InnerReloader) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let mut output = Self { sources: Vec::new(), tail: Arc::default(), pumps: Vec::new() };
        for OutputPipe { fd, stream, closes_with_reader } in pipes {
            rustix::io::ioctl_fionbio(&fd, true)?;
            let (fd, writer) = (wait_readable(fd)?, Arc::clone(streams.writer(stream)));
            let (tail, first_lines) = (Arc::clone(&output.tail), Mutex::default());
            let log = log.map(|(log, generation)| (log.clone(), generation));
            let source = OutputSource { fd, writer, closes_with_reader, stream, log, tail, first_lines };
            let (source, on_reloader) = (Arc::new(source), on_reloader.clone());
            output.sources.push(Arc::downgrade(&source));
            output.pumps.push(tokio::spawn(async move {
                if let Err(error) = source.pump(on_reloader).await {
                    tracing::debug!(%error, "stopped reading the child's output");
                }
            }));
        }
        Ok(output)
    }

    /// Takes the bytes that are still in the pipes when the process has ended. Later output of its
    /// descendants is still passed on.
    pub(crate) fn catch_up(&self) {
        for source in self.sources.iter().filter_map(Weak::upgrade) {
            for _ in 0..MAX_LAST_READS {
                match source.read_some() {
                    Ok(1..) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    _ => break,
                }
            }
        }
    }

    /// Gives the size of this process's terminal to the child's.
    pub(crate) fn resize(&self) {
        for source in self.sources.iter().filter_map(Weak::upgrade) {
            if let Some(size) = source.writer.size() {
                // A pipe has no size.
                let _: Result<(), Errno> = rustix::termios::tcsetwinsize(source.fd.get_ref(), size);
            }
        }
    }

    /// The end of the output over both streams, at most 64 KiB.
    pub(crate) fn tail(&self) -> Vec<u8> {
        lock(&self.tail).bytes.iter().copied().collect()
    }
}

impl Drop for ChildOutput {
    fn drop(&mut self) {
        self.pumps.iter().for_each(JoinHandle::abort);
    }
}

/// The end of what a process has written, over both of its streams.
#[derive(Debug, Default)]
struct Tail {
    bytes: VecDeque<u8>,
    /// A reloader that has announced itself, until it is reported.
    new_reloader: Option<InnerReloader>,
}

impl Tail {
    fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend(&chunk[chunk.len().saturating_sub(MAX_TAIL_LENGTH)..]);
        let excess = self.bytes.len().saturating_sub(MAX_TAIL_LENGTH);
        self.bytes.drain(..excess);
    }
}

/// Looks for messages of reloaders in the first lines of a stream.
#[derive(Debug, Default)]
struct FirstLines {
    /// The beginning of the last line, which has not ended.
    line: Vec<u8>,
    scanned: usize,
}

impl FirstLines {
    fn push(&mut self, chunk: &[u8]) -> Option<InnerReloader> {
        if self.scanned > MAX_SCANNED {
            return None;
        }
        self.scanned += chunk.len();
        let mut found = None;
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            let space = MAX_LINE_LENGTH.saturating_sub(self.line.len());
            self.line.extend(part.iter().take(space));
            if part.ends_with(b"\n") {
                let line = without_escapes(&String::from_utf8_lossy(&self.line));
                found = found.or(InnerReloader::of_output(line.trim_end()));
                self.line.clear();
            }
        }
        found
    }
}

/// One captured stream of a process.
#[derive(Debug)]
struct OutputSource {
    fd: AsyncFd<OwnedFd>,
    writer: Arc<StreamWriter>,
    closes_with_reader: bool,
    stream: StdStream,
    log: Option<(OutputLog, GenerationId)>,
    tail: Arc<Mutex<Tail>>,
    first_lines: Mutex<FirstLines>,
}

impl OutputSource {
    /// Reads available bytes: `Ok(0)` at the end, `WouldBlock` if there are none now.
    fn read_some(&self) -> io::Result<usize> {
        let mut buffer = vec![0; READ_SIZE];
        // The lock is held while reading, so that the pump and `catch_up` cannot exchange two chunks.
        let mut tail = lock(&self.tail);
        let count = match rustix::io::read(self.fd.get_ref(), &mut buffer) {
            // A pseudo-terminal ends this way when no process has it open any more.
            Err(Errno::IO) => 0,
            other => other?,
        };
        buffer.truncate(count);
        tail.push(&buffer);
        tail.new_reloader = tail.new_reloader.or(lock(&self.first_lines).push(&buffer));
        if count > 0 {
            if let Some((log, generation)) = &self.log {
                log.append(*generation, self.stream, &buffer);
            }
            self.writer.push(buffer);
        }
        Ok(count)
    }

    async fn pump(&self, on_reloader: impl Fn(InnerReloader)) -> io::Result<()> {
        loop {
            self.writer.space().await;
            if self.closes_with_reader && self.writer.is_reader_gone() {
                return Ok(());
            }
            let mut ready = self.fd.readable().await?;
            match self.read_some() {
                Ok(0) => return Ok(()),
                Ok(_) => lock(&self.tail).new_reloader.take().into_iter().for_each(&on_reloader),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
