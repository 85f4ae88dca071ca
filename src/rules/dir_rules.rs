//! The rules of one directory, derived from the rules of its parent directory.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::content;
use super::git::Repository;
use super::options::Options;
use super::path_key;
use super::pattern::EntryKind;
use super::rule_file::{RuleFile, Symlink};
use super::sources::{GlobalSources, Sources};
use super::verdict::{Decision, Layer, Rule, Verdict};

/// The listing of a directory: answers whether an entry of a name exists, without regard to case. `None`: the
/// directory was not listed, so any entry may exist.
pub(super) type Listing<'a> = Option<&'a dyn Fn(&OsStr) -> bool>;

/// The rules that hold in one directory.
#[derive(Debug, Default)]
pub(super) struct DirRules {
    /// The sources that decide about the entries.
    sources: Sources,
    /// The rule that excludes this directory or one above it.
    pub(super) exclusion: Option<Arc<Exclusion>>,
    /// The rule files in this directory, and `info/exclude` of the repository whose top it is.
    pub(super) own_files: Vec<Arc<RuleFile>>,
    /// Whether this directory is the top of a root or lies below one.
    is_inside_top: bool,
    /// Whether nested rule files are read here: in a root, and in any repository.
    reads_nested_files: bool,
    /// Whether this may be a real directory: it is no symbolic link, and lies behind none.
    is_real: bool,
    /// Whether a root is an entry of this directory.
    pub(super) has_root: bool,
    /// The path of `info/exclude`, if this is the top of a repository.
    pub(super) exclude_file: Option<PathBuf>,
}

/// An excluded directory and the rule, or the line of a file in it, that excludes it.
#[derive(Debug)]
pub(super) struct Exclusion {
    pub dir: PathBuf,
    pub by: Arc<Rule>,
}

impl DirRules {
    /// The rules above the root directory.
    pub(super) fn above_all(global: &GlobalSources) -> Self {
        Self { sources: global.sources(), is_real: true, ..Self::default() }
    }

    /// Derives the rules of a directory from the rules of its parent, and reads its rule files.
    pub(super) fn enter(
        parent: &Self,
        path: &Path,
        options: &Options,
        global: &GlobalSources,
        listing: Listing<'_>,
    ) -> Self {
        let is_root = options.is_root(path);
        let mut dir = Self {
            sources: parent.sources.clone(),
            exclusion: if is_root { None } else { parent.exclusion_of(path) },
            is_inside_top: parent.is_inside_top || global.tops.iter().any(|top| top == path),
            reads_nested_files: parent.reads_nested_files,
            is_real: is_root
                || !parent.is_inside_top
                || (parent.is_real && (listing.is_some() || EntryKind::of_path(path) == EntryKind::Dir)),
            has_root: options.all_roots().any(|root| root.parent() == Some(path)),
            ..Self::default()
        };
        let prefix = Some(path_key::of(path).len() + 1);
        if dir.is_inside_top && !parent.is_inside_top {
            // The tree of a root starts here, so the sources above it do not apply.
            dir.sources = global.sources().with_prefix(|file| file.layer == Layer::GitGlobal, prefix);
            dir.reads_nested_files = true;
        }
        if dir.exclusion.is_none() && dir.is_real && options.is_below_root(path) {
            dir.exclusion = parent.exclusion_by_content(path, options, listing);
        }
        if dir.exclusion.is_none() && dir.is_real && options.vcs && may_have(listing, ".git".as_ref()) {
            dir.enter_repository(path, options, global);
        }
        if options.base == path {
            dir.sources = dir.sources.with_prefix(|file| global.is_relative_to_base(file), prefix);
        }
        if dir.exclusion.is_none() && dir.is_real && dir.reads_nested_files {
            dir.read_nested_files(path, options, listing);
        }
        dir
    }

    /// Whether everything in a subdirectory is excluded, so that it needs no rules of its own. A root is
    /// never excluded, and a directory above a root is looked into.
    pub(super) fn excludes_all_of(&self, subdirectory: &Path, options: &Options) -> bool {
        self.exclusion.is_some() && !options.all_roots().any(|root| root.starts_with(subdirectory))
    }

    /// Decides about an entry of this directory that is no root.
    pub(super) fn verdict(&self, key: &[u8], name: &[u8], kind: EntryKind) -> Verdict {
        if let Some(exclusion) = &self.exclusion {
            let (by, parent) = (Some(Arc::clone(&exclusion.by)), Some(exclusion.dir.clone()));
            return Verdict { decision: Decision::Ignored, by, parent };
        }
        let by = self.sources.decide(key, name, kind);
        let is_ignored = by.as_ref().is_some_and(|by| !by.negated);
        let decision = if is_ignored { Decision::Ignored } else { Decision::Watched };
        Verdict { decision, by, parent: None }
    }

    /// Whether an entry of this directory that is no root is ignored. Does not allocate.
    pub(super) fn ignores(&self, key: &[u8], name: &[u8], kind: EntryKind) -> bool {
        self.exclusion.is_some() || self.sources.ignores(key, name, kind)
    }

    /// The rule that excludes a directory in this one, or this one itself.
    fn exclusion_of(&self, path: &Path) -> Option<Arc<Exclusion>> {
        if let Some(exclusion) = &self.exclusion {
            return Some(Arc::clone(exclusion));
        }
        let key = path_key::of(path);
        let (_, name) = path_key::split(key)?;
        let by = self.sources.decide(key, name, EntryKind::Dir).filter(|by| !by.negated)?;
        Some(Arc::new(Exclusion { dir: path.to_path_buf(), by }))
    }

    /// The line that excludes a directory in this one by its content, unless a rule takes the directory back.
    fn exclusion_by_content(
        &self,
        path: &Path,
        options: &Options,
        listing: Listing<'_>,
    ) -> Option<Arc<Exclusion>> {
        let line = if options.builtin {
            content::excluding_line(path, |name| may_have(listing, name))
        } else {
            None
        };
        let by = Arc::new(line?);
        let key = path_key::of(path);
        let (_, name) = path_key::split(key)?;
        let is_taken_back = self.sources.decide(key, name, EntryKind::Dir).is_some();
        (!is_taken_back).then(|| Arc::new(Exclusion { dir: path.to_path_buf(), by }))
    }

    /// Replaces git's sources if this is the top of a repository: rules of a repository around it end here.
    fn enter_repository(&mut self, path: &Path, options: &Options, global: &GlobalSources) {
        let Some(repository) = Repository::with_top(path) else { return };
        self.reads_nested_files = true;
        let prefix = Some(path_key::of(path).len() + 1);
        self.sources = self.sources.without(&[Layer::Gitignore, Layer::GitExclude, Layer::GitGlobal]);
        if let Some(excludes) = &global.git_excludes {
            self.sources = self.sources.with(excludes, prefix);
        }
        let exclude_file = repository.exclude_file();
        let file = RuleFile::read(&exclude_file, Layer::GitExclude, Symlink::Follow, options.case());
        self.add_own_file(file, prefix);
        self.exclude_file = Some(exclude_file);
    }

    fn read_nested_files(&mut self, path: &Path, options: &Options, listing: Listing<'_>) {
        let prefix = Some(path_key::of(path).len() + 1);
        for (name, layer) in options.nested_files().filter(|(name, _)| may_have(listing, name)) {
            let file = RuleFile::read(&path.join(name), layer, Symlink::Skip, options.case());
            self.add_own_file(file, prefix);
        }
    }

    fn add_own_file(&mut self, file: Option<RuleFile>, prefix: Option<usize>) {
        if let Some(file) = file.map(Arc::new) {
            self.sources = self.sources.with(&file, prefix);
            self.own_files.push(file);
        }
    }
}

/// Whether a file may exist in a directory. A name with a slash is in no listing. A name that is not ASCII may
/// be listed in another Unicode normal form, which some file systems treat as the same name.
fn may_have(listing: Listing<'_>, name: &OsStr) -> bool {
    let is_listable = name.is_ascii() && !name.as_encoded_bytes().contains(&b'/');
    listing.is_none_or(|has_entry| !is_listable || has_entry(name))
}
