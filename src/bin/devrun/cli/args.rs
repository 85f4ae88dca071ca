//! The options, as typed: one struct per group.
//!
//! A group is also what a table of devrun.toml and the DEVRUN_* variables are read into, so that every
//! option has its key and its variable by construction. Decides nothing: `settings.rs` merges.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{ArgAction, Args, Parser, ValueHint};

use crate::cli::addresses::{ListenOn, Proxy};
use crate::cli::choices::{Color, Compare, LogFormat, Mode, OnBusy, OnExit, OnLoop, PassSocket, Stdin};
use crate::cli::values::{
    CommandLine, Extension, Glob, Pattern, ShellChoice, StopSignal, UrlPath, Variable, boolean, duration,
};

/// One source of options: what was typed, or the environment, or a file's tables.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) watch: WatchOptions,
    #[command(flatten)]
    pub(crate) run: RunOptions,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    #[command(flatten)]
    pub(crate) check: CheckOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// Every option that has a key and a variable.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "devrun", disable_help_flag = true)]
pub(crate) struct AllOptions {
    #[command(flatten)]
    pub(crate) source: ConfigSource,
    #[command(flatten)]
    pub(crate) options: Options,
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
    let run = std::iter::once(command).chain(options::<RunOptions>()).collect();
    vec![
        ("watch", options::<WatchOptions>()),
        ("run", run),
        ("server", options::<ServerOptions>()),
        ("check", options::<CheckOptions>()),
        ("output", options::<OutputOptions>()),
    ]
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct ConfigSource {
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
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Watching")]
pub(crate) struct WatchOptions {
    /// Watch this directory or file; repeatable [default: .]
    ///
    /// On the command line the path must exist; in devrun.toml (`paths`) it may be made later.
    /// Example: `devrun -w src -w Cargo.toml -- cargo run`
    #[arg(short = 'w', long = "watch", value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Option<Vec<PathBuf>>,
    /// Only files with these extensions: rs,toml
    ///
    /// Example: `devrun -e py,html -- python app.py`
    #[arg(short = 'e', long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) ext: Option<Vec<Extension>>,
    /// Only paths that match this glob; repeatable
    ///
    /// A glob without `/` is held against the file's name, another against its path from the working
    /// directory. Example: `devrun -f 'src/**/*.rs' -- cargo run`
    #[arg(short = 'f', long, value_name = "GLOB", hide_short_help = true)]
    pub(crate) filter: Option<Vec<Glob>>,
    /// Leave out what matches, gitignore syntax; repeatable
    ///
    /// Anchored at the working directory; decides before every ignore file, `!` takes back. Adds to the
    /// patterns of devrun.toml. Example: `devrun -i downloads/ -i '*.sqlite' -- python app.py`
    #[arg(short = 'i', long, value_name = "PATTERN", allow_hyphen_values = true,
        value_parser = OsStringValueParser::new().try_map(Pattern::from_os))]
    pub(crate) ignore: Option<Vec<Pattern>>,
    /// Per-directory ignore file; repeatable [default: .watchignore]
    ///
    /// A name is looked for in every directory; a path with a `/` is read once, anchored at the working
    /// directory. Example: `devrun --ignore-file .watchignore --ignore-file .dockerignore -- npm start`
    #[arg(long, value_name = "NAME", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) ignore_file: Option<Vec<PathBuf>>,
    /// Leave out .gitignore, .git/info/exclude and core.excludesFile
    ///
    /// Example: `devrun --no-vcs-ignore -w dist -- node dist/server.js`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = boolean, hide_short_help = true)]
    pub(crate) no_vcs_ignore: Option<bool>,
    /// Leave out the built-in rules: .git/, __pycache__/, editors' files
    ///
    /// Example: `devrun --no-default-ignore -- ./server`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = boolean, hide_short_help = true)]
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
    #[arg(long, value_name = "DUR", value_parser = duration, hide_short_help = true, allow_hyphen_values = true)]
    pub(crate) poll_interval: Option<Duration>,
    /// Quiet time that ends a burst of changes
    ///
    /// The default is a few milliseconds, and grows while changes keep coming.
    /// Example: `devrun -d 200ms -- make serve`
    #[arg(short = 'd', long, value_name = "DUR", value_parser = duration, allow_hyphen_values = true)]
    pub(crate) debounce: Option<Duration>,
    /// What proves a change: content or stat [default: content]
    ///
    /// content: other bytes. stat: any difference of size, times or inode, so that a `touch` restarts too.
    /// Example: `devrun --compare stat -- ./server`
    #[arg(long, value_name = "WHAT", hide_possible_values = true, hide_short_help = true)]
    pub(crate) compare: Option<Compare>,
}

/// What is run, and how: `[run]` in devrun.toml.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Running")]
pub(crate) struct RunOptions {
    /// COMMAND in devrun.toml; on the command line it comes after `--`.
    #[arg(skip)]
    pub(crate) command: Option<CommandLine>,
    /// On change: restart (default), queue, signal, ignore
    ///
    /// queue: start it again once it has ended by itself. signal: send it the stop signal, nothing more.
    /// Example: `devrun --on-busy queue -- cargo test`
    #[arg(long, value_name = "POLICY", hide_possible_values = true)]
    pub(crate) on_busy: Option<OnBusy>,
    /// When it has ended: wait (default), restart or quit
    ///
    /// wait: for the next change. restart: after 0.1 s, doubling to 10 s. quit: with its exit status.
    /// Example: `devrun --on-exit restart -- ./worker`
    #[arg(long, value_name = "POLICY", hide_possible_values = true)]
    pub(crate) on_exit: Option<OnExit>,
    /// A file that restarts COMMAND after each start: warn or restart [default: warn]
    ///
    /// warn: print the file and the ignore rule to add; delay restarts for this file alone by 0.3 s, doubling up to 30 s.
    /// restart: restart at once each time.
    /// Example: `devrun --on-loop restart -- ./generator`
    #[arg(long, value_name = "POLICY", hide_possible_values = true, hide_short_help = true)]
    pub(crate) on_loop: Option<OnLoop>,
    /// The first signal of a stop [default: SIGTERM]
    ///
    /// Example: `devrun --stop-signal SIGINT -- node server.js`
    #[arg(long, value_name = "SIG", hide_short_help = true, allow_hyphen_values = true)]
    pub(crate) stop_signal: Option<StopSignal>,
    /// Time to end, then it is killed [default: 10s]
    ///
    /// The whole tree is, by SIGKILL, and who was in the way is named. Example: `devrun --stop-timeout 2s -- node server.js`
    #[arg(long, value_name = "DUR", value_parser = duration, allow_hyphen_values = true)]
    pub(crate) stop_timeout: Option<Duration>,
    /// Run before each start; if it fails, the old stays
    ///
    /// Repeatable. The line is given to `sh -c`, while the old generation goes on serving.
    /// Example: `devrun --build 'cargo build' -- target/debug/server`
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString)]
    pub(crate) build: Option<Vec<CommandLine>>,
    /// First start at the first change
    ///
    /// Example: `devrun --postpone -- cargo test`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = boolean, hide_short_help = true)]
    pub(crate) postpone: Option<bool>,
    /// Supervise only: nothing is watched
    ///
    /// Example: `devrun --no-watch --on-exit restart -- ./server`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = boolean, hide_short_help = true)]
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
    pub(crate) env: Option<Vec<Variable>>,
    /// Read variables for COMMAND from this file at each start, and watch it; repeatable
    ///
    /// Example: `devrun --env-file .env -- ./server`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true)]
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
        value_parser = boolean, hide_short_help = true)]
    pub(crate) clear: Option<bool>,
}

/// The port that clients see: `[server]` in devrun.toml.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Serving")]
pub(crate) struct ServerOptions {
    /// HTTP proxy: clients see no restart
    ///
    /// Requests are held during a restart, those in flight finish on the old generation.
    /// Without UPSTREAM each generation gets a free port of its own, in $PORT and as {port} in COMMAND; with
    /// it the server always listens there and generations take turns. A port alone means the loopback.
    /// Example: `devrun --proxy 8000 -- flask run --port {port}`
    #[arg(long, value_name = "ADDR[=UPSTREAM]", allow_hyphen_values = true)]
    pub(crate) proxy: Option<Proxy>,
    /// Socket that outlives restarts
    ///
    /// Repeatable. Opened once and handed to every generation: descriptors from 3, LISTEN_FDS and {fd} in COMMAND.
    /// `unix:PATH`, `udp:ADDR`; with `tcp:ADDR` devrun never answers on it itself. Example: `devrun --listen 8000 -- uvicorn app:app --fd {fd}`
    #[arg(long, value_name = "[NAME=]ADDR", allow_hyphen_values = true)]
    pub(crate) listen: Option<Vec<ListenOn>>,
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
    pub(crate) ready_path: Option<UrlPath>,
    /// A generation that is not ready by then has failed [default: 60s]
    ///
    /// Example: `devrun --proxy 8000 --ready-timeout 3m -- ./gradlew bootRun`
    #[arg(long, value_name = "DUR", value_parser = duration, hide_short_help = true, allow_hyphen_values = true)]
    pub(crate) ready_timeout: Option<Duration>,
    /// Responses in flight may take this long to finish [default: 30s]
    ///
    /// Example: `devrun --proxy 8000 --drain-timeout 5m -- ./server`
    #[arg(long, value_name = "DUR", value_parser = duration, hide_short_help = true, allow_hyphen_values = true)]
    pub(crate) drain_timeout: Option<Duration>,
    /// Stop the old generation before the new one starts
    ///
    /// For servers with schedulers or database locks. Example: `devrun --proxy 8000 --no-overlap -- ./server`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = boolean, hide_short_help = true)]
    pub(crate) no_overlap: Option<bool>,
    /// Leave HTML pages as they are: no reload in the browser
    ///
    /// Example: `devrun --proxy 8000 --no-live-reload -- ./server`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = boolean, hide_short_help = true)]
    pub(crate) no_live_reload: Option<bool>,
}

/// How devrun speaks: `[output]` in devrun.toml. All on stderr; stdout belongs to COMMAND.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputOptions {
    /// Say more; twice: the inner workings too
    ///
    /// -vv: what became of each event and of each request, and each step. -vvv: each directory and rule as well.
    /// DEVRUN_LOG=FILTER picks exactly: `debug`, `devrun::watch=trace`. Example: `devrun -vv -- cargo run`
    #[arg(short = 'v', long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say only warnings and errors
    ///
    /// Example: `devrun -q -- cargo run`
    #[arg(short = 'q', long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
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
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Checking")]
pub(crate) struct CheckOptions {
    /// This path must be ignored; repeatable
    ///
    /// A path that ends in `/` is a directory, whether it exists or not. Adds to those of devrun.toml.
    /// Example: `devrun check --expect-ignored downloads/a.zip`
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) expect_ignored: Option<Vec<PathBuf>>,
    /// This path must be watched; repeatable
    ///
    /// Example: `devrun check --expect-watched src/main.rs`
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) expect_watched: Option<Vec<PathBuf>>,
    /// Warnings fail too
    ///
    /// Example: `devrun check --strict`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = boolean)]
    pub(crate) strict: Option<bool>,
    /// Also find rules that match nothing in the tree (walks all of it)
    ///
    /// Example: `devrun check --matches-nothing`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = boolean)]
    pub(crate) matches_nothing: Option<bool>,
}
