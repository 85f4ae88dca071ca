//! The settings of the program: the options of the command line, the environment and devrun.toml are merged, get
//! their defaults, and become the options of the library.

mod diff;
pub(crate) mod environment;
mod file;
pub(crate) mod key;
pub(crate) mod merge;
mod mistake;
mod paths;
mod session_options;
mod settings;
mod toml_options;

pub(crate) use diff::Reload;
pub(crate) use file::FILE_NAME;
pub(crate) use session_options::shown_endpoint;
pub(crate) use settings::{OutputSettings, Settings, SettingsInput, current_directory};
