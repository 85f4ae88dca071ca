//! The rules of a working directory: all layers together, cached by directory.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::hash::BuildHasherDefault;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use super::content;
use super::dir_rules::{DirRules, Listing};
use super::options::{Error, Options};
use super::path_key::{self, KeyHasher};
use super::pattern::EntryKind;
use super::rule_file::RuleFile;
use super::sources::GlobalSources;
use super::verdict::{Decision, Defect, Rule, Verdict};
use crate::sync;

/// The rules of a working directory. Clones share one cache; all methods may be called from several threads.
///
/// Rule files are read when a directory is first asked about, and kept until [`Rules::forget`]. A question
/// about an entry of a directory that was asked about before makes no system call and takes no exclusive
/// lock, except that the built-in rules look into a file such as `app.db`, whose content says what it is.
///
/// ```
/// use devrun::rules::{EntryKind, Options, Rules};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join(".watchignore"), "# saved by the server\n/downloads/\n")?;
/// let rules = Rules::new(Options::new(dir.path()))?;
///
/// let verdict = rules.verdict(&dir.path().join("downloads/boq.html"), EntryKind::File);
/// assert!(verdict.is_ignored());
/// assert_eq!(verdict.by.as_ref().map(|rule| rule.line), Some(2));
/// assert!(!rules.is_ignored(&dir.path().join("src/main.rs"), EntryKind::File));
///
/// // An edit of a rule file takes effect once its directory is forgotten.
/// std::fs::write(dir.path().join(".watchignore"), "")?;
/// rules.forget(dir.path());
/// assert!(!rules.is_ignored(&dir.path().join("downloads/boq.html"), EntryKind::File));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Rules {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// All paths are absolute and clean.
    options: Options,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    global: Arc<GlobalSources>,
    cache: DirCache,
}

impl Rules {
    /// Makes the rules of a working directory.
    ///
    /// # Errors
    /// [`Error`] if a file of [`Options::files`] cannot be read, or the base is relative and this process has no
    /// working directory.
    pub fn new(options: Options) -> Result<Self, Error> {
        let mut options = options;
        options.base = path_key::clean(&options.absolute_base()?);
        for path in options.roots.iter_mut().chain(&mut options.files) {
            *path = path_key::clean(&options.base.join(&*path));
        }
        options.roots.sort_unstable();
        options.roots.dedup();
        let global = Arc::new(GlobalSources::read(&options)?);
        let state = RwLock::new(State { global, cache: DirCache::default() });
        Ok(Self { shared: Arc::new(Shared { options, state }) })
    }

    /// Decides about an absolute path, which need not exist. `.` and `..` are removed from it by text.
    #[must_use]
    pub fn verdict(&self, path: &Path, kind: EntryKind) -> Verdict {
        let watched = Verdict { decision: Decision::Watched, by: None, parent: None };
        if let Some((dir, key, name)) = self.rules_for(path) {
            if self.shared.is_root(&dir, path) {
                return watched;
            }
            let verdict = dir.verdict(key, name, kind);
            return match self.exclusion_by_content(path, kind) {
                Some(by) if !verdict.is_ignored() => {
                    Verdict { decision: Decision::Ignored, by: Some(by), parent: None }
                }
                _ => verdict,
            };
        }
        let clean = path_key::clean(path);
        let is_same = clean.as_os_str() == path.as_os_str();
        if is_same || !clean.has_root() { watched } else { self.verdict(&clean, kind) }
    }

    /// Whether an absolute path is ignored. This is [`Rules::verdict`] without the explanation: it does not
    /// allocate if the directory was asked about before.
    #[must_use]
    pub fn is_ignored(&self, path: &Path, kind: EntryKind) -> bool {
        match self.rules_for(path) {
            Some((dir, key, name)) => {
                !self.shared.is_root(&dir, path)
                    && (dir.ignores(key, name, kind) || self.exclusion_by_content(path, kind).is_some())
            }
            None => self.verdict(path, kind).is_ignored(),
        }
    }

    /// Whether a rule for its name, or for a directory above, excludes a directory. Its content is not looked at.
    pub(crate) fn excludes_name_of_dir(&self, path: &Path) -> bool {
        let found = self.rules_for(path);
        found.is_some_and(|(dir, key, name)| {
            !self.shared.is_root(&dir, path) && dir.ignores(key, name, EntryKind::Dir)
        })
    }

    /// The line of a file in a directory that excludes the directory.
    fn exclusion_by_content(&self, path: &Path, kind: EntryKind) -> Option<Arc<Rule>> {
        if kind != EntryKind::Dir || !self.shared.options.builtin {
            return None;
        }
        let rules = self.cached(path_key::of(path)).or_else(|| self.learn(path, None))?;
        let exclusion = rules.exclusion.as_ref().filter(|exclusion| exclusion.dir == path)?;
        Some(Arc::clone(&exclusion.by))
    }

    /// The rules for the entries of a directory that the caller has just listed. `has_entry` says whether an
    /// entry of a name exists, without regard to case. `None` if the path contains `.`, `..` or repeated
    /// slashes.
    pub(crate) fn for_listed_dir(
        &self,
        dir: &Path,
        has_entry: &dyn Fn(&OsStr) -> bool,
    ) -> Option<DirMatcher> {
        let key = path_key::of(dir);
        let rules = self.cached(key).or_else(|| self.learn(dir, Some(has_entry)))?;
        let is_here =
            |file: &PathBuf| path_key::split(path_key::of(file)).is_some_and(|(parent, _)| parent == key);
        let has_outside_file = sync::read(&self.shared.state).global.outside_files.iter().any(is_here);
        Some(DirMatcher { rules: self.clone(), dir: rules, has_outside_file })
    }

    /// Whether rules are read from a path, or would be if it existed: an edit there may change the rules.
    /// This includes `.git`, because nested rule files depend on where a repository starts, and `CACHEDIR.TAG`.
    #[must_use]
    pub fn is_rule_file(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default();
        if self.shared.is_rule_file_name(name) {
            return true;
        }
        let state = sync::read(&self.shared.state);
        let is_exclude_file = |dir: &Arc<DirRules>| dir.exclude_file.as_deref() == Some(path);
        state.global.outside_files.binary_search_by(|known| known.as_path().cmp(path)).is_ok()
            || (self.shared.options.vcs
                && name == "exclude"
                && state.cache.dirs.values().any(is_exclude_file))
    }

    /// The rule files that a watch on the roots does not see, sorted, whether they exist or not:
    /// `info/exclude`, `core.excludesFile`, [`Options::files`], and nested files above a root.
    #[must_use]
    pub fn outside_files(&self) -> Vec<PathBuf> {
        let state = sync::read(&self.shared.state);
        let mut files = state.global.outside_files.clone();
        files.extend(state.cache.dirs.values().filter_map(|dir| dir.exclude_file.clone()));
        drop(state);
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Forgets the rules of a directory and below, so the next question reads them again. Call this after a
    /// rule file in the directory was created, edited, renamed or removed, and after the directory itself was
    /// created, moved or removed: its rules may be known from a time when it did not exist.
    ///
    /// For a directory above a root or above one of [`Rules::outside_files`], everything is read again.
    pub fn forget(&self, dir: &Path) {
        let dir = path_key::clean(dir);
        let affects_all = self.shared.options.all_roots().any(|root| root.starts_with(&dir))
            || self.outside_files().iter().any(|file| file.starts_with(&dir));
        if !affects_all {
            sync::write(&self.shared.state).cache.forget(&dir);
            return;
        }
        // If a file of the options has disappeared, its rules apply until it is back.
        let global = GlobalSources::read(&self.shared.options).ok();
        let mut state = sync::write(&self.shared.state);
        if let Some(global) = global {
            state.global = Arc::new(global);
        }
        state.cache.clear();
    }

    /// The bad lines of all rule files that were read so far, by file and line.
    #[must_use]
    pub fn defects(&self) -> Vec<Defect> {
        self.rule_files().iter().flat_map(|file| file.defects()).collect()
    }

    /// All rule files that were read so far, sorted by path. [`Options::patterns`] comes first, then the
    /// built-in table.
    pub(super) fn rule_files(&self) -> Vec<Arc<RuleFile>> {
        let state = sync::read(&self.shared.state);
        let mut files: Vec<Arc<RuleFile>> = state.global.rule_files().cloned().collect();
        files.extend(state.cache.dirs.values().flat_map(|dir| &dir.own_files).cloned());
        drop(state);
        files.sort_by(|a, b| (&a.source, b.layer).cmp(&(&b.source, a.layer)));
        files
    }

    /// The options. All their paths are absolute and clean.
    pub(super) fn options(&self) -> &Options {
        &self.shared.options
    }

    /// The watched trees: the roots of the options, or the working directory if there are none.
    pub(super) fn watched_roots(&self) -> &[PathBuf] {
        let options = self.options();
        if options.roots.is_empty() { std::slice::from_ref(&options.base) } else { &options.roots }
    }

    fn cached(&self, dir_key: &[u8]) -> Option<Arc<DirRules>> {
        sync::read(&self.shared.state).cache.dirs.get(dir_key).cloned()
    }

    /// The rules of a path's directory, the key of the path, and its last component. `None` if the path is not
    /// clean, and for the root directory.
    fn rules_for<'p>(&self, path: &'p Path) -> Option<(Arc<DirRules>, &'p [u8], &'p [u8])> {
        let key = path_key::of(path);
        let (parent, name) = path_key::split(key)?;
        let learn = || if path_key::is_clean(key) { self.learn(path.parent()?, None) } else { None };
        Some((self.cached(parent).or_else(learn)?, key, name))
    }

    /// Reads the rules of a directory and of the directories above it that are not cached. `None` if the path
    /// is not clean. `listing` is that of the directory itself.
    fn learn(&self, dir: &Path, listing: Listing<'_>) -> Option<Arc<DirRules>> {
        if !path_key::is_clean(path_key::of(dir)) {
            return None;
        }
        let (global, version) = {
            let state = sync::read(&self.shared.state);
            (Arc::clone(&state.global), state.cache.version)
        };
        let mut unknown = Vec::new();
        let mut known = None;
        for above in dir.ancestors() {
            known = self.cached(path_key::of(above));
            if known.is_some() {
                break;
            }
            unknown.push(above);
        }
        let mut learned = Vec::new();
        let mut rules = known.unwrap_or_else(|| Arc::new(DirRules::above_all(&global)));
        for path in unknown.into_iter().rev() {
            if rules.excludes_all_of(path, &self.shared.options) {
                break;
            }
            let listing = if path == dir { listing } else { None };
            rules = Arc::new(DirRules::enter(&rules, path, &self.shared.options, &global, listing));
            learned.push((Arc::from(path_key::of(path)), Arc::clone(&rules)));
        }
        sync::write(&self.shared.state).cache.insert(version, learned);
        Some(rules)
    }
}

impl Shared {
    /// Whether an entry of a directory is a root.
    fn is_root(&self, dir: &DirRules, path: &Path) -> bool {
        dir.has_root && self.options.is_root(path)
    }

    /// Whether rules are read from files of this name in every directory. `.git` is such a name, because it
    /// makes its directory the top of a repository or a linked worktree, and so is the tag of a cache.
    fn is_rule_file_name(&self, name: &OsStr) -> bool {
        self.options.nested_files().any(|(known, _)| known == name)
            || (self.options.vcs && name == ".git")
            || (self.options.builtin && content::is_marker_name(name))
    }
}

/// The rules of the directories that were asked about.
#[derive(Debug, Default)]
struct DirCache {
    /// By the key of the directory's path.
    dirs: HashMap<Arc<[u8]>, Arc<DirRules>, BuildHasherDefault<KeyHasher>>,
    /// The keys of `dirs` in order, so that a subtree is found without a scan of all of them.
    ordered: BTreeSet<Arc<[u8]>>,
    /// The number of calls that forgot something. Rules that were read before the last one may be outdated.
    version: u64,
}

impl DirCache {
    /// Adds rules that were read while the cache was at `version`. Drops them if something was forgotten since.
    fn insert(&mut self, version: u64, learned: Vec<(Arc<[u8]>, Arc<DirRules>)>) {
        if self.version == version {
            self.ordered.extend(learned.iter().map(|(key, _)| Arc::clone(key)));
            self.dirs.extend(learned);
        }
    }

    /// Forgets a directory and everything below it.
    fn forget(&mut self, dir: &Path) {
        self.version += 1;
        let key = path_key::of(dir);
        // The keys below a directory sort between its key with `/` and its key with the byte after `/`.
        let bound = |last: u8| Arc::<[u8]>::from([key, &[last]].concat());
        let below: Vec<Arc<[u8]>> = self.ordered.range(bound(b'/')..bound(b'/' + 1)).cloned().collect();
        for known in below.into_iter().chain([Arc::from(key)]) {
            self.ordered.remove(&known);
            self.dirs.remove(&known);
        }
    }

    /// Forgets all directories.
    fn clear(&mut self) {
        self.version += 1;
        self.dirs.clear();
        self.ordered.clear();
    }
}

/// The rules for the entries of one directory, as they were when it was listed.
#[derive(Debug)]
pub(crate) struct DirMatcher {
    rules: Rules,
    dir: Arc<DirRules>,
    /// Whether a rule file outside the roots is an entry of the directory.
    has_outside_file: bool,
}

impl DirMatcher {
    /// Whether the content of the directory excludes it, with everything in it.
    pub(crate) fn is_excluded(&self) -> bool {
        self.dir.exclusion.is_some()
    }

    /// The same as [`Rules::is_ignored`], for an entry of this directory. The content of a subdirectory is not
    /// looked at.
    pub(crate) fn is_ignored(&self, path: &Path, kind: EntryKind) -> bool {
        let key = path_key::of(path);
        let Some((_, name)) = path_key::split(key) else { return self.rules.is_ignored(path, kind) };
        !self.rules.shared.is_root(&self.dir, path) && self.dir.ignores(key, name, kind)
    }

    /// The same as [`Rules::is_rule_file`], for an entry of this directory.
    pub(crate) fn is_rule_file(&self, path: &Path) -> bool {
        match path_key::split(path_key::of(path)) {
            Some((_, name)) if !self.has_outside_file && name != b"exclude" => {
                self.rules.shared.is_rule_file_name(OsStr::from_bytes(name))
            }
            _ => self.rules.is_rule_file(path),
        }
    }
}
