//! Each finding of `devrun check` has a case file with its rendered output: `tests/cases/lint/*.txt`.
//!
//! `DEVRUN_BLESS=1` writes the outputs again. Read the difference before you commit it.

use std::path::Path;

use crate::support::sandbox::Sandbox;

/// The content of a case file: `--- file NAME`, `--- huge NAME`, `--- git`, `--- run ARGS`, then the output.
struct Case {
    name: String,
    /// The text before the first output.
    setup: String,
    files: Vec<(String, Vec<u8>)>,
    /// Empty files of 200 MiB.
    huge: Vec<String>,
    tracked: bool,
    runs: Vec<String>,
}

/// The bytes of a text in which `{{xx}}` stands for a byte.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (hex, behind) = after.split_once("}}").unwrap();
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(hex, 16).unwrap());
        rest = behind;
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn case_of(path: &Path, text: &str) -> Case {
    let setup: String =
        text.lines().take_while(|line| !line.starts_with("=== ")).map(|line| format!("{line}\n")).collect();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut case = Case {
        name,
        setup: setup.clone(),
        files: Vec::new(),
        huge: Vec::new(),
        tracked: false,
        runs: Vec::new(),
    };
    for line in setup.lines() {
        if let Some(name) = line.strip_prefix("--- file ") {
            case.files.push((name.to_owned(), Vec::new()));
        } else if let Some(name) = line.strip_prefix("--- huge ") {
            case.huge.push(name.to_owned());
        } else if line == "--- git" {
            case.tracked = true;
        } else if let Some(arguments) = line.strip_prefix("--- run ") {
            case.runs.push(arguments.to_owned());
        } else if let Some((_, content)) = case.files.last_mut() {
            content.extend(bytes(line));
            content.push(b'\n');
        }
    }
    case
}

/// The text of the case file with the present output of each run.
fn play(case: &Case) -> String {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("sub")).unwrap();
    for (name, content) in &case.files {
        sandbox.write(name, content);
    }
    for name in &case.huge {
        let file = std::fs::File::create(sandbox.path(name)).unwrap();
        file.set_len(200 << 20).unwrap();
    }
    if case.tracked {
        sandbox.git(&["init", "-q"]);
        sandbox.git(&["add", "--force", "."]);
    }
    let mut text = case.setup.clone();
    for run in &case.runs {
        let mut command = sandbox.devrun();
        let output = command.args(run.split(' ')).env("COLUMNS", "100").output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        text.push_str(&format!("=== {run}: status {}\n{stdout}{stderr}", output.status.code().unwrap()));
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

#[test]
fn each_finding_is_rendered_as_in_its_case() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/lint");
    let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let bless = std::env::var_os("DEVRUN_BLESS").is_some();
    let mut wrong = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let case = case_of(file, &text);
        let now = play(&case);
        if bless {
            std::fs::write(file, &now).unwrap();
        } else if now != text {
            wrong.push(format!("{}:\n{now}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for id in devrun::rules::FindingId::ALL {
        assert!(files.contains(&dir.join(format!("{id}.txt"))), "{id} has no case");
    }
}

/// The structure that SARIF 2.1.0 requires (OASIS, sections 3.13 to 3.30), for a file with every kind of
/// finding.
#[test]
fn sarif_has_the_structure_of_its_schema() {
    let sandbox = Sandbox::new();
    sandbox.write("a dir/é/.watchignore", "a\nab[c\na\ncafé*é \n");
    sandbox.write("patch.orig", "");
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", "--force", "."]);
    let output = sandbox.devrun().args(["check", "--format", "sarif"]).output().unwrap();
    let log: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let levels = ["none", "note", "warning", "error"];
    for rule in rules {
        assert!(
            rule["id"].is_string() && rule["shortDescription"]["text"].as_str().unwrap().ends_with('.'),
            "{rule}"
        );
        assert!(levels.contains(&rule["defaultConfiguration"]["level"].as_str().unwrap()), "{rule}");
    }
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 4, "{log:#}");
    for result in results {
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        assert!(levels.contains(&result["level"].as_str().unwrap()));
        assert_eq!(rules[result["ruleIndex"].as_u64().unwrap() as usize]["id"], result["ruleId"]);
        for location in result["locations"].as_array().into_iter().flatten() {
            let place = &location["physicalLocation"];
            assert_eq!(place["artifactLocation"]["uri"], "a%20dir/%C3%A9/.watchignore");
            assert_eq!(place["artifactLocation"]["uriBaseId"], "%SRCROOT%");
            let column = |name: &str| place["region"][name].as_u64().unwrap();
            assert!(column("startLine") >= 1 && column("startColumn") >= 1);
            assert!(column("endColumn") > column("startColumn"));
        }
    }
    let trailing = results.iter().find(|result| result["ruleId"] == "trailing-space").unwrap();
    let region = &trailing["locations"][0]["physicalLocation"]["region"];
    assert_eq!(
        (region["startColumn"].as_u64(), region["endColumn"].as_u64()),
        (Some(7), Some(8)),
        "in characters"
    );
}

/// Runs the line of the pre-commit hook and of the action as these do: in a repository, with `devrun` in PATH.
#[test]
fn the_hook_and_the_action_check_a_repository() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(source.join(name)).unwrap();
    let (hook, action) = (read(".pre-commit-hooks.yaml"), read("action.yml"));
    let hook = hook.lines().find_map(|line| line.trim().strip_prefix("entry: ")).unwrap();
    let action = action.lines().find_map(|line| line.trim().strip_prefix("run: devrun ")).unwrap();
    for line in [hook.to_owned(), format!("devrun {action}")] {
        let sandbox = Sandbox::new();
        sandbox.write(".watchignore", "# devrun: allow hides-tracked-file\n/docs/\n");
        sandbox.write("docs/a.md", "");
        sandbox.git(&["init", "-q"]);
        sandbox.git(&["add", "."]);
        let run = |rules: &str| {
            sandbox.write(".watchignore", rules);
            let mut command = sandbox.command("bash");
            let devrun = Path::new(env!("CARGO_BIN_EXE_devrun")).parent().unwrap();
            let path = format!("{}:{}", devrun.display(), std::env::var("PATH").unwrap());
            command.env("PATH", path).env("ARGUMENTS", "--strict");
            command.args(["-c", &line]).output().unwrap()
        };
        let clean = run("# devrun: allow hides-tracked-file\n/docs/\n");
        assert_eq!(clean.status.code(), Some(0), "{line}: {clean:?}");
        let doubtful = run("*.{a,b}\n");
        assert_eq!(doubtful.status.code(), Some(1), "{line}: {doubtful:?}");
        assert!(String::from_utf8_lossy(&doubtful.stdout).contains("literal-brace"), "{doubtful:?}");
    }
}
