//! Descriptors: pipes, duplicates, readiness for the runtime.

use std::fs::File;
use std::io;
use std::os::fd::{OwnedFd, RawFd};

use rustix::fd::AsFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Duplicates a descriptor to a number of at least `least`, because the numbers below are for passing on. No
/// child inherits it.
pub(crate) fn duplicate_above(fd: impl AsFd, least: RawFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, least)?)
}

/// Opens a pipe that no child inherits: the end to read from and the end to write to.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(not(target_vendor = "apple"))]
    return Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?);
    #[cfg(target_vendor = "apple")]
    {
        // This system has no atomic way.
        let (read, write) = rustix::pipe::pipe()?;
        rustix::io::fcntl_setfd(&read, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::fcntl_setfd(&write, rustix::io::FdFlags::CLOEXEC)?;
        Ok((read, write))
    }
}

/// Opens `/dev/null` for a process that is to read nothing.
pub(crate) fn dev_null() -> io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open("/dev/null")?.into())
}

/// Registers a descriptor with the runtime, which then waits until it is readable.
pub(crate) fn wait_readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays the same and open until it is dropped, together with the `AsyncFd`
    // around it.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// Closes every descriptor from `first` on. Only for a process that has one thread and uses none of them.
pub(crate) fn close_from(first: RawFd) {
    let open = open_descriptors().unwrap_or_else(|| {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        (0..limit.unwrap_or(4096).min(65_536) as RawFd).collect()
    });
    for fd in open.into_iter().filter(|fd| *fd >= first) {
        // SAFETY: the process has one thread, and no object in it owns one of these descriptors.
        unsafe { libc::close(fd) };
    }
}

/// Numbers of the open descriptors; `None` if the system does not list them.
#[cfg(target_os = "linux")]
fn open_descriptors() -> Option<Vec<RawFd>> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    Some(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

#[cfg(not(target_os = "linux"))]
fn open_descriptors() -> Option<Vec<RawFd>> {
    None
}
