//! Findings that the project allows: by a comment in a rule file, or by the options.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::finding::{Finding, FindingId, Location};
use crate::rules::rule_file::RuleFile;

/// Start of a comment that allows findings of the next line: `# devrun: allow duplicate-rule, shadowed-rule`.
const COMMENT: &str = "devrun: allow";

/// The comments of rule files that allow findings.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    comments: Vec<AllowComment>,
    /// Comments that name no known kind.
    findings: Vec<Finding>,
}

/// A name in a comment.
#[derive(Debug)]
struct AllowComment {
    id: FindingId,
    location: Location,
    /// The line of the rule below; 0 if there is none.
    rule_line: u32,
    /// Whether a finding was allowed by it.
    used: bool,
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
        let mut pending = self.comments.len();
        for (line, number) in file.content.split(|byte| *byte == b'\n').zip(1..) {
            if rule_lines.contains(&number) {
                self.comments[pending..].iter_mut().for_each(|comment| comment.rule_line = number);
                pending = self.comments.len();
            }
            let text = String::from_utf8_lossy(line);
            let Some(names) = text.strip_prefix('#').and_then(|comment| comment.trim().strip_prefix(COMMENT))
            else {
                continue;
            };
            for name in names.split([',', ' ']).filter(|name| !name.is_empty()) {
                let location = location(path, number, line, name);
                match FindingId::from_name(name) {
                    Some(id) => {
                        self.comments.push(AllowComment { id, location, rule_line: 0, used: false });
                    }
                    None => self.findings.push(unknown(location, name)),
                }
            }
        }
    }

    /// Whether a comment above its line allows the finding.
    pub(super) fn allows(&mut self, finding: &Finding) -> bool {
        let Some(Location { file: Some(file), line, .. }) = &finding.location else { return false };
        let mut is_allowed = false;
        for comment in &mut self.comments {
            if (comment.id, comment.rule_line) == (finding.id, *line)
                && comment.location.file.as_ref() == Some(file)
            {
                (comment.used, is_allowed) = (true, true);
            }
        }
        is_allowed
    }

    /// The findings about the comments, after [`allows`](Self::allows) has seen the findings of the kinds for which
    /// `was_checked` is true.
    pub(super) fn into_findings(self, was_checked: impl Fn(FindingId) -> bool) -> Vec<Finding> {
        let is_unused =
            |comment: &AllowComment| !comment.used && (comment.rule_line == 0 || was_checked(comment.id));
        let unused = self.comments.into_iter().filter(is_unused).map(unused);
        self.findings.into_iter().chain(unused).collect()
    }
}

/// The place of a name in a comment.
fn location(path: &Path, line: u32, text: &[u8], name: &str) -> Location {
    let start = String::from_utf8_lossy(text).find(name).unwrap_or_default();
    Location {
        file: Some(path.to_path_buf()),
        line,
        column: start as u32 + 1,
        len: name.len() as u32,
        text: text.to_vec(),
    }
}

fn unknown(location: Location, name: &str) -> Finding {
    let names: Vec<_> = FindingId::ALL.iter().map(|id| id.as_str()).collect();
    let message = format!("this comment allows `{name}`, and no finding has this name");
    Finding::new(FindingId::UnknownFinding, location, message, format!("the names are {}", names.join(", ")))
}

fn unused(comment: AllowComment) -> Finding {
    let (message, remedy) = match comment.rule_line {
        0 => ("this comment has no rule below it", "move it above its rule, or remove it".to_owned()),
        line => (
            "this comment allows nothing",
            format!("remove `{}`: line {line} has no such finding", comment.id),
        ),
    };
    Finding::new(FindingId::UnusedAllow, comment.location, message, remedy)
}
