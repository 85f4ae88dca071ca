//! Finds rules that nothing in the tree matches.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::{Finding, FindingId, Location};
use crate::rules::path_key;
use crate::rules::pattern::{EntryKind, Query};
use crate::rules::rule_file::RuleFile;
use crate::rules::rules::Rules;

/// A rule file and the directory that its rules are relative to.
pub(super) type FileAndBase = (Arc<RuleFile>, PathBuf);

/// Finds the rules that match nothing. Walks the whole trees, ignored directories included.
pub(super) fn unused_rules(rules: &Rules, files: &[FileAndBase]) -> Vec<Finding> {
    let mut usage = RuleUsage::new(files);
    for root in rules.roots() {
        usage.record_tree(root);
    }
    usage.findings()
}

/// Which rules have matched something.
struct RuleUsage<'a> {
    files: &'a [FileAndBase],
    /// The indices of the files whose rules are relative to a directory.
    files_by_dir: HashMap<&'a Path, Vec<usize>>,
    /// By the index of the file, and that of the rule in it.
    is_used: Vec<Vec<bool>>,
}

impl<'a> RuleUsage<'a> {
    fn new(files: &'a [FileAndBase]) -> Self {
        let mut files_by_dir: HashMap<&Path, Vec<usize>> = HashMap::new();
        for (index, (_, base)) in files.iter().enumerate() {
            files_by_dir.entry(base).or_default().push(index);
        }
        let is_used = files.iter().map(|(file, _)| vec![false; file.rules().len()]).collect();
        Self { files, files_by_dir, is_used }
    }

    /// Marks the rules that match an entry of a tree.
    fn record_tree(&mut self, root: &Path) {
        let above: Vec<usize> =
            root.ancestors().filter_map(|dir| self.files_by_dir.get(dir)).flatten().copied().collect();
        // Directories to read, with the files whose rules apply to their entries.
        let mut pending = vec![(root.to_path_buf(), above)];
        while let Some((dir, applying)) = pending.pop() {
            let Ok(entries) = std::fs::read_dir(&dir) else { continue };
            for entry in entries.flatten() {
                let path = entry.path();
                let kind = entry.file_type().map_or(EntryKind::File, EntryKind::from);
                for index in &applying {
                    self.record(*index, &path, kind);
                }
                if kind == EntryKind::Dir && entry.file_name() != ".git" {
                    let mut applying = applying.clone();
                    applying.extend(self.files_by_dir.get(path.as_path()).into_iter().flatten());
                    pending.push((path, applying));
                }
            }
        }
    }

    fn record(&mut self, index: usize, path: &Path, kind: EntryKind) {
        let (file, base) = &self.files[index];
        let key = path_key::of(path);
        let Some((_, name)) = path_key::split(key) else { return };
        let below = key.get(path_key::of(base).len() + 1..);
        let is_used = &mut self.is_used[index];
        file.each_match(Query::new(name, below, kind), |rule| is_used[rule as usize] = true);
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for ((file, _), is_used) in self.files.iter().zip(&self.is_used) {
            for (rule, is_used) in file.rules().iter().zip(is_used) {
                if !is_used && rule.pattern().error().is_none() {
                    let message = "nothing in the tree matches this rule";
                    let finding =
                        Finding::new(FindingId::MatchesNothing, Location::rule(file, rule), message);
                    findings.push(finding.remedy_text("remove it, or keep it for what is not there yet"));
                }
            }
        }
        findings
    }
}
