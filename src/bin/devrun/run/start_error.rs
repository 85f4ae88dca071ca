//! Why a session could not begin, in words; with who is in the way where a port is taken.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use devrun::session::Error;
use devrun::{front, supervise};

use crate::system::ports;
use crate::ui::error::Failure;

/// The failure for an error, with a remedy where there is one.
pub(crate) fn cannot_begin(error: &Error) -> Failure {
    let failure = Failure::of(error);
    match error {
        Error::Front(front::Error::Bind { address, source }) => tcp(failure, *address, source),
        Error::Supervise(supervise::Error::Listen { address, source }) => listen(failure, address, source),
        _ => failure,
    }
}

fn listen(failure: Failure, address: &str, source: &io::Error) -> Failure {
    if let Some(path) = address.strip_prefix("unix:") {
        return unix(failure, Path::new(path), source);
    }
    let (protocol, bare) = match address.strip_prefix("udp:") {
        Some(bare) => ("udp", bare),
        None => ("tcp", address),
    };
    match bare.parse() {
        Ok(address) => port(failure, address, protocol, source),
        Err(_) => failure,
    }
}

fn tcp(failure: Failure, address: SocketAddr, source: &io::Error) -> Failure {
    port(failure, address, "tcp", source)
}

fn port(mut failure: Failure, address: SocketAddr, protocol: &str, source: &io::Error) -> Failure {
    if source.kind() != io::ErrorKind::AddrInUse {
        return failure.remedy(ports::remedy(source.kind()));
    }
    let (who, remedy) = ports::in_the_way(ports::holder(address, protocol).as_ref(), address.port());
    failure.causes.push(who);
    failure.remedy(format!("{remedy}; or take another port"))
}

fn unix(mut failure: Failure, path: &Path, source: &io::Error) -> Failure {
    match (source.kind(), ports::unix_holder(path)) {
        (io::ErrorKind::AddrInUse, Some(holder)) => {
            let (who, remedy) = ports::in_the_way(Some(&holder), 0);
            failure.causes.push(who);
            failure.remedy(format!("{remedy}; or take another path"))
        }
        (io::ErrorKind::AddrInUse, None) => {
            failure.remedy("a file that is no socket of ours is in the way: take another path")
        }
        (io::ErrorKind::NotFound, _) => failure.remedy("its directory does not exist: create it"),
        _ => failure,
    }
}
