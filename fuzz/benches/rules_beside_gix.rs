//! Compares the time to build and to match rules with `gix-ignore`: `cargo bench --manifest-path
//! fuzz/Cargo.toml`.
//!
//! This benchmark is in the fuzz package, so that devrun's own tests need not build gix. The candidates take
//! turns, and the output is the best of several rounds.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bstr::ByteSlice as _;
use devrun::rules::{EntryKind, Options, Rules};
use gix_ignore::search::Ignore;
use gix_ignore::{Kind, Search};

const PATHS: usize = 100_000;
const ROUNDS: usize = 5;

fn main() {
    println!("{PATHS} paths, best of {ROUNDS} rounds");
    for count in [50, 1000] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let top = dir.path().canonicalize().expect("the directory exists");
        let text = rule_set(count);
        std::fs::write(top.join(".gitignore"), &text).expect("write the rules");
        let paths: Vec<PathBuf> = relative_paths(count);
        let full: Vec<PathBuf> = paths.iter().map(|path| top.join(path)).collect();
        let (own, peer) = (own(&top), gix(&text));
        let own_count = || full.iter().filter(|path| own.is_ignored(path, EntryKind::File)).count();
        let peer_count = || paths.iter().filter(|path| gix_ignores(&peer, path)).count();
        assert_eq!(own_count(), peer_count(), "both must ignore the same paths");
        let [own_build, peer_build, own_match, peer_match] = rounds([
            &mut || {
                black_box(self::own(&top).is_ignored(&full[0], EntryKind::File));
            },
            &mut || {
                black_box(gix(&text));
            },
            &mut || {
                black_box(own_count());
            },
            &mut || {
                black_box(peer_count());
            },
        ]);
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let each = |time: Duration| time.as_secs_f64() * 1e9 / PATHS as f64;
        println!("{count:5} rules: build  devrun {:8.1} us   gix {:8.1} us", micros(own_build), micros(peer_build));
        println!("{count:5} rules: match  devrun {:8.0} ns   gix {:8.0} ns", each(own_match), each(peer_match));
    }
}

fn own(top: &Path) -> Rules {
    let mut options = Options::new(top);
    options.builtin = false;
    options.file_names.clear();
    Rules::new(options).expect("an existing directory")
}

fn gix(text: &str) -> Search {
    let mut search = Search::default();
    search.add_patterns_buffer(text.as_bytes(), ".gitignore", None, Ignore::default()).expect("rules that parse");
    search
}

/// Checks the parents of a path from the top down, because `Search` alone does not.
fn gix_ignores(search: &Search, path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| (at, true));
    for (end, is_dir) in ends.chain([(bytes.len(), false)]) {
        let case = gix_glob::pattern::Case::Sensitive;
        let found = search.pattern_matching_relative_path(bytes[..end].as_bstr(), Some(is_dir), case);
        if found.is_some_and(|found| found.kind == Kind::Expendable && !found.pattern.is_negative()) {
            return true;
        }
    }
    false
}

/// A pseudo-random number generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// The same rules as in benches/rules.rs.
fn rule_set(count: usize) -> String {
    let rule = |number: usize| match number % 10 {
        0 | 1 => format!("*.ext{number}\n"),
        2 | 3 => format!("name{number}\n"),
        4 => format!("dir{number}/\n"),
        5 => format!("/top{number}/sub\n"),
        6 => format!("/src/mod{}/*.gen{number}\n", number % 40),
        7 => format!("**/cache{number}/*.bin\n"),
        8 => format!("log{number}*.txt\n"),
        _ => format!("!keep{number}.ext{}\n", number / 2),
    };
    (0..count).map(rule).collect()
}

fn relative_paths(count: usize) -> Vec<PathBuf> {
    let mut random = Random(1);
    let mut one = |number: usize| {
        let mut path = PathBuf::new();
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
        path
    };
    (0..PATHS).map(&mut one).collect()
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
