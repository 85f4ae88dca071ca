//! The packages of `packaging/build`, each installed into an empty directory. `DEVRUN_TEST_DIST` names the
//! directory with the packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, python};

/// The path of a package, by the begin and the end of its name.
fn package(begin: &str, end: &str) -> PathBuf {
    let dist =
        std::env::var_os("DEVRUN_TEST_DIST").expect("DEVRUN_TEST_DIST names what packaging/build wrote");
    let paths = std::fs::read_dir(dist).unwrap().map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(begin) && name.ends_with(end)
    };
    paths.filter(is_it).max().unwrap_or_else(|| panic!("no package {begin}*{end}"))
}

/// The standard output of a program that must succeed.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn assert_runs(sandbox: &Sandbox, devrun: &Path) {
    let version = format!("devrun {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(said(sandbox.command(devrun).arg("--version")), version);
    sandbox.write("app.sh", "echo \"run by $DEVRUN\"; exec sleep 1000");
    let mut running = TestProcess::start(sandbox.command(devrun).args(["--", "sh", "app.sh"]));
    running.wait_for_count("run by 1", 1);
    sandbox.write("app.sh", "echo \"edited, run by $DEVRUN\"; exec sleep 1000");
    running.wait_for_count("run by 1", 2);
    // The signal reaches devrun, also through the launcher of npm.
    let status = running.stop();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15), "{:?}", running.lines());
}

#[test]
#[ignore = "needs the packages of packaging/build and tar"]
fn the_archive_has_the_program_its_licences_completions_and_manual_pages() {
    let sandbox = Sandbox::new();
    let archive = package("devrun-", "x86_64-unknown-linux-musl.tar.gz");
    let prefix = sandbox.outside().join("prefix");
    std::fs::create_dir(&prefix).unwrap();
    said(sandbox.command("tar").args(["--strip-components=1", "-xf"]).arg(archive).arg("-C").arg(&prefix));
    let texts = ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "LICENSES-THIRD-PARTY.txt"];
    for name in texts.into_iter().chain(["completions/_devrun", "man/devrun.1", "man/devrun-check.1"]) {
        assert!(prefix.join(name).metadata().is_ok_and(|file| file.len() > 0), "{name}");
    }
    assert_runs(&sandbox, &prefix.join("devrun"));
}

#[test]
#[ignore = "needs the packages of packaging/build and Python"]
fn pip_installs_the_wheel_for_this_machine() {
    let sandbox = Sandbox::new();
    let prefix = sandbox.outside().join("prefix");
    said(sandbox.command(python()).args(["-m", "venv"]).arg(&prefix));
    let dist = package("devrun-", ".whl").with_file_name("");
    let mut pip = sandbox.command(prefix.join("bin/pip"));
    // pip chooses among the wheels of all machines, by their tags.
    said(pip.args(["install", "--no-index", "devrun", "--find-links"]).arg(dist));
    said(sandbox.command(prefix.join("bin/pip")).args(["check"]));
    assert_runs(&sandbox, &prefix.join("bin/devrun"));
}

#[test]
#[ignore = "needs the packages of packaging/build, node and npm"]
fn npm_installs_the_launcher_with_the_program() {
    let sandbox = Sandbox::new();
    let prefix = sandbox.outside().join("prefix");
    let mut npm = sandbox.command("npm");
    npm.args(["install", "--offline", "--prefix"]).arg(&prefix);
    said(npm.arg(package("devrun-cli-", ".tgz")).arg(package("devrun-linux-x64-", ".tgz")));
    let devrun = prefix.join("node_modules/.bin/devrun");
    assert_runs(&sandbox, &devrun);
    std::fs::remove_dir_all(prefix.join("node_modules/@devrun/linux-x64")).unwrap();
    let output = sandbox.command(devrun).output().unwrap();
    let message = "devrun: the npm package @devrun/linux-x64 is missing; install without --omit=optional\n";
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(2), message));
}

/// QEMU refuses `PR_SET_CHILD_SUBREAPER`, so devrun cannot run COMMAND there.
#[test]
#[ignore = "needs the packages of packaging/build, tar and qemu-user"]
fn the_program_for_arm64_applies_rules_and_receives_events() {
    let sandbox = Sandbox::new();
    let (archive, prefix) =
        (package("devrun-", "aarch64-unknown-linux-musl.tar.gz"), sandbox.outside().join("prefix"));
    std::fs::create_dir(&prefix).unwrap();
    said(sandbox.command("tar").args(["--strip-components=1", "-xf"]).arg(archive).arg("-C").arg(&prefix));
    sandbox.write(".watchignore", "/downloads/\n");
    sandbox.write("downloads/a.zip", "");
    sandbox.write("app.py", "");
    let emulated = |arguments: &str| {
        let mut qemu = sandbox.command("qemu-aarch64");
        said(qemu.arg(prefix.join("devrun")).args(arguments.split(' ')))
    };
    assert_eq!(emulated("--version"), format!("devrun {}\n", env!("CARGO_PKG_VERSION")));
    assert!(emulated("check").starts_with("nothing found: 1 rule in 1 file"));
    assert_eq!(emulated("list --flat"), "app.py\n");
    assert!(emulated("explain downloads/a.zip").contains("ignored by .watchignore:1"));
    let doctor: serde_json::Value = serde_json::from_str(&emulated("doctor --format json")).unwrap();
    let event = doctor["checks"].as_array().unwrap().iter().find(|check| check["id"] == "event-self-test");
    assert_eq!(event.unwrap()["level"], "ok", "{doctor:#}");
}
