//! Compares the time to build and to match rules with the `ignore` crate: `cargo bench --bench rules`.
//!
//! The candidates take turns, so other load on the machine affects all of them. The output is the best of
//! several rounds, which is the one with the least noise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use devrun::rules::{EntryKind, Options, Rules};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

const PATHS: usize = 100_000;
const ROUNDS: usize = 7;

fn main() {
    println!("{PATHS} paths, best of {ROUNDS} rounds");
    for count in [50, 1000] {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        std::fs::write(top.join(".gitignore"), rule_set(count)).unwrap();
        let paths = paths(&top, count);
        build(&top, count);
        matching(&top, &paths, count);
    }
}

/// A pseudo-random number generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Rules in the proportions of real projects: names, extensions, anchored paths, some with wildcards.
fn rule_set(count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        let rule = match number % 10 {
            0 | 1 => format!("*.ext{number}"),
            2 | 3 => format!("name{number}"),
            4 => format!("dir{number}/"),
            5 => format!("/top{number}/sub"),
            6 => format!("/src/mod{}/*.gen{number}", number % 40),
            7 => format!("**/cache{number}/*.bin"),
            8 => format!("log{number}*.txt"),
            _ => format!("!keep{number}.ext{}", number / 2),
        };
        text.push_str(&rule);
        text.push('\n');
    }
    text
}

/// Paths of a tree that is partly ignored.
fn paths(top: &Path, count: usize) -> Vec<PathBuf> {
    let mut random = Random(1);
    let mut paths = Vec::with_capacity(PATHS);
    for number in 0..PATHS {
        let mut path = top.to_path_buf();
        for _ in 0..random.below(5) {
            path.push(match random.below(12) {
                0 => format!("dir{}", random.below(count)),
                1 => "src".to_owned(),
                2..=4 => format!("mod{}", random.below(40)),
                _ => format!("part{}", random.below(12)),
            });
        }
        path.push(match random.below(6) {
            0 => format!("file{number}.ext{}", random.below(count * 2)),
            1 => format!("log{}x.txt", random.below(count * 2)),
            2 => format!("name{}", random.below(count * 2)),
            _ => format!("file{number}.rs"),
        });
        paths.push(path);
    }
    paths
}

fn own(top: &Path) -> Rules {
    let mut options = Options::new(top);
    options.builtin = false;
    options.file_names.clear();
    Rules::new(options).unwrap()
}

fn peer(top: &Path) -> Gitignore {
    let mut builder = GitignoreBuilder::new(top);
    assert!(builder.add(top.join(".gitignore")).is_none());
    builder.build().unwrap()
}

/// Measures the time from the file to the first answer.
fn build(top: &Path, count: usize) {
    let first = top.join("a");
    let own = || black_box(own(top).is_ignored(&first, EntryKind::File));
    let peer = || black_box(peer(top).matched_path_or_any_parents(&first, false).is_ignore());
    let [own, peer] = rounds([
        &mut || {
            black_box(own());
        },
        &mut || {
            black_box(peer());
        },
    ]);
    println!(
        "{count:5} rules: build     devrun {:8.1} us   ignore {:8.1} us   {:.1} times as fast",
        micros(own),
        micros(peer),
        micros(peer) / micros(own)
    );
}

fn matching(top: &Path, paths: &[PathBuf], count: usize) {
    let (own, peer) = (own(top), peer(top));
    let own_count = || paths.iter().filter(|path| own.is_ignored(path, EntryKind::File)).count();
    let peer_count =
        || paths.iter().filter(|path| peer.matched_path_or_any_parents(path, false).is_ignore()).count();
    assert_eq!(own_count(), peer_count(), "both must ignore the same paths");
    let [own_time, peer_time] = rounds([
        &mut || {
            black_box(own_count());
        },
        &mut || {
            black_box(peer_count());
        },
    ]);
    let each = |time: Duration| time.as_secs_f64() * 1e9 / paths.len() as f64;
    println!(
        "{count:5} rules: match     devrun {:8.0} ns   ignore {:8.0} ns   {:.2} of its time   ({} ignored)",
        each(own_time),
        each(peer_time),
        each(own_time) / each(peer_time),
        own_count()
    );
    let explained = || paths.iter().filter(|path| own.verdict(path, EntryKind::File).is_ignored()).count();
    let [time] = rounds([&mut || {
        black_box(explained());
    }]);
    println!("{count:5} rules: explain   devrun {:8.0} ns", each(time));
}

/// Runs the candidates in turn. Returns the best time of each candidate.
fn rounds<const N: usize>(mut candidates: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let mut best = [Duration::MAX; N];
    for _ in 0..ROUNDS {
        for (candidate, best) in candidates.iter_mut().zip(&mut best) {
            let started = Instant::now();
            candidate();
            *best = started.elapsed().min(*best);
        }
    }
    best
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
