//! The child: built, started, made ready, stopped and restarted, with nothing left behind.
//!
//! Knows changes, and no watcher: decisions are made in `machine`, a pure state machine; `task` performs them.

mod signal;
mod phase;
mod command;
mod env_file;
mod error;
mod os;
pub mod terminal;
mod foreground;
mod orphan_killer;
mod screen;
mod streams;
mod sockets;
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
mod capture;
mod output;
mod ready;
mod port;
mod child;
mod probe;
mod jobs;
mod running;
mod hands;
mod starting;
mod performing;
mod task;

pub use child::check_env_files;
pub use command::{Command, Shell, Stdin};
pub use env_file::EnvFileError;
pub use error::Error;
pub use event::{Event, Request, SupervisorExit};
pub use options::{Capture, OnBusy, OnExit, OnLoop, Options, PassSocket, Port, Ready, Subreaper};
pub use orphan_killer::OrphanKiller;
pub use phase::{ExitReport, Phase, ProcessExit};
pub use signal::Signal;
pub use sockets::{Endpoint, Listen};
pub use streams::OutputStreams;
pub use task::{Handle, Supervisor};
