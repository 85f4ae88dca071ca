//! The program's words for each [`Remedy`]: the library names no command-line option, so they are named here.

use devrun::Remedy;

/// Words a remedy for the user of the command line. Empty if there is nothing to do.
pub(crate) fn worded(remedy: &Remedy) -> String {
    match remedy {
        Remedy::None => String::new(),
        Remedy::Text(text) => text.clone().into_owned(),
        Remedy::ReadIgnoreFile { name } => {
            format!("rename it to .watchignore (`devrun init` does), or pass --ignore-file {name}")
        }
        Remedy::AddRoot => "watch it too: `--watch`, or `paths` in [watch]".into(),
        Remedy::SelectFile => "add its extension to `ext`, or a glob for it to `filter`".into(),
        Remedy::PassListeningSocket => "use --listen, whose bytes do not pass through devrun".into(),
        // A variant without words of its own here. `Display` names the library's options.
        other => other.to_string(),
    }
}
