//! What the child does between fork and exec: in a copy of this process or in its very memory, with signals blocked.
//!
//! Nothing is allocated here, and only async-signal-safe functions are called.

use std::ffi::CString;
use std::io;
use std::os::fd::RawFd;

use super::report::Report;

/// What stands in the environment where the child's own process id belongs; overwritten after the fork.
pub(crate) const OWN_PID: &[u8] = b"LISTEN_PID=0000000000";
/// The highest number of a signal.
const LAST_SIGNAL: i32 = 64;
/// Where it was when it gave up.
pub(super) const STAGE_WORKDIR: u8 = b'w';
pub(super) const STAGE_EXEC: u8 = b'x';
pub(super) const SHELL: &std::ffi::CStr = c"/bin/sh";

/// What the child does between fork and exec. Raw addresses and numbers only.
pub(super) struct Inside<'a> {
    pub(super) parent: i32,
    pub(super) candidates: &'a [CString],
    pub(super) argv: Vec<*const libc::c_char>,
    pub(super) script: std::cell::RefCell<Vec<*const libc::c_char>>,
    pub(super) envp: Vec<*const libc::c_char>,
    pub(super) own_pid: Option<*mut libc::c_char>,
    pub(super) workdir: Option<*const libc::c_char>,
    pub(super) stdio: [RawFd; 3],
    pub(super) pass: Vec<RawFd>,
    pub(super) die_with_parent: bool,
    pub(super) terminal: Option<RawFd>,
    pub(super) open_files: Option<u64>,
    pub(super) own: usize,
    pub(super) report: &'a Report,
}

impl Inside<'_> {
    /// Never returns: it becomes the program, or says why not and exits.
    pub(super) fn run(&self) -> ! {
        self.report.begin();
        // SAFETY: the calls are async-signal-safe, the addresses are those of strings that outlive the process image, and the
        // descriptors were opened before the fork.
        unsafe {
            libc::setpgid(0, 0);
            self.die_with_parent();
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
        self.report.say(stage, number);
        // SAFETY: `_exit` runs no handlers.
        unsafe { libc::_exit(127) }
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
