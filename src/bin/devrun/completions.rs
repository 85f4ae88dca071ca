//! Completions for shells: the scripts of clap_complete, with additions that complete the words of COMMAND and the names
//! of profiles.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::commands::Cli;
use crate::config::{current_directory, find_config, profile_names};
use crate::ui::{CliError, ExitCode, Terminal};

/// Writes completions for a shell to standard output.
pub(crate) fn run(shell: Shell, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(shell), "devrun", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let additions = match shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
        Shell::Elvish => ELVISH,
        _ => &[],
    };
    let script = additions.iter().fold(script, |script, (old, new)| script.replace(old, new));
    terminal.print_bytes(script.as_bytes())?;
    Ok(ExitCode::Success)
}

/// The parser without hidden subcommands.
fn shown(shell: Shell) -> Command {
    let full = Cli::command();
    // zsh would take the subcommand for COMMAND, and complete none of its options.
    let is_wanted = |arg: &&Arg| shell != Shell::Zsh || !arg.is_positional();
    Command::new("devrun")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(full.get_arguments().filter(is_wanted).cloned())
        .subcommands(full.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned())
}

/// Parts of a script and their replacements.
type Additions = &'static [(&'static str, &'static str)];

/// `_command_offset` is a function of the package bash-completion. bash itself splits `--mode=event` at the `=`.
const BASH: Additions = &[
    (
        "    for i in \"${COMP_WORDS[@]:0:COMP_CWORD}\"\n",
        r#"    for (( i = 1; i < COMP_CWORD; i++ )); do
        if [[ ${COMP_WORDS[i]} == -- ]]; then
            if declare -F _command_offset >/dev/null; then
                _command_offset $(( i + 1 ))
            elif (( i + 1 == COMP_CWORD )); then
                COMPREPLY=( $(compgen -c -- "${cur}") )
            fi
            return 0
        fi
    done
    [[ ${prev} == = ]] && prev="${COMP_WORDS[COMP_CWORD-2]}"

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
"#,
    ),
    (
        "--profile)\n                    COMPREPLY=($(compgen -f \"${cur}\"))",
        "--profile)\n                    COMPREPLY=($(compgen -W \"$(devrun profiles -- \"${COMP_WORDS[@]}\" 2>/dev/null)\" -- \"${cur}\"))",
    ),
];

const ZSH: Additions = &[
    (
        "    local ret=1\n",
        r"    local ret=1

    local -i separator=${words[(i)--]}
    if (( separator < CURRENT )); then
        shift $separator words
        (( CURRENT -= separator ))
        _normal
        return
    fi
    if [[ ${words[2]} == run ]] && (( CURRENT > 2 )); then
        words[2]=()
        (( CURRENT -= 1 ))
    fi
",
    ),
    (":NAME:_default' \\\n", ":NAME:{compadd -- ${(f)\"$(devrun profiles -- $words 2>/dev/null)\"}}' \\\n"),
];

const FISH: Additions = &[
    (
        "    set -e cmd[1]\n",
        "    set -e cmd[1]
    contains -- -- $cmd
    and return 1
    test \"$cmd[1]\" = run
    and set -e cmd[1]
",
    ),
    // A last option without its value is no mistake while it is being typed.
    (
        "-- $cmd 2>/dev/null\n",
        "-- $cmd 2>/dev/null\n    or argparse -s (__fish_devrun_global_optspecs) -- $cmd[1..-2] 2>/dev/null\n",
    ),
    (
        "function __fish_devrun_using_subcommand\n",
        r"# Completes the words after `--` as a command line.
function __fish_devrun_command
    set -l words (commandline -opc)
    set -l separator (contains -i -- -- $words)
    or return
    set -e words[1..$separator]
    complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
end

complete -c devrun -n 'contains -- -- (commandline -opc)' -f -a '(__fish_devrun_command)'

function __fish_devrun_using_subcommand
",
    ),
    (
        "its tables override the others' -r\n",
        "its tables override the others' -r -f -a '(devrun profiles -- (commandline -opc) 2>/dev/null)'\n",
    ),
];

const ELVISH: Additions = &[
    ("(str:has-prefix $word '-')", "(or (str:has-prefix $word '-') (eq $word run))"),
    (
        "    $completions[$command]\n",
        r"    if (has-value $words[1..-1] --) {
        var separator = 1
        while (!=s $words[$separator] --) {
            set separator = (+ $separator 1)
        }
        edit:complete-sudo (all $words[$separator..])
    } elif (eq $words[-2] --profile) {
        try { e:devrun profiles -- $@words 2>/dev/null } catch { }
    } else {
        $completions[$command]
    }
",
    ),
];

/// Prints the names of the profiles in the devrun.toml that applies to a command line that is being typed. Prints none on
/// an error, because the shell shows the output on the line.
pub(crate) fn profiles(words: &[OsString], terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let directory = current_directory()?;
    let named = typed_config(words).or_else(|| std::env::var_os("DEVRUN_CONFIG").map(PathBuf::from));
    let config = named.map(|path| directory.join(path)).or_else(|| find_config(&directory));
    for name in config.map(|path| profile_names(&path)).unwrap_or_default() {
        terminal.println(name)?;
    }
    Ok(ExitCode::Success)
}

/// The value of `--config` in words of a shell. bash makes three words of `--config=FILE`.
fn typed_config(words: &[OsString]) -> Option<PathBuf> {
    let is_option = |word: &OsString| word.to_str().is_some_and(|word| word.starts_with("--config"));
    let at = words.iter().position(is_option)?;
    let joined = words[at].to_str().and_then(|word| word.strip_prefix("--config="));
    let next = || words[at + 1..].iter().find(|word| *word != "=").map(OsString::as_os_str);
    joined.map(OsStr::new).or_else(next).map(PathBuf::from)
}
