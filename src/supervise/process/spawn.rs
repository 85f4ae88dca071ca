//! Starts one process: fills in the words of its command, sets its variables, opens its standard streams and
//! passes sockets.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::thread::sleep;
use std::time::Duration;

use crate::GenerationId;
use crate::change::Batch;
use crate::supervise::command::{Command, PORT_PLACEHOLDER, Shell, Stdin};
use crate::supervise::env_file::{EnvFileError, Environment};
use crate::supervise::event::ExitReport;
use crate::supervise::output::{Capture, OutputPipe, OutputPipes, OutputStreams};
use crate::supervise::sockets::{InheritedListener, ListenerUse, PassSocket};
use crate::supervise::sys::fd::{dev_null, pipe};
use crate::supervise::terminal::in_foreground;

use super::environment::{self, candidates, to_block, to_c_string};
use super::exec::{ExecError, ExecRequest};
use super::start_error;

/// Maximum number of further tries if the program is still open for writing (`ETXTBSY`), and the delay before
/// each.
const MAX_BUSY_RETRIES: u32 = 20;
const BUSY_RETRY_DELAY: Duration = Duration::from_millis(5);
/// Number of the first passed socket, as in sd_listen_fds(3).
const FIRST_SOCKET: &str = "3";

/// A process to start.
#[derive(Debug)]
pub(crate) struct SpawnRequest<'a> {
    pub(crate) command: &'a Command,
    pub(crate) generation: GenerationId,
    /// The variable that marks every process of the tree.
    pub(crate) tag: (&'static str, String),
    /// The changes that led to this start.
    pub(crate) because: Option<&'a Batch>,
    /// The port to listen on.
    pub(crate) port: Option<u16>,
    pub(crate) sockets: Vec<&'a InheritedListener>,
    pub(crate) socket_use: ListenerUse,
    pub(crate) pass_socket: PassSocket,
    pub(crate) capture: Capture,
    pub(crate) streams: Option<&'a OutputStreams>,
    /// The process reads what its command says, and owns the terminal. Otherwise it reads from `/dev/null`.
    pub(crate) is_interactive: bool,
    /// The kernel kills the process when the thread that starts it ends (Linux).
    pub(crate) dies_with_parent: bool,
    /// Soft limit of open files; `None` keeps the one of this process.
    pub(crate) open_files: Option<u64>,
}

impl SpawnRequest<'_> {
    /// Starts the process.
    pub(crate) fn spawn(&self) -> Result<ChildProcess, ExitReport> {
        let environment = self.environment().map_err(|error| start_error::env_file(&error))?;
        let words = self.words();
        let cannot_start = |error: io::Error| start_error::system(&self.command.program, &error);
        let (stdin, stdin_writer) = self.open_stdin().map_err(cannot_start)?;
        let pipes = OutputPipes::open(self.capture, self.streams).map_err(cannot_start)?;
        let (own_in, own_out, own_err) = (io::stdin(), io::stdout(), io::stderr());
        let mut descriptors = vec![
            stdin.as_ref().map_or(own_in.as_fd(), AsFd::as_fd),
            pipes.child_out.as_ref().map_or(own_out.as_fd(), AsFd::as_fd),
            pipes.child_err.as_ref().map_or(own_err.as_fd(), AsFd::as_fd),
        ];
        for socket in &self.sockets {
            descriptors.push(socket.for_child(self.generation, self.socket_use).map_err(cannot_start)?);
        }
        // The terminal can be passed on only by the process that has it.
        let has_terminal = stdin.is_none() && in_foreground();
        let request = ExecRequest {
            candidates: candidates(&words[0], &environment).into_iter().map(to_c_string).collect(),
            argv: words.iter().map(to_c_string).collect(),
            envp: to_block(&environment, !self.sockets.is_empty()),
            workdir: self.command.workdir.as_deref().map(to_c_string),
            descriptors,
            inherited: environment::inherited_sockets(),
            dies_with_parent: self.dies_with_parent,
            terminal: has_terminal.then(|| own_in.as_fd()),
            open_files: self.open_files,
        };
        let pid = start_retrying_busy(&request)
            .map_err(|error| start_error::explain(error, &words[0], self.command, &environment))?;
        Ok(ChildProcess { pid, stdin_writer, output: pipes.readers, has_terminal })
    }

    /// Standard input of the process (`None`: that of this process), and the other end of its pipe.
    fn open_stdin(&self) -> io::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
        match self.command.stdin {
            Stdin::Inherit if self.is_interactive => Ok((None, None)),
            Stdin::Pipe if self.is_interactive => pipe().map(|(read, write)| (Some(read), Some(write))),
            _ => dev_null().map(|null| (Some(null), None)),
        }
    }

    /// The words to execute, with their placeholders filled in.
    fn words(&self) -> Vec<OsString> {
        let fill = |word: &OsString| {
            let mut word = word.clone();
            if let Some(port) = self.port {
                word = replace(&word, PORT_PLACEHOLDER, &port.to_string());
            }
            if !self.sockets.is_empty() {
                word = replace(&word, "{fd}", FIRST_SOCKET);
            }
            word
        };
        let words = std::iter::once(&self.command.program).chain(&self.command.args).map(fill);
        match &self.command.shell {
            Shell::None => words.collect(),
            Shell::Program(shell) => {
                let line = words.collect::<Vec<_>>().join(OsStr::new(" "));
                vec![shell.clone(), "-c".into(), line]
            }
        }
    }

    /// All variables of the process.
    fn environment(&self) -> Result<Environment, EnvFileError> {
        let mut environment = environment::of_command(self.command)?;
        let mut set_default = |name: &str, value: &str| {
            environment.entry(name.into()).or_insert_with(|| value.into());
        };
        set_default("FLASK_RUN_RELOAD", "0");
        if self.capture == Capture::All {
            // Python writes to a pipe only every 8 KiB.
            set_default("PYTHONUNBUFFERED", "1");
        }
        let mut set = |name: &str, value: OsString| environment.insert(name.into(), value);
        set("DEVRUN", "1".into());
        set("DEVRUN_GENERATION", self.generation.to_string().into());
        set("DEVRUN_CHANGED", self.because.map(environment::changed_paths).unwrap_or_default());
        set(self.tag.0, self.tag.1.clone().into());
        if let Some(port) = self.port {
            set("PORT", port.to_string().into());
        }
        if !self.sockets.is_empty() {
            let names: Vec<_> = self.sockets.iter().map(|socket| socket.name()).collect();
            set("LISTEN_FDS", self.sockets.len().to_string().into());
            set("LISTEN_FDNAMES", names.join(":").into());
            set("LISTEN_FDS_FIRST_FD", FIRST_SOCKET.into());
            if self.pass_socket == PassSocket::Werkzeug {
                // werkzeug reads the first only together with the second.
                set("WERKZEUG_SERVER_FD", FIRST_SOCKET.into());
                set("WERKZEUG_RUN_MAIN", "true".into());
            }
        }
        Ok(environment)
    }
}

/// A process that was started.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    pub(crate) pid: i32,
    /// Write end of its standard input, to be kept open so that the input does not end.
    pub(crate) stdin_writer: Option<OwnedFd>,
    /// Its captured output.
    pub(crate) output: Vec<OutputPipe>,
    /// It leads the foreground group of the terminal.
    pub(crate) has_terminal: bool,
}

/// Starts a program that may have been built a moment ago: a fork of another process may still have it open
/// for writing.
fn start_retrying_busy(request: &ExecRequest<'_>) -> Result<i32, ExecError> {
    for _ in 0..MAX_BUSY_RETRIES {
        match request.start() {
            Err(ExecError::Exec(error)) if error.raw_os_error() == Some(libc::ETXTBSY) => {
                sleep(BUSY_RETRY_DELAY)
            }
            other => return other,
        }
    }
    request.start()
}

/// Replaces every occurrence of a placeholder, in bytes.
fn replace(word: &OsStr, placeholder: &str, value: &str) -> OsString {
    let (mut rest, mut filled) = (word.as_bytes(), Vec::new());
    while let Some(at) = rest.windows(placeholder.len()).position(|window| window == placeholder.as_bytes()) {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(value.as_bytes());
        rest = &rest[at + placeholder.len()..];
    }
    filled.extend_from_slice(rest);
    OsString::from_vec(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_everywhere_and_bytes_kept() {
        let word = OsString::from_vec(b"\xff{port}:{port}{fd}".to_vec());
        assert_eq!(replace(&word, "{port}", "80").as_bytes(), b"\xff80:80{fd}");
    }
}
