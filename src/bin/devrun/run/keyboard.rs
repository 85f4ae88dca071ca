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
    /// Enter: room between what was and what comes.
    Room,
}

/// Where in an escape sequence what is typed stands: an arrow or a function key is several characters, letters among them, and
/// so is the answer of the terminal to something that COMMAND has asked it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Typing {
    #[default]
    Plain,
    /// After `ESC`.
    Escape,
    /// After `ESC [`, up to a letter.
    Sequence,
    /// After `ESC O`: one more.
    Shift,
    /// After `ESC ]`, `ESC P` and the like, up to a bell or an `ESC \`.
    Text,
}

impl Typing {
    /// What the next character means.
    fn key(&mut self, byte: u8) -> Option<Key> {
        let before = *self;
        *self = match (before, byte) {
            (_, 0x1b) => Self::Escape,
            (Self::Escape, b'[') => Self::Sequence,
            (Self::Escape, b'O') => Self::Shift,
            (Self::Escape, b']' | b'P' | b'_' | b'^' | b'X') => Self::Text,
            (Self::Sequence, 0x20..=0x3f) => Self::Sequence,
            (Self::Text, byte) if byte != 0x07 => Self::Text,
            _ => Self::Plain,
        };
        if before == Self::Plain { key(byte) } else { None }
    }

    /// Nothing more has come with it: the key `Esc` by itself begins nothing.
    fn pause(&mut self) {
        if *self == Self::Escape {
            *self = Self::Plain;
        }
    }
}

/// What `?` shows.
pub(crate) const HELP: &str = "r restart now, p pause or resume, w why did it restart, q quit, ? this help";

/// What comes from the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Typed {
    /// A key.
    Key(Key),
    /// The end of the terminal.
    Gone,
}

/// The terminal on standard input: devrun's for its keys, or the child's.
#[derive(Debug)]
pub(crate) enum Keyboard {
    /// Devrun's, as soon as it is in the foreground.
    Own(Option<Keys>),
    /// The child's: its end is all that matters.
    Lent(Option<Hangup>),
}

impl Keyboard {
    /// None of anybody's, and the terminal as it was.
    pub(crate) fn none() -> Self {
        Self::Lent(None)
    }

    /// The keyboard for a session whose child owns the terminal, or does not.
    pub(crate) fn open(lent: bool) -> Self {
        if !io::stdin().is_terminal() {
            // It never will be one.
            return Self::none();
        }
        match lent {
            true => Self::Lent(Hangup::open()),
            false => Self::Own(Keys::open()),
        }
    }

    /// Gives the terminal back as it was, before devrun is suspended.
    pub(crate) fn suspend(&mut self) {
        if let Self::Own(Some(keys)) = self {
            keys.suspend();
        }
    }

    /// Takes the keys if devrun is in the foreground now and was not before: a shell does not always tell.
    pub(crate) fn take(&mut self) {
        match self {
            Self::Own(Some(keys)) => keys.resume(),
            Self::Own(none) => *none = Keys::open(),
            Self::Lent(_) => {}
        }
    }

    /// Waits for the next key that means something, or for the end. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Typed {
        match self {
            Self::Own(Some(keys)) => Typed::Key(keys.next().await),
            Self::Lent(Some(hangup)) => {
                hangup.next().await;
                *self = Self::none();
                Typed::Gone
            }
            Self::Own(None) | Self::Lent(None) => std::future::pending().await,
        }
    }
}

/// The keyboard, while the terminal is devrun's.
#[derive(Debug)]
pub(crate) struct Keys {
    input: AsyncFd<OwnedFd>,
    mode: Cbreak,
    /// The terminal is in this mode; otherwise it is a shell's.
    taken: bool,
    typing: Typing,
    /// Read and not yet returned.
    pending: VecDeque<Key>,
}

impl Keys {
    /// Takes the keyboard of the terminal on standard input if devrun is in its foreground; `None` otherwise.
    fn open() -> Option<Self> {
        let stdin = io::stdin();
        if !in_foreground(&stdin) {
            return None;
        }
        Some(Self {
            input: input()?,
            mode: Cbreak::enter().ok()?,
            taken: true,
            typing: Typing::default(),
            pending: VecDeque::new(),
        })
    }

    fn suspend(&mut self) {
        self.mode.suspend();
        self.taken = false;
    }

    fn resume(&mut self) {
        // A terminal that is gone has no keys; its hangup tells the rest.
        self.taken = self.taken || self.mode.resume().is_ok();
    }

    async fn next(&mut self) -> Key {
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
                self.pending.extend(bytes[..read].iter().filter_map(|byte| self.typing.key(*byte)));
                self.typing.pause();
                true
            }
            Err(error) => matches!(error, rustix::io::Errno::INTR | rustix::io::Errno::AGAIN),
        }
    }
}

/// The terminal while the child owns it: when its window is closed, the kernel tells the child alone.
#[derive(Debug)]
pub(crate) struct Hangup {
    input: AsyncFd<OwnedFd>,
}

impl Hangup {
    /// Of the terminal on standard input.
    fn open() -> Option<Self> {
        input().map(|input| Self { input })
    }

    /// Waits until the terminal is gone. Reads nothing: what is typed is for the child. Cancel-safe.
    async fn next(&self) {
        loop {
            let Ok(mut ready) = self.input.readable().await else { return std::future::pending().await };
            ready.clear_ready();
            // Everywhere but on macOS its end is told without being asked for.
            let mut waiting = [PollFd::new(&self.input, PollFlags::HUP)];
            let _ = poll(&mut waiting, Some(&rustix::event::Timespec::default()));
            if waiting[0].revents().contains(PollFlags::HUP) {
                return;
            }
        }
    }
}

/// Standard input, to be waited for. A duplicate: dropped, it closes nothing.
fn input() -> Option<AsyncFd<OwnedFd>> {
    let input = io::stdin().as_fd().try_clone_to_owned().ok()?;
    // Deprecated for types whose descriptor may change under it; an owned one does not, and the successor is unsafe.
    #[expect(deprecated)]
    AsyncFd::new(input).ok()
}

fn key(byte: u8) -> Option<Key> {
    match byte.to_ascii_lowercase() {
        b'r' => Some(Key::Restart),
        b'p' => Some(Key::Pause),
        b'w' => Some(Key::Why),
        b'q' => Some(Key::Quit),
        b'?' | b'h' => Some(Key::Help),
        b'\n' | b'\r' => Some(Key::Room),
        _ => None,
    }
}

fn in_foreground(terminal: impl AsFd) -> bool {
    // The comparison is the library's: in a PID namespace our own group may have no number.
    rustix::termios::tcgetpgrp(terminal).is_ok() && devrun::supervise::terminal::in_foreground()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(reads: &[&[u8]]) -> Vec<Key> {
        let mut typing = Typing::default();
        let mut keys = Vec::new();
        for bytes in reads {
            keys.extend(bytes.iter().filter_map(|byte| typing.key(*byte)));
            typing.pause();
        }
        keys
    }

    #[test]
    fn letters_are_keys() {
        assert_eq!(typed(&[b"rQ?"]), [Key::Restart, Key::Quit, Key::Help]);
    }

    #[test]
    fn letters_in_escape_sequences_are_none() {
        // Arrows, F2 (`Q`), F5, Alt-q, a mouse, where the cursor is (`R`), what colour the background has.
        let sequences: [&[u8]; 7] = [
            b"\x1b[A",
            b"\x1bOQ",
            b"\x1b[15~",
            b"\x1bq",
            b"\x1b[<0;10;5M",
            b"\x1b[12;40R",
            b"\x1b]11;rgb:0000/0000/0000\x1b\\",
        ];
        for sequence in sequences {
            assert_eq!(typed(&[sequence, b"w"]), [Key::Why], "{sequence:?}");
        }
        assert_eq!(typed(&[b"\x1b[12;", b"40R", b"w"]), [Key::Why]);
    }

    #[test]
    fn the_escape_key_by_itself_swallows_nothing() {
        assert_eq!(typed(&[b"\x1b", b"q"]), [Key::Quit]);
    }
}
