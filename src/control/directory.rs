//! The directory of a user's control sockets, and the sockets in it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use socket2::{Domain, SockAddr, Type};
use xxhash_rust::xxh3::xxh3_64;

/// Permissions of the directory: for its user only.
const DIRECTORY_MODE: u32 = 0o700;
/// Permissions that no other user may have.
const OTHERS: u32 = 0o077;
/// Maximum length of a socket's path in bytes, without the final NUL (unix(7)).
const MAX_SOCKET_PATH: usize = 107;
/// Maximum length of the name of an instance in bytes.
const MAX_NAME: usize = 40;
/// Maximum number of instances of one project with the same wanted name.
const MAX_NUMBER: u32 = 99;
const EXTENSION: &str = "sock";

/// A directory that holds the control sockets of one user.
#[derive(Debug, Clone)]
pub struct Directory {
    path: PathBuf,
}

/// The socket of one instance. Its server may have ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct SocketFile {
    /// The name of the instance.
    pub name: String,
    /// The path of the socket.
    pub path: PathBuf,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// It does not exist, and cannot be made.
    #[error("make the directory {}", .path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It belongs to another user, other users may use it, or it is no directory.
    #[error("use {}: it is not a directory of this user alone (mode 0700)", .path.display())]
    NotPrivate {
        /// The path.
        path: PathBuf,
    },
}

/// A listening socket with its path and name.
#[derive(Debug)]
pub(super) struct BoundSocket {
    pub listener: UnixListener,
    pub socket: SocketFile,
}

impl Directory {
    /// Uses this directory, which is made if it does not exist.
    ///
    /// # Errors
    /// [`DirectoryError`] if it cannot be made, or is not a directory of this user alone.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, DirectoryError> {
        let path = path.into();
        match DirBuilder::new().mode(DIRECTORY_MODE).create(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(DirectoryError::Create { path, source }),
        }
        Self::open(path)
    }

    /// Uses this directory, which exists.
    ///
    /// # Errors
    /// [`DirectoryError::NotPrivate`] if it does not exist, or is not a directory of this user alone.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DirectoryError> {
        let path = path.into();
        let is_private = fs::symlink_metadata(&path).is_ok_and(|found| {
            let is_own = found.uid() == rustix::process::geteuid().as_raw();
            found.is_dir() && is_own && found.permissions().mode() & OTHERS == 0
        });
        if is_private { Ok(Self { path }) } else { Err(DirectoryError::NotPrivate { path }) }
    }

    /// The sockets of the project in this directory, sorted by name.
    ///
    /// The path of a project is compared as text, so both sides resolve links first.
    #[must_use]
    pub fn sockets_of(&self, project: &Path) -> Vec<SocketFile> {
        let prefix = prefix(project);
        self.list(|file_name| file_name.strip_prefix(&prefix))
    }

    /// The sockets of all projects, sorted.
    #[must_use]
    pub fn sockets(&self) -> Vec<SocketFile> {
        self.list(|file_name| file_name.split_once('.').map(|(_, rest)| rest))
    }

    fn list(&self, rest_of: impl Fn(&str) -> Option<&str>) -> Vec<SocketFile> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let socket = |path: PathBuf| {
            let name = rest_of(path.file_name()?.to_str()?)?.strip_suffix(EXTENSION)?.strip_suffix('.')?;
            Some(SocketFile { name: name.to_owned(), path })
        };
        let mut sockets: Vec<_> = entries.filter_map(|entry| socket(entry.path())).collect();
        sockets.sort();
        sockets
    }

    /// Listens for a project. Sockets whose servers have ended are removed. If the name is in use, the first free one of
    /// `name-2`, `name-3` and so on is taken.
    pub(super) fn bind(&self, project: &Path, name: &str) -> io::Result<BoundSocket> {
        // Two servers that start at once must not replace each other's socket.
        let _lock = self.lock()?;
        self.remove_dead();
        let name = file_name(name);
        let names = (2..=MAX_NUMBER).map(|number| format!("{name}-{number}"));
        for name in std::iter::once(name.clone()).chain(names) {
            let path = self.path.join(format!("{}{name}.{EXTENSION}", prefix(project)));
            if path.as_os_str().len() > MAX_SOCKET_PATH {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidFilename,
                    "the path is too long for a socket",
                ));
            }
            if path.symlink_metadata().is_ok() {
                continue;
            }
            let listener = UnixListener::bind(&path)?;
            return Ok(BoundSocket { listener, socket: SocketFile { path, name } });
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "too many instances have this name"))
    }

    /// Removes the sockets whose server has ended without doing so, of any project.
    fn remove_dead(&self) {
        for socket in self.sockets().into_iter().filter(|socket| !is_alive(&socket.path)) {
            // Another process of the user may have removed it.
            let _ = fs::remove_file(socket.path);
        }
    }

    /// Locks the directory until the returned file is closed.
    fn lock(&self) -> io::Result<OwnedFd> {
        let file = OwnedFd::from(File::options().create(true).append(true).open(self.path.join("lock"))?);
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }
}

/// The first part of the file names of a project's sockets.
fn prefix(project: &Path) -> String {
    format!("{:016x}.", xxh3_64(project.as_os_str().as_bytes()))
}

/// A name without characters that have a meaning in paths or are hard to type.
fn file_name(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    let name: String =
        name.chars().map(|letter| if plain(letter) { letter } else { '-' }).take(MAX_NAME).collect();
    if name.is_empty() { "devrun".to_owned() } else { name }
}

/// Whether a server listens on the socket. It need not answer.
fn is_alive(path: &Path) -> bool {
    // A server that does not accept, because it is stopped, must not block this one.
    let connect = || -> io::Result<()> {
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    match connect() {
        Ok(()) => true,
        Err(error) => !matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_of_a_project_has_a_name_of_its_own() {
        let parent = tempfile::tempdir().unwrap();
        let directory = Directory::create(parent.path().join("devrun")).unwrap();
        let (shop, other) = (Path::new("/home/me/shop"), Path::new("/home/me/other"));
        let first = directory.bind(shop, "flask").unwrap();
        let second = directory.bind(shop, "flask").unwrap();
        let third = directory.bind(other, "my server/é").unwrap();
        let names =
            |sockets: Vec<SocketFile>| sockets.into_iter().map(|socket| socket.name).collect::<Vec<_>>();
        assert_eq!(names(directory.sockets_of(shop)), ["flask", "flask-2"]);
        assert_eq!(names(directory.sockets_of(other)), ["my-server--"]);
        assert_eq!(directory.sockets().len(), 3);
        drop((first, second, third));
    }

    #[test]
    fn the_sockets_of_servers_that_have_ended_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let directory = Directory::create(parent.path().join("devrun")).unwrap();
        drop(directory.bind(Path::new("/shop"), "web").unwrap());
        drop(directory.bind(Path::new("/other"), "web").unwrap());
        assert_eq!(directory.bind(Path::new("/shop"), "web").unwrap().socket.name, "web");
        assert_eq!(directory.sockets().len(), 1);
    }

    #[test]
    fn a_directory_that_others_may_use_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let open = parent.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(Directory::create(&open), Err(DirectoryError::NotPrivate { .. })));
        let link = parent.path().join("link");
        let own = parent.path().join("own");
        Directory::create(&own).unwrap();
        std::os::unix::fs::symlink(&own, &link).unwrap();
        assert!(matches!(Directory::create(&link), Err(DirectoryError::NotPrivate { .. })));
        assert!(matches!(
            Directory::create(parent.path().join("no/where")),
            Err(DirectoryError::Create { .. })
        ));
    }

    #[test]
    fn a_path_that_is_too_long_is_an_error() {
        let parent = tempfile::tempdir().unwrap();
        let directory = Directory::create(parent.path().join("d".repeat(100))).unwrap();
        let error = directory.bind(Path::new("/shop"), "web").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidFilename);
    }
}
