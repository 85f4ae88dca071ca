//! The settings of the program. `sources` reads the options of the environment and of devrun.toml and merges them;
//! `resolved` turns them into settings with defaults, and into the options of the library.

pub(crate) mod diff;
pub(crate) mod paths;
pub(crate) mod resolved;
pub(crate) mod sources;
pub(crate) mod validate;
