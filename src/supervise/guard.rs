//! The guard as its owner sees it: a process that kills what devrun ran when devrun is killed.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::os;

/// A process of its own that kills everything a supervisor runs if this process dies without having ended it, by `SIGKILL` for
/// example. It costs nothing while it waits.
///
/// ```no_run
/// use devrun::supervise::Guard;
/// use devrun::{Command, Options, Session};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let guard = Guard::start()?;
///     let mut options = Options::new(Command::new("python").arg("app.py"));
///     options.supervise.guard = Some(guard);
///     let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
///     runtime.block_on(async {
///         let mut session = Session::start(options).await?;
///         while session.next_event().await.is_some() {}
///         Ok(())
///     })
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Guard {
    pipe: Arc<OwnedFd>,
}

/// A guard that is on its way.
#[derive(Debug)]
#[must_use = "without `wait` nobody is guarded"]
pub struct GuardBeginning(os::guard::Beginning);

impl GuardBeginning {
    /// Waits until it is there. Before a handler for `SIGCHLD` is installed.
    ///
    /// # Errors
    /// If there is no room for a process.
    pub fn wait(self) -> io::Result<Guard> {
        Ok(Guard { pipe: Arc::new(self.0.wait()?) })
    }
}

impl Guard {
    /// Starts it by a fork: at the top of a program, before its first thread.
    ///
    /// # Errors
    /// If other threads run already (or, where the system does not tell, always), and if there is no room for a process.
    pub fn start() -> io::Result<Self> {
        Self::begin()?.wait()
    }

    /// As [`Guard::start`], but does not wait for it: a program that is quick to start has better things to do. The sooner it is
    /// forked, the less memory has to be copied.
    ///
    /// # Errors
    /// As for [`Guard::start`]; [`GuardBeginning::wait`] tells the rest.
    pub fn begin() -> io::Result<GuardBeginning> {
        os::guard::begin().map(GuardBeginning)
    }

    /// A supervisor begins: what it starts from now on is known by its marks, even if its death comes before the next word.
    pub(super) fn begins(&self, session: &str) {
        self.say(&format!("* {session}\n"));
    }

    /// Some trees are gone, and one may have begun. One word for both: it may wake the guard.
    pub(super) fn changed(&self, session: &str, gone: &[u64], began: Option<(u64, i32)>) {
        let mut text: String = gone.iter().map(|key| format!("- {session} {key}\n")).collect();
        if let Some((key, pid)) = began {
            text += &format!("+ {session} {key} {pid}\n");
        }
        if !text.is_empty() {
            self.say(&text);
        }
    }

    /// The supervisor has ended, and nothing of it is left.
    pub(super) fn ended(&self, session: &str) {
        self.say(&format!(". {session}\n"));
    }

    /// Lines are far shorter than what a pipe takes at once; a guard that was killed is no reason to stop.
    fn say(&self, line: &str) {
        if let Err(error) = rustix::io::write(&self.pipe, line.as_bytes()) {
            tracing::debug!(%error, "the guard does not listen");
        }
    }
}
