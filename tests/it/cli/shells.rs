//! The scripts of `devrun completions` complete in each shell, and the formatter accepts the pages of `devrun
//! man` without a warning.
//!
//! PowerShell is missing, because Debian has no package of it.

use std::path::Path;
use std::process::Command;

use crate::docs::reference::output;
use crate::support::pty::Pty;
use crate::support::sandbox::{Sandbox, wait_until};

/// A sandbox with the completion script of a shell.
fn with_script(shell: &str, name: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(name, output(&sandbox, &["completions", shell]));
    sandbox.write("devrun.toml", "[profile.test]\n[profile.tiny]\n[profile.'$(touch ran)']\n");
    sandbox.write("ci.toml", "[profile.tender]\n");
    sandbox
}

/// The output of a program that must print no error.
fn said(sandbox: &Sandbox, program: &str, args: &[&str]) -> String {
    let output = sandbox.command(program).args(args).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{program}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// `PATH` with the directory of devrun before the others.
fn path() -> String {
    let directory = Path::new(env!("CARGO_BIN_EXE_devrun")).parent().unwrap();
    format!("{}:{}", directory.display(), std::env::var("PATH").unwrap())
}

/// The completions that bash offers for the last word of a line.
fn offered(sandbox: &Sandbox, line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
    let array = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let query = format!(
        "source /usr/share/bash-completion/bash_completion; source devrun.bash; compopt() {{ :; }}; PATH={}; \
         declared() {{ COMPREPLY=($(compgen -W 'one two' -- \"$2\")); }}; complete -F declared program; \
         COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=({array}); COMP_CWORD={}; _devrun devrun '{last}' '{before}'; echo \"${{COMPREPLY[@]}}\"",
        path(),
        words.len() - 1
    );
    said(sandbox, "bash", &["--norc", "-c", &query]).split_whitespace().map(str::to_owned).collect()
}

#[test]
#[ignore = "needs bash and bash-completion"]
fn bash_completes_subcommands_options_and_values() {
    let sandbox = with_script("bash", "devrun.bash");
    assert_eq!(offered(&sandbox, "devrun ex"), ["explain"]);
    assert_eq!(offered(&sandbox, "devrun ref"), [""; 0]);
    assert_eq!(offered(&sandbox, "devrun --stop"), ["--stop-signal", "--stop-scope", "--stop-timeout"]);
    assert_eq!(offered(&sandbox, "devrun --on-busy "), ["restart", "queue", "signal", "ignore"]);
    assert_eq!(offered(&sandbox, "devrun check --format "), ["human", "json", "github", "sarif"]);
    assert_eq!(offered(&sandbox, "devrun --on-busy = q"), ["queue"]);
    assert_eq!(offered(&sandbox, "devrun --profile t"), ["test", "tiny"]);
    assert_eq!(offered(&sandbox, "devrun list --config ci.toml --profile "), ["tender"]);
    assert!(!sandbox.path("ran").exists());
    assert_eq!(offered(&sandbox, "devrun --proxy 8000 -- program t"), ["two"]);
    assert_eq!(offered(&sandbox, "devrun run -- declared"), ["declared"]);
}

#[test]
#[ignore = "needs zsh"]
fn zsh_completes_subcommands_options_values_and_the_command() {
    let sandbox = with_script("zsh", "functions/_devrun");
    let mut zsh = Command::new("zsh");
    zsh.args(["-f", "-i"]).env("PS1", "ready> ").env("TERM", "dumb").env("PATH", path());
    let mut zsh = Pty::start(&sandbox, &zsh);
    zsh.expect("ready> ");
    zsh.line("show() { print -r -- \"$BUFFER\" >> completed; BUFFER= }; zle -N show; bindkey '^Xs' show");
    zsh.line("read-only-here() { }");
    zsh.line("fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -u -d dump; echo lo''aded");
    zsh.expect("loaded");
    let mut completed = String::new();
    for (typed, whole) in [
        ("devrun expl", "devrun explain "),
        ("devrun --stop-t", "devrun --stop-timeout="),
        ("devrun --on-busy qu", "devrun --on-busy queue "),
        ("devrun check --format=gi", "devrun check --format=github "),
        ("devrun check --format gi", "devrun check --format github "),
        ("devrun --profile te", "devrun --profile test "),
        ("devrun list --config=ci.toml --profile=t", "devrun list --config=ci.toml --profile=tender "),
        ("devrun --proxy 8000 -- read-only-h", "devrun --proxy 8000 -- read-only-here "),
        ("devrun run --on-busy qu", "devrun run --on-busy queue "),
        ("devrun run -- read-only-h", "devrun run -- read-only-here "),
    ] {
        zsh.send(&format!("{typed}\t\x18s"));
        completed.push_str(&format!("{whole}\n"));
        let written = || std::fs::read_to_string(sandbox.path("completed")).unwrap_or_default();
        wait_until(&format!("zsh completes `{typed}`"), || written().len() >= completed.len());
        assert_eq!(written(), completed);
    }
    zsh.line("exit");
    assert!(zsh.wait().success());
}

#[test]
#[ignore = "needs fish"]
fn fish_completes_subcommands_options_and_values() {
    let sandbox = with_script("fish", "devrun.fish");
    let offered = |line: &str| {
        let query = format!(
            "set PATH {} $PATH; source devrun.fish; complete -c program -f -a 'one two'; complete -C '{line}'",
            Path::new(env!("CARGO_BIN_EXE_devrun")).parent().unwrap().display()
        );
        let said = said(&sandbox, "fish", &["--no-config", "-c", &query]);
        said.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(offered("devrun ex"), ["explain"]);
    assert_eq!(offered("devrun --stop"), ["--stop-scope", "--stop-signal", "--stop-timeout"]);
    assert_eq!(offered("devrun check --format "), ["github", "human", "json", "sarif"]);
    assert_eq!(offered("devrun --profile t"), ["test", "tiny"]);
    assert_eq!(offered("devrun list --config ci.toml --profile "), ["tender"]);
    assert_eq!(offered("devrun --proxy 8000 -- program "), ["one", "two"]);
    assert_eq!(offered("devrun run --on-busy q"), ["queue"]);
    assert_eq!(offered("devrun run -- program --flag t"), ["two"]);
}

/// elvish has the module `edit:` only on a terminal. Here the script gets a substitute that prints its
/// arguments.
#[test]
#[ignore = "needs elvish"]
fn elvish_completes_subcommands_and_options() {
    let sandbox = with_script("elvish", "devrun.elv");
    let offered = |words: &str| {
        let script = format!(
            "var edit: = (ns [&completion:=(ns [&arg-completer=[&]]) &complex-candidate~={{|text &display=''| echo $text}} \
             &complete-sudo~={{|@words| echo sudo $@words}}])\n\
             set E:PATH = '{}'\n\
             eval &ns=(ns [&edit:=$edit:]) (slurp < devrun.elv)\n\
             $edit:completion:arg-completer[devrun] {words}\n",
            path()
        );
        let said = said(&sandbox, "elvish", &["-norc", "-c", &script]);
        said.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let all = offered("devrun ''");
    for word in ["explain", "--stop-timeout", "--proxy", "-w"] {
        assert!(all.iter().any(|one| one == word), "{word}: {all:?}");
    }
    let check = offered("devrun check ''");
    assert!(check.contains(&"--strict".to_owned()) && !check.contains(&"--proxy".to_owned()), "{check:?}");
    assert!(offered("devrun run ''").contains(&"--proxy".to_owned()));
    assert_eq!(offered("devrun list --profile ''"), ["test", "tiny"]);
    assert_eq!(offered("devrun --config ci.toml --profile t"), ["tender"]);
    // The module's own function completes the words after the first one as a command line.
    assert_eq!(offered("devrun run -- program t"), ["sudo -- program t"]);
}

#[test]
#[ignore = "needs groff"]
fn manual_pages_are_well_formed() {
    let sandbox = Sandbox::new();
    output(&sandbox, &["man", "--dir", "man"]);
    for page in std::fs::read_dir(sandbox.path("man")).unwrap().map(|entry| entry.unwrap().path()) {
        let page: &Path = &page;
        said(&sandbox, "groff", &["-man", "-Tutf8", "-ww", "-z", page.to_str().unwrap()]);
        let text =
            said(&sandbox, "groff", &["-man", "-Tascii", "-P-c", "-P-b", "-P-u", page.to_str().unwrap()]);
        for section in ["ENVIRONMENT", "FILES", "EXIT STATUS", "SEE ALSO"] {
            assert!(text.lines().any(|line| line == section), "{section} is missing in {}", page.display());
        }
        let name = page.file_stem().unwrap().to_str().unwrap();
        assert!(text.trim_end().ends_with(&format!("{name}(1)")), "the footer names {name}");
    }
}
