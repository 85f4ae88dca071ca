//! A watch on a sandbox, with the runtime that it needs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use devrun::change::Batch;
use devrun::rules;
use devrun::watch::{Event, Mode, Options, Watch};

use super::sandbox::{PATIENCE, Sandbox, at_once};

/// Holds all changes back while it exists: devrun believes that git is working in the sandbox, which must be
/// a repository.
pub(crate) struct Hold(PathBuf);

impl Hold {
    pub(crate) fn new(sandbox: &Sandbox) -> Self {
        Self(sandbox.write(".git/index.lock", ""))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A watch on a sandbox, with the runtime it needs.
pub(crate) struct TestWatch {
    runtime: tokio::runtime::Runtime,
    pub(crate) inner: Watch,
    root: PathBuf,
}

pub(crate) const BOTH: [Mode; 2] = [Mode::Event, Mode::Stat];

pub(crate) fn options(sandbox: &Sandbox, mode: Mode) -> Options {
    let mut options = Options::new(rules::Options::new(sandbox.root()));
    options.mode = mode;
    options.poll_interval = Duration::from_millis(50);
    options
}

impl TestWatch {
    pub(crate) fn new(sandbox: &Sandbox, mode: Mode) -> Self {
        Self::with(sandbox, options(sandbox, mode))
    }

    pub(crate) fn with(sandbox: &Sandbox, options: Options) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let watch = runtime.block_on(Watch::start(options)).unwrap();
        Self { runtime, inner: watch, root: sandbox.root().to_owned() }
    }

    /// The next event of any kind.
    pub(crate) fn event(&mut self) -> Event {
        let next = async { tokio::time::timeout(PATIENCE, self.inner.next_event()).await };
        self.runtime.block_on(next).expect("an event arrives in time").expect("the watch goes on")
    }

    /// The next batch.
    pub(crate) fn batch(&mut self) -> Batch {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "a batch arrives in time among other events");
            if let Event::Changed(batch) = self.event() {
                return batch;
            }
        }
    }

    /// The changes of a batch as text: `created a/b`.
    pub(crate) fn words(&self, batch: &Batch) -> Vec<String> {
        let relative = |path: &Path| path.strip_prefix(&self.root).unwrap_or(path).display().to_string();
        batch.changes.iter().map(|change| format!("{} {}", change.kind, relative(&change.path))).collect()
    }

    /// The changes of the next batch as text.
    pub(crate) fn changes(&mut self) -> Vec<String> {
        let batch = self.batch();
        self.words(&batch)
    }

    /// Writes a new file, and returns all batches up to the one that reports the file. The file itself is
    /// left out.
    ///
    /// A change before this call may be reported after the file: another test that starts a process at this
    /// moment keeps a copy of each open file for a while, which delays the event of its close. So wait for
    /// that change first.
    pub(crate) fn batches_until_fence(&mut self, sandbox: &Sandbox) -> Vec<Vec<String>> {
        static FENCES: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = FENCES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let fence = format!("created fence-{number}");
        sandbox.write(format!("fence-{number}"), "fence");
        let mut batches = Vec::new();
        loop {
            let mut changes = self.changes();
            let at = changes.iter().position(|change| *change == fence);
            at.map(|at| changes.remove(at));
            if !changes.is_empty() {
                batches.push(changes);
            }
            if at.is_some() {
                return batches;
            }
        }
    }

    /// Collects changes until all of these have been reported. A path may be reported several times.
    pub(crate) fn wait_for(&mut self, expected: &[&str]) {
        let mut missing: BTreeSet<String> = expected.iter().map(|text| (*text).to_owned()).collect();
        while !missing.is_empty() {
            for change in self.changes() {
                missing.remove(&change);
            }
        }
    }

    /// Waits for the report of a file that was removed and created again: `changed`, or `removed` and
    /// `created` if the watch saw it missing.
    pub(crate) fn wait_for_again(&mut self, path: &str) {
        let (changed, created) = (format!("changed {path}"), format!("created {path}"));
        while !self.changes().iter().any(|change| *change == changed || *change == created) {}
    }

    /// Compares everything with the disk, as after lost events.
    pub(crate) fn rescan(&self) {
        self.inner.handle().rescan();
    }

    pub(crate) fn stop(self) {
        self.runtime.block_on(self.inner.stop());
    }
}

/// Runs a test in both modes at the same time.
pub(crate) fn in_both(test: impl Fn(Mode) + Sync) {
    at_once(BOTH, test);
}
