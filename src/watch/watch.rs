//! The handle of a running watch.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::options::{MissingRoots, Mode, Options};
use super::queue::{Message, Queue};
use super::snapshot::{Coverage, SnapshotDir};
use super::stats::{Shared, Summary};
use super::worker::{Root, Worker};
use super::{error::Error, event::Event, filter::Filter};
use crate::{SyncId, rules::Rules, sync};

/// A running watch. Dropping it ends the watch.
///
/// ```
/// use devrun::{rules, watch};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("app.py"), "one")?;
/// let rules = rules::Options::new(dir.path());
/// let mut watch = watch::Watch::start(watch::Options::new(rules)).await?;
/// assert_eq!(watch.summary().files, 1);
///
/// std::fs::write(dir.path().join("app.py"), "two")?;
/// while let Some(event) = watch.next_event().await {
///     if let watch::Event::Changed(batch) = event {
///         assert!(batch.changes[0].path.ends_with("app.py"));
///         break;
///     }
/// }
/// watch.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Watch {
    rules: Rules,
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    events: mpsc::UnboundedReceiver<Event>,
    thread: Option<JoinHandle<()>>,
    ended: Option<oneshot::Receiver<()>>,
}

/// Sends requests to a running watch. Cheap to clone. Does nothing once the watch has ended.
#[derive(Debug, Clone)]
pub struct Handle {
    queue: Arc<Queue>,
}

impl Handle {
    /// Announces that a generation of the child has just been started.
    ///
    /// Changes of further files that arrive right after it are gathered for longer. So a slow formatter
    /// causes a few restarts instead of one per file.
    pub fn generation_started(&self) {
        self.queue.push(Message::GenerationStarted);
    }

    /// Brings the watch up to date. [`Event::Synced`] with this id follows the changes of everything that was complete
    /// before this call: files that were written and closed, renamed or removed, by any process.
    ///
    /// The watch reads its events and scans all its files, so this costs a call of stat(2) for each file. The current burst
    /// ends without its quiet time, but while git holds its lock the answer waits too. A file that a process still writes
    /// is reported as it is.
    pub fn sync(&self, id: SyncId) {
        self.queue.push(Message::Sync(id));
    }

    /// Compares everything with the snapshot, as after an overflow of the kernel's event queue.
    pub fn rescan(&self) {
        self.queue.push(Message::Rescan);
    }
}

/// Fails for the first root that does not exist, unless the watch may wait for it.
fn refuse_missing_roots(options: &Options) -> Result<(), Error> {
    if options.missing_roots == MissingRoots::Await {
        return Ok(());
    }
    for root in &options.roots {
        let path: PathBuf = options.rules.base.join(root).components().collect();
        // A link that leads nowhere exists: its target may come.
        if let Some(source) = path.symlink_metadata().err()
            && matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        {
            return Err(Error::Root { path, source });
        }
    }
    Ok(())
}

impl Watch {
    /// Starts a watch. When this returns, the watches are in place and the snapshot is taken: each later
    /// change is reported.
    ///
    /// # Errors
    /// [`Error`] if the rules, a filter or a root cannot be used, or if the watch thread cannot be started.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let mut options = options;
        options.rules.base = options.rules.absolute_base()?;
        refuse_missing_roots(&options)?;
        // A root counts in spite of the rules.
        options.rules.roots.extend_from_slice(&options.roots);
        let rules = Rules::new(options.rules.clone())?;
        let roots = Root::all(&options);
        let root_files = roots.iter().filter(|root| !root.is_dir()).map(|root| root.path.clone());
        let filter = Arc::new(Filter::new(&options, rules.clone(), root_files.collect())?);
        let (queue, shared) = (Arc::new(Queue::default()), Arc::new(Shared::default()));
        let (sender, events) = mpsc::unbounded_channel();
        let (is_ready, ready) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let (thread_queue, thread_shared) = (Arc::clone(&queue), Arc::clone(&shared));
        let run = move || {
            let worker = Worker::start(&options, filter, roots, thread_queue, thread_shared, sender);
            if is_ready.send(()).is_ok() {
                worker.run();
            }
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("devrun-watch".to_owned()).spawn(run);
        let thread = thread.map_err(Error::Thread)?;
        ready.await.map_err(|_| Error::ThreadEnded)?;
        Ok(Self { rules, queue, shared, events, thread: Some(thread), ended: Some(ended) })
    }

    /// The files and directories that are watched now, as numbers.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.shared.summary()
    }

    /// The rules that are in effect.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// A handle that sends requests to the watch.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { queue: Arc::clone(&self.queue) }
    }

    /// Waits for the next event; `None` once the watch has ended. Cancel-safe.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// The `limit` paths with the most events since the start, most first, with the number of events.
    ///
    /// Includes ignored paths in watched directories, so it shows what to ignore next.
    #[must_use]
    pub fn busiest_paths(&self, limit: usize) -> Vec<(PathBuf, u64)> {
        sync::lock(&self.shared.event_counts).busiest(limit)
    }

    /// The relevant files, absolute, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let snapshot = sync::lock(&self.shared.snapshot);
        let files = snapshot.dirs().flat_map(|dir| dir.files.iter().map(|file| dir.path.join(&*file.name)));
        let mut files: Vec<_> = files.collect();
        files.sort_unstable();
        files
    }

    /// The directories that count, absolute, sorted, each with [`Mode::Event`] or [`Mode::Stat`].
    #[must_use]
    pub fn directories(&self) -> Vec<(PathBuf, Mode)> {
        let snapshot = sync::lock(&self.shared.snapshot);
        let mode = |dir: &SnapshotDir| match dir.coverage {
            Coverage::Events => Some(Mode::Event),
            Coverage::Polling => Some(Mode::Stat),
            Coverage::Missing => None,
        };
        let dirs = snapshot.dirs().filter(|dir| dir.is_present());
        let dirs = dirs.filter_map(|dir| Some((dir.path.to_path_buf(), mode(dir)?)));
        let mut dirs: Vec<_> = dirs.collect();
        dirs.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        dirs
    }

    /// Whether a path exists and counts, according to the snapshot.
    #[must_use]
    pub fn knows(&self, path: &Path) -> bool {
        let normalized: PathBuf = path.components().collect();
        sync::lock(&self.shared.snapshot).contains(&normalized)
    }

    /// Ends the watch. Returns once its threads have ended.
    pub async fn stop(mut self) {
        self.queue.push(Message::Stop);
        if let Some(ended) = self.ended.take() {
            let _ = ended.await;
        }
        // The thread has nothing left to do, so this does not block.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.queue.push(Message::Stop);
    }
}
