//! Layers, nesting, repositories and live edits: the deciding rule, and the time when rules are read.

use std::os::unix::fs::symlink;
use std::path::Path;

use devrun::rules::{
    Decision, DefectKind, EntryKind, Error, GitEnv, Layer, Options, PatternErrorKind, Rules,
};

use crate::support::git::{ask_git_in, ask_rules, git_rules};
use crate::support::sandbox::{Sandbox, fifo};

fn rules(sandbox: &Sandbox) -> Rules {
    Rules::new(Options::new(sandbox.root())).unwrap()
}

/// `LAYER SOURCE:LINE PATTERN`, with `!` before the pattern of a watched path. `-` if no rule matches.
fn said(rules: &Rules, sandbox: &Sandbox, path: &str) -> String {
    let full = sandbox.path(path);
    let verdict = rules.verdict(&full, EntryKind::from_is_dir(path.ends_with('/')));
    assert_eq!(verdict.is_ignored(), rules.is_ignored(&full, EntryKind::from_is_dir(path.ends_with('/'))));
    let Some(by) = verdict.by else { return "-".into() };
    let source = by.source.as_deref().map(|source| source.strip_prefix(sandbox.outside()).unwrap_or(source));
    let source = source.unwrap_or(Path::new("")).display();
    format!("{} {source}:{} {}", by.layer, by.line, String::from_utf8_lossy(&by.pattern))
}

#[test]
fn the_highest_layer_with_any_match_decides() {
    let sandbox = Sandbox::new();
    sandbox.git(&["init", "-q"]);
    sandbox.write(".gitignore", "*.a\n*.b\n*.c\n*.d\n*.pyc\n");
    sandbox.write(".watchignore", "!x.a\n!x.b\n!x.c\n");
    sandbox.write("sub/.gitignore", "!x.d\n");
    sandbox.write("sub/.watchignore", "x.b\n");
    sandbox.write(".git/info/exclude", "*.e\n!x.f\n");
    let global = sandbox.outside().join("global");
    std::fs::write(&global, "*.f\n*.g\n!x.swp\n").unwrap();
    let mut options = Options::new(sandbox.root());
    options.patterns = vec![b"x.a".to_vec(), b"/sub/x.c".to_vec(), b"!x.g".to_vec()];
    options.git.excludes_file = Some(global);
    let rules = Rules::new(options).unwrap();
    for (path, expected) in [
        ("x.a", "flag :1 x.a"),
        ("sub/x.a", "flag :1 x.a"),
        ("y.a", "gitignore project/.gitignore:1 *.a"),
        ("x.b", "watchignore project/.watchignore:2 !x.b"),
        ("sub/x.b", "watchignore project/sub/.watchignore:1 x.b"),
        ("x.c", "watchignore project/.watchignore:3 !x.c"),
        ("sub/x.c", "flag :2 /sub/x.c"),
        ("x.d", "gitignore project/.gitignore:4 *.d"),
        ("sub/x.d", "gitignore project/sub/.gitignore:1 !x.d"),
        ("x.e", "git-exclude project/.git/info/exclude:1 *.e"),
        ("x.f", "git-exclude project/.git/info/exclude:2 !x.f"),
        ("y.f", "git-global global:1 *.f"),
        ("x.g", "flag :3 !x.g"),
        ("x.swp", "git-global global:3 !x.swp"),
        ("x.pyc", "gitignore project/.gitignore:5 *.pyc"),
        ("x.py", "-"),
    ] {
        assert_eq!(said(&rules, &sandbox, path), expected, "{path}");
    }
}

#[test]
fn rule_files_below_an_ignored_directory_do_not_count() {
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", "generated/\nkept/\n!kept/\n");
    sandbox.write("generated/.watchignore", "!*\n");
    let rules = rules(&sandbox);
    let path = sandbox.path("generated/deep/a.rs");
    let verdict = rules.verdict(&path, EntryKind::File);
    assert_eq!(verdict.decision, Decision::Ignored);
    assert_eq!(verdict.parent, Some(sandbox.path("generated")));
    assert_eq!(verdict.by.unwrap().line, 1);
    assert_eq!(said(&rules, &sandbox, "kept/a"), "-");
    // The documented way: a rule in a file that is read re-includes the directory itself.
    sandbox.write(".watchignore", "generated/\n!sub/generated/\n");
    sandbox.write("sub/.watchignore", "!generated/\n");
    rules.forget(sandbox.root());
    assert!(!rules.is_ignored(&sandbox.path("sub/generated/a.rs"), EntryKind::File));
}

#[test]
fn built_in_rules_ignore_files_that_are_never_source() {
    let sandbox = Sandbox::new();
    let rules = rules(&sandbox);
    let ignored = [
        ".git/",
        ".git/HEAD",
        "sub/.git",
        ".hg/",
        ".svn/",
        ".jj/",
        "a/__pycache__/",
        "a.pyc",
        "a.pyo",
        ".DS_Store",
        ".main.rs.swp",
        ".main.rs.swx",
        ".main.rs.swpx",
        "4913",
        "main.rs~",
        "#main.rs#",
        ".#main.rs",
        "main.rs___jb_tmp___",
        "main.rs___jb_old___",
        ".main.rs.kate-swp",
        ".goutputstream-ABC",
        ".~lock.a.ods#",
        "node_modules/",
        ".venv/",
        ".idea/workspace.xml",
        "a.tmp",
        "main.rs.tmp.123.456",
        ".nfs0001",
        "a.orig",
        "a.bak",
    ];
    for path in ignored {
        assert!(rules.is_ignored(&sandbox.path(path), EntryKind::from_is_dir(path.ends_with('/'))), "{path}");
        assert_eq!(
            rules.verdict(&sandbox.path(path), EntryKind::from_is_dir(path.ends_with('/'))).by.unwrap().layer,
            Layer::Builtin
        );
    }
    let watched = [
        "target/",
        "build/",
        "dist/",
        "main.rs",
        ".env",
        ".gitignore",
        ".watchignore",
        "devrun.toml",
        ".github/",
        "a.lock",
        "Cargo.lock",
        "swap",
        "a.out",
        "data/",
        "a.ts",
        "a.mts",
        "a.jar",
        "a.key",
        "a.db",
        "core",
        "core.py",
        "core/",
        "a.zip/",
        "a.sqlite/",
        "a.sqlite.sql",
        "a.log.py",
        "#main",
        ".eslintrc",
        "4914",
        "a.sw",
        "venv/",
    ];
    for path in watched {
        assert!(
            !rules.is_ignored(&sandbox.path(path), EntryKind::from_is_dir(path.ends_with('/'))),
            "{path}"
        );
    }
    // The built-in rules are the lowest layer, so any rule can take them back.
    sandbox.write(".watchignore", "!node_modules/\n!*.orig\n");
    rules.forget(sandbox.root());
    assert!(!rules.is_ignored(&sandbox.path("node_modules/a/b.js"), EntryKind::File));
    assert!(!rules.is_ignored(&sandbox.path("a.orig"), EntryKind::File));
    let mut options = Options::new(sandbox.root());
    options.builtin = false;
    assert!(!Rules::new(options).unwrap().is_ignored(&sandbox.path("a.pyc"), EntryKind::File));
}

#[test]
fn built_in_rules_ignore_data_by_its_kind() {
    let sandbox = Sandbox::new();
    let sqlite = b"SQLite format 3\0\x10\0".as_slice();
    let core_dump = [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 9], b"\x04\0"].concat();
    let executable = [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 9], b"\x02\0"].concat();
    sandbox.write("app.db", sqlite);
    sandbox.write("zone.db", "$ORIGIN example.org.\n");
    sandbox.write("empty.db", "");
    for name in ["core", "core.4711", "server.core"] {
        sandbox.write(name, &core_dump);
    }
    sandbox.write("tool/core", &executable);
    fifo(&sandbox.path("fifo.db"));
    symlink(sandbox.path("app.db"), sandbox.path("link.db")).unwrap();
    let rules = rules(&sandbox);
    for (path, expected) in [
        ("downloads/كراسة الشروط والمرفقات.zip", "*.zip"),
        ("BOQ.PDF", "*.pdf"),
        ("site.tar.gz", "*.gz"),
        ("tenders.xlsx", "*.xlsx"),
        ("call.mp3", "*.mp3"),
        ("tour.mp4", "*.mp4"),
        ("app.sqlite", "*.sqlite"),
        ("app.sqlite3", "*.sqlite[0-9]"),
        ("app.sqlite3-wal", "*.sqlite[0-9]-wal"),
        ("app.db-journal", "*.db-journal"),
        ("app.db", "*.db"),
        ("zone.db", "-"),
        ("empty.db", "*.db"),
        ("fifo.db", "-"),
        ("link.db", "-"),
        ("missing.db", "-"),
        ("core", "core"),
        ("core.4711", "core.[0-9]*"),
        ("server.core", "*.core"),
        ("tool/core", "-"),
        ("logs/app.log", "*.log"),
        ("app.log.1", "*.log.[0-9]*"),
        ("a.zip.crdownload", "*.crdownload"),
        ("a.zip.part", "*.part"),
    ] {
        let said = said(&rules, &sandbox, path);
        assert_eq!(said.rsplit(' ').next(), Some(expected), "{path}: {said}");
        assert!(said == "-" || said.starts_with("builtin :"), "{path}: {said}");
    }
    // Any layer takes data back.
    sandbox.write(".watchignore", "!*.zip\n!app.db\n");
    rules.forget(sandbox.root());
    assert_eq!(said(&rules, &sandbox, "fixtures/a.zip"), "watchignore project/.watchignore:1 !*.zip");
    assert_eq!(said(&rules, &sandbox, "app.db"), "watchignore project/.watchignore:2 !app.db");
}

const CACHE_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# made by a build\n";

#[test]
fn cache_directories_and_linked_worktrees_are_left_out() {
    let sandbox = Sandbox::new();
    for dir in ["target", "kept", "target/doc", "link", "other"] {
        sandbox.write(format!("{dir}/a.rs"), "");
    }
    sandbox.write("target/CACHEDIR.TAG", CACHE_TAG);
    sandbox.write("kept/CACHEDIR.TAG", CACHE_TAG);
    sandbox.write("other/CACHEDIR.TAG", "Signature: none\n");
    sandbox.write("CACHEDIR.TAG", CACHE_TAG);
    symlink(sandbox.path("target/CACHEDIR.TAG"), sandbox.path("link/CACHEDIR.TAG")).unwrap();
    sandbox.write(".claude/worktrees/x/.git", "gitdir: /app/.git/worktrees/x\n");
    sandbox.write("relative/.git", "gitdir: ../.git/worktrees/relative\n");
    sandbox.write("lib/.git", "gitdir: ../.git/modules/lib\n");
    sandbox.write("lib2/.git", "gitdir: ../.git/modules/worktrees/lib2\n");
    sandbox.write("mine/.git", "gitdir: /app/.git/worktrees/mine\n");
    sandbox.write(".watchignore", "!kept/\n");
    let mut options = Options::new(sandbox.root());
    options.roots = ["", "mine", "target/doc"].map(|root| sandbox.path(root)).to_vec();
    let rules = Rules::new(options.clone()).unwrap();
    let tag = "builtin project/target/CACHEDIR.TAG:1 Signature: 8a477f597d28d172789f06886806bc55";
    let link = "builtin project/.claude/worktrees/x/.git:1 gitdir: /app/.git/worktrees/x";
    for (path, expected) in [
        ("a.rs", "-"),
        ("target/", tag),
        ("target/a.rs", tag),
        ("target/debug/deep/a.rs", tag),
        ("target/doc/a.rs", "-"),
        ("kept/", "watchignore project/.watchignore:1 !kept/"),
        ("kept/a.rs", "-"),
        ("other/a.rs", "-"),
        ("link/a.rs", "-"),
        (".claude/worktrees/", "-"),
        (".claude/worktrees/x/", link),
        (".claude/worktrees/x/a.rs", link),
        ("relative/a.rs", "builtin project/relative/.git:1 gitdir: ../.git/worktrees/relative"),
        ("lib/a.rs", "-"),
        ("lib2/a.rs", "-"),
        ("mine/a.rs", "-"),
    ] {
        assert_eq!(said(&rules, &sandbox, path), expected, "{path}");
    }
    let parent = rules.verdict(&sandbox.path("target/a.rs"), EntryKind::File).parent;
    assert_eq!(parent, Some(sandbox.path("target")));
    assert!(rules.is_rule_file(&sandbox.path("other/CACHEDIR.TAG")));
    // The tag is removed and written.
    std::fs::remove_file(sandbox.path("target/CACHEDIR.TAG")).unwrap();
    sandbox.write("other/CACHEDIR.TAG", CACHE_TAG);
    rules.forget(&sandbox.path("target"));
    rules.forget(&sandbox.path("other"));
    assert_eq!(said(&rules, &sandbox, "target/a.rs"), "-");
    assert!(rules.is_ignored(&sandbox.path("other"), EntryKind::Dir));
    options.builtin = false;
    assert!(!Rules::new(options).unwrap().is_ignored(&sandbox.path("other/a.rs"), EntryKind::File));
}

#[test]
fn an_edit_takes_effect_when_its_directory_is_forgotten() {
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", "*.out\n");
    sandbox.write("sub/.watchignore", "a\n");
    let rules = rules(&sandbox);
    let ignored = |path: &str| rules.is_ignored(&sandbox.path(path), EntryKind::File);
    assert!(ignored("x.out") && ignored("sub/a") && !ignored("sub/b") && ignored("sub/deep/a"));
    sandbox.write("sub/.watchignore", "b\n");
    assert!(ignored("sub/a"), "the rules that were read are kept");
    rules.forget(&sandbox.path("sub"));
    assert!(!ignored("sub/a") && ignored("sub/b") && ignored("sub/deep/b") && ignored("x.out"));
    // The file is removed, then created in a directory that was known to have none.
    std::fs::remove_file(sandbox.path("sub/.watchignore")).unwrap();
    rules.forget(&sandbox.path("sub"));
    assert!(!ignored("sub/b") && !ignored("sub/deep/c"));
    sandbox.write("sub/deep/.watchignore", "c\n");
    assert!(!ignored("sub/deep/c"));
    rules.forget(&sandbox.path("sub/deep"));
    assert!(ignored("sub/deep/c"));
    // A neighbour with the same start of its name is not forgotten.
    sandbox.write("sub-b/.watchignore", "d\n");
    assert!(ignored("sub-b/d"));
    sandbox.write("sub-b/.watchignore", "");
    rules.forget(&sandbox.path("sub"));
    assert!(ignored("sub-b/d"));
    // The directory is created after the rules were asked about it.
    assert!(!ignored("late/a"));
    sandbox.write("late/.watchignore", "a\n");
    rules.forget(&sandbox.path("late"));
    assert!(ignored("late/a"));
}

#[test]
fn an_invalid_line_is_named_and_the_others_apply() {
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", b"ok\nab[c\n\xff\nlast\n");
    let rules = rules(&sandbox);
    assert!(rules.is_ignored(&sandbox.path("ok"), EntryKind::File));
    assert!(rules.is_ignored(&sandbox.path("last"), EntryKind::File));
    let defects = rules.defects();
    assert_eq!(defects.len(), 1);
    assert_eq!(defects[0].source, Some(sandbox.path(".watchignore")));
    assert_eq!((defects[0].line, defects[0].column), (2, 3));
    assert_eq!(defects[0].kind, DefectKind::NeverMatches(PatternErrorKind::UnclosedSet));
    assert!(defects[0].to_string().contains(".watchignore:2:3: `ab[c` never matches"), "{}", defects[0]);
    sandbox.write(".watchignore", "ok\nab[c]\n");
    rules.forget(sandbox.root());
    assert!(rules.is_ignored(&sandbox.path("abc"), EntryKind::File));
    assert!(rules.defects().is_empty());
}

#[test]
fn only_a_regular_file_is_a_rule_file() {
    let sandbox = Sandbox::new();
    let real = sandbox.write("elsewhere/rules", "*\n");
    for dir in ["link", "directory", "fifo", "dangling"] {
        std::fs::create_dir(sandbox.path(dir)).unwrap();
    }
    symlink(&real, sandbox.path("link/.watchignore")).unwrap();
    symlink("nowhere", sandbox.path("dangling/.watchignore")).unwrap();
    std::fs::create_dir(sandbox.path("directory/.watchignore")).unwrap();
    fifo(&sandbox.path("fifo/.watchignore"));
    let rules = rules(&sandbox);
    for dir in ["link", "directory", "fifo", "dangling"] {
        assert!(!rules.is_ignored(&sandbox.path(dir).join("a"), EntryKind::File), "{dir}");
    }
    assert!(rules.defects().is_empty(), "{:?}", rules.defects());
    // A directory behind a link does not belong to the tree.
    symlink("elsewhere", sandbox.path("linked")).unwrap();
    sandbox.write("elsewhere/.watchignore", "a\n");
    assert!(rules.is_ignored(&sandbox.path("elsewhere/a"), EntryKind::File));
    assert!(!rules.is_ignored(&sandbox.path("linked/a"), EntryKind::File));
    // A file named by its path may be a link. Its patterns are anchored at the working directory.
    symlink(sandbox.write("elsewhere/more", "/b\nc\n"), sandbox.path("more")).unwrap();
    let mut options = Options::new(sandbox.root());
    options.files = vec!["more".into()];
    let rules = Rules::new(options).unwrap();
    assert!(
        rules.is_ignored(&sandbox.path("b"), EntryKind::File)
            && !rules.is_ignored(&sandbox.path("elsewhere/b"), EntryKind::File)
    );
    assert!(rules.is_ignored(&sandbox.path("elsewhere/c"), EntryKind::File));
}

#[test]
fn files_named_by_path_rank_below_those_in_directories() {
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", "!a\n");
    sandbox.write("one", "a\nb\n");
    sandbox.write("two", "!b\n");
    sandbox.write(".gitignore", "b\n");
    let mut options = Options::new(sandbox.root());
    options.files = vec!["one".into(), "two".into()];
    let rules = Rules::new(options).unwrap();
    assert_eq!(said(&rules, &sandbox, "a"), "watchignore project/.watchignore:1 !a");
    assert_eq!(said(&rules, &sandbox, "b"), "watchignore project/two:1 !b");
    assert!(rules.outside_files().contains(&sandbox.path("one")));
    sandbox.write("two", "");
    rules.forget(sandbox.root());
    assert_eq!(said(&rules, &sandbox, "b"), "watchignore project/one:2 b");
    let mut options = Options::new(sandbox.root());
    options.files = vec!["missing".into()];
    let error = Rules::new(options).unwrap_err();
    assert!(matches!(&error, Error::File { path, .. } if path.ends_with("missing")), "{error:?}");
    assert!(matches!(Rules::new(Options::new("")), Err(Error::Base { .. })));
}

#[test]
fn other_names_of_rule_files_are_read_in_every_directory() {
    let sandbox = Sandbox::new();
    sandbox.write("sub/.dockerignore", "a\n");
    sandbox.write("sub/.watchignore", "!a\nb\n");
    let mut options = Options::new(sandbox.root());
    options.file_names = vec![".watchignore".into(), ".dockerignore".into()];
    let rules = Rules::new(options).unwrap();
    assert_eq!(said(&rules, &sandbox, "sub/a"), "watchignore project/sub/.dockerignore:1 a");
    assert_eq!(said(&rules, &sandbox, "sub/b"), "watchignore project/sub/.watchignore:2 b");
    assert!(rules.is_rule_file(&sandbox.path("x/.dockerignore")));
    assert!(!rules.is_rule_file(&sandbox.path("x/dockerignore")));
}

#[test]
fn watchdogignore_is_a_layer_between_watchignore_and_gitignore() {
    let sandbox = Sandbox::new();
    sandbox.write(".gitignore", "*.x\n!*.y\n");
    sandbox.write(".watchdogignore", "/downloads/\n*.y\n!a.x\n*.z\n");
    sandbox.write(".watchignore", "!keep.z\n");
    sandbox.write("sub/.watchdogignore", "!*.y\nkeep.z\n");
    let rules = Rules::new(Options::new(sandbox.root())).unwrap();
    assert_eq!(said(&rules, &sandbox, "downloads/a"), "watchdogignore project/.watchdogignore:1 /downloads/");
    assert_eq!(said(&rules, &sandbox, "a.y"), "watchdogignore project/.watchdogignore:2 *.y");
    assert_eq!(said(&rules, &sandbox, "a.x"), "watchdogignore project/.watchdogignore:3 !a.x");
    assert_eq!(said(&rules, &sandbox, "sub/a.y"), "watchdogignore project/sub/.watchdogignore:1 !*.y");
    assert_eq!(said(&rules, &sandbox, "sub/keep.z"), "watchignore project/.watchignore:1 !keep.z");
    assert!(rules.is_rule_file(&sandbox.path("x/.watchdogignore")));
}

#[test]
fn several_roots_each_have_their_own_rules() {
    let sandbox = Sandbox::new();
    let other = sandbox.outside().join("other");
    std::fs::create_dir_all(other.join("sub")).unwrap();
    std::fs::write(other.join(".watchignore"), "*.x\n/top\n").unwrap();
    std::fs::write(sandbox.outside().join(".watchignore"), "*\n").unwrap();
    sandbox.write(".watchignore", "*.y\nbuild/\n");
    let mut options = Options::new(sandbox.root());
    options.roots = vec![".".into(), other.clone(), "build/kept".into(), "../file.y".into()];
    options.patterns = vec![b"*.z".to_vec(), b"/top.z".to_vec(), b"/anchored".to_vec()];
    let rules = Rules::new(options).unwrap();
    let ignored = |path: &Path| rules.is_ignored(path, EntryKind::File);
    assert!(ignored(&other.join("a.x")) && ignored(&other.join("sub/a.x")) && !ignored(&other.join("a.y")));
    assert!(ignored(&other.join("top")) && !ignored(&other.join("sub/top")));
    assert!(ignored(&sandbox.path("a.y")) && !ignored(&sandbox.path("a.x")));
    // Patterns from the command line match names everywhere, and paths below the working directory.
    assert!(ignored(&other.join("a.z")) && ignored(&sandbox.path("a.z")));
    assert!(ignored(&sandbox.path("anchored")) && !ignored(&other.join("anchored")));
    // A root counts although a directory above it is ignored. Its own rules apply.
    assert!(ignored(&sandbox.path("build/a")));
    assert!(!rules.is_ignored(&sandbox.path("build/kept"), EntryKind::Dir));
    assert!(!ignored(&sandbox.path("build/kept/a")) && ignored(&sandbox.path("build/kept/a.y")));
    assert!(!ignored(&sandbox.outside().join("file.y")));
    // Outside of all roots no rule file is read. Patterns for names still apply.
    std::fs::create_dir(sandbox.outside().join("strange")).unwrap();
    std::fs::write(sandbox.outside().join("strange/.watchignore"), "*\n").unwrap();
    assert!(
        !ignored(&sandbox.outside().join("strange/a")) && ignored(&sandbox.outside().join("strange/a.pyc"))
    );
    assert!(ignored(&sandbox.outside().join("strange/a.z")));
}

#[test]
fn rules_above_the_working_directory_count_up_to_the_top_of_its_repository() {
    let sandbox = Sandbox::new();
    sandbox.git(&["init", "-q"]);
    sandbox.write(".gitignore", "*.out\n/sub/deep/top\nbuild/\n");
    sandbox.write(".watchignore", "*.tmp2\n");
    std::fs::write(sandbox.outside().join(".gitignore"), "*\n").unwrap();
    std::fs::create_dir_all(sandbox.path("sub/deep")).unwrap();
    let rules = Rules::new(Options::new(sandbox.path("sub/deep"))).unwrap();
    let ignored = |path: &str| rules.is_ignored(&sandbox.path(path), EntryKind::File);
    assert!(ignored("sub/deep/a.out") && ignored("sub/deep/top") && ignored("sub/deep/a.tmp2"));
    assert!(!ignored("sub/deep/a"));
    for file in [".gitignore", ".watchignore", "sub/.gitignore", "sub/.watchignore", ".git/info/exclude"] {
        assert!(rules.outside_files().contains(&sandbox.path(file)), "{file}");
        assert!(rules.is_rule_file(&sandbox.path(file)), "{file}");
    }
    assert!(!rules.outside_files().contains(&sandbox.path("sub/deep/.gitignore")));
    assert!(!rules.outside_files().contains(&sandbox.outside().join(".gitignore")));
    sandbox.write(".gitignore", "");
    sandbox.write(".git/info/exclude", "excluded\n");
    rules.forget(sandbox.root());
    assert!(!ignored("sub/deep/a.out") && ignored("sub/deep/excluded"));
    sandbox.write(".git/info/exclude", "");
    rules.forget(&sandbox.path(".git/info"));
    assert!(!ignored("sub/deep/excluded"));
    // The working directory is ignored by its repository. It counts because the user started devrun there.
    sandbox.write(".gitignore", "build/\n");
    std::fs::create_dir_all(sandbox.path("build/x")).unwrap();
    let rules = Rules::new(Options::new(sandbox.path("build/x"))).unwrap();
    assert!(!rules.is_ignored(&sandbox.path("build/x/a"), EntryKind::File));
    assert!(rules.is_ignored(&sandbox.path("build/y"), EntryKind::File));
}

#[test]
fn a_directory_that_becomes_a_repository_has_other_rules() {
    let sandbox = Sandbox::new();
    sandbox.write("sub/a", "");
    let rules = rules(&sandbox);
    assert!(!rules.is_ignored(&sandbox.path("sub/a"), EntryKind::File));
    sandbox.git(&["init", "-q"]);
    sandbox.write(".git/info/exclude", "a\n");
    assert!(rules.is_rule_file(&sandbox.path(".git")));
    rules.forget(sandbox.root());
    assert!(rules.is_ignored(&sandbox.path("sub/a"), EntryKind::File));
    assert!(rules.outside_files().contains(&sandbox.path(".git/info/exclude")));
}

#[test]
fn the_rules_of_git_end_at_a_nested_repository() {
    let sandbox = Sandbox::new();
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["init", "-q", "inner"]);
    sandbox.write(".gitignore", "*.out\nvendor/\n");
    sandbox.write(".watchignore", "*.zip\n");
    sandbox.write("inner/.gitignore", "*.o\n");
    sandbox.write("inner/.git/info/exclude", "/top\n");
    sandbox.git(&["init", "-q", "vendor/lib"]);
    let rules = rules(&sandbox);
    let paths: Vec<Vec<u8>> =
        ["a.out", "a.o", "sub/a.o", "top", "sub/top", "b"].map(|path| path.as_bytes().to_vec()).to_vec();
    let inner = sandbox.path("inner");
    let only_git = Rules::new(git_rules(sandbox.root())).unwrap();
    for (path, git) in paths.iter().zip(ask_git_in(&sandbox, &inner, &[], &paths)) {
        assert_eq!(ask_rules(&only_git, &inner, path), git, "{}", path.escape_ascii());
    }
    // devrun's own rules still apply inside. No rule file is read in a directory that an outer rule ignores.
    assert!(rules.is_ignored(&sandbox.path("inner/a.zip"), EntryKind::File));
    assert!(!rules.is_ignored(&sandbox.path("inner/a.out"), EntryKind::File));
    assert!(rules.is_ignored(&sandbox.path("vendor/lib/a"), EntryKind::File));
    assert!(rules.is_rule_file(&sandbox.path("inner/.git/info/exclude")));
    sandbox.write("inner/.git/info/exclude", "b\n");
    rules.forget(&sandbox.path("inner/.git/info"));
    assert!(rules.is_ignored(&sandbox.path("inner/b"), EntryKind::File));
    // An empty `.git` directory is no repository, and neither is a file with an invalid `gitdir`.
    std::fs::create_dir_all(sandbox.path("fake/.git")).unwrap();
    sandbox.write("false/.git", "gitdir: nowhere\n");
    assert!(rules.is_ignored(&sandbox.path("fake/a.out"), EntryKind::File));
    assert!(rules.is_ignored(&sandbox.path("false/a.out"), EntryKind::File));
}

#[test]
fn worktrees_and_submodules_have_the_same_rules_as_in_git() {
    let sandbox = Sandbox::new();
    let identity = ["-c", "user.name=a", "-c", "user.email=a@localhost"];
    let commit = |dir: &str| {
        let arguments = [&["-C", dir][..], &identity, &["commit", "-q", "--allow-empty", "-m", "x"]].concat();
        sandbox.git(&arguments);
    };
    sandbox.git(&["init", "-q", "main"]);
    commit("main");
    sandbox.write("main/.git/info/exclude", "shared\n");
    sandbox.git(&["-C", "main", "worktree", "add", "-q", "../tree"]);
    sandbox.git(&["init", "-q", "part"]);
    commit("part");
    let url = sandbox.path("part");
    let add = [
        "-C",
        "main",
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        url.to_str().unwrap(),
        "sub",
    ];
    sandbox.git(&add);
    sandbox.write("main/.git/modules/sub/info/exclude", "inner\n");
    let paths: Vec<Vec<u8>> =
        [b"shared".to_vec(), b"x/shared".to_vec(), b"inner".to_vec(), b"other".to_vec()].into();
    for dir in ["main", "tree", "main/sub"] {
        let top = sandbox.path(dir);
        let rules = Rules::new(git_rules(&top)).unwrap();
        for (path, git) in paths.iter().zip(ask_git_in(&sandbox, &top, &[], &paths)) {
            let own = ask_rules(&rules, &top, path);
            let short =
                |decided: Option<crate::support::git::Decided>| decided.map(|by| (by.line, by.pattern));
            assert_eq!(short(own), short(git), "{dir}: {}", path.escape_ascii());
        }
    }
    let tree = Rules::new(Options::new(sandbox.path("tree"))).unwrap();
    assert!(tree.is_ignored(&sandbox.path("tree/shared"), EntryKind::File));
    assert!(
        tree.outside_files().contains(&sandbox.path("main/.git/info/exclude")),
        "{:?}",
        tree.outside_files()
    );
}

#[test]
fn the_configuration_of_git_is_read_once_and_only_in_a_repository() {
    let sandbox = Sandbox::new();
    let home = sandbox.outside().join("home");
    let environment = |extra: &[(&str, &str)]| {
        let path = std::env::var_os("PATH").unwrap();
        let mut all = vec![("PATH".into(), path), ("HOME".into(), home.clone().into_os_string())];
        all.push(("GIT_CONFIG_NOSYSTEM".into(), "1".into()));
        all.extend(extra.iter().map(|(key, value)| ((*key).into(), (*value).into())));
        all
    };
    let ask = |extra: &[(&str, &str)]| GitEnv::ask(sandbox.root(), environment(extra));
    std::fs::write(home.join(".gitconfig"), "[core]\nexcludesFile = ~/mine\n").unwrap();
    assert_eq!(ask(&[]), GitEnv::default(), "outside of a repository git is not asked");
    sandbox.git(&["init", "-q"]);
    assert_eq!(ask(&[]).excludes_file, Some(home.join("mine")));
    sandbox.git(&["config", "core.excludesFile", "relative"]);
    assert_eq!(ask(&[]).excludes_file, Some(sandbox.path("relative")));
    sandbox.git(&["config", "core.excludesFile", ""]);
    assert_eq!(ask(&[]).excludes_file, None);
    sandbox.git(&["config", "--unset", "core.excludesFile"]);
    std::fs::remove_file(home.join(".gitconfig")).unwrap();
    assert_eq!(ask(&[]).excludes_file, Some(home.join(".config/git/ignore")));
    assert_eq!(ask(&[("XDG_CONFIG_HOME", "/xdg")]).excludes_file, Some("/xdg/git/ignore".into()));
    let by_environment = [
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "core.excludesFile"),
        ("GIT_CONFIG_VALUE_0", "/env"),
    ];
    assert_eq!(ask(&by_environment).excludes_file, Some("/env".into()));
    assert!(!ask(&[]).ignore_case);
    sandbox.git(&["config", "core.ignoreCase", "yes"]);
    assert!(ask(&[]).ignore_case);
    // The modification of an included file or of a worktree's configuration is noticed, too.
    sandbox.git(&["config", "--unset", "core.ignoreCase"]);
    assert!(!ask(&[]).ignore_case);
    std::fs::write(home.join("more"), "[Core] IgnoreCase\n").unwrap();
    std::fs::write(home.join(".gitconfig"), "[include]\n\tpath = more\n").unwrap();
    assert!(ask(&[]).ignore_case);
    std::fs::remove_file(home.join(".gitconfig")).unwrap();
    sandbox.git(&["config", "extensions.worktreeConfig", "true"]);
    sandbox.git(&["config", "--worktree", "core.ignoreCase", "true"]);
    assert!(ask(&[]).ignore_case);
    let named = [("GIT_CONFIG_GLOBAL", "/dev/null")];
    assert_eq!(ask(&named).excludes_file, Some(home.join(".config/git/ignore")));
    // devrun works with a broken configuration and without git.
    std::fs::write(home.join(".gitconfig"), "[core\n").unwrap();
    assert_eq!(ask(&[]).excludes_file, Some(home.join(".config/git/ignore")));
    assert_eq!(ask(&[("PATH", "/nowhere")]).excludes_file, Some(home.join(".config/git/ignore")));
}

#[test]
fn paths_are_normalized_lexically() {
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", "/a/b\n");
    let rules = rules(&sandbox);
    for path in ["a/b", "a//b", "./a/b", "a/./b", "a/x/../b", "a/b/", "a/b/.", "x/../a/b/c"] {
        assert!(rules.is_ignored(&sandbox.path(path), EntryKind::File), "{path}");
        assert_eq!(rules.verdict(&sandbox.path(path), EntryKind::File).by.unwrap().line, 1, "{path}");
    }
    assert!(!rules.is_ignored(&sandbox.path("a/b/.."), EntryKind::Dir));
    assert!(!rules.is_ignored(Path::new("/"), EntryKind::Dir));
    assert!(!rules.is_ignored(Path::new("/.."), EntryKind::Dir));
    assert!(!rules.is_ignored(Path::new(""), EntryKind::Dir));
    assert!(!rules.is_ignored(Path::new("relative"), EntryKind::File));
}

#[test]
fn many_threads_query_while_rules_change() {
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", "*.out\n");
    let rules = rules(&sandbox);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (rules, sandbox) = (rules.clone(), &sandbox);
            scope.spawn(move || {
                for number in 0..2000 {
                    let dir = format!("d{thread}/e{}/f{number}", number % 7);
                    assert!(rules.is_ignored(&sandbox.path(format!("{dir}/a.out")), EntryKind::File));
                    assert!(!rules.is_ignored(&sandbox.path(format!("{dir}/a.rs")), EntryKind::File));
                }
            });
        }
        for number in 0..200 {
            sandbox.write("d0/.watchignore", format!("{number}\n"));
            rules.forget(&sandbox.path("d0"));
            rules.forget(sandbox.root());
        }
    });
    // After all races, the rules are equal to the rule files on disk.
    rules.forget(&sandbox.path("d0"));
    assert!(
        rules.is_ignored(&sandbox.path("d0/199"), EntryKind::File)
            && !rules.is_ignored(&sandbox.path("d0/198"), EntryKind::File)
    );
}
