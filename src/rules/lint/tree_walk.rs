//! Walks the watched trees, so that all their rule files are read, and finds rule files that nothing reads.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ignore::{DirEntry, WalkBuilder, WalkState};

use super::finding::{Finding, FindingId, Location};
use crate::Remedy;
use crate::rules::options::WATCHDOG_NAME;
use crate::rules::pattern::EntryKind;
use crate::rules::rules::Rules;
use crate::sync;

/// What a walk over the watched trees found.
#[derive(Debug, Default)]
pub(super) struct TreeWalk {
    directories: u64,
    unused_files: Vec<PathBuf>,
    unreadable_dirs: Vec<(PathBuf, String)>,
}

impl TreeWalk {
    /// Walks the trees, without ignored directories. Afterwards `rules` has read every rule file in them.
    pub(super) fn run(rules: &Rules) -> Self {
        let visitor = Visitor::new(rules);
        for root in rules.roots() {
            // Reads the rule files above the root, even if the root is empty.
            let _ = rules.is_ignored(root, EntryKind::Dir);
            // With the slash, a root that is a symbolic link is followed.
            let walk = WalkBuilder::new(root.join("")).standard_filters(false).build_parallel();
            walk.run(|| {
                Box::new(|result| match result {
                    Ok(entry) => visitor.entry(&entry),
                    Err(error) => visitor.error(&error, root),
                })
            });
        }
        let mut walk = sync::into_inner(visitor.walk);
        walk.unused_files.sort_unstable();
        walk.unused_files.dedup();
        walk.unreadable_dirs.sort_unstable();
        // The walk reports an unreadable directory twice: as an entry of its parent, and when it fails to
        // list it.
        walk.directories = walk.directories.saturating_sub(walk.unreadable_dirs.len() as u64);
        walk
    }

    /// The number of directories that count and could be read.
    pub(super) fn directories(&self) -> u64 {
        self.directories
    }

    /// A finding for each `.watchdogignore`, if the options leave out this name.
    pub(super) fn findings(&self) -> impl Iterator<Item = Finding> + '_ {
        self.unused_files.iter().map(|path| {
            let message = "nothing reads this file: the configured names of ignore files do not include it";
            Finding::new(FindingId::DeadWatchdogignore, Location::file(path), message)
                .remedy(Remedy::ReadIgnoreFile { name: WATCHDOG_NAME.into() })
        })
    }

    /// The directories that could not be read, and why.
    pub(super) fn into_unreadable_dirs(self) -> Vec<(PathBuf, String)> {
        self.unreadable_dirs
    }
}

/// What the threads of a walk share.
struct Visitor<'a> {
    rules: &'a Rules,
    rule_file_names: Vec<OsString>,
    walk: Mutex<TreeWalk>,
}

impl<'a> Visitor<'a> {
    fn new(rules: &'a Rules) -> Self {
        Self { rules, rule_file_names: rules.rule_file_names(), walk: Mutex::default() }
    }

    fn entry(&self, entry: &DirEntry) -> WalkState {
        let path = entry.path();
        let is_rule_file = |name| self.rule_file_names.iter().any(|known| known == name);
        if entry.file_type().is_some_and(|file_type| file_type.is_dir()) {
            if entry.depth() > 0 && self.rules.is_ignored(path, EntryKind::Dir) {
                return WalkState::Skip;
            }
            sync::lock(&self.walk).directories += 1;
        } else if is_rule_file(entry.file_name()) {
            // A question about any entry of a directory reads its rule files.
            let _ = self.rules.is_ignored(path, EntryKind::File);
        } else if entry.file_name() == WATCHDOG_NAME && !self.rules.is_ignored(path, EntryKind::File) {
            sync::lock(&self.walk).unused_files.push(path.to_owned());
        }
        WalkState::Continue
    }

    /// Records a directory that cannot be read. One that was removed meanwhile, and a root that is a file,
    /// are not reported.
    fn error(&self, error: &ignore::Error, root: &Path) -> WalkState {
        if let Some(reason) = error.io_error()
            && !matches!(reason.kind(), ErrorKind::NotADirectory | ErrorKind::NotFound)
        {
            let dir = path_of(error).map_or(root, |path| path.components().as_path());
            sync::lock(&self.walk).unreadable_dirs.push((dir.to_owned(), reason.to_string()));
        }
        WalkState::Continue
    }
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        _ => None,
    }
}
