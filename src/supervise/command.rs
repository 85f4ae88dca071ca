//! A command to run: program, arguments, environment. Plain data.

use std::ffi::OsString;
use std::path::PathBuf;

/// What stands for the port of a generation in the words of a command.
pub(super) const PORT_PLACEHOLDER: &str = "{port}";

/// Whether a shell runs a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Shell {
    /// No: the program is executed directly.
    #[default]
    None,
    /// This shell gets the program and its arguments, joined with spaces, as the argument of `-c`.
    Program(OsString),
}

/// The standard input of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Stdin {
    /// A pipe that stays open and empty, because some tools exit at the end of their input.
    #[default]
    Pipe,
    /// `/dev/null`.
    Null,
    /// The standard input of this process. On a terminal, the child becomes the foreground process group.
    Inherit,
}

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Command {
    /// The program, looked up in `PATH` unless it contains a `/`.
    pub program: OsString,
    /// The arguments. At each start, `{port}` and `{fd}` are replaced if the child gets a port or a socket.
    pub args: Vec<OsString>,
    /// The working directory; `None` for that of this process.
    pub workdir: Option<PathBuf>,
    /// Environment variables. They override variables from `env_files` and from this process.
    pub envs: Vec<(OsString, OsString)>,
    /// Environment files, read in this order at each start.
    pub env_files: Vec<PathBuf>,
    /// Whether a shell runs it.
    pub shell: Shell,
    /// The standard input.
    pub stdin: Stdin,
}

impl Command {
    /// A command without arguments.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            workdir: None,
            envs: Vec::new(),
            env_files: Vec::new(),
            shell: Shell::None,
            stdin: Stdin::default(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.envs.push((key.into(), value.into()));
        self
    }

    /// Whether its words name the port that each generation is given.
    pub(super) fn names_port(&self) -> bool {
        let mut words = std::iter::once(&self.program).chain(&self.args);
        words.any(|word| {
            word.as_encoded_bytes()
                .windows(PORT_PLACEHOLDER.len())
                .any(|part| part == PORT_PLACEHOLDER.as_bytes())
        })
    }
}
