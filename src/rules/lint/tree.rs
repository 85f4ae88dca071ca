//! Walks over the watched trees.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::{Finding, FindingId, Location};
use crate::Remedy;
use crate::rules::options::WATCHDOG_NAME;
use crate::rules::path_key;
use crate::rules::pattern::{EntryKind, Query};
use crate::rules::rule_file::RuleFile;
use crate::rules::rules::Rules;

/// What a walk over the watched trees found.
#[derive(Debug, Default)]
pub(super) struct TreeWalk {
    /// The number of directories that count and could be read.
    pub directories: u64,
    /// The directories that could not be read, and why.
    pub unreadable_dirs: Vec<(PathBuf, String)>,
    /// A finding for each `.watchdogignore`, if the options leave out this name.
    pub findings: Vec<Finding>,
}

impl TreeWalk {
    /// Walks the trees, without ignored directories. Afterwards `rules` has read every rule file in them.
    pub(super) fn run(rules: &Rules) -> Self {
        let mut walk = Self::default();
        for root in rules.watched_roots() {
            // Reads the rule files above the root, even if the root is empty.
            let _ = rules.is_ignored(root, EntryKind::Dir);
            walk.tree(rules, root);
        }
        walk.unreadable_dirs.sort_unstable();
        walk
    }

    fn tree(&mut self, rules: &Rules, root: &Path) {
        let reads_watchdogignore = rules.options().nested_files().any(|(name, _)| name == WATCHDOG_NAME);
        let mut pending = vec![root.to_path_buf()];
        while let Some(dir) = pending.pop() {
            let entries = match std::fs::read_dir(&dir) {
                Ok(entries) => entries,
                // The directory was removed meanwhile, or the root is a file.
                Err(error) if matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::NotFound) => {
                    continue;
                }
                Err(error) => {
                    self.unreadable_dirs.push((dir, error.to_string()));
                    continue;
                }
            };
            self.directories += 1;
            for entry in entries.flatten() {
                let path = entry.path();
                let kind = entry.file_type().map_or(EntryKind::File, EntryKind::from);
                // The question about the first entry reads the rule files of the directory.
                if rules.is_ignored(&path, kind) {
                    continue;
                }
                if kind == EntryKind::Dir {
                    pending.push(path);
                } else if !reads_watchdogignore && entry.file_name() == WATCHDOG_NAME {
                    self.findings.push(dead_watchdogignore(&path));
                }
            }
        }
    }
}

fn dead_watchdogignore(path: &Path) -> Finding {
    let message = "nothing reads this file: the configured names of ignore files do not include it";
    let finding = Finding::new(FindingId::DeadWatchdogignore, Location::file(path), message, "");
    Finding { remedy: Remedy::ReadIgnoreFile { name: WATCHDOG_NAME.into() }, ..finding }
}

/// A rule file and the directory that its rules are relative to.
pub(super) type FileAndBase = (Arc<RuleFile>, PathBuf);

/// Finds the rules that match nothing. Walks the whole trees, ignored directories included.
pub(super) fn unused_rules(rules: &Rules, files: &[FileAndBase]) -> Vec<Finding> {
    // By the index of the file, and that of the rule in it.
    let mut is_used: Vec<Vec<bool>> = files.iter().map(|(file, _)| vec![false; file.rules.len()]).collect();
    let mut pending = rules.watched_roots().to_vec();
    while let Some(dir) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let kind = entry.file_type().map_or(EntryKind::File, EntryKind::from);
            for ((file, base), is_used) in files.iter().zip(&mut is_used) {
                mark_used(file, base, &path, kind, is_used);
            }
            if kind == EntryKind::Dir && entry.file_name() != ".git" {
                pending.push(path);
            }
        }
    }
    let unused = |((file, _), is_used): (&FileAndBase, &Vec<bool>)| -> Vec<Finding> {
        let rules = file.rules.iter().zip(is_used);
        let unused = rules.filter(|(rule, is_used)| !**is_used && rule.pattern.error().is_none());
        let remedy = "remove it, or keep it for what is not there yet";
        let message = "nothing in the tree matches this rule";
        let finding =
            |rule| Finding::new(FindingId::MatchesNothing, Location::rule(file, rule), message, remedy);
        unused.map(|(rule, _)| finding(rule)).collect()
    };
    files.iter().zip(&is_used).flat_map(unused).collect()
}

/// Marks the rules of a file that match an entry. `base` is the directory that the rules are relative to.
fn mark_used(file: &RuleFile, base: &Path, entry: &Path, kind: EntryKind, is_used: &mut [bool]) {
    let key = path_key::of(entry);
    let below = key.strip_prefix(path_key::of(base)).and_then(|rest| rest.strip_prefix(b"/"));
    if let (Some(below), Some((_, name))) = (below, path_key::split(key)) {
        file.each_match(Query::new(name, Some(below), kind), |rule| is_used[rule as usize] = true);
    }
}
