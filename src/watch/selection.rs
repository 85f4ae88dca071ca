//! Extensions and globs: which files are wanted at all. Knows no rules, and asks the file system nothing.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::watch::error::Error;
use crate::watch::options::Options;

/// Which files are wanted, by [`Options::extensions`] and [`Options::filters`]. Directories always are.
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
    /// Globs with a `/`, against the path relative to the base.
    paths: Option<GlobSet>,
    /// Globs without, against the last component.
    names: Option<GlobSet>,
}

impl Selection {
    /// Makes it from the options of a watch.
    ///
    /// # Errors
    /// [`Error::Filter`] for a glob that does not parse.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let (paths, names): (Vec<_>, Vec<_>) = options.filters.iter().partition(|glob| glob.contains('/'));
        let extensions = options.extensions.iter().map(|text| text.trim_start_matches('.').into()).collect();
        let (paths, names) = (globs(&paths)?, globs(&names)?);
        Ok(Self { base: options.rules.base.clone(), extensions, paths, names })
    }

    /// Whether a file with this absolute path is wanted.
    #[must_use]
    pub fn wants(&self, path: &Path) -> bool {
        let by_extension = self.extensions.is_empty()
            || path.extension().is_some_and(|extension| self.extensions.contains(extension));
        by_extension && self.matches_a_glob(path)
    }

    fn matches_a_glob(&self, path: &Path) -> bool {
        if self.paths.is_none() && self.names.is_none() {
            return true;
        }
        let relative = path.strip_prefix(&self.base).unwrap_or(path);
        let by_name = || path.file_name().is_some_and(|name| is_match(self.names.as_ref(), Path::new(name)));
        is_match(self.paths.as_ref(), relative) || by_name()
    }
}

fn is_match(globs: Option<&GlobSet>, path: &Path) -> bool {
    globs.is_some_and(|globs| globs.is_match(path))
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
