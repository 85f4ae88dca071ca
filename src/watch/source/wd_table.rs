//! Which watch descriptor belongs to which paths. The cost of each operation does not grow with the number of
//! watches.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The kernel's number of a watch. The kernel does not reuse it.
pub(super) type WatchDescriptor = i32;

/// The watch descriptors by path, and the paths by watch descriptor.
#[derive(Debug, Default)]
pub(super) struct WdTable {
    /// Ordered by the bytes of the path, so that the paths below a directory are adjacent.
    descriptors: BTreeMap<Arc<OsStr>, WatchDescriptor>,
    /// Two paths share a descriptor if they lead to the same directory.
    paths: HashMap<WatchDescriptor, Vec<Arc<OsStr>>>,
}

impl WdTable {
    /// Sets the descriptor of a path. Returns the path's old descriptor if no other path uses it.
    #[must_use]
    pub(super) fn insert(&mut self, path: &Path, wd: WatchDescriptor) -> Option<WatchDescriptor> {
        if self.descriptors.get(path.as_os_str()) == Some(&wd) {
            return None;
        }
        let unused = self.remove(path);
        let path: Arc<OsStr> = path.as_os_str().into();
        self.descriptors.insert(Arc::clone(&path), wd);
        self.paths.entry(wd).or_insert_with(|| Vec::with_capacity(1)).push(path);
        unused
    }

    /// The paths of a descriptor.
    pub(super) fn paths(&self, wd: WatchDescriptor) -> impl Iterator<Item = &Path> {
        self.paths.get(&wd).into_iter().flatten().map(|path| Path::new(&**path))
    }

    /// Removes a path. Returns its descriptor if no other path uses it.
    #[must_use]
    pub(super) fn remove(&mut self, path: &Path) -> Option<WatchDescriptor> {
        let wd = self.descriptors.remove(path.as_os_str())?;
        let paths = self.paths.get_mut(&wd)?;
        paths.retain(|known| **known != *path.as_os_str());
        if !paths.is_empty() {
            return None;
        }
        self.paths.remove(&wd);
        Some(wd)
    }

    /// Removes a path and all paths below it. Returns the descriptors that no path uses any more.
    #[must_use]
    pub(super) fn remove_below(&mut self, path: &Path) -> Vec<WatchDescriptor> {
        let with_suffix = |suffix: &str| {
            let mut bound = OsString::from(path);
            bound.push(suffix);
            bound
        };
        // In ASCII, `0` follows `/`.
        let (first, end) = (with_suffix("/"), with_suffix("0"));
        let range = (Bound::Included(first.as_os_str()), Bound::Excluded(end.as_os_str()));
        let below: Vec<PathBuf> =
            self.descriptors.range::<OsStr, _>(range).map(|(path, _)| (&**path).into()).collect();
        std::iter::once(path)
            .chain(below.iter().map(PathBuf::as_path))
            .filter_map(|path| self.remove(path))
            .collect()
    }

    /// Removes a descriptor that the kernel has removed.
    pub(super) fn drop_descriptor(&mut self, wd: WatchDescriptor) {
        for path in self.paths.remove(&wd).unwrap_or_default() {
            if self.descriptors.get(&path) == Some(&wd) {
                self.descriptors.remove(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(table: &WdTable, wd: WatchDescriptor) -> Vec<String> {
        table.paths(wd).map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn removing_a_directory_removes_what_lies_below_it_only() {
        let mut table = WdTable::default();
        for (number, path) in ["/r", "/r/a", "/r/a/b", "/r/a b", "/r/a.c", "/r/a0"].iter().enumerate() {
            assert_eq!(table.insert(Path::new(path), number as WatchDescriptor), None);
        }
        assert_eq!(table.remove_below(Path::new("/r/a")), [1, 2]);
        assert_eq!(table.descriptors.len(), 4);
        assert_eq!(table.remove_below(Path::new("/r/none")), []);
    }

    #[test]
    fn a_watch_is_free_when_its_last_path_is_removed() {
        let mut table = WdTable::default();
        assert_eq!(table.insert(Path::new("/a"), 1), None);
        // The directory was renamed, and watched under its new name before the rename event was read.
        assert_eq!(table.insert(Path::new("/b"), 1), None);
        assert_eq!(table.insert(Path::new("/b"), 1), None);
        assert_eq!(paths(&table, 1), ["/a", "/b"]);
        assert_eq!(table.remove(Path::new("/a")), None);
        assert_eq!(table.remove(Path::new("/b")), Some(1));
        assert_eq!(paths(&table, 1), [""; 0]);
    }

    #[test]
    fn the_end_of_an_old_watch_leaves_the_new_watch_of_its_path() {
        let mut table = WdTable::default();
        assert_eq!(table.insert(Path::new("/a"), 1), None);
        assert_eq!(table.insert(Path::new("/a"), 2), Some(1));
        table.drop_descriptor(1);
        assert_eq!(paths(&table, 2), ["/a"]);
        table.drop_descriptor(2);
        assert!(table.descriptors.is_empty() && table.paths.is_empty());
    }

    /// CPU time to insert and remove `steps` directories in a table of `size` others.
    fn cost(size: usize, steps: usize) -> std::time::Duration {
        use rustix::time::{ClockId, clock_gettime};
        let now = || std::time::Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
        let mut table = WdTable::default();
        for number in 0..size {
            assert_eq!(table.insert(Path::new(&format!("/r/{number}")), number as WatchDescriptor), None);
        }
        let before = now();
        for number in size..size + steps {
            let path = PathBuf::from(format!("/r/{number}"));
            assert_eq!(table.insert(&path, number as WatchDescriptor), None);
            assert_eq!(table.remove_below(&path).len(), 1);
        }
        now() - before
    }

    /// notify's own watcher visits every watch for each directory that is removed.
    #[test]
    fn removing_a_directory_costs_the_same_in_a_table_a_hundred_times_as_large() {
        let (small, large) = (cost(500, 500), cost(50_000, 500));
        assert!(large < small * 30, "{small:?} {large:?}");
    }
}
