//! Roots and named files that are symbolic links. Their content counts, wherever the links lead.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use devrun::watch::{Mode, Options};

use crate::support::sandbox::Sandbox;
use crate::support::watch::{TestWatch, in_both, options};

/// The ways in which a file can be named.
#[derive(Clone, Copy, Debug)]
enum Named {
    /// As the only root, beside a directory for fences.
    Root,
    /// As a file that always counts, in the tree of another root.
    Always,
}

fn watch_of(sandbox: &Sandbox, mode: Mode, named: Named, paths: &[&str]) -> TestWatch {
    let mut options: Options = options(sandbox, mode);
    let paths = paths.iter().map(PathBuf::from);
    fs::create_dir_all(sandbox.path("beside")).unwrap();
    match named {
        Named::Root => options.roots = paths.chain([PathBuf::from("beside")]).collect(),
        Named::Always => options.always = paths.collect(),
    }
    TestWatch::with(sandbox, options)
}

fn in_each(test: impl Fn(Mode, Named) + Sync) {
    in_both(|mode| {
        for named in [Named::Root, Named::Always] {
            test(mode, named);
        }
    });
}

/// The changes so far. The fence is in a directory that every watch here has.
fn changes_until_fence(sandbox: &Sandbox, watch: &mut TestWatch, number: usize) -> Vec<Vec<String>> {
    let fence = format!("created beside/{number}");
    sandbox.write(format!("beside/{number}"), "1");
    let mut batches = Vec::new();
    loop {
        let changes = watch.changes();
        let is_fence = changes.contains(&fence);
        batches.push(changes.into_iter().filter(|change| *change != fence).collect::<Vec<_>>());
        if is_fence {
            batches.retain(|changes| !changes.is_empty());
            return batches;
        }
    }
}

fn replace(path: &Path, content: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, content).unwrap();
    fs::rename(beside, path).unwrap();
}

fn relink(target: impl AsRef<Path>, link: &Path) {
    let beside = link.parent().unwrap().join("new-link");
    symlink(target, &beside).unwrap();
    fs::rename(beside, link).unwrap();
}

#[test]
fn the_target_of_a_named_link_is_written_and_replaced() {
    in_each(|mode, named| {
        let sandbox = Sandbox::new();
        let target = sandbox.outside().join("shared/real.conf");
        fs::create_dir(target.parent().unwrap()).unwrap();
        fs::write(&target, "one").unwrap();
        symlink(&target, sandbox.path("app.conf")).unwrap();
        let mut watch = watch_of(&sandbox, mode, named, &["app.conf"]);
        fs::write(sandbox.path("app.conf"), "through the link").unwrap();
        assert_eq!(watch.changes(), ["changed app.conf"], "{mode:?} {named:?}");
        replace(&target, "replaced");
        assert_eq!(watch.changes(), ["changed app.conf"], "{mode:?} {named:?}");
        replace(&target, "replaced");
        fs::write(target.with_extension("other"), "beside the target").unwrap();
        assert!(changes_until_fence(&sandbox, &mut watch, 1).is_empty(), "{mode:?} {named:?}");
        fs::remove_file(&target).unwrap();
        assert_eq!(watch.changes(), ["removed app.conf"], "{mode:?} {named:?}");
        fs::write(&target, "back").unwrap();
        assert_eq!(watch.changes(), ["created app.conf"], "{mode:?} {named:?}");
        fs::write(&target, "and written").unwrap();
        assert_eq!(watch.changes(), ["changed app.conf"], "{mode:?} {named:?}");
        watch.stop();
    });
}

#[test]
fn a_named_link_is_replaced() {
    in_each(|mode, named| {
        let sandbox = Sandbox::new();
        let [one, other] = ["one", "other"].map(|name| sandbox.outside().join(name).join("conf"));
        for (target, content) in [(&one, "1"), (&other, "22")] {
            fs::create_dir(target.parent().unwrap()).unwrap();
            fs::write(target, content).unwrap();
        }
        symlink(&one, sandbox.path("app.conf")).unwrap();
        let mut watch = watch_of(&sandbox, mode, named, &["app.conf"]);
        relink(&other, &sandbox.path("app.conf"));
        assert_eq!(watch.changes(), ["changed app.conf"], "{mode:?} {named:?}");
        fs::write(&other, "333").unwrap();
        assert_eq!(watch.changes(), ["changed app.conf"], "{mode:?} {named:?}");
        // The old target does not count any more.
        fs::write(&one, "333").unwrap();
        relink(&one, &sandbox.path("app.conf"));
        assert!(changes_until_fence(&sandbox, &mut watch, 1).is_empty(), "{mode:?} {named:?}");
        fs::write(&one, "4444").unwrap();
        assert_eq!(watch.changes(), ["changed app.conf"], "{mode:?} {named:?}");
        // A file replaces the link, and a link replaces the file.
        replace(&sandbox.path("app.conf"), "a file");
        assert_eq!(watch.changes(), ["changed app.conf"], "{mode:?} {named:?}");
        relink(&other, &sandbox.path("app.conf"));
        assert_eq!(watch.changes(), ["changed app.conf"], "{mode:?} {named:?}");
        fs::write(&other, "55555").unwrap();
        assert_eq!(watch.changes(), ["changed app.conf"], "{mode:?} {named:?}");
        watch.stop();
    });
}

#[test]
fn the_data_directory_of_a_config_map_is_swapped() {
    in_each(|mode, named| {
        let sandbox = Sandbox::new();
        let volume = sandbox.outside().join("volume");
        let version = |number: usize, content: &str| {
            let dir = volume.join(format!("..2024_{number}"));
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("app.conf"), content).unwrap();
            relink(dir.file_name().unwrap(), &volume.join("..data"));
            let _ = fs::remove_dir_all(volume.join(format!("..2024_{}", number.wrapping_sub(1))));
        };
        version(0, "one");
        symlink("..data/app.conf", volume.join("app.conf")).unwrap();
        let name = volume.join("app.conf").display().to_string();
        let mut watch = watch_of(&sandbox, mode, named, &[&name]);
        for number in 1..5 {
            version(number, &format!("version {number}"));
            assert_eq!(watch.changes(), [format!("changed {name}")], "{mode:?} {named:?} {number}");
            fs::write(volume.join("app.conf"), format!("written {number}")).unwrap();
            assert_eq!(watch.changes(), [format!("changed {name}")], "{mode:?} {named:?} {number}");
        }
        // Another file of the map has changed.
        version(5, "written 4");
        assert!(changes_until_fence(&sandbox, &mut watch, 1).is_empty(), "{mode:?} {named:?}");
        version(6, "version 6");
        assert_eq!(watch.changes(), [format!("changed {name}")], "{mode:?} {named:?}");
        watch.stop();
    });
}

#[test]
fn each_link_of_a_chain_counts() {
    in_each(|mode, named| {
        let sandbox = Sandbox::new();
        let at = |path: &str| sandbox.outside().join(path);
        for path in ["a/1", "b/1", "c/1/deep", "c/2/deep"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        fs::write(at("c/1/deep/conf"), "1").unwrap();
        fs::write(at("c/2/deep/conf"), "22").unwrap();
        fs::write(at("b/1/other"), "333").unwrap();
        symlink(at("c/1"), at("c/now")).unwrap();
        symlink("../../c/now/deep/conf", at("b/1/two")).unwrap();
        symlink(at("b/1/two"), at("a/1/one")).unwrap();
        symlink("../a/1/../1/one", sandbox.path(".env")).unwrap();
        let mut watch = watch_of(&sandbox, mode, named, &[".env"]);
        let steps: [&dyn Fn(); 6] = [
            &|| fs::write(at("c/1/deep/conf"), "4444").unwrap(),
            &|| relink(at("c/2"), &at("c/now")),
            &|| relink(at("b/1/other"), &at("a/1/one")),
            &|| relink("two", &at("b/1/other")),
            &|| fs::write(at("c/2/deep/conf"), "55555").unwrap(),
            &|| replace(&at("c/2/deep/conf"), "666666"),
        ];
        for (number, step) in steps.iter().enumerate() {
            step();
            assert_eq!(watch.changes(), ["changed .env"], "{mode:?} {named:?} {number}");
        }
        watch.stop();
    });
}

#[test]
fn a_named_link_leads_nowhere_at_first() {
    in_each(|mode, named| {
        let sandbox = Sandbox::new();
        symlink("../not/yet/there", sandbox.path(".env")).unwrap();
        let mut watch = watch_of(&sandbox, mode, named, &[".env"]);
        for round in 0..3 {
            let target = sandbox.outside().join("not/yet/there");
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(&target, "1").unwrap();
            watch.wait_for(&["created .env"]);
            fs::write(&target, format!("round {round}")).unwrap();
            watch.wait_for(&["changed .env"]);
            fs::remove_dir_all(sandbox.outside().join("not")).unwrap();
            watch.wait_for(&["removed .env"]);
        }
        watch.stop();
    });
}

#[test]
fn a_link_and_its_target_are_both_named() {
    in_each(|mode, named| {
        for target in ["real.conf", "conf/real.conf", "../real.conf"] {
            let sandbox = Sandbox::new();
            let real = sandbox.write(target, "1").canonicalize().unwrap();
            symlink(target, sandbox.path("app.conf")).unwrap();
            let real_name = real.strip_prefix(sandbox.root()).unwrap_or(&real).display().to_string();
            let expected = [format!("changed {real_name}"), "changed app.conf".to_owned()];
            let mut watch = watch_of(&sandbox, mode, named, &["app.conf", target]);
            for round in 0..3 {
                // On a busy machine, the two may come in two batches.
                fs::write(&real, format!("round {round}")).unwrap();
                watch.wait_for(&expected.each_ref().map(String::as_str));
                replace(&real, &format!("replaced in round {round}"));
                watch.wait_for(&expected.each_ref().map(String::as_str));
            }
            watch.stop();
        }
    });
}
