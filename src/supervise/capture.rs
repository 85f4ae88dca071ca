//! What a captured child writes into: a pipe, or a terminal where ours is one, so that it looks and behaves as if it wrote to
//! ours directly.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{grantpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize};

use super::options::Capture;
use super::os::terminal::new_terminal;
use super::os::unix::pipe;
use super::streams::{OutputStreams, StdStream};

/// The ends of a child's output.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Ours, and where it goes.
    pub(super) ours: Vec<(OwnedFd, StdStream)>,
    /// The child's standard output and error, where they are not our own.
    pub(super) theirs: [Option<OwnedFd>; 2],
}

impl Ends {
    pub(super) fn open(capture: Capture, streams: Option<&OutputStreams>) -> io::Result<Self> {
        let mut ends = Self::default();
        let Some(streams) = streams.filter(|_| capture != Capture::No) else { return Ok(ends) };
        if streams.is_one()
            && let Ok((ours, theirs)) = terminal(streams.writer(StdStream::Err).size())
        {
            ends.theirs = [Some(theirs.try_clone()?), Some(theirs)];
            ends.ours.push((ours, StdStream::Err));
            return Ok(ends);
        }
        for (at, stream) in [StdStream::Out, StdStream::Err].into_iter().enumerate() {
            let sink = streams.writer(stream);
            let terminal = if sink.is_terminal() { terminal(sink.size()).ok() } else { None };
            // Where the system has no terminals to give, a pipe has to do for what must be captured.
            let (ours, theirs) = match (terminal, capture) {
                (Some(both), _) => both,
                (None, Capture::All) => pipe()?,
                (None, _) => continue,
            };
            ends.ours.push((ours, stream));
            ends.theirs[at] = Some(theirs);
        }
        Ok(ends)
    }
}

/// A terminal that passes on what is written as it is: the one behind it does the rest.
fn terminal(size: Option<Winsize>) -> io::Result<(OwnedFd, OwnedFd)> {
    let ours = new_terminal()?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
    let mut modes = rustix::termios::tcgetattr(&theirs)?;
    modes.output_modes.remove(OutputModes::OPOST);
    rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &modes)?;
    if let Some(size) = size {
        rustix::termios::tcsetwinsize(&ours, size)?;
    }
    Ok((ours, theirs))
}
