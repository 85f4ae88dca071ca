//! What is asked for, all told: command line > environment > profile > devrun.toml > default, merged once.
//!
//! From here on nobody asks where a value came from. Turns into the options of the library's rooms.

use std::ffi::OsString;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use devrun::supervise::{self, Endpoint, Listen, Port, Shell, Signal, Subreaper};
use devrun::{Command, front, rules, watch};

use crate::args::{self, Color, Layer, LogFormat, Source};
use crate::config_file;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::merge;
use crate::nearest::nearest;
use crate::terminal;
use crate::values::{CommandLine, Proxy, ShellChoice};

/// Everything that is asked for, plain.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where devrun was started, absolute: typed paths are relative to it, and messages name files relative to it.
    pub(crate) directory: PathBuf,
    /// The project's directory, absolute: that of the devrun.toml found, else `directory`. Patterns given by hand
    /// are anchored here, and the default root is here.
    pub(crate) base: PathBuf,
    /// The devrun.toml that was read, absolute.
    pub(crate) config: Option<PathBuf>,
    /// What to watch.
    pub(crate) watch: Watch,
    /// What to run.
    pub(crate) run: Run,
    /// The port that clients see.
    pub(crate) front: Front,
    /// What `check` looks for.
    pub(crate) check: Check,
    /// How devrun speaks.
    pub(crate) output: Output,
    /// What it was all made from, to make it again when devrun.toml was edited.
    origin: Arc<Origin>,
}

/// `[watch]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watch {
    /// Absolute.
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) extensions: Vec<String>,
    pub(crate) filters: Vec<String>,
    pub(crate) patterns: Vec<Vec<u8>>,
    pub(crate) file_names: Vec<OsString>,
    /// Ignore files given by path, absolute.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) vcs: bool,
    pub(crate) builtin: bool,
    pub(crate) mode: watch::Mode,
    pub(crate) poll_interval: Duration,
    pub(crate) debounce: Option<Duration>,
    pub(crate) compare: watch::Compare,
}

/// `[run]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// `None`: neither typed nor configured.
    pub(crate) command: Option<Command>,
    pub(crate) builds: Vec<Command>,
    pub(crate) on_busy: supervise::OnBusy,
    pub(crate) on_exit: supervise::OnExit,
    pub(crate) on_loop: supervise::OnLoop,
    pub(crate) stop_signal: Signal,
    pub(crate) stop_timeout: Duration,
    pub(crate) postpone: bool,
    /// Whether anything is watched at all.
    pub(crate) watching: bool,
    /// Whether the screen is cleared before each start.
    pub(crate) clear: bool,
}

/// `[front]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Front {
    /// `--proxy`.
    pub(crate) proxy: Option<Proxy>,
    /// Where clients connect, with `--proxy`.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) listen: Vec<Listen>,
    pub(crate) pass_socket: Option<supervise::PassSocket>,
    pub(crate) ready_path: Option<String>,
    pub(crate) ready_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) overlap: bool,
    pub(crate) live_reload: bool,
}

/// `[check]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    /// Absolute; a final `/` is kept: it says that the path is a directory.
    pub(crate) expect_ignored: Vec<PathBuf>,
    /// Absolute; as above.
    pub(crate) expect_watched: Vec<PathBuf>,
    pub(crate) strict: bool,
    pub(crate) matches_nothing: bool,
}

/// `[output]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Output {
    /// 0, 1 (`-v`), 2 (`-vv`: the inner workings too).
    pub(crate) verbose: u8,
    pub(crate) quiet: bool,
    pub(crate) color: anstream::ColorChoice,
    pub(crate) json: bool,
}

/// What was typed and what the environment said.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) directory: PathBuf,
    pub(crate) typed: Layer,
    pub(crate) command: Vec<OsString>,
    pub(crate) source: Source,
    pub(crate) environment: Environment,
}

impl Settings {
    /// Merges what was typed with the environment and devrun.toml.
    ///
    /// # Errors
    /// A [`Failure`] that names the option, the file or the line, and the remedy.
    pub(crate) fn new(origin: Origin) -> Result<Self, Failure> {
        check_typed(&origin, &origin.directory)?;
        Self::resolve(Arc::new(origin))
    }

    /// The defaults alone, for those who must go on although the settings are wrong.
    ///
    /// # Errors
    /// A [`Failure`] if the working directory is gone.
    pub(crate) fn defaults() -> Result<Self, Failure> {
        let directory =
            std::env::current_dir().map_err(|error| Failure::to_do("find the working directory", &error))?;
        let (base, layer) = (directory.clone(), Layer::default());
        let origin = Arc::new(Origin {
            directory: directory.clone(),
            typed: Layer::default(),
            command: Vec::new(),
            source: Source::default(),
            environment: Environment::default(),
        });
        Ok(Self {
            watch: watch_of(layer.watch, &base),
            run: run_of(layer.run, &origin, &directory, &base)?,
            front: front_of(layer.front)?,
            check: check_of(layer.check),
            output: output_of(&layer.output),
            config: None,
            directory,
            base,
            origin,
        })
    }

    /// The same again, with devrun.toml as it is now.
    ///
    /// # Errors
    /// As [`Settings::new`]: the caller goes on with what it has, and says what is wrong.
    pub(crate) fn again(&self) -> Result<Self, Failure> {
        Self::resolve(Arc::clone(&self.origin))
    }

    fn resolve(origin: Arc<Origin>) -> Result<Self, Failure> {
        let directory = origin.directory.clone();
        let found = locate(&origin)?;
        let (lower, base) = match &found {
            None => (Layer::default(), directory.clone()),
            Some(Found { path, explicit }) => {
                let own = path.parent().unwrap_or(&directory).to_owned();
                let profile = profile(&origin);
                let file = config_file::read(path, &terminal::relative(path, &directory), profile)?;
                let merged = merge::over(file.profile, file.layer);
                let base = if *explicit { directory.clone() } else { own.clone() };
                (merge::absolute(merged, &own), base)
            }
        };
        if found.is_none()
            && let Some(name) = profile(&origin)
        {
            return Err(Failure::new(format!("there is no devrun.toml with a [profile.{name}]"))
                .remedy("`devrun init` writes a devrun.toml; --config FILE names another"));
        }
        let upper = merge::over(origin.typed.clone(), origin.environment.layer.clone());
        let upper = merge::anchored(merge::absolute(upper, &directory), &directory, &base);
        let layer = merge::over(upper, lower);
        let settings = Self {
            watch: watch_of(layer.watch, &base),
            run: run_of(layer.run, &origin, &directory, &base)?,
            front: front_of(layer.front)?,
            check: check_of(layer.check),
            output: output_of(&layer.output),
            config: found.map(|found| found.path),
            directory,
            base,
            origin,
        };
        settings.check_together()?;
        Ok(settings)
    }

    /// What `check_typed` cannot see: values that are good alone and make no sense together.
    fn check_together(&self) -> Result<(), Failure> {
        let Self { run, front, watch, origin, .. } = self;
        if watch.poll_interval < Duration::from_millis(10) {
            return Err(
                Failure::new("--poll-interval is too short").remedy("write 10ms or more, such as 500ms")
            );
        }
        if front.ready_timeout.is_zero() {
            return Err(Failure::new("--ready-timeout cannot be 0: no server is ready at once")
                .remedy("write a longer time, such as 60s"));
        }
        if !run.watching && run.postpone {
            return Err(Failure::new("with --no-watch and --postpone COMMAND would never start")
                .remedy("leave one of them out"));
        }
        if !run.watching && origin.typed.watch.paths.is_some() {
            return Err(
                Failure::new("--watch and --no-watch contradict each other").remedy("leave one of them out")
            );
        }
        let typed = &origin.typed.front;
        if front.proxy.is_none() && front.listen.is_empty() {
            for (given, option) in [
                (typed.ready_path.is_some(), "--ready-path"),
                (typed.pass_socket.is_some(), "--pass-socket"),
                (typed.drain_timeout.is_some(), "--drain-timeout"),
            ] {
                if given {
                    return Err(Failure::new(format!("{option} has no port to go with"))
                        .remedy("add --proxy ADDR or --listen ADDR"));
                }
            }
        }
        front.check_together()
    }

    /// The options of the rules room.
    pub(crate) fn rules_options(&self) -> rules::Options {
        let mut options = rules::Options::new(&self.base);
        options.patterns.clone_from(&self.watch.patterns);
        options.file_names.clone_from(&self.watch.file_names);
        options.files.clone_from(&self.watch.files);
        options.vcs = self.watch.vcs;
        options.builtin = self.watch.builtin;
        options.roots.clone_from(&self.watch.roots);
        if options.vcs {
            options.git = rules::GitEnv::ask(&self.base, std::env::vars_os());
        }
        options
    }

    /// The options of the watch room.
    pub(crate) fn watch_options(&self) -> watch::Options {
        let mut options = watch::Options::new(self.rules_options());
        options.roots.clone_from(&self.watch.roots);
        options.extensions.clone_from(&self.watch.extensions);
        options.filters.clone_from(&self.watch.filters);
        options.mode = self.watch.mode;
        options.poll_interval = self.watch.poll_interval;
        options.debounce = self.watch.debounce;
        options.compare = self.watch.compare;
        options.always = self.always();
        options
    }

    /// Files that count whatever the rules say: an edit of them changes the run.
    fn always(&self) -> Vec<PathBuf> {
        self.run.command.iter().flat_map(|command| command.env_files.iter().cloned()).collect()
    }

    /// The options of a whole session.
    ///
    /// # Errors
    /// A [`Failure`] that shows the usage if there is no COMMAND.
    pub(crate) fn session_options(&self) -> Result<devrun::Options, Failure> {
        let command = self.run.command.clone().ok_or_else(|| self.no_command())?;
        let mut options = devrun::Options::new(command);
        options.watch = self.watch_options();
        options.watching = self.run.watching;
        // An edit there is followed by comparing settings, not by a restart of its own.
        options.told_only.extend(self.config.clone());
        self.fill_supervise(&mut options.supervise);
        options.front = self.front.options();
        Ok(options)
    }

    fn fill_supervise(&self, options: &mut supervise::Options) {
        let Self { run, front, .. } = self;
        options.builds.clone_from(&run.builds);
        options.on_busy = run.on_busy;
        options.on_exit = run.on_exit;
        options.on_loop = run.on_loop;
        options.stop_signal = run.stop_signal;
        options.stop_timeout = run.stop_timeout;
        options.postpone = run.postpone;
        options.listen.clone_from(&front.listen);
        options.pass_socket = front.pass_socket.unwrap_or_default();
        options.port = front.port();
        options.ready = supervise::Ready { path: front.ready_path.clone(), timeout: front.ready_timeout };
        options.overlap = front.overlap;
        // Only the front sees what is in flight; without it nobody could say that all is drained.
        options.drain_timeout = front.proxy.map(|_| front.drain_timeout);
        // The page shows the crash's output, which is why it is captured then.
        options.capture = front.proxy.is_some();
        options.subreaper = Subreaper::Yes;
        options.parent_death_signal = true;
    }

    fn no_command(&self) -> Failure {
        let failure = Failure::new("there is no COMMAND to run");
        match &self.config {
            Some(path) => failure.remedy(format!(
                "write it after `--`: devrun -- cargo run\n        or into {}, under [run]: command = [\"cargo\", \"run\"]",
                terminal::relative(path, &self.directory)
            )),
            None => failure.remedy(
                "write it after `--`: devrun [OPTIONS] -- COMMAND [ARGS]...\n        \
                 such as: devrun -- cargo run\n        `devrun -h` lists the options, `devrun init` writes a devrun.toml",
            ),
        }
    }

    /// A path as messages name it: relative to where devrun was started, if it is below, and escaped.
    pub(crate) fn shown(&self, path: &Path) -> String {
        terminal::relative(path, &self.directory)
    }
}

/// The devrun.toml to read.
struct Found {
    path: PathBuf,
    /// Named by `--config` or the environment.
    explicit: bool,
}

fn locate(origin: &Origin) -> Result<Option<Found>, Failure> {
    let named = origin.source.config.as_ref().or(origin.environment.source.config.as_ref());
    match named {
        Some(path) if path.as_os_str().is_empty() => {
            Err(Failure::new("--config names no file").remedy("write --config FILE"))
        }
        Some(path) => {
            must_exist("--config", path, &origin.directory)?;
            Ok(Some(Found { path: origin.directory.join(path), explicit: true }))
        }
        None => Ok(config_file::find(&origin.directory).map(|path| Found { path, explicit: false })),
    }
}

fn profile(origin: &Origin) -> Option<&str> {
    origin.source.profile.as_deref().or(origin.environment.source.profile.as_deref())
}

/// Paths that were typed must exist when devrun starts (later they may come and go): a typing mistake would otherwise watch nothing, silently and for ever.
fn check_typed(origin: &Origin, directory: &Path) -> Result<(), Failure> {
    let typed = &origin.typed;
    for path in typed.watch.paths.iter().flatten() {
        must_exist("--watch", path, directory)?;
    }
    for path in typed.run.env_file.iter().flatten() {
        must_exist("--env-file", path, directory)?;
    }
    for path in typed.watch.ignore_file.iter().flatten() {
        if is_path(path) {
            must_exist("--ignore-file", path, directory)?;
        }
    }
    Ok(())
}

fn must_exist(option: &str, path: &Path, directory: &Path) -> Result<(), Failure> {
    if path.as_os_str().is_empty() {
        return Err(Failure::new(format!("{option} names no path")).remedy(format!("write {option} PATH")));
    }
    let full = directory.join(path);
    match full.metadata() {
        Ok(_) => Ok(()),
        Err(error) if is_absence(&error) => {
            let failure = Failure::new(format!("{option}: {} does not exist", terminal::path(path)));
            Err(match beside(&full) {
                Some(near) => {
                    failure.remedy(format!("did you mean {}?", terminal::path(&path.with_file_name(near))))
                }
                None if option == "--watch" => failure.remedy(
                    "make it first, or name a directory above it; in devrun.toml a path may be made later",
                ),
                None => failure.remedy("make it first, or name another"),
            })
        }
        Err(error) => Err(Failure::to_do(format_args!("look at {option} {}", terminal::path(path)), &error)),
    }
}

/// Nothing is there; also if what should be a directory on the way is a file.
fn is_absence(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// The name in the same directory that was probably meant.
fn beside(missing: &Path) -> Option<OsString> {
    let wanted = missing.file_name()?.to_str()?;
    let entries = std::fs::read_dir(missing.parent()?).ok()?;
    let names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    nearest(wanted, names.iter().map(String::as_str)).map(Into::into)
}

/// Whether an `--ignore-file` is a path rather than a name to look for in every directory.
fn is_path(file: &Path) -> bool {
    file.as_os_str().as_encoded_bytes().contains(&b'/')
}

/// A path without `..` and links above its last name, as the watch room reports it: `../lib` typed in `app` does
/// not lie below `app`. What does not exist is kept as it is written.
fn resolved(path: &Path) -> PathBuf {
    if path.components().next_back() == Some(Component::ParentDir) {
        return path.canonicalize().unwrap_or_else(|_| path.to_owned());
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => match parent.canonicalize() {
            Ok(parent) => parent.join(name),
            Err(_) => resolved(parent).join(name),
        },
        _ => path.to_owned(),
    }
}

fn watch_of(layer: args::Watch, base: &Path) -> Watch {
    let default_name = || vec![PathBuf::from(".watchignore")];
    let (files, names): (Vec<_>, Vec<_>) =
        layer.ignore_file.unwrap_or_else(default_name).into_iter().partition(|file| is_path(file));
    Watch {
        roots: match layer.paths.filter(|paths| !paths.is_empty()) {
            Some(paths) => paths.iter().map(|path| resolved(path)).collect(),
            None => vec![base.to_owned()],
        },
        extensions: layer.ext.into_iter().flatten().map(|ext| ext.0.0).collect(),
        filters: layer.filter.into_iter().flatten().map(|glob| glob.0.0).collect(),
        patterns: layer.ignore.into_iter().flatten().map(|pattern| pattern.0.0).collect(),
        file_names: names.into_iter().map(PathBuf::into_os_string).collect(),
        files,
        vcs: !layer.no_vcs_ignore.unwrap_or(false),
        builtin: !layer.no_default_ignore.unwrap_or(false),
        mode: match layer.mode {
            None | Some(args::Mode::Auto) => watch::Mode::Auto,
            Some(args::Mode::Event) => watch::Mode::Event,
            Some(args::Mode::Stat) => watch::Mode::Stat,
        },
        poll_interval: layer.poll_interval.map_or(Duration::from_secs(1), |time| time.0.0),
        debounce: layer.debounce.map(|time| time.0.0),
        compare: match layer.compare {
            None | Some(args::Compare::Content) => watch::Compare::Content,
            Some(args::Compare::Stat) => watch::Compare::Stat,
        },
    }
}

fn run_of(layer: args::Run, origin: &Origin, directory: &Path, base: &Path) -> Result<Run, Failure> {
    if let Some(workdir) = &layer.workdir
        && !workdir.is_dir()
    {
        let shown = terminal::relative(workdir, directory);
        return Err(Failure::new(format!("the working directory of COMMAND, {shown}, is no directory"))
            .remedy("name one that exists with --workdir, or make it first"));
    }
    Ok(Run {
        command: command_of(&layer, origin, directory, base)?,
        builds: layer
            .build
            .iter()
            .flatten()
            .map(|line| with_surroundings(of_line(line, &layer, base), &layer))
            .collect(),
        on_busy: match layer.on_busy {
            None | Some(args::OnBusy::Restart) => supervise::OnBusy::Restart,
            Some(args::OnBusy::Queue) => supervise::OnBusy::Queue,
            Some(args::OnBusy::Signal) => supervise::OnBusy::Signal,
            Some(args::OnBusy::Ignore) => supervise::OnBusy::Ignore,
        },
        on_exit: match layer.on_exit {
            None | Some(args::OnExit::Wait) => supervise::OnExit::Wait,
            Some(args::OnExit::Restart) => supervise::OnExit::Restart,
            Some(args::OnExit::Quit) => supervise::OnExit::Quit,
        },
        on_loop: match layer.on_loop {
            None | Some(args::OnLoop::Warn) => supervise::OnLoop::Warn,
            Some(args::OnLoop::Restart) => supervise::OnLoop::Restart,
        },
        stop_signal: layer.stop_signal.map_or(Signal::TERM, |signal| signal.0.0),
        stop_timeout: layer.stop_timeout.map_or(Duration::from_secs(10), |time| time.0.0),
        postpone: layer.postpone.unwrap_or(false),
        watching: !layer.no_watch.unwrap_or(false),
        clear: layer.clear.unwrap_or(false),
    })
}

/// COMMAND as typed, in the directory where it was typed; else that of devrun.toml, in the project's directory.
fn command_of(
    layer: &args::Run,
    origin: &Origin,
    directory: &Path,
    base: &Path,
) -> Result<Option<Command>, Failure> {
    let mut command = match (origin.command.split_first(), &layer.command) {
        (Some((program, args)), _) => {
            if program.is_empty() {
                return Err(
                    Failure::new("the COMMAND after `--` is empty").remedy("such as: devrun -- cargo run")
                );
            }
            let mut command = Command::new(program).args(args);
            command.workdir = Some(directory.to_owned());
            command
        }
        (None, Some(line)) => of_line(line, layer, base),
        (None, None) => return Ok(None),
    };
    if let Some(ShellChoice::Program(shell)) = &layer.shell {
        command.shell = Shell::Program(shell.clone());
    }
    let mut command = with_surroundings(command, layer);
    command.stdin = match layer.stdin {
        None | Some(args::Stdin::Pipe) => supervise::Stdin::Pipe,
        Some(args::Stdin::Null) => supervise::Stdin::Null,
        Some(args::Stdin::Inherit) => supervise::Stdin::Inherit,
    };
    Ok(Some(command))
}

/// A command that was written down: words are executed, a line is given to the shell.
fn of_line(line: &CommandLine, layer: &args::Run, base: &Path) -> Command {
    let mut command = match line {
        CommandLine::Words(words) => {
            let (program, args) = words
                .split_first()
                .map_or((OsString::new(), &[][..]), |(program, args)| (program.clone(), args));
            Command::new(program).args(args)
        }
        CommandLine::Line(line) => {
            let mut command = Command::new(line);
            command.shell = match &layer.shell {
                Some(ShellChoice::Program(shell)) => Shell::Program(shell.clone()),
                _ => Shell::Program("sh".into()),
            };
            command
        }
    };
    command.workdir = Some(base.to_owned());
    command.stdin = supervise::Stdin::Null;
    command
}

/// Its directory and its variables.
fn with_surroundings(mut command: Command, layer: &args::Run) -> Command {
    if let Some(workdir) = &layer.workdir {
        command.workdir = Some(workdir.clone());
    }
    command.envs = layer
        .env
        .iter()
        .flatten()
        .map(|variable| (variable.0.key.clone(), variable.0.value.clone()))
        .collect();
    command.env_files = layer.env_file.clone().unwrap_or_default();
    command
}

fn front_of(layer: args::Front) -> Result<Front, Failure> {
    let proxy = layer.proxy.map(|proxy| proxy.0);
    Ok(Front {
        addresses: proxy.map(|proxy| proxy.address.sockets(has_ipv6_loopback())).unwrap_or_default(),
        proxy,
        listen: layer
            .listen
            .into_iter()
            .flatten()
            .map(|listen| Listen {
                name: listen.0.name,
                endpoint: listen.0.endpoint,
                answer: listen.0.answer,
            })
            .collect(),
        pass_socket: layer.pass_socket.map(|how| match how {
            args::PassSocket::Systemd => supervise::PassSocket::Systemd,
            args::PassSocket::Werkzeug => supervise::PassSocket::Werkzeug,
        }),
        ready_path: layer.ready_path.map(|path| path.0.0),
        ready_timeout: layer.ready_timeout.map_or(Duration::from_secs(60), |time| time.0.0),
        drain_timeout: layer.drain_timeout.map_or(Duration::from_secs(30), |time| time.0.0),
        overlap: !layer.no_overlap.unwrap_or(false),
        live_reload: !layer.no_live_reload.unwrap_or(false),
    })
}

/// Browsers try both families of `localhost`; a machine without IPv6 has only one.
fn has_ipv6_loopback() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

impl Front {
    fn check_together(&self) -> Result<(), Failure> {
        if let (Some(Proxy { upstream: Some(upstream), .. }), Some(_)) = (self.proxy, self.pass_socket) {
            return Err(Failure::new(
                "--pass-socket hands the server a socket, but --proxy says where it listens itself",
            )
            .remedy(format!("leave out `={upstream}` or --pass-socket")));
        }
        for (at, listen) in self.listen.iter().enumerate() {
            if self.listen[..at]
                .iter()
                .any(|earlier| earlier.endpoint == listen.endpoint && !is_free(&listen.endpoint))
            {
                return Err(Failure::new(format!(
                    "--listen opens {} twice",
                    shown_endpoint(&listen.endpoint)
                ))
                .remedy("leave one of them out"));
            }
            let taken = matches!(listen.endpoint, Endpoint::Tcp(address)
                if address.port() != 0 && self.addresses.contains(&address));
            if taken {
                return Err(Failure::new(format!(
                    "--proxy and --listen both want {}",
                    shown_endpoint(&listen.endpoint)
                ))
                .remedy("give one of them another port: clients talk to --proxy"));
            }
        }
        Ok(())
    }

    /// Where a generation's server can be reached.
    fn port(&self) -> Port {
        match (self.proxy, self.pass_socket) {
            (None, _) => Port::None,
            (Some(Proxy { upstream: Some(upstream), .. }), _) => Port::Fixed(upstream.socket()),
            (Some(_), Some(_)) => Port::Inherited,
            (Some(_), None) => Port::Own,
        }
    }

    /// The options of the front room: a proxy, or only somebody who answers on the sockets of `--listen`.
    fn options(&self) -> Option<front::Options> {
        if self.proxy.is_none() && !self.listen.iter().any(|listen| listen.answer) {
            return None;
        }
        let mut options = front::Options::new(self.addresses.clone());
        options.live_reload = self.live_reload;
        Some(options)
    }
}

fn is_free(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::Tcp(address) | Endpoint::Udp(address) if address.port() == 0)
}

/// An endpoint as it was typed.
pub(crate) fn shown_endpoint(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(address) => address.to_string(),
        Endpoint::Udp(address) => format!("udp:{address}"),
        Endpoint::Unix(path) => format!("unix:{}", terminal::path(path)),
        _ => "a socket".into(),
    }
}

fn check_of(layer: args::Check) -> Check {
    Check {
        expect_ignored: layer.expect_ignored.unwrap_or_default(),
        expect_watched: layer.expect_watched.unwrap_or_default(),
        strict: layer.strict.unwrap_or(false),
        matches_nothing: layer.matches_nothing.unwrap_or(false),
    }
}

fn output_of(layer: &args::Output) -> Output {
    Output {
        verbose: layer.verbose,
        quiet: layer.quiet.unwrap_or(false),
        color: color_of(layer),
        json: layer.log_format == Some(LogFormat::Json),
    }
}

/// The colour that was asked for, known before anything else: errors want it too.
pub(crate) fn color_of(layer: &args::Output) -> anstream::ColorChoice {
    match layer.color {
        None | Some(Color::Auto) => anstream::ColorChoice::Auto,
        Some(Color::Always) => anstream::ColorChoice::Always,
        Some(Color::Never) => anstream::ColorChoice::Never,
    }
}
