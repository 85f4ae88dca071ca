//! The table of cases, `tests/cases/rules/*.txt`: devrun and git must give its decisions.

use std::path::Path;

use devrun::rules::Rules;

use crate::support::git::{Decided, ask_git, ask_rules, git_is_new, git_rules};
use crate::support::sandbox::Sandbox;

/// One block of a file.
#[derive(Default)]
struct Case {
    place: String,
    what: String,
    content: Vec<u8>,
    since_2_52: bool,
    paths: Vec<(Vec<u8>, Said)>,
}

/// The deciding line, and whether it is negated.
type Said = Option<(u32, bool)>;

/// The bytes of a text in which `{{xx}}` stands for a byte.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((Ok(byte), behind)) =
            after.split_once("}}").map(|(hex, behind)| (u8::from_str_radix(hex, 16), behind))
        else {
            break;
        };
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(byte);
        rest = behind;
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn cases() -> Vec<Case> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/rules");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files.iter().flat_map(|file| cases_of(file)).collect()
}

fn cases_of(file: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut cases = vec![Case::default()];
    for (number, line) in text.lines().enumerate() {
        let case = cases.last_mut().unwrap();
        let place = format!("{}:{}", file.file_name().unwrap().to_string_lossy(), number + 1);
        if line.is_empty() {
            cases.push(Case::default());
        } else if let Some(what) = line.strip_prefix("# ") {
            (case.place, case.what) = (place, what.to_owned());
        } else if line == "since 2.52" {
            case.since_2_52 = true;
        } else if let Some(last) = line.strip_prefix("== ") {
            case.content.extend(bytes(last));
        } else if let Some(rule) = line.strip_prefix('=') {
            case.content.extend(bytes(rule.strip_prefix(' ').unwrap_or(rule)));
            case.content.push(b'\n');
        } else {
            let (verdict, path) =
                line.split_once(": ").unwrap_or_else(|| panic!("{place}: what is {line:?}?"));
            let decided = match verdict.split_once(' ') {
                Some(("ignored", number)) => Some((number.parse().unwrap(), false)),
                Some(("watched", number)) => Some((number.parse().unwrap(), true)),
                _ => {
                    assert_eq!(verdict, "none", "{place}");
                    None
                }
            };
            case.paths.push((bytes(path), decided));
        }
    }
    cases.retain(|case| !case.paths.is_empty());
    cases
}

#[test]
fn devrun_and_git_decide_as_the_table_does() {
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() > 60, "the table has its cases");
    let sandbox = Sandbox::new();
    sandbox.git(&["init", "-q"]);
    let new = git_is_new(&sandbox);
    // All cases are directories of one repository, so that one git process answers them all.
    let mut questions = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let dir = sandbox.path(format!("case{number}"));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(".gitignore"), &case.content).unwrap();
        for (path, expected) in &case.paths {
            let mut whole = format!("case{number}/").into_bytes();
            whole.extend_from_slice(path.strip_suffix(b"/").unwrap_or(path));
            if path.ends_with(b"/") {
                use std::os::unix::ffi::OsStrExt as _;
                std::fs::create_dir_all(sandbox.root().join(std::ffi::OsStr::from_bytes(&whole))).unwrap();
            }
            questions.push((case, whole, path, *expected));
        }
    }
    let paths: Vec<Vec<u8>> = questions.iter().map(|(_, whole, ..)| whole.clone()).collect();
    let rules = Rules::new(git_rules(sandbox.root())).unwrap();
    let short = |decided: Option<Decided>| decided.map(|by| (by.line, by.pattern.starts_with(b"!")));
    for ((case, whole, path, expected), git) in questions.iter().zip(ask_git(&sandbox, &paths)) {
        let own = ask_rules(&rules, sandbox.root(), whole);
        let texts_differ = git.is_some() && own.is_some() && git != own;
        let show = |who: &str, decided: Said| {
            format!(
                "{} ({}): {}: the table says {expected:?}, {who} {decided:?}",
                case.place,
                case.what,
                path.escape_ascii()
            )
        };
        if texts_differ {
            wrong.push(format!("{}: {}: {git:?} {own:?}", case.place, path.escape_ascii()));
        }
        let (own, git) = (short(own), short(git));
        if own != *expected {
            wrong.push(show("devrun", own));
        }
        if git != *expected && (new || !case.since_2_52) {
            wrong.push(show("git", git));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
