//! The page for a browser's navigation that devrun answers itself.

use super::ansi;
use super::upstream::FailureReport;

const PAGE: &str = include_str!("assets/page.html");
/// How much of the output is shown, in lines.
const PAGE_LINES: usize = 300;
/// For browsers without the script, which does better.
const REFRESH: &str = "<noscript><meta http-equiv=\"refresh\" content=\"2\"></noscript>";

/// What a page shows.
pub(super) struct Page<'a> {
    /// Empty where the status says nothing.
    pub(super) status: &'a str,
    pub(super) title: &'a str,
    pub(super) detail: &'a str,
    pub(super) report: Option<&'a FailureReport>,
    pub(super) place: Place<'a>,
    pub(super) outlook: Outlook,
}

/// Who will tell the page's script that there is something new.
pub(super) enum Place<'a> {
    /// The proxy: once another generation serves than the one of this identity, if it is about one.
    Proxy(&'a str),
    /// A server's own socket, once the server has it back.
    Socket,
}

/// What the reader has to wait for.
pub(super) enum Outlook {
    /// A server: asking again does no harm, and helps.
    Server,
    /// A change of the code: the same request would be answered the same again.
    Change,
    /// Nothing.
    Fine,
}

impl Page<'_> {
    pub(super) fn render(&self) -> String {
        let output = self.report.map(|report| ansi::to_html(&report.output, PAGE_LINES)).unwrap_or_default();
        let (place, id) = match self.place {
            Place::Proxy(id) => ("own", id),
            Place::Socket => ("listen", ""),
        };
        fill(PAGE, |name| match name {
            "status" => self.status.to_owned(),
            "title" => ansi::escape(&capitalised(self.title)),
            "detail" => ansi::escape(self.detail),
            "command" => self.report.map(command).unwrap_or_default(),
            "changed" => self.report.map(changed).unwrap_or_default(),
            "output" if output.is_empty() => String::new(),
            "output" => pane(&output),
            "refresh" => if matches!(self.outlook, Outlook::Server) { REFRESH } else { "" }.to_owned(),
            "footer" => self.outlook.words().to_owned(),
            "id" => ansi::escape(id),
            "place" => place.to_owned(),
            _ => String::new(),
        })
    }
}

impl Outlook {
    fn words(&self) -> &'static str {
        match self {
            Self::Server => "This page comes back by itself once the server is ready.",
            Self::Change => "This page reloads itself when newer code is ready.",
            Self::Fine => "",
        }
    }
}

fn pane(output: &str) -> String {
    format!(
        "<section><h2 id=\"output\">Last output</h2><div class=\"pane\" tabindex=\"0\" role=\"region\" \
         aria-labelledby=\"output\"><pre>{output}</pre></div></section>"
    )
}

fn command(report: &FailureReport) -> String {
    if report.command.is_empty() {
        return String::new();
    }
    format!("<p class=\"command\"><code dir=\"auto\">{}</code></p>", ansi::escape(&report.command))
}

fn changed(report: &FailureReport) -> String {
    if report.changed.is_empty() {
        return String::new();
    }
    let items =
        report.changed.iter().take(20).map(|path| format!("<li><bdi>{}</bdi></li>", ansi::escape(path)));
    let more = match report.changed.len().saturating_sub(20) {
        0 => String::new(),
        more => format!("<li>and {more} more</li>"),
    };
    format!("<section><h2>Changed</h2><ul>{}{more}</ul></section>", items.collect::<String>())
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Fills a template's `{{name}}`s in one pass, so that what is filled in is never a template itself.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut filled = String::with_capacity(template.len() + 1024);
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once("{{") {
        let Some((name, after)) = behind.split_once("}}") else { break };
        filled.push_str(before);
        filled.push_str(&value(name));
        rest = after;
    }
    filled.push_str(rest);
    filled
}
