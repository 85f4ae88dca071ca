//! Starts one process: fills in the words of its command, sets its variables, opens its standard streams and
//! passes sockets.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use crate::GenerationId;
use crate::change::Batch;
use crate::supervise::command::{Command, PORT_PLACEHOLDER, Shell, Stdin};
use crate::supervise::env_file::{self, EnvFileError, Environment, UnsetVariable};
use crate::supervise::event::ExitReport;
use crate::supervise::output::{Capture, OutputPipe, OutputPipes, OutputStreams};
use crate::supervise::sockets::{InheritedListener, ListenerUse, PassSocket};
use crate::supervise::sys::fd::pipe;
use crate::supervise::sys::pid::Pid;
use crate::supervise::terminal::in_foreground;

use super::exec::{ExecError, ExecRequest, OWN_PID};
use super::start_error;

/// Maximum number of further tries if the program is still open for writing (`ETXTBSY`), and the delay before
/// each.
const MAX_BUSY_RETRIES: u32 = 20;
const BUSY_RETRY_DELAY: Duration = Duration::from_millis(5);
/// Number of the first passed socket, as in sd_listen_fds(3).
const FIRST_SOCKET: &str = "3";
/// Maximum length of `DEVRUN_CHANGED` in bytes, because the size of an environment is bounded. It is cut at
/// the end of a path.
const MAX_CHANGED_LENGTH: usize = 4096;
/// Search path of a child without `PATH`, as in execvp(3).
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// Maximum number of sockets that the caller of this process is believed to have passed to it.
const MAX_INHERITED: u32 = 1024;
/// Variables of this process that a child does not inherit: they are about sockets that were passed to this
/// process.
const STRIPPED: [&str; 5] =
    ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_FDS_FIRST_FD", "LISTEN_PIDFDID"];

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
        let candidates = candidates(&words[0], &environment);
        let request = ExecRequest {
            candidates: candidates.iter().map(to_c_string).collect(),
            argv: words.iter().map(to_c_string).collect(),
            envp: to_block(&environment, !self.sockets.is_empty()),
            workdir: self.command.current_dir.as_deref().map(to_c_string),
            descriptors,
            inherited: inherited_sockets(),
            dies_with_parent: self.dies_with_parent,
            terminal: has_terminal.then(|| own_in.as_fd()),
            open_files: self.open_files,
        };
        let pid = start_retrying_busy(&request)
            .map_err(|error| start_error::explain(error, &words[0], self.command, &candidates))?;
        Ok(ChildProcess { pid, stdin_writer, output: pipes.readers, has_terminal })
    }

    /// Standard input of the process (`None`: that of this process), and the other end of its pipe.
    fn open_stdin(&self) -> io::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
        match self.command.stdin {
            Stdin::Inherit if self.is_interactive => Ok((None, None)),
            Stdin::Pipe if self.is_interactive => pipe().map(|(read, write)| (Some(read), Some(write))),
            _ => Ok((Some(File::options().read(true).write(true).open("/dev/null")?.into()), None)),
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

    /// The working directory, if it is not that of this process. Shells keep its name in PWD, with links.
    fn other_directory(&self) -> Option<PathBuf> {
        let directory = std::path::absolute(self.command.current_dir.as_ref()?).ok()?;
        let is_own =
            std::env::current_dir().is_ok_and(|own| directory.canonicalize().is_ok_and(|real| real == own));
        let is_set = self.command.envs.iter().any(|(name, _)| name == "PWD");
        (!is_own && !is_set).then_some(directory)
    }

    /// All variables of the process.
    fn environment(&self) -> Result<Environment, EnvFileError> {
        let mut environment = environment_of(self.command, &mut Vec::new())?;
        let mut set_default = |name: &str, value: &str| {
            environment.entry(name.into()).or_insert_with(|| value.into());
        };
        set_default("FLASK_RUN_RELOAD", "0");
        if matches!(self.capture, Capture::All | Capture::Log) {
            // Python writes to a pipe only every 8 KiB.
            set_default("PYTHONUNBUFFERED", "1");
        }
        let mut set = |name: &str, value: OsString| environment.insert(name.into(), value);
        if let Some(directory) = self.other_directory() {
            set("PWD", directory.into());
        }
        set("DEVRUN", "1".into());
        set("DEVRUN_GENERATION", self.generation.to_string().into());
        set("DEVRUN_CHANGED", self.because.map(changed_paths).unwrap_or_default());
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
    pub(crate) pid: Pid,
    /// Write end of its standard input, to be kept open so that the input does not end.
    pub(crate) stdin_writer: Option<OwnedFd>,
    /// Its captured output.
    pub(crate) output: Vec<OutputPipe>,
    /// It leads the foreground group of the terminal.
    pub(crate) has_terminal: bool,
}

/// Starts a program that may have been built a moment ago: a fork of another process may still have it open
/// for writing.
fn start_retrying_busy(request: &ExecRequest<'_>) -> Result<Pid, ExecError> {
    let is_busy = |error: &io::Error| error.raw_os_error() == Some(libc::ETXTBSY);
    for _ in 0..MAX_BUSY_RETRIES {
        match request.start() {
            Err(ExecError::Exec(error)) if is_busy(&error) => sleep(BUSY_RETRY_DELAY),
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

/// Checks that the environment files of a command can be used, as they are now.
///
/// # Errors
/// [`EnvFileError`]: the first mistake, with its line.
pub fn check_env_files(command: &Command) -> Result<(), EnvFileError> {
    environment_of(command, &mut Vec::new()).map(drop)
}

/// Variables that the environment files of a command refer to without a default, although they are not set.
pub(crate) fn unset_variables(command: &Command) -> Vec<UnsetVariable> {
    let mut unset = Vec::new();
    let _ = environment_of(command, &mut unset);
    unset
}

/// The environment of this process with the variables of a command.
fn environment_of(command: &Command, unset: &mut Vec<UnsetVariable>) -> Result<Environment, EnvFileError> {
    let mut environment: Environment = std::env::vars_os().collect();
    for name in STRIPPED {
        environment.remove(OsStr::new(name));
    }
    for file in &command.env_files {
        env_file::add(file, &mut environment, unset)?;
    }
    environment.extend(command.envs.iter().cloned());
    Ok(environment)
}

/// The value of one variable of a command, as far as its environment files can be used.
pub(crate) fn variable(command: &Command, name: &str) -> Option<OsString> {
    environment_of(command, &mut Vec::new()).ok()?.remove(OsStr::new(name))
}

/// Number of sockets, from descriptor 3 on, that the caller of this process has passed to it
/// (`sd_listen_fds(3)`).
fn inherited_sockets() -> usize {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let is_for_us = number("LISTEN_PID") == Some(std::process::id());
    number("LISTEN_FDS").filter(|_| is_for_us).map_or(0, |count| count.min(MAX_INHERITED) as usize)
}

/// The environment as `execve(2)` takes it, and the placeholder for `LISTEN_PID` if sockets are passed.
fn to_block(environment: &Environment, passes_sockets: bool) -> Vec<CString> {
    let pairs = environment.iter().map(|(name, value)| {
        to_c_string(OsString::from_vec([name.as_bytes(), b"=", value.as_bytes()].concat()))
    });
    pairs.chain(passes_sockets.then(|| CString::new(OWN_PID).unwrap_or_default())).collect()
}

/// A string for the system. It ends at the first NUL byte, which no name, value or path can contain.
fn to_c_string(text: impl Into<OsString>) -> CString {
    let bytes = text.into().into_vec();
    CString::new(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).unwrap_or_default()
}

/// The files that a program name may mean, in the order of the child's `PATH`.
fn candidates(program: &OsStr, environment: &Environment) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return vec![program.into()];
    }
    let path = environment.get(OsStr::new("PATH")).map_or(OsStr::new(DEFAULT_PATH), OsString::as_os_str);
    // `join` keeps the name as it is for an empty entry, which means the working directory.
    std::env::split_paths(path).map(|dir| dir.join(program)).collect()
}

/// Value of `DEVRUN_CHANGED`: one changed path per line.
fn changed_paths(batch: &Batch) -> OsString {
    let mut text = OsString::new();
    for change in &batch.changes {
        if text.len() + change.path.as_os_str().len() + 1 > MAX_CHANGED_LENGTH {
            break;
        }
        if !text.is_empty() {
            text.push("\n");
        }
        text.push(&change.path);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_everywhere_and_bytes_kept() {
        let word = OsString::from_vec(b"\xff{port}:{port}{fd}".to_vec());
        assert_eq!(replace(&word, "{port}", "80").as_bytes(), b"\xff80:80{fd}");
    }

    #[test]
    fn changed_paths_are_cut_at_the_end_of_a_path() {
        let changes = (0..1000).map(|number| crate::change::Change {
            path: format!("/project/src/file-{number:04}.rs").into(),
            kind: crate::change::ChangeKind::Modified,
        });
        let now = std::time::Instant::now();
        let text =
            changed_paths(&Batch { changes: changes.collect(), first_event_at: now, compared_at: now });
        assert!(text.len() <= MAX_CHANGED_LENGTH && text.len() > MAX_CHANGED_LENGTH - 64);
        assert!(text.to_string_lossy().lines().all(|line| line.ends_with(".rs")));
    }
}
