//! `devrun list`: which files are watched or ignored, in which mode and why.
//!
//! It starts the same watch as a run and prints what that watch knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use devrun::rules::{EntryKind, Layer, Rule, Rules, Verdict};
use devrun::watch::{Mode, Summary, Watch};

use crate::cli::values::Format;
use crate::config::Settings;
use crate::report::mode_reason;
use crate::run::event_loop;
use crate::system::inotify;
use crate::ui::{
    ByteString, CliError, ERROR, ExitCode, FAINT, GOOD, HELP, NAME, Object, Terminal, count, escape_bytes,
    escape_path, escape_text, styled,
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
    event_loop()?.block_on(async {
        let watch = Watch::start(settings.session.watch.clone()).await;
        let watch = watch.map_err(|error| CliError::from_library(&error))?;
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
    ) -> Object {
        let roots = summary.roots.iter().map(|root| {
            Object::default()
                .set("directories", root.directories)
                .set("files", root.files)
                .set("mode", root.mode.as_str())
                .bytes("path", self.relative(&root.path))
                .set("why", mode_reason(&root.why))
        });
        let directories = directories.iter().map(|(path, counts)| {
            Object::default()
                .set("below", counts.total)
                .set("files", counts.own)
                .set("mode", counts.mode.as_str())
                .bytes("path", self.relative(path))
        });
        let limit = inotify::limits().map(|limits| limits.watches.limit);
        Object::default()
            .list("directories", directories)
            .byte_list("files", &self.all_relative(files))
            .list("roots", roots)
            .set("version", VERSION)
            .object("watches", Object::default().set("limit", limit).set("used", summary.watches))
    }

    fn files(&self, watch: &Watch, show: &Show, terminal: &mut Terminal) -> Result<(), CliError> {
        let files = watch.files();
        if self.json {
            let document = Object::default().byte_list("files", &self.all_relative(&files));
            return terminal.println_data(document.set("version", VERSION));
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
        let mut ignored = BTreeMap::new();
        for root in &self.settings.session.watch.roots {
            if let Ok(metadata) = root.metadata() {
                find_ignored(root.clone(), metadata.is_dir(), &rules, &mut ignored);
            }
        }
        if self.json {
            let entries = ignored.iter().map(|(path, entry)| self.ignored_json(path, entry));
            return terminal.println_data(Object::default().list("ignored", entries).set("version", VERSION));
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

    fn ignored_json(&self, path: &Path, entry: &IgnoredEntry) -> Object {
        let rule = entry.verdict.by.as_deref().map(|rule| {
            Object::default()
                .set("layer", rule.layer.as_str())
                .set("line", rule.line)
                .bytes("pattern", ByteString::new(rule.pattern.clone()))
                .bytes("source", rule.source.as_deref().map(|source| self.relative(source)))
        });
        Object::default()
            .set("directory", entry.is_dir)
            .bytes("path", self.relative(path))
            .object("rule", rule)
    }

    fn hot(&self, watch: &Watch, time: Duration, terminal: &mut Terminal) -> Result<(), CliError> {
        if !terminal.is_terminal() && !self.json {
            terminal.eprintln(format_args!("counting events for {}", humantime::format_duration(time)));
        }
        wait_with_countdown(time, terminal);
        // A removed path is judged as a file.
        let is_watched =
            |path: &Path| watch.knows(path) || !watch.rules().is_ignored(path, EntryKind::of_path(path));
        let hot = watch.busiest_paths(MAX_HOT_PATHS);
        if self.json {
            let paths = hot.iter().map(|(path, events)| {
                let object = Object::default().set("events", *events).set("ignored", !is_watched(path));
                object.bytes("path", self.relative(path))
            });
            return terminal.println_data(Object::default().list("hot", paths).set("version", VERSION));
        }
        if hot.is_empty() {
            return terminal.println("no events: no file in the watched directories was written");
        }
        for (path, events) in &hot {
            let word = if is_watched(path) { styled(GOOD, "watched") } else { styled(ERROR, "ignored") };
            terminal
                .println(format_args!("{events:>8}  {word}  {}", styled(NAME, self.settings.shown(path))))?;
        }
        if let Some((path, _)) = hot.iter().find(|(path, _)| is_watched(path)) {
            let path = ByteString::from_relative_path(path, &self.settings.base);
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

/// Adds the entry if it is ignored, otherwise the ignored entries below it. Follows no symbolic links, and skips
/// unreadable directories.
fn find_ignored(path: PathBuf, is_dir: bool, rules: &Rules, found: &mut BTreeMap<PathBuf, IgnoredEntry>) {
    let verdict = rules.verdict(&path, EntryKind::from_is_dir(is_dir));
    if verdict.is_ignored() {
        found.insert(path, IgnoredEntry { is_dir, verdict });
    } else if is_dir {
        for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            find_ignored(entry.path(), is_dir, rules, found);
        }
    }
}
