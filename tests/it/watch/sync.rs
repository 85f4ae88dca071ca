//! A watch that is brought up to date: all that was written before the call is reported before the answer.

use std::fs;

use devrun::SyncId;
use devrun::rules::EntryKind;
use devrun::watch::Event;

use crate::support::sandbox::Sandbox;
use crate::support::watch::{Hold, TestWatch, in_both};

/// Brings the watch up to date. Returns the changes that are reported before the answer.
fn sync(watch: &mut TestWatch, number: u64) -> Vec<String> {
    let mut changes = Vec::new();
    watch.inner.handle().sync(SyncId::new(number));
    loop {
        match watch.event() {
            Event::Synced(id) => {
                assert_eq!(id.number(), number);
                return changes;
            }
            Event::Changed(batch) => changes.extend(watch.words(&batch)),
            _ => {}
        }
    }
}

#[test]
fn each_of_many_edits_is_reported_before_the_answer() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app.py", "0000");
        let mut watch = TestWatch::new(&sandbox, mode);
        for number in 1..=500 {
            // The same size each time, and often the same time stamp.
            sandbox.write("app.py", format!("{number:04}"));
            let mut changes = sync(&mut watch, number);
            // A scan may have found the file in the middle of the write.
            changes.dedup();
            assert_eq!(changes, ["changed app.py"], "edit {number}");
        }
        watch.stop();
    });
}

#[test]
fn new_and_removed_trees_are_reported_before_the_answer() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app.py", "1");
        let mut watch = TestWatch::new(&sandbox, mode);
        assert_eq!(sync(&mut watch, 1), Vec::<String>::new());
        sandbox.write("new/deep/a.py", "1");
        sandbox.write("new/b.py", "1");
        assert_eq!(sync(&mut watch, 2), ["created new/b.py", "created new/deep/a.py"]);
        fs::rename(sandbox.path("new"), sandbox.path("moved")).unwrap();
        let moved = sync(&mut watch, 3);
        assert!(moved.contains(&"created moved/deep/a.py".to_owned()), "{moved:?}");
        assert!(moved.contains(&"removed new/b.py".to_owned()), "{moved:?}");
        fs::remove_dir_all(sandbox.path("moved")).unwrap();
        assert_eq!(sync(&mut watch, 4), ["removed moved/b.py", "removed moved/deep/a.py"]);
        watch.stop();
    });
}

#[test]
fn a_change_that_is_taken_back_is_no_change() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.git(&["init", "--quiet"]);
        sandbox.write("app.py", "zero");
        let mut watch = TestWatch::new(&sandbox, mode);
        // The watch knows the content of a file that it has reported.
        sandbox.write("app.py", "one");
        while !sync(&mut watch, 1).contains(&"changed app.py".to_owned()) {}
        let hold = Hold::new(&sandbox);
        sandbox.write("app.py", "two");
        sandbox.write("app.py", "one");
        drop(hold);
        assert_eq!(sync(&mut watch, 1), Vec::<String>::new());
        watch.stop();
    });
}

#[test]
fn an_edited_rule_is_in_effect_before_the_answer() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app.py", "1");
        let mut watch = TestWatch::new(&sandbox, mode);
        sandbox.write(".watchignore", "*.out\n");
        sandbox.write("a.out", "1");
        assert_eq!(sync(&mut watch, 1), Vec::<String>::new());
        assert!(watch.inner.rules().is_ignored(&sandbox.path("a.out"), EntryKind::File));
        sandbox.write("b.out", "1");
        sandbox.write("b.py", "1");
        assert_eq!(sync(&mut watch, 2), ["created b.py"]);
        watch.stop();
    });
}

#[test]
fn an_empty_file_and_an_emptied_one_are_reported_as_they_are() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app.py", "1");
        let mut watch = TestWatch::new(&sandbox, mode);
        sandbox.write("__init__.py", "");
        sandbox.write("app.py", "");
        let mut changes = sync(&mut watch, 1);
        changes.sort();
        assert_eq!(changes, ["changed app.py", "created __init__.py"]);
        watch.stop();
    });
}

#[test]
fn the_answer_waits_while_git_works() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.git(&["init", "--quiet"]);
        sandbox.write("app.py", "1");
        let mut watch = TestWatch::new(&sandbox, mode);
        let hold = Hold::new(&sandbox);
        sandbox.write("app.py", "2");
        watch.inner.handle().sync(SyncId::new(1));
        while !matches!(watch.event(), Event::WaitingForGit { .. }) {}
        sandbox.write("app.py", "3");
        drop(hold);
        let mut changes = Vec::new();
        loop {
            match watch.event() {
                Event::Changed(batch) => changes.extend(watch.words(&batch)),
                Event::Synced(_) => break,
                _ => {}
            }
        }
        assert_eq!(changes, ["changed app.py"]);
        watch.stop();
    });
}
