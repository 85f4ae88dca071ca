//! The whole command line: COMMAND's, and each subcommand's own. Decides nothing.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueHint};

use crate::cli::args::{CheckOptions, ConfigSource, OutputOptions, RunOptions, ServerOptions, WatchOptions};
use crate::cli::choices::{CheckFormat, Format, ReferencePage};
use crate::cli::values::duration;

/// Run COMMAND and restart it when a file that matters changes, and only then
///
/// Which files matter is decided as git decides it: by `.watchignore`, `.gitignore` and a few built-in rules.
#[derive(Debug, Parser)]
#[command(
    name = "devrun",
    bin_name = "devrun",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    override_usage = "devrun [OPTIONS] -- COMMAND [ARGS]...\n       devrun check | explain | list | init | doctor | completions | man",
    after_help = "--help: all options, with examples. Each is a key of devrun.toml, too.",
    after_long_help = AFTER_LONG_HELP,
    max_term_width = 110,
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) subcommand: Option<Subcommand>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// The arguments without a subcommand: the options of a run, and COMMAND.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
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
    /// What to run, and its arguments; without it, `command` of devrun.toml
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments, hide = true)]
    pub(crate) command: Vec<OsString>,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  devrun -- cargo run                            restart for each relevant change below the working directory
  devrun -w src -e rs,toml -- cargo run          only src/, only these extensions
  devrun --proxy 8000 -- flask run --port {port} hold port 8000: clients never see a restart
  devrun --listen 8000 -- uvicorn app:app --fd {fd}
                                                 hand one socket to every generation
  devrun explain downloads/a.zip                 which rule decides for a path
  devrun doctor                                  what would go wrong here, and how to mend it

Every option is a key of devrun.toml, and a variable: --stop-timeout 5s is `stop-timeout = \"5s\"` in its
table [run], and DEVRUN_STOP_TIMEOUT=5s. Command line > environment > profile > devrun.toml > default.

Exit status: 0 stopped as asked; 2 usage, configuration or I/O error; 126 COMMAND is not executable;
127 COMMAND was not found; with --on-exit quit that of COMMAND; stopped by a signal: that signal.";

/// The subcommands; without one, COMMAND is run.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommand {
    Check(CheckArgs),
    Explain(ExplainArgs),
    List(ListArgs),
    Init(InitArgs),
    Doctor(DoctorArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
    #[command(hide = true)]
    Reference(ReferenceArgs),
}

/// Lint and assert the ignore rules, for CI
///
/// Exit status: 0 clean, 1 findings, 2 could not check.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: devrun check --strict --expect-ignored downloads/a.zip --expect-watched src/main.rs"
)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) check: CheckOptions,
    /// human, json, github (annotations) or sarif [default: human]
    ///
    /// Example: `devrun check --format github`
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "human",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) format: CheckFormat,
    #[command(flatten)]
    pub(crate) source: ConfigSource,
    #[command(flatten)]
    pub(crate) watch: WatchOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// Which rule decides, for each path
///
/// Exit status: 0 some path is ignored, 1 none is, 2 error.
#[derive(Debug, Args)]
#[command(after_help = "Example: git ls-files -z | devrun explain --stdin -z --format json")]
pub(crate) struct ExplainArgs {
    /// The paths; one that ends in `/` is a directory, whether it exists or not
    #[arg(id = "asked", value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) asked: Vec<PathBuf>,
    /// Read paths from standard input, one a line
    ///
    /// Example: `git ls-files | devrun explain --stdin`
    #[arg(long)]
    pub(crate) stdin: bool,
    /// Paths on standard input end with NUL
    ///
    /// Example: `git ls-files -z | devrun explain --stdin -z`
    #[arg(short = 'z', long, requires = "stdin")]
    pub(crate) null: bool,
    /// human, or json: one object per path [default: human]
    ///
    /// Example: `devrun explain --format json downloads/a.zip`
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "human",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) source: ConfigSource,
    #[command(flatten)]
    pub(crate) watch: WatchOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// What is watched, what is not, in which mode and why
#[derive(Debug, Args)]
#[command(after_help = "Example: devrun list --ignored")]
pub(crate) struct ListArgs {
    /// One path a line, nothing else
    ///
    /// Example: `devrun list --flat | xargs wc -l`
    #[arg(long)]
    pub(crate) flat: bool,
    /// Paths of --flat end with NUL
    ///
    /// Example: `devrun list --flat -z | xargs -0 wc -l`
    #[arg(short = 'z', long, requires = "flat")]
    pub(crate) null: bool,
    /// What is ignored: the top of each ignored subtree, and the rule that decides
    ///
    /// Example: `devrun list --ignored`
    #[arg(long, conflicts_with_all = ["flat", "hot"])]
    pub(crate) ignored: bool,
    /// Watch for a while and show which paths make most events [default: 10s]
    ///
    /// Example: `devrun list --hot 1m`
    #[arg(long, value_name = "DUR", value_parser = duration, num_args = 0..=1, default_missing_value = "10s", allow_hyphen_values = true,
        conflicts_with = "flat")]
    pub(crate) hot: Option<Duration>,
    /// human or json [default: human]
    ///
    /// Example: `devrun list --format json`
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "human",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) source: ConfigSource,
    #[command(flatten)]
    pub(crate) watch: WatchOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// Write a .watchignore and a devrun.toml that fit this project
///
/// Never overwrites. Takes over a .watchdogignore. Says what it did.
#[derive(Debug, Args)]
#[command(after_help = "Example: devrun init --dry-run")]
pub(crate) struct InitArgs {
    /// Show what would be written, write nothing
    ///
    /// Example: `devrun init --dry-run`
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// What would go wrong here, and how to mend it
///
/// Looks at limits, mounts, the mode of each root, sockets in use, git, devrun.toml and the rules, and tries
/// whether events arrive. Exit status: 0 all is well, 1 something should be mended, 2 could not look.
#[derive(Debug, Args)]
#[command(after_help = "Example: devrun doctor --proxy 8000")]
pub(crate) struct DoctorArgs {
    /// human or json [default: human]
    ///
    /// Example: `devrun doctor --format json`
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "human",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) format: Format,
    /// Try events in the roots too: writes a file there and removes it
    ///
    /// Example: `devrun doctor --probe-roots`
    #[arg(long)]
    pub(crate) probe_roots: bool,
    #[command(flatten)]
    pub(crate) source: ConfigSource,
    #[command(flatten)]
    pub(crate) watch: WatchOptions,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// Completions for a shell, on stdout
#[derive(Debug, Args)]
#[command(
    after_help = "Example: devrun completions bash > ~/.local/share/bash-completion/completions/devrun"
)]
pub(crate) struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// Manual pages, on stdout or into a directory
#[derive(Debug, Args)]
#[command(after_help = "Example: devrun man | man -l -")]
pub(crate) struct ManArgs {
    /// The subcommand; without it, the page of devrun itself
    #[arg(value_name = "SUBCOMMAND")]
    pub(crate) page: Option<String>,
    /// Write all pages into this directory
    ///
    /// Example: `devrun man --dir ~/.local/share/man/man1`
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath, conflicts_with = "page")]
    pub(crate) dir: Option<PathBuf>,
}

/// A page of docs/reference, on stdout
#[derive(Debug, Args)]
pub(crate) struct ReferenceArgs {
    /// Which one
    #[arg(value_name = "PAGE")]
    pub(crate) page: ReferencePage,
}
