//! The command line, the environment and devrun.toml: one clear error for each bad input, and help that fits
//! a screen.

use crate::support::sandbox::Sandbox;
use crate::support::transcript;

#[test]
fn each_bad_input_gets_one_clear_error() {
    transcript::check_all("cli");
}

#[test]
fn short_help_fits_a_screen_and_goes_to_stdout() {
    let sandbox = Sandbox::new();
    let output = sandbox.devrun().arg("-h").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.lines().count() <= 40, "{} lines:\n{help}", help.lines().count());
    assert!(help.lines().all(|line| line.chars().count() <= 80), "too wide:\n{help}");
}

#[test]
fn init_writes_files_for_the_kind_of_project_and_never_overwrites() {
    transcript::check_all("init");
}

#[test]
fn colour_is_for_terminals_unless_requested() {
    let sandbox = Sandbox::new();
    let stderr = |args: &[&str], variables: &[(&str, &str)]| {
        let output = sandbox.devrun().args(args).envs(variables.iter().copied()).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(!stderr(&["list", "-w", "nowhere"], &[]).contains('\u{1b}'));
    assert!(stderr(&["list", "-w", "nowhere", "--color", "always"], &[]).contains('\u{1b}'));
    assert!(stderr(&["list", "-w", "nowhere"], &[("DEVRUN_COLOR", "always")]).contains('\u{1b}'));
    assert!(stderr(&["list", "-w", "nowhere"], &[("CLICOLOR_FORCE", "1")]).contains('\u{1b}'));
    let never = [("CLICOLOR_FORCE", "1"), ("DEVRUN_COLOR", "never")];
    assert!(!stderr(&["list", "-w", "nowhere"], &never).contains('\u{1b}'));
}
