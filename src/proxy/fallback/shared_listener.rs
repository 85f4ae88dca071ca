//! A listening socket that other processes share.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixListener};

/// A listening socket that other processes share. The proxy never changes whether the socket blocks, because
/// all of them share that flag.
#[derive(Debug)]
pub(super) enum SharedListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl SharedListener {
    /// Takes a descriptor of the socket.
    ///
    /// # Errors
    /// If the socket blocks, or a system call fails.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        if !SockRef::from(&socket).nonblocking()? {
            return Err(io::Error::other("the socket is blocking"));
        }
        if SockRef::from(&socket).local_addr()?.is_unix() {
            UnixListener::from_std(socket.into()).map(Self::Unix)
        } else {
            TcpListener::from_std(socket.into()).map(Self::Tcp)
        }
    }

    /// Accepts a connection; `None` once the socket is blocking, which means that a server has taken it.
    pub(super) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<(TcpStream, SocketAddr)>>> {
        let is_nonblocking = match self {
            Self::Tcp(listener) => SockRef::from(listener).nonblocking()?,
            Self::Unix(listener) => SockRef::from(listener).nonblocking()?,
        };
        if !is_nonblocking {
            return Poll::Ready(Ok(None));
        }
        match self {
            Self::Tcp(listener) => listener.poll_accept(cx).map_ok(Some),
            Self::Unix(listener) => {
                let (stream, _) = ready!(listener.poll_accept(cx))?;
                // Reading and writing are the same for both kinds of socket. A Unix peer has no IP address.
                let stream = std::net::TcpStream::from(OwnedFd::from(stream.into_std()?));
                let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                Poll::Ready(TcpStream::from_std(stream).map(|stream| Some((stream, peer))))
            }
        }
    }
}
