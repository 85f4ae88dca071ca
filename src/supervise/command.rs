//! A command to run: program, arguments, environment. Plain data.

use std::borrow::Cow;
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

impl Stdin {
    /// Whether [`super::Request::Input`] reaches the child.
    #[must_use]
    pub fn is_attachable(self) -> bool {
        self == Self::Pipe
    }
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
    pub current_dir: Option<PathBuf>,
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
            current_dir: None,
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

    /// Sets the working directory.
    #[must_use]
    pub fn current_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(dir.into());
        self
    }

    /// Whether its words name the port that each generation is given.
    pub(super) fn has_port_placeholder(&self) -> bool {
        self.words().any(|word| word.contains(PORT_PLACEHOLDER))
    }

    /// Whether its words contain this number.
    pub(super) fn has_number(&self, number: u16) -> bool {
        let number = number.to_string();
        self.words().any(|word| word.split(|one: char| !one.is_ascii_digit()).any(|part| part == number))
    }

    fn words(&self) -> impl Iterator<Item = Cow<'_, str>> {
        std::iter::once(&self.program).chain(&self.args).map(|word| word.to_string_lossy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_as_a_whole() {
        let command = Command::new("serve").arg("--bind=127.0.0.1:43211").arg("5000x");
        assert!(command.has_number(43211) && command.has_number(5000));
        assert!(!command.has_number(4321) && !command.has_number(3211));
    }
}
