//! A notify watcher for systems that watch whole trees: one watch per root, and none for what lies below it.
//!
//! Ignored directories are not free here: what happens in them is reported too, and left out later.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use notify::{
    Config, EventHandler, RecommendedWatcher, RecursiveMode, Result, WatchPathConfig, Watcher, WatcherKind,
};

/// The watcher that notify recommends: FSEvents on macOS.
#[derive(Debug)]
pub(crate) struct Recursive {
    watcher: RecommendedWatcher,
    /// What is watched; with its device, if all below it on that device is watched too.
    watched: HashMap<PathBuf, Option<u64>>,
}

impl Recursive {
    /// Whether a directory lies below one that is watched with all below it, on the same device: a mount may not be reported of.
    fn is_covered(&self, path: &Path, device: Option<u64>) -> bool {
        let above = path.ancestors().skip(1).filter_map(|dir| self.watched.get(dir).copied().flatten());
        device.is_some() && above.into_iter().any(|covering| Some(covering) == device)
    }
}

impl Recursive {
    /// Whether something that has happened is known not to have been passed on yet: the system does not tell.
    pub(crate) fn is_behind(&self) -> bool {
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
        // What is not there has no device, is not covered, and is refused by notify.
        let device = std::fs::metadata(path).ok().map(|found| found.dev());
        if self.is_covered(path, device) {
            return Ok(());
        }
        let device = device.filter(|_| config.recursive_mode() == RecursiveMode::Recursive);
        if device.is_none() && self.watched.contains_key(path) {
            // EventSource are reported by path, whatever directory is there by now.
            return Ok(());
        }
        self.watcher.watch_with(path, config)?;
        self.watched.insert(path.to_owned(), device);
        Ok(())
    }

    fn unwatch(&mut self, path: &Path) -> Result<()> {
        // notify would look for it in the file system first.
        match self.watched.remove(path) {
            Some(_) => self.watcher.unwatch(path),
            None => Ok(()),
        }
    }

    fn kind() -> WatcherKind {
        RecommendedWatcher::kind()
    }
}
