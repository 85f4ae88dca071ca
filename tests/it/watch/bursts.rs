//! One burst, one batch: saves of editors, formatters and checkouts.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use devrun::watch::{Event, Mode};

use crate::support::sandbox::{Sandbox, fifo};
use crate::support::watch::{Hold, TestWatch, in_both, options};

/// Pauses between two writes. The test checks how the watch groups them.
fn pause(milliseconds: u64) {
    let until = Instant::now() + Duration::from_millis(milliseconds);
    while Instant::now() < until {
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

/// A watch with a long quiet time, so that the writes of a delayed test are still one burst.
fn patient(sandbox: &Sandbox, mode: Mode) -> TestWatch {
    let mut options = options(sandbox, mode);
    options.debounce = Some(Duration::from_secs(2));
    TestWatch::with(sandbox, options)
}

#[test]
fn an_atomic_save_is_one_batch_of_one_path() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.git(&["init", "-q"]);
        sandbox.write("a.py", "1");
        let mut watch = TestWatch::new(&sandbox, mode);
        for round in 0..10 {
            let hold = Hold::new(&sandbox);
            let beside = sandbox.write("tmpfile", format!("round {round}"));
            fs::rename(beside, sandbox.path("a.py")).unwrap();
            drop(hold);
            assert_eq!(watch.changes(), ["changed a.py"], "{mode:?}");
            assert!(watch.batches_until_fence(&sandbox).is_empty(), "{mode:?}");
        }
        watch.stop();
    });
}

#[test]
fn a_save_that_renames_the_old_file_away_first_is_one_change() {
    let sandbox = Sandbox::new();
    sandbox.git(&["init", "-q"]);
    sandbox.write("a.py", "1");
    sandbox.write(".watchignore", "*~\n4913\n");
    let mut watch = TestWatch::new(&sandbox, Mode::Event);
    for round in 0..10 {
        let hold = Hold::new(&sandbox);
        // The save of vim with backupcopy=no, with a pause for its fsync.
        fs::remove_file(sandbox.write("4913", "")).unwrap();
        fs::rename(sandbox.path("a.py"), sandbox.path("a.py~")).unwrap();
        pause(3);
        let mut file = fs::File::create(sandbox.path("a.py")).unwrap();
        pause(30);
        write!(file, "round {round}").unwrap();
        pause(10);
        drop(file);
        fs::remove_file(sandbox.path("a.py~")).unwrap();
        drop(hold);
        assert_eq!(watch.changes(), ["changed a.py"]);
        assert!(watch.batches_until_fence(&sandbox).is_empty());
    }
    watch.stop();
}

#[test]
fn a_file_among_many_is_reported_as_a_single_file() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.git(&["init", "-q"]);
        let names: Vec<String> = (0..700).map(|number| format!("d{}/f{number}", number % 7)).collect();
        names.iter().for_each(|name| _ = sandbox.write(name, "0"));
        let mut watch = patient(&sandbox, mode);
        // The watch knows the content of each file after its first change.
        names.iter().for_each(|name| _ = sandbox.write(name, "1"));
        let all: Vec<_> = names.iter().map(|name| format!("changed {name}")).collect();
        watch.wait_for(&all.iter().map(String::as_str).collect::<Vec<_>>());
        watch.batches_until_fence(&sandbox);
        let hold = Hold::new(&sandbox);
        for (number, name) in names.iter().enumerate() {
            sandbox.write(name, if number % 3 == 0 { "1" } else { "22" });
        }
        for gone in &names[600..604] {
            fs::remove_file(sandbox.path(gone)).unwrap();
        }
        sandbox.write(format!("{}/inner", names[601]), "a directory now");
        fifo(&sandbox.path(&names[602]));
        fs::rename(sandbox.path(&names[605]), sandbox.path(&names[603])).unwrap();
        drop(hold);
        let mut expected: Vec<_> =
            (0..600).chain([604]).chain(606..700).filter(|number| number % 3 != 0).collect();
        expected.retain(|number| !(600..604).contains(number));
        let mut expected: Vec<_> =
            expected.iter().map(|number| format!("changed {}", names[*number])).collect();
        expected.extend([600, 601, 602, 605].map(|number| format!("removed {}", names[number])));
        expected.extend([format!("created {}/inner", names[601]), format!("changed {}", names[603])]);
        expected.sort();
        let mut told = Vec::new();
        while !expected.iter().all(|change| told.contains(change)) {
            told.extend(watch.changes());
        }
        told.extend(watch.batches_until_fence(&sandbox).concat());
        told.sort();
        told.dedup();
        assert_eq!(told, expected, "{mode:?}");
        watch.stop();
    });
}

#[test]
fn a_file_written_first_and_last_in_a_burst_ends_it() {
    let sandbox = Sandbox::new();
    let names: Vec<String> = (0..400).map(|number| format!("f{number:03}")).collect();
    names.iter().for_each(|name| _ = sandbox.write(name, "1"));
    let mut options = options(&sandbox, Mode::Event);
    options.debounce = Some(Duration::from_secs(2));
    let mut watch = TestWatch::with(&sandbox, options);
    // The watch looks at this file alone, because no other event has arrived.
    sandbox.write(&names[0], "22");
    pause(50);
    names[1..].iter().for_each(|name| _ = sandbox.write(name, "333"));
    pause(50);
    sandbox.write(&names[0], "4444");
    let all: Vec<_> = names.iter().map(|name| format!("changed {name}")).collect();
    assert_eq!(watch.changes(), all);
    assert!(watch.batches_until_fence(&sandbox).is_empty());
    watch.stop();
}

#[test]
fn five_hundred_files_over_300_ms_are_one_batch() {
    let sandbox = Sandbox::new();
    for number in 0..500 {
        sandbox.write(format!("src/{number}.py"), "1");
    }
    let mut watch = patient(&sandbox, Mode::Event);
    for number in 0..500 {
        sandbox.write(format!("src/{number}.py"), "2");
        if number % 5 == 0 {
            pause(3);
        }
    }
    assert_eq!(watch.changes().len(), 500);
    assert!(watch.batches_until_fence(&sandbox).is_empty());
    watch.stop();
}

#[test]
fn a_file_written_in_pieces_is_reported_when_it_is_closed() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("a.py", "1");
    let mut watch = TestWatch::new(&sandbox, Mode::Event);
    let mut file = fs::File::create(&path).unwrap();
    for piece in 0..20 {
        writeln!(file, "piece {piece}").unwrap();
        pause(2);
    }
    drop(file);
    assert_eq!(watch.changes(), ["changed a.py"]);
    assert!(watch.batches_until_fence(&sandbox).is_empty());
    watch.stop();
}

#[test]
fn the_watch_waits_for_git_and_reports_that_once() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.git(&["init", "-q"]);
        sandbox.write("a.py", "1");
        let mut watch = TestWatch::new(&sandbox, mode);
        let lock = sandbox.write(".git/index.lock", "");
        sandbox.write("a.py", "2");
        let Event::WaitingForGit { marker } = watch.event() else { panic!("no event about waiting") };
        assert_eq!(marker, lock);
        sandbox.write("b.py", "1");
        fs::remove_file(lock).unwrap();
        let Event::Changed(batch) = watch.event() else { panic!("no batch after the wait") };
        assert_eq!(watch.words(&batch), ["changed a.py", "created b.py"]);
        watch.stop();
    });
}

#[test]
fn an_abandoned_lock_and_a_conflict_delay_no_batch() {
    let sandbox = Sandbox::new();
    sandbox.git(&["init", "-q"]);
    sandbox.write("a.py", "1");
    let old = SystemTime::now() - Duration::from_secs(3600);
    let lock = sandbox.write(".git/index.lock", "");
    fs::File::options().append(true).open(&lock).unwrap().set_modified(old).unwrap();
    sandbox.write(".git/MERGE_HEAD", "");
    sandbox.write(".git/rebase-merge/done", "");
    for path in [".git/rebase-merge", ".git/HEAD"] {
        fs::File::open(sandbox.path(path)).unwrap().set_modified(old).unwrap();
    }
    let mut watch = TestWatch::new(&sandbox, Mode::Event);
    sandbox.write("a.py", "2");
    let Event::Changed(batch) = watch.event() else { panic!("held back") };
    assert_eq!(watch.words(&batch), ["changed a.py"]);
    watch.stop();
}

#[test]
fn a_checkout_is_one_batch() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.git(&["init", "-q"]);
        let commit = ["-c", "user.name=n", "-c", "user.email=e@x", "commit", "-qm", "m"];
        for (branch, text) in [("one", "1"), ("two", "2")] {
            sandbox.git(&["checkout", "-qb", branch]);
            for number in 0..200 {
                sandbox.write(format!("src/{}/{number}.py", number % 7), format!("{text} {number}"));
            }
            sandbox.git(&["add", "."]);
            sandbox.git(&commit);
        }
        let mut watch = patient(&sandbox, mode);
        for branch in ["one", "two", "one"] {
            sandbox.git(&["checkout", "-q", branch]);
            assert_eq!(watch.changes().len(), 200, "{mode:?}");
        }
        assert!(watch.batches_until_fence(&sandbox).is_empty());
        watch.stop();
    });
}

/// The debouncer's unit tests show the benefit: a formatter that writes after the start would cost two
/// restarts.
#[test]
fn a_change_right_after_a_start_waits_for_more() {
    let sandbox = Sandbox::new();
    let mut numbers = 0..1000;
    (0..1000).for_each(|number| _ = sandbox.write(format!("{number}.py"), "1"));
    let mut watch = TestWatch::new(&sandbox, Mode::Event);
    watch.batches_until_fence(&sandbox);
    loop {
        let started = Instant::now();
        watch.inner.handle().generation_started();
        sandbox.write(format!("{}.py", numbers.next().unwrap()), "formatted");
        let batch = watch.batch();
        // On a busy machine, the watch may see the change late and take it for a separate edit. Then the test
        // tries again.
        if batch.first_event_at - started < Duration::from_millis(300) {
            let waited = batch.first_event_at.elapsed();
            assert!(waited >= Duration::from_millis(23), "reported after {waited:?}");
            break;
        }
    }
    watch.stop();
}

/// The debouncer's unit tests show the benefit: a copy that pauses would cost two restarts.
#[test]
fn a_new_directory_and_many_new_files_wait_for_more() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        let mut watch = TestWatch::new(&sandbox, mode);
        for files in [["new/a", "new/b", "new/c", "new/d"], ["1", "2", "3", "4"]] {
            for round in 0.. {
                files.iter().for_each(|name| _ = sandbox.write(format!("{round}{name}"), "1"));
                let mut batch = watch.batch();
                let waited = batch.first_event_at.elapsed();
                let all = batch.changes.len() == files.len();
                while batch.changes.len() < files.len() {
                    batch.changes.extend(watch.batch().changes);
                }
                // On a busy machine the watch may see the first files long before the others. Then the test
                // tries again.
                if all {
                    assert!(waited >= Duration::from_millis(150), "{mode:?} {files:?}: {waited:?}");
                    break;
                }
            }
        }
        watch.stop();
    });
}

#[test]
fn the_shortest_quiet_time_works() {
    for debounce in [Duration::ZERO, Duration::from_millis(1)] {
        let sandbox = Sandbox::new();
        let mut options = options(&sandbox, Mode::Event);
        options.debounce = Some(debounce);
        let mut watch = TestWatch::with(&sandbox, options);
        for round in 0..50 {
            sandbox.write("a", format!("{round}"));
            watch.wait_for(&[if round == 0 { "created a" } else { "changed a" }]);
        }
        watch.stop();
    }
}

#[test]
fn unusual_names_and_special_files_are_watched_as_any_other() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    in_both(|mode| {
        let sandbox = Sandbox::new();
        let names: [&[u8]; 4] = [b"not utf-8 \xff\xfe", b"new\nline", &[b'x'; 255], b" \t*?[a]"];
        symlink("loop", sandbox.path("loop")).unwrap();
        symlink(".", sandbox.path("self")).unwrap();
        fifo(&sandbox.path("fifo"));
        let _socket = std::os::unix::net::UnixListener::bind(sandbox.path("socket")).unwrap();
        let mut watch = TestWatch::new(&sandbox, mode);
        for name in names {
            sandbox.write(OsStr::from_bytes(name), "1");
            let batch = watch.batch();
            assert!(batch.changes.iter().any(|change| change.path == sandbox.path(OsStr::from_bytes(name))));
        }
        // A FIFO would block a program that opens it. A new socket is no change.
        fifo(&sandbox.path("fifo2"));
        let _other = std::os::unix::net::UnixListener::bind(sandbox.path("socket2")).unwrap();
        assert!(watch.batches_until_fence(&sandbox).is_empty(), "{mode:?}");
        watch.stop();
    });
}

#[test]
fn a_root_that_is_a_link_follows_its_new_target() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("releases/1/app.py", "one");
        sandbox.write("releases/2/app.py", "two");
        symlink("releases/1", sandbox.path("current")).unwrap();
        let mut options = options(&sandbox, mode);
        options.roots = vec!["current".into()];
        let mut watch = TestWatch::with(&sandbox, options);
        assert!(watch.inner.knows(&sandbox.path("current/app.py")), "{mode:?}");
        symlink("releases/2", sandbox.path("next")).unwrap();
        fs::rename(sandbox.path("next"), sandbox.path("current")).unwrap();
        watch.wait_for(&["changed current/app.py"]);
        sandbox.write("releases/2/app.py", "three");
        watch.wait_for(&["changed current/app.py"]);
        watch.stop();
    });
}

/// Makes directories with long names in a directory, until a path is longer than the kernel allows, and a file
/// in the last one.
fn make_long_path(start: &Path) {
    use rustix::fs::{Mode, OFlags, mkdirat, open, openat};
    let name = "long".repeat(60);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut dir = open(start, flags, Mode::empty()).unwrap();
    for _ in 0..20 {
        mkdirat(&dir, &*name, Mode::RWXU).unwrap();
        dir = openat(&dir, &*name, flags, Mode::empty()).unwrap();
    }
    openat(&dir, "f.py", OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RWXU).unwrap();
}

#[test]
fn a_path_that_is_too_long_is_named_once() {
    in_both(|mode| {
        for is_early in [true, false] {
            let sandbox = Sandbox::new();
            sandbox.write("app.py", "1");
            fs::create_dir(sandbox.path("deep")).unwrap();
            if is_early {
                make_long_path(&sandbox.path("deep"));
            }
            let mut watch = TestWatch::new(&sandbox, mode);
            if !is_early {
                make_long_path(&sandbox.path("deep"));
            }
            let Event::Warning { message, .. } = watch.event() else { panic!("no warning at first") };
            assert!(message.contains(": in deep/longlong"), "{message}");
            fs::create_dir(sandbox.path("other")).unwrap();
            make_long_path(&sandbox.path("other"));
            sandbox.write("app.py", "22");
            loop {
                match watch.event() {
                    Event::Changed(batch) if watch.words(&batch) == ["changed app.py"] => break,
                    Event::Warning { message, .. } => panic!("a second warning: {message}"),
                    _ => {}
                }
            }
            watch.stop();
        }
    });
}

#[test]
fn a_directory_that_is_renamed_again_and_again_is_read_a_few_times_only() {
    const FILES: usize = 500;
    const RENAMES: usize = 2_000;
    let sandbox = Sandbox::new();
    sandbox.git(&["init", "-q"]);
    for number in 0..FILES {
        sandbox.write(format!("old/{number}.py"), "1");
    }
    let options = options(&sandbox, Mode::Event);
    let stats = options.stats.clone();
    let mut watch = TestWatch::with(&sandbox, options);
    let hold = Hold::new(&sandbox);
    for _ in 0..RENAMES {
        fs::rename(sandbox.path("old"), sandbox.path("new")).unwrap();
        fs::rename(sandbox.path("new"), sandbox.path("old")).unwrap();
    }
    drop(hold);
    assert!(watch.batches_until_fence(&sandbox).is_empty());
    let found = stats.files_found();
    assert!(found < RENAMES * FILES / 2, "{found} files were read");
    sandbox.write("old/7.py", "edited");
    assert_eq!(watch.changes(), ["changed old/7.py"]);
    watch.stop();
}
