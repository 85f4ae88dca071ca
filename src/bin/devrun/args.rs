//! The command line, as typed: one struct per group of options, and one per subcommand.
//!
//! A group is also what a table of devrun.toml and the DEVRUN_* variables are read into, so that every
//! option has its key and its variable by construction. Decides nothing: `settings.rs` merges.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use serde::Deserialize;

use crate::values::{
    CommandLine, Extension, Glob, ListenOn, Parsed, Pattern, Proxy, ShellChoice, StopSignal, Time, UrlPath,
    Variable, list, truth, variables,
};

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
    after_help = "--help: all options, with examples. Each is a key of devrun.toml and a DEVRUN_* variable.",
    after_long_help = AFTER_LONG_HELP,
    max_term_width = 110,
)]
pub(crate) struct CommandArgs {
    #[command(subcommand)]
    pub(crate) subcommand: Option<Verb>,
    #[command(flatten)]
    pub(crate) groups: RunGroups,
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

/// One source of options: what was typed, or the environment, or a file's tables.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct Layer {
    #[command(flatten)]
    pub(crate) watch: Watch,
    #[command(flatten)]
    pub(crate) run: Run,
    #[command(flatten)]
    pub(crate) front: Front,
    #[command(flatten)]
    pub(crate) check: Check,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Every option that has a key and a variable.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "devrun", disable_help_flag = true)]
pub(crate) struct AllOptions {
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) layer: Layer,
}

/// The tables of devrun.toml with their keys, from the types above: an option's key is its name.
pub(crate) fn tables() -> Vec<(&'static str, Vec<clap::Arg>)> {
    fn options<G: Args>() -> Vec<clap::Arg> {
        G::augment_args(clap::Command::new("")).get_arguments().cloned().collect()
    }
    let command = clap::Arg::new("command")
        .value_name("COMMAND")
        .help("What to run: a list of words, or a line for the shell")
        .long_help(
            "What to run: a list of words, executed directly, or a line that is given to the shell. On the \
             command line it comes after `--`, and takes the place of this one. \
             Example: `command = [\"cargo\", \"run\"]`",
        );
    let run = std::iter::once(command).chain(options::<Run>()).collect();
    vec![
        ("watch", options::<Watch>()),
        ("run", run),
        ("front", options::<Front>()),
        ("check", options::<Check>()),
        ("output", options::<Output>()),
    ]
}

/// The key of an option in devrun.toml.
pub(crate) fn key(option: &clap::Arg) -> String {
    option.get_id().as_str().replace('_', "-")
}

/// The options of a run, by group.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunGroups {
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) watch: Watch,
    #[command(flatten)]
    pub(crate) run: Run,
    #[command(flatten)]
    pub(crate) front: Front,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// The subcommands; without one, COMMAND is run.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
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

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct Source {
    /// Read this file instead of the devrun.toml found here or above
    ///
    /// Without it devrun.toml is looked for in the working directory and above, up to the repository's top.
    /// Example: `devrun --config ci/devrun.toml`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) config: Option<PathBuf>,
    /// Put the tables of [profile.NAME] over the others
    ///
    /// Example: `devrun --profile test`, with `[profile.test.run]` and `command = ["pytest"]` in devrun.toml
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(crate) profile: Option<String>,
}

/// Which paths count, and how changes are found: `[watch]` in devrun.toml.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
#[command(next_help_heading = "Watching")]
pub(crate) struct Watch {
    /// Watch this directory or file; repeatable [default: .]
    ///
    /// On the command line the path must exist; in devrun.toml (`paths`) it may be made later.
    /// Example: `devrun -w src -w Cargo.toml -- cargo run`
    #[arg(short = 'w', long = "watch", value_name = "PATH", value_hint = ValueHint::AnyPath)]
    #[serde(deserialize_with = "list")]
    pub(crate) paths: Option<Vec<PathBuf>>,
    /// Only files with these extensions: rs,toml
    ///
    /// Example: `devrun -e py,html -- python app.py`
    #[arg(short = 'e', long, value_name = "LIST", value_delimiter = ',')]
    #[serde(deserialize_with = "list")]
    pub(crate) ext: Option<Vec<Parsed<Extension>>>,
    /// Only paths that match this glob; repeatable
    ///
    /// A glob without `/` is held against the file's name, another against its path from the working
    /// directory. Example: `devrun -f 'src/**/*.rs' -- cargo run`
    #[arg(short = 'f', long, value_name = "GLOB", hide_short_help = true)]
    #[serde(deserialize_with = "list")]
    pub(crate) filter: Option<Vec<Parsed<Glob>>>,
    /// Leave out what matches, gitignore syntax; repeatable
    ///
    /// Anchored at the working directory; decides before every ignore file, `!` takes back. Adds to the
    /// patterns of devrun.toml. Example: `devrun -i downloads/ -i '*.sqlite' -- python app.py`
    #[arg(short = 'i', long, value_name = "PATTERN", allow_hyphen_values = true,
        value_parser = OsStringValueParser::new().try_map(Pattern::from_os))]
    #[serde(deserialize_with = "list")]
    pub(crate) ignore: Option<Vec<Parsed<Pattern>>>,
    /// Per-directory ignore file; repeatable [default: .watchignore]
    ///
    /// A name is looked for in every directory; a path with a `/` is read once, anchored at the working
    /// directory. Example: `devrun --ignore-file .watchignore --ignore-file .dockerignore -- npm start`
    #[arg(long, value_name = "NAME", value_hint = ValueHint::FilePath, hide_short_help = true)]
    #[serde(deserialize_with = "list")]
    pub(crate) ignore_file: Option<Vec<PathBuf>>,
    /// Leave out .gitignore, .git/info/exclude and core.excludesFile
    ///
    /// Example: `devrun --no-vcs-ignore -w dist -- node dist/server.js`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = truth, hide_short_help = true)]
    pub(crate) no_vcs_ignore: Option<bool>,
    /// Leave out the built-in rules: .git/, __pycache__/, editors' files
    ///
    /// Example: `devrun --no-default-ignore -- ./server`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = truth, hide_short_help = true)]
    pub(crate) no_default_ignore: Option<bool>,
    /// How changes are found: auto (default), event or stat
    ///
    /// event: from the kernel, one watch per directory that counts. stat: by scans, for network and shared
    /// file systems. auto: event where it works. Example: `devrun -m stat -- npm start`
    #[arg(short = 'm', long, value_name = "MODE", hide_possible_values = true)]
    pub(crate) mode: Option<Mode>,
    /// Stat mode: time between two scans [default: 1s]
    ///
    /// Example: `devrun -m stat --poll-interval 300ms -- npm start`
    #[arg(long, value_name = "DUR", hide_short_help = true, allow_hyphen_values = true)]
    pub(crate) poll_interval: Option<Parsed<Time>>,
    /// Quiet time that ends a burst of changes
    ///
    /// The default is a few milliseconds, and grows while changes keep coming.
    /// Example: `devrun -d 200ms -- make serve`
    #[arg(short = 'd', long, value_name = "DUR", allow_hyphen_values = true)]
    pub(crate) debounce: Option<Parsed<Time>>,
    /// What proves a change: content or stat [default: content]
    ///
    /// content: other bytes. stat: any difference of size, times or inode, so that a `touch` restarts too.
    /// Example: `devrun --compare stat -- ./server`
    #[arg(long, value_name = "WHAT", hide_possible_values = true, hide_short_help = true)]
    pub(crate) compare: Option<Compare>,
}

/// What is run, and how: `[run]` in devrun.toml.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
#[command(next_help_heading = "Running")]
pub(crate) struct Run {
    /// COMMAND in devrun.toml; on the command line it comes after `--`.
    #[arg(skip)]
    pub(crate) command: Option<CommandLine>,
    /// A change while it runs: restart (default), queue, signal or ignore
    ///
    /// queue: start it again once it has ended by itself. signal: send it the stop signal, nothing more.
    /// Example: `devrun --on-busy queue -- cargo test`
    #[arg(long, value_name = "POLICY", hide_possible_values = true)]
    pub(crate) on_busy: Option<OnBusy>,
    /// When it ends by itself: wait (default), restart or quit
    ///
    /// wait: for the next change. restart: after 0.1 s, doubling to 10 s. quit: with its exit status.
    /// Example: `devrun --on-exit restart -- ./worker`
    #[arg(long, value_name = "POLICY", hide_possible_values = true)]
    pub(crate) on_exit: Option<OnExit>,
    /// A file that restarts COMMAND after each start: warn or restart [default: warn]
    ///
    /// warn: it is named, with the rule to add, and restarts nothing any more.
    /// Example: `devrun --on-loop restart -- ./generator`
    #[arg(long, value_name = "POLICY", hide_possible_values = true, hide_short_help = true)]
    pub(crate) on_loop: Option<OnLoop>,
    /// The first signal of a stop [default: SIGTERM]
    ///
    /// Example: `devrun --stop-signal SIGINT -- node server.js`
    #[arg(long, value_name = "SIG", hide_short_help = true, allow_hyphen_values = true)]
    pub(crate) stop_signal: Option<Parsed<StopSignal>>,
    /// Time to end before the whole tree is killed [default: 10s]
    ///
    /// Example: `devrun --stop-timeout 2s -- node server.js`
    #[arg(long, value_name = "DUR", allow_hyphen_values = true)]
    pub(crate) stop_timeout: Option<Parsed<Time>>,
    /// Run before each start; a failure keeps the old generation
    ///
    /// Repeatable. The line is given to `sh -c`, while the old generation goes on serving.
    /// Example: `devrun --build 'cargo build' -- target/debug/server`
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString)]
    #[serde(deserialize_with = "list")]
    pub(crate) build: Option<Vec<CommandLine>>,
    /// First start at the first change
    ///
    /// Example: `devrun --postpone -- cargo test`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = truth, hide_short_help = true)]
    pub(crate) postpone: Option<bool>,
    /// Supervise only: nothing is watched
    ///
    /// Example: `devrun --no-watch --on-exit restart -- ./server`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = truth, hide_short_help = true)]
    pub(crate) no_watch: Option<bool>,
    /// Run COMMAND in this directory
    ///
    /// Example: `devrun -C backend -- npm start`
    #[arg(short = 'C', long, value_name = "PATH", value_hint = ValueHint::DirPath, hide_short_help = true)]
    pub(crate) workdir: Option<PathBuf>,
    /// Set a variable for COMMAND; repeatable
    ///
    /// Adds to those of devrun.toml, where it is a table. Example: `devrun --env DEBUG=1 -- ./server`
    #[arg(long, value_name = "KEY=VALUE", hide_short_help = true,
        value_parser = OsStringValueParser::new().try_map(Variable::from_os))]
    #[serde(deserialize_with = "variables")]
    pub(crate) env: Option<Vec<Parsed<Variable>>>,
    /// Read variables for COMMAND from this file at each start, and watch it; repeatable
    ///
    /// Example: `devrun --env-file .env -- ./server`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true)]
    #[serde(deserialize_with = "list")]
    pub(crate) env_file: Option<Vec<PathBuf>>,
    /// Let a shell run COMMAND [default shell: sh]
    ///
    /// Its words are joined with blanks and given to `SHELL -c`.
    /// Example: `devrun --shell -- 'make && ./server'`
    #[arg(long, value_name = "SHELL", num_args = 0..=1, require_equals = true, default_missing_value = "sh",
        hide_short_help = true)]
    pub(crate) shell: Option<ShellChoice>,
    /// What COMMAND reads: pipe, null or inherit [default: pipe]
    ///
    /// pipe: one that stays open and empty, since some tools end at end of file.
    /// Example: `devrun --stdin inherit -- python -i app.py`
    #[arg(long, value_name = "FROM", hide_possible_values = true, hide_short_help = true)]
    pub(crate) stdin: Option<Stdin>,
    /// Clear the screen before each start
    ///
    /// Example: `devrun --clear -- cargo test`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = truth, hide_short_help = true)]
    pub(crate) clear: Option<bool>,
}

/// The port that clients see: `[front]` in devrun.toml.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
#[command(next_help_heading = "Front")]
pub(crate) struct Front {
    /// HTTP proxy: clients never see a restart
    ///
    /// Requests are held during a restart, those in flight finish on the old generation.
    /// Without UPSTREAM each generation gets a free port of its own, in $PORT and as {port} in COMMAND; with
    /// it the server always listens there and generations take turns. A port alone means the loopback.
    /// Example: `devrun --proxy 8000 -- flask run --port {port}`
    #[arg(long, value_name = "ADDR[=UPSTREAM]", allow_hyphen_values = true)]
    pub(crate) proxy: Option<Parsed<Proxy>>,
    /// Socket opened once and handed to every generation
    ///
    /// Repeatable. Descriptors from 3, LISTEN_FDS and {fd} in COMMAND. `unix:PATH`, `udp:ADDR`; with `tcp:ADDR` devrun
    /// never answers on it itself. Example: `devrun --listen 8000 -- uvicorn app:app --fd {fd}`
    #[arg(long, value_name = "[NAME=]ADDR", allow_hyphen_values = true)]
    #[serde(deserialize_with = "list")]
    pub(crate) listen: Option<Vec<Parsed<ListenOn>>>,
    /// How sockets are handed over: systemd or werkzeug [default: systemd]
    ///
    /// With --proxy each generation then inherits a listening socket of its own instead of a port number.
    /// Example: `devrun --proxy 8000 --pass-socket werkzeug -- python app.py`
    #[arg(long, value_name = "HOW", hide_possible_values = true, hide_short_help = true)]
    pub(crate) pass_socket: Option<PassSocket>,
    /// Ready when GET PATH answers below 500 [default: when the port accepts]
    ///
    /// Example: `devrun --proxy 8000 --ready-path /health -- ./server`
    #[arg(long, value_name = "PATH", hide_short_help = true)]
    pub(crate) ready_path: Option<Parsed<UrlPath>>,
    /// A generation that is not ready by then has failed [default: 60s]
    ///
    /// Example: `devrun --proxy 8000 --ready-timeout 3m -- ./gradlew bootRun`
    #[arg(long, value_name = "DUR", hide_short_help = true, allow_hyphen_values = true)]
    pub(crate) ready_timeout: Option<Parsed<Time>>,
    /// Responses in flight may take this long to finish [default: 30s]
    ///
    /// Example: `devrun --proxy 8000 --drain-timeout 5m -- ./server`
    #[arg(long, value_name = "DUR", hide_short_help = true, allow_hyphen_values = true)]
    pub(crate) drain_timeout: Option<Parsed<Time>>,
    /// Stop the old generation before the new one starts
    ///
    /// For servers with schedulers or database locks. Example: `devrun --proxy 8000 --no-overlap -- ./server`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = truth, hide_short_help = true)]
    pub(crate) no_overlap: Option<bool>,
    /// Leave HTML pages as they are: no reload in the browser
    ///
    /// Example: `devrun --proxy 8000 --no-live-reload -- ./server`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = truth, hide_short_help = true)]
    pub(crate) no_live_reload: Option<bool>,
}

/// How devrun speaks: `[output]` in devrun.toml. All on stderr; stdout belongs to COMMAND.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Say more; twice: the inner workings too
    ///
    /// Example: `devrun -v -- cargo run`
    #[arg(short = 'v', long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say only warnings and errors
    ///
    /// Example: `devrun -q -- cargo run`
    #[arg(short = 'q', long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = truth)]
    pub(crate) quiet: Option<bool>,
    /// Colour: auto, always or never [default: auto]
    ///
    /// auto: on a terminal, unless NO_COLOR is set. Example: `devrun --color never -- cargo run`
    #[arg(long, value_name = "WHEN", hide_possible_values = true, hide_short_help = true)]
    pub(crate) color: Option<Color>,
    /// human, or json: one event per line [default: human]
    ///
    /// Example: `devrun --log-format json -- cargo run`
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, hide_short_help = true)]
    pub(crate) log_format: Option<LogFormat>,
}

/// What `check` looks for: `[check]` in devrun.toml.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
#[command(next_help_heading = "Checking")]
pub(crate) struct Check {
    /// This path must be ignored; repeatable
    ///
    /// A path that ends in `/` is a directory, whether it exists or not. Adds to those of devrun.toml.
    /// Example: `devrun check --expect-ignored downloads/a.zip`
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    #[serde(deserialize_with = "list")]
    pub(crate) expect_ignored: Option<Vec<PathBuf>>,
    /// This path must be watched; repeatable
    ///
    /// Example: `devrun check --expect-watched src/main.rs`
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    #[serde(deserialize_with = "list")]
    pub(crate) expect_watched: Option<Vec<PathBuf>>,
    /// Warnings fail too
    ///
    /// Example: `devrun check --strict`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = truth)]
    pub(crate) strict: Option<bool>,
    /// Also find rules that match nothing in the tree (walks all of it)
    ///
    /// Example: `devrun check --matches-nothing`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = truth)]
    pub(crate) matches_nothing: Option<bool>,
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
    pub(crate) check: Check,
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
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) watch: Watch,
    #[command(flatten)]
    pub(crate) output: Output,
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
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) watch: Watch,
    #[command(flatten)]
    pub(crate) output: Output,
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
    #[arg(long, value_name = "DUR", num_args = 0..=1, default_missing_value = "10s", allow_hyphen_values = true,
        conflicts_with = "flat")]
    pub(crate) hot: Option<Parsed<Time>>,
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
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) watch: Watch,
    #[command(flatten)]
    pub(crate) output: Output,
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
    pub(crate) output: Output,
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
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) watch: Watch,
    #[command(flatten)]
    pub(crate) front: Front,
    #[command(flatten)]
    pub(crate) output: Output,
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

/// Declares the words that an option takes, for clap and serde alike.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub(crate) enum $name { $($(#[$variant_doc])* $variant),+ }
    };
}

words! {
    /// How changes are found.
    Mode { Auto, Event, Stat }
}
words! {
    /// What proves a change.
    Compare { Content, Stat }
}
words! {
    /// A change while COMMAND runs.
    OnBusy { Restart, Queue, Signal, Ignore }
}
words! {
    /// COMMAND has ended by itself.
    OnExit { Wait, Restart, Quit }
}
words! {
    /// A file restarts COMMAND after each start.
    OnLoop { Warn, Restart }
}
words! {
    /// What COMMAND reads.
    Stdin { Pipe, Null, Inherit }
}
words! {
    /// How sockets are handed over.
    PassSocket { Systemd, Werkzeug }
}
words! {
    /// When there is colour.
    Color { Auto, Always, Never }
}
words! {
    /// How a run speaks.
    LogFormat { Human, Json }
}
words! {
    /// How a subcommand answers.
    Format { Human, Json }
}
words! {
    /// How `check` answers.
    CheckFormat { Human, Json, Github, Sarif }
}
words! {
    /// The pages that are generated.
    ReferencePage { Cli, Configuration, Schema }
}
