//! Which process group has the terminal: that of a child that reads from it, or that of this process.
//!
//! A shell does the same for its jobs. The terminal is never taken from another group: after `bg` it is the
//! shell's.

use std::io;
use std::os::fd::AsFd;

use rustix::termios::{Termios, tcgetattr};

use crate::supervise::sys::signals::own_group;
use crate::supervise::sys::terminal::{foreground_group, set_foreground_group, set_modes};

/// The terminal on standard input, passed between this process and its children.
#[derive(Debug)]
pub(super) struct Foreground {
    /// Modes before a child had the terminal.
    before: Option<Termios>,
    /// Modes of a child that was stopped while it had the terminal.
    of_stopped_child: Option<Termios>,
    /// The child that has the terminal; it leads its group.
    owner: Option<i32>,
}

impl Foreground {
    /// Remembers the modes of the terminal before the first child gets it.
    pub(super) fn new() -> Self {
        Self { before: tcgetattr(io::stdin().as_fd()).ok(), of_stopped_child: None, owner: None }
    }

    /// A child was started as the foreground group.
    pub(super) fn child_started(&mut self, pid: i32) {
        self.owner = Some(pid);
    }

    /// Gives the terminal to a child, if this process or one of its children has it. Returns whether the
    /// child has it now.
    pub(super) fn give_to(&mut self, pid: i32) -> bool {
        let Some(now) = foreground_group() else { return false };
        if now != own_group() && self.owner != Some(now) {
            return false;
        }
        if let Some(modes) = self.of_stopped_child.take() {
            let _ = set_modes(&modes);
        }
        self.owner = Some(pid);
        set_foreground_group(pid)
    }

    /// Whether this child has the terminal.
    pub(super) fn is_owned_by(&self, pid: i32) -> bool {
        self.owner == Some(pid) && foreground_group() == Some(pid)
    }

    /// A child was stopped. If it had the terminal, a shell takes it now, and the modes are kept until the
    /// child continues.
    pub(super) fn child_stopped(&mut self, pid: i32) {
        if self.is_owned_by(pid) {
            self.of_stopped_child = tcgetattr(io::stdin().as_fd()).ok();
            self.restore();
        }
    }

    /// A child has ended. If it had the terminal, the modes from before are restored.
    pub(super) fn child_ended(&mut self, pid: i32) {
        if self.owner == Some(pid) {
            self.finish();
        }
    }

    /// No child needs the terminal any more.
    pub(super) fn finish(&mut self) {
        let Some(owner) = self.owner else { return };
        self.of_stopped_child = None;
        if self.is_owned_by(owner) {
            self.restore();
        }
        self.owner = None;
    }

    fn restore(&self) {
        set_foreground_group(own_group());
        if let Some(before) = &self.before {
            let _ = set_modes(before);
        }
    }
}
