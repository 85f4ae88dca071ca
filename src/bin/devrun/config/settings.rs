//! What is asked for, all told: command line > environment > profile > devrun.toml > default, merged once.
//!
//! From here on nobody asks where a value came from. Turns into the options of the library's rooms.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use devrun::supervise::{self, EnvFileError, Subreaper};
use devrun::{rules, watch};

use crate::cli::args::{Layer, Source};
use crate::config::environment::Environment;
use crate::config::file;
use crate::config::merge;
use crate::config::output_files::own_files;
use crate::config::resolve::{Check, Output, Run, Watch, check_of, output_of, run_of, watch_of};
use crate::config::server::{Server, server_of};
use crate::config::validate::{Found, Origin, check_typed, locate, profile};
use crate::ui::error::{CliError, SourceSpan};
use crate::ui::escape::escape_relative_path;

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
    pub(crate) server: Server,
    /// What `check` looks for.
    pub(crate) check: Check,
    /// How devrun speaks.
    pub(crate) output: Output,
    /// What it was all made from, to make it again when devrun.toml was edited.
    origin: Arc<Origin>,
}

impl Settings {
    /// Merges what was typed with the environment and devrun.toml.
    ///
    /// # Errors
    /// A [`CliError`] that names the option, the file or the line, and the remedy.
    pub(crate) fn new(origin: Origin) -> Result<Self, CliError> {
        check_typed(&origin, &origin.directory)?;
        Self::resolve(Arc::new(origin))
    }

    /// The defaults alone, for those who must go on although the settings are wrong.
    ///
    /// # Errors
    /// A [`CliError`] if the working directory is gone.
    pub(crate) fn defaults() -> Result<Self, CliError> {
        let directory = std::env::current_dir()
            .map_err(|error| CliError::failed_to("find the working directory", &error))?;
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
            run: run_of(layer.run, &origin.command, &directory, &base)?,
            server: server_of(layer.server)?,
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
    pub(crate) fn again(&self) -> Result<Self, CliError> {
        Self::resolve(Arc::clone(&self.origin))
    }

    fn resolve(origin: Arc<Origin>) -> Result<Self, CliError> {
        let directory = origin.directory.clone();
        let found = locate(&origin)?;
        let (lower, base) = match &found {
            None => (Layer::default(), directory.clone()),
            Some(Found { path, explicit }) => {
                let own = path.parent().unwrap_or(&directory).to_owned();
                let profile = profile(&origin);
                let file = file::read(path, &escape_relative_path(path, &directory), profile)?;
                let merged = merge::over(file.profile, file.layer);
                let base = if *explicit { directory.clone() } else { own.clone() };
                (merge::absolute(merged, &own), base)
            }
        };
        if found.is_none()
            && let Some(name) = profile(&origin)
        {
            return Err(CliError::new(format!("there is no devrun.toml with a [profile.{name}]"))
                .with_remedy("`devrun init` writes a devrun.toml; --config FILE names another"));
        }
        let upper = merge::over(origin.typed.clone(), origin.environment.layer.clone());
        let upper = merge::anchored(merge::absolute(upper, &directory), &directory, &base);
        let layer = merge::over(upper, lower);
        let settings = Self {
            watch: watch_of(layer.watch, &base),
            run: run_of(layer.run, &origin.command, &directory, &base)?,
            server: server_of(layer.server)?,
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
    fn check_together(&self) -> Result<(), CliError> {
        let Self { run, server, watch, origin, .. } = self;
        if watch.poll_interval < Duration::from_millis(10) {
            return Err(CliError::new("--poll-interval is too short")
                .with_remedy("write 10ms or more, such as 500ms"));
        }
        if server.ready_timeout.is_zero() {
            return Err(CliError::new("--ready-timeout cannot be 0: no server is ready at once")
                .with_remedy("write a longer time, such as 60s"));
        }
        if !run.watching && run.postpone {
            return Err(CliError::new("with --no-watch and --postpone COMMAND would never start")
                .with_remedy("leave one of them out"));
        }
        if !run.watching && origin.typed.watch.paths.is_some() {
            return Err(CliError::new("--watch and --no-watch contradict each other")
                .with_remedy("leave one of them out"));
        }
        let typed = &origin.typed.server;
        if server.proxy.is_none() && server.listen.is_empty() {
            for (given, option) in [
                (typed.ready_path.is_some(), "--ready-path"),
                (typed.pass_socket.is_some(), "--pass-socket"),
                (typed.drain_timeout.is_some(), "--drain-timeout"),
            ] {
                if given {
                    return Err(CliError::new(format!("{option} has no port to go with"))
                        .with_remedy("add --proxy ADDR or --listen ADDR"));
                }
            }
        }
        server.check_together()
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
        options.never = own_files();
        options
    }

    /// Files that count whatever the rules say: an edit of them changes the run.
    fn always(&self) -> Vec<PathBuf> {
        self.run.command.iter().flat_map(|command| command.env_files.iter().cloned()).collect()
    }

    /// The options of a whole session.
    ///
    /// # Errors
    /// A [`CliError`] that shows the usage if there is no COMMAND.
    pub(crate) fn session_options(&self) -> Result<devrun::Options, CliError> {
        let command = self.run.command.clone().ok_or_else(|| self.no_command())?;
        supervise::check_env_files(&command).map_err(|error| self.bad_env_file(&error))?;
        let mut options = devrun::Options::new(command);
        options.watch = self.watch_options();
        options.watch_enabled = self.run.watching;
        // An edit there is followed by comparing settings, not by a restart of its own.
        options.observe_only.extend(self.config_files());
        self.fill_supervise(&mut options.supervise);
        options.proxy = self.server.options();
        Ok(options)
    }

    fn fill_supervise(&self, options: &mut supervise::Options) {
        let Self { run, server, .. } = self;
        options.builds.clone_from(&run.builds);
        options.on_busy = run.on_busy;
        options.on_exit = run.on_exit;
        options.on_loop = run.on_loop;
        options.stop_signal = run.stop_signal;
        options.stop_timeout = run.stop_timeout;
        options.postpone = run.postpone;
        options.listen.clone_from(&server.listen);
        options.pass_socket = server.pass_socket.unwrap_or_default();
        options.port = server.port();
        options.ready = supervise::Ready { path: server.ready_path.clone(), timeout: server.ready_timeout };
        options.overlap = server.overlap;
        // Only the front sees what is in flight; without it nobody could say that all is drained.
        options.drain_timeout = server.proxy.map(|_| server.drain_timeout);
        // The page shows the crash's output, which is why it is captured then.
        if server.options().is_some() {
            options.capture = supervise::Capture::All;
        }
        options.subreaper = Subreaper::Yes;
        options.parent_death_signal = true;
    }

    fn bad_env_file(&self, error: &EnvFileError) -> CliError {
        let file = self.shown(&error.file);
        let Some(line) = error.line else {
            return CliError::new(format!("--env-file: {file} {}", error.message)).with_remedy(&error.remedy);
        };
        let text = std::fs::read(&error.file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let before: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let words = text[before..].lines().next().unwrap_or_default();
        let start = before + words.len() - words.trim_start().len();
        let span = start..start + words.trim().len();
        let place = SourceSpan::new(file, text, span);
        CliError::new(error.message.clone()).with_span(place).with_remedy(&error.remedy)
    }

    fn no_command(&self) -> CliError {
        let failure = CliError::new("there is no COMMAND to run");
        match &self.config {
            Some(path) => failure.with_remedy(format!(
                "write it after `--`: devrun -- cargo run\n        or into {}, under [run]: command = [\"cargo\", \"run\"]",
                escape_relative_path(path, &self.directory)
            )),
            None => failure.with_remedy(
                "write it after `--`: devrun [OPTIONS] -- COMMAND [ARGS]...\n        \
                 such as: devrun -- cargo run\n        `devrun -h` lists the options, `devrun init` writes a devrun.toml",
            ),
        }
    }

    /// The devrun.toml, and the file that it is a link to: an edit of either is one of the configuration.
    pub(crate) fn config_files(&self) -> Vec<PathBuf> {
        let Some(config) = &self.config else { return Vec::new() };
        let target = config.canonicalize().ok().filter(|target| target != config);
        std::iter::once(config.clone()).chain(target).collect()
    }

    /// A path as messages name it: relative to where devrun was started, if it is below, and escaped.
    pub(crate) fn shown(&self, path: &Path) -> String {
        escape_relative_path(path, &self.directory)
    }
}
