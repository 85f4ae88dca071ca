//! Who takes care of the orphans of a child.

/// Whether devrun adopts the orphans of its children (Linux `PR_SET_CHILD_SUBREAPER`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Subreaper {
    /// No, because adoption changes the whole host process. The default of the library.
    #[default]
    No,
    /// Yes: no process that a child leaves behind escapes. The supervisor then handles `SIGCHLD`. The program uses this.
    Yes,
}
