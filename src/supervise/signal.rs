//! Signals by number and by name.

use std::fmt;
use std::str::FromStr;

/// A signal, by its number on this platform.
///
/// ```
/// use devrun::supervise::Signal;
///
/// assert_eq!("SIGTERM".parse(), Ok(Signal::TERM));
/// assert_eq!("int".parse(), Ok(Signal::INT));
/// assert_eq!(Signal::from_number(9).map(|signal| signal.to_string()).as_deref(), Some("SIGKILL"));
/// assert!("SIGNAL".parse::<Signal>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(i32);

const NAMES: &[(&str, i32)] = &[
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("SYS", libc::SIGSYS),
];

impl Signal {
    /// Asks a process to end.
    pub const TERM: Self = Self(libc::SIGTERM);
    /// Interrupts from the keyboard (Ctrl-C).
    pub const INT: Self = Self(libc::SIGINT);
    /// Kills; cannot be caught.
    pub const KILL: Self = Self(libc::SIGKILL);
    /// The terminal is gone (hang-up).
    pub const HUP: Self = Self(libc::SIGHUP);
    /// Stops from the keyboard (Ctrl-Z); can be caught.
    pub const TSTP: Self = Self(libc::SIGTSTP);
    /// Stops a background process that reads from the terminal.
    pub const TTIN: Self = Self(libc::SIGTTIN);
    /// Stops a background process that writes to the terminal or changes its modes.
    pub const TTOU: Self = Self(libc::SIGTTOU);
    /// The size of the terminal has changed.
    pub const WINCH: Self = Self(libc::SIGWINCH);
    /// Stops; cannot be caught.
    pub const STOP: Self = Self(libc::SIGSTOP);
    /// Continues a stopped process.
    pub const CONT: Self = Self(libc::SIGCONT);
    /// Quits from the keyboard (Ctrl-\).
    pub const QUIT: Self = Self(libc::SIGQUIT);

    /// The signal with this number, if it is one of the named ones.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        NAMES.iter().any(|(_, known)| *known == number).then_some(Self(number))
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    /// `SIGTERM`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl FromStr for Signal {
    type Err = String;

    /// `SIGTERM`, `TERM`, `term` or `15`.
    fn from_str(text: &str) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
        let known = NAMES.iter().find(|(name, number)| *name == bare || number.to_string() == bare);
        known.map(|(_, number)| Self(*number)).ok_or_else(|| {
            format!("no signal is called `{text}`; a name such as SIGTERM, INT or HUP, or a number")
        })
    }
}
