//! What is reported about one event, and the words for the parts of the library's events.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use anstyle::Style;
use devrun::session::EventJson;
use devrun::supervise::{ExitReport, InnerReloader, ReloadEffect};
use devrun::watch::{RootReport, Summary, Why};
use devrun::{proxy, supervise};
use serde::Serialize;

use crate::config::OutputSettings;
use crate::ui::{
    ERROR, FAINT, GOOD, Link, Object, Terminal, WARNING, count, escape_text, size, styled, time, worded,
};

/// The version of the schema. It is raised when a field changes its meaning or goes away, not when one is
/// added.
const VERSION: u32 = 1;

/// How important a line is. It decides the colour, and which lines `-q` and `-v` show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Shown with `-v`.
    Detail,
    /// Shown unless `-q`.
    Info,
    /// As `Info`, in green.
    Success,
    /// Always shown.
    Warning,
    /// Always shown.
    Error,
}

impl Level {
    /// The least level that `-q` and `-v` show.
    pub(super) fn least_shown(output: OutputSettings) -> Self {
        match (output.quiet, output.verbose) {
            (true, _) => Self::Warning,
            (false, 0) => Self::Info,
            (false, _) => Self::Detail,
        }
    }

    /// Prints a line of this level to standard error, with links on the names that it contains in this order.
    pub(super) fn print(self, line: &str, links: &[Link], terminal: &mut Terminal) {
        let style = match self {
            Self::Detail => FAINT,
            Self::Info => Style::new(),
            Self::Success => GOOD,
            Self::Warning => WARNING,
            Self::Error => ERROR,
        };
        let line = terminal.link(&escape_text(line), links);
        terminal.eprintln(format_args!("{} {}", styled(FAINT, "devrun:"), styled(style, line)));
    }
}

/// The report on one event: short lines for people, and the keys of its JSON object (docs/reference/events.md) that only
/// the program knows.
pub(super) struct Record {
    keys: Object,
    /// Lines without colour and without escaping.
    lines: Vec<(Level, String)>,
    /// In the order of the names in the lines.
    links: Vec<Link>,
}

impl Record {
    /// A record with one line, or with none if the line is empty.
    pub(super) fn new(level: Level, line: impl Into<String>) -> Self {
        Self { keys: Object::default(), lines: Vec::new(), links: Vec::new() }.and(level, line)
    }

    /// A warning; the remedy may be empty.
    pub(super) fn warning(message: &str, remedy: &str) -> Self {
        Self::new(Level::Warning, message).and(Level::Warning, remedy)
    }

    /// Adds keys that the event itself does not have.
    pub(super) fn with_keys(mut self, keys: Object) -> Self {
        self.keys = keys;
        self
    }

    /// Adds a line, unless it is empty.
    pub(super) fn and(mut self, level: Level, line: impl Into<String>) -> Self {
        self.lines.extend(Some((level, line.into())).filter(|(_, line)| !line.is_empty()));
        self
    }

    /// Links names in the lines to addresses.
    pub(super) fn with_links(mut self, links: Vec<Link>) -> Self {
        self.links = links;
        self
    }

    /// Appends a text to each line.
    pub(super) fn append(&mut self, text: &str) {
        self.lines.iter_mut().for_each(|(_, line)| line.push_str(text));
    }

    /// Whether a line reports a failure.
    pub(super) fn is_failure(&self) -> bool {
        self.lines.iter().any(|(level, _)| *level == Level::Error)
    }

    /// Prints the lines of this level and above.
    pub(super) fn print(&self, least: Level, terminal: &mut Terminal) {
        for (level, line) in self.lines.iter().filter(|(level, _)| *level >= least) {
            level.print(line, &self.links, terminal);
        }
    }

    /// The record as one line of JSON: `{"v":1,"time":"…","event":"changed",…}`. The time is UTC in the form of
    /// RFC 3339, with microseconds.
    pub(super) fn into_json(self, event: Option<EventJson<'_>>, time: SystemTime) -> String {
        let time = humantime::format_rfc3339_micros(time).to_string();
        let line = JsonLine { v: VERSION, time, event, keys: self.keys };
        serde_json::to_string(&line).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct JsonLine<'a> {
    v: u32,
    time: String,
    #[serde(flatten)]
    event: Option<EventJson<'a>>,
    #[serde(flatten)]
    keys: Object,
}

/// The first key of an event of the program itself: its name.
pub(super) fn event(name: &'static str) -> Object {
    Object::default().set("event", name)
}

/// Whole microseconds of a duration.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The message of the report. Without one: `SUBJECT exited with status 1 after 2.0 s`.
pub(super) fn end_sentence(report: &ExitReport, subject: &str, serving: Option<u64>) -> String {
    let goes_on = serving.map(|generation| format!("; generation {generation} goes on serving"));
    let goes_on = goes_on.unwrap_or_default();
    match (end_message(report), worded(&report.remedy)) {
        (Some(message), _) => message + &goes_on,
        (None, remedy) => {
            let remedy = if remedy.is_empty() { remedy } else { format!("; {remedy}") };
            let end = format!("{subject} {} after {}", report.ended, time(report.ran));
            format!("{}{goes_on}{remedy}", end.trim_start())
        }
    }
}

/// `cannot run flsk: not found in PATH; did you mean flask?`
fn end_message(report: &ExitReport) -> Option<String> {
    let remedy = worded(&report.remedy);
    let message = report.message.clone()?;
    Some(if remedy.is_empty() { message } else { format!("{message}; {remedy}") })
}

/// A generation that cannot run beside an older one. `address` is the port that both need.
pub(super) fn takes_turns(event: &supervise::Event, address: Option<SocketAddr>) -> Record {
    let own = address.map_or("a lock or a file of its own", |_| "a port of its own");
    let line = format!("{event}, as with --no-overlap; they overlap only if each has {own}");
    Record::new(Level::Warning, line)
}

/// The reason for the mode of a root, for people.
pub(crate) fn mode_reason(why: &Why) -> String {
    match why {
        Why::Asked => "as configured".into(),
        Why::Local => "a local file system".into(),
        Why::NoEvents(system) => format!("{} sends no events", escape_text(system)),
        Why::Limit(limit) => escape_text(limit).into_owned(),
        Why::Unreadable => "not readable".into(),
        Why::Missing => "does not exist yet".into(),
        _ => "for another reason".into(),
    }
}

/// `event`, or `stat, no-events: nfs`.
pub(super) fn mode(root: &RootReport) -> String {
    match root.why {
        Why::Asked | Why::Local => root.mode.as_str().to_owned(),
        _ => format!("{}, {}", root.mode.as_str(), root.why),
    }
}

/// `3 files in 1 directory`
pub(super) fn extent(summary: &Summary) -> String {
    format!("{} in {}", count(summary.files, "file"), count(summary.directories, "directory"))
}

/// The responses in flight: `waiting for 2 responses, 1.2 MB sent: GET /poll`.
pub(super) fn in_flight(responses: usize, bytes: u64, oldest: &str) -> String {
    format!("waiting for {}, {} sent: {oldest}", count(responses, "response"), size(bytes))
}

/// An event of the proxy.
pub(super) fn proxy_event(event_of_proxy: &proxy::Event) -> Record {
    match event_of_proxy {
        proxy::Event::InFlight { responses, bytes, oldest, since, .. } => {
            let (waiting, since) = (in_flight(*responses, *bytes, oldest), time(*since));
            Record::new(Level::Info, format!("{waiting}, for {since} (at most --drain-timeout)"))
        }
        proxy::Event::Drained { .. } | proxy::Event::Held { .. } => {
            Record::new(Level::Detail, event_of_proxy.to_string())
        }
        proxy::Event::Answered { status, request, detail, remedy } => {
            let mut detail = detail.clone();
            if *remedy != devrun::Remedy::None {
                detail = format!("{detail}; {}", worded(remedy));
            }
            let line = format!("answered {request} with {status}: {detail}");
            // While the server starts or is down, other lines say so.
            let is_news = *status >= 500 && *status != 503;
            Record::new(if is_news { Level::Warning } else { Level::Detail }, line)
        }
        other => Record::warning(&other.to_string(), ""),
    }
}

/// What a reloader inside COMMAND does, and how to turn it off.
pub(super) fn reloader_inside(reloader: InnerReloader, command: &str) -> Record {
    let InnerReloader { name, effect, change, .. } = reloader;
    let what = match effect {
        ReloadEffect::Cuts => "at an edit it cuts all responses in flight, behind --proxy too",
        ReloadEffect::Finishes => "after an edit, new code waits until all responses have ended",
        _ => "devrun restarts it for each edit that it applies itself",
    };
    Record::new(Level::Warning, format!("{command} has its own reloader ({name}): {what}"))
        .and(Level::Warning, change)
}

/// The links of the URLs in the text of [`urls`].
pub(super) fn url_links(urls: &str) -> Vec<Link> {
    let urls = urls.split(' ').filter(|word| word.starts_with("http://"));
    urls.map(|url| (url.to_owned(), url.to_owned())).collect()
}

/// Addresses as URLs to open. The loopback addresses of both families become `localhost`.
pub(super) fn urls(addresses: &[SocketAddr]) -> String {
    match addresses {
        [one, other]
            if one.port() == other.port()
                && [one, other].iter().all(|address| {
                    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].contains(&address.ip())
                }) =>
        {
            format!("http://localhost:{}", one.port())
        }
        _ => addresses.iter().map(|address| format!("http://{address}")).collect::<Vec<_>>().join(" and "),
    }
}
