//! Files that are still being written: only their own report waits, and only for a limited time.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use devrun::watch::{Event, Mode};

use crate::support::sandbox::Sandbox;
use crate::support::watch::{TestWatch, in_both, options};

/// A download: it writes a file piece by piece until the test ends it.
struct Writer {
    end: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Writer {
    fn start(path: PathBuf) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let write = move || {
            let mut file = fs::File::create(path).unwrap();
            while !ended.load(Ordering::Relaxed) {
                file.write_all(b"a piece of it\n").unwrap();
                std::thread::sleep(Duration::from_millis(3));
            }
            file.write_all(b"the end").unwrap();
        };
        Self { end, thread: std::thread::spawn(write) }
    }

    fn end(self) {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

#[test]
fn a_file_in_progress_delays_no_other_and_is_reported_a_few_times() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app.py", "0");
        let mut watch = TestWatch::new(&sandbox, mode);
        let download = Writer::start(sandbox.path("big.py"));
        // Saves reported without the file in progress, and reports of that file.
        let (mut alone, mut counted) = (0, 0);
        for round in 1.. {
            sandbox.write("app.py", round.to_string());
            loop {
                let changes = watch.changes();
                let has = |path: &str| changes.iter().any(|change| change.ends_with(path));
                counted += usize::from(has("big.py"));
                alone += usize::from(has("app.py") && !has("big.py"));
                if has("app.py") {
                    break;
                }
            }
            if counted > 0 && alone >= 10 {
                break;
            }
            assert!(counted <= 4, "{mode:?}: it counted {counted} times beside {alone} saves");
        }
        download.end();
        // The end of the writes is reported, too.
        let size = fs::metadata(sandbox.path("big.py")).unwrap().len();
        assert!(size > 0);
        watch.wait_for(&["changed big.py"]);
        assert!(watch.batches_until_fence(&sandbox).is_empty(), "{mode:?}");
        watch.stop();
    });
}

#[test]
fn a_file_that_is_never_closed_is_reported_as_it_is() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        let mut watch = TestWatch::new(&sandbox, mode);
        let mut file = fs::File::create(sandbox.path("new.py")).unwrap();
        file.write_all(b"complete, but open").unwrap();
        watch.wait_for(&["created new.py"]);
        drop(file);
        watch.stop();
    });
}

#[test]
fn a_file_removed_before_it_was_complete_is_no_change() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        let mut watch = TestWatch::new(&sandbox, mode);
        let download = Writer::start(sandbox.path("part.py"));
        crate::support::sandbox::wait_until("the file grows", || {
            fs::metadata(sandbox.path("part.py")).is_ok_and(|found| found.len() > 100)
        });
        fs::remove_file(sandbox.path("part.py")).unwrap();
        let batches = watch.batches_until_fence(&sandbox).concat();
        // A scan may have seen the file. Then the watch also reports its removal.
        assert!(batches.is_empty() || mode == Mode::Stat, "{batches:?}");
        download.end();
        watch.stop();
    });
}

#[test]
fn a_removed_file_does_not_extend_a_burst() {
    let sandbox = Sandbox::new();
    for number in 0..20 {
        sandbox.write(format!("src/{number}.py"), "1");
    }
    let mut options = options(&sandbox, Mode::Stat);
    options.poll_interval = Duration::from_millis(200);
    let mut watch = TestWatch::with(&sandbox, options);
    for round in 0..3 {
        for number in 0..10 {
            fs::remove_file(sandbox.path(format!("src/{number}.py"))).unwrap();
            sandbox.write(format!("src/{}.py", number + 10), format!("round {round}"));
        }
        let begun = Instant::now();
        watch.wait_for(&["removed src/9.py", "changed src/19.py"]);
        // Without the pause, the burst was cut after 10 s, because each scan took the missing files for new
        // changes.
        assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
        (0..10).for_each(|number| drop(sandbox.write(format!("src/{number}.py"), "back")));
        watch.wait_for(&["created src/9.py"]);
    }
    watch.stop();
}

#[test]
fn the_changes_of_a_rescan_are_reported_before_its_end() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app.py", "0");
        let mut options = options(&sandbox, mode);
        options.debounce = Some(Duration::from_millis(100));
        let mut watch = TestWatch::with(&sandbox, options);
        for round in 0..5 {
            // The owner of a watch that it replaces stops reading events after `Rescanned`.
            sandbox.write("app.py", format!("round {round}"));
            watch.inner.handle().rescan();
            // On a busy machine, a scan may be slow, and the watch warns about that.
            let mut next = || loop {
                let event = watch.event();
                if !matches!(event, Event::Warning { .. }) {
                    return event;
                }
            };
            let first = next();
            let Event::Changed(batch) = first else { panic!("{mode:?}: no batch first but {first:?}") };
            let second = next();
            let Event::Rescanned { .. } = second else { panic!("{mode:?}: not said but {second:?}") };
            assert_eq!(watch.words(&batch), ["changed app.py"]);
        }
        watch.stop();
    });
}
