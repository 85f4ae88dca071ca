//! The ignore sources that count in one directory, in the order in which they are asked.
//!
//! Knows neither the file system nor which directories exist: it is handed rule files that were read.

use std::sync::Arc;

use super::layer::Layer;
use super::pattern::{EntryKind, Query};
use super::rule_file::RuleFile;
use super::verdict::Rule;

/// Where in an absolute path the part begins that a source's rules see.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reach {
    /// Behind so many bytes: the source's directory and its slash.
    Below(usize),
    /// The path is elsewhere: only rules on the last component apply.
    Elsewhere,
}

impl Reach {
    /// The reach of a source for the paths below its directory, given by its key.
    pub(super) fn below(dir: &[u8]) -> Self {
        Self::Below(dir.len() + 1)
    }
}

/// One source, as seen from one directory.
#[derive(Debug, Clone)]
struct Source {
    file: Arc<RuleFile>,
    reach: Reach,
}

/// A rule of a file.
#[derive(Debug, Clone)]
pub(super) struct Match {
    file: Arc<RuleFile>,
    line: u32,
}

impl Match {
    pub(super) fn is_negated(&self) -> bool {
        self.file.lines[self.line as usize].pattern.negated
    }

    pub(super) fn rule(&self) -> Rule {
        let line = &self.file.lines[self.line as usize];
        Rule {
            layer: self.file.layer,
            source: self.file.source.clone(),
            line: line.number,
            column: self.file.column(line),
            pattern: self.file.text(line).to_vec(),
            negated: line.pattern.negated,
        }
    }
}

/// All sources of a directory, the one that is asked first at the front. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources {
    list: Arc<[Source]>,
}

impl Sources {
    /// Whether the entry of this directory is ignored, and by which rule: the first source with a match has
    /// the word. `path` is its whole key, `name` the last component.
    pub(super) fn decide(&self, path: &[u8], name: &[u8], kind: EntryKind) -> Option<Match> {
        let (source, line) = self.find(path, name, kind)?;
        Some(Match { file: Arc::clone(&source.file), line })
    }

    /// [`Sources::decide`] without the explanation.
    pub(super) fn ignores(&self, path: &[u8], name: &[u8], kind: EntryKind) -> bool {
        self.find(path, name, kind)
            .is_some_and(|(source, line)| !source.file.lines[line as usize].pattern.negated)
    }

    fn find(&self, path: &[u8], name: &[u8], kind: EntryKind) -> Option<(&Source, u32)> {
        let query = Query::new(name, None, kind);
        self.list.iter().find_map(|source| {
            let path = match source.reach {
                Reach::Below(start) => path.get(start..),
                Reach::Elsewhere => None,
            };
            source.file.last_match(query.seen_by(path)).map(|line| (source, line))
        })
    }

    /// These sources and one more: in front of those of its layer and of the lesser layers.
    pub(super) fn with(&self, file: &Arc<RuleFile>, reach: Reach) -> Self {
        if file.is_idle() {
            return self.clone();
        }
        let at = self.list.iter().take_while(|source| source.file.layer > file.layer).count();
        let (before, after) = self.list.split_at(at);
        let new = Source { file: Arc::clone(file), reach };
        Self { list: before.iter().cloned().chain([new]).chain(after.iter().cloned()).collect() }
    }

    /// These sources without those of some layers.
    pub(super) fn without(&self, layers: &[Layer]) -> Self {
        Self {
            list: self.list.iter().filter(|source| !layers.contains(&source.file.layer)).cloned().collect(),
        }
    }

    /// These sources, where those that are anchored at `base` and apply elsewhere by name only get a new reach.
    pub(super) fn anchored(&self, is_anchored: impl Fn(&RuleFile) -> bool, reach: Reach) -> Self {
        let anchor = |source: &Source| {
            let reach = if is_anchored(&source.file) { reach } else { source.reach };
            Source { file: Arc::clone(&source.file), reach }
        };
        Self { list: self.list.iter().map(anchor).collect() }
    }
}
