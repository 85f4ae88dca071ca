//! The child: built, started, made ready, stopped and restarted, with nothing left behind.
//!
//! Knows changes, and no watcher: decisions are made in `machine`, a pure state machine; `task` performs them.

mod signal;
mod phase;
mod command;
mod env_file;
mod error;
mod orphan_killer;
mod output;
mod poll_timer;
mod process;
mod readiness;
mod sockets;
mod sys;
pub mod terminal;
mod options;
mod event;
mod decision;
mod policy;
mod generation;
mod backoff;
mod loops;
mod state;
mod course;
mod machine;
mod running;
mod hands;
mod starting;
mod performing;
mod task;

pub use command::{Command, Shell, Stdin};
pub use env_file::EnvFileError;
pub use error::Error;
pub use event::{Event, Request, SupervisorExit};
pub use options::{OnBusy, OnExit, OnLoop, Options, Port, Ready};
pub use orphan_killer::OrphanKiller;
pub use output::{Capture, OutputStreams};
pub use phase::{ExitReport, Phase, ProcessExit};
pub use process::{Subreaper, check_env_files};
pub use signal::Signal;
pub use sockets::{Endpoint, Listen, PassSocket};
pub use task::{Handle, Supervisor};
