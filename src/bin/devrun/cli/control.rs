//! The subcommands that ask and steer a running devrun.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use crate::cli::values::{duration, regex};

/// The subcommands that ask and steer a running devrun.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ControlCommand {
    /// Show what runs: state, process, address, restarts, memory
    ///
    /// Exit status: 0, or 2 if no devrun runs in this project.
    #[command(after_help = "Example: devrun ps --json")]
    Ps {
        /// Also show the devruns of other projects
        ///
        /// Example: `devrun ps --all`
        #[arg(short = 'a', long)]
        all: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Show the output of COMMAND
    ///
    /// devrun keeps the beginning and the end of the last generations. Exit status: 0, or 2 on an error.
    #[command(after_help = "Example: devrun logs -f --since 5m --grep ERROR")]
    Logs {
        /// Go on with new output until Ctrl-C
        ///
        /// Example: `devrun logs -f`
        #[arg(short = 'f', long)]
        follow: bool,
        /// Only output of this last time
        ///
        /// Example: `devrun logs --since 30s`
        #[arg(long, value_name = "DUR", value_parser = duration, allow_hyphen_values = true)]
        since: Option<Duration>,
        /// Only lines that match this regular expression
        ///
        /// Example: `devrun logs --grep 'GET .* 500'`
        #[arg(long, value_name = "REGEX", value_parser = regex)]
        grep: Option<regex::bytes::Regex>,
        /// Only output of this generation
        ///
        /// Example: `devrun logs --generation 3`
        #[arg(long, value_name = "N")]
        generation: Option<u64>,
        #[command(flatten)]
        target: Target,
    },
    /// Show the last restarts: changed files with proof, times, and errors
    ///
    /// Exit status: 0, or 2 on an error.
    #[command(after_help = "Example: devrun why -n 1")]
    Why {
        /// Number of restarts [default: 10]
        ///
        /// Example: `devrun why -n 1`
        #[arg(short = 'n', long, value_name = "N", default_value_t = 10, hide_default_value = true)]
        number: usize,
        #[command(flatten)]
        target: Target,
    },
    /// Wait until the files as they are now run, or have failed
    ///
    /// Files that were written before this command are part of the answer. Exit status: 0 they run, 1 they have failed or
    /// start only on request, 124 not decided in time, 2 error.
    #[command(after_help = "Example: devrun wait --timeout 30s")]
    Wait {
        /// Maximum time to wait [default: no limit]
        ///
        /// Example: `devrun wait --timeout 30s`
        #[arg(long, value_name = "DUR", value_parser = duration, allow_hyphen_values = true)]
        timeout: Option<Duration>,
        #[command(flatten)]
        target: Target,
    },
    /// Restart COMMAND, or start it again after `stop`
    #[command(after_help = "Example: devrun restart && devrun wait")]
    Restart {
        #[command(flatten)]
        target: Target,
    },
    /// Stop COMMAND until `start` or `restart`; devrun goes on
    ///
    /// Requests in flight finish first. Meanwhile the proxy answers 503.
    #[command(after_help = "Example: devrun stop")]
    Stop {
        #[command(flatten)]
        target: Target,
    },
    /// Start COMMAND if it does not run
    #[command(after_help = "Example: devrun start")]
    Start {
        #[command(flatten)]
        target: Target,
    },
    /// Remember changes, but restart for none of them until `resume`
    #[command(after_help = "Example: devrun pause")]
    Pause {
        #[command(flatten)]
        target: Target,
    },
    /// Restart for changes again, also for those since `pause`
    #[command(after_help = "Example: devrun resume")]
    Resume {
        #[command(flatten)]
        target: Target,
    },
    /// Type into COMMAND, for a debugger or a prompt
    ///
    /// Shows the output of COMMAND, and sends each line that you type. Ctrl-C sends SIGINT to COMMAND. Ctrl-\, Ctrl-D, or
    /// the end of the generation ends it. A devrun that was started with `--stdin inherit` gives COMMAND its own
    /// terminal instead.
    #[command(after_help = "Example: devrun attach")]
    Attach {
        #[command(flatten)]
        target: Target,
    },
    /// End the running devrun and COMMAND, and wait for the end
    #[command(after_help = "Example: devrun down")]
    Down {
        #[command(flatten)]
        target: Target,
    },
    /// Serve a coding agent (Model Context Protocol)
    ///
    /// The tools are status, logs, why, restart, wait and explain. They ask the devrun that runs in the working directory.
    #[command(after_help = "Example: devrun mcp")]
    Mcp,
}

/// Which devrun, and the form of the output.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Target {
    /// Names of devruns or services, as `devrun ps` shows them [default: all of this project]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Print JSON
    ///
    /// docs/reference/control.md has the keys. Example: `devrun ps --json`
    #[arg(long)]
    pub(crate) json: bool,
    /// The directory of the project, or one below it [default: .]
    ///
    /// Example: `devrun ps -C backend`
    #[arg(short = 'C', long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    pub(crate) workdir: Option<PathBuf>,
}
