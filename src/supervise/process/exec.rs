//! Executes a program in a new process: everything between the fork and the exec.
//!
//! `std::process::Command` is not enough: the child's own pid must stand in its environment (`LISTEN_PID`),
//! descriptors must land on exact numbers, and signal masks and dispositions must be clean.
//!
//! Invariants of the code between the fork and the exec ([`ChildExec::run`]):
//!
//! 1. On Linux the child borrows this process's memory (`CLONE_VM`), and the calling thread sleeps until the
//!    child has executed or exited (`CLONE_VFORK`): no page is copied. So the child allocates nothing, takes
//!    no lock and writes only to the `Cell`s of its `ChildExec`, which no other thread can reach.
//! 2. The child makes only async-signal-safe calls. The functions of rustix that it calls are plain system
//!    calls.
//! 3. All signals are blocked before the fork, until the child has reset every disposition: no handler of
//!    this process ever runs in the child.
//! 4. Each descriptor to pass on has a number above all numbers that it is duplicated to, so that no `dup2`
//!    overwrites a descriptor that is still needed.
//! 5. Every array of pointers ends with a null, and every string outlives the exec.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::supervise::sys::fd::pipe;
use crate::supervise::sys::pid::Pid;
use crate::supervise::sys::signals;

/// Placeholder in the environment for `LISTEN_PID`: the child overwrites the digits with its own pid.
pub(super) const OWN_PID: &[u8] = b"LISTEN_PID=0000000000";
/// Interpreter of a script without a `#!` line, as in execvp(3).
const SHELL: &CStr = c"/bin/sh";
/// Highest signal number.
const LAST_SIGNAL: i32 = 64;
/// Lowest number of a descriptor that waits to be passed on.
const LEAST_DESCRIPTOR: RawFd = 10;
/// Size of the child's stack between the fork and the exec.
#[cfg(target_os = "linux")]
const STACK_SIZE: usize = 64 << 10;
/// Length of a failure report: an error number, which is negative if the working directory cannot be entered.
const REPORT_LENGTH: usize = size_of::<i32>();

/// A program to execute in a new process.
#[derive(Debug)]
pub(super) struct ExecRequest<'a> {
    /// The files to try, in order, as `execvp(3)` does.
    pub candidates: Vec<CString>,
    pub argv: Vec<CString>,
    /// Entries of the form `KEY=VALUE`. One of them may be [`OWN_PID`].
    pub envp: Vec<CString>,
    /// `None` keeps the working directory of this process.
    pub workdir: Option<CString>,
    /// They become 0, 1, 2, …
    pub descriptors: Vec<BorrowedFd<'a>>,
    /// Number of descriptors, from 3 on, that the caller of this process passed to it. The child closes them,
    /// unless they are replaced.
    pub inherited: usize,
    /// The kernel kills the process when the thread that starts it ends (Linux).
    pub dies_with_parent: bool,
    /// The process leads the foreground group of this terminal.
    pub terminal: Option<BorrowedFd<'a>>,
    /// Soft limit of open files; `None` keeps the one of this process.
    pub open_files: Option<u64>,
}

/// Why a program was not executed.
#[derive(Debug)]
pub(super) enum ExecError {
    /// The system could not create a process.
    Fork(io::Error),
    /// The working directory cannot be entered.
    Workdir(io::Error),
    /// No candidate could be executed; the most specific error of them all.
    Exec(io::Error),
}

impl ExecRequest<'_> {
    /// Forks and executes; returns the pid once the program runs.
    ///
    /// The process leads a group of its own, its signal mask is empty, and every signal has its default
    /// action. A `SIGHUP` that is ignored stays ignored, because `nohup` asks for it.
    pub(super) fn start(&self) -> Result<Pid, ExecError> {
        let least = LEAST_DESCRIPTOR.max(self.descriptors.len() as RawFd);
        let duplicate = |fd: BorrowedFd<'_>| {
            rustix::io::fcntl_dupfd_cloexec(fd, least).map_err(|error| ExecError::Fork(error.into()))
        };
        let descriptors = self.descriptors.iter().map(|fd| duplicate(*fd)).collect::<Result<Vec<_>, _>>()?;
        let terminal = self.terminal.map(duplicate).transpose()?;
        // The exec closes the only write end of this pipe, so its end says that the program runs.
        let (read, low) = pipe().map_err(ExecError::Fork)?;
        let write = duplicate(low.as_fd())?;
        drop(low);
        let own_pid: Vec<Cell<u8>> = OWN_PID.iter().chain(b"\0").copied().map(Cell::new).collect();
        let script = [SHELL.as_ptr()].into_iter().chain(pointers(&self.argv));
        let child = ChildExec {
            request: self,
            parent: rustix::process::getpid(),
            argv: pointers(&self.argv),
            script: script.map(Cell::new).collect(),
            envp: self.envp_with(&own_pid),
            own_pid: &own_pid,
            descriptors: descriptors.iter().map(AsFd::as_fd).collect(),
            terminal: terminal.as_ref().map(AsFd::as_fd),
            report: write.as_fd(),
        };
        let mask = signals::block_all();
        let forked = fork(&child);
        mask.restore();
        let pid = forked.map_err(ExecError::Fork)?;
        // Parent and child both do this, so that it is done whichever runs first. It fails once the child has
        // executed.
        let _ = rustix::process::setpgid(Some(pid), Some(pid));
        drop(write);
        let Some(error) = read_report(&read) else { return Ok(pid.into()) };
        let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
        Err(error)
    }

    /// Addresses of the environment; the entry for the own pid is the writable copy.
    fn envp_with(&self, own_pid: &[Cell<u8>]) -> Vec<*const c_char> {
        let mut envp = pointers(&self.envp);
        if let Some(at) = self.envp.iter().position(|entry| entry.as_bytes() == OWN_PID) {
            envp[at] = own_pid.as_ptr().cast();
        }
        envp
    }
}

/// Addresses of the strings, and the null that `execve(2)` wants at the end.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Why the child could not execute; `None` once it has.
fn read_report(read: &OwnedFd) -> Option<ExecError> {
    let mut report = [0_u8; REPORT_LENGTH];
    loop {
        match rustix::io::read(read, &mut report) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(REPORT_LENGTH) => {
                let number = i32::from_ne_bytes(report);
                let error = io::Error::from_raw_os_error(number.abs());
                return Some(if number < 0 { ExecError::Workdir(error) } else { ExecError::Exec(error) });
            }
            _ => return None,
        }
    }
}

/// The child borrows this process's memory, and this thread waits until the program runs, as in
/// posix_spawn(3): no page is copied, however much memory this process has.
#[cfg(target_os = "linux")]
fn fork(child: &ChildExec<'_>) -> io::Result<rustix::process::Pid> {
    extern "C" fn run(child: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the address is that of the `ChildExec` below; the thread that owns it sleeps.
        unsafe { &*child.cast::<ChildExec<'_>>() }.run()
    }
    let mut stack: Vec<u128> = Vec::with_capacity(STACK_SIZE / size_of::<u128>());
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let child: *const ChildExec<'_> = child;
    // SAFETY: invariants 1 to 5. The stack is aligned, and outlives its use because this thread sleeps until
    // then.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.capacity());
        libc::clone(run, top.cast(), flags, child.cast_mut().cast())
    };
    rustix::process::Pid::from_raw(pid.max(0)).ok_or_else(io::Error::last_os_error)
}

#[cfg(not(target_os = "linux"))]
fn fork(child: &ChildExec<'_>) -> io::Result<rustix::process::Pid> {
    // SAFETY: invariants 2 to 5.
    match unsafe { libc::fork() } {
        0 => child.run(),
        pid => rustix::process::Pid::from_raw(pid.max(0)).ok_or_else(io::Error::last_os_error),
    }
}

/// What the child does between the fork and the exec, and all memory that it needs for that.
struct ChildExec<'a> {
    request: &'a ExecRequest<'a>,
    parent: rustix::process::Pid,
    argv: Vec<*const c_char>,
    /// `/bin/sh FILE ARGS…`; the child fills in the file.
    script: Vec<Cell<*const c_char>>,
    envp: Vec<*const c_char>,
    /// The writable copy of [`OWN_PID`], with a NUL at its end.
    own_pid: &'a [Cell<u8>],
    /// They become 0, 1, 2, …
    descriptors: Vec<BorrowedFd<'a>>,
    terminal: Option<BorrowedFd<'a>>,
    /// Receives the failure report.
    report: BorrowedFd<'a>,
}

impl ChildExec<'_> {
    /// Becomes the program, or reports why not and exits.
    fn run(&self) -> ! {
        let _ = rustix::process::setpgid(None, None);
        self.die_with_parent();
        self.limit_open_files();
        if let Some(terminal) = self.terminal {
            // A background group may do this because SIGTTOU is blocked.
            let _ = rustix::termios::tcsetpgrp(terminal, rustix::process::getpid());
        }
        reset_dispositions();
        self.place_descriptors();
        if let Some(workdir) = &self.request.workdir
            && let Err(error) = rustix::process::chdir(workdir.as_c_str())
        {
            self.give_up(-error.raw_os_error());
        }
        self.write_own_pid();
        signals::unblock_all();
        self.execute()
    }

    fn die_with_parent(&self) {
        if self.request.dies_with_parent {
            #[cfg(target_os = "linux")]
            let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
            if rustix::process::getppid() != Some(self.parent) {
                exit();
            }
        }
    }

    /// Sets the soft limit of open files. A failure is ignored: the program may then have more files open
    /// than it expects.
    fn limit_open_files(&self) {
        use rustix::process::{Resource, getrlimit, setrlimit};
        if let Some(open_files) = self.request.open_files {
            let mut limit = getrlimit(Resource::Nofile);
            limit.current = Some(open_files);
            let _ = setrlimit(Resource::Nofile, limit);
        }
    }

    /// Puts every descriptor on its number, and closes the sockets that the caller of this process passed to
    /// it.
    fn place_descriptors(&self) {
        let passed = self.descriptors.len();
        for (to, from) in self.descriptors.iter().enumerate() {
            // SAFETY: no descriptor that is still needed has the number `to` (invariant 4).
            unsafe { libc::dup2(from.as_raw_fd(), to as RawFd) };
        }
        for fd in passed..3 + self.request.inherited {
            // SAFETY: no code of this process runs in the child any more that could use the descriptor. One
            // that the exec closes stays open, because this process has opened it in place of a closed one.
            unsafe {
                if libc::fcntl(fd as RawFd, libc::F_GETFD) == 0 {
                    libc::close(fd as RawFd);
                }
            }
        }
    }

    /// Writes the pid in digits without leading zeros, because some readers would take such a number for
    /// octal.
    fn write_own_pid(&self) {
        let pid = rustix::process::getpid().as_raw_nonzero();
        // The zero bytes that follow the digits end the string.
        let mut digits = [0; 11];
        let _ = write!(&mut digits[..10], "{pid}");
        for (cell, digit) in self.own_pid["LISTEN_PID=".len()..].iter().zip(digits) {
            cell.set(digit);
        }
    }

    /// Tries each candidate as `execvp(3)` does: a missing file is skipped, any other error is remembered.
    fn execute(&self) -> ! {
        use rustix::io::Errno;
        let mut reason = Errno::NOENT;
        for file in &self.request.candidates {
            match self.exec(file.as_ptr(), self.argv.as_ptr()) {
                Errno::NOENT | Errno::NOTDIR => {}
                Errno::NOEXEC => {
                    self.script[1].set(file.as_ptr());
                    self.exec(SHELL.as_ptr(), self.script.as_ptr().cast());
                    reason = Errno::NOEXEC;
                }
                error => reason = error,
            }
        }
        self.give_up(reason.raw_os_error())
    }

    /// Returns only if the exec fails.
    fn exec(&self, file: *const c_char, argv: *const *const c_char) -> rustix::io::Errno {
        // SAFETY: invariant 5.
        unsafe { libc::execve(file, argv, self.envp.as_ptr()) };
        rustix::io::Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(rustix::io::Errno::IO)
    }

    fn give_up(&self, report: i32) -> ! {
        // If this fails, the parent takes the child for a program that has ended at once.
        let _ = rustix::io::write(self.report, &report.to_ne_bytes());
        exit()
    }
}

/// Gives every signal its default action; only `SIGHUP` stays ignored if it is.
fn reset_dispositions() {
    for signal in 1..=LAST_SIGNAL {
        let Some(now) = signals::disposition(signal) else { continue };
        if now != libc::SIG_DFL && !(signal == libc::SIGHUP && now == libc::SIG_IGN) {
            signals::set_default(signal);
        }
    }
}

fn exit() -> ! {
    // SAFETY: `_exit` runs no handlers.
    unsafe { libc::_exit(127) }
}
