//! The options of the library, made from the settings.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use devrun::supervise::{self, EnvFileError, Subreaper};
use devrun::{rules, watch};
use rustix::fs::FileType;

use crate::config::paths::is_below;
use crate::config::settings::Settings;
use crate::ui::{CliError, SourceSpan, escape_relative_path, worded};

impl Settings {
    /// The rules of a run.
    ///
    /// # Errors
    /// A [`CliError`] if a root cannot be used.
    pub(crate) fn rules(&self) -> Result<rules::Rules, CliError> {
        rules::Rules::new(self.rules_options()).map_err(|error| CliError::from_library(&error))
    }

    /// The files that `--ext` and `--filter` select.
    ///
    /// # Errors
    /// A [`CliError`] if a filter is not valid.
    pub(crate) fn selection(&self) -> Result<watch::Selection, CliError> {
        watch::Selection::new(&self.watch_options()).map_err(|error| CliError::from_library(&error))
    }

    /// Whether a path that no rule ignores is watched.
    pub(crate) fn scope(
        &self,
        path: &Path,
        kind: rules::EntryKind,
        selection: &watch::Selection,
    ) -> rules::Scope {
        if !is_below(path, &self.watch.roots) {
            rules::Scope::OutsideRoots
        } else if kind == rules::EntryKind::File && !selection.wants(path) {
            rules::Scope::NotSelected
        } else {
            rules::Scope::Inside
        }
    }

    /// The options of [`rules::Rules`].
    fn rules_options(&self) -> rules::Options {
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

    /// The options of the watch.
    pub(crate) fn watch_options(&self) -> watch::Options {
        let mut options = watch::Options::new(self.rules_options());
        options.roots.clone_from(&self.watch.roots);
        options.extensions.clone_from(&self.watch.extensions);
        options.filters.clone_from(&self.watch.filters);
        options.mode = self.watch.mode;
        options.poll_interval = self.watch.poll_interval;
        options.debounce = self.watch.debounce;
        options.compare = self.watch.compare;
        options.always = self.env_files();
        options.never = output_files();
        options
    }

    /// The options of a session.
    ///
    /// # Errors
    /// A [`CliError`] if there is no COMMAND, or if an env file has an error.
    pub(crate) fn session_options(&self) -> Result<devrun::Options, CliError> {
        let command = self.run.command.clone().ok_or_else(|| self.no_command())?;
        supervise::check_env_files(&command).map_err(|error| self.bad_env_file(&error))?;
        let mut options = devrun::Options::new(command);
        options.watch = self.watch_options();
        options.watch_enabled = self.run.watching;
        // The program reads devrun.toml again after an edit. The edit alone does not restart COMMAND.
        options.observe_only.extend(self.config_files());
        self.set_supervise_options(&mut options.supervise);
        options.proxy = self.server.proxy_options();
        Ok(options)
    }

    fn set_supervise_options(&self, options: &mut supervise::Options) {
        let Self { run, server, .. } = self;
        options.builds.clone_from(&run.builds);
        options.on_busy = run.on_busy;
        options.on_exit = run.on_exit;
        options.on_loop = run.on_loop;
        options.stop_signal = run.stop_signal;
        options.stop_scope = run.stop_scope;
        options.stop_timeout = run.stop_timeout;
        options.postpone = run.postpone;
        options.listen.clone_from(&server.listen);
        options.pass_socket = server.pass_socket.unwrap_or_default();
        options.port = server.port();
        options.ready = supervise::Ready { path: server.ready_path.clone(), timeout: server.ready_timeout };
        options.overlap = server.overlap;
        // Only the proxy counts the requests in flight, so without it there is nothing to wait for.
        options.drain_timeout = server.proxy.map(|_| server.drain_timeout);
        if server.proxy_options().is_some() {
            // The error page shows the output of a crashed COMMAND.
            options.capture = supervise::Capture::All;
        }
        options.subreaper = Subreaper::Yes;
        options.parent_death_signal = true;
    }

    /// The env files. The watch reports them even if a rule ignores them, because COMMAND reads their variables.
    fn env_files(&self) -> Vec<PathBuf> {
        self.run.command.iter().flat_map(|command| command.env_files.iter().cloned()).collect()
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
                escape_relative_path(path, &self.directory)
            )),
            None => error.with_remedy(
                "write it after `--`: devrun [OPTIONS] -- COMMAND [ARGS]...\n        \
                 such as: devrun -- cargo run\n        \
                 `devrun -h` lists the options, `devrun init` writes a devrun.toml",
            ),
        }
    }
}

/// The regular files behind standard output and standard error. The watch must not report them: each line of output
/// would be a change, and the message about it the next change.
fn output_files() -> Vec<PathBuf> {
    let (out, err) = (std::io::stdout(), std::io::stderr());
    [out.as_fd(), err.as_fd()].into_iter().filter_map(regular_file).collect()
}

fn regular_file(stream: BorrowedFd<'_>) -> Option<PathBuf> {
    let status = rustix::fs::fstat(stream).ok()?;
    let is_file = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
    is_file.then(|| path(stream)).flatten()
}

#[cfg(target_vendor = "apple")]
fn path(file: BorrowedFd<'_>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let path = rustix::fs::getpath(file).ok()?;
    Some(std::ffi::OsString::from_vec(path.into_bytes()).into())
}

#[cfg(not(target_vendor = "apple"))]
fn path(file: BorrowedFd<'_>) -> Option<PathBuf> {
    use std::os::fd::AsRawFd as _;
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}
