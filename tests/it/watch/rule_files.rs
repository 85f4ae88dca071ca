//! Rule files that are edited, broken and deleted while the watch runs. Each edit takes effect at once.

use std::fs;
use std::path::PathBuf;

use devrun::watch::{Event, Mode};

use crate::support::sandbox::Sandbox;
use crate::support::watch::{TestWatch, in_both, options};

const CACHE_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n";
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Waits for a reload of the rules. Returns the rule files, and the changes reported before.
fn reloaded(watch: &mut TestWatch) -> (Vec<String>, Vec<String>) {
    let mut changes = Vec::new();
    loop {
        match watch.event() {
            Event::RulesReloaded { files, .. } => {
                let names = files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned());
                return (names.collect(), changes);
            }
            Event::Changed(batch) => changes.extend(watch.words(&batch)),
            _ => {}
        }
    }
}

#[test]
fn files_ignored_from_the_start_are_not_watched() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write(".watchignore", "downloads/\n*.out\n");
        sandbox.write("downloads/deep/a.py", "1");
        sandbox.write("app.py", "1");
        let mut watch = TestWatch::new(&sandbox, mode);
        for number in 0..50 {
            sandbox.write(format!("downloads/{number}/b.py"), "2");
        }
        sandbox.write("app.out", "2");
        fs::remove_dir_all(sandbox.path("downloads")).unwrap();
        sandbox.write("downloads/again.py", "3");
        assert!(watch.batches_until_fence(&sandbox).is_empty());
        assert!(!watch.inner.knows(&sandbox.path("downloads")));
        let names: Vec<_> =
            watch.inner.files().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert!(names.contains(&"app.py".into()) && names.len() == 2, "{names:?}");
        watch.stop();
    });
}

#[test]
fn data_by_its_kind_is_not_watched() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app.py", "1");
        sandbox.write("tenders.db", SQLITE);
        let mut watch = TestWatch::new(&sandbox, mode);
        for name in ["boq.zip", "boq.zip.part", "شروط.pdf", "trace.log", "new.sqlite3", "new.sqlite3-journal"]
        {
            sandbox.write(name, "1");
        }
        sandbox.write("tenders.db", [SQLITE, b"page"].concat());
        sandbox.write("fresh.db", SQLITE);
        assert!(watch.batches_until_fence(&sandbox).is_empty());
        // A file of the name that is no database counts until it becomes one.
        sandbox.write("zone.db", "$ORIGIN example.org.");
        watch.wait_for(&["created zone.db"]);
        sandbox.write("zone.db", "$ORIGIN example.com.");
        watch.wait_for(&["changed zone.db"]);
        for page in ["1", "2", "3"] {
            sandbox.write("zone.db", [SQLITE, page.as_bytes()].concat());
            assert!(watch.batches_until_fence(&sandbox).is_empty());
        }
        fs::remove_file(sandbox.path("zone.db")).unwrap();
        assert!(watch.batches_until_fence(&sandbox).is_empty());
        // A rule takes data back.
        sandbox.write(".watchignore", "!*.zip\n");
        assert_eq!(reloaded(&mut watch).1, Vec::<String>::new());
        sandbox.write("boq.zip", "2");
        watch.wait_for(&["changed boq.zip"]);
        watch.stop();
    });
}

#[test]
fn a_cache_directory_is_left_out_as_long_as_it_has_its_tag() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("app.py", "1");
        sandbox.write("target/CACHEDIR.TAG", CACHE_TAG);
        sandbox.write("target/debug/a.d", "1");
        sandbox.write("dist/js/a.js", "1");
        let built = sandbox.outside().join("built");
        fs::create_dir_all(built.join("deep")).unwrap();
        fs::write(built.join("CACHEDIR.TAG"), CACHE_TAG).unwrap();
        let mut watch = TestWatch::new(&sandbox, mode);
        let dirs: Vec<_> = watch.inner.directories().into_iter().map(|(path, _)| path).collect();
        assert_eq!(
            dirs,
            ["", "dist", "dist/js"].map(|path| sandbox.path(path).components().collect::<PathBuf>())
        );
        assert_eq!(watch.inner.summary().directories, 3);
        fs::rename(&built, sandbox.path("built")).unwrap();
        for file in ["target/debug/a.d", "target/debug/new/b.d", "target/c", "built/a", "built/deep/a"] {
            sandbox.write(file, "2");
        }
        assert!(watch.batches_until_fence(&sandbox).is_empty());
        // The tag comes, and goes.
        sandbox.write("dist/CACHEDIR.TAG", CACHE_TAG);
        assert_eq!(reloaded(&mut watch), (vec!["CACHEDIR.TAG".into()], vec![]));
        sandbox.write("dist/js/a.js", "2");
        sandbox.write("dist/js/new/b.js", "2");
        assert!(watch.batches_until_fence(&sandbox).is_empty());
        assert!(!watch.inner.knows(&sandbox.path("dist/js/a.js")));
        for dir in ["dist", "target"] {
            fs::remove_file(sandbox.path(dir).join("CACHEDIR.TAG")).unwrap();
            assert_eq!(reloaded(&mut watch).0, ["CACHEDIR.TAG"]);
        }
        assert!(watch.batches_until_fence(&sandbox).is_empty());
        sandbox.write("dist/js/a.js", "3");
        watch.wait_for(&["changed dist/js/a.js"]);
        sandbox.write("target/debug/a.d", "3");
        watch.wait_for(&["changed target/debug/a.d"]);
        watch.stop();
    });
}

#[test]
fn a_linked_worktree_is_watched_only_as_a_root() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.git(&["init", "-q"]);
        sandbox.write("app.py", "1");
        sandbox.git(&["add", "."]);
        sandbox.git(&["-c", "user.name=n", "-c", "user.email=e@x", "commit", "-qm", "m"]);
        sandbox.git(&["worktree", "add", "-q", "trees/first"]);
        let mut watch = TestWatch::new(&sandbox, mode);
        sandbox.git(&["worktree", "add", "-q", "trees/second"]);
        sandbox.write("trees/first/app.py", "2");
        sandbox.write("trees/second/app.py", "2");
        sandbox.write("trees/second/new/app.py", "2");
        assert!(watch.batches_until_fence(&sandbox).is_empty());
        watch.stop();
        let mut options = options(&sandbox, mode);
        options.roots = vec!["trees/first".into()];
        let mut watch = TestWatch::with(&sandbox, options);
        sandbox.write("trees/first/app.py", "3");
        watch.wait_for(&["changed trees/first/app.py"]);
        watch.stop();
    });
}

#[test]
fn an_edited_created_or_removed_rule_takes_effect_without_a_change() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write(".watchignore", "gen/\n");
        sandbox.write("gen/deep/out.py", "1");
        sandbox.write("src/app.py", "1");
        let mut watch = TestWatch::new(&sandbox, mode);
        // The file is no longer ignored: it is watched, and no change is reported.
        sandbox.write(".watchignore", "nothing\n");
        assert_eq!(reloaded(&mut watch), (vec![".watchignore".into()], vec![]));
        assert!(watch.inner.knows(&sandbox.path("gen/deep/out.py")));
        sandbox.write("gen/deep/out.py", "2");
        assert_eq!(watch.changes(), ["changed gen/deep/out.py"]);
        // A nested rule file is created while the watch runs.
        sandbox.write("gen/.watchignore", "deep\n");
        assert_eq!(reloaded(&mut watch), (vec![".watchignore".into()], vec![]));
        assert!(
            !watch.inner.knows(&sandbox.path("gen/deep/out.py")) && watch.inner.knows(&sandbox.path("gen"))
        );
        sandbox.write("gen/deep/out.py", "3");
        // The nested rule file is removed.
        fs::remove_file(sandbox.path("gen/.watchignore")).unwrap();
        assert_eq!(reloaded(&mut watch), (vec![".watchignore".into()], vec![]));
        assert!(watch.inner.knows(&sandbox.path("gen/deep/out.py")));
        sandbox.write("gen/deep/out.py", "4");
        assert_eq!(watch.changes(), ["changed gen/deep/out.py"]);
        // The rule file is saved by a rename, as editors do.
        sandbox.write(".watchignore.new", "gen\n");
        fs::rename(sandbox.path(".watchignore.new"), sandbox.path(".watchignore")).unwrap();
        assert_eq!(reloaded(&mut watch).0, [".watchignore"]);
        assert!(!watch.inner.knows(&sandbox.path("gen")));
        watch.stop();
    });
}

#[test]
fn a_broken_line_is_named_and_the_others_apply() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("a.gen", "1");
        sandbox.write("b.gen", "1");
        let mut watch = TestWatch::new(&sandbox, mode);
        sandbox.write(".watchignore", "a.gen\n[unclosed\n");
        let defects = loop {
            if let Event::RulesReloaded { defects, .. } = watch.event() {
                break defects;
            }
        };
        assert_eq!(defects.iter().map(|defect| defect.line).collect::<Vec<_>>(), [2]);
        sandbox.write("a.gen", "2");
        sandbox.write("b.gen", "2");
        watch.wait_for(&["changed b.gen"]);
        assert!(!watch.inner.knows(&sandbox.path("a.gen")));
        watch.stop();
    });
}

#[test]
fn rule_files_outside_the_tree_are_followed() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.git(&["init", "-q"]);
        sandbox.write("sub/x.gen", "1");
        let mut options = options(&sandbox, mode);
        options.roots = vec!["sub".into()];
        let mut watch = TestWatch::with(&sandbox, options);
        assert!(watch.inner.knows(&sandbox.path("sub/x.gen")));
        sandbox.write(".git/info/exclude", "*.gen\n");
        reloaded(&mut watch);
        assert!(!watch.inner.knows(&sandbox.path("sub/x.gen")));
        sandbox.write(".gitignore", "!*.gen\n");
        reloaded(&mut watch);
        assert!(watch.inner.knows(&sandbox.path("sub/x.gen")));
        watch.stop();
    });
}

#[test]
fn an_extension_and_a_filter_narrow_what_counts() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write("src/a.rs", "1");
        let mut options = options(&sandbox, mode);
        options.extensions = vec!["rs".into(), ".toml".into()];
        options.filters = vec!["src/**".into(), "*.toml".into()];
        options.always = vec!["secret/.env".into()];
        let mut watch = TestWatch::with(&sandbox, options);
        sandbox.write("src/a.md", "1");
        sandbox.write("other/a.rs", "1");
        sandbox.write("other/Cargo.toml", "1");
        assert_eq!(watch.changes(), ["created other/Cargo.toml"]);
        sandbox.write("src/deep/b.rs", "1");
        assert_eq!(watch.changes(), ["created src/deep/b.rs"]);
        sandbox.write("secret/.env", "A=1");
        assert_eq!(watch.changes(), ["created secret/.env"]);
        watch.stop();
    });
}

#[test]
fn a_file_that_always_counts_is_reported_in_an_ignored_directory() {
    in_both(|mode| {
        let sandbox = Sandbox::new();
        sandbox.write(".watchignore", "private/\n");
        sandbox.write("private/.env", "A=1");
        sandbox.write("private/other", "1");
        let mut options = options(&sandbox, mode);
        options.always = vec!["private/.env".into()];
        let mut watch = TestWatch::with(&sandbox, options);
        sandbox.write("private/other", "2");
        sandbox.write("private/new", "2");
        sandbox.write("private/.env", "A=2");
        assert_eq!(watch.changes(), ["changed private/.env"]);
        let beside = sandbox.write("private/.env.new", "A=3");
        fs::rename(beside, sandbox.path("private/.env")).unwrap();
        assert_eq!(watch.changes(), ["changed private/.env"]);
        watch.stop();
    });
}

#[test]
fn a_bad_filter_is_refused() {
    let sandbox = Sandbox::new();
    let mut options = options(&sandbox, Mode::Event);
    options.filters = vec!["src/[".into()];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(devrun::watch::Watch::start(options)).unwrap_err();
    assert!(error.to_string().starts_with("parse the filter `src/[`: "), "{error}");
}
