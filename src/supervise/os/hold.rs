//! Linux: leases as the kernel knows them (fcntl(2), `F_SETLEASE`), and who is held by one.

use std::fs::{self, File, Metadata};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use super::procfs::everybody;

/// What tells of a lease that breaks. Sent to one thread only, which has it blocked: nobody else ever sees it.
const SIGNAL: i32 = libc::SIGIO;
/// Where a thread stands that waits for a lease to be given up, as `/proc/PID/wchan` calls it.
const HELD: &[u8] = b"__break_lease";
/// The kernel tells of the break just before it lays the writer to sleep.
const LOOKS: u32 = 12;
/// So many times those alone are asked of whom it is likely.
const LIKELY_LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_micros(100);

/// A lease on what the path names now; none if this one is it, or if it is no file.
pub(super) fn new_lease(thread: i32, path: &Path, held: Option<&File>) -> io::Result<Option<File>> {
    // Never waits, not for the other end of a pipe and not for somebody else's lease.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let found = file.metadata()?;
    let same = |held: Metadata| (held.dev(), held.ino()) == (found.dev(), found.ino());
    if !found.is_file() || held.is_some_and(|held| held.metadata().is_ok_and(same)) {
        return Ok(None);
    }
    set_lease(&file, thread)?;
    Ok(Some(file))
}

/// Blocks the signal for this thread, and makes it readable there.
pub(super) fn signals() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised before it is used; the descriptor is fresh and owned by nobody else.
    unsafe {
        let mut set = MaybeUninit::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        let mut set = set.assume_init();
        libc::sigaddset(&raw mut set, SIGNAL);
        let refused = libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        if refused != 0 {
            return Err(io::Error::from_raw_os_error(refused));
        }
        match libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

#[repr(C)]
struct Owner {
    kind: i32,
    id: i32,
}

// As on every architecture that Rust has a standard library for; libc does not name them.
const F_SETSIG: i32 = 10;
const F_SETOWN_EX: i32 = 15;
const F_OWNER_TID: i32 = 0;

fn set_lease(file: &File, thread: i32) -> io::Result<()> {
    let (fd, owner) = (file.as_raw_fd(), Owner { kind: F_OWNER_TID, id: thread });
    let done = |result: i32| if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) };
    // Who is told comes first: the signal would go to the whole process, and end it.
    // SAFETY: plain system calls on a descriptor of ours; `owner` lives until its call returns.
    unsafe {
        done(libc::fcntl(fd, F_SETOWN_EX, &raw const owner))?;
        done(libc::fcntl(fd, F_SETSIG, SIGNAL))?;
        done(libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK))
    }
}

/// Whether somebody waits for this lease to be given up: it is said to be gone already.
pub(super) fn breaks(file: &File) -> bool {
    // SAFETY: plain system call on a descriptor of ours.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLEASE) != libc::F_RDLCK }
}

/// The processes with threads that are held, at least so many; fewer if they cannot be seen. First those are asked of whom it
/// is most likely: there may be thousands of others, and whoever is held waits.
pub(super) fn held<I: Iterator<Item = i32>>(at_least: usize, likely: impl Fn() -> I) -> Vec<i32> {
    let seen = |found: &Vec<i32>| found.len() >= at_least;
    let mut found = Vec::new();
    for look in 0..LOOKS {
        if look > 0 {
            std::thread::sleep(BETWEEN_LOOKS);
        }
        found = likely().filter(|pid| is_held(*pid)).collect();
        if !seen(&found) && look >= LIKELY_LOOKS {
            found = everybody().into_iter().filter(|pid| is_held(*pid)).collect();
        }
        if seen(&found) {
            break;
        }
    }
    found
}

/// A process with other rights than ours, whose threads cannot be looked at.
pub(super) fn is_hidden(pid: i32) -> bool {
    let listed = fs::read_dir(format!("/proc/{pid}/fd"));
    listed.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

fn is_held(pid: i32) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.map(|task| task.path().join("wchan")).any(|wchan| fs::read(wchan).is_ok_and(|at| at == HELD))
}
