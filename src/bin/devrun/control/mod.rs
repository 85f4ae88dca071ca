//! The subcommands that ask and steer a running devrun, as clients of its control socket.

mod attach;
mod dispatch;
mod instances;
mod logs;
mod mcp;
mod ps;
mod stdin_lines;
mod steer;
mod wait;
mod why;

pub(crate) use dispatch::run;
