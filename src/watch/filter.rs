//! Which paths go on: rules, extensions, filters. Keeps nothing of what it was asked.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::rules::Rules;

use super::error::Error;
use super::options::Options;

/// Decides which paths count.
#[derive(Debug)]
pub(crate) struct Filter {
    rules: Rules,
    base: PathBuf,
    extensions: HashSet<OsString>,
    /// Globs with a `/`, against the path relative to the base.
    paths: Option<GlobSet>,
    /// Globs without, against the last component.
    names: Option<GlobSet>,
    always: HashSet<PathBuf>,
}

impl Filter {
    /// Makes it from the options, the rules made from them and the files that count whatever these say.
    ///
    /// # Errors
    /// [`Error::Filter`] for a glob that does not parse.
    pub(crate) fn new(options: &Options, rules: Rules, always: HashSet<PathBuf>) -> Result<Self, Error> {
        let base = options.rules.base.clone();
        let (paths, names): (Vec<_>, Vec<_>) = options.filters.iter().partition(|glob| glob.contains('/'));
        let extensions = options.extensions.iter().map(|text| text.trim_start_matches('.').into()).collect();
        let (paths, names) = (globs(&paths)?, globs(&names)?);
        Ok(Self { rules, base, extensions, paths, names, always })
    }

    /// The rules it goes by.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether a directory is to be watched and looked into.
    pub(crate) fn counts_dir(&self, path: &Path) -> bool {
        !self.rules.is_ignored(path, true)
    }

    /// Whether a file is relevant.
    pub(crate) fn counts_file(&self, path: &Path) -> bool {
        self.is_always(path) || (self.is_wanted(path) && !self.rules.is_ignored(path, false))
    }

    /// Whether rules are, or would be, read from a path.
    pub(crate) fn is_rule_file(&self, path: &Path) -> bool {
        self.rules.is_rule_file(path)
    }

    /// Whether a file counts whatever the rules and filters say.
    pub(crate) fn is_always(&self, path: &Path) -> bool {
        !self.always.is_empty() && self.always.contains(path)
    }

    fn is_wanted(&self, path: &Path) -> bool {
        let by_extension = self.extensions.is_empty()
            || path.extension().is_some_and(|extension| self.extensions.contains(extension));
        by_extension && self.matches_a_glob(path)
    }

    fn matches_a_glob(&self, path: &Path) -> bool {
        if self.paths.is_none() && self.names.is_none() {
            return true;
        }
        let relative = path.strip_prefix(&self.base).unwrap_or(path);
        self.paths.as_ref().is_some_and(|globs| globs.is_match(relative))
            || path
                .file_name()
                .is_some_and(|name| self.names.as_ref().is_some_and(|globs| globs.is_match(name)))
    }
}

fn globs(texts: &[&String]) -> Result<Option<GlobSet>, Error> {
    if texts.is_empty() {
        return Ok(None);
    }
    let mut set = GlobSetBuilder::new();
    for text in texts {
        // `/src/*.rs` and `./src/*.rs` are meant from the base, as `src/*.rs` is.
        let relative = text.trim_start_matches("./").trim_start_matches('/');
        set.add(
            GlobBuilder::new(relative)
                .literal_separator(true)
                .build()
                .map_err(|error| refused(text, &error))?,
        );
    }
    set.build().map(Some).map_err(|error| refused(texts[0], &error))
}

fn refused(glob: &str, error: &globset::Error) -> Error {
    Error::Filter { glob: glob.to_owned(), reason: error.kind().to_string() }
}
