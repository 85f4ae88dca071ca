//! What a child writes to: a pipe, or a pseudo-terminal if this process writes to a terminal itself. A
//! program then looks and behaves as if it wrote to that terminal directly.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{grantpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize};

use crate::supervise::sys::fd::pipe;
use crate::supervise::sys::terminal::open_pty_master;

use super::capture::Capture;
use super::writer::{OutputStreams, StdStream};

/// The end of a child's output that this process reads, and the stream that the output goes to.
#[derive(Debug)]
pub(crate) struct OutputPipe {
    pub(super) fd: OwnedFd,
    pub(super) stream: StdStream,
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
            pipes.readers.push(OutputPipe { fd, stream: StdStream::Err });
            return Ok(pipes);
        }
        let ends = [(StdStream::Out, &mut pipes.child_out), (StdStream::Err, &mut pipes.child_err)];
        for (stream, child_end) in ends {
            let writer = streams.writer(stream);
            let pty = if writer.is_terminal() { open_pty(writer.size()).ok() } else { None };
            let (fd, child) = match (pty, capture) {
                (Some(pty), _) => pty,
                // If the system has no pseudo-terminal left, a pipe serves for output that must be captured.
                (None, Capture::All) => pipe()?,
                (None, _) => continue,
            };
            pipes.readers.push(OutputPipe { fd, stream });
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
