//! A listening socket that is another's, accepted on for a while.
//!
//! Never opens one, and never changes whether it blocks: that is shared by all who have it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixListener};

/// A listening socket that is another's.
#[derive(Debug)]
pub(super) enum Shared {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Shared {
    /// Takes a duplicate of it, which must be non-blocking.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        if !SockRef::from(&socket).nonblocking()? {
            return Err(io::Error::other("the socket blocks"));
        }
        match SockRef::from(&socket).local_addr()?.is_unix() {
            true => UnixListener::from_std(socket.into()).map(Self::Unix),
            false => TcpListener::from_std(socket.into()).map(Self::Tcp),
        }
    }

    /// Accepts without ever blocking; `None` once the socket has been made blocking: then a server has it, and is to be left
    /// alone with it.
    pub(super) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<(TcpStream, SocketAddr)>>> {
        let nonblocking = match self {
            Self::Tcp(listener) => SockRef::from(listener).nonblocking()?,
            Self::Unix(listener) => SockRef::from(listener).nonblocking()?,
        };
        if !nonblocking {
            return Poll::Ready(Ok(None));
        }
        match self {
            Self::Tcp(listener) => listener.poll_accept(cx).map_ok(Some),
            Self::Unix(listener) => {
                let (stream, _) = ready!(listener.poll_accept(cx))?;
                // Bytes are read and written in the same way; only who the peer is cannot be said.
                let stream = std::net::TcpStream::from(OwnedFd::from(stream.into_std()?));
                let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                Poll::Ready(TcpStream::from_std(stream).map(|stream| Some((stream, nobody))))
            }
        }
    }
}
