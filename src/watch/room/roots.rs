//! Roots that come and go, and what must be watched beside the tree to see it.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::super::roots::{Root, State, probe};
use super::super::stamp;
use super::super::survey::{How, Noted};
use super::super::tree::Attention;
use super::state::Room;

impl Room {
    /// Looks at the roots that are, or are below, this path. Gives whether that was all there is to do about it.
    pub(super) fn check_roots(&mut self, path: &Path, at: Instant) -> bool {
        let (mut done, mut missing) = (false, false);
        for index in 0..self.roots.len() {
            if self.roots[index].path.starts_with(path) {
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
        let home_is_partial = self.survey.tree().dir(home).map(|dir| dir.partial);
        match (self.roots[index].state, state) {
            (State::Missing, State::Missing) => return false,
            // Its directory tells what happens to it.
            (State::File, _) if home_is_partial == Some(false) => return false,
            (State::File, State::File | State::Missing)
                if home_is_partial == Some(true) && hinted == path =>
            {
                return false;
            }
            _ => {}
        }
        self.roots[index].state = state;
        // Its watches may be on what it was before.
        let mut below = self.survey.tree().below(&path);
        below.extend(home_is_partial.filter(|partial| *partial).map(|_| home.to_owned()));
        self.survey.unwatch(below);
        let mut noted = Vec::new();
        if state != State::Dir {
            self.survey.lose_below(&path, &mut noted);
        }
        if state == State::Missing && home_is_partial == Some(true) {
            self.survey.lose_below(home, &mut noted);
        }
        noted.extend(self.enter_root(index, How::ANEW));
        self.note(noted, at);
        true
    }

    pub(super) fn enter_root(&mut self, index: usize, how: How) -> Vec<Noted> {
        let path = self.roots[index].path.clone();
        match self.roots[index].state {
            State::Dir => {
                let noted = self.survey.sync(&path, how);
                self.roots[index].empty = self.is_empty(&path);
                noted
            }
            State::File => {
                let Some(home) = path.parent().map(Path::to_owned) else { return Vec::new() };
                if self.survey.tree().dir(&home).is_some_and(|dir| !dir.partial) {
                    return Vec::new();
                }
                self.sync_home(&home, how)
            }
            State::Missing => Vec::new(),
        }
    }

    /// Looks at the files in a directory that are roots.
    pub(super) fn sync_home(&mut self, home: &Path, how: How) -> Vec<Noted> {
        let names = self.roots.iter().map(|root| &root.path).filter(|path| path.parent() == Some(home));
        let names: Vec<_> = names.cloned().collect();
        self.survey.sync_names(home, &names, how)
    }

    /// Whether a root has nothing in it, not even what is ignored.
    pub(super) fn is_empty(&self, path: &Path) -> bool {
        let seems = {
            let tree = self.survey.tree();
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
            if probe(&path) != State::Dir {
                changed |= self.check_root(index, &path, at);
            }
        }
        if changed {
            self.anchor();
            self.refresh();
        }
    }

    /// Watches what must be watched beside the tree: the parents of missing roots, the homes of rule files.
    pub(super) fn anchor(&mut self) {
        loop {
            let outside = self.outside_files();
            let homes = outside.iter().filter_map(|file| file.parent()).filter(|home| home.is_dir());
            let mut wanted: BTreeSet<PathBuf> = homes.map(Path::to_owned).collect();
            wanted.extend(self.roots.iter().flat_map(Root::anchors));
            let looks = |file: PathBuf| (stamp::look(&file).ok(), file);
            self.outside = outside.into_iter().map(looks).map(|(stamp, file)| (file, stamp)).collect();
            let in_tree: HashSet<PathBuf> = {
                let tree = self.survey.tree();
                let watched =
                    |path: &&PathBuf| tree.dir(path).is_some_and(|dir| dir.attention == Attention::Watched);
                wanted.iter().chain(&self.anchors).filter(watched).cloned().collect()
            };
            wanted.retain(|path| !in_tree.contains(path));
            let placed = self.survey.keeper.anchor(wanted.clone(), |path| in_tree.contains(path));
            self.anchors = wanted;
            if !placed || !self.any_root_moved() {
                return;
            }
        }
    }

    /// Whether a root has come or gone while its parents were not watched yet; if so it is entered or left.
    pub(super) fn any_root_moved(&mut self) -> bool {
        let moved = |root: &Root| (probe(&root.path) == State::Missing) != (root.state == State::Missing);
        let moved: Vec<_> = (0..self.roots.len()).filter(|index| moved(&self.roots[*index])).collect();
        let now = Instant::now();
        let mut any = false;
        for index in moved {
            let path = self.roots[index].path.clone();
            any |= self.check_root(index, &path, now);
        }
        any
    }
}
