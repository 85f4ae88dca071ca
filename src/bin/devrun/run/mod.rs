//! `devrun -- COMMAND`: runs a session and handles signals, keys and edits of devrun.toml meanwhile.

mod keyboard;
mod main_loop;
mod rlimit;
pub(crate) mod signals;
mod start_error;

pub(crate) use main_loop::run;
