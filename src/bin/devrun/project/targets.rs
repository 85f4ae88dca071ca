//! Projects that a compiler builds: the binary of a Cargo package or workspace, and the main package of a Go module.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::answer::answer;
use super::files::ProjectFiles;
use super::recognise::Project;

/// Number of directories above a main package of Go.
const GO_DEPTH: usize = 3;
/// Maximum number of names in a message.
const MAX_NAMES: usize = 6;

pub(super) fn cargo(files: &ProjectFiles<'_>) -> Option<Project> {
    if !files.has("Cargo.toml") {
        return None;
    }
    let mut project = Project::new("Cargo", &["target/"], files.first("src/lib.rs Cargo.toml"));
    match cargo_command(files) {
        Ok((command, source)) => {
            project.command = command;
            project.port = files.reads_port(&source).then_some(8000);
            project.source = Some(source);
        }
        Err(missing) => project.missing = Some(missing),
    }
    Some(project)
}

/// A binary or an example of a package.
struct Target {
    package: String,
    name: String,
    /// Its main file, relative to the project.
    source: String,
    is_default: bool,
}

/// The command that runs the binary, and its main file. The error says what the user must fill in.
fn cargo_command(files: &ProjectFiles<'_>) -> Result<(String, String), String> {
    let metadata = cargo_metadata(files)?;
    let bins = targets(&metadata, files, "bin");
    let root = metadata["packages"].as_array().into_iter().flatten().find(|package| {
        package["manifest_path"].as_str().is_some_and(|path| files.directory().join("Cargo.toml") == *path)
    });
    let of_root: Vec<&Target> =
        bins.iter().filter(|bin| root.is_some_and(|root| root["name"] == *bin.package)).collect();
    let names =
        |targets: &[Target]| some(&targets.iter().map(|target| target.name.clone()).collect::<Vec<_>>());
    let main = of_root.iter().find(|bin| bin.is_default || bin.name == bin.package);
    let source = |bin: &Target| bin.source.clone();
    match (of_root.as_slice(), main, bins.as_slice()) {
        ([bin], ..) => Ok(("cargo run".into(), source(bin))),
        (_, Some(bin), _) if bin.is_default => Ok(("cargo run".into(), source(bin))),
        (_, Some(bin), _) => Ok((format!("cargo run --bin {}", bin.name), source(bin))),
        ([], None, [bin]) => {
            Ok((format!("cargo run --package {} --bin {}", bin.package, bin.name), source(bin)))
        }
        ([], None, []) => {
            let examples = targets(&metadata, files, "example");
            Err(if examples.is_empty() {
                "no package has a binary; to run the tests at each change, write cargo test".into()
            } else {
                format!(
                    "no package has a binary; choose an example with cargo run --example: {}",
                    names(&examples)
                )
            })
        }
        _ => Err(format!("there are several binaries ({}): choose one with cargo run --bin", names(&bins))),
    }
}

fn cargo_metadata(files: &ProjectFiles<'_>) -> Result<Value, String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    cargo.current_dir(files.directory()).stdin(Stdio::null());
    let output = answer("cargo metadata", move || cargo.output())?
        .map_err(|error| format!("cargo, which knows the binaries, did not start: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().next().unwrap_or("no output").trim_start_matches("error: ").to_owned();
        format!("cargo metadata, which knows the binaries, failed: {line}")
    })
}

/// The targets of a kind in all packages of a workspace.
fn targets(metadata: &Value, files: &ProjectFiles<'_>, kind: &str) -> Vec<Target> {
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let targets = package["targets"].as_array().into_iter().flatten();
        for target in targets.filter(|target| target["kind"][0] == kind) {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let path = PathBuf::from(text(&target["src_path"]));
            found.push(Target {
                package: text(&package["name"]),
                name: text(&target["name"]),
                source: path.strip_prefix(files.directory()).unwrap_or(&path).display().to_string(),
                is_default: package["default_run"] == target["name"],
            });
        }
    }
    found
}

pub(super) fn go(files: &ProjectFiles<'_>) -> Option<Project> {
    if !files.has("go.mod") {
        return None;
    }
    let is_main = |path: &String| {
        let text = files.text(path);
        !path.ends_with("_test.go")
            && text.lines().any(|line| line == "package main")
            && text.contains("func main()")
    };
    let sources: Vec<String> = files.sources("go", GO_DEPTH).into_iter().filter(is_main).collect();
    let commands: Vec<&String> = sources.iter().filter(|path| path.starts_with("cmd/")).collect();
    let main =
        match (sources.iter().find(|path| !path.contains('/')), commands.as_slice(), sources.as_slice()) {
            (Some(top), ..) => Some(top),
            (None, [only], _) => Some(*only),
            (None, _, [only]) => Some(only),
            _ => None,
        };
    let mut project = Project::new("Go", &["/tmp/"], Some(main.map_or("go.mod", String::as_str)));
    match main {
        None if sources.is_empty() => project.missing = Some("no package main was found".into()),
        None => {
            project.missing = Some(format!("several packages are programs: choose one of {}", some(&sources)))
        }
        Some(main) => {
            let directory = main.rsplit_once('/').map(|(directory, _)| directory);
            let name = directory.and_then(|directory| directory.rsplit('/').next()).unwrap_or("server");
            let package = directory.map_or(".".to_owned(), |directory| format!("./{directory}"));
            project.build = Some(format!("go build -o tmp/{name} {package}"));
            project.command = format!("./tmp/{name}");
            project.port = files.reads_port(main).then_some(8080);
        }
    }
    Some(project)
}

/// Some names, for a message.
pub(super) fn some(names: &[String]) -> String {
    let more = if names.len() > MAX_NAMES { ", …" } else { "" };
    names.iter().take(MAX_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ") + more
}
