//! `devrun list`: which files are watched or ignored, in which mode and why.
//!
//! It starts the same watch as a run and prints what that watch knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use devrun::rules::{EntryKind, Layer, Rule, Rules, Verdict};
use devrun::watch::{self, Mode, Summary, Watch};
use ignore::{WalkBuilder, WalkState};
use serde_json::{Value, json};

use crate::cli::values::Format;
use crate::config::Settings;
use crate::report::mode_reason;
use crate::system::inotify;
use crate::ui::{
    ByteString, CliError, ERROR, ExitCode, FAINT, GOOD, HELP, NAME, Terminal, byte_string, count,
    escape_bytes, escape_path, escape_text, styled,
};

/// The version of the output of `--format json`.
const VERSION: u32 = 1;
/// Maximum number of paths that `--hot` prints.
const MAX_HOT_PATHS: usize = 50;

/// What to list.
#[derive(Debug)]
pub(crate) enum Show {
    /// The watched directories with the number of their files.
    Tree,
    /// The watched files, one on each line.
    Lines,
    /// The watched files, each ended by NUL and not escaped.
    NulTerminated,
    /// The top of each ignored subtree, with its rule.
    Ignored,
    /// The paths with the most events within this time.
    Hot(Duration),
}

/// Prints the list.
pub(crate) fn run(
    settings: Settings,
    show: Show,
    format: Format,
    terminal: &mut Terminal,
) -> Result<ExitCode, CliError> {
    let list = List { settings: &settings, json: format == Format::Json };
    match show {
        Show::Ignored => list.ignored(terminal)?,
        Show::Hot(time) => with_watch(&settings, |watch| list.hot(watch, time, terminal))?,
        Show::Lines | Show::NulTerminated => {
            with_watch(&settings, |watch| list.files(watch, &show, terminal))?
        }
        Show::Tree => with_watch(&settings, |watch| list.tree(watch, terminal))?,
    }
    Ok(ExitCode::Success)
}

/// Starts the watch of a run, calls `print`, and stops the watch.
fn with_watch(
    settings: &Settings,
    print: impl FnOnce(&Watch) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::failed_to("start the event loop", &error))?;
    runtime.block_on(async {
        let watch = Watch::start(settings.session.watch.clone())
            .await
            .map_err(|error: watch::Error| CliError::from_library(&error))?;
        let result = print(&watch);
        watch.stop().await;
        result
    })
}

struct List<'a> {
    settings: &'a Settings,
    json: bool,
}

/// Number of watched files of a directory.
#[derive(Debug, Clone, Copy)]
struct FileCounts {
    /// Files directly in the directory.
    own: usize,
    /// Files in the directory and in all directories below it.
    total: usize,
    mode: Mode,
}

impl List<'_> {
    fn tree(&self, watch: &Watch, terminal: &mut Terminal) -> Result<(), CliError> {
        let summary = watch.summary();
        let files = watch.files();
        let directories = count_files(watch, &files, &self.settings.session.watch.roots);
        if self.json {
            return terminal.println_data(self.tree_json(&summary, &files, &directories));
        }
        for root in &summary.roots {
            terminal.println(format_args!(
                "{}  {} ({}): {} in {}",
                styled(NAME, self.settings.shown(&root.path)),
                root.mode.as_str(),
                mode_reason(&root.why),
                count(root.files, "file"),
                count(root.directories, "directory"),
            ))?;
        }
        let has_mixed_modes = summary.roots.windows(2).any(|pair| pair[0].mode != pair[1].mode);
        for (directory, counts) in &directories {
            terminal.println(self.tree_line(directory, *counts, has_mixed_modes))?;
        }
        terminal.println(watches_line(&summary))
    }

    /// The line of a directory, indented by its depth below the root.
    fn tree_line(&self, directory: &Path, counts: FileCounts, with_mode: bool) -> String {
        let roots = &self.settings.session.watch.roots;
        let below = roots.iter().filter_map(|root| directory.strip_prefix(root).ok());
        let depth = below.map(|below| below.components().count()).min().unwrap_or(0);
        let name = match (depth, directory.file_name()) {
            (0, _) | (_, None) => self.settings.shown(directory),
            (_, Some(name)) => escape_bytes(name.as_encoded_bytes()),
        };
        let mode = if with_mode { format!(" ({})", counts.mode.as_str()) } else { String::new() };
        let files = match (counts.own, counts.total) {
            (own, total) if own == total => count(own, "file"),
            (0, total) => format!("{total} below"),
            (own, total) => format!("{}, {total} in total", count(own, "file")),
        };
        let files = styled(FAINT, format!("{files}{mode}"));
        format!("{}{}/  {files}", "  ".repeat(depth + 1), name.trim_end_matches('/'))
    }

    fn tree_json(
        &self,
        summary: &Summary,
        files: &[PathBuf],
        directories: &BTreeMap<PathBuf, FileCounts>,
    ) -> Value {
        let roots = summary.roots.iter().map(|root| {
            let object = json!({
                "mode": root.mode.as_str(),
                "why": mode_reason(&root.why),
                "files": root.files,
                "directories": root.directories,
            });
            byte_string::with(object, "path", &self.relative(&root.path))
        });
        let directories = directories.iter().map(|(path, counts)| {
            let object = json!({ "files": counts.own, "below": counts.total, "mode": counts.mode.as_str() });
            byte_string::with(object, "path", &self.relative(path))
        });
        let limit = inotify::limits().map(|limits| limits.watches.limit);
        let document = json!({
            "version": VERSION,
            "roots": roots.collect::<Vec<_>>(),
            "directories": directories.collect::<Vec<_>>(),
            "watches": { "used": summary.watches, "limit": limit },
        });
        byte_string::with(document, "files", &self.all_relative(files))
    }

    fn files(&self, watch: &Watch, show: &Show, terminal: &mut Terminal) -> Result<(), CliError> {
        let files = watch.files();
        if self.json {
            let document = json!({ "version": VERSION });
            return terminal.println_data(byte_string::with(document, "files", &self.all_relative(&files)));
        }
        files.iter().try_for_each(|file| {
            let file = file.strip_prefix(&self.settings.directory).unwrap_or(file);
            match show {
                Show::NulTerminated => {
                    terminal.print_bytes(&[file.as_os_str().as_encoded_bytes(), b"\0"].concat())
                }
                _ => terminal.println(escape_path(file)),
            }
        })
    }

    fn ignored(&self, terminal: &mut Terminal) -> Result<(), CliError> {
        let rules = self.settings.rules()?;
        let roots = &self.settings.session.watch.roots;
        let ignored: BTreeMap<PathBuf, IgnoredEntry> =
            roots.iter().flat_map(|root| find_ignored(root, &rules)).collect();
        if self.json {
            let entries = ignored.iter().map(|(path, entry)| self.ignored_json(path, entry));
            return terminal
                .println_data(json!({ "version": VERSION, "ignored": entries.collect::<Vec<_>>() }));
        }
        for (path, entry) in &ignored {
            let slash = if entry.is_dir { "/" } else { "" };
            let rule = entry.verdict.by.as_deref().map(|rule| self.describe_rule(rule)).unwrap_or_default();
            terminal.println(format_args!("{}{slash}  {rule}", styled(NAME, self.settings.shown(path))))?;
        }
        Ok(())
    }

    /// The file and line of a rule, and its pattern.
    fn describe_rule(&self, rule: &Rule) -> String {
        let location = match (&rule.source, rule.layer) {
            (Some(source), _) => format!("{}:{}", self.settings.shown(source), rule.line),
            (None, Layer::Patterns) => "-i".into(),
            (None, _) => "built-in".into(),
        };
        format!("{}  {}", styled(FAINT, location), escape_bytes(&rule.pattern))
    }

    fn ignored_json(&self, path: &Path, entry: &IgnoredEntry) -> Value {
        let rule = entry.verdict.by.as_deref().map(|rule| {
            let object = json!({ "layer": rule.layer.as_str(), "line": rule.line });
            let source = rule.source.as_deref().map(|source| self.relative(source));
            let object = byte_string::with(object, "source", &source);
            byte_string::with(object, "pattern", &ByteString::new(rule.pattern.clone()))
        });
        let object = json!({ "directory": entry.is_dir, "rule": rule });
        byte_string::with(object, "path", &self.relative(path))
    }

    fn hot(&self, watch: &Watch, time: Duration, terminal: &mut Terminal) -> Result<(), CliError> {
        if !terminal.is_terminal() && !self.json {
            terminal.eprintln(format_args!("counting events for {}", humantime::format_duration(time)));
        }
        wait_with_countdown(time, terminal);
        let hot: Vec<HotPath> = watch
            .busiest_paths(MAX_HOT_PATHS)
            .into_iter()
            .map(|(path, events)| HotPath { is_watched: is_watched(watch, &path), path, events })
            .collect();
        if self.json {
            let paths = hot.iter().map(|hot| {
                let object = json!({ "events": hot.events, "ignored": !hot.is_watched });
                byte_string::with(object, "path", &self.relative(&hot.path))
            });
            return terminal.println_data(json!({ "version": VERSION, "hot": paths.collect::<Vec<_>>() }));
        }
        if hot.is_empty() {
            return terminal.println("no events: no file in the watched directories was written");
        }
        for HotPath { path, events, is_watched } in &hot {
            let word = if *is_watched { styled(GOOD, "watched") } else { styled(ERROR, "ignored") };
            terminal
                .println(format_args!("{events:>8}  {word}  {}", styled(NAME, self.settings.shown(path))))?;
        }
        if let Some(hot) = hot.iter().find(|hot| hot.is_watched) {
            let path = ByteString::from_relative_path(&hot.path, &self.settings.base);
            terminal.println(format_args!(
                "{}: if the program itself writes {}, add this line to .watchignore: {}",
                styled(HELP, "help"),
                path.escaped(),
                escape_text(&path.ignore_rule()),
            ))?;
        }
        Ok(())
    }

    /// A path for other programs: relative to the working directory if it is below, and not escaped.
    fn relative(&self, path: &Path) -> ByteString {
        ByteString::from_relative_path(path, &self.settings.directory)
    }

    fn all_relative(&self, paths: &[PathBuf]) -> Vec<ByteString> {
        paths.iter().map(|path| self.relative(path)).collect()
    }
}

/// A path with many events.
struct HotPath {
    path: PathBuf,
    events: u64,
    /// Whether a change of the path restarts COMMAND.
    is_watched: bool,
}

/// Whether a change of the path restarts COMMAND. A removed path is judged as a file.
fn is_watched(watch: &Watch, path: &Path) -> bool {
    watch.knows(path) || !watch.rules().is_ignored(path, EntryKind::of_path(path))
}

/// Waits, and shows on a terminal how many seconds are left.
fn wait_with_countdown(time: Duration, terminal: &mut Terminal) {
    let start = Instant::now();
    while let Some(left) = time.checked_sub(start.elapsed()) {
        let seconds = left.as_secs_f32().ceil();
        terminal.set_status(&format!("counting events: {seconds} s to go"));
        std::thread::sleep(left.min(Duration::from_secs(1)).max(Duration::from_millis(1)));
    }
    terminal.clear_status();
}

/// `9 watches of 192536; other programs use 1234`
fn watches_line(summary: &Summary) -> String {
    let watches = count(summary.watches, "watch");
    let Some(limits) = inotify::limits() else { return format!("{watches} in use") };
    let others = limits.watches.used.saturating_sub(summary.watches as u64);
    styled(FAINT, format_args!("{watches} of {}; other programs use {others}", limits.watches.limit))
        .to_string()
}

/// The watched directories with the number of files in each.
fn count_files(watch: &Watch, files: &[PathBuf], roots: &[PathBuf]) -> BTreeMap<PathBuf, FileCounts> {
    let empty = |(path, mode)| (path, FileCounts { own: 0, total: 0, mode });
    let mut directories: BTreeMap<PathBuf, FileCounts> = watch.directories().into_iter().map(empty).collect();
    for file in files {
        let in_root = |directory: &&Path| roots.iter().any(|root| directory.starts_with(root));
        for (level, directory) in file.ancestors().skip(1).take_while(in_root).enumerate() {
            if let Some(counts) = directories.get_mut(directory) {
                counts.own += usize::from(level == 0);
                counts.total += 1;
            }
        }
    }
    directories
}

struct IgnoredEntry {
    is_dir: bool,
    verdict: Verdict,
}

/// The ignored entries below a root. The walk does not enter ignored directories, follows no symbolic links,
/// and skips unreadable directories.
fn find_ignored(root: &Path, rules: &Rules) -> Vec<(PathBuf, IgnoredEntry)> {
    let (sender, receiver) = mpsc::channel();
    let check = |path: &Path, is_dir, sender: &mpsc::Sender<_>| {
        let verdict = rules.verdict(path, EntryKind::from_is_dir(is_dir));
        if !verdict.is_ignored() {
            return WalkState::Continue;
        }
        // The receiver lives until the walk ends.
        let _ = sender.send((path.to_owned(), IgnoredEntry { is_dir, verdict }));
        WalkState::Skip
    };
    if root.metadata().is_ok_and(|metadata| !metadata.is_dir()) {
        check(root, false, &sender);
    }
    // The trailing slash makes the walk follow a root that is a symbolic link.
    let walk = WalkBuilder::new(root.join("")).standard_filters(false).build_parallel();
    walk.run(|| {
        let sender = sender.clone();
        Box::new(move |entry| match entry {
            Ok(entry) if entry.depth() > 0 => {
                check(entry.path(), entry.file_type().is_some_and(|kind| kind.is_dir()), &sender)
            }
            _ => WalkState::Continue,
        })
    });
    drop(sender);
    receiver.into_iter().collect()
}
