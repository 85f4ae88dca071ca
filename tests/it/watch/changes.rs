//! Single changes of real files, in event and in stat mode, through the public API.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use devrun::change::ChangeKind;
use devrun::watch::Mode;

use crate::support::sandbox::Sandbox;
use crate::support::watch::{Hold, TestWatch, in_both, options};

#[test]
fn creating_writing_and_removing_are_reported_by_kind() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("src/a.rs", "one");
        let mut watch = TestWatch::new(&sandbox, mode);
        sandbox.write("src/a.rs", "two");
        assert_eq!(watch.changes(), ["changed src/a.rs"]);
        sandbox.write("src/b.rs", "new");
        assert_eq!(watch.changes(), ["created src/b.rs"]);
        fs::remove_file(sandbox.path("src/a.rs")).unwrap();
        assert_eq!(watch.changes(), ["removed src/a.rs"]);
        fs::rename(sandbox.path("src/b.rs"), sandbox.path("src/c.rs")).unwrap();
        watch.wait_for(&["removed src/b.rs", "created src/c.rs"]);
        assert!(
            watch.inner.knows(&sandbox.path("src/c.rs")) && !watch.inner.knows(&sandbox.path("src/b.rs"))
        );
        assert!(watch.inner.knows(&sandbox.path("src")));
        watch.stop();
    });
}

#[test]
fn a_directory_filled_before_it_can_be_watched_loses_nothing() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        let mut watch = TestWatch::new(&sandbox, mode);
        for round in 0..20 {
            let deep = format!("r{round}/a/b/c");
            sandbox.write(format!("{deep}/f"), "1");
            watch.wait_for(&[&format!("created {deep}/f")]);
            sandbox.write(format!("{deep}/f"), "2");
            watch.wait_for(&[&format!("changed {deep}/f")]);
        }
        watch.stop();
    });
}

#[test]
fn a_tree_moved_in_moved_within_and_moved_out_is_followed() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("keep", "1");
        let beside = sandbox.outside().join("beside");
        fs::create_dir_all(beside.join("deep")).unwrap();
        fs::write(beside.join("deep/f"), "1").unwrap();
        let mut watch = TestWatch::new(&sandbox, mode);
        fs::rename(&beside, sandbox.path("in")).unwrap();
        watch.wait_for(&["created in/deep/f"]);
        sandbox.write("in/deep/f", "2");
        watch.wait_for(&["changed in/deep/f"]);
        fs::rename(sandbox.path("in"), sandbox.path("within")).unwrap();
        watch.wait_for(&["removed in/deep/f", "created within/deep/f"]);
        sandbox.write("within/deep/f", "3");
        watch.wait_for(&["changed within/deep/f"]);
        fs::rename(sandbox.path("within"), &beside).unwrap();
        watch.wait_for(&["removed within/deep/f"]);
        fs::write(beside.join("deep/f"), "4").unwrap();
        assert!(watch.batches_until_fence(&sandbox).is_empty());
        watch.stop();
    });
}

#[test]
fn a_directory_moved_away_and_back_goes_on_being_watched() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("src/deep/a", "1");
        let mut watch = TestWatch::new(&sandbox, mode);
        for round in 0..10 {
            fs::rename(sandbox.path("src"), sandbox.path("src2")).unwrap();
            fs::rename(sandbox.path("src2"), sandbox.path("src")).unwrap();
            sandbox.write("src/deep/a", format!("round {round}"));
            watch.wait_for_again("src/deep/a");
        }
        watch.stop();
    });
}

#[test]
fn a_root_deleted_and_recreated_goes_on_being_watched() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app/deep/a", "1");
        let mut options = options(&sandbox, mode);
        options.roots = vec!["app".into()];
        let mut watch = TestWatch::with(&sandbox, options);
        for round in 0..5 {
            fs::remove_dir_all(sandbox.path("app")).unwrap();
            watch.wait_for(&["removed app/deep/a"]);
            sandbox.write("app/deep/a", format!("round {round}"));
            watch.wait_for(&["created app/deep/a"]);
            fs::remove_dir_all(sandbox.path("app")).unwrap();
            sandbox.write("app/deep/a", format!("at once {round}"));
            watch.wait_for_again("app/deep/a");
        }
        fs::rename(sandbox.path("app"), sandbox.path("app2")).unwrap();
        watch.wait_for(&["removed app/deep/a"]);
        fs::rename(sandbox.path("app2"), sandbox.path("app")).unwrap();
        watch.wait_for(&["created app/deep/a"]);
        sandbox.write("app/deep/a", "last");
        watch.wait_for(&["changed app/deep/a"]);
        watch.stop();
    });
}

#[test]
fn a_root_that_does_not_exist_yet_is_watched_once_created() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        let mut options = options(&sandbox, mode);
        options.roots = vec!["not/yet".into(), "a-file".into()];
        options.missing_roots = devrun::watch::MissingRoots::Await;
        let mut watch = TestWatch::with(&sandbox, options);
        sandbox.write("not/yet/there", "1");
        watch.wait_for(&["created not/yet/there"]);
        sandbox.write("not/yet/there", "2");
        watch.wait_for(&["changed not/yet/there"]);
        sandbox.write("a-file", "1");
        watch.wait_for(&["created a-file"]);
        sandbox.write("a-file", "2");
        watch.wait_for(&["changed a-file"]);
        sandbox.write("another-file", "1");
        sandbox.write("a-file", "3");
        assert_eq!(watch.changes(), ["changed a-file"]);
        watch.stop();
    });
}

#[test]
fn unchanged_content_is_not_reported() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        let path = sandbox.write("src/a.rs", "zero");
        let mut watch = TestWatch::new(&sandbox, mode);
        // The watch is certain of a file's content after one change.
        sandbox.write("src/a.rs", "one");
        watch.wait_for(&["changed src/a.rs"]);
        watch.batches_until_fence(&sandbox);
        for _ in 0..100 {
            // The file is not emptied first, because a watch on a busy machine might correctly report the
            // empty file.
            fs::File::options().write(true).open(&path).unwrap().write_all(b"one").unwrap();
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
            // The new file stands outside of the tree, because a watch on a busy machine might correctly
            // report it before the rename.
            let beside = sandbox.outside().join("a.rs.new");
            fs::write(&beside, "one").unwrap();
            fs::rename(&beside, &path).unwrap();
        }
        assert_eq!(watch.batches_until_fence(&sandbox), Vec::<Vec<String>>::new(), "{mode:?}");
        watch.stop();
    });
}

#[test]
fn a_file_that_is_emptied_and_refilled_has_not_changed() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.git(&["init", "-q"]);
        let path = sandbox.write("src/a.rs", "zero");
        let mut watch = TestWatch::new(&sandbox, mode);
        // The watch is certain of a file's content after one change.
        sandbox.write("src/a.rs", "one");
        watch.wait_for(&["changed src/a.rs"]);
        watch.batches_until_fence(&sandbox);
        let hold = Hold::new(&sandbox);
        (0..20).for_each(|_| fs::write(&path, "one").unwrap());
        drop(hold);
        assert_eq!(watch.batches_until_fence(&sandbox), Vec::<Vec<String>>::new(), "{mode:?}");
        watch.stop();
    });
}

#[test]
fn any_modification_time_is_accepted() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        let path = sandbox.write("a", "one");
        let mut watch = TestWatch::new(&sandbox, mode);
        let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for (round, time) in [old, old + Duration::from_secs(4_000_000_000), old].into_iter().enumerate() {
            let beside = sandbox.outside().join("beside");
            fs::write(&beside, format!("n{round}!")).unwrap();
            fs::File::options().append(true).open(&beside).unwrap().set_modified(time).unwrap();
            fs::rename(&beside, &path).unwrap();
            assert_eq!(watch.changes(), ["changed a"]);
            fs::write(&path, format!("w{round}!")).unwrap();
            fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
            assert_eq!(watch.changes(), ["changed a"]);
        }
        watch.stop();
    });
}

#[test]
fn files_directories_and_links_replace_each_other() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("x", "file");
        sandbox.write("target", "t");
        let mut watch = TestWatch::new(&sandbox, mode);
        fs::remove_file(sandbox.path("x")).unwrap();
        sandbox.write("x/inner", "1");
        watch.wait_for(&["removed x", "created x/inner"]);
        fs::remove_dir_all(sandbox.path("x")).unwrap();
        sandbox.write("x", "file again");
        watch.wait_for(&["removed x/inner", "created x"]);
        symlink("target", sandbox.path("link")).unwrap();
        watch.wait_for(&["created link"]);
        symlink("x", sandbox.path("link2")).unwrap();
        watch.wait_for(&["created link2"]);
        fs::rename(sandbox.path("link2"), sandbox.path("link")).unwrap();
        watch.wait_for(&["changed link", "removed link2"]);
        fs::hard_link(sandbox.path("x"), sandbox.path("hard")).unwrap();
        watch.wait_for(&["created hard"]);
        watch.stop();
    });
}

/// On a file system without access times, the test only shows that the change is reported.
#[test]
#[cfg(target_os = "linux")]
fn reading_to_compare_leaves_no_trace() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("a.py", "1");
    let accessed = || fs::metadata(&file).unwrap().accessed().unwrap();
    let mut watch = TestWatch::new(&sandbox, Mode::Event);
    for round in 0..3 {
        sandbox.write("a.py", format!("round {round}"));
        let before = accessed();
        assert_eq!(watch.changes(), ["changed a.py"]);
        assert_eq!(accessed(), before);
    }
    watch.stop();
}

#[test]
fn batches_are_sorted_and_timed() {
    let sandbox = Sandbox::new();
    let mut watch = TestWatch::new(&sandbox, Mode::Event);
    let before = std::time::Instant::now();
    for name in ["c", "a", "b"] {
        sandbox.write(name, "1");
    }
    let mut batch = watch.batch();
    while batch.changes.len() < 3 {
        let later = watch.batch();
        batch.merge(later);
    }
    assert_eq!(watch.words(&batch), ["created a", "created b", "created c"]);
    assert!(batch.changes.iter().all(|change| change.kind == ChangeKind::Created));
    assert!(before <= batch.first_event_at && batch.first_event_at <= batch.compared_at);
    watch.stop();
}
