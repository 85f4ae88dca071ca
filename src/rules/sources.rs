//! The rule files that apply to the entries of one directory, and those that apply to the whole tree.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::git::Repository;
use super::options::{Error, Options};
use super::pattern::{Case, EntryKind, Query};
use super::rule_file::{RuleFile, Symlink};
use super::verdict::{Layer, Rule};

/// The rule files that apply to the entries of one directory, the deciding one first. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources {
    list: Arc<[Source]>,
}

/// A rule file as it applies to one directory.
#[derive(Debug, Clone)]
struct Source {
    file: Arc<RuleFile>,
    /// The length of the part of an absolute path that the patterns do not see: the directory of the source and
    /// its slash. `None`: the path lies elsewhere, so only patterns for file names apply.
    prefix: Option<usize>,
}

impl Sources {
    /// The rule that decides about an entry of this directory: the last match in the first source with any.
    /// `key` is the key of the entry's path, `name` its last component.
    pub(super) fn decide(&self, key: &[u8], name: &[u8], kind: EntryKind) -> Option<Arc<Rule>> {
        let (file, index) = self.find(key, name, kind)?;
        let line = &file.rules[index as usize];
        Some(Arc::new(Rule {
            layer: file.layer,
            source: file.source.clone(),
            line: line.number,
            column: line.column(),
            pattern: file.text(line).to_vec(),
            negated: line.pattern.negated,
        }))
    }

    /// Whether the deciding rule ignores an entry of this directory. Does not allocate.
    pub(super) fn ignores(&self, key: &[u8], name: &[u8], kind: EntryKind) -> bool {
        self.find(key, name, kind).is_some_and(|(file, index)| !file.rules[index as usize].pattern.negated)
    }

    /// These sources and one more, which decides before the others of its layer and before lower layers.
    pub(super) fn with(&self, file: &Arc<RuleFile>, prefix: Option<usize>) -> Self {
        if file.is_idle() {
            return self.clone();
        }
        let at = self.list.iter().take_while(|source| source.file.layer > file.layer).count();
        let (before, after) = self.list.split_at(at);
        let new = Source { file: Arc::clone(file), prefix };
        Self { list: before.iter().cloned().chain([new]).chain(after.iter().cloned()).collect() }
    }

    /// These sources without some layers.
    pub(super) fn without(&self, layers: &[Layer]) -> Self {
        let kept = self.list.iter().filter(|source| !layers.contains(&source.file.layer));
        Self { list: kept.cloned().collect() }
    }

    /// These sources, with a new prefix for some of them.
    pub(super) fn with_prefix(&self, applies_to: impl Fn(&RuleFile) -> bool, prefix: Option<usize>) -> Self {
        let changed = |source: &Source| Source {
            file: Arc::clone(&source.file),
            prefix: if applies_to(&source.file) { prefix } else { source.prefix },
        };
        Self { list: self.list.iter().map(changed).collect() }
    }

    fn find(&self, key: &[u8], name: &[u8], kind: EntryKind) -> Option<(&Arc<RuleFile>, u32)> {
        let mut query = Query::new(name, None, kind);
        self.list.iter().find_map(|Source { file, prefix }| {
            query.path = prefix.and_then(|len| key.get(len..));
            file.deciding(query, key).map(|index| (file, index))
        })
    }
}

/// The sources that apply to the whole tree. They are read again if one of their files changes, or a
/// directory above a root.
#[derive(Debug)]
pub(super) struct GlobalSources {
    patterns: Arc<RuleFile>,
    /// The files of [`Options::files`], in reverse order, because the last one decides.
    files: Vec<Arc<RuleFile>>,
    /// The file of `core.excludesFile`.
    pub(super) git_excludes: Option<Arc<RuleFile>>,
    /// The built-in tables, which decide last.
    builtin: Vec<Arc<RuleFile>>,
    /// For each root, the directory where its nested rule files begin: the top of its repository, or the root
    /// itself.
    pub(super) tops: Vec<PathBuf>,
    /// The rule files outside the roots, whether they exist or not; sorted.
    pub(super) outside_files: Vec<PathBuf>,
}

impl GlobalSources {
    /// Reads the sources.
    pub(super) fn read(options: &Options) -> Result<Self, Error> {
        let case = options.case();
        let mut files = Vec::new();
        for path in options.files.iter().rev() {
            let Some(file) = RuleFile::read(path, Layer::Watchignore, Symlink::Follow, case) else {
                return Err(Error::File { path: path.clone(), source: io::ErrorKind::NotFound.into() });
            };
            files.push(Arc::new(file));
        }
        let top_of =
            |root: &PathBuf| Repository::containing(root).map_or(root.clone(), |found| found.top.into());
        let tops: Vec<PathBuf> = options.all_roots().map(top_of).collect();
        let git_excludes = options.git.excludes_file.as_deref().filter(|_| options.vcs);
        let git_excludes = git_excludes
            .and_then(|path| RuleFile::read(path, Layer::GitGlobal, Symlink::Follow, case))
            .map(Arc::new);
        Ok(Self {
            patterns: Arc::new(RuleFile::from_patterns(&options.patterns, case)),
            files,
            git_excludes,
            builtin: if options.builtin { builtin(case).map(Arc::new).into() } else { Vec::new() },
            outside_files: outside_files(options, &tops),
            tops,
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
        low_to_high.fold(Sources::default(), |sources, file| sources.with(file, None))
    }

    /// All rule files among the sources.
    pub(super) fn rule_files(&self) -> impl Iterator<Item = &Arc<RuleFile>> {
        [&self.patterns].into_iter().chain(&self.files).chain(&self.git_excludes).chain(&self.builtin)
    }

    /// Whether the patterns of a source are relative to the working directory.
    pub(super) fn is_relative_to_base(&self, file: &RuleFile) -> bool {
        file.layer == Layer::Patterns || self.files.iter().any(|known| std::ptr::eq(&**known, file))
    }
}

/// The rule files outside the roots. `tops` as in [`GlobalSources::tops`], in the order of the roots.
fn outside_files(options: &Options, tops: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = options.files.clone();
    if options.vcs {
        files.extend(options.git.excludes_file.clone());
        let repositories = tops.iter().filter_map(|top| Repository::with_top(top));
        files.extend(repositories.map(|repository| repository.exclude_file()));
    }
    for (root, top) in options.all_roots().zip(tops) {
        for dir in root.ancestors().skip(1).take_while(|dir| dir.starts_with(top)) {
            files.extend(options.nested_files().map(|(name, _)| dir.join(name)));
        }
    }
    files.sort_unstable();
    files.dedup();
    files
}

/// The built-in tables, the lowest layer: names that no project gives to its sources. A verdict names the
/// pattern.
///
/// The first table contains what version control, editors, desktops and language runtimes write next to
/// sources. The second one contains data: what programs save, and no program is started again for. Case does
/// not count there, and a directory is never data by its name.
///
/// Result directories such as `target/`, `build/` and `dist/` are left to the project's own ignore files,
/// because in some projects such a directory contains sources. A missed edit is worse than one needless
/// restart. Any other layer can take a name back with `!`.
fn builtin(case: Case) -> [RuleFile; 2] {
    let parse = |content: &[u8], case| RuleFile::parse(None, Layer::Builtin, content.to_vec(), case);
    let mut data = parse(include_bytes!("data.watchignore"), Case::Insensitive);
    data.is_data = true;
    [parse(include_bytes!("builtin.watchignore"), case), data]
}
