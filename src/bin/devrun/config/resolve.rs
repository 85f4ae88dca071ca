//! The groups of options but the front's, settled: each value as it will be used, defaults filled in.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use devrun::supervise::{self, Signal};
use devrun::{Command, watch};

use crate::cli::args;
use crate::cli::choices::{self, Color, LogFormat};
use crate::config::command::{command_of, of_line, with_surroundings};
use crate::config::validate::{is_path, resolved};
use crate::ui::error::CliError;
use crate::ui::escape::escape_relative_path;

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
    /// 0, 1 (`-v`), 2 (`-vv`: the inner workings too), 3 and more (`-vvv`: all of them).
    pub(crate) verbose: u8,
    pub(crate) quiet: bool,
    pub(crate) color: anstream::ColorChoice,
    pub(crate) json: bool,
}

pub(crate) fn watch_of(layer: args::Watch, base: &Path) -> Watch {
    let default_name = || vec![PathBuf::from(".watchignore")];
    let (files, names): (Vec<_>, Vec<_>) =
        layer.ignore_file.unwrap_or_else(default_name).into_iter().partition(|file| is_path(file));
    Watch {
        roots: match layer.paths.filter(|paths| !paths.is_empty()) {
            Some(paths) => paths.iter().map(|path| resolved(path)).collect(),
            None => vec![base.to_owned()],
        },
        extensions: layer.ext.into_iter().flatten().map(|ext| ext.0).collect(),
        filters: layer.filter.into_iter().flatten().map(|glob| glob.0).collect(),
        patterns: layer.ignore.into_iter().flatten().map(|pattern| pattern.0).collect(),
        file_names: names.into_iter().map(PathBuf::into_os_string).collect(),
        files,
        vcs: !layer.no_vcs_ignore.unwrap_or(false),
        builtin: !layer.no_default_ignore.unwrap_or(false),
        mode: match layer.mode {
            None | Some(choices::Mode::Auto) => watch::Mode::Auto,
            Some(choices::Mode::Event) => watch::Mode::Event,
            Some(choices::Mode::Stat) => watch::Mode::Stat,
        },
        poll_interval: layer.poll_interval.map_or(Duration::from_secs(1), |time| time),
        debounce: layer.debounce,
        compare: match layer.compare {
            None | Some(choices::Compare::Content) => watch::Compare::Content,
            Some(choices::Compare::Stat) => watch::Compare::Stat,
        },
    }
}

pub(crate) fn run_of(
    layer: args::Run,
    typed: &[OsString],
    directory: &Path,
    base: &Path,
) -> Result<Run, CliError> {
    if let Some(workdir) = &layer.workdir
        && !workdir.is_dir()
    {
        let shown = escape_relative_path(workdir, directory);
        return Err(CliError::new(format!("the working directory of COMMAND, {shown}, is no directory"))
            .with_remedy("name one that exists with --workdir, or make it first"));
    }
    Ok(Run {
        command: command_of(&layer, typed, directory, base)?,
        builds: layer
            .build
            .iter()
            .flatten()
            .map(|line| with_surroundings(of_line(line, &layer, base), &layer))
            .collect(),
        on_busy: match layer.on_busy {
            None | Some(choices::OnBusy::Restart) => supervise::OnBusy::Restart,
            Some(choices::OnBusy::Queue) => supervise::OnBusy::Queue,
            Some(choices::OnBusy::Signal) => supervise::OnBusy::Signal,
            Some(choices::OnBusy::Ignore) => supervise::OnBusy::Ignore,
        },
        on_exit: match layer.on_exit {
            None | Some(choices::OnExit::Wait) => supervise::OnExit::Wait,
            Some(choices::OnExit::Restart) => supervise::OnExit::Restart,
            Some(choices::OnExit::Quit) => supervise::OnExit::Quit,
        },
        on_loop: match layer.on_loop {
            None | Some(choices::OnLoop::Warn) => supervise::OnLoop::Warn,
            Some(choices::OnLoop::Restart) => supervise::OnLoop::Restart,
        },
        stop_signal: layer.stop_signal.map_or(Signal::TERM, |signal| signal.0),
        stop_timeout: layer.stop_timeout.map_or(Duration::from_secs(10), |time| time),
        postpone: layer.postpone.unwrap_or(false),
        watching: !layer.no_watch.unwrap_or(false),
        clear: layer.clear.unwrap_or(false),
    })
}

pub(crate) fn check_of(layer: args::Check) -> Check {
    Check {
        expect_ignored: layer.expect_ignored.unwrap_or_default(),
        expect_watched: layer.expect_watched.unwrap_or_default(),
        strict: layer.strict.unwrap_or(false),
        matches_nothing: layer.matches_nothing.unwrap_or(false),
    }
}

pub(crate) fn output_of(layer: &args::Output) -> Output {
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
