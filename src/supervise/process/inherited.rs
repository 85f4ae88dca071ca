//! The children that this process has from before its start.

use std::sync::OnceLock;

use crate::supervise::sys::pid::Pid;
use crate::supervise::sys::procfs::{Identity, Process, children};

static INHERITED_CHILDREN: OnceLock<Vec<Identity>> = OnceLock::new();

/// Remembers the children that this process has: a shell started them and then executed this program in its own
/// place, as in `sh -c 'make & exec devrun …'`. A supervisor with [`super::Subreaper::Yes`] reaps these children
/// and sends them no signal.
///
/// Call it at the start of `main`, before the program starts a process.
pub fn remember_inherited_children() {
    let own_children = children(Pid::own()).unwrap_or_default();
    let read = own_children.into_iter().filter_map(Process::read);
    INHERITED_CHILDREN.get_or_init(|| read.map(|child| child.identity()).collect());
}

/// The children that [`remember_inherited_children`] has found.
pub(super) fn inherited_children() -> &'static [Identity] {
    INHERITED_CHILDREN.get().map(Vec::as_slice).unwrap_or_default()
}
