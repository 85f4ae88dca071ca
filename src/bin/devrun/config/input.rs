//! The sources of the settings other than devrun.toml, and which devrun.toml to read.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::cli::args::{ConfigSource, Options};
use crate::config::sources::environment::Environment;
use crate::config::sources::file;
use crate::config::{paths, validate};
use crate::ui::error::CliError;

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
    pub(crate) fn profile(&self) -> Option<&str> {
        self.source.profile.as_deref().or(self.environment.source.profile.as_deref())
    }

    /// The devrun.toml to read: the named one, else the one of the project.
    ///
    /// # Errors
    /// A [`CliError`] if the named file does not exist.
    pub(crate) fn config_path(&self) -> Result<Option<ConfigPath>, CliError> {
        let Some(path) = self.source.config.as_ref().or(self.environment.source.config.as_ref()) else {
            let found = file::find(&self.directory);
            return Ok(found.map(|path| ConfigPath { path, is_named: false }));
        };
        let option = if self.source.config.is_some() { "--config" } else { "DEVRUN_CONFIG" };
        validate::must_exist(option, path, &self.directory)?;
        Ok(Some(ConfigPath { path: paths::resolved(&self.directory.join(path)), is_named: true }))
    }
}

/// A devrun.toml to read.
pub(crate) struct ConfigPath {
    pub(crate) path: PathBuf,
    /// Whether `--config` or DEVRUN_CONFIG names it. Then the project stays the working directory.
    pub(crate) is_named: bool,
}
