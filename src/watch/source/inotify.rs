//! A notify watcher for Linux: one inotify watch per directory, with a mask of the wanted events only.
//!
//! It replaces notify's own inotify watcher because of two faults of that one (checked in 9.0.0-rc.7). When
//! both are gone upstream, this file can go too; each has a test.
//! - Lost edits: notify keeps the watch of a directory that moved away together with an unwatched parent. A
//!   new directory at the old path then got no watch. Test:
//!   `a_new_directory_at_the_path_of_a_moved_one_is_watched` below.
//! - Quadratic removal: notify visits every watch for each removed directory, so that removing a tree of
//!   thousands takes seconds. Test: `the_removal_of_a_big_tree_takes_linear_time` in
//!   `tests/it/watch/limits.rs`.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::ops::Bound;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, Flag, ModifyKind, RemoveKind};
use notify::{
    Config, Error, Event, EventHandler, RecursiveMode, Result, WatchPathConfig, Watcher, WatcherKind,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::sync;

/// The events of every watch. The kernel leaves out the others, such as reads.
const WATCHED: WatchFlags = WatchFlags::ONLYDIR
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::CLOSE_WRITE);
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
    /// The thread has taken events from the kernel and not passed all of them on.
    is_busy: Arc<AtomicBool>,
    /// Closing this pipe ends the thread.
    _end: OwnedFd,
}

impl Watcher for Inotify {
    fn new<F: EventHandler>(handler: F, _: Config) -> Result<Self> {
        let kernel = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(notify_error)?;
        let (ended, end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(notify_error)?;
        let (kernel, table) = (Arc::new(kernel), Arc::new(Mutex::new(WdTable::default())));
        let is_busy = Arc::new(AtomicBool::new(false));
        let reader = EventReader {
            kernel: Arc::clone(&kernel),
            table: Arc::clone(&table),
            is_busy: Arc::clone(&is_busy),
            handler,
        };
        let run = move || reader.run(&ended);
        std::thread::Builder::new().name("devrun-events".into()).spawn(run).map_err(Error::io)?;
        Ok(Self { kernel, table, is_busy, _end: end })
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
        let wd = inotify::add_watch(&self.kernel, path, WATCHED | follow).map_err(notify_error)?;
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
    /// Also reports new attributes of the directories in a directory, such as permissions.
    pub(super) fn watch_attributes(&mut self, path: &Path) {
        let mut table = sync::lock(&self.table);
        let flags = WatchFlags::ONLYDIR | WatchFlags::ATTRIB | WatchFlags::MASK_ADD;
        // Without this watch, a retry finds the directory readable.
        if let Ok(wd) = inotify::add_watch(&self.kernel, path, flags) {
            remove_watch(&self.kernel, table.insert(path, wd));
        }
    }

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
        if flags.contains(ReadFlags::ATTRIB) && !flags.contains(ReadFlags::ISDIR) {
            return;
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

/// The kernel's number of a watch. The kernel does not reuse it.
type WatchDescriptor = i32;

/// The watch descriptors by path, and the paths by watch descriptor. The cost of each operation does not grow
/// with the number of watches.
#[derive(Debug, Default)]
struct WdTable {
    /// Ordered by the bytes of the path, so that the paths below a directory are adjacent.
    descriptors: BTreeMap<Arc<OsStr>, WatchDescriptor>,
    /// Two paths share a descriptor if they lead to the same directory.
    paths: HashMap<WatchDescriptor, Vec<Arc<OsStr>>>,
}

impl WdTable {
    /// Sets the descriptor of a path. Returns the path's old descriptor if no other path uses it.
    #[must_use]
    fn insert(&mut self, path: &Path, wd: WatchDescriptor) -> Option<WatchDescriptor> {
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
    fn paths(&self, wd: WatchDescriptor) -> impl Iterator<Item = &Path> {
        self.paths.get(&wd).into_iter().flatten().map(|path| Path::new(&**path))
    }

    /// Removes a path. Returns its descriptor if no other path uses it.
    #[must_use]
    fn remove(&mut self, path: &Path) -> Option<WatchDescriptor> {
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
    fn remove_below(&mut self, path: &Path) -> Vec<WatchDescriptor> {
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
    fn drop_descriptor(&mut self, wd: WatchDescriptor) {
        for path in self.paths.remove(&wd).unwrap_or_default() {
            if self.descriptors.get(&path) == Some(&wd) {
                self.descriptors.remove(&path);
            }
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
    Error::io(error.into())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use crate::watch::{queue::RawEventKind, source::watcher::raw_kind};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    #[test]
    fn it_is_behind_until_its_handler_has_every_event() {
        let dir = tempfile::tempdir().unwrap();
        let (go_on, wait) = mpsc::channel::<()>();
        let handler = move |_| _ = wait.recv();
        let mut inotify = Inotify::new(handler, Config::default()).unwrap();
        inotify.watch(dir.path(), RecursiveMode::NonRecursive).unwrap();
        assert!(!inotify.is_behind());
        for name in ["a", "b"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
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
        let mut inotify = Inotify::new(handler, Config::default()).unwrap();
        inotify.watch(&child, RecursiveMode::NonRecursive).unwrap();
        std::fs::rename(&parent, &moved).unwrap();
        std::fs::create_dir_all(&child).unwrap();
        inotify.watch(&child, RecursiveMode::NonRecursive).unwrap();
        std::fs::create_dir(moved.join("child/old")).unwrap();
        std::fs::create_dir(child.join("new")).unwrap();
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
        assert!(table.remove_below(Path::new("/r/none")).is_empty());
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
}
