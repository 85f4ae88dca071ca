//! The settings of the program: the options of the command line, the environment and devrun.toml are merged, get
//! their defaults, and become the options of the library.

pub(crate) mod environment;
mod file;
pub(crate) mod key;
mod options;
mod session_options;
mod settings;

pub(crate) use file::{FILE_NAME, find as find_config, profile_names};
pub(crate) use session_options::shown_endpoint;
pub(crate) use settings::{OutputSettings, Reload, Settings, SettingsInput, current_directory};
