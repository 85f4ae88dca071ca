//! `devrun -- COMMAND`: runs a session, and handles signals, typed commands and edits of devrun.toml meanwhile.

mod control;
mod input;
mod main_loop;
mod session_options;
mod signals;
mod untracked;

pub(crate) use main_loop::{event_loop, run};
