//! Words each [`Remedy`] of the library for the user of the command line, with the options to use.

use devrun::Remedy;

/// The sentence for a remedy. Empty for [`Remedy::None`].
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
        // A variant that this file does not know yet. `Display` names the options of the library.
        other => other.to_string(),
    }
}
