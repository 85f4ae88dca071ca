//! Suspends devrun itself after COMMAND has been suspended.

use devrun::supervise::terminal;

/// Who asked for a suspension.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobControl {
    /// COMMAND was stopped from outside, for example by Ctrl-Z in a terminal that it owns.
    #[default]
    ByChild,
    /// devrun received SIGTSTP.
    BySignal,
}

impl JobControl {
    /// Whether devrun may be suspended. As the first process of a container it may not, because no process
    /// would continue it.
    pub(super) fn can_suspend() -> bool {
        std::process::id() != 1
    }

    /// COMMAND has been suspended. Stops this process until SIGCONT arrives.
    pub(super) fn child_suspended(&mut self) {
        match std::mem::take(self) {
            Self::BySignal => terminal::stop_self(),
            Self::ByChild => terminal::stop_group(),
        }
    }
}
