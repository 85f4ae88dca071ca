//! Records as short lines for people. Pure: makes lines and prints nothing.

use std::time::Duration;

use devrun::watch::Why;

use super::line::Line;
use super::record::{
    ChangedPath, Milestone, Ready, Reconfigured, Record, RestartLoop, Restarting, RootRecord, RulesReloaded,
    Summary, WaitingForGit, micros,
};
use crate::ui::{ByteString, count, escape_text, size, time};

/// Maximum number of paths that a line names.
const MAX_NAMED_PATHS: usize = 3;

/// The lines of a record.
pub(super) fn lines(record: &Record) -> Vec<Line> {
    match record {
        Record::Listening { addresses } => vec![Line::info(format!("listening on {}", urls(addresses)))],
        Record::Held { requests } => {
            vec![Line::detail(format!("{} waiting for the server", count(*requests, "request")))]
        }
        Record::Answered { status, request, detail } => {
            let text = format!("answered {request} with {status}: {detail}");
            // While the server starts or is down, other lines say so.
            let is_news = *status >= 500 && *status != 503;
            vec![if is_news { Line::warning(text) } else { Line::detail(text) }]
        }
        Record::Paused => vec![Line::info("paused: changes are remembered until p is pressed again")],
        Record::Resumed => vec![Line::info("resumed")],
        Record::Reconfigured(Reconfigured { file, restarted }) => {
            let effect = if *restarted { "in effect, with a restart" } else { "in effect" };
            vec![Line::info(format!("{} changed: {effect}", file.escaped()))]
        }
        Record::Warning { message, remedy } => with_remedy(message.clone(), remedy),
        Record::Summary(totals) => vec![summary(totals)],
        _ => watch_lines(record).or_else(|| start_lines(record)).unwrap_or_else(|| stop_lines(record)),
    }
}

/// One restart: `12 s ago: generation 3, src/app.py`.
pub(super) fn restart(restart: &Restarting, ago: Duration) -> String {
    format!("{} ago: generation {}, {}", time(micros(ago)), restart.generation, cause(&restart.because))
}

/// The reason for the mode of a root.
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

/// The responses in flight: `waiting for 2 responses, 1.2 MB sent`.
pub(super) fn in_flight(responses: usize, bytes: u64) -> String {
    format!("waiting for {}, {} sent", count(responses, "response"), size(bytes))
}

/// The lines of an event of the watch.
fn watch_lines(record: &Record) -> Option<Vec<Line>> {
    Some(match record {
        Record::Watching { files, directories, roots, .. } => {
            vec![Line::info(format!("watching {} ({})", extent(*files, *directories), modes(roots)))]
        }
        Record::Changed { changes } => vec![Line::info(changed(changes))],
        Record::RulesReloaded(RulesReloaded { files, defects, watched_files, watched_directories }) => {
            let mut lines = vec![Line::info(format!(
                "{} changed, rules reloaded: watching {}",
                enumerate(files.iter().collect()),
                extent(*watched_files, *watched_directories)
            ))];
            lines.extend(defects.iter().map(|defect| Line::warning(defect.sentence())));
            lines
        }
        Record::ModeChanged { root } => vec![Line::warning(format!(
            "{} is now watched by {}",
            root.path.escaped(),
            root.method_and_reason()
        ))],
        Record::WaitingForGit(WaitingForGit { marker }) => {
            vec![Line::info(format!("git is running ({}): the restart waits for it", marker.escaped()))]
        }
        Record::Rescanned { files, took_us } => vec![Line::info(format!(
            "the kernel dropped events: compared {} again in {}, so that no change is lost",
            count(*files, "file"),
            time(*took_us)
        ))],
        Record::Loop(RestartLoop { path, directory, times, rule }) => {
            let what = if *directory { "new files in " } else { "" };
            vec![
                Line::warning(format!(
                    "{what}{} changed right after each of the last {times} starts: if nothing else changes, \
                     the restart is delayed (0.3 s, doubling up to 30 s)",
                    path.escaped()
                )),
                Line::warning(format!("to ignore it, add this line to .watchignore: {rule}")),
            ]
        }
        _ => return None,
    })
}

/// The lines of an event on the way to a ready generation.
fn start_lines(record: &Record) -> Option<Vec<Line>> {
    Some(match record {
        Record::Restarting(Restarting { generation, because }) => {
            vec![Line::detail(format!("generation {generation} is due: {}", cause(because)))]
        }
        Record::Building { .. } => vec![Line::info("building")],
        Record::BuildFailed { end, serving, .. } => {
            vec![Line::error(format!("{}{}", end.sentence("the build"), still_serving(*serving)))]
        }
        Record::Started { generation, pid, command, changed_to_start_us } => {
            vec![started(*generation, *pid, command, *changed_to_start_us)]
        }
        Record::Ready(record) => vec![ready(record)],
        Record::ReloaderInside { name, remedy } => with_remedy(
            format!("the server has its own reloader ({name}): both would restart it for each change"),
            remedy,
        ),
        Record::ListensElsewhere { address, .. } => vec![Line::warning(format!(
            "the server listens on {address}, which only one generation can use: generations take turns; \
             to let them overlap, make it listen on $PORT or {{port}}"
        ))],
        _ => return None,
    })
}

/// The lines of an event on the way to the end of a generation.
fn stop_lines(record: &Record) -> Vec<Line> {
    match record {
        Record::Draining { generation } => {
            vec![Line::detail(format!("generation {generation} gets no new requests"))]
        }
        Record::InFlight { oldest, since_us, responses, bytes, .. } => vec![Line::info(format!(
            "{}, the oldest for {}: {oldest}",
            in_flight(*responses, *bytes),
            time(*since_us)
        ))],
        Record::Drained { generation } => {
            vec![Line::detail(format!("generation {generation} has no responses in flight"))]
        }
        Record::Stopping { generation } => vec![Line::detail(format!("stopping generation {generation}"))],
        Record::Stopped { generation, .. } => {
            vec![Line::detail(format!("generation {generation} has ended"))]
        }
        Record::Blocked { pid, command, waited_us } => vec![Line::warning(format!(
            "process {pid} (`{command}`) did not end within {}: killing it",
            time(*waited_us)
        ))],
        Record::Crashed { generation, end, serving, was_ready } => {
            let subject = match serving {
                Some(_) => format!("generation {generation}"),
                None => "the server".to_owned(),
            };
            let text = format!("{}{}", end.sentence(&subject), still_serving(*serving));
            vec![if end.is_success() && *was_ready { Line::info(text) } else { Line::error(text) }]
        }
        Record::Waiting { backoff_us: None } => vec![Line::info("waiting for a change")],
        Record::Waiting { backoff_us: Some(backoff) } => {
            vec![Line::info(format!("restarting in {}", time(*backoff)))]
        }
        _ => Vec::new(),
    }
}

fn started(generation: u64, pid: u32, command: &str, since_change: Option<u64>) -> Line {
    match since_change {
        None => Line::info(format!("started `{command}` (pid {pid})")),
        Some(since) => Line::detail(format!(
            "started generation {generation} (pid {pid}) {} after the change",
            time(since)
        )),
    }
}

fn ready(record: &Ready) -> Line {
    match (record.changed_to_ready_us, &record.address) {
        (Some(since), _) => {
            let what = if record.milestone == Milestone::Ready { "ready" } else { "started" };
            Line::success(format!("{what} in {}", time(since)))
        }
        (None, Some(address)) => {
            Line::success(format!("ready in {} (upstream {address})", time(record.start_to_ready_us)))
        }
        (None, None) => Line::detail(format!("generation {} is running", record.generation)),
    }
}

fn summary(totals: &Summary) -> Line {
    let Summary { restarts, changes, ignored, ran_us, down_us, .. } = totals;
    let count = |number: &u64, noun| count(usize::try_from(*number).unwrap_or(usize::MAX), noun);
    let (restarts, changes) = (count(restarts, "restart"), count(changes, "changed file"));
    let mut text = format!("stopped after {}: {restarts} for {changes}", time(*ran_us));
    if *ignored > 0 {
        text = format!("{text}, {} ignored", count(ignored, "event"));
    }
    if *down_us > 0 {
        text = format!("{text}, down for {}", time(*down_us));
    }
    Line::info(text)
}

fn still_serving(serving: Option<u64>) -> String {
    serving.map(|generation| format!("; generation {generation} goes on serving")).unwrap_or_default()
}

fn cause(paths: &[ByteString]) -> String {
    if paths.is_empty() { "as requested".to_owned() } else { enumerate(paths.iter().collect()) }
}

/// `src/app.py changed`, `a.py and b.py changed, c.py removed`, `a, b, c and 497 more changed`.
fn changed(changes: &[ChangedPath]) -> String {
    let parts = ["changed", "created", "removed"].into_iter().filter_map(|kind| {
        let paths = changes.iter().filter(|change| change.kind == kind).map(|change| &change.path);
        let paths = enumerate(paths.collect());
        (!paths.is_empty()).then(|| format!("{paths} {kind}"))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// `a`, `a and b`, `a, b and c`, `a, b, c and 497 more`.
fn enumerate(paths: Vec<&ByteString>) -> String {
    let count = paths.len();
    let paths: Vec<String> = paths.into_iter().take(MAX_NAMED_PATHS).map(ByteString::escaped).collect();
    match &paths[..] {
        [] => String::new(),
        [path] => path.clone(),
        [first @ .., last] if count <= MAX_NAMED_PATHS => format!("{} and {last}", first.join(", ")),
        paths => format!("{} and {} more", paths.join(", "), count - MAX_NAMED_PATHS),
    }
}

/// `event`, `stat, no-events: nfs`, or each root by name if the modes differ: `.: event; /mnt/c: stat,
/// no-events: 9p`.
fn modes(roots: &[RootRecord]) -> String {
    let Some(first) = roots.first() else { return "nothing".to_owned() };
    if roots.iter().all(|root| root.mode == first.mode) {
        return first.mode_and_reason();
    }
    let each = roots.iter().map(|root| format!("{}: {}", root.path.escaped(), root.mode_and_reason()));
    each.collect::<Vec<_>>().join("; ")
}

/// `3 files in 1 directory`
fn extent(files: usize, directories: usize) -> String {
    format!("{} in {}", count(files, "file"), count(directories, "directory"))
}

/// Addresses as URLs to open. The loopback addresses of both families become `localhost`.
fn urls(addresses: &[String]) -> String {
    let ports: Vec<&str> = addresses
        .iter()
        .filter_map(|address| address.strip_prefix("127.0.0.1:").or_else(|| address.strip_prefix("[::1]:")))
        .collect();
    match ports.as_slice() {
        [port, other] if port == other && addresses.len() == 2 => format!("http://localhost:{port}"),
        _ => addresses.iter().map(|address| format!("http://{address}")).collect::<Vec<_>>().join(" and "),
    }
}

fn with_remedy(message: String, remedy: &str) -> Vec<Line> {
    let mut lines = vec![Line::warning(message)];
    if !remedy.is_empty() {
        lines.push(Line::warning(remedy));
    }
    lines
}
