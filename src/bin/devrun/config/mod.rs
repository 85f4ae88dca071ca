//! The settings of the program: the options of the command line, the environment and devrun.toml are merged, get
//! their defaults, and become the options of the library.

mod command;
mod diff;
pub(crate) mod environment;
mod file;
mod groups;
pub(crate) mod key;
pub(crate) mod merge;
mod mistake;
mod paths;
mod server;
mod session_options;
mod settings;
mod toml_options;
mod validate;

pub(crate) use diff::{Reload, SettingsDiff};
pub(crate) use file::FILE_NAME;
pub(crate) use groups::OutputSettings;
pub(crate) use server::shown_endpoint;
pub(crate) use settings::{Settings, SettingsInput, current_directory};
