//! Which paths go on: rules, extensions, filters. Keeps nothing of what it was asked.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::rules::{self, EntryKind, Rules};

use crate::watch::error::Error;
use crate::watch::options::Options;
use crate::watch::selection::Selection;
use crate::watch::stats::Stats;

/// Decides which paths count.
#[derive(Debug)]
pub(crate) struct Filter {
    rules: Rules,
    selection: Selection,
    always: HashSet<PathBuf>,
    /// What was found, and what was no change.
    pub(crate) stats: Stats,
    never: HashSet<PathBuf>,
}

impl Filter {
    /// Makes it from the options, the rules made from them and the files that count whatever these say.
    ///
    /// # Errors
    /// [`Error::Filter`] for a glob that does not parse.
    pub(crate) fn new(options: &Options, rules: Rules, always: HashSet<PathBuf>) -> Result<Self, Error> {
        let never = options.never.iter().cloned().collect();
        let selection = Selection::new(options)?;
        Ok(Self { rules, selection, always, never, stats: options.stats.clone() })
    }

    /// The rules it goes by.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The same answers for the entries of a directory that was just listed; `has` as for [`Rules::within`].
    pub(crate) fn within(&self, dir: &Path, has: &dyn Fn(&OsStr) -> bool) -> Within<'_> {
        Within { filter: self, rules: self.rules.for_listed_dir(dir, has) }
    }

    /// Whether a directory is to be watched and looked into.
    pub(crate) fn counts_dir(&self, path: &Path) -> bool {
        !self.rules.is_ignored(path, EntryKind::Dir)
    }

    /// Whether a file is relevant.
    pub(crate) fn counts_file(&self, path: &Path) -> bool {
        self.counts(path, || self.rules.is_ignored(path, EntryKind::File))
    }

    fn counts(&self, path: &Path, is_ignored: impl FnOnce() -> bool) -> bool {
        let wanted = self.is_always(path) || (self.selection.wants(path) && !is_ignored());
        wanted && !self.never.contains(path)
    }

    /// Why a file does not count, for those who look into the inner workings.
    pub(crate) fn why_not(&self, path: &Path) -> String {
        match self.rules.verdict(path, EntryKind::File).by {
            _ if self.never.contains(path) => "written by devrun itself".to_owned(),
            Some(rule) if self.rules.is_ignored(path, EntryKind::File) => format!("ignored by {rule}"),
            _ => "no extension or filter wants it".to_owned(),
        }
    }

    /// Whether rules are, or would be, read from a path.
    pub(crate) fn is_rule_file(&self, path: &Path) -> bool {
        self.rules.is_rule_file(path)
    }

    /// Whether a file counts whatever the rules and filters say.
    pub(crate) fn is_always(&self, path: &Path) -> bool {
        !self.always.is_empty() && self.always.contains(path)
    }
}

/// Decides for the entries of one directory.
#[derive(Debug)]
pub(crate) struct Within<'a> {
    filter: &'a Filter,
    rules: Option<rules::DirMatcher>,
}

impl Within<'_> {
    /// As [`Filter::counts_dir`].
    pub(crate) fn counts_dir(&self, path: &Path) -> bool {
        self.rules
            .as_ref()
            .map_or_else(|| self.filter.counts_dir(path), |rules| !rules.is_ignored(path, EntryKind::Dir))
    }

    /// As [`Filter::counts_file`].
    pub(crate) fn counts_file(&self, path: &Path) -> bool {
        let Some(rules) = &self.rules else { return self.filter.counts_file(path) };
        self.filter.counts(path, || rules.is_ignored(path, EntryKind::File))
    }

    /// As [`Filter::is_rule_file`].
    pub(crate) fn is_rule_file(&self, path: &Path) -> bool {
        self.rules.as_ref().map_or_else(|| self.filter.is_rule_file(path), |rules| rules.is_rule_file(path))
    }
}
