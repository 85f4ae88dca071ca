//! The watching thread, before it knows what to watch.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

use crate::watch::event::Event;
use crate::watch::filter::Filter;
use crate::watch::options::{Mode, Options};
use crate::watch::queue::EventQueue;
use crate::watch::snapshot::watches::WatchRegistry;
use crate::watch::summary::Shared;
use crate::watch::worker::Root;
use crate::watch::worker::Worker;

/// A watching thread that stands by. A program that makes it first of all has it ready, on a processor of its own, when it knows
/// what to watch: see [`Watch::begin`](super::Watch::begin). What is mounted is looked up when it is made. Dropped, it ends.
#[derive(Debug)]
pub struct Standby {
    pub(super) queue: Arc<EventQueue>,
    pub(super) shared: Arc<Shared>,
    pub(super) events: UnboundedReceiver<Event>,
    /// Dropped without a task, it ends the thread.
    pub(super) task: Sender<Task>,
    pub(super) ready: Ready,
    pub(super) ended: oneshot::Receiver<()>,
    pub(super) thread: JoinHandle<()>,
}

/// Tells of the end of the first look, and a little before it.
#[derive(Debug)]
pub(super) struct Ready {
    nearly: oneshot::Receiver<()>,
    now: oneshot::Receiver<()>,
}

impl Ready {
    /// Waits for it; `false` if it does not come.
    pub(super) async fn wait(self) -> bool {
        // To be woken takes as long as what is left to do then.
        let _ = self.nearly.await;
        self.now.await.is_ok()
    }
}

/// What is to be watched.
pub(super) type Task = (Options, Arc<Filter>, Vec<Root>);

impl Standby {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system starts none.
    pub fn begin() -> io::Result<Self> {
        Self::for_mode(Mode::Auto)
    }

    /// The same for one mode: nothing is begun that it does without.
    pub(super) fn for_mode(mode: Mode) -> io::Result<Self> {
        let (queue, shared) = (Arc::new(EventQueue::default()), Arc::new(Shared::default()));
        let (out, events) = unbounded_channel();
        let (task, is_given) = channel::<Task>();
        let (is_nearly_ready, nearly) = oneshot::channel();
        let (is_ready, now) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let ends = (Arc::clone(&queue), Arc::clone(&shared), out);
        let work = move || {
            let watches = WatchRegistry::new(mode, Arc::clone(&ends.0));
            let given = is_given.recv().ok();
            if let Some((options, filter, roots)) = given {
                let nearly = || _ = is_nearly_ready.send(());
                let room = Worker::open(&options, (filter, roots, watches), ends, nearly);
                if is_ready.send(()).is_ok() {
                    room.run();
                }
            }
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("devrun-watch".to_owned()).spawn(work)?;
        Ok(Self { queue, shared, events, task, ready: Ready { nearly, now }, ended, thread })
    }
}
