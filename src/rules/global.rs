//! The sources that apply to the whole tree, and the roots of the watched trees.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::builtin;
use super::error::Error;
use super::git::Repository;
use super::layer::Layer;
use super::options::Options;
use super::path_key;
use super::rule_file::{RuleFile, Symlink};
use super::sources::{Prefix, Sources};

/// The sources that apply to the whole tree. They are read again if one of their files changes, or a
/// directory above a root.
#[derive(Debug)]
pub(super) struct GlobalSources {
    patterns: Arc<RuleFile>,
    /// The files of [`Options::files`], in reverse order, because the last one decides.
    files: Vec<Arc<RuleFile>>,
    git_excludes: Option<Arc<RuleFile>>,
    builtin: Option<Arc<RuleFile>>,
    roots: Vec<Root>,
    /// The rule files outside the roots, whether they exist or not; sorted.
    outside_files: Vec<PathBuf>,
}

/// The working directory or a root of the watch. It counts even if a rule of a directory above it matches.
#[derive(Debug)]
struct Root {
    path: PathBuf,
    /// Where nested rule files begin: the top of the root's repository, or the root itself.
    top: PathBuf,
}

impl GlobalSources {
    /// Reads the sources. `roots` are the working directory, which comes first, and the roots of the watch.
    pub(super) fn read(options: &Options, roots: &[PathBuf]) -> Result<Self, Error> {
        let case = options.case();
        let mut files = Vec::new();
        for path in options.files.iter().rev() {
            let path = path_key::clean(&options.base.join(path));
            match RuleFile::read(&path, Layer::Watchignore, Symlink::Follow, case) {
                Some(file) => files.push(Arc::new(file)),
                None => {
                    let source = std::io::Error::from(std::io::ErrorKind::NotFound);
                    return Err(Error::File { path, source });
                }
            }
        }
        let roots: Vec<Root> = roots.iter().map(|path| Root::new(path)).collect();
        let git_excludes = options.git.excludes_file.as_deref().filter(|_| options.vcs);
        let git_excludes = git_excludes
            .and_then(|path| RuleFile::read(path, Layer::GitGlobal, Symlink::Follow, case))
            .map(Arc::new);
        Ok(Self {
            patterns: Arc::new(RuleFile::from_patterns(Layer::Patterns, &options.patterns, case)),
            files,
            git_excludes,
            builtin: options.builtin.then(|| Arc::new(builtin::rule_file(case))),
            outside_files: outside_files(options, &roots),
            roots,
        })
    }

    /// The sources of the root directory: patterns for file names apply, patterns for paths do not yet.
    pub(super) fn sources(&self) -> Sources {
        let low_to_high = self
            .builtin
            .iter()
            .chain(&self.git_excludes)
            .chain(self.files.iter().rev())
            .chain([&self.patterns]);
        low_to_high.fold(Sources::default(), |sources, file| sources.with(file, Prefix::Elsewhere))
    }

    /// All rule files among the sources.
    pub(super) fn rule_files(&self) -> impl Iterator<Item = &Arc<RuleFile>> {
        [&self.patterns].into_iter().chain(&self.files).chain(&self.git_excludes).chain(&self.builtin)
    }

    /// The file of `core.excludesFile`.
    pub(super) fn git_excludes(&self) -> Option<&Arc<RuleFile>> {
        self.git_excludes.as_ref()
    }

    /// The rule files outside the roots, whether they exist or not; sorted.
    pub(super) fn outside_files(&self) -> &[PathBuf] {
        &self.outside_files
    }

    /// Whether the patterns of a source are relative to the working directory.
    pub(super) fn is_relative_to_base(&self, file: &RuleFile) -> bool {
        file.layer() == Layer::Patterns || self.files.iter().any(|known| std::ptr::eq(&**known, file))
    }

    /// Whether a path is the working directory.
    pub(super) fn is_base(&self, path: &Path) -> bool {
        self.roots.first().is_some_and(|base| base.path == path)
    }

    /// Whether a path is the working directory or a root.
    pub(super) fn is_root(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| root.path == path)
    }

    /// Whether nested rule files of some root begin in a directory.
    pub(super) fn is_top(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| root.top == path)
    }

    /// Whether a root is an entry of a directory.
    pub(super) fn has_root_in(&self, dir: &Path) -> bool {
        self.roots.iter().any(|root| root.path.parent() == Some(dir))
    }

    /// Whether a root lies below a directory, at any depth.
    pub(super) fn has_root_below(&self, dir: &Path) -> bool {
        self.roots.iter().any(|root| root.path != dir && root.path.starts_with(dir))
    }
}

impl Root {
    fn new(path: &Path) -> Self {
        let top = Repository::containing(path).map_or(path, |repository| repository.top());
        Self { path: path.to_path_buf(), top: top.to_path_buf() }
    }

    /// The directories above the root that contain rule files for it.
    fn dirs_above(&self) -> impl Iterator<Item = &Path> {
        self.path.ancestors().skip(1).take_while(|dir| dir.starts_with(&self.top))
    }
}

fn outside_files(options: &Options, roots: &[Root]) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        options.files.iter().map(|file| path_key::clean(&options.base.join(file))).collect();
    if options.vcs {
        files.extend(options.git.excludes_file.clone());
        let repositories = roots.iter().filter_map(|root| Repository::with_top(&root.top));
        files.extend(repositories.map(|repository| repository.exclude_file()));
    }
    for dir in roots.iter().flat_map(Root::dirs_above) {
        files.extend(options.nested_files().map(|(name, _)| dir.join(name)));
    }
    files.sort_unstable();
    files.dedup();
    files
}
