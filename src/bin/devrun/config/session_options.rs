//! The options of a session, made from the merged options of all sources. The library has most of the defaults.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv6Addr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use devrun::supervise::{self, Capture, Endpoint, Port, Shell, Stdin, Subreaper};
use devrun::watch::MissingRoots;
use devrun::{Command, proxy, rules, watch};

use crate::cli::args::{Options, RunOptions, ServerOptions, WatchOptions};
use crate::cli::parse::quoted;
use crate::cli::values::{CommandLine, Proxy};
use crate::config::options::{is_path, resolved};
use crate::ui::{CliError, escape_relative_path, escape_text};

/// The options of a session. `typed` is COMMAND of the command line, which runs in `directory`; a command of
/// devrun.toml runs in `base`. If there is no COMMAND, its program is empty.
pub(super) fn session_options(
    options: Options,
    typed: &[OsString],
    directory: &Path,
    base: &Path,
) -> Result<devrun::Options, CliError> {
    let Options { watch, run, server, .. } = options;
    if let Some(workdir) = run.workdir.as_ref().filter(|workdir| !workdir.is_dir()) {
        let shown = escape_relative_path(workdir, directory);
        return Err(CliError::new(format!("--workdir: {shown} is not a directory"))
            .with_remedy("create it, or name a directory that exists"));
    }
    let command = command(&run, typed, directory, base)?;
    let builds = run.build.iter().flatten().map(|line| command_from_file(line, &run, base)).collect();
    let mut session = devrun::Options::new(command);
    session.watch = watch_options(watch, base);
    // COMMAND reads the variables of its env files, so a rule that ignores such a file has no effect.
    session.watch.always.clone_from(&session.supervise.command.env_files);
    session.watch_enabled = run.no_watch != Some(true);
    let supervise = &mut session.supervise;
    supervise.builds = builds;
    set(&mut supervise.on_busy, run.on_busy);
    set(&mut supervise.on_exit, run.on_exit);
    set(&mut supervise.on_loop, run.on_loop);
    set(&mut supervise.stop_signal, run.stop_signal);
    set(&mut supervise.stop_scope, run.stop_scope);
    set(&mut supervise.stop_timeout, run.stop_timeout);
    set(&mut supervise.postpone, run.postpone);
    supervise.subreaper = Subreaper::Yes;
    supervise.parent_death_signal = true;
    set_server_options(&mut session, server)?;
    Ok(session)
}

/// Replaces a default, if the option is given.
fn set<T>(default: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *default = value;
    }
}

/// The options of the watch. Without `--watch` the root is `base`.
fn watch_options(given: WatchOptions, base: &Path) -> watch::Options {
    let mut rules = rules::Options::new(base);
    rules.roots = match given.paths.filter(|paths| !paths.is_empty()) {
        Some(paths) => paths.iter().map(|path| resolved(path)).collect(),
        None => vec![base.to_owned()],
    };
    rules.patterns = given.ignore.unwrap_or_default();
    if let Some(files) = given.ignore_file {
        let (files, names): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| is_path(file));
        rules.files = files;
        rules.file_names = names.into_iter().map(PathBuf::into_os_string).collect();
    }
    rules.vcs = given.no_vcs_ignore != Some(true);
    rules.builtin = given.no_default_ignore != Some(true);
    if rules.vcs {
        rules.git = rules::GitEnv::ask(base, std::env::vars_os());
    }
    let mut options = watch::Options::new(rules);
    options.roots.clone_from(&options.rules.roots);
    options.missing_roots = MissingRoots::Await;
    options.extensions = given.ext.unwrap_or_default();
    options.filters = given.filter.unwrap_or_default();
    set(&mut options.mode, given.mode);
    set(&mut options.poll_interval, given.poll_interval);
    options.debounce = given.debounce;
    set(&mut options.compare, given.compare);
    options.never = output_files();
    options
}

/// Sets the options of the port that clients see, and of the sockets that COMMAND inherits.
fn set_server_options(session: &mut devrun::Options, given: ServerOptions) -> Result<(), CliError> {
    let supervise = &mut session.supervise;
    supervise.port = match (given.proxy, given.pass_socket) {
        (None, _) => Port::None,
        (Some(Proxy { upstream: Some(upstream), .. }), Some(_)) => {
            let message = "--pass-socket and the upstream address of --proxy contradict each other";
            return Err(CliError::new(message)
                .with_remedy(format!("leave one of them out: `={upstream}`, or --pass-socket")));
        }
        (Some(Proxy { upstream: Some(upstream), .. }), None) => Port::Fixed(upstream.socket()),
        (Some(_), Some(_)) => Port::Inherited,
        (Some(_), None) => Port::Own,
    };
    supervise.listen = given.listen.unwrap_or_default();
    set(&mut supervise.pass_socket, given.pass_socket);
    supervise.ready.path = given.ready_path;
    set(&mut supervise.ready.timeout, given.ready_timeout);
    supervise.overlap = given.no_overlap != Some(true);
    // Only the proxy counts the requests in flight, so without it there is nothing to wait for.
    supervise.drain_timeout = given.proxy.map(|_| given.drain_timeout.unwrap_or(Duration::from_secs(30)));
    // Without `--proxy` the proxy only answers on the sockets of `--listen` while no generation runs.
    if given.proxy.is_some() || supervise.listen.iter().any(|listen| listen.answer) {
        let addresses = given.proxy.map(|proxy| proxy.address.sockets(has_ipv6_loopback()));
        let mut proxy = proxy::Options::new(addresses.unwrap_or_default());
        proxy.live_reload = given.no_live_reload != Some(true);
        proxy.forwarded = given.no_forwarded != Some(true);
        session.proxy = Some(proxy);
        // The error page shows the output of a crashed COMMAND.
        supervise.capture = Capture::All;
    }
    check_addresses(session)
}

/// Whether this machine has an IPv6 loopback address. Browsers try both families for `localhost`.
fn has_ipv6_loopback() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// COMMAND, with an empty program if there is none.
fn command(
    options: &RunOptions,
    typed: &[OsString],
    directory: &Path,
    base: &Path,
) -> Result<Command, CliError> {
    let mut command = match (typed.split_first(), &options.command) {
        (Some((program, _)), _) if program.is_empty() => {
            return Err(CliError::new("the COMMAND after `--` is empty")
                .with_remedy("write a program, such as: devrun -- cargo run"));
        }
        (Some((program, _)), _) if is_of_shell(program) => return Err(of_shell(program, typed)),
        (Some((program, args)), _) => with_environment(Command::new(program).args(args), options, directory),
        (None, Some(line)) => command_from_file(line, options, base),
        (None, None) => return Ok(Command::new("")),
    };
    if let Some(shell @ Shell::Program(_)) = &options.shell {
        command.shell = shell.clone();
    }
    command.stdin = options.stdin.unwrap_or_default();
    Ok(command)
}

/// Whether only a shell knows this program: an assignment such as `FOO=1`, or `cd`.
fn is_of_shell(program: &OsStr) -> bool {
    let name = program.to_str().and_then(|program| program.split_once('=')).map(|(name, _)| name);
    let is_name = |name: &str| {
        !name.starts_with(|first: char| first.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    program == "cd" || name.is_some_and(|name| !name.is_empty() && is_name(name))
}

fn of_shell(program: &OsStr, typed: &[OsString]) -> CliError {
    let line = |words: &[OsString]| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    if program == "cd" {
        let directory = typed.get(1).map_or("DIR".into(), |directory| quoted(directory));
        return CliError::new("`cd` is a command of the shell, and no program").with_remedy(format!(
            "run COMMAND in a directory: devrun -C {directory} -- COMMAND; or a line in a shell: \
             devrun --shell -- 'cd DIR && COMMAND'"
        ));
    }
    let assignments = typed.iter().take_while(|word| is_of_shell(word) && *word != "cd").count();
    let (variables, command) = typed.split_at(assignments);
    let options: Vec<_> = variables.iter().map(|variable| format!("--env {}", quoted(variable))).collect();
    let command = if command.is_empty() { "COMMAND".to_owned() } else { line(command) };
    CliError::new(format!("`{}` is a variable, and no program", escape_text(&program.to_string_lossy())))
        .with_remedy(format!("devrun {} -- {command}", options.join(" ")))
}

/// A command of devrun.toml. It reads no input. A line runs in the shell of `--shell`, else in `sh`.
fn command_from_file(line: &CommandLine, options: &RunOptions, base: &Path) -> Command {
    let mut command = match line {
        CommandLine::Words(words) => {
            let mut words = words.iter().cloned();
            Command::new(words.next().unwrap_or_default()).args(words)
        }
        CommandLine::Line(line) => {
            let mut command = Command::new(line);
            command.shell = match &options.shell {
                Some(shell @ Shell::Program(_)) => shell.clone(),
                _ => Shell::Program("sh".into()),
            };
            command
        }
    };
    command.stdin = Stdin::Null;
    with_environment(command, options, base)
}

/// Adds the working directory, the variables and the env files. `directory` is used without `--workdir`.
fn with_environment(mut command: Command, options: &RunOptions, directory: &Path) -> Command {
    command.current_dir = Some(options.workdir.as_deref().unwrap_or(directory).to_owned());
    command.envs = options.env.clone().unwrap_or_default();
    command.env_files = options.env_file.clone().unwrap_or_default();
    command
}

/// Rejects sockets that have the same address.
fn check_addresses(session: &devrun::Options) -> Result<(), CliError> {
    let listen = &session.supervise.listen;
    for (at, endpoint) in listen.iter().map(|listen| &listen.endpoint).enumerate() {
        // For port 0 the kernel chooses a port.
        let is_free =
            matches!(endpoint, Endpoint::Tcp(address) | Endpoint::Udp(address) if address.port() == 0);
        if is_free {
            continue;
        }
        if listen[..at].iter().any(|earlier| earlier.endpoint == *endpoint) {
            let message = format!("--listen has the address {} twice", shown_endpoint(endpoint));
            return Err(CliError::new(message).with_remedy("leave one of them out"));
        }
        let proxy = session.proxy.as_ref();
        if proxy.is_some_and(
            |proxy| matches!(endpoint, Endpoint::Tcp(address) if proxy.addresses.contains(address)),
        ) {
            let endpoint = shown_endpoint(endpoint);
            return Err(CliError::new(format!("--proxy and --listen have the same address {endpoint}"))
                .with_remedy("give one of them another port; clients connect to --proxy"));
        }
    }
    Ok(())
}

/// An endpoint in the form of `--listen`, escaped.
pub(crate) fn shown_endpoint(endpoint: &Endpoint) -> String {
    escape_text(&endpoint.to_string()).into_owned()
}

/// A warning and its remedy, if COMMAND has a placeholder that devrun does not replace.
pub(super) fn unfilled_placeholder(options: &supervise::Options) -> Option<(String, String)> {
    let supervise::Options { command, listen, port, .. } = options;
    let has = |placeholder: &[u8]| {
        let mut words = std::iter::once(&command.program).chain(&command.args);
        words.any(|word| word.as_encoded_bytes().windows(placeholder.len()).any(|part| part == placeholder))
    };
    let (placeholder, option, key) = if has(b"{port}") && *port == Port::None {
        ("{port}", "--proxy", "proxy = 8000")
    } else if has(b"{fd}") && listen.is_empty() && *port != Port::Inherited {
        ("{fd}", "--listen", "listen = [8000]")
    } else {
        return None;
    };
    Some((
        format!("COMMAND contains {placeholder}, which devrun replaces only with {option}"),
        format!("add {option} 8000, or `{key}` in [server]"),
    ))
}

/// The regular files behind standard output and standard error. The watch must not report them: each line of output
/// would be a change, and the message about it the next change.
fn output_files() -> Vec<PathBuf> {
    let (out, err) = (std::io::stdout(), std::io::stderr());
    [out.as_fd(), err.as_fd()].into_iter().filter_map(path).filter(|path| path.is_file()).collect()
}

#[cfg(target_vendor = "apple")]
fn path(file: BorrowedFd<'_>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let path = rustix::fs::getpath(file).ok()?;
    Some(OsString::from_vec(path.into_bytes()).into())
}

#[cfg(not(target_vendor = "apple"))]
fn path(file: BorrowedFd<'_>) -> Option<PathBuf> {
    use std::os::fd::AsRawFd as _;
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}
