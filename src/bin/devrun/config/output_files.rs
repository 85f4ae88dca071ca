//! The files to which the output of devrun is redirected, as in `devrun … > out.log`.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use rustix::fs::FileType;

/// The regular files behind standard output and standard error. The watch must not report them: each line of output
/// would be a change, and the message about it the next change.
pub(crate) fn output_files() -> Vec<PathBuf> {
    let (out, err) = (std::io::stdout(), std::io::stderr());
    [out.as_fd(), err.as_fd()].into_iter().filter_map(regular_file).collect()
}

fn regular_file(stream: BorrowedFd<'_>) -> Option<PathBuf> {
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
