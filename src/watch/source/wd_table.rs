//! Pure: which watch is on which paths. Everything costs the same however many watches there are.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The number the kernel gives a watch. It is never used again for another one.
pub(crate) type Watch = i32;

/// The watches, by path and by number.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// By the path's bytes, so that what is below a directory stands together.
    watches: BTreeMap<Arc<OsStr>, Watch>,
    /// More than one path has the same watch if they lead to the same directory.
    paths: HashMap<Watch, Vec<Arc<OsStr>>>,
}

impl Table {
    /// A path has this watch from now on. Gives the one that it had, if no path has that any longer.
    #[must_use]
    pub(crate) fn put(&mut self, path: &Path, watch: Watch) -> Option<Watch> {
        if self.watches.get(path.as_os_str()) == Some(&watch) {
            return None;
        }
        let unused = self.remove(path);
        let path: Arc<OsStr> = path.as_os_str().into();
        self.watches.insert(Arc::clone(&path), watch);
        self.paths.entry(watch).or_insert_with(|| Vec::with_capacity(1)).push(path);
        unused
    }

    /// The paths that a watch is on.
    pub(crate) fn paths(&self, watch: Watch) -> impl Iterator<Item = &Path> {
        self.paths.get(&watch).into_iter().flatten().map(|path| Path::new(&**path))
    }

    /// Forgets a path. Gives its watch, if no path has that any longer.
    #[must_use]
    pub(crate) fn remove(&mut self, path: &Path) -> Option<Watch> {
        let watch = self.watches.remove(path.as_os_str())?;
        let paths = self.paths.get_mut(&watch)?;
        paths.retain(|known| **known != *path.as_os_str());
        let unused = paths.is_empty();
        unused.then(|| self.paths.remove(&watch));
        unused.then_some(watch)
    }

    /// Forgets a path and all below it. Gives the watches that no path has any longer.
    #[must_use]
    pub(crate) fn remove_below(&mut self, path: &Path) -> Vec<Watch> {
        let with = |sign: &str| {
            let mut bound = OsString::from(path);
            bound.push(sign);
            bound
        };
        // Zero is what comes after the slash.
        let (first, end) = (with("/"), with("0"));
        let range = (Bound::Included(first.as_os_str()), Bound::Excluded(end.as_os_str()));
        let below: Vec<PathBuf> =
            self.watches.range::<OsStr, _>(range).map(|(path, _)| (&**path).into()).collect();
        std::iter::once(path)
            .chain(below.iter().map(PathBuf::as_path))
            .filter_map(|path| self.remove(path))
            .collect()
    }

    /// The kernel has removed a watch.
    pub(crate) fn drop_watch(&mut self, watch: Watch) {
        for path in self.paths.remove(&watch).unwrap_or_default() {
            if self.watches.get(&path) == Some(&watch) {
                self.watches.remove(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(table: &Table, watch: Watch) -> Vec<String> {
        table.paths(watch).map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn what_is_below_goes_along_and_what_is_beside_stays() {
        let mut table = Table::default();
        for (number, path) in ["/r", "/r/a", "/r/a/b", "/r/a b", "/r/a.c", "/r/a0"].iter().enumerate() {
            assert_eq!(table.put(Path::new(path), number as Watch), None);
        }
        assert_eq!(table.remove_below(Path::new("/r/a")), [1, 2]);
        assert_eq!(table.watches.len(), 4);
        assert_eq!(table.remove_below(Path::new("/r/none")), []);
    }

    #[test]
    fn a_watch_goes_with_its_last_path() {
        let mut table = Table::default();
        assert_eq!(table.put(Path::new("/a"), 1), None);
        // Renamed, and watched under its new name before the event of that is read.
        assert_eq!(table.put(Path::new("/b"), 1), None);
        assert_eq!(table.put(Path::new("/b"), 1), None);
        assert_eq!(paths(&table, 1), ["/a", "/b"]);
        assert_eq!(table.remove(Path::new("/a")), None);
        assert_eq!(table.remove(Path::new("/b")), Some(1));
        assert_eq!(paths(&table, 1), [""; 0]);
    }

    #[test]
    fn a_path_that_is_watched_anew_outlives_the_end_of_its_old_watch() {
        let mut table = Table::default();
        assert_eq!(table.put(Path::new("/a"), 1), None);
        assert_eq!(table.put(Path::new("/a"), 2), Some(1));
        table.drop_watch(1);
        assert_eq!(paths(&table, 2), ["/a"]);
        table.drop_watch(2);
        assert!(table.watches.is_empty() && table.paths.is_empty());
    }
}
