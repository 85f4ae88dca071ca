//! The options of a session that come from the program and not from the settings, and why a session cannot start.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use devrun::session::Error;
use devrun::supervise::{Capture, ExceededLimit, OrphanKiller, OutputLog, Stdin};
use devrun::{Options, proxy, supervise};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::config::Settings;
use crate::system::ports;
use crate::ui::{CliError, Terminal, worded};

/// Limit of open files for devrun, because each connection of a client takes two. A higher one would slow down programs that close all possible descriptors.
const OPEN_FILES: u64 = 32_768;
/// Minimum limit of open files with which devrun starts.
const LEAST_OPEN_FILES: u64 = 32;

/// The options of the first session.
///
/// # Errors
/// [`CliError`] if the settings cannot be used, for example because there is no COMMAND.
pub(super) fn first_options(settings: &Settings, terminal: &mut Terminal) -> Result<Options, CliError> {
    let mut options = settings.session_options()?;
    options.supervise.open_files = raise_open_files_limit()?;
    // From here on a thread writes standard error, so that log lines never block the event loop.
    let streams = terminal.share().map_err(|error| failed_to("start the output threads", &error))?;
    options.supervise.streams = Some(streams);
    options.supervise.orphan_killer = start_orphan_killer(terminal);
    options.supervise.log = settings.has_control.then(OutputLog::new);
    capture_output(&mut options, terminal);
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
    // The old session had none if COMMAND had the terminal.
    let new_log = || settings.has_control.then(OutputLog::new);
    options.supervise.log = old.supervise.log.clone().or_else(new_log);
    capture_output(&mut options, terminal);
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

/// Lets the output of COMMAND pass through devrun: on a terminal, so that it does not mix with the lines of devrun; with
/// a log, so that clients of the control socket can read it. Not if COMMAND reads the terminal itself, because it then
/// needs all of it.
fn capture_output(options: &mut Options, terminal: &Terminal) {
    let owns_terminal = child_owns_terminal(options);
    let supervise = &mut options.supervise;
    if supervise.capture != Capture::No {
        return;
    }
    if owns_terminal {
        supervise.log = None;
    } else if supervise.log.is_some() {
        supervise.capture = Capture::Log;
    } else if terminal.supports_status() {
        supervise.capture = Capture::Terminal;
    }
}

/// Raises the limit of open files of this process. Returns the old limit, which COMMAND gets, if the limit changed.
///
/// # Errors
/// [`CliError`] if devrun cannot run with the limit.
fn raise_open_files_limit() -> Result<Option<u64>, CliError> {
    let mut limit = getrlimit(Resource::Nofile);
    let Some(before) = limit.current else { return Ok(None) };
    let wanted = limit.maximum.unwrap_or(OPEN_FILES).min(OPEN_FILES);
    limit.current = Some(wanted);
    let raised = wanted > before && setrlimit(Resource::Nofile, limit).is_ok();
    let now = if raised { wanted } else { before };
    if now < LEAST_OPEN_FILES {
        let error = CliError::new(format!("devrun needs {LEAST_OPEN_FILES} open files at least"));
        return Err(explain_limit(error, ExceededLimit::OpenFiles(Some(now))));
    }
    Ok(raised.then_some(before))
}

/// A failure to start a part of devrun. If the cause is a limit of the system, the error says how to raise it.
pub(super) fn failed_to(action: &str, error: &io::Error) -> CliError {
    let failure = CliError::failed_to(action, error);
    match ExceededLimit::of(error) {
        Some(limit) => explain_limit(failure, limit),
        None => failure,
    }
}

fn explain_limit(failure: CliError, limit: ExceededLimit) -> CliError {
    failure.with_cause(limit.to_string()).with_remedy(worded(&limit.remedy()))
}

/// The message and the remedy for an error of [`devrun::Session`].
pub(super) fn start_error(error: &Error) -> CliError {
    let failure = CliError::from_library(error);
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    if let Some(limit) = source.and_then(ExceededLimit::of) {
        return explain_limit(failure, limit);
    }
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
