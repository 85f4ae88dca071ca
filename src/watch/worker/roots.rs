//! Roots that come and go, and what must be watched beside the tree to see it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::watch::fs::signature;
use crate::watch::snapshot::snapshot::{Coverage, Dir};
use crate::watch::snapshot::sync::{PathEvent, SyncMode};
use crate::watch::worker::root::{Root, State, probe};
use crate::watch::worker::worker::Worker;

/// So often in a row a root is entered that seems to be another one each time: some file systems number their
/// directories anew with each look.
const MOST_PASSES: usize = 8;

impl Worker {
    /// Looks at the roots that are, or are below, this path. Gives whether that was all there is to do about it.
    pub(super) fn check_roots(&mut self, path: &Path, at: Instant) -> bool {
        let (mut done, mut missing) = (false, false);
        for index in 0..self.roots.len() {
            if self.roots[index].stands_on(path) {
                done |= self.check_root(index, path, at);
                missing |= self.roots[index].state == State::Missing;
            }
        }
        // A missing root may have come nearer.
        if done || missing {
            self.anchor();
            self.refresh();
        }
        done
    }

    /// `hinted`: the path that was hinted at, the root's own or one above it.
    pub(super) fn check_root(&mut self, index: usize, hinted: &Path, at: Instant) -> bool {
        let path = self.roots[index].path.clone();
        let state = probe(&path);
        let home = path.parent().unwrap_or(&path);
        let (home_is_partial, is_home_seen_to) = {
            let tree = self.sync.tree();
            let home = tree.dir(home);
            let is_seen_to = |dir: &Dir| dir.partial && dir.coverage != Coverage::Missing;
            (home.map(|dir| dir.partial), home.is_some_and(is_seen_to))
        };
        match (self.roots[index].state, state) {
            (State::Missing, State::Missing) => return false,
            // Its directory tells what happens to it.
            (State::File, _) if home_is_partial == Some(false) => return false,
            (State::File | State::Missing, State::File | State::Missing) if self.is_in_a_tree(home) => {
                // If it is gone, nothing beside that tree need be watched for it.
                if state == State::File {
                    self.roots[index].state = state;
                }
                return false;
            }
            (State::File, State::File | State::Missing) if is_home_seen_to && hinted == path => return false,
            _ => {}
        }
        if state == State::Dir && self.roots[index].state != State::Dir {
            // What the rules know of it may be from before it was there.
            self.sync.forget(&path);
        }
        self.roots[index].state = state;
        // Its watches may be on what it was before.
        let mut below = self.sync.tree().below(&path);
        below.extend(home_is_partial.filter(|partial| *partial).map(|_| home.to_owned()));
        self.sync.unwatch(below);
        let mut noted = Vec::new();
        if state != State::Dir {
            self.sync.mark_missing_below(&path, &mut noted);
        }
        if state != State::File && home_is_partial == Some(true) {
            // Other files in it may be roots that are still there.
            noted.extend(self.sync_home(home, SyncMode::REWATCH));
        }
        noted.extend(self.enter_root(index, SyncMode::REWATCH));
        self.note(noted, at);
        true
    }

    pub(super) fn enter_root(&mut self, index: usize, how: SyncMode) -> Vec<PathEvent> {
        let path = self.roots[index].path.clone();
        match self.roots[index].state {
            State::Dir => {
                let noted = self.sync.sync(&path, how);
                self.roots[index].empty = self.is_empty(&path);
                noted
            }
            State::File => {
                let Some(home) = path.parent().map(Path::to_owned) else { return Vec::new() };
                if self.is_in_a_tree(&home) || self.sync.tree().dir(&home).is_some_and(|dir| !dir.partial) {
                    return Vec::new();
                }
                self.sync_home(&home, how)
            }
            State::Missing => Vec::new(),
        }
    }

    /// Whether a directory is, or will be, seen to with the tree of another root.
    fn is_in_a_tree(&self, dir: &Path) -> bool {
        let mut roots = self.roots.iter().filter(|root| root.state == State::Dir);
        roots.any(|root| dir.starts_with(&root.path)) && self.sync.filter.counts_dir(dir)
    }

    /// Looks at the files in a directory that are roots.
    pub(super) fn sync_home(&mut self, home: &Path, how: SyncMode) -> Vec<PathEvent> {
        let names = self.roots.iter().map(|root| &root.path).filter(|path| path.parent() == Some(home));
        let names: Vec<_> = names.cloned().collect();
        self.sync.sync_names(home, &names, how)
    }

    /// Whether a root has nothing in it, not even what is ignored.
    pub(super) fn is_empty(&self, path: &Path) -> bool {
        let seems = {
            let tree = self.sync.tree();
            tree.dir(path).is_some_and(|dir| dir.files().is_empty() && dir.dirs().is_empty())
        };
        seems && std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
    }

    /// A root that has just been emptied may be about to be removed; its own watch does not tell, while a process
    /// is in it.
    pub(super) fn check_emptied(&mut self, at: Instant) {
        let mut changed = false;
        for index in 0..self.roots.len() {
            let path = self.roots[index].path.clone();
            if self.roots[index].state != State::Dir {
                continue;
            }
            let empty = self.is_empty(&path);
            changed |= empty != self.roots[index].empty;
            self.roots[index].empty = empty;
            if self.has_moved(&self.roots[index]) {
                changed |= self.check_root(index, &path, at);
            }
        }
        if changed {
            self.anchor();
            self.refresh();
        }
    }

    /// Watches what must be watched beside the tree: the parents of missing roots, the homes of rule files.
    ///
    /// What happens while that is found out and done is reported by no event, so that all is looked at once more after it:
    /// a directory that was not there yet, a root that has come or gone.
    pub(super) fn anchor(&mut self) {
        let mut placed = None;
        for pass in 0.. {
            let outside = self.outside_files();
            let mut wanted = self.homes_of(&outside);
            wanted.extend(self.roots.iter_mut().flat_map(Root::anchors));
            self.look_outside(outside);
            let in_tree: HashSet<PathBuf> = {
                let tree = self.sync.tree();
                let watched =
                    |path: &&PathBuf| tree.dir(path).is_some_and(|dir| dir.coverage == Coverage::Events);
                wanted.iter().chain(&self.anchors).filter(watched).cloned().collect()
            };
            wanted.retain(|path| !in_tree.contains(path));
            self.sync.watches.anchor(wanted.clone(), |path| in_tree.contains(path));
            self.anchors.clone_from(&wanted);
            let moved = pass < MOST_PASSES && self.any_root_moved();
            if !moved && placed.as_ref() == Some(&wanted) {
                return;
            }
            placed = Some(wanted);
        }
    }

    /// Whether a root has come or gone, or was replaced, and nobody has reported; if so it is entered or left.
    pub(super) fn any_root_moved(&mut self) -> bool {
        let moved: Vec<_> =
            (0..self.roots.len()).filter(|index| self.has_moved(&self.roots[*index])).collect();
        let now = Instant::now();
        let mut any = false;
        for index in moved {
            let path = self.roots[index].path.clone();
            any |= self.check_root(index, &path, now);
        }
        any
    }

    /// Whether a root is no longer what it was taken for, or what is seen to is not it.
    fn has_moved(&self, root: &Root) -> bool {
        let tree = self.sync.tree();
        let seen_to = |path: &Path| tree.dir(path).filter(|dir| dir.coverage != Coverage::Missing);
        match (root.state, probe(&root.path)) {
            (State::Missing, State::Missing) => false,
            (State::Dir, State::Dir) => {
                // The slash makes a root that is a symbolic link be followed.
                let inode = signature::look(&root.path.join("")).map(|signature| signature.inode);
                seen_to(&root.path).is_none_or(|dir| inode.is_ok_and(|inode| inode != dir.signature.inode))
            }
            (State::File, State::File) => root.path.parent().is_some_and(|home| seen_to(home).is_none()),
            (known, found) => known != found,
        }
    }
}
