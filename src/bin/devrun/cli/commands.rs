//! The whole command line: the options of a run, and the subcommands with their options.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum, ValueHint};

use crate::cli::args::{
    CheckOptions, ConfigSource, Options, OutputOptions, RunOptions, ServerOptions, WatchOptions,
};
use crate::cli::control::ControlCommand;
use crate::cli::values::{Format, duration};

/// Run COMMAND, and restart it only when a relevant file changes
///
/// A file is relevant unless `.watchignore`, `.gitignore` or a built-in rule ignores it, as git would.
#[derive(Debug, Parser)]
#[command(
    name = "devrun",
    bin_name = "devrun",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    override_usage = "devrun [OPTIONS] -- COMMAND [ARGS]...\n       devrun check | explain | list | init | doctor | completions | man\n       devrun ps | logs | why | wait | restart | stop | start | attach | down",
    after_help = "--help: all options, with examples. Each option is also a key of devrun.toml.",
    after_long_help = AFTER_LONG_HELP,
    max_term_width = 110,
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) subcommand: Option<Subcommand>,
    #[command(flatten)]
    pub(crate) source: ConfigSource,
    #[command(flatten)]
    pub(crate) watch: WatchOptions,
    #[command(flatten)]
    pub(crate) run: RunOptions,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    /// Program and arguments. Default: `command` of devrun.toml
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments, hide = true)]
    pub(crate) command: Vec<OsString>,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  devrun -- cargo run                            restart for each relevant change below the working directory
  devrun -w src -e rs,toml -- cargo run          only src/, only these extensions
  devrun --proxy 8000 -- flask run --port {port} hold port 8000, so clients see no restart
  devrun --listen 8000 -- uvicorn app:app --fd {fd}
                                                 every generation inherits one socket
  devrun explain downloads/a.zip                 which rule applies to a path
  devrun doctor                                  find problems of this project and machine

On a terminal, a letter and Enter is a command: r restart, p pause, w why, q quit, h help.
Every option is a key of devrun.toml and a variable: --stop-timeout 5s is `stop-timeout = \"5s\"` in the
table [run], or DEVRUN_STOP_TIMEOUT=5s. Command line > environment > profile > devrun.toml > default.

Exit status: 0 stopped by the user; 2 usage, configuration or I/O error; 126 COMMAND is not executable;
127 COMMAND was not found; with --on-exit quit the status of COMMAND. A signal that stops devrun is also
the signal that ends it.";

/// The subcommands.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommand {
    /// Check the ignore rules, for example in CI
    ///
    /// Exit status: 0 no findings, 1 findings, 2 error.
    #[command(
        after_help = "Example: devrun check --strict --expect-ignored downloads/a.zip --expect-watched src/main.rs"
    )]
    Check {
        #[command(flatten)]
        check: CheckOptions,
        /// human, json, github (annotations) or sarif [default: human]
        ///
        /// Example: `devrun check --format github`
        #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
        format: Option<CheckFormat>,
        #[command(flatten)]
        groups: Groups,
    },
    /// Show the rule that applies to each path
    ///
    /// Exit status: 0 some path is ignored, 1 none is, 2 error.
    #[command(after_help = "Example: git ls-files -z | devrun explain --stdin -z --format json")]
    Explain {
        /// Paths to explain; a path that ends in `/` is a directory, even if it does not exist
        #[arg(id = "asked", value_name = "PATH", value_hint = ValueHint::AnyPath)]
        asked: Vec<PathBuf>,
        /// Read paths from standard input, one per line
        ///
        /// Example: `git ls-files | devrun explain --stdin`
        #[arg(long)]
        stdin: bool,
        /// Paths on standard input end with NUL
        ///
        /// Example: `git ls-files -z | devrun explain --stdin -z`
        #[arg(short = 'z', long, requires = "stdin")]
        null: bool,
        /// human, or json: one object per path [default: human]
        ///
        /// Example: `devrun explain --format json downloads/a.zip`
        #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
        format: Option<Format>,
        #[command(flatten)]
        groups: Groups,
    },
    /// Show the watched files, the mode of each root, and its reason
    #[command(after_help = "Example: devrun list --ignored")]
    List {
        /// Print one path per line, and nothing else
        ///
        /// Example: `devrun list --flat | xargs wc -l`
        #[arg(long)]
        flat: bool,
        /// Paths of --flat end with NUL
        ///
        /// Example: `devrun list --flat -z | xargs -0 wc -l`
        #[arg(short = 'z', long, requires = "flat")]
        null: bool,
        /// Show ignored paths: the top of each ignored subtree, with its rule
        ///
        /// Example: `devrun list --ignored`
        #[arg(long, conflicts_with_all = ["flat", "hot"])]
        ignored: bool,
        /// Watch for this time and show the paths with most events [default: 10s]
        ///
        /// Example: `devrun list --hot 1m`
        #[arg(long, value_name = "DUR", value_parser = duration, num_args = 0..=1, default_missing_value = "10s", allow_hyphen_values = true,
            conflicts_with = "flat")]
        hot: Option<Duration>,
        /// human or json [default: human]
        ///
        /// Example: `devrun list --format json`
        #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
        format: Option<Format>,
        #[command(flatten)]
        groups: Groups,
    },
    /// Write a .watchignore and a devrun.toml for this project
    ///
    /// Does not overwrite files. What it cannot find out stays a comment to fill in. Prints each step.
    #[command(after_help = "Example: devrun init --dry-run")]
    Init {
        /// Print the files instead of writing them
        ///
        /// Example: `devrun init --dry-run`
        #[arg(short = 'n', long)]
        dry_run: bool,
        #[command(flatten)]
        output: OutputOptions,
    },
    /// Find problems of this project and machine, with remedies
    ///
    /// Checks limits, mounts, the mode of each root, ports in use, git, devrun.toml and the rules, and tests
    /// whether file system events arrive. Exit status: 0 no problems, 1 problems, 2 error.
    #[command(after_help = "Example: devrun doctor --proxy 8000")]
    Doctor {
        /// human or json [default: human]
        ///
        /// Example: `devrun doctor --format json`
        #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
        format: Option<Format>,
        /// Also test events in the roots: writes a file in each and removes it
        ///
        /// Example: `devrun doctor --probe-roots`
        #[arg(long)]
        probe_roots: bool,
        #[command(flatten)]
        source: ConfigSource,
        #[command(flatten)]
        watch: WatchOptions,
        #[command(flatten)]
        server: ServerOptions,
        #[command(flatten)]
        output: OutputOptions,
    },
    #[command(flatten)]
    Control(ControlCommand),
    /// Print completions for a shell
    #[command(
        after_help = "Example: devrun completions bash > ~/.local/share/bash-completion/completions/devrun"
    )]
    Completions {
        /// bash, zsh, fish, elvish or powershell
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Print a manual page, or write all into a directory
    #[command(after_help = "Example: devrun man | man -l -")]
    Man {
        /// Subcommand; default: the page of devrun itself
        #[arg(value_name = "SUBCOMMAND")]
        page: Option<String>,
        /// Write all manual pages into this directory
        ///
        /// Example: `devrun man --dir ~/.local/share/man/man1`
        #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath, conflicts_with = "page")]
        dir: Option<PathBuf>,
    },
    /// Print the names of the profiles, for completions
    #[command(hide = true)]
    Profiles {
        /// The words of the command line that is being typed
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// Print a page of docs/reference
    #[command(hide = true)]
    Reference {
        /// The page
        #[arg(value_name = "PAGE")]
        page: ReferencePage,
    },
}

/// The groups of options that most subcommands have.
#[derive(Debug, Args)]
pub(crate) struct Groups {
    #[command(flatten)]
    pub(crate) source: ConfigSource,
    #[command(flatten)]
    pub(crate) watch: WatchOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

impl From<Groups> for Options {
    fn from(Groups { source, watch, output }: Groups) -> Self {
        Self { source, watch, output, ..Self::default() }
    }
}

/// The output format of `check`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    #[default]
    Human,
    Json,
    Github,
    Sarif,
}

/// A page of docs/reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReferencePage {
    Cli,
    Configuration,
    Schema,
}
