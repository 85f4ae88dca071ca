//! Colours and weights of text on the terminal.

use std::fmt::{self, Display};

use anstyle::{AnsiColor, Style};

/// The word `error`, and crashes.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// The word `warning`, and events that delay a restart.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Success.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// The word `help` in front of a remedy.
pub(crate) const HELP: Style = AnsiColor::Cyan.on_default().bold();
/// Paths and commands.
pub(crate) const NAME: Style = Style::new().bold();
/// Details.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// `text` in a style. A stream without colour removes the escape sequences.
pub(crate) fn styled(style: Style, text: impl Display) -> impl Display {
    struct Styled<T>(Style, T);

    impl<T: Display> Display for Styled<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}{}{}", self.0, self.1, self.0.render_reset())
        }
    }

    Styled(style, text)
}
