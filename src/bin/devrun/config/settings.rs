//! The settings of a run. From here on no code asks which source a value came from.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use devrun::supervise::{self, EnvFileError, Port};
use devrun::{Command, rules, watch};

use crate::cli::args::{CheckOptions, Options};
use crate::cli::values::Format;
use crate::config::file;
use crate::config::options::{self, is_below, resolved};
use crate::config::session_options::{session_options, unfilled_placeholder};
use crate::project;
use crate::ui::{CliError, SourceSpan, escape_relative_path, worded};

/// The settings of a run, with all defaults.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The directory in which devrun was started, absolute. Typed paths and paths in messages are relative to it.
    pub(crate) directory: PathBuf,
    /// The directory of the project, absolute: that of the devrun.toml found, else `directory`. It is the default
    /// root, and typed patterns are anchored at it.
    pub(crate) base: PathBuf,
    /// The devrun.toml that was read, absolute.
    pub(crate) config: Option<PathBuf>,
    /// The tables [watch], [run] and [server]. The roots are absolute. See [`Settings::command`] for COMMAND.
    pub(crate) session: devrun::Options,
    /// The expected paths are absolute. A final `/` says that the path is a directory.
    pub(crate) check: CheckOptions,
    pub(crate) output: OutputSettings,
    /// Whether the control socket is open.
    pub(crate) has_control: bool,
    /// The other sources, to resolve the settings again after an edit of devrun.toml.
    input: Arc<SettingsInput>,
}

/// What devrun prints, and in which form: the table [output], and `clear`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutputSettings {
    /// The number of `-v`.
    pub(crate) verbose: u8,
    pub(crate) quiet: bool,
    pub(crate) color: anstream::ColorChoice,
    pub(crate) json: bool,
    /// Whether the title, the progress and the bell of the terminal are used.
    pub(crate) title: bool,
    /// Whether the screen is cleared before each start.
    pub(crate) clear: bool,
}

/// The sources of settings other than devrun.toml.
#[derive(Debug, Default)]
pub(crate) struct SettingsInput {
    /// The directory in which devrun was started, absolute.
    pub(crate) directory: PathBuf,
    /// The options of the command line.
    pub(crate) options: Options,
    /// COMMAND of the command line; empty if there is none.
    pub(crate) command: Vec<OsString>,
    /// The options of the DEVRUN_* variables.
    pub(crate) environment: Options,
}

impl Settings {
    /// Merges and resolves command line, environment and devrun.toml.
    pub(crate) fn new(input: SettingsInput) -> Result<Self, CliError> {
        options::check_command_line(&input.options, &input.directory)?;
        Self::from_input(Arc::new(input))
    }

    /// The defaults alone. `doctor` uses them if the real settings have an error.
    pub(crate) fn defaults() -> Result<Self, CliError> {
        let directory = current_directory()?;
        let input = SettingsInput { directory: directory.clone(), ..SettingsInput::default() };
        Self::resolve(Options::default(), None, directory, Arc::new(input))
    }

    /// Resolves the settings again, with the devrun.toml of now. On an error the caller keeps its settings.
    pub(crate) fn reload(&self) -> Result<Self, CliError> {
        Self::from_input(Arc::clone(&self.input))
    }

    fn from_input(input: Arc<SettingsInput>) -> Result<Self, CliError> {
        let directory = &input.directory;
        let typed = options::over(input.options.clone(), input.environment.clone());
        let profile = typed.source.profile.as_deref();
        let named = typed.source.config.as_ref();
        let config = match named {
            None => file::find(directory),
            Some(path) => {
                let option = if input.options.source.config.is_some() { "--config" } else { "DEVRUN_CONFIG" };
                options::must_exist(option, path, directory)?;
                Some(resolved(&directory.join(path)))
            }
        };
        let (file_options, base) = match (&config, profile) {
            (None, Some(name)) => {
                return Err(CliError::new(format!("there is no devrun.toml with a [profile.{name}]"))
                    .with_remedy("`devrun init` writes a devrun.toml; --config FILE names another file"));
            }
            (None, None) => (Options::default(), directory.clone()),
            (Some(path), _) => {
                let own = path.parent().unwrap_or(directory);
                let options = file::read(path, &escape_relative_path(path, directory), profile)?;
                // With --config the project stays the working directory.
                let base = if named.is_some() { directory } else { own };
                (options::absolute(options, own), base.to_owned())
            }
        };
        let typed = options::anchored(options::absolute(typed, directory), directory, &base);
        Self::resolve(options::over(typed, file_options), config, base, Arc::clone(&input))
    }

    fn resolve(
        options: Options,
        config: Option<PathBuf>,
        base: PathBuf,
        input: Arc<SettingsInput>,
    ) -> Result<Self, CliError> {
        let output = OutputSettings {
            verbose: options.output.verbose,
            quiet: options.output.quiet == Some(true),
            color: options.output.color.unwrap_or_default(),
            json: options.output.log_format == Some(Format::Json),
            title: options.output.no_title != Some(true),
            clear: options.run.clear == Some(true),
        };
        let check = options.check.clone();
        let has_control = options.run.no_control != Some(true);
        let session = session_options(options, &input.command, &input.directory, &base)?;
        let directory = input.directory.clone();
        let settings = Self { directory, base, config, session, check, output, has_control, input };
        settings.check_combinations()?;
        Ok(settings)
    }

    /// Rejects values that are valid alone and contradict each other.
    fn check_combinations(&self) -> Result<(), CliError> {
        let devrun::Options { watch, watch_enabled, supervise, .. } = &self.session;
        let error = |message: &str, remedy: &str| Err(CliError::new(message).with_remedy(remedy));
        let typed = &self.input.options;
        if watch.poll_interval < Duration::from_millis(10) {
            return error("--poll-interval is too short", "write 10ms or more, such as 500ms");
        }
        if supervise.ready.timeout.is_zero() {
            return error(
                "--ready-timeout cannot be 0, because every server needs time to start",
                "write a longer time, such as 60s",
            );
        }
        if !watch_enabled && supervise.postpone {
            return error(
                "with --no-watch and --postpone COMMAND would never start",
                "leave one of them out",
            );
        }
        if !watch_enabled && typed.watch.paths.is_some() {
            return error("--watch and --no-watch contradict each other", "leave one of them out");
        }
        if supervise.port == Port::None && supervise.listen.is_empty() && typed.server.pass_socket.is_some() {
            let message = "--pass-socket has no effect without --proxy or --listen";
            return error(message, "add --proxy ADDR or --listen ADDR");
        }
        if supervise.port == Port::None {
            // On a socket of `--listen` any generation may answer, and devrun sees no request.
            let options = [
                (typed.server.ready_path.is_some(), "--ready-path"),
                (typed.server.drain_timeout.is_some(), "--drain-timeout"),
            ];
            if let Some((_, option)) = options.iter().find(|(is_typed, _)| *is_typed) {
                let message = format!("{option} has no effect without --proxy");
                return error(
                    &message,
                    "add --proxy ADDR, or leave it out: devrun sees no request on other sockets",
                );
            }
        }
        Ok(())
    }

    /// COMMAND, if the command line or devrun.toml has one.
    pub(crate) fn command(&self) -> Option<&Command> {
        Some(&self.session.supervise.command).filter(|command| !command.program.is_empty())
    }

    /// The name of a run for the control socket: that of the profile, else that of COMMAND's program. `None` if the
    /// socket is off.
    pub(crate) fn control_name(&self) -> Option<String> {
        let command = self.command().filter(|_| self.has_control)?;
        let typed = options::over(self.input.options.clone(), self.input.environment.clone());
        let program =
            || Path::new(&command.program).file_name().map(|name| name.to_string_lossy().into_owned());
        typed.source.profile.or_else(program)
    }

    /// The options of a session, which needs a COMMAND.
    pub(crate) fn session_options(&self) -> Result<devrun::Options, CliError> {
        let command = self.command().ok_or_else(|| self.no_command())?;
        supervise::check_env_files(command).map_err(|error| self.bad_env_file(&error))?;
        let mut options = self.session.clone();
        // The program reads devrun.toml again after an edit. The edit alone does not restart COMMAND.
        options.observe_only.extend(self.config_files());
        options.start_hint = Some("`devrun start` starts it".to_owned());
        Ok(options)
    }

    /// The rules of a run.
    pub(crate) fn rules(&self) -> Result<rules::Rules, CliError> {
        rules::Rules::new(self.session.watch.rules.clone()).map_err(|error| CliError::from_library(&error))
    }

    /// The files that `--ext` and `--filter` select.
    pub(crate) fn selection(&self) -> Result<watch::Selection, CliError> {
        watch::Selection::new(&self.session.watch).map_err(|error| CliError::from_library(&error))
    }

    /// Whether a path that no rule ignores is watched.
    pub(crate) fn scope(
        &self,
        path: &Path,
        kind: rules::EntryKind,
        selection: &watch::Selection,
    ) -> rules::Scope {
        if !is_below(path, &self.session.watch.roots) {
            rules::Scope::OutsideRoots
        } else if kind == rules::EntryKind::File && !selection.wants(path) {
            rules::Scope::NotSelected
        } else {
            rules::Scope::Inside
        }
    }

    /// A warning and its remedy, if COMMAND has a placeholder that devrun does not replace.
    pub(crate) fn unfilled_placeholder(&self) -> Option<(String, String)> {
        unfilled_placeholder(&self.session.supervise)
    }

    /// The devrun.toml and, if it is a symbolic link, its target.
    pub(crate) fn config_files(&self) -> Vec<PathBuf> {
        let Some(config) = &self.config else { return Vec::new() };
        let target = config.canonicalize().ok().filter(|target| target != config);
        std::iter::once(config.clone()).chain(target).collect()
    }

    /// A path for messages: escaped, and relative to the directory in which devrun was started.
    pub(crate) fn shown(&self, path: &Path) -> String {
        escape_relative_path(path, &self.directory)
    }

    fn bad_env_file(&self, error: &EnvFileError) -> CliError {
        let file = self.shown(&error.file);
        let Some(line) = error.line else {
            return CliError::new(format!("--env-file: {file} {}", error.message))
                .with_remedy(worded(&error.remedy));
        };
        let text = std::fs::read(&error.file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let line_start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let content = text[line_start..].lines().next().unwrap_or_default();
        let start = line_start + content.len() - content.trim_start().len();
        let range = start..start + content.trim().len();
        let span = SourceSpan::new(file, text, range);
        CliError::new(error.message.clone()).with_span(span).with_remedy(worded(&error.remedy))
    }

    fn no_command(&self) -> CliError {
        let error = CliError::new("there is no COMMAND to run");
        match &self.config {
            Some(path) => error.with_remedy(format!(
                "write it after `--`: devrun -- cargo run\n        \
                 or into {}, under [run]: command = [\"cargo\", \"run\"]",
                self.shown(path)
            )),
            None => error.with_remedy(format!(
                "write it after `--`: devrun [OPTIONS] -- COMMAND [ARGS]...\n        \
                 {}\n        \
                 `devrun -h` lists the options, `devrun init` writes a devrun.toml",
                command_of_project(&self.base)
            )),
        }
    }
}

/// The command that would run the project in a directory, or an example.
fn command_of_project(directory: &Path) -> String {
    let project = project::recognise(directory);
    let Some(kind) = project.kind.filter(|_| !project.command.is_empty()) else {
        return "such as: devrun -- cargo run".into();
    };
    let options = project.workdir.map(|workdir| format!("-C {workdir} ")).unwrap_or_default();
    let options = project.port.map(|port| format!("{options}--proxy {port} ")).unwrap_or(options);
    let options = project.build.map(|build| format!("{options}--build '{build}' ")).unwrap_or(options);
    let line = project.command;
    let line = if line.contains(project::SHELL_SIGNS) {
        format!("--shell -- '{line}'")
    } else {
        format!("-- {line}")
    };
    format!("for the {kind} project here: devrun {options}{line}")
}

/// The directory in which devrun was started.
pub(crate) fn current_directory() -> Result<PathBuf, CliError> {
    std::env::current_dir().map_err(|error| {
        CliError::failed_to("find the working directory", &error)
            .with_remedy("the directory was removed; change to one that exists")
    })
}

/// What a running session must do for new settings. A later variant includes the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reload {
    /// Nothing: no setting that a run uses has changed.
    None,
    /// Change the output; the watch and COMMAND are not affected.
    Output,
    /// Start a new watch; COMMAND continues.
    Watch,
    /// Start a new session, because COMMAND, the way it runs, or a port has changed.
    Session,
}

impl Reload {
    /// What the session of the `old` settings must do for the `new` ones.
    pub(crate) fn between(old: &Settings, new: &Settings) -> Self {
        if child_options(&old.session) != child_options(&new.session)
            || server_options(&old.session) != server_options(&new.session)
        {
            Self::Session
        } else if watch_options(&old.session) != watch_options(&new.session) {
            Self::Watch
        } else if old.output != new.output {
            Self::Output
        } else {
            Self::None
        }
    }
}

/// How COMMAND runs. `postpone` is not compared, because it concerns the first start only, which is over.
fn child_options(options: &devrun::Options) -> impl PartialEq + '_ {
    let run = &options.supervise;
    let stop = (run.stop_signal, run.stop_scope, run.stop_timeout);
    (&run.command, &run.builds, run.on_busy, run.on_exit, run.on_loop, stop)
}

fn server_options(options: &devrun::Options) -> impl PartialEq + '_ {
    let run = &options.supervise;
    let proxy = options.proxy.as_ref().map(|proxy| (&proxy.addresses, proxy.live_reload, proxy.forwarded));
    (proxy, run.port, &run.listen, run.pass_socket, &run.ready, run.overlap, run.drain_timeout)
}

fn watch_options(options: &devrun::Options) -> impl PartialEq + '_ {
    let (watch, rules) = (&options.watch, &options.watch.rules);
    let rules = (&rules.patterns, &rules.file_names, &rules.files, rules.vcs, rules.builtin);
    let files = (&watch.roots, &watch.extensions, &watch.filters);
    (files, rules, watch.mode, watch.poll_interval, watch.debounce, watch.compare, options.watch_enabled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_needs_the_least_reload_that_applies_it() {
        let old = Settings::defaults().unwrap();
        assert_eq!(Reload::between(&old, &old.clone()), Reload::None);
        let mut new = old.clone();
        new.session.supervise.postpone = true;
        assert_eq!(Reload::between(&old, &new), Reload::None);
        new.output.quiet = true;
        assert_eq!(Reload::between(&old, &new), Reload::Output);
        new.session.watch.extensions = vec!["rs".into()];
        assert_eq!(Reload::between(&old, &new), Reload::Watch);
        new.session.supervise.on_exit = devrun::supervise::OnExit::Quit;
        assert_eq!(Reload::between(&old, &new), Reload::Session);
    }
}
