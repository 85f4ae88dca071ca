//! Files that are still being written wait for themselves alone, and not for ever.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use devrun::watch::{Event, Mode};

use crate::support::sandbox::Sandbox;
use crate::support::watch::{TestWatch, in_both, options};

/// A download: writes a file piece by piece until it is told to end.
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
fn a_file_being_written_holds_back_nothing_else_and_counts_a_few_times() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app.py", "0");
        let mut watch = TestWatch::new(&sandbox, mode);
        let download = Writer::start(sandbox.path("big.py"));
        // Saves that are reported without the file that is being written, and how often that file is reported.
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
        // Its end is seen, too.
        let size = fs::metadata(sandbox.path("big.py")).unwrap().len();
        assert!(size > 0);
        watch.wait_for(&["changed big.py"]);
        assert!(watch.batches_until_fence(&sandbox).is_empty(), "{mode:?}");
        watch.stop();
    });
}

#[test]
fn a_file_that_is_never_closed_counts_as_it_is() {
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
fn a_file_that_is_gone_before_it_was_complete_is_no_change() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        let mut watch = TestWatch::new(&sandbox, mode);
        let download = Writer::start(sandbox.path("part.py"));
        crate::support::sandbox::wait_until("it grows", || {
            fs::metadata(sandbox.path("part.py")).is_ok_and(|found| found.len() > 100)
        });
        fs::remove_file(sandbox.path("part.py")).unwrap();
        let batches = watch.batches_until_fence(&sandbox).concat();
        // A scan may have seen it; then it is also seen to go.
        assert!(batches.is_empty() || mode == Mode::Stat, "{batches:?}");
        download.end();
        watch.stop();
    });
}

#[test]
fn what_is_gone_does_not_keep_a_burst_from_ending() {
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
        // Without the pause it was cut after 10 s: each scan found the same files gone, and took that for news.
        assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
        (0..10).for_each(|number| drop(sandbox.write(format!("src/{number}.py"), "back")));
        watch.wait_for(&["created src/9.py"]);
    }
    watch.stop();
}

#[test]
fn what_comparing_everything_brings_is_told_before_that_it_was_done() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app.py", "0");
        let mut options = options(&sandbox, mode);
        options.debounce = Some(Duration::from_millis(100));
        let mut watch = TestWatch::with(&sandbox, options);
        for round in 0..5 {
            // An owner who replaces this watch stops listening once it is done.
            sandbox.write("app.py", format!("round {round}"));
            watch.inner.handle().rescan();
            // A busy machine may make a scan slow, which is said as well.
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
