//! Records as short lines for people. Pure: text and a tone, no colour codes, no printing.

use std::time::{Duration, Instant};

use super::history::Cause;
use crate::ui::byte_string::ByteString;

use super::record::{ChangedPath, EndRecord, Record, RootRecord};

/// What a line is like: decides its colour and whether `-q` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Only with `-v`.
    Detail,
    /// As it should be.
    Plain,
    /// Something has been achieved.
    Good,
    /// The developer should know; shown with `-q` too.
    Warning,
    /// Something is broken; shown with `-q` too.
    Bad,
}

/// One line on the terminal, without colour and without escaping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) tone: Tone,
    pub(crate) text: String,
}

/// How many changed paths a line names.
const NAMED: usize = 3;

/// The lines a record makes.
pub(crate) fn lines(record: &Record) -> Vec<Line> {
    match record {
        Record::Watching { files, directories, roots, .. } => {
            vec![plain(format!("watching {} ({})", amount(*files, *directories), modes(roots)))]
        }
        Record::Listening { addresses } => vec![plain(format!("listening on {}", urls(addresses)))],
        Record::Changed { changes } => vec![plain(changed(changes))],
        Record::Restarting { generation, because } => {
            let why =
                if because.is_empty() { "as asked".to_owned() } else { names(because.iter().collect()) };
            vec![detail(format!("generation {generation} is due: {why}"))]
        }
        Record::Building { .. } => vec![plain("building".to_owned())],
        Record::Started { generation, pid, command, changed_to_start_us } => {
            vec![started(*generation, *pid, command, *changed_to_start_us)]
        }
        Record::Ready { generation, address, start_to_ready_us, changed_to_ready_us } => {
            vec![ready(*generation, address.as_deref(), *start_to_ready_us, *changed_to_ready_us)]
        }
        Record::BuildFailed { end, serving, .. } => {
            let what = end.message.clone().unwrap_or_else(|| format!("the build {}", ended(end)));
            vec![bad(format!("{what}{}", serves_on(*serving)))]
        }
        Record::Crashed { .. } => crashed(record),
        Record::Answered { status, request, detail } => {
            vec![Line { tone: Tone::Detail, text: format!("answered {request} with {status}: {detail}") }]
        }
        Record::Paused => vec![plain("paused: changes are remembered; p goes on".to_owned())],
        Record::Resumed => vec![plain("watching again".to_owned())],
        Record::Summary { .. } => summary(record),
        _ => course(record),
    }
}

/// One of the last restarts: `12 s ago: generation 3, src/app.py`.
pub(crate) fn cause(cause: &Cause, now: Instant) -> String {
    let passed = u64::try_from(now.saturating_duration_since(cause.at).as_micros()).unwrap_or(u64::MAX);
    let paths =
        if cause.paths.is_empty() { "as asked".to_owned() } else { names(cause.paths.iter().collect()) };
    format!("{} ago: generation {}, {paths}", time(passed), cause.generation)
}

/// What is waited for: `waiting for 2 responses, 1.2 MB sent`.
pub(crate) fn in_flight(record: &Record) -> String {
    let Record::InFlight { responses, bytes, .. } = record else { return String::new() };
    format!("waiting for {}, {} sent", count(*responses, "response"), size(*bytes))
}

/// A time that goes on, as it is shown while it does: `0.5 s`, `13 s`, `2 min 10 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// The course of a restart: drain, stop, wait.
fn course(record: &Record) -> Vec<Line> {
    match record {
        Record::Draining { generation } => {
            vec![detail(format!("generation {generation} gets no new requests"))]
        }
        Record::InFlight { oldest, since_us, .. } => {
            vec![plain(format!("{}, the oldest for {}: {oldest}", in_flight(record), time(*since_us)))]
        }
        Record::Drained { generation } => {
            vec![detail(format!("generation {generation} has nothing in flight"))]
        }
        Record::Stopping { generation } => vec![detail(format!("stopping generation {generation}"))],
        Record::Stopped { generation, .. } => vec![detail(format!("generation {generation} is gone"))],
        Record::Blocked { pid, command, waited_us } => vec![warn(format!(
            "process {pid} (`{command}`) did not end within {}: killing it",
            time(*waited_us)
        ))],
        Record::Waiting { backoff_us: None } => vec![plain("waiting for a change".to_owned())],
        Record::Waiting { backoff_us: Some(backoff) } => {
            vec![plain(format!("starting again in {}", time(*backoff)))]
        }
        Record::Held { requests } => {
            vec![detail(format!("{} waiting for the server", count(*requests, "request")))]
        }
        _ => matters(record),
    }
}

/// What the developer should know.
fn matters(record: &Record) -> Vec<Line> {
    match record {
        Record::Loop { path, directory, times, rule } => {
            let what = if *directory { "new files in " } else { "" };
            vec![
                warn(format!(
                    "{what}{} changed right after each of the last {times} starts: if nothing else changes, \
                     the restart is delayed (0.3 s, doubling up to 30 s)",
                    path.escaped()
                )),
                warn(format!("to ignore it, add this line to .watchignore: {rule}")),
            ]
        }
        Record::ReloaderInside { name, remedy } => with_remedy(
            format!("the server has a reloader of its own ({name}): two supervisors would fight"),
            remedy,
        ),
        Record::ListensElsewhere { address, .. } => vec![warn(format!(
            "the server listens on {address}, which only one generation can have: they take turns; \
             let it listen on $PORT or {{port}} instead to overlap"
        ))],
        Record::RulesReloaded { files, defects, watched_files, watched_directories } => {
            let news = format!("rules read again: watching {}", amount(*watched_files, *watched_directories));
            let mut lines = vec![plain(format!("{} changed, {news}", names(files.iter().collect())))];
            lines.extend(defects.iter().map(|defect| {
                let file = defect.file.as_ref().map_or_else(|| "-i".to_owned(), ByteString::escaped);
                let text = defect.text.escaped();
                warn(format!("{file}:{}:{}: {text}: {}", defect.line, defect.column, defect.reason))
            }));
            lines
        }
        Record::ModeChanged { root } => {
            vec![warn(format!(
                "{} is watched by {} from now on ({})",
                root.path.escaped(),
                way(root.mode),
                root.why
            ))]
        }
        Record::WaitingForGit { marker } => {
            vec![plain(format!("git is at work ({}): the restart waits for it", marker.escaped()))]
        }
        Record::Rescanned { files, took_us } => vec![plain(format!(
            "the kernel dropped events: compared {} again in {}, nothing is lost",
            count(*files, "file"),
            time(*took_us)
        ))],
        Record::Reconfigured { file, restarted } => {
            let effect = if *restarted { "in effect, with a restart" } else { "in effect" };
            vec![plain(format!("{} changed: {effect}", file.escaped()))]
        }
        Record::Warning { message, remedy } => with_remedy(message.clone(), remedy),
        _ => Vec::new(),
    }
}

fn started(generation: u64, pid: u32, command: &str, since: Option<u64>) -> Line {
    match since {
        None => plain(format!("started `{command}` (pid {pid})")),
        Some(since) => {
            detail(format!("started generation {generation} (pid {pid}) {} after the change", time(since)))
        }
    }
}

fn ready(generation: u64, address: Option<&str>, start: u64, changed: Option<u64>) -> Line {
    match (changed, address) {
        (Some(changed), _) => good(format!("restarted in {}", time(changed))),
        (None, Some(address)) => good(format!("ready in {} (upstream {address})", time(start))),
        (None, None) => detail(format!("generation {generation} runs")),
    }
}

fn crashed(record: &Record) -> Vec<Line> {
    let Record::Crashed { end, serving, was_ready, generation } = record else { return Vec::new() };
    let clean = end.status == Some(0) && *was_ready;
    let subject =
        if serving.is_some() { format!("generation {generation} ") } else { "the server ".to_owned() };
    let text = match &end.message {
        Some(message) => format!("{message}{}", serves_on(*serving)),
        None => format!("{subject}{}{}", ended(end), serves_on(*serving)),
    };
    vec![Line { tone: if clean { Tone::Plain } else { Tone::Bad }, text }]
}

fn summary(record: &Record) -> Vec<Line> {
    let Record::Summary { restarts, changes, ignored, ran_us, down_us, .. } = record else {
        return Vec::new();
    };
    let number = |number: &u64, noun| count(usize::try_from(*number).unwrap_or(usize::MAX), noun);
    let (restarts, changes) = (number(restarts, "restart"), number(changes, "changed file"));
    let mut text = format!("stopped after {}: {restarts} for {changes}", time(*ran_us));
    if *ignored > 0 {
        text = format!("{text}, {} ignored", number(ignored, "event"));
    }
    if *down_us > 0 {
        text = format!("{text}, down for {}", time(*down_us));
    }
    vec![plain(text)]
}

fn ended(end: &EndRecord) -> String {
    format!("{} after {}", end.how, time(end.ran_us))
}

fn serves_on(serving: Option<u64>) -> String {
    serving.map(|generation| format!("; generation {generation} goes on serving")).unwrap_or_default()
}

/// `src/app.py changed`, `a.py and b.py changed, c.py removed`, `a, b, c and 497 more changed`.
fn changed(changes: &[ChangedPath]) -> String {
    let parts = ["changed", "created", "removed"].into_iter().filter_map(|kind| {
        let paths = changes.iter().filter(|change| change.kind == kind).map(|change| &change.path);
        let named = names(paths.collect());
        (!named.is_empty()).then(|| format!("{named} {kind}"))
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn names(paths: Vec<&ByteString>) -> String {
    let count = paths.len();
    let paths: Vec<String> = paths.into_iter().take(NAMED).map(ByteString::escaped).collect();
    match &paths[..] {
        [] => String::new(),
        [one] => one.clone(),
        paths if count <= NAMED => {
            let (last, rest) = paths.split_at(paths.len() - 1);
            format!("{} and {}", last.join(", "), rest.join(""))
        }
        paths => format!("{} and {} more", paths.join(", "), count - NAMED),
    }
}

/// `event`, `stat: nfs`, `event; /mnt/c stat: no-events: 9p`.
fn modes(roots: &[RootRecord]) -> String {
    let Some(first) = roots.first() else { return "nothing".to_owned() };
    let same = roots.iter().all(|root| root.mode == first.mode);
    let shown = |root: &RootRecord| match root.why.as_str() {
        "asked" | "local" => root.mode.to_owned(),
        why => format!("{}, {why}", root.mode),
    };
    match same {
        true => shown(first),
        false => {
            let each = roots.iter().map(|root| format!("{}: {}", root.path.escaped(), shown(root)));
            each.collect::<Vec<_>>().join("; ")
        }
    }
}

fn way(mode: &str) -> &str {
    if mode == "stat" { "scanning" } else { "events" }
}

fn amount(files: usize, directories: usize) -> String {
    let directories = match directories {
        1 => "1 directory".to_owned(),
        many => format!("{many} directories"),
    };
    format!("{} in {directories}", count(files, "file"))
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Addresses as what one opens; the loopback of both families is `localhost`.
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

fn time(micros: u64) -> String {
    let duration = Duration::from_micros(micros);
    match micros {
        0..10_000 => format!("{:.1} ms", duration.as_secs_f64() * 1e3),
        10_000..1_000_000 => format!("{:.0} ms", duration.as_secs_f64() * 1e3),
        1_000_000..60_000_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ => format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

fn with_remedy(message: String, remedy: &str) -> Vec<Line> {
    let mut lines = vec![warn(message)];
    if !remedy.is_empty() {
        lines.push(warn(remedy.to_owned()));
    }
    lines
}

fn detail(text: String) -> Line {
    Line { tone: Tone::Detail, text }
}

fn plain(text: String) -> Line {
    Line { tone: Tone::Plain, text }
}

fn good(text: String) -> Line {
    Line { tone: Tone::Good, text }
}

fn warn(text: String) -> Line {
    Line { tone: Tone::Warning, text }
}

fn bad(text: String) -> Line {
    Line { tone: Tone::Bad, text }
}
