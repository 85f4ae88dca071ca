//! Random changes in random order: at the end the snapshot equals the tree, and the last batch is newer than
//! the last change.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use devrun::change::ChangeKind;
use devrun::watch::{Event, Mode};

use crate::support::sandbox::{PATIENCE, Sandbox};
use crate::support::watch::{TestWatch, options};

/// A random number generator. The seed is enough to repeat a run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

fn seed() -> u64 {
    let seed = std::env::var("DEVRUN_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1;
    let seed = seed.unwrap_or_else(now);
    println!("DEVRUN_TEST_SEED={seed}");
    seed
}

/// Every file below a directory, with its content.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Performs one random change, or none if it is impossible.
fn deed(root: &Path, outside: &Path, dice: &mut Dice) {
    let dir = |dice: &mut Dice| {
        (0..dice.roll(4)).fold(root.to_owned(), |path, _| path.join(format!("d{}", dice.roll(3))))
    };
    let file = |dice: &mut Dice| dir(dice).join(format!("f{}", dice.roll(4)));
    let content = |dice: &mut Dice| format!("{}", dice.roll(3));
    let done = match dice.roll(12) {
        0..=3 => fs::write(file(dice), content(dice)),
        4 => fs::create_dir_all(dir(dice)),
        5 => {
            let deep = dir(dice).join("d0/d1/d2");
            let text = content(dice);
            fs::create_dir_all(&deep).and_then(|()| fs::write(deep.join("f0"), text))
        }
        6 => fs::remove_file(file(dice)),
        7 => {
            let gone = dir(dice);
            if gone == root { Ok(()) } else { fs::remove_dir_all(gone) }
        }
        8 => fs::rename(file(dice), file(dice)),
        9 => {
            let (from, to) = (dir(dice), dir(dice));
            if from == root || to == root { Ok(()) } else { fs::rename(from, to) }
        }
        10 => {
            let (from, away) = (dir(dice), outside.join(format!("away{}", dice.roll(2))));
            if from == root { Ok(()) } else { fs::rename(&from, &away).or_else(|_| fs::rename(&away, &from)) }
        }
        _ => fs::hard_link(file(dice), file(dice)),
    };
    drop(done);
}

/// Applies batches to a copy of the tree as it was reported, until the copy equals the tree.
fn converges(mode: Mode, seed: u64, deeds: usize) {
    let sandbox = Sandbox::new();
    let outside = sandbox.outside().join("away");
    fs::create_dir(&outside).unwrap();
    let mut dice = Dice(seed);
    for _ in 0..50 {
        deed(sandbox.root(), &outside, &mut dice);
    }
    let mut known: Vec<PathBuf> = files(sandbox.root()).into_keys().collect();
    let mut options = options(&sandbox, mode);
    options.poll_interval = Duration::from_millis(20);
    let mut watch = TestWatch::with(&sandbox, options);
    for number in 0..deeds {
        deed(sandbox.root(), &outside, &mut dice);
        if number % 100 == 0 {
            std::thread::yield_now();
        }
    }
    let last_write = Instant::now();
    sandbox.write("the-end", "1");
    let mut after = false;
    let deadline = Instant::now() + PATIENCE;
    let contents = loop {
        let Event::Changed(batch) = watch.event() else { continue };
        for change in &batch.changes {
            let at = known.binary_search(&change.path);
            match (change.kind, at) {
                (ChangeKind::Removed, Ok(at)) => drop(known.remove(at)),
                (ChangeKind::Created, Err(at)) => known.insert(at, change.path.clone()),
                (ChangeKind::Modified, Ok(_)) => {}
                (kind, at) => panic!("seed {seed}: {kind} {} but {at:?}", change.path.display()),
            }
            after |= change.path.ends_with("the-end");
        }
        assert!(Instant::now() < deadline, "seed {seed}: the snapshot never equals the tree");
        if after {
            assert!(batch.compared_at >= last_write, "seed {seed}");
            let contents = files(sandbox.root());
            if known.iter().eq(contents.keys()) && watch.inner.files() == known {
                break contents;
            }
        }
    };
    assert!(contents.keys().all(|path| watch.inner.knows(path)), "seed {seed}");
    assert_eq!(watch.inner.summary().files, contents.len(), "seed {seed}");
    // The watch still reports changes of every file.
    for (path, _) in contents {
        fs::write(&path, "checked").unwrap();
        let linked = std::os::unix::fs::MetadataExt::nlink(&fs::metadata(&path).unwrap()) > 1;
        if !linked {
            let deadline = Instant::now() + PATIENCE;
            while !watch.batch().changes.iter().any(|change| change.path == path) {
                assert!(Instant::now() < deadline, "seed {seed}: {} is not watched", path.display());
            }
        }
    }
    watch.stop();
}

#[test]
fn a_random_history_ends_in_the_same_tree_event_mode() {
    let seed = seed();
    (0..10).for_each(|round| converges(Mode::Event, seed.wrapping_add(round * 7919), 600));
}

#[test]
fn a_random_history_ends_in_the_same_tree_stat_mode() {
    let seed = seed();
    (0..5).for_each(|round| converges(Mode::Stat, seed.wrapping_add(round * 7919), 600));
}
