//! Keys on a terminal that the child does not own: one letter, no Enter.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};

use devrun::supervise::terminal::Cbreak;
use rustix::event::{PollFd, PollFlags, poll};
use tokio::io::unix::AsyncFd;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// `r`: restart now.
    Restart,
    /// `p`: pause watching, or go on.
    Pause,
    /// `w`: why did it restart.
    Why,
    /// `q`: quit.
    Quit,
    /// `?` or `h`: which keys there are.
    Help,
}

/// What `?` shows.
pub(crate) const HELP: &str = "r restart now, p pause or resume, w why did it restart, q quit, ? this help";

/// The keyboard, while the terminal is devrun's.
#[derive(Debug)]
pub(crate) struct Keys {
    input: AsyncFd<OwnedFd>,
    mode: Cbreak,
    /// Read and not yet returned.
    pending: VecDeque<Key>,
}

impl Keys {
    /// Takes the keyboard if standard input is a terminal and devrun is in its foreground; `None` otherwise.
    pub(crate) fn open() -> Option<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() || !in_foreground(&stdin) {
            return None;
        }
        // Deprecated for types whose descriptor may change under it; an owned one does not, and the successor is unsafe.
        #[expect(deprecated)]
        let input = AsyncFd::new(stdin.as_fd().try_clone_to_owned().ok()?).ok()?;
        Some(Self { input, mode: Cbreak::enter().ok()?, pending: VecDeque::new() })
    }

    /// Gives the terminal back as it was, before devrun is suspended.
    pub(crate) fn suspend(&mut self) {
        self.mode.suspend();
    }

    /// Takes the keyboard again after that, if devrun is in the foreground.
    pub(crate) fn resume(&mut self) {
        if in_foreground(self.input.get_ref()) {
            // A terminal that is gone has no keys; its hangup tells the rest.
            let _ = self.mode.resume();
        }
    }

    /// Waits for the next key that means something. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Key {
        loop {
            if let Some(key) = self.pending.pop_front() {
                return key;
            }
            let Ok(mut ready) = self.input.readable().await else { return std::future::pending().await };
            ready.clear_ready();
            // A terminal that is gone is readable for ever, and says nothing more; SIGHUP tells the rest.
            if !self.read() {
                return std::future::pending().await;
            }
        }
    }

    /// Reads what was typed; false once the terminal is gone. Never blocks: the descriptor is shared with the child
    /// and must stay a blocking one, so the terminal is asked first; and in the background a read would stop devrun
    /// with SIGTTIN.
    fn read(&mut self) -> bool {
        let terminal = self.input.get_ref();
        let mut waiting = [PollFd::new(terminal, PollFlags::IN)];
        if poll(&mut waiting, Some(&rustix::event::Timespec::default())).is_err() {
            return true;
        }
        let seen = waiting[0].revents();
        if seen.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return false;
        }
        if !seen.contains(PollFlags::IN) || !in_foreground(terminal) {
            return true;
        }
        let mut bytes = [0; 64];
        match rustix::io::read(terminal, &mut bytes) {
            Ok(0) => false,
            Ok(read) => {
                self.pending.extend(bytes[..read].iter().copied().filter_map(key));
                true
            }
            Err(error) => matches!(error, rustix::io::Errno::INTR | rustix::io::Errno::AGAIN),
        }
    }
}

fn key(byte: u8) -> Option<Key> {
    match byte.to_ascii_lowercase() {
        b'r' => Some(Key::Restart),
        b'p' => Some(Key::Pause),
        b'w' => Some(Key::Why),
        b'q' => Some(Key::Quit),
        b'?' | b'h' => Some(Key::Help),
        _ => None,
    }
}

fn in_foreground(terminal: impl AsFd) -> bool {
    // The comparison is the library's: in a PID namespace our own group may have no number.
    rustix::termios::tcgetpgrp(terminal).is_ok() && devrun::supervise::terminal::in_foreground()
}
