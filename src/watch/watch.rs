//! Watch: the worker's door. The work is done on a thread of its own, since walking and reading block.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use crate::rules::Rules;

use crate::watch::error::Error;
use crate::watch::event::{Event, Summary};
use crate::watch::filter::Filter;
use crate::watch::options::{Mode, Options};
use crate::watch::queue::{EventQueue, Message};
use crate::watch::snapshot::snapshot::{Coverage, Dir};
use crate::watch::summary::Shared;
use crate::watch::worker::{Root, State, Worker};

/// A running watch. Dropping it ends it.
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
    queue: Arc<EventQueue>,
    shared: Arc<Shared>,
    events: mpsc::UnboundedReceiver<Event>,
    thread: Option<JoinHandle<()>>,
    ended: Option<oneshot::Receiver<()>>,
}

/// Tells a running watch what it cannot see itself. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    queue: Arc<EventQueue>,
}

impl Handle {
    /// A generation of the child has just been started: changes that arrive right after it are gathered for
    /// longer, so that a slow formatter costs a few restarts and not one per file.
    pub fn generation_started(&self) {
        self.queue.push(Message::GenerationStarted);
    }

    /// Compare everything with the snapshot now, as after a queue overflow.
    pub fn rescan(&self) {
        self.queue.push(Message::Rescan);
    }
}

impl Watch {
    /// Starts watching. When it returns, the watches are in place and the snapshot is taken: a change made
    /// from now on is seen.
    ///
    /// # Errors
    /// [`Error`] if the rules, a filter or a root cannot be used at all.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let rules = Rules::new(options.rules.clone())?;
        let roots = roots(&options);
        let always = roots.iter().filter(|root| root.state != State::Dir).map(|root| root.path.clone());
        let filter = Arc::new(Filter::new(&options, rules.clone(), always.collect())?);
        let (queue, shared) = (Arc::new(EventQueue::default()), Arc::new(Shared::default()));
        let (out, events) = mpsc::unbounded_channel();
        let (is_ready, ready) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let ends = (Arc::clone(&queue), Arc::clone(&shared), out);
        let work = move || {
            let worker = Worker::open(&options, filter, roots, ends);
            if is_ready.send(()).is_ok() {
                worker.run();
            }
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("devrun-watch".to_owned()).spawn(work);
        let thread = thread.map_err(no_thread)?;
        if ready.await.is_err() {
            return Err(no_thread(io::Error::other("the watching thread ended early")));
        }
        Ok(Self { rules, queue, shared, events, thread: Some(thread), ended: Some(ended) })
    }

    /// What is watched, now.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let plan = self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        plan.summary(&self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The rules it goes by.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// A handle to tell it things.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { queue: Arc::clone(&self.queue) }
    }

    /// Waits for the next event; `None` once the watch has ended. Cancel-safe.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// The paths with the most hints since the start, most first, with their count: to find what to ignore.
    /// Also such that are ignored but share a directory with what is watched.
    #[must_use]
    pub fn busiest_paths(&self, most: usize) -> Vec<(PathBuf, u64)> {
        self.shared.hot.lock().unwrap_or_else(PoisonError::into_inner).most(most)
    }

    /// Every relevant file of the snapshot, absolute, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let tree = self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner);
        let files = tree.dirs().flat_map(|dir| dir.files().iter().map(|file| dir.path.join(&*file.name)));
        let mut files: Vec<_> = files.collect();
        files.sort_unstable();
        files
    }

    /// Each directory that counts, absolute, sorted, and how it is watched: [`Mode::Event`] or [`Mode::Stat`].
    #[must_use]
    pub fn directories(&self) -> Vec<(PathBuf, Mode)> {
        let tree = self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner);
        let mode = |dir: &Dir| match dir.coverage {
            Coverage::Events => Some(Mode::Event),
            Coverage::Polling => Some(Mode::Stat),
            Coverage::Missing => None,
        };
        let dirs = tree.dirs().filter_map(|dir| Some((dir.path.to_path_buf(), mode(dir)?)));
        let mut dirs: Vec<_> = dirs.collect();
        dirs.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        dirs
    }

    /// Whether a path is in the snapshot: it exists and counts.
    #[must_use]
    pub fn knows(&self, path: &Path) -> bool {
        let plain: PathBuf = path.components().collect();
        self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner).knows(&plain)
    }

    /// Ends it; returns once its threads have ended.
    pub async fn stop(mut self) {
        self.queue.push(Message::Stop);
        if let Some(ended) = self.ended.take() {
            let _ = ended.await;
        }
        // It has nothing left to do but to return.
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

fn no_thread(source: io::Error) -> Error {
    Error::Root { path: PathBuf::from("."), source }
}

/// The roots, each once, and the files that count whatever the rules say.
fn roots(options: &Options) -> Vec<Root> {
    let mut known = HashSet::new();
    let all = options.roots.iter().chain(&options.always);
    let all = all.map(|path| Root::new(&options.rules.base, path));
    all.filter(|root| known.insert(root.path.clone())).collect()
}
