//! Why a directory has no watch.

/// Why a directory has no watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchError {
    /// It does not exist (any more).
    Gone,
    /// The limit of watches or instances is used up.
    Limit,
    /// We may not read it, or the system cannot watch it.
    Denied,
}

impl WatchError {
    /// What a failed call means.
    pub(crate) fn of(error: rustix::io::Errno) -> Self {
        use rustix::io::Errno;
        match error {
            Errno::MFILE | Errno::NFILE | Errno::NOSPC | Errno::NOMEM => Self::Limit,
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Self::Gone,
            _ => Self::Denied,
        }
    }
}
