//! A notify watcher for Linux: one inotify watch per directory, with a mask of the wanted events only.
//!
//! It replaces notify's own inotify watcher because of two faults of that one (checked in 9.0.0-rc.7). When
//! both are gone upstream, this file can go too; each has a test.
//! - Lost edits: notify keeps the watch of a directory that moved away together with an unwatched parent. A
//!   new directory at the old path then got no watch. Test:
//!   `a_new_directory_at_the_path_of_a_moved_one_is_watched` below.
//! - Quadratic removal: notify visits every watch for each removed directory, so that removing a tree of
//!   thousands takes seconds. Test: `removing_a_directory_costs_the_same_in_a_table_a_hundred_times_as_large`
//!   in `wd_table.rs`.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, Flag, ModifyKind, RemoveKind};
use notify::{
    Config, Error, ErrorKind, Event, EventHandler, EventKindMask, RecursiveMode, Result, WatchPathConfig,
    Watcher, WatcherKind,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::sync;

use super::wd_table::{WatchDescriptor, WdTable};

/// The kernel flags of each kind of event.
const MASKS: [(EventKindMask, WatchFlags); 5] = [
    (EventKindMask::CREATE, WatchFlags::CREATE),
    (EventKindMask::REMOVE, WatchFlags::DELETE.union(WatchFlags::DELETE_SELF)),
    (EventKindMask::MODIFY_NAME, WatchFlags::MOVE.union(WatchFlags::MOVE_SELF)),
    (EventKindMask::MODIFY_DATA, WatchFlags::MODIFY),
    (EventKindMask::ACCESS_CLOSE, WatchFlags::CLOSE_WRITE),
];
/// Number of wakeups in quick succession that make a storm. In a storm the thread pauses, to read more events
/// at once.
const STORM_WAKEUPS: u32 = 8;
/// Maximum gap between two wakeups of a storm, and the pause in one.
const STORM_GAP: Duration = Duration::from_millis(1);

/// An inotify instance, with a thread that reads its events. The thread ends when the instance is dropped.
#[derive(Debug)]
pub(super) struct Inotify {
    kernel: Arc<OwnedFd>,
    table: Arc<Mutex<WdTable>>,
    mask: WatchFlags,
    /// The thread has taken events from the kernel and not passed all of them on.
    is_busy: Arc<AtomicBool>,
    /// Closing this pipe ends the thread.
    _end: OwnedFd,
}

impl Watcher for Inotify {
    fn new<F: EventHandler>(handler: F, config: Config) -> Result<Self> {
        let kernel = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(notify_error)?;
        let (ended, end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(notify_error)?;
        let (kernel, table) = (Arc::new(kernel), Arc::new(Mutex::new(WdTable::default())));
        let wanted = MASKS.iter().filter(|(kind, _)| config.event_kinds().contains(*kind));
        let mask = wanted.fold(WatchFlags::ONLYDIR, |mask, (_, flags)| mask | *flags);
        let is_busy = Arc::new(AtomicBool::new(false));
        let reader = EventReader {
            kernel: Arc::clone(&kernel),
            table: Arc::clone(&table),
            is_busy: Arc::clone(&is_busy),
            handler,
        };
        let run = move || reader.run(&ended);
        std::thread::Builder::new().name("devrun-events".into()).spawn(run).map_err(Error::io)?;
        Ok(Self { kernel, table, mask, is_busy, _end: end })
    }

    fn watch(&mut self, path: &Path, mode: RecursiveMode) -> Result<()> {
        self.watch_with(path, WatchPathConfig::new(mode))
    }

    /// Watches this directory only, even if the mode is recursive.
    fn watch_with(&mut self, path: &Path, config: WatchPathConfig) -> Result<()> {
        let follow =
            if config.dereference_symlinks() { WatchFlags::empty() } else { WatchFlags::DONT_FOLLOW };
        // Locked before the kernel adds the watch, so that its first event finds it in the table.
        let mut table = sync::lock(&self.table);
        let wd = inotify::add_watch(&self.kernel, path, self.mask | follow).map_err(notify_error)?;
        remove_watch(&self.kernel, table.insert(path, wd));
        Ok(())
    }

    fn unwatch(&mut self, path: &Path) -> Result<()> {
        remove_watch(&self.kernel, sync::lock(&self.table).remove(path));
        Ok(())
    }

    fn kind() -> WatcherKind {
        WatcherKind::Inotify
    }
}

impl Inotify {
    /// Whether an event that has happened may not have been passed on yet.
    pub(super) fn is_behind(&self) -> bool {
        // In this order, because the thread sets the flag before it takes events from the kernel.
        rustix::io::ioctl_fionread(&*self.kernel).is_ok_and(|unread| unread > 0)
            || self.is_busy.load(Ordering::SeqCst)
    }
}

/// Reads the events and passes them to the handler.
struct EventReader<F> {
    kernel: Arc<OwnedFd>,
    table: Arc<Mutex<WdTable>>,
    is_busy: Arc<AtomicBool>,
    handler: F,
}

impl<F: EventHandler> EventReader<F> {
    /// Runs until the other end of the pipe `ended` is closed.
    fn run(mut self, ended: &OwnedFd) {
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let kernel = Arc::clone(&self.kernel);
        let mut reader = Reader::new(&*kernel, &mut buffer);
        let (mut last_wakeup, mut quick_wakeups) = (Instant::now(), 0u32);
        loop {
            let mut ready = [PollFd::new(&*kernel, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
            match poll(&mut ready, None) {
                Err(Errno::INTR) => continue,
                Ok(_) if ready[1].revents().is_empty() => {}
                // Unread events are dropped: an instance is replaced only before everything is compared.
                _ => return,
            }
            let is_quick = last_wakeup.elapsed() < STORM_GAP;
            quick_wakeups = if is_quick { quick_wakeups.saturating_add(1) } else { 0 };
            if quick_wakeups >= STORM_WAKEUPS {
                std::thread::sleep(STORM_GAP);
            }
            last_wakeup = Instant::now();
            self.is_busy.store(true, Ordering::SeqCst);
            if let Err(error) = self.read_available(&mut reader) {
                return self.handler.handle_event(Err(notify_error(error)));
            }
            self.is_busy.store(false, Ordering::SeqCst);
        }
    }

    /// Handles the events that the kernel has now.
    fn read_available(&mut self, reader: &mut Reader<'_, &OwnedFd>) -> rustix::io::Result<()> {
        loop {
            match reader.next() {
                Ok(event) => self.handle_event(&event),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error),
            }
            if reader.is_buffer_empty() {
                return Ok(());
            }
        }
    }

    fn handle_event(&mut self, event: &inotify::Event<'_>) {
        let (wd, flags) = (event.wd(), event.events());
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
            return self.handler.handle_event(Ok(lost));
        }
        let mut table = sync::lock(&self.table);
        if flags.contains(ReadFlags::IGNORED) {
            return table.drop_descriptor(wd);
        }
        let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
        let join = |dir: &Path| name.map_or_else(|| dir.to_owned(), |name| dir.join(name));
        let paths: Vec<PathBuf> = table.paths(wd).map(join).collect();
        if flags.contains(ReadFlags::MOVED_FROM | ReadFlags::ISDIR) {
            // The directories below have new paths. If these count, the worker watches them again.
            for path in &paths {
                for unused in table.remove_below(path) {
                    remove_watch(&self.kernel, Some(unused));
                }
            }
        }
        drop(table);
        let kind = event_kind(flags);
        for path in paths {
            self.handler.handle_event(Ok(Event::new(kind).add_path(path)));
        }
    }
}

/// Removes a watch that no path uses. An error means that the kernel has removed it before.
fn remove_watch(kernel: &OwnedFd, unused: Option<WatchDescriptor>) {
    if let Some(wd) = unused {
        let _ = inotify::remove_watch(kernel, wd);
    }
}

/// The notify kind of a kernel event. `raw_kind` in `watcher.rs` translates it back to one of four kinds.
///
/// The directory flag matters for the creation of a file only, which is followed by a close.
fn event_kind(flags: ReadFlags) -> EventKind {
    let removed = ReadFlags::MOVED_FROM
        | ReadFlags::MOVE_SELF
        | ReadFlags::DELETE
        | ReadFlags::DELETE_SELF
        | ReadFlags::UNMOUNT;
    if flags.intersects(removed) {
        EventKind::Remove(RemoveKind::Any)
    } else if flags.contains(ReadFlags::CREATE) && !flags.contains(ReadFlags::ISDIR) {
        EventKind::Create(CreateKind::File)
    } else if flags.contains(ReadFlags::CLOSE_WRITE) {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
    } else {
        EventKind::Modify(ModifyKind::Any)
    }
}

fn notify_error(error: Errno) -> Error {
    match error {
        Errno::NOSPC => Error::new(ErrorKind::MaxFilesWatch),
        other => Error::io(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use crate::watch::{queue::RawEventKind, source::watcher::raw_kind};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    fn created() -> Config {
        Config::default().with_event_kinds(EventKindMask::CREATE)
    }

    #[test]
    fn it_is_behind_until_its_handler_has_every_event() {
        let dir = tempfile::tempdir().unwrap();
        let (go_on, wait) = mpsc::channel::<()>();
        let handler = move |_| _ = wait.recv();
        let mut inotify = Inotify::new(handler, created()).unwrap();
        inotify.watch(dir.path(), RecursiveMode::NonRecursive).unwrap();
        assert!(!inotify.is_behind());
        for name in ["a", "b"] {
            std::fs::write(dir.path().join(name), "").unwrap();
            assert!(inotify.is_behind());
        }
        go_on.send(()).unwrap();
        assert!(inotify.is_behind());
        go_on.send(()).unwrap();
        let deadline = Instant::now() + TIMEOUT;
        while inotify.is_behind() {
            assert!(Instant::now() < deadline, "every event is passed on");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_new_directory_at_the_path_of_a_moved_one_is_watched() {
        let dir = tempfile::tempdir().unwrap();
        let (parent, moved) = (dir.path().join("parent"), dir.path().join("moved"));
        let child = parent.join("child");
        std::fs::create_dir_all(&child).unwrap();
        let (events, received) = mpsc::channel();
        let handler = move |event: Result<Event>| _ = events.send(event.unwrap().paths);
        let mut inotify = Inotify::new(handler, created()).unwrap();
        inotify.watch(&child, RecursiveMode::NonRecursive).unwrap();
        std::fs::rename(&parent, &moved).unwrap();
        std::fs::create_dir_all(&child).unwrap();
        inotify.watch(&child, RecursiveMode::NonRecursive).unwrap();
        std::fs::write(moved.join("child/old"), "").unwrap();
        std::fs::write(child.join("new"), "").unwrap();
        assert_eq!(received.recv_timeout(TIMEOUT).unwrap(), [child.join("new")]);
    }

    #[test]
    fn each_kernel_event_arrives_with_its_kind() {
        let cases = [
            (ReadFlags::CREATE, RawEventKind::Created),
            (ReadFlags::CREATE | ReadFlags::ISDIR, RawEventKind::Written),
            (ReadFlags::CLOSE_WRITE, RawEventKind::Closed),
            (ReadFlags::MOVED_TO, RawEventKind::Written),
            (ReadFlags::MOVED_FROM, RawEventKind::Removed),
            (ReadFlags::DELETE | ReadFlags::ISDIR, RawEventKind::Removed),
            (ReadFlags::DELETE_SELF, RawEventKind::Removed),
        ];
        for (flags, kind) in cases {
            assert_eq!(raw_kind(&event_kind(flags)), Some(kind), "{flags:?}");
        }
    }
}
