//! The kernel's events on Linux: one watch per directory that counts, with a mask that leaves out reads. A thread
//! translates them to hints; it never waits for anybody.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use super::super::hint::{Hint, Sign};
use super::super::inbox::{Inbox, Message};
use super::refusal::Refusal;
use super::table::{Table, Watch};

/// Reads are not among them, so that they wake nobody; nor is the change of data, whose end is the close.
const MASK: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);
/// Woken so often in a row, each time so soon after the last, it reads less often and more at once.
const STORM: u32 = 8;
const SOON: Duration = Duration::from_millis(1);

/// The watches in the kernel.
#[derive(Debug)]
pub(crate) struct Events {
    kernel: Arc<OwnedFd>,
    table: Arc<Mutex<Table>>,
    /// Closing it ends the thread.
    end: OwnedFd,
    thread: JoinHandle<()>,
}

impl Events {
    /// Opens an instance without watches; its hints go to `inbox`.
    ///
    /// # Errors
    /// [`Refusal::Limit`] if there are too many instances, else [`Refusal::Denied`].
    pub(crate) fn open(inbox: &Arc<Inbox>) -> Result<Self, Refusal> {
        let kernel = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(Refusal::of)?;
        let (ended, end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(Refusal::of)?;
        let (kernel, table) = (Arc::new(kernel), Arc::new(Mutex::new(Table::default())));
        let listener =
            Listener { kernel: Arc::clone(&kernel), table: Arc::clone(&table), inbox: Arc::clone(inbox) };
        let listen = move || listener.listen(&ended);
        let thread = std::thread::Builder::new().name("devrun-events".into()).spawn(listen);
        Ok(Self { kernel, table, end, thread: thread.map_err(|_| Refusal::Denied)? })
    }

    /// Watches directories; one that is a symbolic link only if it is a root. Gives those that got no watch.
    /// Watching what is watched already does nothing.
    pub(crate) fn watch(
        &mut self,
        dirs: Vec<PathBuf>,
        is_root: impl Fn(&Path) -> bool,
    ) -> Vec<(PathBuf, Refusal)> {
        let mut refused = Vec::new();
        let mut dirs = dirs.into_iter();
        for dir in dirs.by_ref() {
            let follow = if is_root(&dir) { WatchFlags::empty() } else { WatchFlags::DONT_FOLLOW };
            // Locked before the kernel knows it, so that no event comes for a watch that the table does not know.
            let mut table = locked(&self.table);
            match inotify::add_watch(&self.kernel, &dir, MASK | follow) {
                Ok(watch) => self.release(table.put(&dir, watch)),
                Err(error) => {
                    let refusal = Refusal::of(error);
                    refused.push((dir, refusal));
                    if refusal == Refusal::Limit {
                        break;
                    }
                }
            }
        }
        // After a limit the rest would fail in the same way.
        refused.extend(dirs.map(|dir| (dir, Refusal::Limit)));
        refused
    }

    /// Removes watches.
    pub(crate) fn unwatch(&mut self, dirs: Vec<PathBuf>) {
        let mut table = locked(&self.table);
        dirs.iter().for_each(|dir| self.release(table.remove(dir)));
    }

    fn release(&self, unused: Option<Watch>) {
        release(&self.kernel, unused);
    }

    /// Ends it; returns once its thread has ended.
    pub(crate) fn close(self) {
        drop(self.end);
        let _ = self.thread.join();
    }
}

/// What the thread needs.
struct Listener {
    kernel: Arc<OwnedFd>,
    table: Arc<Mutex<Table>>,
    inbox: Arc<Inbox>,
}

impl Listener {
    /// Until the other end of `ended` is closed.
    fn listen(self, ended: &OwnedFd) {
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = Reader::new(&*self.kernel, &mut buffer);
        let (mut woken, mut storm) = (Instant::now(), 0u32);
        loop {
            let mut ready = [PollFd::new(&*self.kernel, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
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
            loop {
                match reader.next() {
                    Ok(event) => self.heed(&event),
                    Err(Errno::INTR) => continue,
                    Err(Errno::AGAIN) => break,
                    // Whatever was not delivered is found by comparing.
                    Err(_) => return self.tell(Hint::Everything),
                }
                if reader.is_buffer_empty() {
                    break;
                }
            }
        }
    }

    fn heed(&self, event: &inotify::Event<'_>) {
        let (watch, what) = (event.wd(), event.events());
        if what.contains(ReadFlags::QUEUE_OVERFLOW) {
            return self.tell(Hint::Everything);
        }
        let mut table = locked(&self.table);
        if what.contains(ReadFlags::IGNORED) {
            return table.drop_watch(watch);
        }
        let name = event.file_name().map(|name| std::ffi::OsStr::from_bytes(name.to_bytes()));
        let join = |dir: &Path| name.map_or_else(|| dir.to_owned(), |name| dir.join(name));
        let paths: Vec<PathBuf> = table.paths(watch).map(join).collect();
        if what.contains(ReadFlags::MOVED_FROM | ReadFlags::ISDIR) {
            // What is below it has another path from now on; it is watched again where that counts.
            for path in &paths {
                table.remove_below(path).into_iter().for_each(|watch| release(&self.kernel, Some(watch)));
            }
        }
        drop(table);
        let sign = sign(what);
        paths.into_iter().for_each(|path| self.tell(Hint::Path { path, sign }));
    }

    fn tell(&self, hint: Hint) {
        self.inbox.push(Message::Hint(hint));
    }
}

fn release(kernel: &OwnedFd, unused: Option<Watch>) {
    if let Some(watch) = unused {
        // It may have gone by itself.
        let _ = inotify::remove_watch(kernel, watch);
    }
}

fn sign(what: ReadFlags) -> Sign {
    let gone = ReadFlags::DELETE
        | ReadFlags::DELETE_SELF
        | ReadFlags::MOVED_FROM
        | ReadFlags::MOVE_SELF
        | ReadFlags::UNMOUNT;
    if what.intersects(gone) {
        Sign::Gone
    } else if what.contains(ReadFlags::CREATE) && !what.contains(ReadFlags::ISDIR) {
        Sign::Opened
    } else {
        Sign::Written
    }
}

fn locked(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
