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
    let status = rustix::fs::fstat(stream).ok()?;
    let is_file = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
    is_file.then(|| path(stream)).flatten()
}

#[cfg(target_vendor = "apple")]
fn path(file: BorrowedFd<'_>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let path = rustix::fs::getpath(file).ok()?;
    Some(std::ffi::OsString::from_vec(path.into_bytes()).into())
}

#[cfg(not(target_vendor = "apple"))]
fn path(file: BorrowedFd<'_>) -> Option<PathBuf> {
    use std::os::fd::AsRawFd as _;
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}
