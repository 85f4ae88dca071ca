//! The limits of inotify and their use, from `/proc` (Linux).

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

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
    let in_use = in_use();
    Some(Limits {
        watches: Limit { used: in_use.watches, limit: limit("max_user_watches")? },
        instances: Limit { used: in_use.instances, limit: limit("max_user_instances")? },
        queue: limit("max_queued_events")?,
    })
}

#[derive(Default)]
struct InUse {
    watches: u64,
    instances: u64,
}

/// Counts the instances and watches of this user's processes.
fn in_use() -> InUse {
    let user = rustix::process::geteuid().as_raw();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = processes.filter(|entry| {
        entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit)
            && entry.metadata().is_ok_and(|metadata| metadata.uid() == user)
    });
    let mut in_use = InUse::default();
    own.for_each(|process| count_process(&process.path(), &mut in_use));
    in_use
}

/// Counts one instance for each inotify descriptor, and one watch for each line `inotify wd:` of its fdinfo.
fn count_process(process: &Path, in_use: &mut InUse) {
    let descriptors = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let is_inotify = |target: &Path| target.as_os_str().as_encoded_bytes() == b"anon_inode:inotify";
    for descriptor in descriptors {
        if std::fs::read_link(descriptor.path()).is_ok_and(|target| is_inotify(&target)) {
            in_use.instances += 1;
            let info = process.join("fdinfo").join(descriptor.file_name());
            let info = std::fs::read_to_string(info).unwrap_or_default();
            in_use.watches += info.lines().filter(|line| line.starts_with("inotify ")).count() as u64;
        }
    }
}
