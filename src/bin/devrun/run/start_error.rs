//! Why a session cannot start, with the process that holds a port or a socket in use.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use devrun::session::Error;
use devrun::{proxy, supervise};

use crate::system::ports;
use crate::ui::CliError;

/// The message and the remedy for an error of [`devrun::Session`].
pub(crate) fn start_error(error: &Error) -> CliError {
    let failure = CliError::from_library(error);
    match error {
        Error::Proxy(proxy::Error::Bind { address, source }) => {
            explain_port(failure, *address, "tcp", source)
        }
        Error::Supervise(supervise::Error::Listen { address, source }) => {
            explain_listen(failure, address, source)
        }
        _ => failure,
    }
}

/// `address` is a value of `--listen`: `ADDR`, `udp:ADDR` or `unix:PATH`.
fn explain_listen(failure: CliError, address: &str, source: &io::Error) -> CliError {
    if let Some(path) = address.strip_prefix("unix:") {
        return explain_unix_socket(failure, Path::new(path), source);
    }
    let (protocol, address) = match address.strip_prefix("udp:") {
        Some(address) => ("udp", address),
        None => ("tcp", address),
    };
    match address.parse() {
        Ok(address) => explain_port(failure, address, protocol, source),
        Err(_) => failure,
    }
}

fn explain_port(failure: CliError, address: SocketAddr, protocol: &str, source: &io::Error) -> CliError {
    if source.kind() != io::ErrorKind::AddrInUse {
        return failure.with_remedy(ports::remedy(source.kind()));
    }
    let (holder, remedy) = ports::describe_holder(ports::holder(address, protocol).as_ref(), address.port());
    failure.with_cause(holder).with_remedy(format!("{remedy}; or use another port"))
}

fn explain_unix_socket(failure: CliError, path: &Path, source: &io::Error) -> CliError {
    match (source.kind(), ports::unix_holder(path)) {
        (io::ErrorKind::AddrInUse, Some(holder)) => {
            let (holder, remedy) = ports::describe_holder(Some(&holder), 0);
            failure.with_cause(holder).with_remedy(format!("{remedy}; or use another path"))
        }
        (io::ErrorKind::AddrInUse, None) => {
            failure.with_remedy("a file that is not a socket of devrun has this name: use another path")
        }
        (io::ErrorKind::NotFound, _) => failure.with_remedy("the directory does not exist: create it"),
        _ => failure,
    }
}
