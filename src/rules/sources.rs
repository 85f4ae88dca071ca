//! The rule files that apply to the entries of one directory, in the order in which they decide.

use std::sync::Arc;

use super::layer::Layer;
use super::pattern::{EntryKind, Query};
use super::rule_file::{RuleFile, RuleLine};
use super::verdict::Rule;

/// All sources of a directory, the deciding one first. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources {
    list: Arc<[Source]>,
}

/// A rule file as it applies to one directory.
#[derive(Debug, Clone)]
struct Source {
    file: Arc<RuleFile>,
    prefix: Prefix,
}

/// The prefix of an absolute path that the patterns of a source do not see.
#[derive(Debug, Clone, Copy)]
pub(super) enum Prefix {
    /// The directory of the source and its slash, as a number of bytes.
    Bytes(usize),
    /// The path lies elsewhere, so only patterns for file names apply.
    Elsewhere,
}

impl Prefix {
    /// The prefix for paths below the directory of a source, given by its key.
    pub(super) fn below(dir_key: &[u8]) -> Self {
        Self::Bytes(dir_key.len() + 1)
    }
}

/// A rule that matched.
#[derive(Debug, Clone)]
pub(super) struct Match {
    file: Arc<RuleFile>,
    index: u32,
}

impl Match {
    /// Whether the rule takes the path back (`!`).
    pub(super) fn is_negated(&self) -> bool {
        self.line().pattern().is_negated()
    }

    /// The rule as a verdict names it.
    pub(super) fn rule(&self) -> Rule {
        let line = self.line();
        Rule {
            layer: self.file.layer(),
            source: self.file.source().map(Into::into),
            line: line.number(),
            column: line.column(),
            pattern: self.file.text(line).to_vec(),
            negated: line.pattern().is_negated(),
        }
    }

    fn line(&self) -> &RuleLine {
        &self.file.rules()[self.index as usize]
    }
}

impl Sources {
    /// The rule that decides about an entry of this directory: the match in the first source that has one.
    /// `key` is the key of the entry's path, `name` its last component.
    pub(super) fn decide(&self, key: &[u8], name: &[u8], kind: EntryKind) -> Option<Match> {
        let (source, index) = self.find(key, name, kind)?;
        Some(Match { file: Arc::clone(&source.file), index })
    }

    /// Whether the deciding rule ignores an entry of this directory. Does not allocate.
    pub(super) fn ignores(&self, key: &[u8], name: &[u8], kind: EntryKind) -> bool {
        self.find(key, name, kind)
            .is_some_and(|(source, index)| !source.file.rules()[index as usize].pattern().is_negated())
    }

    /// These sources and one more, which decides before the others of its layer and before lower layers.
    pub(super) fn with(&self, file: &Arc<RuleFile>, prefix: Prefix) -> Self {
        if file.is_idle() {
            return self.clone();
        }
        let at = self.list.iter().take_while(|source| source.file.layer() > file.layer()).count();
        let (before, after) = self.list.split_at(at);
        let new = Source { file: Arc::clone(file), prefix };
        Self { list: before.iter().cloned().chain([new]).chain(after.iter().cloned()).collect() }
    }

    /// These sources without some layers.
    pub(super) fn without(&self, layers: &[Layer]) -> Self {
        let kept = self.list.iter().filter(|source| !layers.contains(&source.file.layer()));
        Self { list: kept.cloned().collect() }
    }

    /// These sources, with a new prefix for some of them.
    pub(super) fn with_prefix(&self, applies_to: impl Fn(&RuleFile) -> bool, prefix: Prefix) -> Self {
        let changed = |source: &Source| Source {
            file: Arc::clone(&source.file),
            prefix: if applies_to(&source.file) { prefix } else { source.prefix },
        };
        Self { list: self.list.iter().map(changed).collect() }
    }

    fn find(&self, key: &[u8], name: &[u8], kind: EntryKind) -> Option<(&Source, u32)> {
        let query = Query::new(name, None, kind);
        self.list.iter().find_map(|source| {
            let path = match source.prefix {
                Prefix::Bytes(len) => key.get(len..),
                Prefix::Elsewhere => None,
            };
            source.file.last_match(query.with_path(path)).map(|index| (source, index))
        })
    }
}
