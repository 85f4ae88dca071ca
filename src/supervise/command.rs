//! A command to run: program, arguments, surroundings. Plain data; spawns nothing.

use std::ffi::OsString;
use std::path::PathBuf;

/// Whether a command line is given to a shell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Shell {
    /// The program is executed directly.
    #[default]
    None,
    /// The words are joined with blanks and given to this shell's `-c`.
    Program(OsString),
}

/// What the child reads as its standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Stdin {
    /// A pipe that stays open and empty: some tools end at end of file.
    #[default]
    Pipe,
    /// `/dev/null`.
    Null,
    /// devrun's own; on a terminal the child becomes its foreground group.
    Inherit,
}

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Command {
    /// The program, looked up in `PATH` unless it contains a `/`.
    pub program: OsString,
    /// Its arguments. `{port}` and `{fd}` are replaced at each start where a port or a socket is handed over.
    pub args: Vec<OsString>,
    /// Its working directory; `None`: the caller's.
    pub workdir: Option<PathBuf>,
    /// Variables set for it, over those of `env_files` and of the caller.
    pub envs: Vec<(OsString, OsString)>,
    /// Environment files, read again at each start, in order.
    pub env_files: Vec<PathBuf>,
    /// Whether a shell runs it.
    pub shell: Shell,
    /// Its standard input.
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

    /// Sets a variable for it.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.envs.push((key.into(), value.into()));
        self
    }
}
