//! `devrun -- COMMAND`: runs a session, and handles signals, keys and edits of devrun.toml meanwhile.

mod job_control;
mod keyboard;
mod keys;
mod main_loop;
mod session_options;
mod signals;
mod start_error;
mod stop;

pub(crate) use main_loop::run;
