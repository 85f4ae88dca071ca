//! What the kernel allows and how much of it is in use: inotify's limits (Linux). Reads `/proc`, changes nothing.

/// A limit of the kernel and its use by this user's processes, as far as they can be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) used: u64,
    pub(crate) limit: u64,
}

/// The limits of inotify; `None` on systems without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Watched directories of all processes of this user.
    pub(crate) watches: Limit,
    /// Watchers (one or more a process).
    pub(crate) instances: Limit,
    /// Events that wait before the kernel drops some.
    pub(crate) queue: u64,
}

/// Asks the kernel.
pub(crate) fn limits() -> Option<Limits> {
    let limit = |name: &str| -> Option<u64> {
        std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).ok()?.trim().parse().ok()
    };
    let (watches, instances) = in_use();
    Some(Limits {
        watches: Limit { used: watches, limit: limit("max_user_watches")? },
        instances: Limit { used: instances, limit: limit("max_user_instances")? },
        queue: limit("max_queued_events")?,
    })
}

/// Watches and watchers of this user's processes: one `inotify wd:` line of `/proc/PID/fdinfo/N` for each.
fn in_use() -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    let user = rustix::process::geteuid().as_raw();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = processes.filter(|entry| {
        entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit)
            && entry.metadata().is_ok_and(|metadata| metadata.uid() == user)
    });
    let counts = own.map(|process| of_process(&process.path()));
    counts.fold((0, 0), |(watches, instances), (more, others)| (watches + more, instances + others))
}

fn of_process(process: &std::path::Path) -> (u64, u64) {
    let descriptors = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let inotify = descriptors.filter(|descriptor| {
        std::fs::read_link(descriptor.path())
            .is_ok_and(|target| target.as_os_str().as_encoded_bytes() == b"anon_inode:inotify")
    });
    let mut counts = (0, 0);
    for descriptor in inotify {
        counts.1 += 1;
        let info = process.join("fdinfo").join(descriptor.file_name());
        let info = std::fs::read_to_string(info).unwrap_or_default();
        counts.0 += info.lines().filter(|line| line.starts_with("inotify ")).count() as u64;
    }
    counts
}
