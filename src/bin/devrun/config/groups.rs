//! The settings of the tables [watch], [run] and [output], with their defaults.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use devrun::supervise::{self, Signal};
use devrun::{Command, watch};

use crate::cli::args;
use crate::cli::values::Format;
use crate::config::command::{command, command_from_file};
use crate::config::paths::{is_path, resolved};
use crate::ui::{CliError, escape_relative_path};

/// Which paths are watched, and how: the table [watch].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchSettings {
    /// Absolute paths.
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) extensions: Vec<String>,
    pub(crate) filters: Vec<String>,
    pub(crate) patterns: Vec<Vec<u8>>,
    pub(crate) file_names: Vec<OsString>,
    /// Ignore files that are read once; absolute paths.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) vcs: bool,
    pub(crate) builtin: bool,
    pub(crate) mode: watch::Mode,
    pub(crate) poll_interval: Duration,
    pub(crate) debounce: Option<Duration>,
    pub(crate) compare: watch::Compare,
}

impl WatchSettings {
    /// Resolves the options. Without `--watch` the root is `base`.
    pub(crate) fn new(options: args::WatchOptions, base: &Path) -> Self {
        let default_name = || vec![".watchdogignore".into(), ".watchignore".into()];
        let (files, names): (Vec<_>, Vec<_>) =
            options.ignore_file.unwrap_or_else(default_name).into_iter().partition(|file| is_path(file));
        Self {
            roots: match options.paths.filter(|paths| !paths.is_empty()) {
                Some(paths) => paths.iter().map(|path| resolved(path)).collect(),
                None => vec![base.to_owned()],
            },
            extensions: options.ext.unwrap_or_default(),
            filters: options.filter.unwrap_or_default(),
            patterns: options.ignore.unwrap_or_default(),
            file_names: names.into_iter().map(PathBuf::into_os_string).collect(),
            files,
            vcs: !options.no_vcs_ignore.unwrap_or(false),
            builtin: !options.no_default_ignore.unwrap_or(false),
            mode: options.mode.unwrap_or_default(),
            poll_interval: options.poll_interval.unwrap_or(Duration::from_secs(1)),
            debounce: options.debounce,
            compare: options.compare.unwrap_or_default(),
        }
    }
}

/// COMMAND and how it runs: the table [run].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunSettings {
    /// `None` if neither the command line nor devrun.toml has a COMMAND.
    pub(crate) command: Option<Command>,
    pub(crate) builds: Vec<Command>,
    pub(crate) on_busy: supervise::OnBusy,
    pub(crate) on_exit: supervise::OnExit,
    pub(crate) on_loop: supervise::OnLoop,
    pub(crate) stop_signal: Signal,
    pub(crate) stop_scope: supervise::StopScope,
    pub(crate) stop_timeout: Duration,
    pub(crate) postpone: bool,
    /// `false` with `--no-watch`.
    pub(crate) watching: bool,
    pub(crate) clear: bool,
}

impl RunSettings {
    /// Resolves the options. `typed` is COMMAND of the command line, which runs in `directory`; a command of
    /// devrun.toml runs in `base`.
    ///
    /// # Errors
    /// A [`CliError`] if the working directory of COMMAND is not a directory, or if COMMAND is empty.
    pub(crate) fn new(
        options: args::RunOptions,
        typed: &[OsString],
        directory: &Path,
        base: &Path,
    ) -> Result<Self, CliError> {
        if let Some(workdir) = options.workdir.as_ref().filter(|workdir| !workdir.is_dir()) {
            let shown = escape_relative_path(workdir, directory);
            return Err(CliError::new(format!("--workdir: {shown} is not a directory"))
                .with_remedy("create it, or name a directory that exists"));
        }
        Ok(Self {
            command: command(&options, typed, directory, base)?,
            builds: options
                .build
                .iter()
                .flatten()
                .map(|line| command_from_file(line, &options, base))
                .collect(),
            on_busy: options.on_busy.unwrap_or_default(),
            on_exit: options.on_exit.unwrap_or_default(),
            on_loop: options.on_loop.unwrap_or_default(),
            stop_signal: options.stop_signal.unwrap_or(Signal::TERM),
            stop_scope: options.stop_scope.unwrap_or_default(),
            stop_timeout: options.stop_timeout.unwrap_or(Duration::from_secs(10)),
            postpone: options.postpone.unwrap_or(false),
            watching: !options.no_watch.unwrap_or(false),
            clear: options.clear.unwrap_or(false),
        })
    }
}

/// What devrun prints, and in which form: the table [output].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutputSettings {
    /// The number of `-v`.
    pub(crate) verbose: u8,
    pub(crate) quiet: bool,
    pub(crate) color: anstream::ColorChoice,
    pub(crate) json: bool,
}

impl OutputSettings {
    /// Resolves the options.
    pub(crate) fn new(options: &args::OutputOptions) -> Self {
        Self {
            verbose: options.verbose,
            quiet: options.quiet.unwrap_or(false),
            color: options.color.unwrap_or_default(),
            json: options.log_format == Some(Format::Json),
        }
    }
}
