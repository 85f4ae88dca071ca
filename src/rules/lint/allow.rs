//! Findings that the project allows: by a comment in a rule file, or by the options.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::{Finding, FindingId, Location};
use crate::rules::rule_file::RuleFile;

/// Start of a comment that allows findings of the next line: `# devrun: allow duplicate-rule, shadowed-rule`.
const COMMENT: &str = "devrun: allow";

/// The findings that comments allow: file, line of the rule, and kind.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    by_comment: HashMap<PathBuf, HashSet<(u32, FindingId)>>,
    /// Comments that name no known kind.
    pub findings: Vec<Finding>,
}

impl Allowed {
    /// Reads the comments of rule files. Comments and empty lines may stand between a comment and its rule.
    pub(super) fn read<'a>(files: impl Iterator<Item = &'a Arc<RuleFile>>) -> Self {
        let mut allowed = Self::default();
        for file in files {
            if let Some(path) = &file.source {
                allowed.read_file(path, file);
            }
        }
        allowed
    }

    fn read_file(&mut self, path: &Path, file: &RuleFile) {
        let rule_lines: HashSet<u32> = file.rules.iter().map(|rule| rule.number).collect();
        let mut pending = Vec::new();
        for (line, number) in file.content.split(|byte| *byte == b'\n').zip(1..) {
            if rule_lines.contains(&number) {
                let ids = pending.drain(..).map(|id| (number, id));
                self.by_comment.entry(path.to_path_buf()).or_default().extend(ids);
            }
            let text = String::from_utf8_lossy(line);
            let Some(names) = text.strip_prefix('#').and_then(|comment| comment.trim().strip_prefix(COMMENT))
            else {
                continue;
            };
            for name in names.split([',', ' ']).filter(|name| !name.is_empty()) {
                match FindingId::from_name(name) {
                    Some(id) => pending.push(id),
                    None => self.findings.push(unknown(path, number, line, name)),
                }
            }
        }
    }

    /// Whether a comment above its line allows the finding.
    pub(super) fn allows(&self, finding: &Finding) -> bool {
        let Some(Location { file: Some(file), line, .. }) = &finding.location else { return false };
        self.by_comment.get(file).is_some_and(|allowed| allowed.contains(&(*line, finding.id)))
    }
}

fn unknown(path: &Path, line: u32, text: &[u8], name: &str) -> Finding {
    let start = String::from_utf8_lossy(text).find(name).unwrap_or_default();
    let location = Location {
        file: Some(path.to_path_buf()),
        line,
        column: start as u32 + 1,
        len: name.len() as u32,
        text: text.to_vec(),
    };
    let names: Vec<_> = FindingId::ALL.iter().map(|id| id.as_str()).collect();
    let message = format!("this comment allows `{name}`, and no finding has this name");
    Finding::new(FindingId::UnknownFinding, location, message, format!("the names are {}", names.join(", ")))
}
