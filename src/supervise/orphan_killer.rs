//! A process that kills the process trees of a program that has ended without stopping them, for example by
//! `SIGKILL`.
//!
//! The kernel's parent-death signal reaches direct children only. So the program executes itself once more,
//! or a script of `/bin/sh` if its `main` does not allow that, as the orphan killer, which reads a pipe: every
//! supervisor reports the trees that it starts. The pipe ends when the program ends, however that happens, and
//! then the orphan killer kills the trees of every supervisor that has not reported its own end.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::process::{ProcessTrees, Subreaper, TAG_VARIABLE, TreeId};
use super::sys::fd::{close_from, pipe};
use super::sys::signals;
use crate::supervise::sys::pid::Pid;

/// First two words of the orphan killer's command line; the third is the pid of the program.
const WORDS: [&str; 2] = ["orphan-killer", "--parent"];
/// The same in the language of `/bin/sh`, for a program whose `main` does not call [`OrphanKiller::run_if_asked`].
const SCRIPT: &str = include_str!("orphan_killer.sh");
/// Value of [`TAG_VARIABLE`] in the environment of an orphan killer: it belongs to no tree.
const NO_TREE: &str = "orphan-killer";
/// Number of scans in a row that must find no process before the orphan killer ends.
const EMPTY_SCANS: u32 = 3;
/// Delay between two scans.
const SCAN_DELAY: Duration = Duration::from_millis(10);
/// Maximum number of scans; a process that is still there then hangs in the kernel.
const MAX_SCANS: u32 = 1000;

/// Whether [`OrphanKiller::run_if_asked`] was called: without that a second execution of the program would
/// not end.
static MAY_START: AtomicBool = AtomicBool::new(false);

/// A process that kills everything a supervisor runs if this process ends without having stopped it: by a
/// signal, by `exit` or by a panic that aborts.
///
/// The default starts with the first supervisor that uses it, and is shared by the clones. It is guaranteed that
/// no process is left which
///
/// - is in the process group of the command, or
/// - on Linux, has the variable `DEVRUN_SESSION` in its environment, which all processes of a tree inherit. This
///   user has to be allowed to read that, and `grep` has to know the option `-z`, as GNU's does.
///
/// If the program's `main` calls [`OrphanKiller::run_if_asked`] before anything else, the orphan killer is this
/// program, executed once more, and needs neither a shell nor `grep`. It then also finds the descendants of what
/// it knows, whatever their environment, group and session. Otherwise it is a script of `/bin/sh`. Neither Ctrl-C
/// nor the end of the terminal reaches it. It needs about 1 MB of memory, and no processor time while it waits.
///
/// ```no_run
/// use devrun::supervise::OrphanKiller;
/// use devrun::{Command, Options, Session};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     OrphanKiller::run_if_asked();
///     let mut options = Options::new(Command::new("python").arg("app.py"));
///     options.supervise.orphan_killer = Some(OrphanKiller::start()?);
///     let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
///     runtime.block_on(async {
///         let mut session = Session::start(options).await?;
///         while session.next_event().await.is_some() {}
///         Ok(())
///     })
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct OrphanKiller {
    /// Empty until the process is needed.
    process: Arc<OnceLock<KillerProcess>>,
}

impl OrphanKiller {
    /// Acts as the orphan killer, and never returns, if this process was started as one; returns at once
    /// otherwise.
    ///
    /// Call it at the start of `main`, before the program starts a thread, opens a file or reads its command
    /// line.
    pub fn run_if_asked() {
        let mut words = std::env::args_os();
        if WORDS.iter().all(|word| words.next().as_deref() == Some(OsStr::new(word))) {
            run();
        }
        MAY_START.store(true, Ordering::Relaxed);
    }

    /// Starts the process now.
    ///
    /// # Errors
    /// The system cannot start the process.
    pub fn start() -> io::Result<Self> {
        let killer = Self::default();
        killer.ensure_started()?;
        Ok(killer)
    }

    fn ensure_started(&self) -> io::Result<()> {
        if self.process.get().is_none() {
            // Another thread may have been faster; then this process ends at once.
            let _ = self.process.set(KillerProcess::start()?);
        }
        Ok(())
    }

    /// Reports a new supervisor: its processes are known by the variable that they inherit, even if this
    /// process dies before it reports the first of them. An error if the orphan killer cannot be started.
    pub(super) fn supervisor_started(&self, supervisor: &str) -> io::Result<()> {
        self.ensure_started()?;
        self.send(&format!("supervisor-started {supervisor}\n"));
        Ok(())
    }

    /// Reports the trees that are gone and the one that has started, in one write, because each write wakes
    /// the process.
    pub(super) fn trees_changed(&self, supervisor: &str, gone: &[TreeId], started: Option<(TreeId, Pid)>) {
        let gone = gone.iter().map(|tree| format!("tree-gone {supervisor} {}\n", tree.0));
        let started = started.map(|(tree, pid)| format!("tree-started {supervisor} {} {pid}\n", tree.0));
        let text: String = gone.chain(started).collect();
        if !text.is_empty() {
            self.send(&text);
        }
    }

    /// Reports that a supervisor has ended, and that none of its processes is left.
    pub(super) fn supervisor_ended(&self, supervisor: &str) {
        self.send(&format!("supervisor-ended {supervisor}\n"));
    }

    /// Messages are far shorter than what a pipe takes at once. An orphan killer that was killed does not
    /// stop the supervisor.
    fn send(&self, text: &str) {
        let sent = self.process.get().map(|process| rustix::io::write(&process.pipe, text.as_bytes()));
        if let Some(Err(error)) = sent {
            tracing::debug!(%error, "orphan killer does not read its pipe");
        }
    }
}

/// The orphan killer as a child of this process.
#[derive(Debug)]
struct KillerProcess {
    pipe: OwnedFd,
    child: Child,
}

impl KillerProcess {
    fn start() -> io::Result<Self> {
        let (read, write) = pipe()?;
        // A full pipe must not block the supervisor.
        rustix::io::ioctl_fionbio(&write, true)?;
        let mut command = if MAY_START.load(Ordering::Relaxed) {
            // This program, even if its file was replaced since.
            let linux = cfg!(target_os = "linux");
            let own_exe = if linux { "/proc/self/exe".into() } else { std::env::current_exe()? };
            let mut command = Command::new(own_exe);
            command.arg0(WORDS[0]).args([WORDS[1], &std::process::id().to_string()]);
            command
        } else {
            let mut command = Command::new("/bin/sh");
            // A group of its own, because Ctrl-C goes to the program's.
            command.args(["-c", SCRIPT, WORDS[0]]).process_group(0);
            command
        };
        command.env(TAG_VARIABLE, NO_TREE).current_dir("/");
        let child = command.stdin(read).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Self { pipe: write, child })
    }
}

impl Drop for KillerProcess {
    /// Ends the process, which nothing needs any more: every supervisor holds a clone until it has ended. Takes
    /// its exit status, so that it does not stay a zombie.
    fn drop(&mut self) {
        // If it was killed before, the supervisor may have reaped it, and its pid may be another process's.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The whole life of the orphan killer.
fn run() -> ! {
    // The program's group and terminal send signals that are not for this process.
    signals::block_all();
    let _ = rustix::process::setsid();
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_name(c"orphan-killer");
    // A port, pipe or terminal that this process keeps open would look as if the program still had it.
    close_from(3);
    let mut supervisors: BTreeMap<String, ProcessTrees> = BTreeMap::new();
    for line in io::stdin().lines().map_while(Result::ok) {
        // A line that was cut off is no message.
        let _ = receive(&line, &mut supervisors);
    }
    supervisors.values_mut().for_each(kill_all);
    #[expect(clippy::exit, reason = "the program's own main must not run in this process")]
    std::process::exit(0)
}

/// Handles one line that [`OrphanKiller`] has written. `None` if it is no message.
fn receive(line: &str, supervisors: &mut BTreeMap<String, ProcessTrees>) -> Option<()> {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["supervisor-started", name] => {
            supervisors.insert(name.to_owned(), ProcessTrees::new(name.to_owned(), Subreaper::No));
        }
        ["tree-started", name, tree, pid] => {
            supervisors.get_mut(name)?.add(TreeId(tree.parse().ok()?), pid.parse().ok()?);
        }
        ["tree-gone", name, tree] => supervisors.get_mut(name)?.forget(TreeId(tree.parse().ok()?)),
        ["supervisor-ended", name] => drop(supervisors.remove(name)?),
        _ => return None,
    }
    Some(())
}

/// Kills all trees of a supervisor until no process is left.
fn kill_all(trees: &mut ProcessTrees) {
    let mut empty_scans = 0;
    for _ in 0..MAX_SCANS {
        empty_scans = if trees.kill_all() { 0 } else { empty_scans + 1 };
        if empty_scans == EMPTY_SCANS {
            return;
        }
        std::thread::sleep(SCAN_DELAY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_no_message() {
        let mut supervisors = BTreeMap::new();
        let mut receive = |line| receive(line, &mut supervisors);
        assert_eq!(receive("supervisor-started 1a.2b"), Some(()));
        assert_eq!(receive("tree-started 1a.2b 7"), None);
        assert_eq!(receive("tree-started 1a.2b 7 "), None);
        assert_eq!(receive("tree-gone 1a.2b 7"), Some(()));
        assert_eq!(receive("supervisor-ended 1a.2b"), Some(()));
        assert_eq!(receive("supervisor-ended 1a.2b"), None);
    }
}
