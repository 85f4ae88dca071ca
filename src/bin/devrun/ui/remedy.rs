//! The program's words for each [`Remedy`]: the library names no command-line option, so they are named here.

use devrun::Remedy;

/// Words a remedy for the user of the command line. Empty if there is nothing to do.
#[expect(dead_code, reason = "the library does not return remedies yet")]
pub(crate) fn worded(remedy: &Remedy) -> String {
    match remedy {
        Remedy::None => String::new(),
        Remedy::Text(text) => text.clone().into_owned(),
        // A variant without words of its own here. `Display` names the library's options.
        other => other.to_string(),
    }
}
