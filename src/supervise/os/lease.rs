//! Linux, without privileges: who is about to write a file.
//!
//! A read lease (fcntl(2), `F_SETLEASE`) on a file of one's own makes the kernel hold whoever opens it for writing until the
//! holder lets go, and tells the holder. In that moment the writer stands in the kernel's `__break_lease`, and can be looked at:
//! also a shell's `date > file`, which is over in a millisecond. A file that is replaced by another has no lease that breaks;
//! there, who has the successor open is looked for while it is being written, which may come too late.
//!
//! Nobody is held longer than it takes to look (a few milliseconds), but only as long as this process runs. So leases are kept
//! for the while after a start that matters, on few files, and on none while this process is stopped by its terminal.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::super::evidence::{Interest, Suspected};
use super::ear::Breath;
use super::heard::{Heard, Written, is_writing, writer};
use super::hold::{breaks, held, is_hidden, new_lease, signals};
use super::procfs::{children, everybody};
use super::unix::pipe;

/// So long after the last change leases are kept, if nothing starts.
const WHILE: Duration = Duration::from_secs(5);
/// A file that is open for writing is tried again so soon, and each time after twice as long, so many times: the kernel tells of
/// its being closed just before it is.
const AGAIN: Duration = Duration::from_micros(100);
const TRIES: u32 = 11;
/// If it is still open for writing then, who has it open is looked for.
const STAYS_OPEN: u32 = 3;
/// So many inodes are known at most that may become somebody's successor.
const SUCCESSORS: usize = 256;
/// What is listened for in the directories of the files.
const EVENTS: WatchFlags = WatchFlags::ONLYDIR
    .union(WatchFlags::CREATE)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE);

/// Leases on the files under suspicion, and the thread that hears of their breaking. Dropped, it lets everybody go.
#[derive(Debug)]
pub(super) struct Leases {
    shared: Arc<Shared>,
    /// A byte wakes the thread, its end ends it.
    wake: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    directories: OwnedFd,
    session: String,
    heard: Heard,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The thread that is told of breaks.
    thread: i32,
    leases: BTreeMap<PathBuf, Lease>,
    watches: HashMap<i32, PathBuf>,
    /// Those that do not last are given up then.
    until: Instant,
    resting: bool,
    again: Option<Again>,
    /// Who was seen writing other files, by device and inode: they may be renamed to one under suspicion.
    successors: HashMap<(u64, u64), Written>,
}

/// When to try again what could not be leased, and for the how-manieth time.
#[derive(Debug, Clone, Copy)]
struct Again {
    at: Instant,
    time: u32,
}

#[derive(Debug)]
struct Lease {
    interest: Interest,
    /// Ours were seen to replace the file by another.
    replaced: bool,
    /// Who has broken it last: until it can be taken again, it is they who write.
    broken_by: Written,
    /// While it is held. Closing it gives it up.
    file: Option<File>,
}

impl Leases {
    pub(super) fn open(session: &str, heard: &Heard) -> io::Result<Self> {
        let directories = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let (woken, wake) = pipe()?;
        let state = State {
            thread: 0,
            leases: BTreeMap::new(),
            watches: HashMap::new(),
            until: Instant::now(),
            resting: false,
            again: None,
            successors: HashMap::new(),
        };
        let (session, heard) = (session.to_owned(), heard.clone());
        let shared = Arc::new(Shared { directories, session, heard, state: Mutex::new(state) });
        let (tell, told) = sync_channel(1);
        let work = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("writers".to_owned());
        let thread = thread.spawn(move || match signals() {
            Ok(signals) => work.listen(&signals, &woken, &tell),
            Err(error) => drop(tell.send(Err(error))),
        })?;
        let this = Self { shared, wake: Some(wake), thread: Some(thread) };
        let told = told.recv().map_err(|_| io::Error::other("the thread has ended"))?;
        this.shared.state().thread = told?;
        Ok(this)
    }

    /// From now on, it is these files.
    pub(super) fn watch(&self, files: &[Suspected]) {
        let mut state = self.shared.state();
        let mut before = std::mem::take(&mut state.leases);
        for file in files {
            let new =
                Lease { interest: file.interest, replaced: false, broken_by: Written::default(), file: None };
            let lease = Lease { interest: file.interest, ..before.remove(&file.path).unwrap_or(new) };
            state.leases.insert(file.path.clone(), lease);
        }
        drop(before);
        // Added again though known: a directory may have been replaced by another.
        let wanted: HashSet<&Path> = files.iter().filter_map(|file| file.path.parent()).collect();
        let added = wanted.iter().filter_map(|path| {
            let watch = inotify::add_watch(&self.shared.directories, *path, EVENTS).ok()?;
            Some((watch, path.to_path_buf()))
        });
        let watches: HashMap<_, _> = added.collect();
        for gone in state.watches.keys().filter(|watch| !watches.contains_key(watch)) {
            let _ = inotify::remove_watch(&self.shared.directories, *gone);
        }
        state.watches = watches;
        let until = state.until.max(Instant::now() + WHILE);
        self.attend_to(state, until);
    }

    /// Something of ours starts: leases are taken again, and kept for so long.
    pub(super) fn attend(&self, how_long: Duration) {
        self.attend_to(self.shared.state(), Instant::now() + how_long);
    }

    fn attend_to(&self, mut state: MutexGuard<'_, State>, until: Instant) {
        if state.leases.is_empty() {
            return;
        }
        state.until = until;
        state.resting = false;
        self.shared.take_all(&mut state, 0);
        drop(state);
        // It waits until another time now.
        if let Some(wake) = &self.wake {
            let _ = rustix::io::write(wake, &[0]);
        }
    }

    /// Gives all up until something starts again.
    pub(super) fn rest(&self) {
        let mut state = self.shared.state();
        state.resting = true;
        state.leases.values_mut().for_each(|lease| lease.file = None);
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.rest();
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Lease {
    /// Who has replaced the file if nobody was seen: not ours, if it is proven that they write it and they never did that.
    fn unseen(&self) -> Written {
        let by_others = self.interest == Interest::Lasting && !self.replaced;
        Written { by_us: false, by_others, by_unknown: !by_others }
    }
}

impl State {
    /// Until when to wait at most for an event.
    fn deadline(&self) -> Option<Instant> {
        let passing = |lease: &Lease| lease.file.is_some() && lease.interest != Interest::Lasting;
        let until = self.leases.values().any(passing).then_some(self.until);
        until.into_iter().chain(self.again.map(|again| again.at)).min()
    }

    /// Gives up what is not to last, if it is time.
    fn expire(&mut self, now: Instant) {
        if now >= self.until {
            let passing = self.leases.values_mut().filter(|lease| lease.interest != Interest::Lasting);
            passing.for_each(|lease| lease.file = None);
        }
    }

    fn wants(&self, lease: &Lease) -> bool {
        let open = match lease.interest {
            Interest::Passing => false,
            Interest::Close => Instant::now() < self.until,
            Interest::Lasting => true,
        };
        open && !self.resting
    }

    /// Whether it is worth to know who writes other files: shortly after a start, and where ours replace what they write.
    fn wants_successors(&self) -> bool {
        let is_close = Instant::now() < self.until;
        self.leases.values().any(|lease| self.wants(lease) && (is_close || lease.replaced))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of the thread.
    fn listen(&self, signals: &OwnedFd, woken: &OwnedFd, tell: &SyncSender<io::Result<i32>>) {
        // SAFETY: plain system call without arguments.
        let _ = tell.send(Ok(unsafe { libc::gettid() }));
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut events = Reader::new(&self.directories, &mut buffer);
        let mut breath = Breath::new();
        // A flood of events may wait until then; who is held may not.
        let mut deaf_until: Option<Instant> = None;
        loop {
            deaf_until = deaf_until.filter(|at| *at > Instant::now());
            let deadline = self.state().deadline().into_iter().chain(deaf_until).min();
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let mut ready = [
                PollFd::new(signals, PollFlags::IN),
                PollFd::new(woken, PollFlags::IN),
                PollFd::new(
                    &self.directories,
                    if deaf_until.is_some() { PollFlags::empty() } else { PollFlags::IN },
                ),
            ];
            match poll(&mut ready, left.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return self.state().leases.clear(),
            }
            let [signalled, woken_up, changed] = ready.map(|one| !one.revents().is_empty());
            // First of all: somebody is held.
            if signalled {
                let _ = rustix::io::read(signals, &mut [0; 4096]);
                self.broken();
            }
            if woken_up && !matches!(rustix::io::read(woken, &mut [0; 64]), Ok(1..)) {
                return;
            }
            if changed {
                deaf_until = breath.take().map(|pause| Instant::now() + pause);
                while let Ok(event) = events.next() {
                    if let Some(name) = event.file_name() {
                        self.heed(event.wd(), OsStr::from_bytes(name.to_bytes()), event.events());
                    }
                    if events.is_buffer_empty() {
                        break;
                    }
                }
            }
            let mut state = self.state();
            state.expire(Instant::now());
            self.try_again(&mut state);
        }
    }

    /// Takes the leases that could not be taken before, if it is time.
    fn try_again(&self, state: &mut State) {
        if let Some(again) = state.again.take_if(|again| again.at <= Instant::now()) {
            self.take_all(state, again.time);
        }
    }

    /// Takes the leases that are wanted, for the how-manieth time. Those that are held are looked at only the first time: the
    /// path may name another file by now.
    fn take_all(&self, state: &mut State, time: u32) {
        let open = state.leases.iter().filter(|(_, lease)| time == 0 || lease.file.is_none());
        let paths: Vec<PathBuf> = open.map(|(path, _)| path.clone()).collect();
        paths.iter().for_each(|path| self.take(state, path, time));
    }

    /// Looks who opens the files whose leases break, and lets him go on.
    fn broken(&self) {
        let mut state = self.state();
        let broken = state.leases.iter_mut().filter(|(_, lease)| lease.file.as_ref().is_some_and(breaks));
        let broken: Vec<_> = broken.collect();
        if broken.is_empty() {
            return;
        }
        let held = held(broken.len(), descendants);
        let mut by = Written::default();
        if held.len() < broken.len() {
            // Somebody who does not let himself be looked at. If all of ours do, he is none of them.
            by.by_unknown =
                everybody().into_iter().any(|pid| is_hidden(pid) && writer(pid, &self.session).by_us);
            by.by_others = !by.by_unknown;
        }
        for pid in held {
            by |= writer(pid, &self.session);
        }
        for (path, lease) in broken {
            tracing::debug!(path = %path.display(), ?by, "opened for writing");
            self.heard.note(path.file_name().unwrap_or_default(), by);
            (lease.file, lease.broken_by) = (None, by);
        }
    }

    /// One event in a directory of files under suspicion.
    fn heed(&self, watch: i32, name: &OsStr, what: ReadFlags) {
        let mut state = self.state();
        let Some(path) = state.watches.get(&watch).map(|directory| directory.join(name)) else { return };
        let Some(lease) = state.leases.get_mut(&path) else {
            if what.intersects(ReadFlags::CREATE | ReadFlags::MODIFY) {
                self.may_succeed(state, &path);
            }
            return;
        };
        if what.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
            lease.file = None;
            return;
        }
        if what.contains(ReadFlags::MOVED_TO) {
            let inode = fs::metadata(&path).map(|file| (file.dev(), file.ino()));
            let by = inode.ok().and_then(|inode| state.successors.remove(&inode));
            let by = by.unwrap_or_else(|| state.leases.get(&path).map(Lease::unseen).unwrap_or_default());
            if let Some(lease) = state.leases.get_mut(&path) {
                lease.replaced |= by.by_us;
            }
            self.heard.replaced(name, by);
        } else if lease.file.is_none() {
            self.heard.note(name, lease.broken_by);
        }
        self.take(&mut state, &path, 0);
    }

    /// Looks who writes a file that may be renamed to one under suspicion.
    fn may_succeed(&self, state: MutexGuard<'_, State>, path: &Path) {
        let is_wanted = state.wants_successors();
        drop(state);
        let Some(file) = fs::symlink_metadata(path).ok().filter(|file| is_wanted && file.is_file()) else {
            return;
        };
        let inode = (file.dev(), file.ino());
        let is_known = self.state().successors.contains_key(&inode);
        if let Some(by) = (!is_known).then(|| self.writes(&file)).flatten() {
            let mut state = self.state();
            if state.successors.len() >= SUCCESSORS {
                state.successors.clear();
            }
            state.successors.insert(inode, by);
        }
    }

    /// Who has this file open for writing at this moment. Those that we have started are asked first: they are few.
    fn writes(&self, file: &Metadata) -> Option<Written> {
        let mut all = descendants().chain(std::iter::once_with(everybody).flatten());
        Some(writer(all.find(|pid| is_writing(*pid, file))?, &self.session))
    }

    /// Takes the lease on a file, if it is wanted and not held; later, if it is open for writing now.
    fn take(&self, state: &mut State, path: &Path, time: u32) {
        let Some(lease) = state.leases.get(path).filter(|lease| state.wants(lease)) else { return };
        match new_lease(state.thread, path, lease.file.as_ref()) {
            Ok(None) => {}
            Ok(file) => {
                if let Some(lease) = state.leases.get_mut(path) {
                    (lease.file, lease.broken_by) = (file, Written::default());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // Not before it is tried once more: looking takes longer than closing, and whoever comes meanwhile is not seen.
                let found = (time >= STAYS_OPEN).then(|| fs::metadata(path).ok()).flatten();
                if let Some(by) = found.and_then(|file| self.writes(&file)) {
                    self.heard.note(path.file_name().unwrap_or_default(), by);
                }
                let next = Again { at: Instant::now() + AGAIN * (1 << time), time: time + 1 };
                let sooner = state.again.filter(|again| again.at <= next.at);
                state.again = sooner.or((time < TRIES).then_some(next)).or(state.again);
            }
            Err(error) => tracing::debug!(path = %path.display(), %error, "no lease"),
        }
    }
}

/// Those who descend from this process; the older ones come first.
fn descendants() -> impl Iterator<Item = i32> {
    let me = vec![std::process::id() as i32];
    let next = |one: &Vec<i32>| Some(one.iter().copied().filter_map(children).flatten().collect());
    let generations = std::iter::successors(Some(me), next).skip(1);
    generations.take_while(|one: &Vec<i32>| !one.is_empty()).flatten()
}
