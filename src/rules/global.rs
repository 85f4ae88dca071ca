//! What holds for the whole tree: patterns given by hand, files named by path, git's global file, the
//! built-in table, and where the trees begin.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::builtin;
use super::error::Error;
use super::git;
use super::layer::Layer;
use super::options::Options;
use super::path_key as key;
use super::rule_file::RuleFile;
use super::sources::{Reach, Sources};

/// Read anew when one of its files or what stands above the trees changed.
#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) flags: Arc<RuleFile>,
    /// Files named by path, the last one first.
    pub(super) files: Vec<Arc<RuleFile>>,
    pub(super) global: Option<Arc<RuleFile>>,
    pub(super) builtin: Option<Arc<RuleFile>>,
    /// The working directory and the roots.
    pub(super) anchors: Vec<Anchor>,
    /// The rule files that stand outside the trees, whether they exist or not; sorted.
    pub(super) outside: Vec<PathBuf>,
}

/// A place that counts because it was named: nothing above it can exclude it.
#[derive(Debug)]
pub(super) struct Anchor {
    pub(super) path: PathBuf,
    /// Where its per-directory files begin: the top of its repository, or itself.
    pub(super) top: PathBuf,
}

impl Fixed {
    pub(super) fn read(options: &Options, anchors: &[PathBuf]) -> Result<Self, Error> {
        let fold = options.git.ignore_case;
        let mut files = Vec::new();
        for path in options.files.iter().rev() {
            let path = key::clean(&options.base.join(path));
            match RuleFile::read(&path, Layer::Watchignore, true, fold) {
                Some(file) => files.push(Arc::new(file)),
                None => {
                    let source = std::io::Error::from(std::io::ErrorKind::NotFound);
                    return Err(Error::File { path, source });
                }
            }
        }
        let anchors: Vec<Anchor> = anchors
            .iter()
            .map(|path| Anchor { path: path.clone(), top: git::top_of(path).unwrap_or(path).to_path_buf() })
            .collect();
        let global = options.git.excludes_file.as_deref().filter(|_| options.vcs);
        Ok(Self {
            flags: Arc::new(RuleFile::from_patterns(Layer::Patterns, &options.patterns, fold)),
            files,
            global: global.and_then(|path| RuleFile::read(path, Layer::GitGlobal, true, fold)).map(Arc::new),
            builtin: options.builtin.then(|| Arc::new(builtin::file(fold))),
            outside: outside_files(options, &anchors),
            anchors,
        })
    }

    /// The sources before any directory adds its own: rules on the last component apply everywhere.
    pub(super) fn sources(&self) -> Sources {
        let start = Sources::default();
        let low_to_high =
            self.builtin.iter().chain(&self.global).chain(self.files.iter().rev()).chain([&self.flags]);
        low_to_high.fold(start, |sources, file| sources.with(file, Reach::Elsewhere))
    }

    /// All of its rule files.
    pub(super) fn rule_files(&self) -> impl Iterator<Item = &Arc<RuleFile>> {
        [&self.flags].into_iter().chain(&self.files).chain(&self.global).chain(&self.builtin)
    }

    pub(super) fn is_anchor(&self, path: &Path) -> bool {
        self.anchors.iter().any(|anchor| anchor.path == path)
    }

    pub(super) fn is_top(&self, path: &Path) -> bool {
        self.anchors.iter().any(|anchor| anchor.top == path)
    }

    /// Whether a named place lies below a directory.
    pub(super) fn has_anchor_below(&self, dir: &Path) -> bool {
        self.anchors.iter().any(|anchor| anchor.path != dir && anchor.path.starts_with(dir))
    }
}

fn outside_files(options: &Options, anchors: &[Anchor]) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        options.files.iter().map(|file| key::clean(&options.base.join(file))).collect();
    if options.vcs {
        files.extend(options.git.excludes_file.clone());
        let common_dirs = anchors.iter().filter_map(|anchor| git::common_dir(&anchor.top));
        files.extend(common_dirs.map(|dir| dir.join("info/exclude")));
    }
    for anchor in anchors {
        let above = anchor.path.ancestors().skip(1).take_while(|dir| dir.starts_with(&anchor.top));
        files.extend(above.flat_map(|dir| options.names().map(|(name, _)| dir.join(name))));
    }
    files.sort_unstable();
    files.dedup();
    files
}
