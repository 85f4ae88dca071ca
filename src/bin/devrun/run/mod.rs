//! `devrun -- COMMAND`: runs a session, and handles signals, keys and edits of devrun.toml meanwhile.

mod keyboard;
mod main_loop;
mod session_options;
mod signals;

pub(crate) use main_loop::{event_loop, run};
