//! The foreground group and the modes of the terminal on standard input.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use rustix::process::Pid;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp,
};

use crate::supervise::signal::Signal;
use crate::supervise::sys::signals::{self, own_group};

/// Whether this process may read from the terminal on its standard input.
#[must_use]
pub fn in_foreground() -> bool {
    foreground_group() == Some(own_group())
}

/// Foreground process group of the terminal; `None` if standard input is no terminal.
pub(super) fn foreground_group() -> Option<i32> {
    tcgetpgrp(io::stdin().as_fd()).ok().map(|group| group.as_raw_nonzero().get())
}

/// Makes a group the foreground group of the terminal. Returns whether that worked.
pub(super) fn set_foreground_group(group: i32) -> bool {
    // The group may be 0 in a PID namespace.
    Pid::from_raw(group)
        .is_some_and(|group| from_background(|| tcsetpgrp(io::stdin().as_fd(), group).is_ok()))
}

/// The modes of the terminal; `None` if standard input is no terminal.
pub(super) fn modes() -> Option<Termios> {
    tcgetattr(io::stdin().as_fd()).ok()
}

/// Sets the modes of the terminal at once: a terminal whose output is stopped (Ctrl-S) must not block the
/// supervisor.
pub(super) fn set_modes(modes: &Termios) -> io::Result<()> {
    from_background(|| Ok(tcsetattr(io::stdin().as_fd(), OptionalActions::Now, modes)?))
}

/// Runs something that would stop a background process with `SIGTTOU`.
fn from_background<T>(run: impl FnOnce() -> T) -> T {
    let before = signals::block(Signal::TTOU);
    let result = run();
    before.restore();
    result
}

/// Cbreak mode of the terminal on standard input: keys arrive without Enter and without echo, and Ctrl-C and
/// Ctrl-Z still send signals.
///
/// Dropping it restores the terminal.
#[derive(Debug)]
pub struct Cbreak {
    before: Termios,
}

impl Cbreak {
    /// Enters the mode.
    ///
    /// # Errors
    /// If standard input is no terminal, or if this process is not in its foreground.
    pub fn enter() -> io::Result<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Err(io::Error::from(io::ErrorKind::NotConnected));
        }
        let cbreak = Self { before: tcgetattr(stdin.as_fd())? };
        cbreak.resume()?;
        Ok(cbreak)
    }

    /// Restores the terminal, for example before this process stops itself.
    pub fn suspend(&self) {
        if in_foreground() {
            let _ = set_modes(&self.before);
        }
    }

    /// Enters the mode again after [`Cbreak::suspend`].
    ///
    /// # Errors
    /// If the terminal is gone, or if this process is not in its foreground now.
    pub fn resume(&self) -> io::Result<()> {
        if !in_foreground() {
            return Err(io::Error::from(io::ErrorKind::NotConnected));
        }
        let mut modes = self.before.clone();
        // The child is in the background. With TOSTOP it would be stopped for writing.
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::TOSTOP);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        set_modes(&modes)
    }
}

impl Drop for Cbreak {
    fn drop(&mut self) {
        self.suspend();
    }
}
