//! The number of a process.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// The number of a process, or of the group or session that this process leads. 0 stands for a leader outside of
/// this process's PID namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Pid(i32);

impl Pid {
    /// The number as a system call returns it.
    pub(crate) const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The number of this process.
    pub(crate) fn own() -> Self {
        Self(std::process::id().cast_signed())
    }

    /// The number of a child.
    pub(crate) fn of_child(child: &std::process::Child) -> Self {
        Self(child.id().cast_signed())
    }

    /// The number as a system call takes it.
    pub(crate) const fn number(self) -> i32 {
        self.0
    }

    /// The number as the public interface has it.
    pub(crate) const fn to_u32(self) -> u32 {
        self.0.cast_unsigned()
    }

    /// The number for rustix; `None` for 0.
    pub(crate) fn to_rustix(self) -> Option<rustix::process::Pid> {
        rustix::process::Pid::from_raw(self.0.max(0))
    }
}

impl From<rustix::process::Pid> for Pid {
    fn from(pid: rustix::process::Pid) -> Self {
        Self(pid.as_raw_nonzero().get())
    }
}

impl FromStr for Pid {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
