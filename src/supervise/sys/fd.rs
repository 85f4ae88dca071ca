//! Descriptors: pipes, readiness for the runtime, and the end of all of them.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

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

/// Registers a descriptor with the runtime, which then waits until it is readable.
pub(crate) fn wait_readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays the same and open until it is dropped, together with the `AsyncFd`
    // around it.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// Closes every descriptor from `first` on. Only for a process that has one thread and uses none of them.
pub(crate) fn close_from(first: RawFd) {
    let numbers: Vec<RawFd> = match std::fs::read_dir("/proc/self/fd") {
        Ok(open) => open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect(),
        Err(_) => {
            let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
            (0..limit.unwrap_or(4096).min(65_536) as RawFd).collect()
        }
    };
    for fd in numbers.into_iter().filter(|fd| *fd >= first) {
        // SAFETY: the process has one thread, and no object in it owns one of these descriptors.
        unsafe { libc::close(fd) };
    }
}
