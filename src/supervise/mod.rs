//! The child process: builds, starts, readiness, restarts and stops of whole process trees.
//!
//! A [`Supervisor`] runs one command. It gets changes as batches, and knows no watch. Its loop (`supervisor`)
//! feeds a pure state machine (`state_machine`), and an executor (`executor`) performs the actions that
//! follow.

mod command;
mod env_file;
mod event;
mod executor;
mod inner_reloader;
mod options;
mod orphan_killer;
mod output;
mod poll_timer;
mod process;
mod readiness;
mod signal;
mod sockets;
mod state_machine;
mod supervisor;
mod sys;
pub mod terminal;

pub use command::{Command, Shell, Stdin};
pub use env_file::EnvFileError;
pub use event::{Event, ExitReport, Outcome, Phase, ProcessExit, Request, SupervisorExit};
pub use inner_reloader::{InnerReloader, ReloadEffect};
pub use options::{OnBusy, OnExit, OnLoop, Options, Port, Ready, StopScope};
pub use orphan_killer::OrphanKiller;
pub use output::{Capture, LogChunk, LogEntry, LogPosition, OutputLog, OutputStreams, StdStream};
pub use process::{ExceededLimit, Subreaper, check_env_files, remember_inherited_children};
pub use signal::Signal;
pub use sockets::{Endpoint, Listen, PassSocket};
pub use supervisor::{Error, Handle, Supervisor};
pub use sys::{TreeUsage, tree_usage};
