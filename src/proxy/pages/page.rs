//! The HTML page of an error.

use super::ansi_html;
use crate::proxy::upstream::FailureReport;

const TEMPLATE: &str = include_str!("assets/page.html");
/// Maximum number of output lines on the page.
const MAX_OUTPUT_LINES: usize = 300;
/// Maximum number of changed paths on the page.
const MAX_CHANGED_PATHS: usize = 20;
/// Reload for browsers without scripts.
const META_REFRESH: &str = "<noscript><meta http-equiv=\"refresh\" content=\"2\"></noscript>";

/// Content of an error page.
pub(super) struct Page<'a> {
    /// HTTP status; empty for a page that is no error response.
    pub(super) status: &'a str,
    pub(super) title: &'a str,
    pub(super) detail: &'a str,
    pub(super) report: Option<&'a FailureReport>,
    pub(super) origin: PageOrigin<'a>,
    pub(super) retry: RetryHint,
}

/// The port that a page comes from, which decides how the page's script learns about newer code.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) enum PageOrigin<'a> {
    /// The proxy, which sends an event when a generation serves whose page identity differs from this one.
    Proxy(&'a str),
    /// A server's own socket, where an event stream ends when the server takes the socket again.
    SharedSocket,
}

/// When the same request may succeed.
#[derive(Debug, Clone, Copy)]
pub(super) enum RetryHint {
    /// Once a server is ready.
    WhenReady,
    /// After the next change of the code.
    AfterChange,
    /// There is nothing to wait for.
    None,
}

impl Page<'_> {
    pub(super) fn render(&self) -> String {
        let output = self
            .report
            .map(|report| ansi_html::to_html(&report.output, MAX_OUTPUT_LINES))
            .unwrap_or_default();
        let (origin, id) = match self.origin {
            PageOrigin::Proxy(id) => ("own", id),
            PageOrigin::SharedSocket => ("listen", ""),
        };
        fill_template(TEMPLATE, |name| match name {
            "status" => self.status.to_owned(),
            "title" => ansi_html::escape(&capitalised(self.title)),
            "detail" => ansi_html::escape(self.detail),
            "command" => self.report.map(command_html).unwrap_or_default(),
            "changed" => self.report.map(changed_html).unwrap_or_default(),
            "output" if output.is_empty() => String::new(),
            "output" => output_html(&output),
            "refresh" if matches!(self.retry, RetryHint::WhenReady) => META_REFRESH.to_owned(),
            "footer" => self.retry.text().to_owned(),
            "id" => ansi_html::escape(id),
            "place" => origin.to_owned(),
            _ => String::new(),
        })
    }
}

impl RetryHint {
    fn text(self) -> &'static str {
        match self {
            Self::WhenReady => "This page reloads itself when the server is ready.",
            Self::AfterChange => "This page reloads itself when newer code is ready.",
            Self::None => "",
        }
    }
}

fn output_html(output: &str) -> String {
    format!(
        "<section><h2 id=\"output\">Last output</h2><div class=\"pane\" tabindex=\"0\" role=\"region\" \
         aria-labelledby=\"output\"><pre>{output}</pre></div></section>"
    )
}

fn command_html(report: &FailureReport) -> String {
    if report.command.is_empty() {
        return String::new();
    }
    format!("<p class=\"command\"><code dir=\"auto\">{}</code></p>", ansi_html::escape(&report.command))
}

fn changed_html(report: &FailureReport) -> String {
    if report.changed.is_empty() {
        return String::new();
    }
    let shown = report.changed.iter().take(MAX_CHANGED_PATHS);
    let items: String =
        shown.map(|path| format!("<li><bdi>{}</bdi></li>", ansi_html::escape(path))).collect();
    let more = match report.changed.len().saturating_sub(MAX_CHANGED_PATHS) {
        0 => String::new(),
        more => format!("<li>and {more} more</li>"),
    };
    format!("<section><h2>Changed</h2><ul>{items}{more}</ul></section>")
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Replaces each `{{name}}` in one pass, so that no value is taken for a template.
fn fill_template(template: &str, value: impl Fn(&str) -> String) -> String {
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
