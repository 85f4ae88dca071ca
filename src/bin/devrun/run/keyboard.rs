//! The terminal on standard input: its keys while it belongs to devrun, and its end.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};

use devrun::supervise::terminal::Cbreak;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::unix::AsyncFd;

/// Maximum number of bytes that one read takes.
const READ_SIZE: usize = 64;

/// What the terminal sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// A key, as the byte of its letter in lower case.
    Key(u8),
    /// The terminal was closed.
    Hangup,
}

/// The terminal on standard input.
#[derive(Debug)]
pub(super) enum Keyboard {
    /// Standard input is not a terminal, or it is not used now.
    Unused,
    /// devrun reads keys, from when it is in the foreground.
    Own(Option<CbreakKeys>),
    /// COMMAND reads the terminal. devrun only waits for its end.
    OfChild(AsyncFd<OwnedFd>),
}

impl Keyboard {
    /// The keyboard for keys of devrun.
    pub(super) fn open() -> Self {
        if io::stdin().is_terminal() { Self::Own(CbreakKeys::open()) } else { Self::Unused }
    }

    /// The keyboard of a session in which COMMAND reads the terminal.
    pub(super) fn open_for_child() -> Self {
        let input = io::stdin().is_terminal().then(async_stdin).flatten();
        input.map_or(Self::Unused, Self::OfChild)
    }

    /// Restores the mode of the terminal before devrun is suspended.
    pub(super) fn suspend(&mut self) {
        if let Self::Own(Some(keys)) = self {
            keys.suspend();
        }
    }

    /// Sets the mode for keys again if devrun is in the foreground. Call it often, because a shell can put
    /// devrun into the foreground without a signal.
    pub(super) fn resume(&mut self) {
        match self {
            Self::Own(Some(keys)) => keys.resume(),
            Self::Own(none) => *none = CbreakKeys::open(),
            Self::OfChild(_) | Self::Unused => {}
        }
    }

    /// Waits for the next key or for the end of the terminal. Cancel-safe.
    pub(super) async fn next(&mut self) -> Input {
        match self {
            Self::Own(Some(keys)) => Input::Key(keys.next().await),
            Self::OfChild(input) => {
                wait_for_hangup(input).await;
                *self = Self::Unused;
                Input::Hangup
            }
            Self::Own(None) | Self::Unused => std::future::pending().await,
        }
    }
}

/// A terminal in cbreak mode: keys arrive without Enter.
#[derive(Debug)]
pub(super) struct CbreakKeys {
    input: AsyncFd<OwnedFd>,
    mode: Cbreak,
    /// Whether cbreak mode is set. While devrun is suspended, the shell has set its own mode.
    is_set: bool,
    parser: KeyParser,
    /// Keys that were read and not returned yet.
    pending: VecDeque<u8>,
}

impl CbreakKeys {
    /// `None` unless devrun is in the foreground.
    fn open() -> Option<Self> {
        let stdin = io::stdin();
        if !in_foreground(&stdin) {
            return None;
        }
        Some(Self {
            input: async_stdin()?,
            mode: Cbreak::enter().ok()?,
            is_set: true,
            parser: KeyParser::default(),
            pending: VecDeque::new(),
        })
    }

    fn suspend(&mut self) {
        self.mode.suspend();
        self.is_set = false;
    }

    fn resume(&mut self) {
        // A closed terminal cannot be set. SIGHUP then ends devrun.
        self.is_set = self.is_set || self.mode.resume().is_ok();
    }

    async fn next(&mut self) -> u8 {
        loop {
            if let Some(key) = self.pending.pop_front() {
                return key;
            }
            let Ok(mut ready) = self.input.readable().await else { return std::future::pending().await };
            ready.clear_ready();
            // A closed terminal stays readable forever without data. SIGHUP ends devrun.
            if !self.read() {
                return std::future::pending().await;
            }
        }
    }

    /// Reads what is there. Returns false once the terminal is closed.
    ///
    /// The descriptor is shared with COMMAND and must stay blocking, so `poll` tells first whether there is
    /// data. In the background a read would stop devrun by SIGTTIN.
    fn read(&mut self) -> bool {
        let terminal = self.input.get_ref();
        let mut descriptors = [PollFd::new(terminal, PollFlags::IN)];
        if poll(&mut descriptors, Some(&Timespec::default())).is_err() {
            return true;
        }
        let events = descriptors[0].revents();
        if events.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return false;
        }
        if !events.contains(PollFlags::IN) || !in_foreground(terminal) {
            return true;
        }
        let mut bytes = [0; READ_SIZE];
        match rustix::io::read(terminal, &mut bytes) {
            Ok(0) => false,
            Ok(length) => {
                self.pending.extend(bytes[..length].iter().filter_map(|byte| self.parser.parse(*byte)));
                self.parser.end_of_read();
                true
            }
            Err(error) => matches!(error, rustix::io::Errno::INTR | rustix::io::Errno::AGAIN),
        }
    }
}

/// Waits until a terminal that COMMAND reads is closed, because the kernel sends SIGHUP only to COMMAND then. Reads
/// nothing, because the input belongs to COMMAND. Cancel-safe.
async fn wait_for_hangup(input: &AsyncFd<OwnedFd>) {
    loop {
        let Ok(mut ready) = input.readable().await else { return std::future::pending().await };
        ready.clear_ready();
        // Only macOS needs `HUP` as a requested event; other systems always report it.
        let mut descriptors = [PollFd::new(input, PollFlags::HUP)];
        let _ = poll(&mut descriptors, Some(&Timespec::default()));
        if descriptors[0].revents().contains(PollFlags::HUP) {
            return;
        }
    }
}

/// A duplicate of standard input for the event loop. Dropping it does not close standard input.
fn async_stdin() -> Option<AsyncFd<OwnedFd>> {
    let input = io::stdin().as_fd().try_clone_to_owned().ok()?;
    // Deprecated for types that can change their descriptor. `OwnedFd` cannot, and the replacement is unsafe.
    #[expect(deprecated)]
    AsyncFd::new(input).ok()
}

fn in_foreground(terminal: impl AsFd) -> bool {
    // The library compares the process groups, because in a PID namespace devrun's own group may have no
    // number.
    rustix::termios::tcgetpgrp(terminal).is_ok() && devrun::supervise::terminal::in_foreground()
}

/// Finds the keys in the bytes that a terminal sends.
///
/// Arrow and function keys send several bytes, and so does a terminal that answers a query of COMMAND. The
/// letters among these bytes are not keys (ECMA-48, section 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum KeyParser {
    #[default]
    Ground,
    /// After `ESC`.
    Escape,
    /// After `ESC [`: a control sequence, which ends with a letter.
    ControlSequence,
    /// After `ESC O`: one more byte.
    SingleShift,
    /// After `ESC ]`, `ESC P` and similar: a string, which ends with BEL or `ESC \`.
    String,
}

impl KeyParser {
    /// The key of the next byte, in lower case.
    fn parse(&mut self, byte: u8) -> Option<u8> {
        let before = *self;
        *self = match (before, byte) {
            (_, 0x1b) => Self::Escape,
            (Self::Escape, b'[') => Self::ControlSequence,
            (Self::Escape, b'O') => Self::SingleShift,
            (Self::Escape, b']' | b'P' | b'_' | b'^' | b'X') => Self::String,
            (Self::ControlSequence, 0x20..=0x3f) => Self::ControlSequence,
            (Self::String, byte) if byte != 0x07 => Self::String,
            _ => Self::Ground,
        };
        (before == Self::Ground && byte != 0x1b).then(|| byte.to_ascii_lowercase())
    }

    /// The end of the bytes that arrived together. A lone `ESC` is the key Esc and begins no sequence.
    fn end_of_read(&mut self) {
        if *self == Self::Escape {
            *self = Self::Ground;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(reads: &[&[u8]]) -> Vec<u8> {
        let mut parser = KeyParser::default();
        let mut keys = Vec::new();
        for bytes in reads {
            keys.extend(bytes.iter().filter_map(|byte| parser.parse(*byte)));
            parser.end_of_read();
        }
        keys
    }

    #[test]
    fn a_sequence_may_arrive_in_pieces_and_a_lone_escape_begins_none() {
        assert_eq!(parse(&[b"\x1b[12;", b"40R", b"w"]), *b"w");
        assert_eq!(parse(&[b"\x1b", b"q"]), *b"q");
    }
}
