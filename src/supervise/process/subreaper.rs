//! Whether this process adopts the orphans of its children.

use std::io;

/// Whether devrun adopts the orphans of its children (Linux `PR_SET_CHILD_SUBREAPER`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Subreaper {
    /// No, because adoption changes the whole host process. The default of the library.
    #[default]
    No,
    /// Yes: no process that a child leaves behind escapes. The supervisor then handles `SIGCHLD`. The program
    /// uses this.
    Yes,
}

/// Makes this process the parent of all orphans among its descendants (`PR_SET_CHILD_SUBREAPER`). Does nothing
/// where the system has no such call: orphans go to init there.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    // The kernel takes any pid as "yes".
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}
