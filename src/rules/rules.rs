//! All layers together: nested files, cached verdicts per directory, `forget` when a rule file changed.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::hash::BuildHasherDefault;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::sync;

use super::dir::{Dir, Has, KeyHasher, may_have};
use super::error::Error;
use super::git;
use super::global::Fixed;
use super::layer::Layer;
use super::options::Options;
use super::path_key as key;
use super::pattern::EntryKind;
use super::rule_file::{Defect, RuleFile};
use super::sources::Reach;
use super::verdict::{Decision, Verdict};

/// The rules of one tree. Cheap to clone (shared), usable from several threads.
///
/// What is read from a directory is kept until [`Rules::forget`]. A question about an entry of a directory
/// that was asked about before costs no system call, no allocation and no exclusive lock.
///
/// ```
/// use devrun::rules::{EntryKind, Options, Rules};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join(".watchignore"), "# saved by the server\n/downloads/\n")?;
/// let rules = Rules::new(Options::new(dir.path()))?;
///
/// let verdict = rules.verdict(&dir.path().join("downloads/boq.zip"), EntryKind::File);
/// assert!(verdict.is_ignored());
/// assert_eq!(verdict.by.as_ref().map(|rule| rule.line), Some(2));
/// assert!(!rules.is_ignored(&dir.path().join("src/main.rs"), EntryKind::File));
///
/// // An edit of a rule file is seen once its directory is forgotten.
/// std::fs::write(dir.path().join(".watchignore"), "")?;
/// rules.forget(dir.path());
/// assert!(!rules.is_ignored(&dir.path().join("downloads/boq.zip"), EntryKind::File));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Rules {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    /// The working directory and the roots, clean; the working directory first.
    anchors: Vec<PathBuf>,
    /// The working directory is one of the roots.
    base_is_root: bool,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    fixed: Arc<Fixed>,
    dirs: HashMap<Arc<[u8]>, Arc<Dir>, BuildHasherDefault<KeyHasher>>,
    /// The keys of `dirs` in order, so that a subtree is found without a look at all.
    ordered: BTreeSet<Arc<[u8]>>,
    /// Counts what was forgotten: what was read before is not put among what was read after.
    forgotten: u64,
}

impl Rules {
    /// Makes the rules of a working directory. Rule files are read when a directory is first asked about.
    ///
    /// # Errors
    /// [`Error`] if the working directory is not absolute or a file named by hand cannot be read.
    pub fn new(options: Options) -> Result<Self, Error> {
        if !options.base.is_absolute() {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not absolute");
            return Err(Error::Base { path: options.base, source });
        }
        let base = key::clean(&options.base);
        let mut anchors = vec![base.clone()];
        let mut base_is_root = false;
        for root in &options.roots {
            let root = key::clean(&base.join(root));
            base_is_root |= root == base;
            if !anchors.contains(&root) {
                anchors.push(root);
            }
        }
        let fixed = Arc::new(Fixed::read(&options, &anchors)?);
        let state =
            RwLock::new(State { fixed, dirs: HashMap::default(), ordered: BTreeSet::new(), forgotten: 0 });
        Ok(Self { shared: Arc::new(Shared { options, anchors, base_is_root, state }) })
    }

    /// What decides for an absolute path. `is_dir` is the type by `lstat`: a symbolic link to a directory is
    /// not a directory. The path need not exist; `.` and `..` in it are taken out by text.
    #[must_use]
    pub fn verdict(&self, path: &Path, kind: EntryKind) -> Verdict {
        let watched = Verdict { decision: Decision::Watched, by: None, parent: None };
        let bytes = key::of(path);
        let Some((parent, name)) = key::split(&bytes) else {
            let clean = key::clean(path);
            let is_same = clean.as_os_str() == path.as_os_str();
            return if is_same || !clean.has_root() { watched } else { self.verdict(&clean, kind) };
        };
        let Some(dir) = self.known(parent).or_else(|| self.learn_above(path, &bytes)) else {
            return self.verdict(&key::clean(path), kind);
        };
        if dir.holds_anchor && self.shared.is_anchor(path) {
            return watched;
        }
        if let Some(exclusion) = &dir.excluded {
            return Verdict {
                decision: Decision::Ignored,
                by: Some(Arc::new(exclusion.by.rule())),
                parent: Some(exclusion.dir.clone()),
            };
        }
        match dir.sources.decide(&bytes, name, kind) {
            None => watched,
            Some(by) => Verdict {
                decision: if by.is_negated() { Decision::Watched } else { Decision::Ignored },
                by: Some(Arc::new(by.rule())),
                parent: None,
            },
        }
    }

    /// Whether an absolute path is ignored: [`Rules::verdict`] without the explanation, for hot paths.
    #[must_use]
    pub fn is_ignored(&self, path: &Path, kind: EntryKind) -> bool {
        let bytes = key::of(path);
        let Some((parent, name)) = key::split(&bytes) else { return self.verdict(path, kind).is_ignored() };
        let Some(dir) = self.known(parent).or_else(|| self.learn_above(path, &bytes)) else {
            return self.verdict(path, kind).is_ignored();
        };
        self.shared.ignores(&dir, path, (&bytes, name), kind)
    }

    /// What holds for the entries of a directory, for whoever has just listed it: `has` says whether a name is among them
    /// (in whatever case), so that no rule file is looked for in vain. The directory is one itself, and no link to one.
    /// `None` if the path is not clean.
    pub(crate) fn within(&self, dir: &Path, has: &dyn Fn(&OsStr) -> bool) -> Option<Within> {
        let key = key::of(dir);
        let known = self.known(&key).or_else(|| self.learn(dir, Some(has)))?;
        let is_here = |file: &PathBuf| key::split(&key::of(file)).is_some_and(|(home, _)| *home == *key);
        let outside = self.shared.read().fixed.outside.iter().any(is_here);
        Some(Within { rules: self.clone(), dir: known, outside })
    }

    /// Whether the path is one that rules are, or would be, read from: an edit there changes the rules.
    ///
    /// `.git` is one too: a directory that becomes a repository, or is no longer one, has other rules.
    #[must_use]
    pub fn is_rule_file(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default();
        let vcs = self.shared.options.vcs;
        if self.shared.is_rule_name(name) {
            return true;
        }
        let state = self.shared.read();
        let is_exclude = |dir: &Arc<Dir>| dir.exclude_file.as_deref() == Some(path);
        state.fixed.outside.binary_search_by(|known| known.as_path().cmp(path)).is_ok()
            || (vcs && name == "exclude" && state.dirs.values().any(is_exclude))
    }

    /// Rule files that no watch on a tree that counts would see: info/exclude, core.excludesFile, files named
    /// by path, and the per-directory files above a root. Named whether they exist or not; sorted.
    #[must_use]
    pub fn outside_files(&self) -> Vec<PathBuf> {
        let state = self.shared.read();
        let mut files = state.fixed.outside.clone();
        files.extend(state.dirs.values().filter_map(|dir| dir.exclude_file.clone()));
        drop(state);
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Forgets what was read from a directory and below, so that the next question reads it again. Called
    /// when a rule file in it was edited, made, removed or renamed, and when a directory appeared, moved or
    /// went: what is known of `dir` may have been learned before it was there.
    ///
    /// For the directory of one of [`Rules::outside_files`], and for one above a root, everything is read again.
    pub fn forget(&self, dir: &Path) {
        let dir = key::clean(dir);
        let of_all = self.shared.anchors.iter().any(|anchor| anchor.starts_with(&dir))
            || self.outside_files().iter().any(|file| file.starts_with(&dir));
        // A file named by path that is gone is no longer a reason to stop: its rules are kept until it is back.
        let fixed = of_all.then(|| Fixed::read(&self.shared.options, &self.shared.anchors).ok()).flatten();
        let mut state = self.shared.write();
        state.forgotten += 1;
        if let Some(fixed) = fixed {
            state.fixed = Arc::new(fixed);
        }
        if of_all {
            state.dirs.clear();
            state.ordered.clear();
        } else {
            state.forget_below(&key::of(&dir));
        }
    }

    /// The bad lines of all rule files read until now, by file and line.
    #[must_use]
    pub fn defects(&self) -> Vec<Defect> {
        let files = self.rule_files();
        files.iter().flat_map(|file| file.defects()).collect()
    }

    /// All rule files read until now, by path; patterns given by hand first, then the built-in table.
    pub(super) fn rule_files(&self) -> Vec<Arc<RuleFile>> {
        let state = self.shared.read();
        let mut files: Vec<Arc<RuleFile>> = state.fixed.rule_files().cloned().collect();
        files.extend(state.dirs.values().flat_map(|dir| &dir.own).cloned());
        drop(state);
        files.sort_by(|a, b| (&a.source, b.layer).cmp(&(&b.source, a.layer)));
        files
    }

    /// The working directory.
    pub(super) fn base(&self) -> &Path {
        &self.shared.anchors[0]
    }

    /// The trees that are looked at: the roots, or the working directory where none is named.
    pub(super) fn roots(&self) -> &[PathBuf] {
        let anchors = &self.shared.anchors;
        let base_is_root = self.shared.options.roots.is_empty() || self.shared.base_is_root;
        if base_is_root { anchors } else { &anchors[1..] }
    }

    /// The names of the files that are read in every directory.
    pub(super) fn rule_file_names(&self) -> Vec<OsString> {
        self.shared.options.names().map(|(name, _)| name.to_owned()).collect()
    }

    /// The files named by path, absolute.
    pub(super) fn files_by_path(&self) -> Vec<PathBuf> {
        let options = &self.shared.options;
        options.files.iter().map(|file| key::clean(&options.base.join(file))).collect()
    }

    fn known(&self, key: &[u8]) -> Option<Arc<Dir>> {
        self.shared.read().dirs.get(key).cloned()
    }

    /// Learns about the directory of a path and those above it; `None` if the path is not clean.
    fn learn_above(&self, path: &Path, bytes: &[u8]) -> Option<Arc<Dir>> {
        if key::is_clean(bytes) { self.learn(path.parent()?, None) } else { None }
    }

    /// Learns about a directory and those above it; `None` if the path is not clean. `has` as for [`Rules::within`].
    fn learn(&self, dir: &Path, has: Option<Has<'_>>) -> Option<Arc<Dir>> {
        if !key::is_clean(&key::of(dir)) {
            return None;
        }
        let (fixed, forgotten) = {
            let state = self.shared.read();
            (Arc::clone(&state.fixed), state.forgotten)
        };
        let mut unknown = Vec::new();
        let mut known = None;
        for above in dir.ancestors() {
            known = self.known(&key::of(above));
            if known.is_some() {
                break;
            }
            unknown.push(above);
        }
        let mut learned = Vec::new();
        let listed = dir;
        let mut dir = known.unwrap_or_else(|| Arc::new(Dir::above_all(&fixed)));
        for path in unknown.into_iter().rev() {
            if dir.excluded.is_some() && !fixed.has_anchor_below(path) && !fixed.is_anchor(path) {
                // All below an excluded directory is excluded: nothing more is to be known of it.
                break;
            }
            let key = key::of(path);
            let has = has.filter(|_| path == listed);
            dir = Arc::new(self.shared.enter(&fixed, &dir, path, has));
            learned.push((Arc::from(&*key), Arc::clone(&dir)));
        }
        let mut state = self.shared.write();
        if state.forgotten == forgotten {
            state.ordered.extend(learned.iter().map(|(key, _)| Arc::clone(key)));
            state.dirs.extend(learned);
        }
        Some(dir)
    }
}

impl State {
    fn forget_below(&mut self, key: &[u8]) {
        // What is below a directory stands between its key with `/` and its key with the byte after `/`.
        let bound = |last: u8| Arc::<[u8]>::from([key, &[last]].concat());
        let below: Vec<Arc<[u8]>> = self.ordered.range(bound(b'/')..bound(b'/' + 1)).cloned().collect();
        for known in below.into_iter().chain([Arc::from(key)]) {
            self.ordered.remove(&known);
            self.dirs.remove(&known);
        }
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        sync::read(&self.state)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        sync::write(&self.state)
    }

    fn is_anchor(&self, path: &Path) -> bool {
        self.anchors.iter().any(|anchor| anchor == path)
    }

    /// A name that rules are read from in every directory, or that makes it the top of a repository.
    fn is_rule_name(&self, name: &OsStr) -> bool {
        self.options.names().any(|(known, _)| known == name) || (self.options.vcs && name == ".git")
    }

    fn ignores(&self, dir: &Dir, path: &Path, (bytes, name): (&[u8], &[u8]), kind: EntryKind) -> bool {
        if dir.holds_anchor && self.is_anchor(path) {
            return false;
        }
        dir.excluded.is_some() || dir.sources.ignores(bytes, name, kind)
    }

    /// What holds in a directory, from what holds in the one above it.
    fn enter(&self, fixed: &Fixed, above: &Dir, path: &Path, has: Option<Has<'_>>) -> Dir {
        let key = &*key::of(path);
        let anchor = fixed.is_anchor(path);
        let mut dir = Dir {
            sources: above.sources.clone(),
            excluded: if anchor { None } else { above.exclusion_of(path, key) },
            own: Vec::new(),
            inside: above.inside || fixed.is_top(path),
            reads: above.reads,
            real: anchor || !above.inside || (above.real && (has.is_some() || is_directory(path))),
            holds_anchor: fixed.anchors.iter().any(|anchor| anchor.path.parent() == Some(path)),
            exclude_file: None,
        };
        if dir.inside && !above.inside {
            // Here the tree of a named place begins: what was above it does not count.
            dir.sources = fixed.sources().anchored(|file| file.layer == Layer::GitGlobal, Reach::below(key));
            dir.reads = true;
        }
        if dir.excluded.is_none() && dir.real {
            self.enter_repository(fixed, &mut dir, path, has);
        }
        if *path == *self.anchors[0] {
            let by_hand = |file: &RuleFile| {
                file.layer == Layer::Patterns || fixed.files.iter().any(|known| std::ptr::eq(&**known, file))
            };
            dir.sources = dir.sources.anchored(by_hand, Reach::below(key));
        }
        if dir.excluded.is_none() && dir.real && dir.reads {
            self.read_rule_files(&mut dir, path, has);
        }
        dir
    }

    /// At the top of a repository git's sources begin anew: what a repository around it says ends here.
    fn enter_repository(&self, fixed: &Fixed, dir: &mut Dir, path: &Path, has: Option<Has<'_>>) {
        if !self.options.vcs || !may_have(has, ".git".as_ref()) {
            return;
        }
        let Some(common) = git::common_dir(path) else { return };
        dir.reads = true;
        let reach = Reach::below(&key::of(path));
        let git_layers = [Layer::Gitignore, Layer::GitExclude, Layer::GitGlobal];
        dir.sources = dir.sources.without(&git_layers);
        if let Some(global) = &fixed.global {
            dir.sources = dir.sources.with(global, reach);
        }
        let exclude = common.join("info/exclude");
        let fold = self.options.git.ignore_case;
        if let Some(file) = RuleFile::read(&exclude, Layer::GitExclude, true, fold).map(Arc::new) {
            dir.sources = dir.sources.with(&file, reach);
            dir.own.push(file);
        }
        dir.exclude_file = Some(exclude);
    }

    fn read_rule_files(&self, dir: &mut Dir, path: &Path, has: Option<Has<'_>>) {
        let fold = self.options.git.ignore_case;
        let key = &*key::of(path);
        for (name, layer) in self.options.names().filter(|(name, _)| may_have(has, name)) {
            if let Some(file) = RuleFile::read(&path.join(name), layer, false, fold).map(Arc::new) {
                dir.sources = dir.sources.with(&file, Reach::below(key));
                dir.own.push(file);
            }
        }
    }
}

/// What holds for the entries of one directory, at the time when it was listed.
#[derive(Debug)]
pub(crate) struct Within {
    rules: Rules,
    dir: Arc<Dir>,
    /// A rule file of those outside the trees is an entry of it.
    outside: bool,
}

impl Within {
    /// As [`Rules::is_ignored`], for an entry of this directory.
    pub(crate) fn is_ignored(&self, path: &Path, kind: EntryKind) -> bool {
        let bytes = key::of(path);
        let Some((_, name)) = key::split(&bytes) else { return self.rules.is_ignored(path, kind) };
        self.rules.shared.ignores(&self.dir, path, (&bytes, name), kind)
    }

    /// As [`Rules::is_rule_file`], for an entry of this directory.
    pub(crate) fn is_rule_file(&self, path: &Path) -> bool {
        let bytes = key::of(path);
        match key::split(&bytes) {
            Some((_, name)) if !self.outside && name != b"exclude" => {
                self.rules.shared.is_rule_name(OsStr::from_bytes(name))
            }
            _ => self.rules.is_rule_file(path),
        }
    }
}

fn is_directory(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|kind| kind.is_dir())
}
