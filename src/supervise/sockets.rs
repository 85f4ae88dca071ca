//! Listening sockets: bound once, passed to every generation. Accepts no connection.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::GenerationId;
use crate::sync::lock;

use super::supervisor::Error;

/// Maximum number of connections that wait until a server accepts them; the kernel limits it to
/// `net.core.somaxconn`. A short queue would make clients stall for seconds, because the kernel drops
/// connections that overflow it, and clients retry late.
const BACKLOG: i32 = 1024;
/// Lowest number of a socket's descriptor, because the numbers below are for passing on.
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
    /// `127.0.0.1:8000`, `udp:127.0.0.1:53`, `unix:/run/app.sock`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Udp(address) => write!(f, "udp:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket to open and to pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Its name in `LISTEN_FDNAMES`; `None`: `unknown`, as systemd says.
    pub name: Option<String>,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Whether the owner of the supervisor answers on it with status 503 while no generation runs (HTTP).
    pub answer: bool,
}

/// How listening sockets are passed to the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PassSocket {
    /// `LISTEN_FDS`, `LISTEN_PID`, `LISTEN_FDNAMES`, and descriptors from 3 on (`sd_listen_fds(3)`).
    #[default]
    Systemd,
    /// The same, and `WERKZEUG_SERVER_FD` and `WERKZEUG_RUN_MAIN`.
    Werkzeug,
}

/// Whether an older generation serves on the socket too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListenerUse {
    Exclusive,
    Shared,
}

/// An open socket that generations inherit.
#[derive(Debug)]
pub(super) struct InheritedListener {
    fd: OwnedFd,
    /// The options of this socket. The port of the endpoint is the real one, even if 0 was asked for.
    pub(super) listen: Listen,
    /// The device and the inode of the file of a Unix socket, so that it is removed only if no other file has
    /// replaced it.
    file: Option<(u64, u64)>,
    owner: Mutex<ListenerOwner>,
}

/// The process that a socket was passed to last.
#[derive(Debug, Default)]
struct ListenerOwner {
    /// The last generation that was started with it.
    generation: Option<GenerationId>,
    /// It was lent to the owner of the supervisor. The value says whether it was non-blocking before.
    lent: Option<bool>,
}

impl InheritedListener {
    pub(super) fn open(listen: &Listen) -> Result<Self, Error> {
        let opened = match &listen.endpoint {
            Endpoint::Tcp(address) => tcp(*address),
            Endpoint::Udp(address) => udp(*address),
            Endpoint::Unix(path) => unix(path),
        };
        opened
            .and_then(|(socket, endpoint)| Self::new(&socket, Listen { endpoint, ..listen.clone() }))
            .map_err(|source| Error::Listen { address: listen.endpoint.to_string(), source })
    }

    pub(super) fn on_free_port() -> Result<Self, Error> {
        let endpoint = Endpoint::Tcp((Ipv4Addr::LOCALHOST, 0).into());
        Self::open(&Listen { name: Some("http".to_owned()), endpoint, answer: false })
    }

    fn new(socket: &Socket, listen: Listen) -> io::Result<Self> {
        let file = match &listen.endpoint {
            Endpoint::Unix(path) => Some(file_id(path)?),
            _ => None,
        };
        let fd = rustix::io::fcntl_dupfd_cloexec(socket, LEAST_DESCRIPTOR)?;
        Ok(Self { fd, listen, file, owner: Mutex::default() })
    }

    /// Name in `LISTEN_FDNAMES`.
    pub(super) fn name(&self) -> &str {
        self.listen.name.as_deref().unwrap_or("unknown")
    }

    /// The descriptor for the next child.
    ///
    /// All processes that have the socket share its blocking mode. A child that has it exclusively gets it
    /// blocking, as `sd_listen_fds(3)` says, whatever an earlier child has set. The mode of a shared one
    /// stays, because a blocking `accept` would stop an older server that expects none.
    pub(super) fn for_child(
        &self,
        generation: GenerationId,
        used: ListenerUse,
    ) -> io::Result<BorrowedFd<'_>> {
        let mut owner = lock(&self.owner);
        owner.generation = Some(generation);
        let before = owner.lent.take();
        let nonblocking = match used {
            ListenerUse::Exclusive => Some(false),
            ListenerUse::Shared => before,
        };
        if let Some(nonblocking) = nonblocking {
            rustix::io::ioctl_fionbio(&self.fd, nonblocking)?;
        }
        Ok(self.fd.as_fd())
    }

    pub(super) fn tcp_address(&self) -> Option<SocketAddr> {
        match self.listen.endpoint {
            Endpoint::Tcp(address) => Some(address),
            _ => None,
        }
    }

    /// The inode of the socket, as `/proc/PID/fd` shows it.
    pub(super) fn inode(&self) -> Option<u64> {
        Some(rustix::fs::fstat(&self.fd).ok()?.st_ino)
    }

    /// A non-blocking duplicate for answers after the end of a generation; `None` if a later generation has
    /// the socket.
    pub(super) fn lend(&self, generation: GenerationId) -> io::Result<Option<OwnedFd>> {
        let mut owner = lock(&self.owner);
        if owner.generation > Some(generation) {
            return Ok(None);
        }
        let nonblocking = SockRef::from(&self.fd).nonblocking()?;
        owner.lent.get_or_insert(nonblocking);
        rustix::io::ioctl_fionbio(&self.fd, true)?;
        self.fd.try_clone().map(Some)
    }
}

impl Drop for InheritedListener {
    fn drop(&mut self) {
        if let Endpoint::Unix(path) = &self.listen.endpoint
            && file_id(path).ok() == self.file
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn file_id(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

fn tcp(address: SocketAddr) -> io::Result<(Socket, Endpoint)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Connections of an earlier run may be in TIME_WAIT. Binding still fails if another socket listens.
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
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path, &address) => {
            std::fs::remove_file(path)?;
            socket.bind(&address)?;
        }
        other => other?,
    }
    socket.listen(BACKLOG)?;
    Ok((socket, Endpoint::Unix(path.to_owned())))
}

/// Whether a socket file was left behind: it is a socket, and no process listens on it.
fn is_stale(path: &Path, address: &SockAddr) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refused = || {
        let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        probe.connect(address)
    };
    socket && refused().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
