//! The options, one struct for each group.
//!
//! A group is a table of devrun.toml, and each option is a key and a DEVRUN_* variable. All three sources become
//! these structs, so no option lacks its key or its variable.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anstream::ColorChoice;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{ArgAction, Args, Parser, ValueHint};
use devrun::rules::{CheckedFiles, FindingId};
use devrun::supervise::{Listen, OnBusy, OnExit, OnLoop, PassSocket, Shell, Signal, Stdin, StopScope};
use devrun::watch::{Compare, Mode};

use crate::cli::values::{self, CommandLine, Format, Proxy, boolean, duration, finding_id, one_of};

/// The options of one source: the command line, the environment, or the tables of a file.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "devrun", disable_help_flag = true)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) source: ConfigSource,
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

/// The tables of devrun.toml with their options.
pub(crate) fn tables() -> Vec<(&'static str, Vec<clap::Arg>)> {
    fn options<G: Args>() -> Vec<clap::Arg> {
        G::augment_args(clap::Command::new("")).get_arguments().cloned().collect()
    }
    let command = clap::Arg::new("command")
        .value_name("COMMAND")
        .help("Command to run: a list of words, or a line for the shell")
        .long_help(
            "Command to run: a list of words runs without a shell, a string runs in the shell. A COMMAND on \
             the command line, after `--`, replaces it. \
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

trait ArgExt {
    /// A flag that also accepts a value: `--clear`, `--clear=false`.
    fn on_off(self) -> Self;
}

impl ArgExt for clap::Arg {
    fn on_off(self) -> Self {
        let flag = self.value_name("BOOL").num_args(0..=1).require_equals(true);
        flag.default_missing_value("true").value_parser(boolean)
    }
}

/// The configuration file and the profile.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct ConfigSource {
    /// Read this file instead of the devrun.toml found here or above
    ///
    /// Default: the devrun.toml in the working directory or in the nearest directory above it, within the repository.
    /// Example: `devrun --config ci/devrun.toml`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) config: Option<PathBuf>,
    /// Use [profile.NAME]: its tables override the others
    ///
    /// Example: `devrun --profile test`, with `[profile.test.run]` and `command = ["pytest"]` in devrun.toml
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(crate) profile: Option<String>,
}

/// Which paths devrun watches, and how: `[watch]` in devrun.toml.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Watching")]
pub(crate) struct WatchOptions {
    /// Watch this directory or file; repeatable [default: .]
    ///
    /// On the command line the path must exist; a path in devrun.toml (`paths`) may be created later.
    /// Example: `devrun -w src -w Cargo.toml -- cargo run`
    #[arg(short = 'w', long = "watch", value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Option<Vec<PathBuf>>,
    /// Watch only files with these extensions: rs,toml
    ///
    /// Example: `devrun -e py,html -- python app.py`
    #[arg(short = 'e', long, value_name = "LIST", value_delimiter = ',', value_parser = values::extension)]
    pub(crate) ext: Option<Vec<String>>,
    /// Watch only paths that match this glob; repeatable
    ///
    /// A glob without `/` matches the file name; otherwise it matches the path relative to the working
    /// directory. Example: `devrun -f 'src/**/*.rs' -- cargo run`
    #[arg(short = 'f', long, value_name = "GLOB", value_parser = values::glob, hide_short_help = true)]
    pub(crate) filter: Option<Vec<String>>,
    /// Ignore matching paths (gitignore syntax); repeatable
    ///
    /// The pattern is anchored at the working directory and overrides every ignore file; `!` watches a path again.
    /// Adds to the patterns of devrun.toml. Example: `devrun -i downloads/ -i '*.sqlite' -- python app.py`
    #[arg(short = 'i', long, value_name = "PATTERN", allow_hyphen_values = true,
        value_parser = OsStringValueParser::new().try_map(values::pattern))]
    pub(crate) ignore: Option<Vec<Vec<u8>>>,
    /// Per-directory ignore file; repeatable [default: .watchignore, .watchdogignore]
    ///
    /// A name is read in every directory; a path with a `/` is read once, anchored at the working
    /// directory. Example: `devrun --ignore-file .watchignore --ignore-file .dockerignore -- npm start`
    #[arg(long, value_name = "NAME", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) ignore_file: Option<Vec<PathBuf>>,
    /// Do not use .gitignore, .git/info/exclude and core.excludesFile
    ///
    /// Example: `devrun --no-vcs-ignore -w dist -- node dist/server.js`
    #[arg(long, hide_short_help = true, on_off())]
    pub(crate) no_vcs_ignore: Option<bool>,
    /// Do not use the built-in rules: .git/, __pycache__/, editor files, archives, logs
    ///
    /// Example: `devrun --no-default-ignore -- ./server`
    #[arg(long, hide_short_help = true, on_off())]
    pub(crate) no_default_ignore: Option<bool>,
    /// How to find changes: auto (default), event or stat
    ///
    /// event: the kernel reports changes. stat: devrun scans the files, for network and shared file systems.
    /// auto: event where the file system supports it. Example: `devrun -m stat -- npm start`
    #[arg(short = 'm', long, value_name = "MODE", hide_possible_values = true,
        value_parser = one_of(&[("auto", Mode::Auto), ("event", Mode::Event), ("stat", Mode::Stat)]))]
    pub(crate) mode: Option<Mode>,
    /// Stat mode: time between two scans [default: 1s]
    ///
    /// Example: `devrun -m stat --poll-interval 300ms -- npm start`
    #[arg(long, value_name = "DUR", value_parser = duration, hide_short_help = true, allow_hyphen_values = true)]
    pub(crate) poll_interval: Option<Duration>,
    /// Time without changes that ends a burst
    ///
    /// The default is a few milliseconds, and grows while changes continue.
    /// Example: `devrun -d 200ms -- make serve`
    #[arg(short = 'd', long, value_name = "DUR", value_parser = duration, allow_hyphen_values = true)]
    pub(crate) debounce: Option<Duration>,
    /// How to compare a file: content or stat [default: content]
    ///
    /// content: only different bytes are a change. stat: a different size, time or inode is a change, so a `touch`
    /// restarts COMMAND.
    /// Example: `devrun --compare stat -- ./server`
    #[arg(long, value_name = "WHAT", hide_possible_values = true, hide_short_help = true,
        value_parser = one_of(&[("content", Compare::Content), ("stat", Compare::Stat)]))]
    pub(crate) compare: Option<Compare>,
}

/// COMMAND, and how it runs: `[run]` in devrun.toml.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Running")]
pub(crate) struct RunOptions {
    /// COMMAND in devrun.toml; on the command line it comes after `--`.
    #[arg(skip)]
    pub(crate) command: Option<CommandLine>,
    /// On change: restart (default), queue, signal, ignore
    ///
    /// queue: restart COMMAND after it exits. signal: only send the stop signal. ignore: do nothing.
    /// Example: `devrun --on-busy queue -- cargo test`
    #[arg(long, value_name = "POLICY", hide_possible_values = true, value_parser = one_of(&[
        ("restart", OnBusy::Restart), ("queue", OnBusy::Queue), ("signal", OnBusy::Signal), ("ignore", OnBusy::Ignore),
    ]))]
    pub(crate) on_busy: Option<OnBusy>,
    /// On exit of COMMAND: wait (default), restart or quit
    ///
    /// wait: restart on the next change. restart: after 0.1 s, doubling up to 10 s. quit: exit with its status.
    /// Example: `devrun --on-exit restart -- ./worker`
    #[arg(long, value_name = "POLICY", hide_possible_values = true,
        value_parser = one_of(&[("wait", OnExit::Wait), ("restart", OnExit::Restart), ("quit", OnExit::Quit)]))]
    pub(crate) on_exit: Option<OnExit>,
    /// On a restart loop: warn or restart [default: warn]
    ///
    /// warn: print the file and the ignore rule to add; delay restarts for this file alone by 0.3 s, doubling up to 30 s.
    /// restart: restart at once each time.
    /// Example: `devrun --on-loop restart -- ./generator`
    #[arg(long, value_name = "POLICY", hide_possible_values = true, hide_short_help = true,
        value_parser = one_of(&[("warn", OnLoop::Warn), ("restart", OnLoop::Restart)]))]
    pub(crate) on_loop: Option<OnLoop>,
    /// Signal that asks COMMAND to stop [default: SIGTERM]
    ///
    /// Example: `devrun --stop-signal SIGINT -- node server.js`
    #[arg(long, value_name = "SIG", hide_short_help = true, allow_hyphen_values = true,
        value_parser = values::stop_signal)]
    pub(crate) stop_signal: Option<Signal>,
    /// Processes that get the stop signal first: leader or group [default: leader]
    ///
    /// leader: COMMAND itself. The processes that it has started get the signal when COMMAND has ended, or after half of
    /// --stop-timeout. group: all processes at once, as for Ctrl-C on a terminal.
    /// Example: `devrun --stop-scope group -- ./server`
    #[arg(long, value_name = "SCOPE", hide_possible_values = true, hide_short_help = true,
        value_parser = one_of(&[("leader", StopScope::Leader), ("group", StopScope::Group)]))]
    pub(crate) stop_scope: Option<StopScope>,
    /// Time from the stop signal to SIGKILL [default: 10s]
    ///
    /// After this the whole process tree is killed (SIGKILL) and the survivors are listed.
    /// Example: `devrun --stop-timeout 2s -- node server.js`
    #[arg(long, value_name = "DUR", value_parser = duration, allow_hyphen_values = true)]
    pub(crate) stop_timeout: Option<Duration>,
    /// Command to run before each start, such as a build
    ///
    /// Repeatable. `sh -c` runs the line while the old generation continues to serve. If it fails, the old generation
    /// stays.
    /// Example: `devrun --build 'cargo build' -- target/debug/server`
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString)]
    pub(crate) build: Option<Vec<CommandLine>>,
    /// Wait for the first change before the first start
    ///
    /// Example: `devrun --postpone -- cargo test`
    #[arg(long, hide_short_help = true, on_off())]
    pub(crate) postpone: Option<bool>,
    /// Do not watch files; only supervise COMMAND
    ///
    /// Example: `devrun --no-watch --on-exit restart -- ./server`
    #[arg(long, hide_short_help = true, on_off())]
    pub(crate) no_watch: Option<bool>,
    /// Run COMMAND in this directory
    ///
    /// Example: `devrun -C backend -- npm start`
    #[arg(short = 'C', long, value_name = "PATH", value_hint = ValueHint::DirPath, hide_short_help = true)]
    pub(crate) workdir: Option<PathBuf>,
    /// Set a variable for COMMAND; repeatable
    ///
    /// Adds to the variables of devrun.toml, which has a table for them. Example: `devrun --env DEBUG=1 -- ./server`
    #[arg(long, value_name = "KEY=VALUE", hide_short_help = true,
        value_parser = OsStringValueParser::new().try_map(values::variable))]
    pub(crate) env: Option<Vec<(OsString, OsString)>>,
    /// Read variables for COMMAND from this file at each start; repeatable
    ///
    /// A change of the file restarts COMMAND.
    ///
    /// Example: `devrun --env-file .env -- ./server`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) env_file: Option<Vec<PathBuf>>,
    /// Run COMMAND in a shell [default shell: sh]
    ///
    /// devrun joins the words with spaces and runs `SHELL -c`.
    /// Example: `devrun --shell -- 'make && ./server'`
    #[arg(long, value_name = "SHELL", num_args = 0..=1, require_equals = true, default_missing_value = "sh",
        value_parser = values::shell, hide_short_help = true)]
    pub(crate) shell: Option<Shell>,
    /// Standard input of COMMAND: pipe, null or inherit [default: pipe]
    ///
    /// pipe: an empty pipe that stays open, because some tools exit at end of file. null: /dev/null.
    /// inherit: the standard input of devrun, for a debugger. Otherwise the lines that you type are commands to devrun.
    /// Example: `devrun --stdin inherit -- python -i app.py`
    #[arg(long, value_name = "FROM", hide_possible_values = true, hide_short_help = true,
        value_parser = one_of(&[("pipe", Stdin::Pipe), ("null", Stdin::Null), ("inherit", Stdin::Inherit)]))]
    pub(crate) stdin: Option<Stdin>,
    /// Do not open the control socket, on which `devrun ps`, `wait` and others ask
    ///
    /// The socket is open to this user alone. Example: `devrun --no-control -- ./server`
    #[arg(long, hide_short_help = true, on_off())]
    pub(crate) no_control: Option<bool>,
    /// Clear the screen before each start
    ///
    /// Example: `devrun --clear -- cargo test`
    #[arg(long, hide_short_help = true, on_off())]
    pub(crate) clear: Option<bool>,
}

/// The port that clients see, and the sockets that COMMAND inherits: `[server]` in devrun.toml.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Serving")]
pub(crate) struct ServerOptions {
    /// HTTP proxy that hides restarts from clients
    ///
    /// During a restart new requests wait, and requests in flight finish on the old generation.
    /// Without UPSTREAM each generation gets a free port, in $PORT and as {port} in COMMAND. With UPSTREAM the
    /// server always listens there, so the old generation stops before the new one starts. A port alone means the
    /// loopback address.
    /// Example: `devrun --proxy 8000 -- flask run --port {port}`
    #[arg(long, value_name = "ADDR[=UPSTREAM]", allow_hyphen_values = true)]
    pub(crate) proxy: Option<Proxy>,
    /// Listening socket that stays open over restarts
    ///
    /// Repeatable. devrun opens the socket once, and every generation inherits it: file descriptors from 3, LISTEN_FDS,
    /// {fd} in COMMAND. ADDR may also be `unix:PATH`, `udp:ADDR`, or `tcp:ADDR`, on which devrun never answers itself.
    /// Example: `devrun --listen 8000 -- uvicorn app:app --fd {fd}`
    #[arg(long, value_name = "[NAME=]ADDR", allow_hyphen_values = true, value_parser = values::listen)]
    pub(crate) listen: Option<Vec<Listen>>,
    /// How COMMAND finds its sockets: systemd or werkzeug [default: systemd]
    ///
    /// With --proxy each generation inherits its own listening socket instead of a port number.
    /// Example: `devrun --proxy 8000 --pass-socket werkzeug -- python app.py`
    #[arg(long, value_name = "HOW", hide_possible_values = true, hide_short_help = true,
        value_parser = one_of(&[("systemd", PassSocket::Systemd), ("werkzeug", PassSocket::Werkzeug)]))]
    pub(crate) pass_socket: Option<PassSocket>,
    /// Ready when GET PATH answers with a status below 500 [default: when the server waits for connections]
    ///
    /// Example: `devrun --proxy 8000 --ready-path /health -- ./server`
    #[arg(long, value_name = "PATH", value_parser = values::url_path, hide_short_help = true)]
    pub(crate) ready_path: Option<String>,
    /// Time within which a generation must be ready [default: 60s]
    ///
    /// A later one has failed if an older one can go on serving. Otherwise devrun warns and goes on waiting.
    ///
    /// Example: `devrun --proxy 8000 --ready-timeout 3m -- ./gradlew bootRun`
    #[arg(long, value_name = "DUR", value_parser = duration, hide_short_help = true, allow_hyphen_values = true)]
    pub(crate) ready_timeout: Option<Duration>,
    /// Time for responses in flight to finish [default: 30s]
    ///
    /// Example: `devrun --proxy 8000 --drain-timeout 5m -- ./server`
    #[arg(long, value_name = "DUR", value_parser = duration, hide_short_help = true, allow_hyphen_values = true)]
    pub(crate) drain_timeout: Option<Duration>,
    /// Stop the old generation before the new one starts
    ///
    /// For servers with schedulers or database locks. Example: `devrun --proxy 8000 --no-overlap -- ./server`
    #[arg(long, hide_short_help = true, on_off())]
    pub(crate) no_overlap: Option<bool>,
    /// Do not add the live-reload script to HTML pages
    ///
    /// Example: `devrun --proxy 8000 --no-live-reload -- ./server`
    #[arg(long, hide_short_help = true, on_off())]
    pub(crate) no_live_reload: Option<bool>,
    /// Do not add X-Forwarded-For, -Proto and -Host to requests
    ///
    /// For servers that reject these headers. Example: `devrun --proxy 8000 --no-forwarded -- node server.js`
    #[arg(long, hide_short_help = true, on_off())]
    pub(crate) no_forwarded: Option<bool>,
}

/// The messages of devrun: `[output]` in devrun.toml. devrun writes to stderr, because stdout belongs to COMMAND.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputOptions {
    /// Print more messages; -vv: debug log
    ///
    /// -vv: each file system event, request and step of a restart. -vvv: also each directory and rule.
    /// DEVRUN_LOG=FILTER selects log targets: `debug`, `devrun::watch=trace`. Example: `devrun -vv -- cargo run`
    #[arg(short = 'v', long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Print only warnings and errors
    ///
    /// Example: `devrun -q -- cargo run`
    #[arg(short = 'q', long, on_off())]
    pub(crate) quiet: Option<bool>,
    /// Colour: auto, always or never [default: auto]
    ///
    /// auto: on a terminal, unless NO_COLOR is set. Example: `devrun --color never -- cargo run`
    #[arg(long, value_name = "WHEN", hide_possible_values = true, hide_short_help = true, value_parser = one_of(&[
        ("auto", ColorChoice::Auto), ("always", ColorChoice::Always), ("never", ColorChoice::Never),
    ]))]
    pub(crate) color: Option<ColorChoice>,
    /// human, or json: one event per line [default: human]
    ///
    /// Example: `devrun --log-format json -- cargo run`
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, hide_short_help = true)]
    pub(crate) log_format: Option<Format>,
    /// Leave the title, the progress and the bell of the terminal alone
    ///
    /// Without this option the title shows the state of COMMAND, and a failure rings the bell.
    /// Example: `devrun --no-title -- cargo run`
    #[arg(long, on_off(), hide_short_help = true)]
    pub(crate) no_title: Option<bool>,
}

/// What `check` expects: `[check]` in devrun.toml.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Checking")]
pub(crate) struct CheckOptions {
    /// This path must be ignored; repeatable
    ///
    /// A path that ends in `/` is a directory, even if it does not exist. Adds to the paths of devrun.toml.
    /// Example: `devrun check --expect-ignored downloads/a.zip`
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) expect_ignored: Option<Vec<PathBuf>>,
    /// This path must be watched; repeatable
    ///
    /// Example: `devrun check --expect-watched src/main.rs`
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) expect_watched: Option<Vec<PathBuf>>,
    /// Exit with status 1 on warnings too
    ///
    /// Example: `devrun check --strict`
    #[arg(long, on_off())]
    pub(crate) strict: Option<bool>,
    /// Also find rules that match no path (walks the whole tree)
    ///
    /// Example: `devrun check --matches-nothing`
    #[arg(long, on_off())]
    pub(crate) matches_nothing: Option<bool>,
    /// Do not report findings of this kind; repeatable
    ///
    /// A comment `# devrun: allow ID` in a rule file does the same for the rule below it. Adds to the kinds of
    /// devrun.toml. Example: `devrun check --allow shadowed-rule`
    #[arg(long, value_name = "ID", value_parser = finding_id())]
    pub(crate) allow: Option<Vec<FindingId>>,
    /// Check only the files of devrun, or only git's: devrun, git or all
    ///
    /// Example: `devrun check --only devrun`
    #[arg(long, value_name = "WHICH",
        value_parser = one_of(&[("all", CheckedFiles::All), ("devrun", CheckedFiles::Devrun), ("git", CheckedFiles::Git)]))]
    pub(crate) only: Option<CheckedFiles>,
}
