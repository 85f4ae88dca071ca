//! The limits of inotify and their use, from `/proc` (Linux).

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// A limit of the kernel, and its use by the processes of this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) used: u64,
    pub(crate) limit: u64,
}

/// The limits of inotify (inotify(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Maximum number of watches of all processes of this user.
    pub(crate) watches: Limit,
    /// Maximum number of inotify instances of all processes of this user.
    pub(crate) instances: Limit,
    /// Maximum number of queued events. The kernel drops events beyond it.
    pub(crate) queue: u64,
}

/// Reads the limits. `None` on a system without inotify.
pub(crate) fn limits() -> Option<Limits> {
    let limit = |name: &str| -> Option<u64> {
        std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).ok()?.trim().parse().ok()
    };
    let (instances, watches) = in_use();
    Some(Limits {
        watches: Limit { used: watches, limit: limit("max_user_watches")? },
        instances: Limit { used: instances, limit: limit("max_user_instances")? },
        queue: limit("max_queued_events")?,
    })
}

/// The numbers of instances and of watches of this user's processes: one instance for each inotify descriptor, and one
/// watch for each line `inotify wd:` of its fdinfo.
fn in_use() -> (u64, u64) {
    let user = rustix::process::geteuid().as_raw();
    let entries = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
    let (mut instances, mut watches) = (0, 0);
    for process in entries("/proc".into()) {
        let is_process = process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        if !is_process || process.metadata().is_ok_and(|metadata| metadata.uid() != user) {
            continue;
        }
        for descriptor in entries(process.path().join("fd")) {
            let target = std::fs::read_link(descriptor.path());
            if target.is_ok_and(|target| target.as_os_str() == "anon_inode:inotify") {
                let info = process.path().join("fdinfo").join(descriptor.file_name());
                let info = std::fs::read_to_string(info).unwrap_or_default();
                instances += 1;
                watches += info.lines().filter(|line| line.starts_with("inotify ")).count() as u64;
            }
        }
    }
    (instances, watches)
}
