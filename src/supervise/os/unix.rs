//! Starts a process: what happens between fork and exec, for every Unix.
//!
//! `std::process::Command` cannot do it: the process's own id has to get into its environment (`LISTEN_PID`), descriptors
//! have to land on exact numbers without meeting std's own, and masks and dispositions have to be clean.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use rustix::fd::{AsFd, BorrowedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What stands in the environment where the child's own process id belongs; overwritten after the fork.
pub(crate) const OWN_PID: &[u8] = b"LISTEN_PID=0000000000";

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
    /// The value of the limit that marks its tree.
    pub(crate) mark: Option<u64>,
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

/// A duplicate at `least` or above that the child does not inherit: descriptors up to there are for handing over.
pub(crate) fn duplicate_high(fd: impl AsFd, least: RawFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, least)?)
}

/// Signals as bits in the child's start: all of them, by number.
const LAST_SIGNAL: i32 = 64;
const STAGE_WORKDIR: u8 = b'w';
const STAGE_EXEC: u8 = b'x';

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
        let (read, low) = pipe().map_err(LaunchError::Fork)?;
        let write = high(low.as_fd())?;
        // The end of the pipe says that the program runs: no copy may stay open here.
        drop(low);
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
            mark: self.mark,
            open_files: self.open_files,
            own: self.own,
            report: write.as_raw_fd(),
        };
        let blocked = block_all_signals();
        let pid = begin(&inside);
        restore_signals(&blocked);
        let pid = pid.map_err(LaunchError::Fork)?;
        drop(write);
        // Both sides do it, so that it is done whoever runs first.
        // SAFETY: plain system call; fails harmlessly once the child has executed.
        unsafe { libc::setpgid(pid, pid) };
        match told(&read) {
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
    let mut stack: Vec<u128> = Vec::with_capacity(STACK / size_of::<u128>());
    let inside: *const Inside<'_> = inside;
    // SAFETY: the stack is the child's alone, aligned, and outlives its use, since this thread goes on only after exec or
    // exit; no handler runs on it, since all signals are blocked until none is left. `Inside::run` calls only
    // async-signal-safe functions, allocates nothing and never returns.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.capacity());
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        libc::clone(run, top.cast(), flags, inside.cast_mut().cast())
    };
    if pid == -1 { Err(io::Error::last_os_error()) } else { Ok(pid) }
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

const SHELL: &std::ffi::CStr = c"/bin/sh";

/// What the child says before it gives up; `None` once it has executed.
fn told(read: &OwnedFd) -> Option<(u8, io::Error)> {
    let mut message = [0_u8; 5];
    loop {
        match rustix::io::read(read, &mut message) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(5) => {
                let number = i32::from_ne_bytes([message[1], message[2], message[3], message[4]]);
                return Some((message[0], io::Error::from_raw_os_error(number)));
            }
            _ => return None,
        }
    }
}

/// A pipe that no child inherits.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: `ends` has room for both descriptors.
    let result = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    #[cfg(target_vendor = "apple")]
    // SAFETY: `ends` has room for both descriptors; there is no atomic way here.
    let result = unsafe {
        let result = libc::pipe(ends.as_mut_ptr());
        if result == 0 {
            libc::fcntl(ends[0], libc::F_SETFD, libc::FD_CLOEXEC);
            libc::fcntl(ends[1], libc::F_SETFD, libc::FD_CLOEXEC);
        }
        result
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both descriptors are fresh and owned by nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// A descriptor whose readability the runtime waits for.
pub(crate) fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays the same and open until it is dropped, with the `AsyncFd` around it.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// The group of this process; 0 if its leader is outside of this process's PID namespace.
pub(crate) fn own_group() -> i32 {
    // SAFETY: plain system call that cannot fail.
    unsafe { libc::getpgrp() }
}

fn block_all_signals() -> libc::sigset_t {
    // SAFETY: both sets are initialised by the calls themselves.
    unsafe {
        let mut all = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        before
    }
}

fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: the set comes from `block_all_signals`.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
}

/// Runs something while one signal is blocked in this thread.
pub(crate) fn with_signal_blocked<T>(signal: i32, run: impl FnOnce() -> T) -> T {
    // SAFETY: both sets are initialised by the calls themselves.
    let before = unsafe {
        let mut one = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigemptyset(&mut one);
        libc::sigaddset(&mut one, signal);
        libc::pthread_sigmask(libc::SIG_BLOCK, &one, &mut before);
        before
    };
    let result = run();
    restore_signals(&before);
    result
}

/// What the child does between fork and exec. Raw addresses and numbers only.
struct Inside<'a> {
    parent: i32,
    candidates: &'a [CString],
    argv: Vec<*const libc::c_char>,
    script: std::cell::RefCell<Vec<*const libc::c_char>>,
    envp: Vec<*const libc::c_char>,
    own_pid: Option<*mut libc::c_char>,
    workdir: Option<*const libc::c_char>,
    stdio: [RawFd; 3],
    pass: Vec<RawFd>,
    die_with_parent: bool,
    terminal: Option<RawFd>,
    mark: Option<u64>,
    open_files: Option<u64>,
    own: usize,
    report: RawFd,
}

impl Inside<'_> {
    fn run(&self) -> ! {
        // SAFETY: the calls are async-signal-safe, the addresses are those of strings that outlive the process image, and the
        // descriptors were opened before the fork.
        unsafe {
            libc::setpgid(0, 0);
            self.die_with_parent();
            self.set_mark();
            self.set_open_files();
            if let Some(terminal) = self.terminal {
                // All signals are blocked, SIGTTOU too: a background group may do this.
                libc::tcsetpgrp(terminal, libc::getpid());
            }
            default_dispositions();
            for (to, from) in self.stdio.iter().enumerate() {
                libc::dup2(*from, to as RawFd);
            }
            for (at, from) in self.pass.iter().enumerate() {
                libc::dup2(*from, 3 + at as RawFd);
            }
            for fd in 3 + self.pass.len()..3 + self.own {
                // What is closed by executing belongs to this process since: it was opened in the place of a closed one.
                if libc::fcntl(fd as RawFd, libc::F_GETFD) == 0 {
                    libc::close(fd as RawFd);
                }
            }
            if let Some(workdir) = self.workdir
                && libc::chdir(workdir) != 0
            {
                self.give_up(STAGE_WORKDIR, errno());
            }
            self.write_own_pid();
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
            self.execute()
        }
    }

    #[cfg(target_os = "linux")]
    unsafe fn die_with_parent(&self) {
        // SAFETY: plain system calls.
        unsafe {
            if self.die_with_parent {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::getppid() != self.parent {
                    libc::_exit(127);
                }
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    unsafe fn die_with_parent(&self) {
        let _ = (self.parent, self.die_with_parent);
    }

    /// Only the soft value, so that a devrun inside this tree can set its own. Fails harmlessly.
    #[cfg(target_os = "linux")]
    unsafe fn set_mark(&self) {
        let Some(mark) = self.mark else { return };
        // SAFETY: plain system calls on initialised memory.
        unsafe {
            let mut limit: libc::rlimit = std::mem::zeroed();
            if libc::getrlimit(libc::RLIMIT_LOCKS, &mut limit) == 0 {
                limit.rlim_cur = mark as libc::rlim_t;
                libc::setrlimit(libc::RLIMIT_LOCKS, &limit);
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    unsafe fn set_mark(&self) {
        let _ = self.mark;
    }

    /// Fails harmlessly: then it may have more open than it expects.
    unsafe fn set_open_files(&self) {
        let Some(open_files) = self.open_files else { return };
        // SAFETY: plain system calls on initialised memory.
        unsafe {
            let mut limit: libc::rlimit = std::mem::zeroed();
            if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
                limit.rlim_cur = open_files as libc::rlim_t;
                libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
            }
        }
    }

    /// Digits by hand: nothing may be allocated here.
    unsafe fn write_own_pid(&self) {
        let Some(start) = self.own_pid else { return };
        // SAFETY: the string is a copy of `OWN_PID` that is written to only here; its digits are overwritten, it gets no longer.
        unsafe {
            let digits = start.add("LISTEN_PID=".len());
            let mut rest = libc::getpid() as u32;
            for at in (0..10).rev() {
                *digits.add(at) = (b'0' + (rest % 10) as u8) as libc::c_char;
                rest /= 10;
            }
            // gunicorn and sd_listen_fds(3) read a plain number, but leading zeros are taken as octal by some.
            let mut zeros = 0;
            while zeros < 9 && *digits.add(zeros) == b'0' as libc::c_char {
                zeros += 1;
            }
            for at in 0..=(10 - zeros) {
                *digits.add(at) = *digits.add(at + zeros);
            }
        }
    }

    /// Tries each candidate, as `execvp(3)`: a missing one is skipped, a forbidden one is remembered.
    unsafe fn execute(&self) -> ! {
        let mut telling = libc::ENOENT;
        for file in self.candidates {
            // SAFETY: all arrays end with a null, all strings too.
            let number = unsafe {
                libc::execve(file.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr());
                errno()
            };
            match number {
                libc::ENOENT | libc::ENOTDIR => {}
                libc::ENOEXEC => {
                    if let Ok(mut script) = self.script.try_borrow_mut() {
                        script[1] = file.as_ptr();
                        // SAFETY: as above.
                        unsafe { libc::execve(SHELL.as_ptr(), script.as_ptr(), self.envp.as_ptr()) };
                    }
                    telling = number;
                }
                _ => telling = number,
            }
        }
        self.give_up(STAGE_EXEC, telling)
    }

    fn give_up(&self, stage: u8, number: i32) -> ! {
        let digits = number.to_ne_bytes();
        let message = [stage, digits[0], digits[1], digits[2], digits[3]];
        // SAFETY: the message is five bytes; `_exit` runs no handlers.
        unsafe {
            libc::write(self.report, message.as_ptr().cast(), message.len());
            libc::_exit(127)
        }
    }
}

/// Every signal does what it does by default; only `SIGHUP` stays ignored if it is.
///
/// # Safety
/// For the child of a fork: handlers of the program that forked are lost.
unsafe fn default_dispositions() {
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: numbers that cannot be changed fail harmlessly.
        unsafe {
            let mut now: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, std::ptr::null(), &mut now) != 0 {
                default_reserved(signal);
                continue;
            }
            if signal == libc::SIGHUP && now.sa_sigaction == libc::SIG_IGN {
                continue;
            }
            if now.sa_sigaction != libc::SIG_DFL {
                let mut default: libc::sigaction = std::mem::zeroed();
                default.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &default, std::ptr::null_mut());
            }
        }
    }
}

/// The C library keeps two signals for itself and refuses to name them, but who started devrun may have ignored them all
/// the same, and that would be inherited.
///
/// # Safety
/// As [`default_dispositions`].
#[cfg(target_os = "linux")]
unsafe fn default_reserved(signal: i32) {
    /// The most that the kernel reads of an action on any architecture; all zero is the default action.
    const ACTION: [u64; 8] = [0; 8];
    /// The size of the kernel's own signal set, in bytes.
    const SET: usize = 8;
    // SAFETY: the kernel reads the action and writes nothing.
    unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal, ACTION.as_ptr(), std::ptr::null_mut::<u64>(), SET);
    }
}

#[cfg(not(target_os = "linux"))]
unsafe fn default_reserved(_signal: i32) {}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}
