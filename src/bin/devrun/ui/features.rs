//! The escape sequences beyond text and colour: the title, the progress indicator, and hyperlinks. No answer of the
//! terminal tells whether it knows them, so environment variables decide, with the rules of cargo.

use std::fmt::Write as _;
use std::path::Path;

use super::text::escape_text;

/// The values of TERM, up to a suffix, for terminals with a title.
const TITLE_TERMS: &[&str] = &[
    "xterm",
    "rxvt",
    "screen",
    "tmux",
    "alacritty",
    "foot",
    "wezterm",
    "konsole",
    "vte",
    "gnome",
    "st-",
    "contour",
    "mlterm",
];
/// The values of TERM_PROGRAM for terminals with hyperlinks.
const LINK_PROGRAMS: &[&str] = &["Hyper", "terminology", "WezTerm", "vscode", "ghostty", "zed"];

/// Saves the title of the terminal (XTWINOPS).
const SAVE_TITLE: &str = "\x1b[22;2t";
/// Restores the saved title. A terminal that cannot save it chooses its own title instead of an empty one.
const RESTORE_TITLE: &str = "\x1b]2;\x1b\\\x1b[23;2t";

/// A name in a text, and the URL that it links to.
pub(crate) type Link = (String, String);

/// What the progress indicator of a terminal shows, in its tab or in the task bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Progress {
    #[default]
    None,
    Busy,
    Failed,
}

/// The sequences that the terminal knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Features {
    title: bool,
    progress: bool,
    links: bool,
}

impl Features {
    /// What the terminal knows, by the variables of the environment.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let has = |name: &str| variable(name).is_some();
        let is_one = |name: &str, values: &[&str]| {
            variable(name).is_some_and(|value| values.contains(&value.as_str()))
        };
        let is_from = |name: &str, version: u32| {
            let major = variable(name).and_then(|value| value.split('.').next()?.parse().ok());
            major.is_some_and(|major: u32| major >= version)
        };
        // The log of a CI job would show the sequences as text.
        if has("CI") {
            return Self::default();
        }
        let term = variable("TERM").unwrap_or_default();
        // iTerm2 lists its features as `MBT2ScP`: a capital letter begins each.
        let iterm_features = variable("TERM_FEATURES").unwrap_or_default();
        let is_progress = |(at, _): (usize, &str)| {
            !iterm_features[at + 1..]
                .starts_with(|next: char| next.is_ascii_lowercase() || next.is_ascii_digit())
        };
        Self {
            title: TITLE_TERMS.iter().any(|prefix| term.starts_with(prefix)),
            progress: has("WT_SESSION")
                || is_one("ConEmuANSI", &["ON"])
                || is_one("TERM_PROGRAM", &["WezTerm", "ghostty"])
                || is_one("TERM_PROGRAM", &["iTerm.app"])
                    && iterm_features.match_indices('P').any(is_progress)
                || is_from("PTYXIS_VERSION", 48),
            links: ["WT_SESSION", "KONSOLE_VERSION", "DOMTERM"].into_iter().any(has)
                || is_one("TERM_PROGRAM", LINK_PROGRAMS)
                || is_one("TERM", &["xterm-kitty", "alacritty", "alacritty-direct"])
                || is_one("COLORTERM", &["xfce4-terminal"])
                || is_from("VTE_VERSION", 5000),
        }
    }

    /// The sequences that show a title and a progress. `is_first`: nothing was shown before.
    pub(super) fn show(self, title: &str, progress: Progress, is_first: bool) -> String {
        let mut text = String::new();
        if self.title {
            let save = if is_first { SAVE_TITLE } else { "" };
            let _ = write!(text, "{save}\x1b]2;{}\x1b\\", escape_text(title));
        }
        let state = match progress {
            Progress::None => "0;0",
            Progress::Busy => "3;0",
            Progress::Failed => "2;100",
        };
        if self.progress {
            let _ = write!(text, "\x1b]9;4;{state}\x1b\\");
        }
        text
    }

    /// The sequences that take back what [`Self::show`] has shown.
    pub(super) fn restore(self) -> String {
        let title = if self.title { RESTORE_TITLE } else { "" };
        let progress = if self.progress { "\x1b]9;4;0;0\x1b\\" } else { "" };
        format!("{title}{progress}")
    }

    /// An escaped text with a hyperlink on each of the names, which it contains in this order.
    pub(super) fn link(self, text: &str, links: &[Link]) -> String {
        let (mut linked, mut rest) = (String::new(), text);
        for (name, target) in links.iter().filter(|_| self.links) {
            if let Some((before, after)) = rest.split_once(name.as_str()) {
                let _ = write!(linked, "{before}\x1b]8;;{target}\x1b\\{name}\x1b]8;;\x1b\\");
                rest = after;
            }
        }
        linked + rest
    }
}

/// The URL of a file.
pub(crate) fn file_url(path: &Path) -> String {
    let mut url = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                url.push(char::from(*byte))
            }
            _ => _ = write!(url, "%{byte:02X}"),
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_variables_tell_what_a_terminal_knows() {
        // The variables, and whether the terminal knows a title, a progress and links.
        let cases = [
            ("TERM=linux", "---"),
            ("TERM=xterm-256color", "t--"),
            ("TERM=xterm-256color VTE_VERSION=7600", "t-l"),
            ("TERM=xterm-256color VTE_VERSION=4205", "t--"),
            ("TERM=xterm-256color VTE_VERSION=7800 PTYXIS_VERSION=48.1", "tpl"),
            ("TERM=xterm-256color WT_SESSION=4f1c", "tpl"),
            ("TERM=xterm-256color TERM_PROGRAM=WezTerm", "tpl"),
            ("TERM=xterm-ghostty TERM_PROGRAM=ghostty", "tpl"),
            ("TERM=xterm-256color TERM_PROGRAM=iTerm.app", "t--"),
            ("TERM=xterm-256color TERM_PROGRAM=iTerm.app TERM_FEATURES=MBT2ScP", "tp-"),
            ("TERM=xterm-256color TERM_PROGRAM=iTerm.app TERM_FEATURES=MPaSc", "t--"),
            ("TERM=xterm-256color TERM_PROGRAM=vscode", "t-l"),
            ("TERM=xterm-kitty", "t-l"),
            ("ConEmuANSI=ON", "-p-"),
            ("ConEmuANSI=OFF", "---"),
            ("CI=true TERM=xterm WT_SESSION=4f1c", "---"),
        ];
        for (variables, known) in cases {
            let find =
                |name: &str| variables.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            let features = Features::of(|name| find(name).map(str::to_owned));
            let has = |letter| known.contains(letter);
            let expected = Features { title: has('t'), progress: has('p'), links: has('l') };
            assert_eq!(features, expected, "{variables}");
        }
    }

    #[test]
    fn sequences_are_written_only_where_they_are_known_and_names_stay_escaped() {
        let all = Features { title: true, progress: true, links: true };
        assert_eq!(
            all.show("devrun: a\u{1b}]2;b ready", Progress::Busy, true),
            "\x1b[22;2t\x1b]2;devrun: a\\u{1b}]2;b ready\x1b\\\x1b]9;4;3;0\x1b\\"
        );
        assert_eq!(all.show("b", Progress::None, false), "\x1b]2;b\x1b\\\x1b]9;4;0;0\x1b\\");
        let none = Features::default();
        assert_eq!(none.show("a", Progress::Failed, true) + &none.restore(), "");
        let links =
            [("a b.py", "A"), ("b.py", "B"), ("gone", "C")].map(|(name, url)| (name.into(), url.into()));
        let link = |name, url| format!("\x1b]8;;{url}\x1b\\{name}\x1b]8;;\x1b\\");
        let linked = format!("{} and {} changed", link("a b.py", "A"), link("b.py", "B"));
        assert_eq!(all.link("a b.py and b.py changed", &links), linked);
        assert_eq!(none.link("b.py changed", &links), "b.py changed");
        assert_eq!(file_url(Path::new("/a b/\u{1b}]é.py")), "file:///a%20b/%1B%5D%C3%A9.py");
    }
}
