//! The process that outlives a killed devrun for a moment, to kill what devrun ran.
//!
//! The kernel's parent-death signal reaches direct children only. The guard is forked before anything else happens, waits on
//! a pipe, and acts when the pipe ends without a farewell.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

#[cfg(target_os = "linux")]
use super::linux::Trees;
#[cfg(not(target_os = "linux"))]
use super::other::Trees;
use super::unix::{block_all_signals, duplicate_high, pipe, restore_signals};

/// A name that does not match a `killall` of devrun.
#[cfg(target_os = "linux")]
const NAME: &std::ffi::CStr = c"tree-guard";
/// Rounds without anybody left before it believes that everybody is gone, and the pause between two.
const QUIET_ROUNDS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(10);
/// It gives up after so many rounds: what is left then hangs in the kernel.
const ROUNDS: u32 = 1000;

/// A guard that is being forked.
#[derive(Debug)]
pub(crate) struct Beginning {
    pipe: OwnedFd,
    between: Between,
}

impl Beginning {
    /// Waits until the guard is there. Returns the pipe to tell it things.
    pub(crate) fn wait(mut self) -> io::Result<OwnedFd> {
        match self.between.wait() {
            0 => Ok(self.pipe),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// The process between this one and the guard, until it was waited for.
#[derive(Debug)]
struct Between(Option<libc::pid_t>);

impl Between {
    /// What it ended with: the number of the error, or 0.
    fn wait(&mut self) -> i32 {
        let Some(pid) = self.0.take() else { return 0 };
        let mut status = 0;
        // SAFETY: a child of ours that ends at once.
        unsafe { libc::waitpid(pid, &mut status, 0) };
        if libc::WIFSIGNALED(status) { libc::ECHILD } else { libc::WEXITSTATUS(status) }
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.wait();
    }
}

/// Forks the guard, and goes on while it is on its way. Only while this process has one thread.
pub(crate) fn begin() -> io::Result<Beginning> {
    let why_not = match threads() {
        Some(1) => None,
        Some(_) => Some("other threads run already"),
        None => Some("this system does not tell whether other threads run"),
    };
    if let Some(why_not) = why_not {
        return Err(io::Error::new(io::ErrorKind::Unsupported, why_not));
    }
    let (read, write) = pipe()?;
    let pipe = duplicate_high(&write, 10)?;
    drop(write);
    rustix::io::ioctl_fionbio(&pipe, true)?;
    Ok(Beginning { pipe, between: fork_between(read)? })
}

/// Forks twice: the guard has a session of its own, so that no signal for devrun's group or terminal meets it, and is no child
/// of devrun's. The one between ends as soon as there is a guard.
fn fork_between(read: OwnedFd) -> io::Result<Between> {
    let blocked = block_all_signals();
    // SAFETY: there is one thread, so that the child may do whatever the parent may.
    let pid = unsafe { libc::fork() };
    let error = io::Error::last_os_error();
    if pid == 0 {
        between(read);
    }
    restore_signals(&blocked);
    if pid == -1 {
        return Err(error);
    }
    Ok(Between(Some(pid)))
}

/// What the process between devrun and the guard does: it begins the guard, and ends with the number of the error, or 0.
fn between(read: OwnedFd) -> ! {
    // SAFETY: plain system calls.
    unsafe {
        libc::setsid();
        libc::_exit(match begin_watch(read) {
            Ok(()) => 0,
            Err(error) => error.raw_os_error().unwrap_or(libc::EAGAIN),
        })
    }
}

/// Begins the guard, for a process that ends at once.
fn begin_watch(read: OwnedFd) -> io::Result<()> {
    // SAFETY: a fork of a process with one thread, whose child may do whatever it might.
    match unsafe { libc::fork() } {
        0 => watch(read),
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn threads() -> Option<usize> {
    use std::os::unix::fs::MetadataExt as _;

    const DIR: &str = "/proc/self/task";
    // Each thread is a directory in there, whose `..` counts as a link; listing them takes ten times as long.
    match std::fs::metadata(DIR).ok()?.nlink() {
        3 => Some(1),
        _ => Some(std::fs::read_dir(DIR).ok()?.count()),
    }
}

#[cfg(target_vendor = "apple")]
fn threads() -> Option<usize> {
    let size = size_of::<libc::proc_taskinfo>() as libc::c_int;
    // SAFETY: the memory is initialised and as large as is said; who has filled all of it has filled it with numbers.
    unsafe {
        let mut found: libc::proc_taskinfo = std::mem::zeroed();
        let place = (&raw mut found).cast();
        let filled = libc::proc_pidinfo(libc::getpid(), libc::PROC_PIDTASKINFO, 0, place, size);
        (filled == size).then(|| usize::try_from(found.pti_threadnum).ok()).flatten()
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn threads() -> Option<usize> {
    None
}

/// The life of the guard.
fn watch(read: OwnedFd) -> ! {
    let _ = std::env::set_current_dir("/");
    close_all_but(read.as_raw_fd());
    // SAFETY: plain system calls; the guard ends with its pipe, or by SIGKILL.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_IGN);
        }
        #[cfg(target_os = "linux")]
        libc::prctl(libc::PR_SET_NAME, NAME.as_ptr());
    }
    let mut sessions: BTreeMap<String, Trees> = BTreeMap::new();
    for line in BufReader::new(std::fs::File::from(read)).lines().map_while(Result::ok) {
        heard(&line, &mut sessions);
    }
    sessions.values_mut().for_each(end);
    // SAFETY: nothing of devrun's may be run at exit.
    unsafe { libc::_exit(0) }
}

/// `* SESSION`: a supervisor begins; `+ SESSION KEY PID`: a tree has begun; `- SESSION KEY`: it is gone; `. SESSION`: the supervisor has ended well.
fn heard(line: &str, sessions: &mut BTreeMap<String, Trees>) {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["*", session] => drop(sessions.insert(session.to_owned(), Trees::new(session.to_owned(), false))),
        ["+", session, key, pid] => {
            if let (Some(trees), Ok(key), Ok(pid)) = (sessions.get_mut(session), key.parse(), pid.parse()) {
                trees.add(key, pid);
            }
        }
        ["-", session, key] => {
            if let (Some(trees), Ok(key)) = (sessions.get_mut(session), key.parse()) {
                trees.forget(key);
            }
        }
        [".", session] => drop(sessions.remove(session)),
        _ => {}
    }
}

/// Kills all trees of a session, until nobody is left.
fn end(trees: &mut Trees) {
    let mut quiet = 0;
    for _ in 0..ROUNDS {
        let left: std::collections::BTreeSet<u64> =
            trees.everything().into_iter().map(|(_, key)| key).collect();
        quiet = if left.is_empty() { quiet + 1 } else { 0 };
        if quiet == QUIET_ROUNDS {
            break;
        }
        left.into_iter().for_each(|key| trees.kill(key));
        std::thread::sleep(PAUSE);
    }
}

/// What devrun had open must not stay open because of the guard: ports, pipes, terminals.
fn close_all_but(kept: i32) {
    let open = descriptors().unwrap_or_else(|| {
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(4096);
        (0..i32::try_from(most).unwrap_or(i32::MAX).min(65_536)).collect()
    });
    for fd in open.into_iter().filter(|fd| *fd != kept) {
        // SAFETY: the guard owns its copies of all descriptors, and uses none but the one that is kept.
        unsafe { libc::close(fd) };
    }
}

/// Which descriptors are open, where the system tells: there may be a million others.
#[cfg(target_os = "linux")]
fn descriptors() -> Option<Vec<i32>> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    Some(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

#[cfg(not(target_os = "linux"))]
fn descriptors() -> Option<Vec<i32>> {
    None
}
