//! Roots and outer rule files that are removed, created and replaced. At the end the watch reports changes of
//! the present files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use devrun::watch::{Event, Mode, Options};

use crate::support::sandbox::{Sandbox, wait_until};
use crate::support::watch::{TestWatch, in_both, options};

/// A directory outside of the project with a file in it. A rename puts the whole directory in place at once.
fn prepared(sandbox: &Sandbox, name: &str, file: &str, content: &str) -> PathBuf {
    let dir = sandbox.outside().join(name);
    let path = dir.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    dir
}

fn with_roots(sandbox: &Sandbox, mode: Mode, roots: &[&str]) -> Options {
    let mut options = options(sandbox, mode);
    options.roots = roots.iter().map(PathBuf::from).collect();
    options.missing_roots = devrun::watch::MissingRoots::Await;
    options
}

/// Returns after the watch has handled all changes so far. Only this function writes to the root `beside`.
fn fence(sandbox: &Sandbox, watch: &mut TestWatch, number: usize) {
    sandbox.write(format!("beside/{number}"), "1");
    watch.wait_for(&[&format!("created beside/{number}")]);
}

#[test]
fn the_directory_of_a_missing_root_is_replaced() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path("not")).unwrap();
        fs::create_dir(sandbox.path("beside")).unwrap();
        let mut watch = TestWatch::with(&sandbox, with_roots(&sandbox, mode, &["not/yet", "beside"]));
        let other = sandbox.outside().join("not");
        fs::create_dir(&other).unwrap();
        // The rename replaces the empty directory, so the path exists at all times.
        fs::rename(other, sandbox.path("not")).unwrap();
        fence(&sandbox, &mut watch, 1);
        sandbox.write("not/yet/there", "1");
        watch.wait_for(&["created not/yet/there"]);
        watch.stop();
    });
}

#[test]
fn a_root_that_is_removed_is_reported_by_a_rescan() {
    for roots in [&["app.conf"][..], &["app"], &["other", "app.conf"], &["app.conf", "app"]] {
        let sandbox = Sandbox::new();
        sandbox.write("app.conf", "1");
        sandbox.write("app/main", "1");
        sandbox.write("other/main", "1");
        // Only the rescan finds out: there are no kernel events, and the next scan comes too late.
        let mut options = with_roots(&sandbox, Mode::Stat, roots);
        options.poll_interval = Duration::from_secs(3600);
        let mut watch = TestWatch::with(&sandbox, options);
        fs::remove_file(sandbox.path("app.conf")).unwrap();
        fs::remove_dir_all(sandbox.path("app")).unwrap();
        watch.rescan();
        let removed = [("app.conf", "removed app.conf"), ("app", "removed app/main")];
        let removed = removed.into_iter().filter(|(root, _)| roots.contains(root));
        watch.wait_for(&removed.map(|(_, change)| change).collect::<Vec<_>>());
        watch.stop();
    }
}

#[test]
fn a_root_deep_below_a_missing_directory_is_created_at_once() {
    in_both(|mode| {
        // The creation takes longer than the arrival of the first directory's event.
        let deep = "d/".repeat(150) + "root";
        for _ in 0..5 {
            let sandbox = Sandbox::new();
            let mut watch = TestWatch::with(&sandbox, with_roots(&sandbox, mode, &[&deep]));
            sandbox.write(format!("{deep}/there"), "1");
            watch.wait_for(&[&format!("created {deep}/there")]);
            watch.stop();
        }
    });
}

#[test]
fn a_root_is_replaced_while_a_process_is_in_it() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        // The root is outside of the project, whose directory is watched for its rule files.
        let app = prepared(&sandbox, "elsewhere", "app/a", "1").join("app");
        let mut options = options(&sandbox, mode);
        options.roots = vec![app.clone()];
        let mut watch = TestWatch::with(&sandbox, options);
        for round in 0..3 {
            let other = prepared(&sandbox, "other", "a", &format!("round {round}"));
            // The kernel reports the removal of the directory after it is closed.
            let _within = fs::File::open(&app).unwrap();
            fs::remove_dir_all(&app).unwrap();
            fs::rename(other, &app).unwrap();
            watch.wait_for_again(&app.join("a").display().to_string());
            fs::write(app.join(round.to_string()), "1").unwrap();
            watch.wait_for(&[&format!("created {}", app.join(round.to_string()).display())]);
        }
        watch.stop();
    });
}

#[test]
fn a_root_that_is_replaced_during_a_scan_is_still_watched() {
    let sandbox = Sandbox::new();
    sandbox.write("app/a", "1");
    let mut options = with_roots(&sandbox, Mode::Stat, &["app"]);
    // With this interval, the watch scans nearly all the time.
    options.poll_interval = Duration::from_millis(1);
    let mut watch = TestWatch::with(&sandbox, options);
    for round in 0..200 {
        let other = prepared(&sandbox, "other", &format!("new-{round}"), "1");
        fs::remove_dir_all(sandbox.path("app")).unwrap();
        fs::rename(other, sandbox.path("app")).unwrap();
        watch.wait_for(&[&format!("created app/new-{round}")]);
    }
    watch.stop();
}

#[test]
fn a_root_changes_between_file_and_directory() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("x", "1");
        sandbox.write("y", "1");
        let mut watch = TestWatch::with(&sandbox, with_roots(&sandbox, mode, &["x", "y"]));
        for round in 0..3 {
            let dir = prepared(&sandbox, "dir", "inner", "1");
            fs::remove_file(sandbox.path("x")).unwrap();
            fs::rename(dir, sandbox.path("x")).unwrap();
            watch.wait_for(&["created x/inner"]);
            // The root was in this directory, whose files alone are watched.
            sandbox.write("y", format!("beside a directory {round}"));
            watch.wait_for(&["changed y"]);
            fs::rename(sandbox.path("x"), sandbox.outside().join(round.to_string())).unwrap();
            sandbox.write("x", format!("round {round}"));
            watch.wait_for(&["removed x/inner", "created x"]);
            sandbox.write("x", format!("written in round {round}"));
            sandbox.write("y", format!("beside a file {round}"));
            watch.wait_for(&["changed x", "changed y"]);
        }
        watch.stop();
    });
}

#[test]
fn the_target_of_a_root_link_is_removed_and_created() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("build/out/a", "1");
        symlink("way", sandbox.path("root")).unwrap();
        symlink("build/out", sandbox.path("way")).unwrap();
        let mut watch = TestWatch::with(&sandbox, with_roots(&sandbox, mode, &["root"]));
        fs::remove_dir_all(sandbox.path("build")).unwrap();
        watch.wait_for(&["removed root/a"]);
        sandbox.write("build/out/a", "2");
        watch.wait_for(&["created root/a"]);
        sandbox.write("build/out/a", "3");
        watch.wait_for(&["changed root/a"]);
        // Another link in the chain.
        sandbox.write("other/b", "1");
        symlink("other", sandbox.path("next")).unwrap();
        fs::rename(sandbox.path("next"), sandbox.path("way")).unwrap();
        watch.wait_for(&["removed root/a", "created root/b"]);
        sandbox.write("other/b", "2");
        watch.wait_for(&["changed root/b"]);
        watch.stop();
    });
}

#[test]
fn a_directory_that_holds_a_root_and_rules_is_watched_again_after_its_return() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("conf/env", "1");
        sandbox.write("conf/deep/a", "1");
        sandbox.write("conf/sub/b", "1");
        let mut watch = TestWatch::with(&sandbox, with_roots(&sandbox, mode, &[".", "conf/env", "conf/sub"]));
        for round in 0..3 {
            fs::remove_dir_all(sandbox.path("conf")).unwrap();
            watch.wait_for(&["removed conf/env", "removed conf/deep/a", "removed conf/sub/b"]);
            for file in ["deep/a", "sub/b", "other"] {
                prepared(&sandbox, "conf", file, &format!("round {round}"));
            }
            fs::rename(prepared(&sandbox, "conf", "env", "2"), sandbox.path("conf")).unwrap();
            watch.wait_for(&[
                "created conf/env",
                "created conf/other",
                "created conf/deep/a",
                "created conf/sub/b",
            ]);
            for file in ["conf/env", "conf/deep/a", "conf/sub/b", "conf/other"] {
                sandbox.write(file, format!("written in round {round}"));
                watch.wait_for(&[&format!("changed {file}")]);
            }
        }
        watch.stop();
    });
}

#[test]
fn a_named_file_in_a_watched_directory_is_created_by_a_rename() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app", "1");
        let mut options = options(&sandbox, mode);
        options.always = vec!["later".into()];
        let mut watch = TestWatch::with(&sandbox, options);
        for round in 0..3 {
            let beside = sandbox.outside().join("later");
            fs::write(&beside, format!("{round}")).unwrap();
            fs::rename(beside, sandbox.path("later")).unwrap();
            watch.wait_for(&["created later"]);
            fs::remove_file(sandbox.path("later")).unwrap();
            watch.wait_for(&["removed later"]);
        }
        watch.stop();
    });
}

#[test]
fn a_root_that_is_created_again_has_its_new_rules() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app/.watchignore", "*.out\n");
        sandbox.write("app/a", "1");
        sandbox.write("app/a.out", "1");
        let other = prepared(&sandbox, "other", ".watchignore", "a\n");
        fs::write(other.join("a"), "2").unwrap();
        fs::write(other.join("b.out"), "2").unwrap();
        let mut watch = TestWatch::with(&sandbox, with_roots(&sandbox, mode, &["app"]));
        fs::rename(sandbox.path("app"), sandbox.outside().join("away")).unwrap();
        watch.wait_for(&["removed app/a"]);
        // All files in the directory are older than the present clock tick.
        fs::rename(other, sandbox.path("app")).unwrap();
        assert_eq!(watch.changes(), ["created app/b.out"], "{mode:?}");
        sandbox.write("app/a", "3");
        sandbox.write("app/b.out", "3");
        watch.wait_for(&["changed app/b.out"]);
        assert!(!watch.inner.knows(&sandbox.path("app/a")));
        watch.stop();
    });
}

#[test]
fn an_outer_rule_file_is_created_with_its_directory() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app/a.out", "1");
        let conf = prepared(&sandbox, "conf", "rules", "nothing\n");
        let other = prepared(&sandbox, "other", "rules", "*.out\n");
        let mut options = options(&sandbox, mode);
        options.rules.files = vec![conf.join("rules")];
        let mut watch = TestWatch::with(&sandbox, options);
        let knows = |watch: &TestWatch| watch.inner.knows(&sandbox.path("app/a.out"));
        assert!(knows(&watch));
        fs::rename(&conf, sandbox.outside().join("old")).unwrap();
        fs::rename(&other, &conf).unwrap();
        wait_until("the rules of the other directory are read", || !knows(&watch));
        fs::remove_dir_all(&conf).unwrap();
        assert!(watch.batches_until_fence(&sandbox).is_empty());
        fs::rename(sandbox.outside().join("old"), &conf).unwrap();
        wait_until("the rules that are back are read", || knows(&watch));
        watch.stop();
    });
}

#[test]
fn a_named_file_stays_watched_in_a_newly_ignored_directory() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("conf/env", "1");
        sandbox.write("conf/other", "1");
        sandbox.write("app", "1");
        let mut options = options(&sandbox, mode);
        options.always = vec!["conf/env".into()];
        let mut watch = TestWatch::with(&sandbox, options);
        sandbox.write(".watchignore", "/conf/\n");
        loop {
            match watch.event() {
                Event::RulesReloaded { .. } => break,
                Event::Changed(batch) => panic!("not a change: {:?}", watch.words(&batch)),
                _ => {}
            }
        }
        assert_eq!(watch.batches_until_fence(&sandbox), Vec::<Vec<String>>::new(), "{mode:?}");
        assert!(!watch.inner.knows(Path::new(&sandbox.path("conf/other"))));
        sandbox.write("conf/env", "2");
        watch.wait_for(&["changed conf/env"]);
        watch.stop();
    });
}
