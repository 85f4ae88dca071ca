//! A notify watcher for Linux: one inotify watch per directory, with a mask that leaves out what was not asked for.
//!
//! notify's own looks at all watches for each directory that goes, so that a tree of thousands costs seconds when it is
//! removed; and it takes the watch of a directory that has moved on, while what is above it was not watched, for the one
//! of its successor. Here a watch that goes costs the same however many there are, and a path is always asked for anew.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{
    AccessKind, AccessMode, CreateKind, EventKind, Flag, ModifyKind, RemoveKind, RenameMode,
};
use notify::{
    Config, Error, ErrorKind, Event, EventHandler, EventKindMask, RecursiveMode, Result, WatchPathConfig,
    Watcher, WatcherKind,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::watch::source::wd_table::{Table, Watch};

/// What is asked of the kernel for each kind of event.
const MASKS: [(EventKindMask, WatchFlags); 5] = [
    (EventKindMask::CREATE, WatchFlags::CREATE),
    (EventKindMask::REMOVE, WatchFlags::DELETE.union(WatchFlags::DELETE_SELF)),
    (EventKindMask::MODIFY_NAME, WatchFlags::MOVE.union(WatchFlags::MOVE_SELF)),
    (EventKindMask::MODIFY_DATA, WatchFlags::MODIFY),
    (EventKindMask::ACCESS_CLOSE, WatchFlags::CLOSE_WRITE),
];
/// Woken so often in a row, each time so soon after the last, it reads less often and more at once.
const STORM: u32 = 8;
const SOON: Duration = Duration::from_millis(1);

/// An inotify instance. A thread reads its events; it never waits for anybody, and ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Inotify {
    kernel: Arc<OwnedFd>,
    table: Arc<Mutex<Table>>,
    mask: WatchFlags,
    /// Its thread passes on what it has read.
    busy: Arc<AtomicBool>,
    /// Closing it ends the thread.
    _end: OwnedFd,
}

impl Watcher for Inotify {
    fn new<F: EventHandler>(handler: F, config: Config) -> Result<Self> {
        let kernel = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(failure)?;
        let (ended, end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(failure)?;
        let (kernel, table) = (Arc::new(kernel), Arc::new(Mutex::new(Table::default())));
        let asked = MASKS.iter().filter(|(kind, _)| config.event_kinds().contains(*kind));
        let mask = asked.fold(WatchFlags::ONLYDIR, |mask, (_, flags)| mask | *flags);
        let busy = Arc::new(AtomicBool::new(false));
        let shared = (Arc::clone(&kernel), Arc::clone(&table), Arc::clone(&busy));
        let listener = Listener { kernel: shared.0, table: shared.1, busy: shared.2, handler };
        let listen = move || listener.listen(&ended);
        std::thread::Builder::new().name("devrun-events".into()).spawn(listen).map_err(Error::io)?;
        Ok(Self { kernel, table, mask, busy, _end: end })
    }

    fn watch(&mut self, path: &Path, mode: RecursiveMode) -> Result<()> {
        self.watch_with(path, WatchPathConfig::new(mode))
    }

    /// Always this directory alone: whoever wants what is below asks for that too.
    fn watch_with(&mut self, path: &Path, config: WatchPathConfig) -> Result<()> {
        let follow =
            if config.dereference_symlinks() { WatchFlags::empty() } else { WatchFlags::DONT_FOLLOW };
        // Locked before the kernel knows it, so that no event comes for a watch that the table does not know.
        let mut table = locked(&self.table);
        let watch = inotify::add_watch(&self.kernel, path, self.mask | follow).map_err(failure)?;
        release(&self.kernel, table.put(path, watch));
        Ok(())
    }

    fn unwatch(&mut self, path: &Path) -> Result<()> {
        release(&self.kernel, locked(&self.table).remove(path));
        Ok(())
    }

    fn kind() -> WatcherKind {
        WatcherKind::Inotify
    }
}

impl Inotify {
    /// Whether something that has happened may not have been passed on yet.
    pub(crate) fn is_behind(&self) -> bool {
        // Asked in this order: whoever takes events out of the kernel has said before that it is busy.
        rustix::io::ioctl_fionread(&*self.kernel).is_ok_and(|unread| unread > 0)
            || self.busy.load(Ordering::SeqCst)
    }
}

fn failure(error: Errno) -> Error {
    match error {
        Errno::NOSPC => Error::new(ErrorKind::MaxFilesWatch),
        other => Error::io(other.into()),
    }
}

/// What the thread needs.
struct Listener<F> {
    kernel: Arc<OwnedFd>,
    table: Arc<Mutex<Table>>,
    busy: Arc<AtomicBool>,
    handler: F,
}

impl<F: EventHandler> Listener<F> {
    /// Until the other end of `ended` is closed.
    fn listen(mut self, ended: &OwnedFd) {
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let kernel = Arc::clone(&self.kernel);
        let mut reader = Reader::new(&*kernel, &mut buffer);
        let (mut woken, mut storm) = (Instant::now(), 0u32);
        loop {
            let mut ready = [PollFd::new(&*kernel, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
            match poll(&mut ready, None) {
                Err(Errno::INTR) => continue,
                Ok(_) if ready[1].revents().is_empty() => {}
                // An instance that is replaced tells nothing any more: everything is compared anyway.
                _ => return,
            }
            storm = if woken.elapsed() < SOON { storm.saturating_add(1) } else { 0 };
            if storm >= STORM {
                std::thread::sleep(SOON);
            }
            woken = Instant::now();
            self.busy.store(true, Ordering::SeqCst);
            loop {
                match reader.next() {
                    Ok(event) => self.heed(&event),
                    Err(Errno::INTR) => continue,
                    Err(Errno::AGAIN) => break,
                    // Whatever was not delivered is found by comparing.
                    Err(error) => return self.handler.handle_event(Err(failure(error))),
                }
                if reader.is_buffer_empty() {
                    break;
                }
            }
            self.busy.store(false, Ordering::SeqCst);
        }
    }

    fn heed(&mut self, event: &inotify::Event<'_>) {
        let (watch, what) = (event.wd(), event.events());
        if what.contains(ReadFlags::QUEUE_OVERFLOW) {
            let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
            return self.handler.handle_event(Ok(lost));
        }
        let mut table = locked(&self.table);
        if what.contains(ReadFlags::IGNORED) {
            return table.drop_watch(watch);
        }
        let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
        let join = |dir: &Path| name.map_or_else(|| dir.to_owned(), |name| dir.join(name));
        let paths: Vec<PathBuf> = table.paths(watch).map(join).collect();
        if what.contains(ReadFlags::MOVED_FROM | ReadFlags::ISDIR) {
            // What is below it has another path from now on; it is watched again where that counts.
            for path in &paths {
                table.remove_below(path).into_iter().for_each(|watch| release(&self.kernel, Some(watch)));
            }
        }
        drop(table);
        for path in paths {
            self.handler.handle_event(Ok(Event::new(kind(what)).add_path(path)));
        }
    }
}

fn release(kernel: &OwnedFd, unused: Option<Watch>) {
    if let Some(watch) = unused {
        // It may have gone by itself.
        let _ = inotify::remove_watch(kernel, watch);
    }
}

fn kind(what: ReadFlags) -> EventKind {
    let is_dir = what.contains(ReadFlags::ISDIR);
    if what.intersects(ReadFlags::MOVED_FROM | ReadFlags::MOVE_SELF) {
        EventKind::Modify(ModifyKind::Name(RenameMode::From))
    } else if what.contains(ReadFlags::MOVED_TO) {
        EventKind::Modify(ModifyKind::Name(RenameMode::To))
    } else if what.intersects(ReadFlags::DELETE | ReadFlags::DELETE_SELF | ReadFlags::UNMOUNT) {
        EventKind::Remove(if is_dir { RemoveKind::Folder } else { RemoveKind::Any })
    } else if what.contains(ReadFlags::CREATE) {
        EventKind::Create(if is_dir { CreateKind::Folder } else { CreateKind::File })
    } else if what.contains(ReadFlags::CLOSE_WRITE) {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
    } else {
        EventKind::Modify(ModifyKind::Any)
    }
}

fn locked(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn it_is_behind_until_its_handler_has_all_that_has_happened() {
        let dir = tempfile::tempdir().unwrap();
        let (go_on, wait) = mpsc::channel::<()>();
        let handler = move |_| _ = wait.recv();
        let config = Config::default().with_event_kinds(EventKindMask::CREATE);
        let mut inotify = Inotify::new(handler, config).unwrap();
        inotify.watch(dir.path(), RecursiveMode::NonRecursive).unwrap();
        assert!(!inotify.is_behind());
        for name in ["a", "b"] {
            std::fs::write(dir.path().join(name), "").unwrap();
            assert!(inotify.is_behind());
        }
        go_on.send(()).unwrap();
        assert!(inotify.is_behind());
        go_on.send(()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while inotify.is_behind() {
            assert!(Instant::now() < deadline, "it comes to an end");
            std::thread::yield_now();
        }
    }
}
