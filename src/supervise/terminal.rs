//! What a program around a supervisor needs of its terminal and of its own signals.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};

use super::os;
use super::signal::Signal;

/// Keys without Enter and without echo on the terminal of standard input; Ctrl-C and Ctrl-Z stay signals.
///
/// Dropped, it puts the terminal back as it was.
#[derive(Debug)]
pub struct Cbreak {
    before: Termios,
}

impl Cbreak {
    /// Begins.
    ///
    /// # Errors
    /// If standard input is no terminal, or if this process is not in its foreground.
    pub fn enter() -> io::Result<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() || !in_foreground() {
            return Err(io::Error::from(io::ErrorKind::NotConnected));
        }
        let cbreak = Self { before: tcgetattr(stdin.as_fd())? };
        cbreak.resume()?;
        Ok(cbreak)
    }

    /// Puts the terminal back as it was, for example before this process stops itself.
    pub fn suspend(&self) {
        if in_foreground() {
            let _ = set(&self.before);
        }
    }

    /// Goes on after [`Cbreak::suspend`].
    ///
    /// # Errors
    /// If the terminal is gone, or if this process is not in its foreground now.
    pub fn resume(&self) -> io::Result<()> {
        if !in_foreground() {
            return Err(io::Error::from(io::ErrorKind::NotConnected));
        }
        let mut keys = self.before.clone();
        // Without the last one the child may write although it is in the background, whatever the terminal says.
        keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::TOSTOP);
        keys.special_codes[SpecialCodeIndex::VMIN] = 1;
        keys.special_codes[SpecialCodeIndex::VTIME] = 0;
        set(&keys)
    }
}

impl Drop for Cbreak {
    fn drop(&mut self) {
        self.suspend();
    }
}

fn set(to: &Termios) -> io::Result<()> {
    // At once: a terminal whose output is held (Ctrl-S) must not hold up the supervisor.
    os::terminal::from_background(|| Ok(tcsetattr(io::stdin().as_fd(), OptionalActions::Now, to)?))
}

/// Whether this process may read from the terminal on its standard input.
#[must_use]
pub fn in_foreground() -> bool {
    tcgetpgrp(io::stdin().as_fd()).is_ok_and(|group| group.as_raw_nonzero().get() == os::unix::own_group())
}

/// Ends this process by a signal, as if it had never been caught, so that a shell sees what happened. Returns only if the
/// signal does not end it: then exit with 128 plus its number.
pub fn die_by(signal: Signal) {
    os::terminal::die_by(signal);
}

/// Stops this process, as Ctrl-Z does with a program that does not care; returns when it goes on.
pub fn stop_self() {
    os::terminal::stop_self();
}

/// Stops this process and the others of its group, as Ctrl-Z does when the terminal is theirs: for when only the child that
/// owns the terminal has noticed it. Returns when it goes on.
pub fn stop_group() {
    os::terminal::stop_others();
    os::terminal::stop_self();
}

/// Whether this process ignores a signal: as asked by `nohup`, or by a shell that starts it with `&`. To be asked before
/// handlers are installed.
#[must_use]
pub fn is_ignored(signal: Signal) -> bool {
    os::terminal::is_ignored(signal)
}
