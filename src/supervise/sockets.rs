//! Listening sockets: bound once, handed to every generation. Never accepts.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::error::Error;
use super::os::unix::duplicate_high;

/// Connections that may wait while nobody accepts; the kernel caps it at `net.core.somaxconn`. A short queue would make
/// clients stall for seconds, since overflowing connections are dropped and tried again.
const BACKLOG: i32 = 1024;
/// Descriptors below are those that are handed over.
const LEAST_DESCRIPTOR: i32 = 10;

/// Where a socket listens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// TCP.
    Tcp(SocketAddr),
    /// UDP.
    Udp(SocketAddr),
    /// A Unix stream socket at this path.
    Unix(PathBuf),
}

impl std::fmt::Display for Endpoint {
    /// As it is given on the command line: `127.0.0.1:8000`, `udp:127.0.0.1:53`, `unix:/run/app.sock`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Udp(address) => write!(f, "udp:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket to open and hand over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Its name in `LISTEN_FDNAMES`; `None`: `unknown`, as systemd says.
    pub name: Option<String>,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Whether somebody answers 503 on it while no generation lives (HTTP); the `tcp:` prefix turns it off.
    pub answer: bool,
}

/// An open socket that generations inherit.
#[derive(Debug)]
pub(super) struct Held {
    fd: OwnedFd,
    pub(super) name: String,
    pub(super) endpoint: Endpoint,
    pub(super) answer: bool,
    /// The file of a Unix socket, by device and inode: it is ours to remove, unless somebody has replaced it.
    file: Option<(PathBuf, u64, u64)>,
    used: Mutex<Use>,
}

/// Who has a socket.
#[derive(Debug, Default)]
struct Use {
    /// The last generation that was started with it.
    generation: u64,
    /// It was lent to somebody who answers on it, and was non-blocking before or not.
    lent: Option<bool>,
}

impl Held {
    /// Opens a socket as asked. The port of the endpoint is the real one, even where 0 was asked for.
    pub(super) fn open(listen: &Listen) -> Result<Self, Error> {
        let name = listen.name.clone().unwrap_or_else(|| "unknown".to_owned());
        let opened = match &listen.endpoint {
            Endpoint::Tcp(address) => tcp(*address),
            Endpoint::Udp(address) => udp(*address),
            Endpoint::Unix(path) => unix(path),
        };
        opened
            .and_then(|(socket, endpoint)| Self::hold(socket, name, endpoint, listen.answer))
            .map_err(|source| Error::Listen { address: listen.endpoint.to_string(), source })
    }

    /// A listening socket on a free loopback port.
    pub(super) fn own() -> io::Result<Self> {
        let (socket, endpoint) = tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Self::hold(socket, "http".to_owned(), endpoint, false)
    }

    fn hold(socket: Socket, name: String, endpoint: Endpoint, answer: bool) -> io::Result<Self> {
        let file = match &endpoint {
            Endpoint::Unix(path) => {
                let found = std::fs::symlink_metadata(path)?;
                Some((path.clone(), found.dev(), found.ino()))
            }
            _ => None,
        };
        let fd = duplicate_high(&socket, LEAST_DESCRIPTOR)?;
        Ok(Self { fd, name, endpoint, answer, file, used: Mutex::default() })
    }

    /// The descriptor for the next child. Whether it blocks is shared by all who have it: an `accept` that blocks would stop a
    /// server that serves on, which expects none, so that it is changed only for a child that is `alone` with it. That one
    /// finds it blocking, as `sd_listen_fds(3)` says, whatever an earlier one has made of it.
    pub(super) fn for_child(&self, generation: u64, alone: bool) -> io::Result<BorrowedFd<'_>> {
        let mut used = self.used();
        used.generation = generation;
        let lent = used.lent.take();
        if let Some(nonblocking) = if alone { Some(false) } else { lent } {
            rustix::io::ioctl_fionbio(&self.fd, nonblocking)?;
        }
        Ok(self.fd.as_fd())
    }

    /// The address, if it is TCP.
    pub(super) fn tcp(&self) -> Option<SocketAddr> {
        match self.endpoint {
            Endpoint::Tcp(address) => Some(address),
            _ => None,
        }
    }

    /// The kernel's number of the socket: what `/proc/PID/fd` shows.
    pub(super) fn inode(&self) -> Option<u64> {
        Some(rustix::fs::fstat(&self.fd).ok()?.st_ino)
    }

    /// A duplicate for somebody who answers on it, non-blocking, until a generation after this one gets it; `None` if one has.
    pub(super) fn lend(&self, generation: u64) -> io::Result<Option<OwnedFd>> {
        let mut used = self.used();
        if used.generation > generation {
            return Ok(None);
        }
        let nonblocking = SockRef::from(&self.fd).nonblocking()?;
        used.lent.get_or_insert(nonblocking);
        rustix::io::ioctl_fionbio(&self.fd, true)?;
        self.fd.try_clone().map(Some)
    }

    fn used(&self) -> MutexGuard<'_, Use> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some((path, device, inode)) = &self.file
            && std::fs::symlink_metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (*device, *inode))
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<(Socket, Endpoint)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Connections of an earlier run may linger in TIME_WAIT; a socket that still listens is an error all the same.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && !address.ip().is_unspecified() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let real = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok((socket, Endpoint::Tcp(real)))
}

fn udp(address: SocketAddr) -> io::Result<(Socket, Endpoint)> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    socket.bind(&address.into())?;
    let real = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok((socket, Endpoint::Udp(real)))
}

fn unix(path: &Path) -> io::Result<(Socket, Endpoint)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let address = SockAddr::unix(path)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && stale(path, &address) => {
            std::fs::remove_file(path)?;
            socket.bind(&address)?;
        }
        other => other?,
    }
    socket.listen(BACKLOG)?;
    Ok((socket, Endpoint::Unix(path.to_owned())))
}

/// Whether a socket file was left behind: it is a socket, and nobody listens.
fn stale(path: &Path, address: &SockAddr) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refused = || {
        let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        probe.connect(address)
    };
    socket && refused().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
