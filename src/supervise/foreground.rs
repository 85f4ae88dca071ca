//! Whose the terminal is: the child's that was given it (`--stdin inherit`), or this process's own.
//!
//! A shell does the same for its jobs. What belongs to neither is never taken: after `bg` it is the shell's.

use std::io;
use std::os::fd::AsFd;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

use super::os;

/// The terminal on standard input, as it goes from hand to hand.
#[derive(Debug, Default)]
pub(super) struct Foreground {
    /// The terminal's modes before a child had it.
    before: Option<Termios>,
    /// The modes of a child that was stopped in the middle of something.
    left: Option<Termios>,
    /// The group that has it.
    owner: Option<i32>,
}

impl Foreground {
    /// Remembers how the terminal is, before the first child gets it.
    pub(super) fn new() -> Self {
        Self { before: tcgetattr(io::stdin().as_fd()).ok(), left: None, owner: None }
    }

    /// A process that was just started has it.
    pub(super) fn given(&mut self, pid: i32) {
        self.owner = Some(pid);
    }

    /// Gives it to a group, if it is ours to give.
    pub(super) fn give(&mut self, pid: i32) -> bool {
        let Some(now) = now() else { return false };
        if now != os::unix::own_group() && self.owner != Some(now) {
            return false;
        }
        if let Some(left) = self.left.take() {
            set(&left);
        }
        self.owner = Some(pid);
        os::terminal::give(pid)
    }

    /// Whether this group has it, and is in its foreground.
    pub(super) fn has(&self, pid: i32) -> bool {
        self.owner == Some(pid) && now() == Some(pid)
    }

    /// The child that has it was stopped: a shell takes it now, and the modes are kept for the time after that.
    pub(super) fn stopped(&mut self, pid: i32) {
        if self.has(pid) {
            self.left = tcgetattr(io::stdin().as_fd()).ok();
            self.take_back();
        }
    }

    /// This process has ended: the terminal is put back as it was, whatever the child did to it.
    pub(super) fn ended(&mut self, pid: i32) {
        if self.owner == Some(pid) {
            self.finish();
        }
    }

    /// Nobody needs it any more.
    pub(super) fn finish(&mut self) {
        let Some(owner) = self.owner else { return };
        self.left = None;
        if self.has(owner) {
            self.take_back();
        }
        self.owner = None;
    }

    fn take_back(&self) {
        // A group whose leader is outside of the PID namespace has no number here, and never owned this terminal by it.
        os::terminal::give(os::unix::own_group());
        if let Some(before) = &self.before {
            set(before);
        }
    }
}

/// The group in the foreground.
fn now() -> Option<i32> {
    tcgetpgrp(io::stdin().as_fd()).ok().map(|group| group.as_raw_nonzero().get())
}

fn set(to: &Termios) {
    // At once: a terminal whose output is held (Ctrl-S) must not hold up the supervisor.
    let _ = os::terminal::from_background(|| tcsetattr(io::stdin().as_fd(), OptionalActions::Now, to));
}
