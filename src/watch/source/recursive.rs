//! A notify watcher for systems whose watches cover whole trees: one watch per root, none for the directories
//! below it.
//!
//! Ignored directories are not free here: the system reports events in them too, and the worker drops these.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use notify::{
    Config, EventHandler, RecommendedWatcher, RecursiveMode, Result, WatchPathConfig, Watcher, WatcherKind,
};

/// The watcher that notify recommends: FSEvents on macOS.
#[derive(Debug)]
pub(super) struct Recursive {
    watcher: RecommendedWatcher,
    /// The watched directories. A recursive watch has the device whose files it covers.
    watched: HashMap<PathBuf, Option<u64>>,
}

impl Recursive {
    /// Whether a recursive watch above covers a directory. It must be on the same device, because a recursive
    /// watch may not cover a mount below it.
    fn is_covered(&self, path: &Path, device: Option<u64>) -> bool {
        let above = path.ancestors().skip(1).filter_map(|dir| self.watched.get(dir).copied().flatten());
        device.is_some() && above.into_iter().any(|covering| Some(covering) == device)
    }

    /// Does nothing, because a watch cannot be extended. A retry finds the directory readable.
    #[allow(clippy::unused_self)]
    pub(super) fn watch_attributes(&mut self, _: &Path) {}

    /// Whether an event is known not to have been passed on yet. The system does not say.
    pub(super) fn is_behind(&self) -> bool {
        false
    }
}

impl Watcher for Recursive {
    fn new<F: EventHandler>(handler: F, config: Config) -> Result<Self> {
        Ok(Self { watcher: RecommendedWatcher::new(handler, config)?, watched: HashMap::new() })
    }

    fn watch(&mut self, path: &Path, mode: RecursiveMode) -> Result<()> {
        self.watch_with(path, WatchPathConfig::new(mode))
    }

    fn watch_with(&mut self, path: &Path, config: WatchPathConfig) -> Result<()> {
        // A missing directory has no device, so it is not covered, and notify refuses it.
        let device = std::fs::metadata(path).ok().map(|found| found.dev());
        if self.is_covered(path, device) {
            return Ok(());
        }
        let device = device.filter(|_| config.recursive_mode() == RecursiveMode::Recursive);
        if device.is_none() && self.watched.contains_key(path) {
            // Events name paths, so the watch holds for a directory that replaced the old one.
            return Ok(());
        }
        self.watcher.watch_with(path, config)?;
        self.watched.insert(path.to_owned(), device);
        Ok(())
    }

    fn unwatch(&mut self, path: &Path) -> Result<()> {
        // notify would look for the path in the file system first.
        match self.watched.remove(path) {
            Some(_) => self.watcher.unwatch(path),
            None => Ok(()),
        }
    }

    fn kind() -> WatcherKind {
        RecommendedWatcher::kind()
    }
}
