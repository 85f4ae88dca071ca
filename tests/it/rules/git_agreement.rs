//! Random hostile rules and trees, on which devrun and the installed git must agree.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use devrun::rules::{EntryKind, Options, Rules};

#[cfg(feature = "cli")]
use crate::support::git::ask_git;
use crate::support::git::{Decided, ask_git_in, ask_rules, git_is_new, git_rules};
use crate::support::sandbox::Sandbox;

/// A random number generator with the same numbers on every machine.
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

/// A line of an ignore file: a pattern with comments, blanks or a negation around it.
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

/// Whether git before 2.52 reads the line in another way: two stars right after the literal start of a path
/// pattern.
fn needs_new_git(line: &[u8]) -> bool {
    let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let text = text.strip_prefix(b"!").unwrap_or(text);
    let text = text.strip_prefix(b"/").unwrap_or(text);
    let literal = text.iter().take_while(|byte| !b"*?[\\".contains(byte)).count();
    literal > 0 && text[literal..].starts_with(b"**") && text[literal - 1] != b'/'
}

/// A name that the patterns may match: letters, or a pattern with its wildcards filled in.
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

/// A relative path without components that no path can have.
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

/// Writes a tree with rule files below `prefix`, and returns the paths to compare.
fn plant(dice: &mut Dice, sandbox: &Sandbox, prefix: &[u8], new: bool) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = (0..dice.roll(8) + 1).map(|_| line(dice)).collect();
    lines.retain(|line| new || !needs_new_git(line));
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
                (0..=number).map(|_| line(dice)).filter(|line| new || !needs_new_git(line)).collect();
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

/// Compares both decisions on each path. Panics with the first differences.
fn compare(sandbox: &Sandbox, options: Options, config: &[&str], paths: &[Vec<u8>], what: &str) {
    let rules = Rules::new(options).unwrap();
    let mut differences = Vec::new();
    for (path, git) in paths.iter().zip(ask_git_in(sandbox, sandbox.root(), config, paths)) {
        let own = ask_rules(&rules, sandbox.root(), path);
        if own != git {
            let show = |decided: Option<Decided>| decided.map_or("no rule".to_owned(), |by| by.to_string());
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

fn repository() -> (Sandbox, bool) {
    let sandbox = Sandbox::new();
    sandbox.git(&["init", "-q"]);
    let new = git_is_new(&sandbox);
    (sandbox, new)
}

/// The seed of a run. `DEVRUN_TEST_SEED` sets another seed.
fn seed() -> u64 {
    let seed =
        std::env::var("DEVRUN_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_124);
    println!("DEVRUN_TEST_SEED={seed}");
    seed
}

#[test]
fn a_hundred_thousand_hostile_paths_are_decided_as_git_decides() {
    let seed = seed();
    let mut dice = Dice(seed);
    let (sandbox, new) = repository();
    let mut paths = Vec::new();
    for case in 0.. {
        paths.extend(plant(&mut dice, &sandbox, format!("case{case}").as_bytes(), new));
        if paths.len() >= 100_000 {
            break;
        }
    }
    compare(&sandbox, git_rules(sandbox.root()), &[], &paths, &format!("seed {seed}"));
}

#[test]
fn rules_at_the_top_are_decided_as_git_decides() {
    let seed = seed();
    let mut dice = Dice(seed);
    for case in 0..20 {
        let (sandbox, new) = repository();
        let paths = plant(&mut dice, &sandbox, b"", new);
        compare(&sandbox, git_rules(sandbox.root()), &[], &paths, &format!("seed {seed}, case {case}"));
    }
}

#[test]
fn paths_without_regard_to_case_are_decided_as_git_decides() {
    let seed = seed();
    let mut dice = Dice(seed ^ 1);
    let (sandbox, new) = repository();
    let mut paths: Vec<Vec<u8>> =
        (0..40).flat_map(|case| plant(&mut dice, &sandbox, format!("case{case}").as_bytes(), new)).collect();
    for path in paths.iter_mut().skip(1).step_by(2) {
        // The last component has another case than on disk. Directories keep their names, so that their rule
        // files are read.
        let name = path.iter().rposition(|byte| *byte == b'/').unwrap() + 1;
        path[name..].iter_mut().for_each(|byte| *byte ^= if byte.is_ascii_alphabetic() { 0x20 } else { 0 });
    }
    let mut options = git_rules(sandbox.root());
    options.git.ignore_case = true;
    compare(&sandbox, options, &["core.ignoreCase=true"], &paths, &format!("seed {seed}"));
}

#[test]
fn all_of_gits_layers_together_are_decided_as_git_decides() {
    let seed = seed();
    let mut dice = Dice(seed ^ 2);
    for case in 0..12 {
        let (sandbox, new) = repository();
        let mut lines = |count: usize| {
            let lines = (0..count).map(|_| line(&mut dice)).filter(|line| new || !needs_new_git(line));
            lines.collect::<Vec<_>>().join(&b'\n')
        };
        sandbox.write(".git/info/exclude", lines(6));
        let global = sandbox.outside().join("global");
        std::fs::write(&global, lines(6)).unwrap();
        let paths = plant(&mut dice, &sandbox, b"", new);
        let mut options = git_rules(sandbox.root());
        options.git.excludes_file = Some(global.clone());
        let config = format!("core.excludesFile={}", global.display());
        compare(&sandbox, options, &[&config], &paths, &format!("seed {seed}, case {case}"));
    }
}

#[test]
fn rule_sets_of_real_projects_are_decided_as_git_decides() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/rules/projects");
    let seed = seed();
    let mut dice = Dice(seed ^ 3);
    for entry in std::fs::read_dir(dir).unwrap() {
        let file = entry.unwrap().path();
        let content = std::fs::read(&file).unwrap();
        let lines: Vec<Vec<u8>> = content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let (sandbox, _) = repository();
        let mut paths: Vec<Vec<u8>> = (0..1500).filter_map(|_| path(&mut dice, &lines)).collect();
        // Each rule alone: as a file, as a directory, and as the parent of a file.
        for line in lines.iter().filter(|line| !line.is_empty() && !line.starts_with(b"#")) {
            let mut name = Vec::new();
            fill_in(&mut dice, line, &mut name);
            let parts: Vec<&[u8]> =
                name.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
            let name = parts.join(&b'/');
            paths.extend([
                name.clone(),
                [b"sub/".as_slice(), &name].concat(),
                [&name, b"/file.txt".as_slice()].concat(),
            ]);
            if dice.one_in(2) {
                let _ = std::fs::create_dir_all(sandbox.root().join(OsStr::from_bytes(&name)));
            }
        }
        std::fs::write(sandbox.root().join(".gitignore"), content).unwrap();
        paths.retain(|path| !path.is_empty());
        compare(
            &sandbox,
            git_rules(sandbox.root()),
            &[],
            &paths,
            &format!("seed {seed}, {}", file.display()),
        );
    }
}

/// More directories than git can descend. Only the verdict is compared, because git before about 2.50 fails
/// with more than 24 rule lists.
#[test]
fn deep_directories_are_decided_as_git_decides() {
    let (sandbox, _) = repository();
    sandbox.write(".gitignore", "deep/**/x\n!**/keep\n*.log\n");
    let mut dir = String::from("deep");
    let mut paths = Vec::new();
    for depth in 0..20 {
        dir.push_str(&format!("/d{depth}"));
        paths.extend(["x", "keep", "a.log", "y"].map(|name| format!("{dir}/{name}").into_bytes()));
    }
    std::fs::create_dir_all(sandbox.path(&dir)).unwrap();
    sandbox.write(format!("{dir}/.gitignore"), "!a.log\n");
    compare(&sandbox, git_rules(sandbox.root()), &[], &paths, "deep");
    let rules = Rules::new(git_rules(sandbox.root())).unwrap();
    let endless = sandbox.root().join(vec!["d"; 5_000].join("/"));
    assert!(rules.is_ignored(&endless.join("a.log"), EntryKind::File));
    assert!(!rules.is_ignored(&endless.join("a"), EntryKind::File));
}

/// proptest shrinks to the smallest rule and path that differ. One git process answers a whole case.
#[test]
fn any_rule_and_path_are_decided_as_git_decides() {
    use proptest::prelude::*;
    let (sandbox, new) = repository();
    let byte = prop_oneof![4 => proptest::sample::select(b"ab*?[]!^-\\/.: #{},".to_vec()), 1 => 1_u8..=255];
    let rule = proptest::collection::vec(byte.clone(), 0..10);
    let rules = proptest::collection::vec(rule, 1..4);
    let path = proptest::collection::vec(byte, 1..8);
    let paths = proptest::collection::vec(path, 1..60);
    let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(rules in rules, paths in paths)| {
        let rules: Vec<Vec<u8>> = rules.into_iter().filter(|rule| new || !needs_new_git(rule)).collect();
        std::fs::write(sandbox.root().join(".gitignore"), rules.join(&b'\n')).unwrap();
        let clean = |path: &Vec<u8>| {
            let parts: Vec<&[u8]> =
                path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"." | b"..")).collect();
            parts.join(&b'/')
        };
        let paths: Vec<Vec<u8>> = paths.iter().map(clean).filter(|path| !path.is_empty()).collect();
        if !paths.is_empty() {
            compare(&sandbox, git_rules(sandbox.root()), &[], &paths, "proptest");
        }
    });
}

/// The program with `--stdin`: verdict, source, line and pattern of each path.
#[cfg(feature = "cli")]
#[test]
fn explain_decides_as_git_decides() {
    use std::io::Write as _;
    let seed = seed();
    let mut dice = Dice(seed ^ 4);
    let (sandbox, new) = repository();
    let paths: Vec<Vec<u8>> =
        (0..20).flat_map(|case| plant(&mut dice, &sandbox, format!("case{case}").as_bytes(), new)).collect();
    let mut command = sandbox.devrun();
    command.args(["explain", "--stdin", "-z", "--format", "json", "--no-default-ignore"]);
    let piped = std::process::Stdio::piped;
    let mut devrun = command.stdin(piped()).stdout(piped()).spawn().unwrap();
    let mut stdin = devrun.stdin.take().unwrap();
    let input: Vec<u8> = paths.iter().flat_map(|path| [path.as_slice(), b"\0"].concat()).collect();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = devrun.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let answers: Vec<serde_json::Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    assert_eq!(answers.len(), paths.len());
    for ((path, git), answer) in paths.iter().zip(ask_git(&sandbox, &paths)).zip(answers) {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let negated = |by: &Decided| by.pattern.starts_with(b"!");
        let expected = git.as_ref().map(|by| (lossy(&by.source), u64::from(by.line), lossy(&by.pattern)));
        let rule = &answer["rule"];
        let own = rule.as_object().map(|rule| {
            let text = |key: &str| rule[key].as_str().unwrap().to_owned();
            (text("source"), rule["line"].as_u64().unwrap(), text("pattern"))
        });
        assert_eq!(own, expected, "{}", path.escape_ascii());
        assert_eq!(answer["path"], lossy(path));
        assert_eq!(answer["ignored"], git.is_some_and(|by| !negated(&by)), "{}", path.escape_ascii());
        assert_eq!(answer["path_b64"].is_string(), std::str::from_utf8(path).is_err());
    }
}
