//! Walks the trees: reads all rule files that count, finds those that nothing reads, and, if asked to, rules
//! that match nothing.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ignore::{DirEntry, WalkBuilder, WalkState};

use super::finding::{Finding, FindingId, Location};
use crate::Remedy;
use crate::rules::path_key as key;
use crate::rules::pattern::{EntryKind, Query, Shape};
use crate::rules::rule_file::RuleFile;
use crate::rules::rules::Rules;
use crate::sync;

/// The ignore file of a tool that devrun takes over from.
const DEAD_NAME: &str = ".watchdogignore";

/// What a walk saw.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Directories that count.
    pub(super) directories: u64,
    /// `.watchdogignore` files that nothing reads.
    pub(super) dead: Vec<PathBuf>,
    /// Directories that could not be read, and why.
    pub(super) unread: Vec<(PathBuf, String)>,
}

/// Walks what counts. Every rule file in it is read by then.
pub(super) fn survey(rules: &Rules) -> Survey {
    let names: Vec<OsString> = rules.rule_file_names();
    let dead_name = (!names.iter().any(|name| name == DEAD_NAME)).then_some(DEAD_NAME);
    let survey = Mutex::new(Survey::default());
    let look = |entry: DirEntry| {
        let (path, is_dir) = (entry.path(), entry.file_type().is_some_and(|kind| kind.is_dir()));
        if is_dir && entry.depth() > 0 && rules.is_ignored(path, EntryKind::Dir) {
            return WalkState::Skip;
        }
        if is_dir {
            sync::lock(&survey).directories += 1;
        } else if names.iter().any(|name| name == entry.file_name()) {
            // Any question about an entry makes the rules of its directory known.
            let _ = rules.is_ignored(path, EntryKind::File);
        } else if dead_name.is_some_and(|dead| entry.file_name() == dead)
            && !rules.is_ignored(path, EntryKind::File)
        {
            sync::lock(&survey).dead.push(path.to_owned());
        }
        WalkState::Continue
    };
    for root in rules.roots() {
        // Makes known what decides about it from above, too, even if nothing in it is asked about.
        let _ = rules.is_ignored(root, EntryKind::Dir);
        // The slash makes a root that is a symbolic link be followed.
        let walk = WalkBuilder::new(root.join("")).standard_filters(false).build_parallel();
        walk.run(|| {
            Box::new(|result| match result {
                Ok(entry) => look(entry),
                Err(error) => {
                    sync::lock(&survey).unread.extend(unread(&error, root));
                    WalkState::Continue
                }
            })
        });
    }
    let mut survey = sync::into_inner(survey);
    survey.dead.sort_unstable();
    survey.dead.dedup();
    survey.unread.sort_unstable();
    // Each was met before it could not be listed.
    survey.directories = survey.directories.saturating_sub(survey.unread.len() as u64);
    survey
}

/// The directory that an error is about, unless it is gone by now or a root that is a file: neither is missed.
fn unread(error: &ignore::Error, root: &Path) -> Option<(PathBuf, String)> {
    let reason = error.io_error()?;
    if matches!(reason.kind(), ErrorKind::NotADirectory | ErrorKind::NotFound) {
        return None;
    }
    let dir = path_of(error).map_or(root, |path| path.components().as_path());
    Some((dir.to_owned(), reason.to_string()))
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        _ => None,
    }
}

pub(super) fn dead_file(path: PathBuf) -> Finding {
    let message = "nothing reads this file: devrun reads .watchignore";
    Finding::new(FindingId::DeadWatchdogignore, Location::file(path), message)
        .remedy(Remedy::ReadIgnoreFile { name: DEAD_NAME.into() })
}

/// The rules that match nothing at all: walks everything, also what is ignored.
pub(super) fn idle_rules(rules: &Rules, files: &[(Arc<RuleFile>, PathBuf)]) -> Vec<Finding> {
    let mut tally = Tally::new(files);
    for root in rules.roots() {
        tally.walk(root);
    }
    let mut findings = Vec::new();
    for ((file, _), used) in files.iter().zip(&tally.used) {
        for (line, used) in file.lines.iter().zip(used) {
            if !used && !matches!(line.pattern.shape, Shape::Never(_)) {
                let finding = Finding::new(
                    FindingId::MatchesNothing,
                    Location::rule(file, line),
                    "nothing in the tree matches this rule",
                );
                findings.push(finding.remedy_text("remove it, or keep it for what is not there yet"));
            }
        }
    }
    findings
}

/// Which rules have matched something.
struct Tally<'a> {
    files: &'a [(Arc<RuleFile>, PathBuf)],
    /// The numbers of the files of a directory.
    by_dir: HashMap<&'a Path, Vec<usize>>,
    /// Per file and line.
    used: Vec<Vec<bool>>,
}

impl<'a> Tally<'a> {
    fn new(files: &'a [(Arc<RuleFile>, PathBuf)]) -> Self {
        let mut by_dir: HashMap<&Path, Vec<usize>> = HashMap::new();
        for (number, (_, base)) in files.iter().enumerate() {
            by_dir.entry(base).or_default().push(number);
        }
        let used = files.iter().map(|(file, _)| vec![false; file.lines.len()]).collect();
        Self { files, by_dir, used }
    }

    fn walk(&mut self, root: &Path) {
        // A directory, and the files whose rules speak of its entries.
        let above: Vec<usize> =
            root.ancestors().filter_map(|dir| self.by_dir.get(dir)).flatten().copied().collect();
        let mut waiting = vec![(root.to_path_buf(), above)];
        while let Some((dir, active)) = waiting.pop() {
            let Ok(entries) = std::fs::read_dir(&dir) else { continue };
            for entry in entries.flatten() {
                let path = entry.path();
                let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
                active.iter().for_each(|number| self.mark(*number, &path, EntryKind::from_is_dir(is_dir)));
                if is_dir && entry.file_name() != ".git" {
                    let mut active = active.clone();
                    active.extend(self.by_dir.get(path.as_path()).into_iter().flatten());
                    waiting.push((path, active));
                }
            }
        }
    }

    fn mark(&mut self, number: usize, path: &Path, kind: EntryKind) {
        let (file, base) = &self.files[number];
        let bytes = key::of(path);
        let Some((_, name)) = key::split(&bytes) else { return };
        let below = bytes.get(key::of(base).len() + 1..);
        let used = &mut self.used[number];
        file.each_match(Query::new(name, below, kind), |line| used[line as usize] = true);
    }
}
