//! `devrun list`: what is watched, what is not, in which mode and why.
//!
//! What it shows is what a run would do: a real watch is started and asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use devrun::rules::{EntryKind, Layer, Rule, Rules, Verdict};
use devrun::watch::{self, Mode, Summary, Watch};
use ignore::{WalkBuilder, WalkState};
use serde_json::{Value, json};

use crate::config::settings::Settings;
use crate::mode;
use crate::system::inotify;
use crate::ui::byte_string::{self, ByteString};
use crate::ui::error::{CliError, ExitCode};
use crate::ui::escape::{escape_bytes, escape_path, escape_text};
use crate::ui::style::{ERROR, FAINT, GOOD, HELP, NAME, styled};
use crate::ui::terminal::Terminal;

/// What is ignored: whether it is a directory, and why.
type Ignored = BTreeMap<PathBuf, (bool, Verdict)>;

/// The version of what `--format json` writes.
const VERSION: u32 = 1;

/// What is asked.
#[derive(Debug)]
pub(crate) struct Question {
    /// What to show.
    pub(crate) show: Show,
    /// As JSON.
    pub(crate) json: bool,
}

/// What to show.
#[derive(Debug)]
pub(crate) enum Show {
    /// Watched directories with their counts.
    Tree,
    /// Watched files, one a line, or each with a NUL.
    Flat { null: bool },
    /// Ignored subtrees, with their rule.
    Ignored,
    /// Paths with most events within this time.
    Hot(Duration),
}

/// Shows what is watched and what is not.
pub(crate) fn run(
    settings: Settings,
    question: Question,
    terminal: &mut Terminal,
) -> Result<ExitCode, CliError> {
    let list = List { settings: &settings, json: question.json };
    match question.show {
        Show::Ignored => list.ignored(terminal)?,
        Show::Hot(time) => with_watch(&settings, |watch| list.hot(watch, time, terminal))?,
        Show::Flat { null } => with_watch(&settings, |watch| list.flat(watch, null, terminal))?,
        Show::Tree => with_watch(&settings, |watch| list.tree(watch, terminal))?,
    }
    Ok(ExitCode::Success)
}

/// Starts the watch of a run, and ends it.
fn with_watch(
    settings: &Settings,
    show: impl FnOnce(&Watch) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::failed_to("start the runtime", &error))?;
    runtime.block_on(async {
        let watch = Watch::start(settings.watch_options())
            .await
            .map_err(|error: watch::Error| CliError::from_library(&error))?;
        let shown = show(&watch);
        watch.stop().await;
        shown
    })
}

struct List<'a> {
    settings: &'a Settings,
    json: bool,
}

/// The relevant files of a directory, and of all below it.
#[derive(Debug, Clone, Copy)]
struct Counts {
    own: usize,
    below: usize,
    mode: Mode,
}

impl List<'_> {
    fn tree(&self, watch: &Watch, terminal: &mut Terminal) -> Result<(), CliError> {
        let summary = watch.summary();
        let files = watch.files();
        let directories = count_by_directory(watch, &files, &self.settings.watch.roots);
        if self.json {
            return terminal.println(self.tree_json(&summary, &files, &directories));
        }
        for root in &summary.roots {
            terminal.println(format_args!(
                "{}  {} ({}): {} in {}",
                styled(NAME, self.settings.shown(&root.path)),
                root.mode.as_str(),
                mode::reason(&root.why),
                mode::count(root.files, "file", "files"),
                mode::count(root.directories, "directory", "directories"),
            ))?;
        }
        let mixed = summary.roots.windows(2).any(|pair| pair[0].mode != pair[1].mode);
        for (directory, counts) in &directories {
            terminal.println(self.tree_line(directory, *counts, mixed))?;
        }
        terminal.println(watches_line(&summary))
    }

    /// A directory, as deep as it lies below its root.
    fn tree_line(&self, directory: &Path, counts: Counts, mixed: bool) -> String {
        let roots = &self.settings.watch.roots;
        let below = roots.iter().filter_map(|root| directory.strip_prefix(root).ok());
        let depth = below.map(|below| below.components().count()).min().unwrap_or(0);
        let name = match (depth, directory.file_name()) {
            (0, _) | (_, None) => self.settings.shown(directory),
            (_, Some(name)) => escape_bytes(name.as_encoded_bytes()),
        };
        let mode = if mixed { format!(" ({})", counts.mode.as_str()) } else { String::new() };
        let files = match (counts.own, counts.below) {
            (own, below) if own == below => mode::count(own, "file", "files"),
            (0, below) => format!("{below} below"),
            (own, below) => format!("{}, {below} with all below", mode::count(own, "file", "files")),
        };
        let files = styled(FAINT, format!("{files}{mode}"));
        format!("{}{}/  {files}", "  ".repeat(depth + 1), name.trim_end_matches('/'))
    }

    fn tree_json(
        &self,
        summary: &Summary,
        files: &[PathBuf],
        directories: &BTreeMap<PathBuf, Counts>,
    ) -> Value {
        let roots: Vec<Value> = summary
            .roots
            .iter()
            .map(|root| {
                let root_alone = json!({
                    "mode": root.mode.as_str(),
                    "why": mode::reason(&root.why),
                    "files": root.files,
                    "directories": root.directories,
                });
                byte_string::with(root_alone, "path", &self.plain(&root.path))
            })
            .collect();
        let directories: Vec<Value> = directories
            .iter()
            .map(|(path, counts)| {
                let mode = counts.mode.as_str();
                let counted = json!({ "files": counts.own, "below": counts.below, "mode": mode });
                byte_string::with(counted, "path", &self.plain(path))
            })
            .collect();
        let files: Vec<ByteString> = files.iter().map(|file| self.plain(file)).collect();
        let limit = inotify::limits().map(|limits| limits.watches.limit);
        let all_but_files = json!({
            "version": VERSION,
            "roots": roots,
            "directories": directories,
            "watches": { "used": summary.watches, "limit": limit },
        });
        byte_string::with(all_but_files, "files", &files)
    }

    fn flat(&self, watch: &Watch, null: bool, terminal: &mut Terminal) -> Result<(), CliError> {
        let files = watch.files();
        if self.json {
            let files: Vec<ByteString> = files.iter().map(|file| self.plain(file)).collect();
            return terminal.println(byte_string::with(json!({ "version": VERSION }), "files", &files));
        }
        for file in files {
            let shown = file.strip_prefix(&self.settings.directory).unwrap_or(&file);
            match null {
                true => terminal.print_bytes(&[shown.as_os_str().as_encoded_bytes(), b"\0"].concat())?,
                false => terminal.println(escape_path(shown))?,
            }
        }
        Ok(())
    }

    fn ignored(&self, terminal: &mut Terminal) -> Result<(), CliError> {
        let rules =
            Rules::new(self.settings.rules_options()).map_err(|error| CliError::from_library(&error))?;
        let roots = &self.settings.watch.roots;
        let found: Ignored = roots.iter().flat_map(|root| ignored_below(root, &rules)).collect();
        if self.json {
            let entries =
                found.iter().map(|(path, (is_dir, verdict))| self.ignored_json(path, *is_dir, verdict));
            return terminal.println(json!({ "version": VERSION, "ignored": entries.collect::<Vec<_>>() }));
        }
        for (path, (is_dir, verdict)) in &found {
            let slash = if *is_dir { "/" } else { "" };
            let rule = verdict.by.as_deref().map(|rule| self.rule(rule)).unwrap_or_default();
            terminal.println(format_args!("{}{slash}  {rule}", styled(NAME, self.settings.shown(path))))?;
        }
        Ok(())
    }

    /// Where a rule stands, and its text.
    fn rule(&self, rule: &Rule) -> String {
        let place = match (&rule.source, rule.layer) {
            (Some(source), _) => format!("{}:{}", self.settings.shown(source), rule.line),
            (None, Layer::Patterns) => "-i".into(),
            (None, _) => "built-in".into(),
        };
        format!("{}  {}", styled(FAINT, place), escape_bytes(&rule.pattern))
    }

    fn ignored_json(&self, path: &Path, is_dir: bool, verdict: &Verdict) -> Value {
        let rule = verdict.by.as_deref().map(|rule| {
            let place = json!({ "layer": rule.layer.as_str(), "line": rule.line });
            let source = rule.source.as_deref().map(|source| self.plain(source));
            let pattern = ByteString::new(rule.pattern.clone());
            byte_string::with(byte_string::with(place, "source", &source), "pattern", &pattern)
        });
        byte_string::with(json!({ "directory": is_dir, "rule": rule }), "path", &self.plain(path))
    }

    fn hot(&self, watch: &Watch, time: Duration, terminal: &mut Terminal) -> Result<(), CliError> {
        let start = Instant::now();
        if !terminal.is_terminal() && !self.json {
            terminal.eprintln(format_args!("counting events for {}", humantime::format_duration(time)));
        }
        while let Some(left) = time.checked_sub(start.elapsed()) {
            let seconds = left.as_secs_f32().ceil();
            terminal.set_status(&format!("counting events: {seconds} s to go"));
            std::thread::sleep(left.min(Duration::from_secs(1)).max(Duration::from_millis(1)));
        }
        terminal.clear_status();
        let hot = watch.busiest_paths(50);
        if self.json {
            let paths = hot.iter().map(|(path, events)| {
                let counted = json!({ "events": events, "ignored": !self.counts(watch, path) });
                byte_string::with(counted, "path", &self.plain(path))
            });
            return terminal.println(json!({ "version": VERSION, "hot": paths.collect::<Vec<_>>() }));
        }
        if hot.is_empty() {
            return terminal.println("no events: nothing that devrun sees was written");
        }
        for (path, events) in &hot {
            let word = match self.counts(watch, path) {
                true => styled(GOOD, "watched").to_string(),
                false => styled(ERROR, "ignored").to_string(),
            };
            terminal
                .println(format_args!("{events:>8}  {word}  {}", styled(NAME, self.settings.shown(path))))?;
        }
        if let Some((path, _)) = hot.iter().find(|(path, _)| self.counts(watch, path)) {
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

    /// Whether a path restarts COMMAND when it changes; a removed one is judged as a file.
    fn counts(&self, watch: &Watch, path: &Path) -> bool {
        watch.knows(path) || !watch.rules().is_ignored(path, EntryKind::of_path(path))
    }

    /// A path for programs: relative to where devrun was started, if it is below, and not escaped.
    fn plain(&self, path: &Path) -> ByteString {
        ByteString::from_relative_path(path, &self.settings.directory)
    }
}

/// `9 watches of 192536, of which your programs use 1234`
fn watches_line(summary: &Summary) -> String {
    let watches = mode::count(summary.watches, "watch", "watches");
    let Some(limits) = inotify::limits() else { return format!("{watches} in use") };
    let others = limits.watches.used.saturating_sub(summary.watches as u64);
    styled(FAINT, format_args!("{watches} of {}; other programs use {others}", limits.watches.limit))
        .to_string()
}

/// Directories that count, with the files in them, and in all below them.
fn count_by_directory(watch: &Watch, files: &[PathBuf], roots: &[PathBuf]) -> BTreeMap<PathBuf, Counts> {
    let directories = watch.directories().into_iter();
    let empty = directories.map(|(path, mode)| (path, Counts { own: 0, below: 0, mode }));
    let mut directories: BTreeMap<PathBuf, Counts> = empty.collect();
    for file in files {
        let within = |directory: &&Path| roots.iter().any(|root| directory.starts_with(root));
        for (level, directory) in file.ancestors().skip(1).take_while(within).enumerate() {
            if let Some(counts) = directories.get_mut(directory) {
                counts.own += usize::from(level == 0);
                counts.below += 1;
            }
        }
    }
    directories
}

/// What is ignored of a tree, walked as a watch does: into directories that count, no links followed. What is in an
/// ignored directory is not named, and what cannot be read is left out.
fn ignored_below(root: &Path, rules: &Rules) -> Ignored {
    let found = Mutex::new(Ignored::new());
    let note = |path: &Path, is_dir| {
        let verdict = rules.verdict(path, EntryKind::from_is_dir(is_dir));
        if !verdict.is_ignored() {
            return WalkState::Continue;
        }
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        found.insert(path.to_owned(), (is_dir, verdict));
        WalkState::Skip
    };
    if root.metadata().is_ok_and(|kind| !kind.is_dir()) {
        note(root, false);
    }
    // The slash makes a root that is a symbolic link be followed.
    let walk = WalkBuilder::new(root.join("")).standard_filters(false).build_parallel();
    walk.run(|| {
        Box::new(|entry| match entry {
            Ok(entry) if entry.depth() > 0 => {
                note(entry.path(), entry.file_type().is_some_and(|kind| kind.is_dir()))
            }
            _ => WalkState::Continue,
        })
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}
