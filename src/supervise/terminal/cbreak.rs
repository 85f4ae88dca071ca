//! Single keys from the terminal.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use rustix::termios::{LocalModes, SpecialCodeIndex, Termios, tcgetattr};

use crate::supervise::sys::terminal::{is_in_foreground, set_modes};

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
        if !stdin.is_terminal() || !is_in_foreground() {
            return Err(io::Error::from(io::ErrorKind::NotConnected));
        }
        let cbreak = Self { before: tcgetattr(stdin.as_fd())? };
        cbreak.resume()?;
        Ok(cbreak)
    }

    /// Restores the terminal, for example before this process stops itself.
    pub fn suspend(&self) {
        if is_in_foreground() {
            let _ = set_modes(&self.before);
        }
    }

    /// Enters the mode again after [`Cbreak::suspend`].
    ///
    /// # Errors
    /// If the terminal is gone, or if this process is not in its foreground now.
    pub fn resume(&self) -> io::Result<()> {
        if !is_in_foreground() {
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
