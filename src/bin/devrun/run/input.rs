//! The terminal on standard input: the commands that the user types while it belongs to devrun, and its end.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// Size of one read, and maximum length of a line. A longer line is no command.
const MAX_LINE: usize = 4096;

/// What the terminal sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Restart,
    TogglePause,
    ExplainRestarts,
    Quit,
    Help,
    /// A line that is no command, probably meant for COMMAND.
    OtherLine,
    /// The terminal was closed.
    Hangup,
}

impl Input {
    /// The meaning of a line; `None` if it is empty. Escape sequences do not count: they are keys such as F2, and
    /// replies of the terminal to COMMAND.
    fn parse(line: &[u8]) -> Option<Self> {
        Some(match without_escape_sequences(line).trim_ascii().to_ascii_lowercase().as_slice() {
            b"" => return None,
            b"r" => Self::Restart,
            b"p" => Self::TogglePause,
            b"w" => Self::ExplainRestarts,
            b"q" => Self::Quit,
            b"h" | b"?" => Self::Help,
            _ => Self::OtherLine,
        })
    }
}

/// The bytes of a line that belong to no escape sequence.
fn without_escape_sequences(mut line: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    while let Some(at) = line.iter().position(|byte| *byte == 0x1b) {
        kept.extend(&line[..at]);
        let rest = &line[at + 1..];
        let end = match rest.first() {
            // `ESC [ … LETTER`
            Some(b'[') => rest.iter().skip(1).position(|byte| (0x40..0x7f).contains(byte)).map(|end| end + 2),
            // `ESC ] … BEL`, or `ESC \` in the place of BEL, which is a sequence of its own.
            Some(b']' | b'P' | b'_') => {
                let end = rest.iter().position(|byte| matches!(byte, 0x07 | 0x1b));
                end.map(|end| end + usize::from(rest[end] == 0x07))
            }
            Some(b'O') => Some(2),
            _ => Some(1),
        };
        line = rest.get(end.unwrap_or(rest.len())..).unwrap_or_default();
    }
    kept.extend(line);
    kept
}

/// The terminal on standard input.
#[derive(Debug)]
pub(super) enum TerminalInput {
    /// Standard input is not a terminal, or it is not used now.
    Unused,
    /// devrun reads lines while it is in the foreground.
    Own(Lines),
    /// COMMAND reads the terminal. devrun only waits for its end.
    OfChild(AsyncFd<OwnedFd>),
}

impl TerminalInput {
    /// The terminal for commands to devrun.
    pub(super) fn open() -> Self {
        async_terminal().map_or(Self::Unused, |terminal| Self::Own(Lines { terminal, bytes: Vec::new() }))
    }

    /// The terminal of a session in which COMMAND reads it.
    pub(super) fn open_for_child() -> Self {
        async_terminal().map_or(Self::Unused, Self::OfChild)
    }

    /// Whether devrun reads commands.
    pub(super) fn takes_commands(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// Waits for the next line or for the end of the terminal. Cancel-safe.
    pub(super) async fn next(&mut self) -> Input {
        match self {
            Self::Own(lines) => {
                if let Some(input) = lines.next().await {
                    return input;
                }
                // The kernel sends SIGHUP to a devrun that the closed terminal controlled.
                *self = Self::Unused;
            }
            Self::OfChild(terminal) => {
                wait_for_hangup(terminal).await;
                *self = Self::Unused;
                return Input::Hangup;
            }
            Self::Unused => {}
        }
        std::future::pending().await
    }
}

/// Lines from a terminal in its ordinary mode, in which the kernel edits and echoes a line until Enter.
#[derive(Debug)]
pub(super) struct Lines {
    terminal: AsyncFd<OwnedFd>,
    /// What was read after the last complete line: Ctrl-D ends a read, but no line.
    bytes: Vec<u8>,
}

impl Lines {
    /// The meaning of the next line; `None` once the terminal is closed.
    async fn next(&mut self) -> Option<Input> {
        loop {
            while let Some(end) = self.bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                if let Some(input) = Input::parse(&line) {
                    return Some(input);
                }
            }
            // Reads before it waits: a line may have arrived while devrun was in the background.
            if !self.read().ok()? {
                self.terminal.readable().await.ok()?.clear_ready();
            }
        }
    }

    /// Reads one line, or a part of it. Returns whether there was something to read.
    ///
    /// The descriptor is shared with COMMAND and must stay blocking, so `poll` tells first whether there is
    /// data. In the background a read would stop devrun by SIGTTIN.
    fn read(&mut self) -> Result<bool, Errno> {
        let events = poll_now(&self.terminal, PollFlags::IN)?;
        if events.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Err(Errno::IO);
        }
        if !events.contains(PollFlags::IN) || !devrun::supervise::terminal::in_foreground() {
            return Ok(false);
        }
        let mut bytes = [0; MAX_LINE];
        // Ctrl-D on an empty line reads nothing, and the terminal goes on.
        let length = rustix::io::retry_on_intr(|| rustix::io::read(&self.terminal, &mut bytes))?;
        self.bytes.extend(&bytes[..length]);
        let surplus = self.bytes.len().saturating_sub(MAX_LINE);
        self.bytes.drain(..surplus);
        Ok(true)
    }
}

/// Waits until a terminal that COMMAND reads is closed, because the kernel sends SIGHUP only to COMMAND then. Reads
/// nothing, because the input belongs to COMMAND. Cancel-safe.
async fn wait_for_hangup(terminal: &AsyncFd<OwnedFd>) {
    loop {
        let Ok(mut ready) = terminal.readable().await else { return std::future::pending().await };
        ready.clear_ready();
        // Only macOS needs `HUP` as a requested event; other systems always report it.
        if poll_now(terminal, PollFlags::HUP).is_ok_and(|events| events.contains(PollFlags::HUP)) {
            return;
        }
    }
}

/// What can be done with a terminal without waiting. A signal interrupts `poll` even if it does not wait.
fn poll_now(terminal: &AsyncFd<OwnedFd>, wanted: PollFlags) -> Result<PollFlags, Errno> {
    let mut descriptors = [PollFd::new(terminal, wanted)];
    rustix::io::retry_on_intr(|| poll(&mut descriptors, Some(&Timespec::default())))?;
    Ok(descriptors[0].revents())
}

/// A duplicate of standard input for the event loop, if it is a terminal. Dropping it does not close standard
/// input.
fn async_terminal() -> Option<AsyncFd<OwnedFd>> {
    let stdin = io::stdin();
    let input = stdin.is_terminal().then(|| stdin.as_fd().try_clone_to_owned().ok()).flatten()?;
    // Deprecated for types that can change their descriptor. `OwnedFd` cannot, and the replacement is unsafe.
    #[expect(deprecated)]
    AsyncFd::new(input).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_letter_alone_on_its_line() {
        let meanings =
            |lines: &[&str]| -> Vec<_> { lines.iter().map(|line| Input::parse(line.as_bytes())).collect() };
        assert_eq!(meanings(&["\n", " \r"]), [None; 2]);
        let letters = ["r\n", " P \r", "w\n", "q", "h\n", "?\n"];
        use Input::*;
        let commands = [Restart, TogglePause, ExplainRestarts, Quit, Help, Help];
        assert_eq!(meanings(&letters), commands.map(Some));
        let others = ["p request.path\n", "quit\n", "rr\n", "n\n"];
        assert_eq!(meanings(&others), [Some(OtherLine); 4]);
        // F2, an arrow, Alt-q, and a sequence without its end.
        assert_eq!(meanings(&["\u{1b}OQ\n", "\u{1b}[A\n", "\u{1b}q\n", "\u{1b}[12\n"]), [None; 4]);
        // The replies of a terminal: the cursor position, and the background colour in two forms.
        let color = "\u{1b}]11;rgb:0000/0000/0000";
        let replies = ["\u{1b}[12;40R".to_owned(), format!("{color}\u{7}"), format!("{color}\u{1b}\\")];
        let lines = replies.map(|reply| format!("{reply}r\n"));
        assert_eq!(meanings(&lines.each_ref().map(String::as_str)), [Some(Restart); 3]);
    }
}
