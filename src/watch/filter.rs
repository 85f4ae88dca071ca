//! Which paths count: the rules, the selected extensions and globs, and the lists of exceptions.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::{error::Error, fs::Links, options::Options, stats::Stats};
use crate::rules::{self, EntryKind, Rules};

/// The files selected by [`Options::extensions`] and [`Options::filters`]. Every directory is selected.
///
/// ```
/// use devrun::{rules, watch};
/// use std::path::Path;
///
/// # fn main() -> Result<(), watch::Error> {
/// let mut options = watch::Options::new(rules::Options::new("/app"));
/// options.extensions = vec!["rs".into()];
/// options.filters = vec!["src/**".into()];
/// let selection = watch::Selection::new(&options)?;
/// assert!(selection.wants(Path::new("/app/src/main.rs")));
/// assert!(!selection.wants(Path::new("/app/src/notes.txt")));
/// assert!(!selection.wants(Path::new("/app/build.rs")));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Selection {
    base: PathBuf,
    extensions: HashSet<OsString>,
    /// Globs with a `/`, matched against the path relative to `base`.
    paths: GlobSet,
    /// Globs without `/`, matched against the last component.
    names: GlobSet,
}

impl Selection {
    /// Builds the selection of a watch.
    ///
    /// # Errors
    /// [`Error::Filter`] if a glob does not parse.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let (paths, names): (Vec<_>, Vec<_>) = options.filters.iter().partition(|glob| glob.contains('/'));
        let extensions = options.extensions.iter().map(|text| text.trim_start_matches('.').into()).collect();
        let (paths, names) = (globs(&paths)?, globs(&names)?);
        Ok(Self { base: options.rules.base.clone(), extensions, paths, names })
    }

    /// Whether a file with this absolute path is selected.
    #[must_use]
    pub fn wants(&self, path: &Path) -> bool {
        let by_extension = self.extensions.is_empty()
            || path.extension().is_some_and(|extension| self.extensions.contains(extension));
        if !by_extension || (self.paths.is_empty() && self.names.is_empty()) {
            return by_extension;
        }
        let relative = path.strip_prefix(&self.base).unwrap_or(path);
        let by_name = || path.file_name().is_some_and(|name| self.names.is_match(name));
        self.paths.is_match(relative) || by_name()
    }
}

fn globs(texts: &[&String]) -> Result<GlobSet, Error> {
    let mut set = GlobSetBuilder::new();
    for text in texts {
        // `/src/*.rs` and `./src/*.rs` mean `src/*.rs`.
        let relative = text.trim_start_matches("./").trim_start_matches('/');
        set.add(
            GlobBuilder::new(relative)
                .literal_separator(true)
                .build()
                .map_err(|error| filter_error(text, &error))?,
        );
    }
    set.build().map_err(|error| filter_error(texts.first().map_or("", |text| text), &error))
}

fn filter_error(glob: &str, error: &globset::Error) -> Error {
    Error::Filter { glob: glob.to_owned(), reason: error.kind().to_string() }
}

/// Decides which paths count. Stores no answer.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) rules: Rules,
    selection: Selection,
    always: HashSet<PathBuf>,
    never: HashSet<PathBuf>,
    /// The counters of found files and ignored events.
    pub(crate) stats: Stats,
}

impl Filter {
    /// `always` are files that count even if the rules ignore them.
    pub(crate) fn new(options: &Options, rules: Rules, always: HashSet<PathBuf>) -> Result<Self, Error> {
        Ok(Self {
            rules,
            selection: Selection::new(options)?,
            always,
            never: options.never.iter().cloned().collect(),
            stats: options.stats.clone(),
        })
    }

    /// The filter for the entries of one directory. `has` as for [`Rules::for_listed_dir`].
    pub(crate) fn within(&self, dir: &Path, has: &dyn Fn(&OsStr) -> bool) -> DirFilter<'_> {
        DirFilter { filter: self, rules: self.rules.for_listed_dir(dir, has) }
    }

    /// Whether a directory is to be watched. A watched directory can be excluded by its content: then it is
    /// watched only for an edit of the file that excludes it.
    pub(crate) fn counts_dir(&self, path: &Path) -> bool {
        !self.rules.excludes_name_of_dir(path)
    }

    /// Whether a file is relevant.
    pub(crate) fn counts_file(&self, path: &Path) -> bool {
        self.counts(path, || self.rules.is_ignored(path, EntryKind::File))
    }

    fn counts(&self, path: &Path, is_ignored: impl FnOnce() -> bool) -> bool {
        let is_wanted = self.is_always(path) || (self.selection.wants(path) && !is_ignored());
        is_wanted && !self.never.contains(path)
    }

    /// Why a file does not count, for the log.
    pub(crate) fn why_not(&self, path: &Path) -> String {
        match self.rules.verdict(path, EntryKind::File).by {
            _ if self.never.contains(path) => "devrun writes the file itself".to_owned(),
            Some(rule) if self.rules.is_ignored(path, EntryKind::File) => format!("ignored by {rule}"),
            _ => "no extension or filter matches".to_owned(),
        }
    }

    /// Whether a file counts even if the rules ignore it or the selection leaves it out.
    pub(crate) fn is_always(&self, path: &Path) -> bool {
        !self.always.is_empty() && self.always.contains(path)
    }

    /// Whether the file at a path is what a symbolic link there leads to.
    pub(crate) fn links(&self, path: &Path) -> Links {
        if self.is_always(path) { Links::Follow } else { Links::Keep }
    }
}

/// Decides for the entries of one directory.
#[derive(Debug)]
pub(crate) struct DirFilter<'a> {
    filter: &'a Filter,
    rules: Option<rules::DirMatcher>,
}

impl DirFilter<'_> {
    /// Whether the content of the directory excludes it.
    pub(crate) fn is_excluded(&self) -> bool {
        self.rules.as_ref().is_some_and(rules::DirMatcher::is_excluded)
    }

    /// As [`Filter::counts_dir`].
    pub(crate) fn counts_dir(&self, path: &Path) -> bool {
        match &self.rules {
            Some(rules) => !rules.is_ignored(path, EntryKind::Dir),
            None => self.filter.counts_dir(path),
        }
    }

    /// As [`Filter::counts_file`].
    pub(crate) fn counts_file(&self, path: &Path) -> bool {
        match &self.rules {
            Some(rules) => self.filter.counts(path, || rules.is_ignored(path, EntryKind::File)),
            None => self.filter.counts_file(path),
        }
    }

    /// As [`Filter::links`].
    pub(crate) fn links(&self, path: &Path) -> Links {
        self.filter.links(path)
    }

    /// As [`Rules::is_rule_file`].
    pub(crate) fn is_rule_file(&self, path: &Path) -> bool {
        match &self.rules {
            Some(rules) => rules.is_rule_file(path),
            None => self.filter.rules.is_rule_file(path),
        }
    }
}
