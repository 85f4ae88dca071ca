//! The directories that may hold the control sockets of this user.

use std::path::{Path, PathBuf};

use devrun::control::Directory;

/// The candidates, best first. A server uses the first that works; a client looks into all of them, because its
/// environment may differ from that of the server.
fn candidates() -> Vec<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let own_name = format!("devrun-{user}");
    let mut candidates: Vec<PathBuf> = runtime.into_iter().map(|dir| dir.join("devrun")).collect();
    candidates.push(format!("/run/user/{user}/devrun").into());
    candidates.push(std::env::temp_dir().join(&own_name));
    candidates.push(Path::new("/tmp").join(own_name));
    let mut seen = std::collections::HashSet::new();
    candidates.retain(|dir| seen.insert(dir.clone()));
    candidates
}

/// The directories that a server may use, best first. Each is made if it does not exist.
pub(crate) fn for_servers() -> impl Iterator<Item = Result<Directory, devrun::control::DirectoryError>> {
    candidates().into_iter().map(Directory::create)
}

/// The directories that exist, for clients.
pub(crate) fn existing() -> Vec<Directory> {
    candidates().into_iter().filter_map(|path| Directory::open(path).ok()).collect()
}
