//! Starts a process: what is prepared before the fork, and what is heard after it, for every Unix.
//!
//! `std::process::Command` cannot do it: the process's own id has to get into its environment (`LISTEN_PID`), descriptors
//! have to land on exact numbers without meeting std's own, and masks and dispositions have to be clean.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use rustix::fd::BorrowedFd;

pub(crate) use super::inside::OWN_PID;
use super::inside::{Inside, SHELL, STAGE_WORKDIR};
use super::report::Report;
#[cfg(target_os = "linux")]
use super::unix::begin_borrowing;
use super::unix::{block_all_signals, duplicate_high, restore_signals};

/// Everything that is needed after the fork, prepared before it: nothing is allocated in between.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// Files to try, in order, as `execvp(3)` does.
    pub(crate) candidates: Vec<CString>,
    /// The words of the command.
    pub(crate) argv: Vec<CString>,
    /// The whole environment, `KEY=VALUE` each; one of them may be [`OWN_PID`].
    pub(crate) envp: Vec<CString>,
    /// The working directory.
    pub(crate) workdir: Option<CString>,
    /// Standard input, output and error.
    pub(crate) stdio: [BorrowedFd<'a>; 3],
    /// What becomes descriptors 3, 4, …
    pub(crate) pass: Vec<BorrowedFd<'a>>,
    /// Killed by the kernel when the thread that starts it ends.
    pub(crate) die_with_parent: bool,
    /// The terminal it gets, as the foreground group.
    pub(crate) terminal: Option<BorrowedFd<'a>>,
    /// The soft limit of its open files, if it is another one than here.
    pub(crate) open_files: Option<u64>,
    /// So many descriptors from 3 on were given to this process for itself: those of them that are not passed are closed.
    pub(crate) own: usize,
}

/// Why a process could not be started.
#[derive(Debug)]
pub(crate) enum LaunchError {
    /// The system has no room for it.
    Fork(io::Error),
    /// Its working directory cannot be entered.
    Workdir(io::Error),
    /// Nothing could be executed; the most telling error of all candidates.
    Exec(io::Error),
}

/// The addresses that `execve(2)` wants, with their null at the end.
fn addresses(words: &[CString]) -> Vec<*const libc::c_char> {
    words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect()
}

impl Launch<'_> {
    /// Forks and executes; returns the process id once the program is really running.
    ///
    /// The process leads its own group, its signal mask is empty and its dispositions are the default ones
    /// (`SIGHUP` stays ignored where it is: `nohup` means it).
    pub(crate) fn start(&self) -> Result<i32, LaunchError> {
        let least = 10.max(3 + self.pass.len() as RawFd);
        let high = |fd: BorrowedFd<'_>| duplicate_high(fd, least).map_err(LaunchError::Fork);
        let stdio = [high(self.stdio[0])?, high(self.stdio[1])?, high(self.stdio[2])?];
        let pass = self.pass.iter().map(|fd| high(*fd)).collect::<Result<Vec<_>, _>>()?;
        let terminal = self.terminal.map(high).transpose()?;
        // `/bin/sh FILE ARGS…` for a script without a first line that names its interpreter, as execvp(3) does.
        let mut script: Vec<*const libc::c_char> = addresses(&self.argv);
        script.insert(0, SHELL.as_ptr());
        // The child may share our memory: it writes its number into a copy that nobody else reads.
        let mut own = [OWN_PID, b"\0"].concat();
        let mut envp = addresses(&self.envp);
        let place = self.envp.iter().position(|one| one.as_bytes() == OWN_PID);
        if let Some(place) = place {
            envp[place] = own.as_ptr().cast();
        }
        let report = Report::new(least).map_err(LaunchError::Fork)?;
        let inside = Inside {
            parent: std::process::id() as i32,
            candidates: &self.candidates,
            argv: addresses(&self.argv),
            script: std::cell::RefCell::new(script),
            envp,
            own_pid: place.map(|_| own.as_mut_ptr().cast()),
            workdir: self.workdir.as_ref().map(|dir| dir.as_ptr()),
            stdio: [stdio[0].as_raw_fd(), stdio[1].as_raw_fd(), stdio[2].as_raw_fd()],
            pass: pass.iter().map(AsRawFd::as_raw_fd).collect(),
            die_with_parent: self.die_with_parent,
            terminal: terminal.as_ref().map(AsRawFd::as_raw_fd),
            open_files: self.open_files,
            own: self.own,
            report: &report,
        };
        let blocked = block_all_signals();
        let pid = begin(&inside);
        restore_signals(&blocked);
        let pid = pid.map_err(LaunchError::Fork)?;
        // Both sides do it, so that it is done whoever runs first.
        // SAFETY: plain system call; fails harmlessly once the child has executed.
        unsafe { libc::setpgid(pid, pid) };
        match report.heard() {
            None => Ok(pid),
            Some((stage, error)) => {
                // SAFETY: the child has exited or is about to; its status is of no interest.
                unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
                Err(if stage == STAGE_WORKDIR {
                    LaunchError::Workdir(error)
                } else {
                    LaunchError::Exec(error)
                })
            }
        }
    }
}

/// What the child stands on between its start and its program.
#[cfg(target_os = "linux")]
const STACK: usize = 64 << 10;

/// The child borrows our memory, and this thread waits until its program runs, as with posix_spawn(3): no page is copied,
/// here or there, however much devrun knows.
#[cfg(target_os = "linux")]
fn begin(inside: &Inside<'_>) -> io::Result<i32> {
    extern "C" fn run(inside: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the address is that of the `Inside` below, whose owner waits.
        unsafe { &*inside.cast::<Inside<'_>>() }.run()
    }
    let inside: *const Inside<'_> = inside;
    // SAFETY: all signals are blocked until none is left. `Inside::run` calls only async-signal-safe functions, allocates nothing
    // and never returns.
    unsafe { begin_borrowing(STACK, run, inside.cast_mut().cast()) }
}

#[cfg(not(target_os = "linux"))]
fn begin(inside: &Inside<'_>) -> io::Result<i32> {
    // SAFETY: the child runs `Inside::run` alone, which calls only async-signal-safe functions, allocates nothing and
    // never returns.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => inside.run(),
        pid => Ok(pid),
    }
}
