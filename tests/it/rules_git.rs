//! Random hostile rules and trees: devrun and the installed git say the same of every path.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use devrun::rules::Rules;

use crate::oracle::{ask_git, ask_rules, git_is_new, git_rules};
use crate::sandbox::Sandbox;

/// A small generator of numbers, the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((number ^ number >> 31) % sides as u64) as usize
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }
}

const LETTERS: &[&[u8]] = &[
    b"a",
    b"b",
    b"c",
    b"a",
    b"b",
    b"ab",
    b"B",
    b".",
    b"-",
    b"_",
    b"]",
    b"{",
    b"}",
    b",",
    b"a.b",
    b"~",
    b"#",
    b"!",
    b" ",
    b"\t",
    b"\xe9",
    b"\xff",
    b"\xc3\xa9",
    b":",
    b"^",
    b"0",
    b"9",
    b"z",
    b"\r",
    b"\x01",
];

const SET_PARTS: &[&[u8]] = &[
    b"a",
    b"b",
    b"c",
    b"-",
    b"a-c",
    b"b-z",
    b"]",
    b"\\]",
    b"\\-",
    b"\\a",
    b"[:alpha:]",
    b"[:digit:]",
    b"[:upper:]",
    b"[:space:]",
    b"[:punct:]",
    b"[:print:]",
    b"[:cntrl:]",
    b"[:xdigit:]",
    b"[:word:]",
    b"[:",
    b"[:ab",
    b"[:]",
    b"[",
    b"/",
    b"!",
    b"^",
    b"z-a",
    b",-0",
    b".-a",
    b"\xe0-\xff",
    b"\xe9",
    b"\\\\",
    b"*",
    b"?",
    b"a-\\c",
    b"--b",
    b" ",
];

const WILD: &[&[u8]] = &[
    b"*", b"*", b"*", b"**", b"***", b"?", b"**/", b"/**", b"/**/", b"/", b"/", b"\\*", b"\\?", b"\\a",
    b"\\\\", b"\\/", b"\\ ", b"\\#", b"\\!", b"[a", b"*.",
];

fn pattern(dice: &mut Dice) -> Vec<u8> {
    let mut text = Vec::new();
    if dice.one_in(4) {
        text.push(b'!');
    }
    if dice.one_in(6) {
        text.push(b'/');
    }
    for _ in 0..dice.roll(5) + usize::from(!dice.one_in(20)) {
        match dice.roll(8) {
            0..=3 => text.extend_from_slice(dice.pick(LETTERS)),
            4..=5 => text.extend_from_slice(dice.pick(WILD)),
            6 => set(dice, &mut text),
            _ => text.push(b'/'),
        }
    }
    if dice.one_in(5) {
        text.push(b'/');
    }
    text
}

fn set(dice: &mut Dice, text: &mut Vec<u8>) {
    text.push(b'[');
    if dice.one_in(3) {
        text.extend_from_slice(dice.pick(&[b"!".as_slice(), b"^"]));
    }
    for _ in 0..dice.roll(4) {
        text.extend_from_slice(dice.pick(SET_PARTS));
    }
    if !dice.one_in(8) {
        text.push(b']');
    }
}

/// A line of an ignore file, with what may stand around a pattern.
fn line(dice: &mut Dice) -> Vec<u8> {
    let mut text = match dice.roll(30) {
        0 => Vec::new(),
        1 => b"#".to_vec(),
        2 => b"\xef\xbb\xbf".to_vec(),
        3 => b" ".to_vec(),
        _ => Vec::new(),
    };
    text.extend(pattern(dice));
    text.extend_from_slice(match dice.roll(30) {
        0 => b" ".as_slice(),
        1 => b"  ",
        2 => b"\t",
        3 => b"\\ ",
        4 => b"\\  ",
        5 => b"\r",
        6 => b" \r",
        7 => b"\0",
        8 => b"\0x",
        9 => b" \\",
        _ => b"",
    });
    text
}

/// Whether git before 2.52 reads the line otherwise: two stars right behind a literal start of a path pattern.
fn is_read_anew(line: &[u8]) -> bool {
    let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let text = text.strip_prefix(b"!").unwrap_or(text);
    let text = text.strip_prefix(b"/").unwrap_or(text);
    let literal = text.iter().take_while(|byte| !b"*?[\\".contains(byte)).count();
    literal > 0 && text[literal..].starts_with(b"**") && text[literal - 1] != b'/'
}

/// A name that the patterns may well match: one of them with its wildcards filled in, or letters.
fn name(dice: &mut Dice, lines: &[Vec<u8>]) -> Vec<u8> {
    let mut name = Vec::new();
    if !lines.is_empty() && dice.roll(3) > 0 {
        let line = dice.roll(lines.len());
        fill_in(dice, &lines[line], &mut name);
    } else {
        for _ in 0..=dice.roll(3) {
            name.extend_from_slice(dice.pick(LETTERS));
        }
    }
    name
}

fn fill_in(dice: &mut Dice, line: &[u8], path: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(byte) = line.get(at) {
        at += 1;
        match byte {
            b'!' if at == 1 => {}
            b'*' => (0..dice.roll(3)).for_each(|_| path.extend_from_slice(dice.pick(LETTERS))),
            b'?' => path.extend_from_slice(dice.pick(LETTERS)),
            b'\\' if !dice.one_in(4) => {}
            b'[' if !dice.one_in(4) => {
                let members = line[at..].iter().take_while(|byte| **byte != b']').count();
                if members > 0 {
                    path.push(line[at + dice.roll(members)]);
                }
                at += members + 1;
            }
            b'\0' | b'\n' => break,
            byte => path.push(*byte),
        }
    }
}

/// A relative path without components that no path has.
fn path(dice: &mut Dice, lines: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut path = name(dice, lines);
    for _ in 0..dice.roll(4) {
        path.push(b'/');
        path.extend(name(dice, lines));
    }
    let parts: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"." | b".." | b".git" | b".gitignore") && !part.contains(&0))
        .take(9)
        .collect();
    (!parts.is_empty()).then(|| parts.join(&b'/'))
}

/// One tree with rule files: writes it below `prefix` and gives the paths to ask about.
fn plant(dice: &mut Dice, sandbox: &Sandbox, prefix: &[u8], new: bool) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = (0..dice.roll(8) + 1).map(|_| line(dice)).collect();
    lines.retain(|line| new || !is_read_anew(line));
    let mut paths: Vec<Vec<u8>> = (0..300).filter_map(|_| path(dice, &lines)).collect();
    let full = |path: &[u8]| sandbox.root().join(OsStr::from_bytes(prefix)).join(OsStr::from_bytes(path));
    for path in &paths {
        if dice.one_in(12) {
            let _ = std::fs::create_dir_all(full(path));
        }
    }
    let top = full(b"");
    std::fs::create_dir_all(&top).unwrap();
    let mut content = lines.join(&b'\n');
    content.extend_from_slice(if dice.one_in(3) { b"" } else { b"\n" });
    std::fs::write(top.join(".gitignore"), content).unwrap();
    for number in 0..5 {
        let chosen = dice.roll(paths.len());
        let dir = full(&paths[chosen]);
        if dir.is_dir() {
            let nested: Vec<Vec<u8>> =
                (0..=number).map(|_| line(dice)).filter(|line| new || !is_read_anew(line)).collect();
            std::fs::write(dir.join(".gitignore"), nested.join(&b'\n')).unwrap();
        }
    }
    for path in &mut paths {
        let mut whole = prefix.to_vec();
        if !whole.is_empty() {
            whole.push(b'/');
        }
        whole.append(path);
        *path = whole;
    }
    paths
}

/// Asks both about the paths; panics with the first few differences.
fn compare(sandbox: &Sandbox, paths: &[Vec<u8>], what: &str) {
    let rules = Rules::new(git_rules(sandbox.root())).unwrap();
    let mut differences = Vec::new();
    for (path, git) in paths.iter().zip(ask_git(sandbox, paths)) {
        let own = ask_rules(&rules, sandbox.root(), path);
        if own != git {
            let show = |decided: Option<crate::oracle::Decided>| {
                decided.map_or("no rule".to_owned(), |by| by.to_string())
            };
            differences.push(format!("{}: git {}, devrun {}", path.escape_ascii(), show(git), show(own)));
        }
    }
    assert!(
        differences.is_empty(),
        "{what}: {} of {} paths differ:\n{}",
        differences.len(),
        paths.len(),
        differences[..differences.len().min(20)].join("\n")
    );
}

#[test]
fn a_hundred_thousand_hostile_paths_are_decided_as_git_decides() {
    let seed =
        std::env::var("DEVRUN_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_124);
    println!("DEVRUN_TEST_SEED={seed}");
    let mut dice = Dice(seed);
    let sandbox = Sandbox::new();
    sandbox.git(&["init", "-q"]);
    let new = git_is_new(&sandbox);
    let mut paths = Vec::new();
    for case in 0.. {
        paths.extend(plant(&mut dice, &sandbox, format!("case{case}").as_bytes(), new));
        if paths.len() >= 100_000 {
            break;
        }
    }
    compare(&sandbox, &paths, &format!("seed {seed}"));
}

#[test]
fn rules_at_the_top_are_decided_as_git_decides() {
    let seed = 7;
    let mut dice = Dice(seed);
    for case in 0..20 {
        let sandbox = Sandbox::new();
        sandbox.git(&["init", "-q"]);
        let new = git_is_new(&sandbox);
        let paths = plant(&mut dice, &sandbox, b"", new);
        compare(&sandbox, &paths, &format!("seed {seed}, case {case}"));
    }
}
