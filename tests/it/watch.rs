//! Which changes happened: real files, in event and in stat mode, through the public door.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use devrun::change::{Batch, ChangeKind};
use devrun::rules;
use devrun::watch::{Event, Mode, Options, Watch};

use crate::sandbox::{PATIENCE, Sandbox};

/// A watch on a sandbox, with the runtime it needs.
pub(crate) struct Spy {
    runtime: tokio::runtime::Runtime,
    pub(crate) watch: Watch,
    root: PathBuf,
}

pub(crate) const BOTH: [Mode; 2] = [Mode::Event, Mode::Stat];

pub(crate) fn options(sandbox: &Sandbox, mode: Mode) -> Options {
    let mut options = Options::new(rules::Options::new(sandbox.root()));
    options.mode = mode;
    options.poll_interval = Duration::from_millis(50);
    options
}

impl Spy {
    pub(crate) fn new(sandbox: &Sandbox, mode: Mode) -> Self {
        Self::with(sandbox, options(sandbox, mode))
    }

    pub(crate) fn with(sandbox: &Sandbox, options: Options) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let watch = runtime.block_on(Watch::start(options)).unwrap();
        Self { runtime, watch, root: sandbox.root().to_owned() }
    }

    /// The next event of any kind.
    pub(crate) fn event(&mut self) -> Event {
        let next = async { tokio::time::timeout(PATIENCE, self.watch.next_event()).await };
        self.runtime.block_on(next).expect("an event comes in time").expect("the watch goes on")
    }

    /// The next batch.
    pub(crate) fn batch(&mut self) -> Batch {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "a batch comes in time, whatever else is told");
            if let Event::Changed(batch) = self.event() {
                return batch;
            }
        }
    }

    /// The changes of a batch: `created a/b`.
    pub(crate) fn words(&self, batch: &Batch) -> Vec<String> {
        let relative = |path: &Path| path.strip_prefix(&self.root).unwrap_or(path).display().to_string();
        batch.changes.iter().map(|change| format!("{} {}", change.kind, relative(&change.path))).collect()
    }

    /// The next batch's changes.
    pub(crate) fn changes(&mut self) -> Vec<String> {
        let batch = self.batch();
        self.words(&batch)
    }

    /// Writes a file that nothing else writes, and gives all batches until it is reported, without it.
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

    /// Collects changes until all of these were reported; several reports of one path are fine.
    pub(crate) fn wait_for(&mut self, expected: &[&str]) {
        let mut missing: BTreeSet<String> = expected.iter().map(|text| (*text).to_owned()).collect();
        while !missing.is_empty() {
            for change in self.changes() {
                missing.remove(&change);
            }
        }
    }

    /// Waits for the report of a file that was removed and made again: as changed or, if there was time to see it gone, as
    /// removed and created.
    pub(crate) fn wait_for_again(&mut self, path: &str) {
        let (changed, created) = (format!("changed {path}"), format!("created {path}"));
        while !self.changes().iter().any(|change| *change == changed || *change == created) {}
    }

    pub(crate) fn stop(self) {
        self.runtime.block_on(self.watch.stop());
    }
}

/// Runs a test in both modes.
pub(crate) fn in_both(test: impl Fn(Mode)) {
    BOTH.iter().for_each(|mode| test(*mode));
}

#[test]
fn w1_creating_writing_and_removing_are_reported_as_such() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("src/a.rs", "one");
        let mut spy = Spy::new(&sandbox, mode);
        sandbox.write("src/a.rs", "two");
        assert_eq!(spy.changes(), ["changed src/a.rs"]);
        sandbox.write("src/b.rs", "new");
        assert_eq!(spy.changes(), ["created src/b.rs"]);
        fs::remove_file(sandbox.path("src/a.rs")).unwrap();
        assert_eq!(spy.changes(), ["removed src/a.rs"]);
        fs::rename(sandbox.path("src/b.rs"), sandbox.path("src/c.rs")).unwrap();
        spy.wait_for(&["removed src/b.rs", "created src/c.rs"]);
        assert!(spy.watch.knows(&sandbox.path("src/c.rs")) && !spy.watch.knows(&sandbox.path("src/b.rs")));
        assert!(spy.watch.knows(&sandbox.path("src")));
        spy.stop();
    });
}

#[test]
fn w3_a_directory_filled_before_it_can_be_watched_loses_nothing() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        let mut spy = Spy::new(&sandbox, mode);
        for round in 0..20 {
            let deep = format!("r{round}/a/b/c");
            sandbox.write(format!("{deep}/f"), "1");
            spy.wait_for(&[&format!("created {deep}/f")]);
            sandbox.write(format!("{deep}/f"), "2");
            spy.wait_for(&[&format!("changed {deep}/f")]);
        }
        spy.stop();
    });
}

#[test]
fn w3_a_tree_moved_in_moved_within_and_moved_out_is_followed() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("keep", "1");
        let beside = sandbox.outside().join("beside");
        fs::create_dir_all(beside.join("deep")).unwrap();
        fs::write(beside.join("deep/f"), "1").unwrap();
        let mut spy = Spy::new(&sandbox, mode);
        fs::rename(&beside, sandbox.path("in")).unwrap();
        spy.wait_for(&["created in/deep/f"]);
        sandbox.write("in/deep/f", "2");
        spy.wait_for(&["changed in/deep/f"]);
        fs::rename(sandbox.path("in"), sandbox.path("within")).unwrap();
        spy.wait_for(&["removed in/deep/f", "created within/deep/f"]);
        sandbox.write("within/deep/f", "3");
        spy.wait_for(&["changed within/deep/f"]);
        fs::rename(sandbox.path("within"), &beside).unwrap();
        spy.wait_for(&["removed within/deep/f"]);
        fs::write(beside.join("deep/f"), "4").unwrap();
        assert!(spy.batches_until_fence(&sandbox).is_empty());
        spy.stop();
    });
}

#[test]
fn w4_a_directory_moved_away_and_back_goes_on_being_watched() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("src/deep/a", "1");
        let mut spy = Spy::new(&sandbox, mode);
        for round in 0..10 {
            fs::rename(sandbox.path("src"), sandbox.path("src2")).unwrap();
            fs::rename(sandbox.path("src2"), sandbox.path("src")).unwrap();
            sandbox.write("src/deep/a", format!("round {round}"));
            spy.wait_for_again("src/deep/a");
        }
        spy.stop();
    });
}

#[test]
fn w4_a_root_deleted_and_recreated_goes_on_being_watched() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app/deep/a", "1");
        let mut options = options(&sandbox, mode);
        options.roots = vec!["app".into()];
        let mut spy = Spy::with(&sandbox, options);
        for round in 0..5 {
            fs::remove_dir_all(sandbox.path("app")).unwrap();
            spy.wait_for(&["removed app/deep/a"]);
            sandbox.write("app/deep/a", format!("round {round}"));
            spy.wait_for(&["created app/deep/a"]);
            fs::remove_dir_all(sandbox.path("app")).unwrap();
            sandbox.write("app/deep/a", format!("at once {round}"));
            spy.wait_for_again("app/deep/a");
        }
        fs::rename(sandbox.path("app"), sandbox.path("app2")).unwrap();
        spy.wait_for(&["removed app/deep/a"]);
        fs::rename(sandbox.path("app2"), sandbox.path("app")).unwrap();
        spy.wait_for(&["created app/deep/a"]);
        sandbox.write("app/deep/a", "last");
        spy.wait_for(&["changed app/deep/a"]);
        spy.stop();
    });
}

#[test]
fn w4_a_root_that_does_not_exist_yet_is_waited_for() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        let mut options = options(&sandbox, mode);
        options.roots = vec!["not/yet".into(), "a-file".into()];
        let mut spy = Spy::with(&sandbox, options);
        sandbox.write("not/yet/there", "1");
        spy.wait_for(&["created not/yet/there"]);
        sandbox.write("not/yet/there", "2");
        spy.wait_for(&["changed not/yet/there"]);
        sandbox.write("a-file", "1");
        spy.wait_for(&["created a-file"]);
        sandbox.write("a-file", "2");
        spy.wait_for(&["changed a-file"]);
        sandbox.write("another-file", "1");
        sandbox.write("a-file", "3");
        assert_eq!(spy.changes(), ["changed a-file"]);
        spy.stop();
    });
}

#[test]
fn w6_nothing_is_made_up() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        let path = sandbox.write("src/a.rs", "one");
        let mut spy = Spy::new(&sandbox, mode);
        for _ in 0..100 {
            fs::write(&path, "one").unwrap();
            fs::File::options()
                .append(true)
                .open(&path)
                .unwrap()
                .set_modified(std::time::SystemTime::now())
                .unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            fs::read(&path).unwrap();
            fs::read_dir(sandbox.path("src")).unwrap().count();
            // Beside the tree: on a busy machine a file may be seen before it gets its name, and that would be no lie.
            let beside = sandbox.outside().join("a.rs.new");
            fs::write(&beside, "one").unwrap();
            fs::rename(&beside, &path).unwrap();
        }
        assert_eq!(spy.batches_until_fence(&sandbox), Vec::<Vec<String>>::new(), "{mode:?}");
        spy.stop();
    });
}

#[test]
fn w10_time_can_be_anything() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        let path = sandbox.write("a", "one");
        let mut spy = Spy::new(&sandbox, mode);
        let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for (round, time) in [old, old + Duration::from_secs(4_000_000_000), old].into_iter().enumerate() {
            let beside = sandbox.outside().join("beside");
            fs::write(&beside, format!("n{round}!")).unwrap();
            fs::File::options().append(true).open(&beside).unwrap().set_modified(time).unwrap();
            fs::rename(&beside, &path).unwrap();
            assert_eq!(spy.changes(), ["changed a"]);
            fs::write(&path, format!("w{round}!")).unwrap();
            fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
            assert_eq!(spy.changes(), ["changed a"]);
        }
        spy.stop();
    });
}

#[test]
fn w1_files_directories_and_links_replace_each_other() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("x", "file");
        sandbox.write("target", "t");
        let mut spy = Spy::new(&sandbox, mode);
        fs::remove_file(sandbox.path("x")).unwrap();
        sandbox.write("x/inner", "1");
        spy.wait_for(&["removed x", "created x/inner"]);
        fs::remove_dir_all(sandbox.path("x")).unwrap();
        sandbox.write("x", "file again");
        spy.wait_for(&["removed x/inner", "created x"]);
        symlink("target", sandbox.path("link")).unwrap();
        spy.wait_for(&["created link"]);
        symlink("x", sandbox.path("link2")).unwrap();
        spy.wait_for(&["created link2"]);
        fs::rename(sandbox.path("link2"), sandbox.path("link")).unwrap();
        spy.wait_for(&["changed link", "removed link2"]);
        fs::hard_link(sandbox.path("x"), sandbox.path("hard")).unwrap();
        spy.wait_for(&["created hard"]);
        spy.stop();
    });
}

/// Needs no file system that notes accesses: where there is none, nothing is asserted but that the change is seen.
#[test]
#[cfg(target_os = "linux")]
fn reading_to_compare_leaves_no_trace() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("a.py", "1");
    let accessed = || fs::metadata(&file).unwrap().accessed().unwrap();
    let mut spy = Spy::new(&sandbox, Mode::Event);
    for round in 0..3 {
        sandbox.write("a.py", format!("round {round}"));
        let before = accessed();
        assert_eq!(spy.changes(), ["changed a.py"]);
        assert_eq!(accessed(), before);
    }
    spy.stop();
}

#[test]
fn batches_are_sorted_and_timed() {
    let sandbox = Sandbox::new();
    let mut spy = Spy::new(&sandbox, Mode::Event);
    let before = std::time::Instant::now();
    for name in ["c", "a", "b"] {
        sandbox.write(name, "1");
    }
    let mut batch = spy.batch();
    while batch.changes.len() < 3 {
        let later = spy.batch();
        batch.merge(later);
    }
    assert_eq!(spy.words(&batch), ["created a", "created b", "created c"]);
    assert!(batch.changes.iter().all(|change| change.kind == ChangeKind::Created));
    assert!(before <= batch.first && batch.first <= batch.last);
    spy.stop();
}
