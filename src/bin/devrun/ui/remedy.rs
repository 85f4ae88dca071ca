//! Words each [`Remedy`] of the library for the user of the command line, with the options to use.

use devrun::Remedy;

/// Shortest name for which two typing errors are forgiven; a shorter name may have one.
const LONG_NAME: usize = 5;

/// The sentence for a remedy. Empty if there is nothing to do.
pub(crate) fn worded(remedy: &Remedy) -> String {
    match remedy {
        Remedy::None => String::new(),
        Remedy::Text(text) => text.clone().into_owned(),
        Remedy::ReadIgnoreFile { name } => {
            format!("rename it to .watchignore, or pass --ignore-file {name}")
        }
        Remedy::AllowMoreTime => "--ready-timeout allows more".into(),
        Remedy::ListenOnPort => {
            "make it listen on $PORT or {port} of 127.0.0.1, or name its address: --proxy ADDR=UPSTREAM"
                .into()
        }
        Remedy::TakeTurns => "if two cannot run at a time, use --no-overlap".into(),
        Remedy::GiveTerminal => "run it with --stdin inherit: then the terminal is its own".into(),
        Remedy::ScanLess => {
            "ignore paths that need no watching, or use --mode event where events work".into()
        }
        Remedy::CorrectRuleLine => {
            "correct the line or remove it; the other lines are in effect, and `devrun check` says more"
                .into()
        }
        Remedy::ListRuleDefects => "`devrun check` lists them".into(),
        Remedy::AddRoot => "watch it too: `--watch`, or `paths` in [watch]".into(),
        Remedy::SelectFile => "add its extension to `ext`, or a glob for it to `filter`".into(),
        Remedy::PassListeningSocket => "use --listen, whose bytes do not pass through devrun".into(),
        Remedy::KeepTls => {
            "to keep TLS, use --listen without --ready-path: its bytes do not pass through devrun".into()
        }
        Remedy::CreateEnvFile => "create it, or leave out --env-file".into(),
        Remedy::UseShell => "for a whole command line use --shell".into(),
        Remedy::FindProgram { name } => {
            similar_program(name).map_or_else(String::new, |name| format!("did you mean {name}?"))
        }
        // A variant that this file does not know yet. `Display` names the options of the library.
        other => other.to_string(),
    }
}

/// The program in PATH whose name is most similar, if it is similar enough.
fn similar_program(name: &str) -> Option<String> {
    let max_distance = if name.len() < LONG_NAME { 1 } else { 2 };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let files =
        std::env::split_paths(&path).filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    let similar = names.map(|other| (strsim::osa_distance(name, &other), other));
    similar.filter(|(distance, _)| *distance <= max_distance).min().map(|(_, name)| name)
}
