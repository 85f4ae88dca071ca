//! The files that devrun itself writes, because its output was sent there: `devrun … > out.log`.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use rustix::fs::FileType;

/// The files behind standard output and standard error. Each line in them would be a change, and a line about it the next one.
pub(crate) fn own_files() -> Vec<PathBuf> {
    let (out, err) = (std::io::stdout(), std::io::stderr());
    [out.as_fd(), err.as_fd()].into_iter().filter_map(file_behind).collect()
}

fn file_behind(stream: BorrowedFd<'_>) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    let status = rustix::fs::fstat(stream).ok()?;
    let is_file = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
    let link = format!("/proc/self/fd/{}", stream.as_raw_fd());
    is_file.then(|| std::fs::read_link(link).ok()).flatten()
}
