//! Relays from loopback ports to Unix sockets, because the other parts know a server by its TCP address.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::free_port;

/// Delay before the next accept after an error, such as missing file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(5);

/// Relays by the path of their Unix socket, or by its abstract name behind `@`. Dropping them closes their ports and connections.
#[derive(Debug, Default)]
pub(crate) struct UnixRelays(BTreeMap<PathBuf, (SocketAddr, AbortOnDropHandle<()>)>);

impl UnixRelays {
    /// The loopback address that leads to the Unix socket. It stays the same, so the next generation is known there.
    pub(crate) fn address_of(&mut self, path: PathBuf) -> io::Result<SocketAddr> {
        if let Some((address, _)) = self.0.get(&path) {
            return Ok(*address);
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, free_port().unwrap_or(0)))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(TcpListener::from_std(listener)?, path.clone()));
        self.0.insert(path, (address, AbortOnDropHandle::new(task)));
        Ok(address)
    }

    /// The Unix socket to which an address leads.
    pub(crate) fn path_of(&self, address: SocketAddr) -> Option<&Path> {
        self.0.iter().find(|(_, (known, _))| *known == address).map(|(path, _)| path.as_path())
    }
}

async fn accept(listener: TcpListener, path: PathBuf) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => drop(connections.spawn(relay(client, path.clone()))),
                Err(_) => tokio::time::sleep(ACCEPT_RETRY_DELAY).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Copies until the server's side ends. A server that answers early need not read the rest of the request.
async fn relay(mut client: TcpStream, path: PathBuf) -> io::Result<()> {
    client.set_nodelay(true)?;
    // The kernel shows the NUL byte in front of an abstract name as `@`.
    let name = path.to_str().and_then(|path| path.strip_prefix('@')).map(|name| format!("\0{name}").into());
    let mut server = UnixStream::connect(name.unwrap_or(path)).await?;
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.split(), server.split());
    let upload = async {
        let _ = copy(&mut from_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
        std::future::pending::<()>().await;
    };
    let download = async {
        copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::select! {
        () = upload => Ok(()),
        result = download => result,
    }
}
