//! The settings of a run. From here on no code asks which source a value came from.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::cli::args::{CheckOptions, ConfigSource, Options};
use crate::config::environment::Environment;
use crate::config::groups::{OutputSettings, RunSettings, WatchSettings};
use crate::config::paths::resolved;
use crate::config::server::ServerSettings;
use crate::config::validate;
use crate::config::{file, merge};
use crate::ui::{CliError, escape_relative_path};

/// The settings of a run, with all defaults.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The directory in which devrun was started, absolute. Typed paths and paths in messages are relative to it.
    pub(crate) directory: PathBuf,
    /// The directory of the project, absolute: that of the devrun.toml found, else `directory`. It is the default
    /// root, and typed patterns are anchored at it.
    pub(crate) base: PathBuf,
    /// The devrun.toml that was read, absolute.
    pub(crate) config: Option<PathBuf>,
    pub(crate) watch: WatchSettings,
    pub(crate) run: RunSettings,
    pub(crate) server: ServerSettings,
    /// The expected paths are absolute. A final `/` says that the path is a directory.
    pub(crate) check: CheckOptions,
    pub(crate) output: OutputSettings,
    /// The other sources, to resolve the settings again after an edit of devrun.toml.
    input: Arc<SettingsInput>,
}

impl Settings {
    /// Merges and resolves command line, environment and devrun.toml.
    ///
    /// # Errors
    /// A [`CliError`] that names the option or the line of the file, with a remedy.
    pub(crate) fn new(input: SettingsInput) -> Result<Self, CliError> {
        validate::check_command_line(&input.options, &input.source, &input.directory)?;
        Self::from_input(Arc::new(input))
    }

    /// The defaults alone. `doctor` uses them if the real settings have an error.
    ///
    /// # Errors
    /// A [`CliError`] if the working directory was removed.
    pub(crate) fn defaults() -> Result<Self, CliError> {
        let directory = current_directory()?;
        let input = SettingsInput { directory: directory.clone(), ..SettingsInput::default() };
        Self::resolve(Options::default(), None, directory, Arc::new(input))
    }

    /// Resolves the settings again, with the devrun.toml of now.
    ///
    /// # Errors
    /// As [`Settings::new`]. The caller keeps its settings and prints the error.
    pub(crate) fn reload(&self) -> Result<Self, CliError> {
        Self::from_input(Arc::clone(&self.input))
    }

    /// The devrun.toml and, if it is a symbolic link, its target.
    pub(crate) fn config_files(&self) -> Vec<PathBuf> {
        let Some(config) = &self.config else { return Vec::new() };
        let target = config.canonicalize().ok().filter(|target| target != config);
        std::iter::once(config.clone()).chain(target).collect()
    }

    /// A path for messages: escaped, and relative to the directory in which devrun was started.
    pub(crate) fn shown(&self, path: &Path) -> String {
        escape_relative_path(path, &self.directory)
    }

    fn from_input(input: Arc<SettingsInput>) -> Result<Self, CliError> {
        let directory = &input.directory;
        let found = input.config_path()?;
        let (file_options, base) = match &found {
            None if let Some(name) = input.profile() => return Err(no_file_for_profile(name)),
            None => (Options::default(), directory.clone()),
            Some(ConfigPath { path, is_named }) => {
                let own = path.parent().unwrap_or(directory).to_owned();
                let read = file::read(path, &escape_relative_path(path, directory), input.profile())?;
                let merged = merge::over(read.profile, read.options);
                let base = if *is_named { directory.clone() } else { own.clone() };
                (merge::absolute(merged, &own), base)
            }
        };
        let typed = merge::over(input.options.clone(), input.environment.options.clone());
        let typed = merge::anchored(merge::absolute(typed, directory), directory, &base);
        let options = merge::over(typed, file_options);
        let settings = Self::resolve(options, found.map(|found| found.path), base, Arc::clone(&input))?;
        settings.check_combinations()?;
        Ok(settings)
    }

    fn resolve(
        options: Options,
        config: Option<PathBuf>,
        base: PathBuf,
        input: Arc<SettingsInput>,
    ) -> Result<Self, CliError> {
        let directory = input.directory.clone();
        Ok(Self {
            watch: WatchSettings::new(options.watch, &base),
            run: RunSettings::new(options.run, &input.command, &directory, &base)?,
            server: ServerSettings::new(options.server),
            check: options.check,
            output: OutputSettings::new(&options.output),
            config,
            directory,
            base,
            input,
        })
    }

    /// Rejects values that are valid alone and contradict each other.
    fn check_combinations(&self) -> Result<(), CliError> {
        let Self { run, server, watch, input, .. } = self;
        let error = |message: &str, remedy: &str| Err(CliError::new(message).with_remedy(remedy));
        if watch.poll_interval < Duration::from_millis(10) {
            return error("--poll-interval is too short", "write 10ms or more, such as 500ms");
        }
        if server.ready_timeout.is_zero() {
            return error(
                "--ready-timeout cannot be 0, because every server needs time to start",
                "write a longer time, such as 60s",
            );
        }
        if !run.watching && run.postpone {
            return error(
                "with --no-watch and --postpone COMMAND would never start",
                "leave one of them out",
            );
        }
        if !run.watching && input.options.watch.paths.is_some() {
            return error("--watch and --no-watch contradict each other", "leave one of them out");
        }
        if server.proxy.is_none() && server.listen.is_empty() {
            let typed = &input.options.server;
            let options = [
                (typed.ready_path.is_some(), "--ready-path"),
                (typed.pass_socket.is_some(), "--pass-socket"),
                (typed.drain_timeout.is_some(), "--drain-timeout"),
            ];
            if let Some((_, option)) = options.iter().find(|(is_typed, _)| *is_typed) {
                let message = format!("{option} has no effect without --proxy or --listen");
                return error(&message, "add --proxy ADDR or --listen ADDR");
            }
        }
        server.check_combinations()
    }
}

/// The command line and the environment.
#[derive(Debug, Default)]
pub(crate) struct SettingsInput {
    /// The directory in which devrun was started, absolute.
    pub(crate) directory: PathBuf,
    /// The options of the command line.
    pub(crate) options: Options,
    /// COMMAND of the command line; empty if there is none.
    pub(crate) command: Vec<OsString>,
    /// `--config` and `--profile`.
    pub(crate) source: ConfigSource,
    pub(crate) environment: Environment,
}

impl SettingsInput {
    /// The profile of the command line or of the environment.
    fn profile(&self) -> Option<&str> {
        self.source.profile.as_deref().or(self.environment.source.profile.as_deref())
    }

    /// The devrun.toml to read: the named one, else the one of the project.
    ///
    /// # Errors
    /// A [`CliError`] if the named file does not exist.
    fn config_path(&self) -> Result<Option<ConfigPath>, CliError> {
        let Some(path) = self.source.config.as_ref().or(self.environment.source.config.as_ref()) else {
            let found = file::find(&self.directory);
            return Ok(found.map(|path| ConfigPath { path, is_named: false }));
        };
        let option = if self.source.config.is_some() { "--config" } else { "DEVRUN_CONFIG" };
        validate::must_exist(option, path, &self.directory)?;
        Ok(Some(ConfigPath { path: resolved(&self.directory.join(path)), is_named: true }))
    }
}

/// A devrun.toml to read.
struct ConfigPath {
    path: PathBuf,
    /// Whether `--config` or DEVRUN_CONFIG names it. Then the project stays the working directory.
    is_named: bool,
}

/// The directory in which devrun was started.
///
/// # Errors
/// A [`CliError`] if it was removed.
pub(crate) fn current_directory() -> Result<PathBuf, CliError> {
    std::env::current_dir().map_err(|error| {
        CliError::failed_to("find the working directory", &error)
            .with_remedy("the directory was removed; change to one that exists")
    })
}

fn no_file_for_profile(name: &str) -> CliError {
    CliError::new(format!("there is no devrun.toml with a [profile.{name}]"))
        .with_remedy("`devrun init` writes a devrun.toml; --config FILE names another file")
}
