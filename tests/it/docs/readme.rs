//! README.md and docs/: the options exist, the links have targets, and the output is real.

use std::path::Path;

use crate::docs::blocks::pages;
use crate::support::process::TestProcess;
use crate::support::sandbox::Sandbox;

#[test]
fn every_option_in_a_table_exists() {
    let sandbox = Sandbox::new();
    let help = sandbox.devrun().arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `-"));
    for row in rows {
        let option = format!("-{}", row.split([' ', '`', '[', '=']).next().unwrap());
        let known = help.lines().any(|line| {
            let line = line.trim_start();
            line.split([' ', ',', '=', '[']).take(3).any(|word| word == option)
        });
        assert!(known, "{option} is in README.md and not in --help");
    }
}

/// devrun is in no registry, and `devrun` on npm is another project.
#[test]
fn no_page_installs_devrun_from_a_registry() {
    let local = [
        ("cargo install", &["--path", "--git"][..]),
        ("pip install", &["--no-index"]),
        ("npm install", &[".tgz"]),
        ("npx devrun", &[]),
        ("uvx devrun", &[]),
    ];
    let mut count = 0;
    for (file, page) in pages() {
        for (installer, local) in local {
            for rest in page.split(installer).skip(1) {
                let line = rest.split(['`', '\n']).next().unwrap();
                let is_local = local.iter().any(|word| line.contains(word));
                assert!(is_local, "{}: {installer}{line}: devrun is not published", file.display());
                count += 1;
            }
        }
    }
    assert!(count >= 5, "{count} commands");
}

#[test]
fn every_link_has_a_target() {
    for (file, page) in pages() {
        for part in page.split("](").skip(1) {
            let target = part.split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            let (name, heading) = target.split_once('#').unwrap_or((target, ""));
            let other = if name.is_empty() { file.clone() } else { file.parent().unwrap().join(name) };
            assert!(other.exists(), "{}: {target} does not exist", file.display());
            let is_there = || headings(&std::fs::read_to_string(&other).unwrap()).any(|one| one == heading);
            assert!(heading.is_empty() || is_there(), "{}: {target} names no heading", file.display());
        }
    }
}

/// The anchors of a page's headings.
fn headings(page: &str) -> impl Iterator<Item = String> {
    let titles =
        page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let name = |title: &str| title.to_lowercase().replace(' ', "-");
    titles
        .map(move |title| name(title).replace(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_'), ""))
}

/// Each line under "What you see" comes from a real run in that project.
#[test]
fn the_output_shown_is_real() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let shown = readme.split("tests/it/docs/readme.rs. -->").nth(1).unwrap();
    let shown = shown.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let sandbox = Sandbox::new();
    sandbox.write(".watchignore", "/downloads/\n");
    sandbox.write("src/app.sh", "sleep 1000");
    let mut running = TestProcess::start(sandbox.devrun().args(["-m", "event", "--", "sh", "src/app.sh"]));
    running.wait_for_line("watching");
    sandbox.write("downloads/boq.zip", "not a source");
    sandbox.write("src/app.sh", "sleep 2000");
    running.wait_for_line("started in");
    running.stop();
    let said: Vec<String> = running.lines().iter().map(|line| without_numbers(line)).collect();
    for line in shown.lines() {
        assert!(said.contains(&without_numbers(line)), "README.md shows {line:?}, but devrun said {said:#?}");
    }
}

/// Times and process ids differ from run to run.
fn without_numbers(line: &str) -> String {
    let mut text = String::new();
    for c in line.trim_end().chars() {
        match c {
            '0'..='9' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            _ => text.push(c),
        }
    }
    // A busy machine may need seconds for a restart.
    text.replace("#.#", "#").replace("# ms", "# s")
}
