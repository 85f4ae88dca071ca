//! The options of a session that come from the program and not from the settings, and why a session cannot start.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use devrun::session::Error;
use devrun::supervise::{Capture, OrphanKiller, Stdin};
use devrun::{Options, proxy, supervise};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::config::Settings;
use crate::system::ports;
use crate::ui::{CliError, Terminal};

/// Limit of open files for devrun, because each connection of a client takes two. A higher one would slow down programs that close all possible descriptors.
const OPEN_FILES: u64 = 32_768;

/// The options of the first session.
///
/// # Errors
/// [`CliError`] if the settings cannot be used, for example because there is no COMMAND.
pub(super) fn first_options(settings: &Settings, terminal: &mut Terminal) -> Result<Options, CliError> {
    let mut options = settings.session_options()?;
    // From here on a thread writes standard error, so that log lines never block the event loop.
    let streams =
        terminal.share().map_err(|error| CliError::failed_to("start the output threads", &error))?;
    options.supervise.streams = Some(streams);
    options.supervise.orphan_killer = start_orphan_killer(terminal);
    options.supervise.open_files = raise_open_files_limit();
    capture_terminal_output(&mut options, terminal);
    Ok(options)
}

/// The options of a session with new settings, which takes over what `old` has opened and counted.
///
/// # Errors
/// [`CliError`] if the settings cannot be used.
pub(super) fn next_options(
    settings: &Settings,
    old: &Options,
    terminal: &Terminal,
) -> Result<Options, CliError> {
    let mut options = settings.session_options()?;
    options.supervise.streams.clone_from(&old.supervise.streams);
    options.supervise.orphan_killer.clone_from(&old.supervise.orphan_killer);
    options.supervise.open_files = old.supervise.open_files;
    options.watch.stats = old.watch.stats.clone();
    capture_terminal_output(&mut options, terminal);
    Ok(options)
}

/// Whether COMMAND reads the terminal itself.
pub(super) fn child_owns_terminal(options: &Options) -> bool {
    options.supervise.command.stdin == Stdin::Inherit
}

/// Starts the orphan killer. devrun also runs without it, but warns.
fn start_orphan_killer(terminal: &mut Terminal) -> Option<OrphanKiller> {
    match OrphanKiller::start() {
        Ok(killer) => Some(killer),
        Err(error) => {
            let message = "if devrun is killed by SIGKILL, COMMAND may go on running";
            terminal.warn(format_args!("{message}: {error}"), "");
            None
        }
    }
}

/// Lets the output of COMMAND on a terminal pass through devrun, so that it does not mix with the lines of
/// devrun. Does nothing if COMMAND reads the terminal itself, because it then needs all of it.
fn capture_terminal_output(options: &mut Options, terminal: &Terminal) {
    if options.supervise.capture == Capture::No && !child_owns_terminal(options) && terminal.supports_status()
    {
        options.supervise.capture = Capture::Terminal;
    }
}

/// Raises the limit of open files of this process. Returns the old limit, which COMMAND gets, if the limit changed.
fn raise_open_files_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current?;
    let wanted = limit.maximum.unwrap_or(OPEN_FILES).min(OPEN_FILES);
    limit.current = Some(wanted);
    (wanted > before && setrlimit(Resource::Nofile, limit).is_ok()).then_some(before)
}

/// The message and the remedy for an error of [`devrun::Session`].
pub(super) fn start_error(error: &Error) -> CliError {
    let failure = CliError::from_library(error);
    match error {
        Error::Proxy(proxy::Error::Bind { address, source }) => {
            explain_port(failure, *address, "tcp", source)
        }
        // `address` is a value of `--listen`: `ADDR`, `udp:ADDR` or `unix:PATH`.
        Error::Supervise(supervise::Error::Listen { address, source }) => {
            let (protocol, address) = address
                .split_once(':')
                .filter(|(protocol, _)| ["udp", "unix"].contains(protocol))
                .unwrap_or(("tcp", address));
            match address.parse() {
                _ if protocol == "unix" => explain_unix_socket(failure, Path::new(address), source),
                Ok(address) => explain_port(failure, address, protocol, source),
                Err(_) => failure,
            }
        }
        _ => failure,
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
