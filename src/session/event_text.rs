//! The events of the library as sentences: `Display` of [`Event`] and of the events of its parts.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::time::Duration;

use super::session::Event;
use crate::change::Change;
use crate::supervise::{ExitReport, Outcome, Phase, ProcessExit, SupervisorExit};
use crate::watch::{Mode, Summary};
use crate::{GenerationId, Remedy, supervise, watch};

/// Maximum number of paths in a sentence.
const MAX_PATHS: usize = 5;

impl Display for Event {
    /// One sentence about the event: `/srv/app.py changed`, `generation 2 is ready at 127.0.0.1:4000`. Its words may
    /// change; programs match the variants.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watching(summary) => write!(f, "watching {}", extent(summary)),
            Self::Watch(event) => event.fmt(f),
            Self::Child(event) => event.fmt(f),
            #[cfg(feature = "proxy")]
            Self::Proxy(event) => event.fmt(f),
            Self::Ended(exit) => write!(f, "the session has ended{}", reason(*exit)),
        }
    }
}

impl Display for watch::Event {
    /// One sentence about the event: `/srv/app.py changed`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(batch) => {
                let mut separator = "";
                for kind in ["changed", "created", "removed"] {
                    let of_kind = |change: &&Change| change.kind.as_str() == kind;
                    let paths: Vec<_> =
                        batch.changes.iter().filter(of_kind).map(|change| &*change.path).collect();
                    if !paths.is_empty() {
                        write!(f, "{separator}{} {kind}", list(&paths))?;
                        separator = ", ";
                    }
                }
                Ok(())
            }
            Self::RulesReloaded { files, summary, defects } => {
                let files: Vec<_> = files.iter().map(|file| &**file).collect();
                write!(f, "{} changed, rules reloaded: watching {}", list(&files), extent(summary))?;
                defects.iter().try_for_each(|defect| write!(f, "; {defect}"))
            }
            Self::ModeChanged(root) => {
                let method = if root.mode == Mode::Stat { "scanning" } else { "events" };
                write!(f, "{} is now watched by {method} ({})", root.path.display(), root.why)
            }
            Self::WaitingForGit { marker } => {
                write!(f, "git is running ({}): the restart waits for it", marker.display())
            }
            Self::Rescanned { files, took } => {
                let files = count(*files, "file", "files");
                let took = seconds(*took);
                write!(
                    f,
                    "the kernel dropped events: compared {files} again in {took}, so that no change is lost"
                )
            }
            Self::Synced(id) => write!(f, "all edits before request {} are reported", id.number()),
            Self::Warning { message, remedy } => with_remedy(f, message, remedy),
        }
    }
}

impl Display for supervise::Event {
    /// One sentence about the event: `generation 2 is ready at 127.0.0.1:4000`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phase { generation, phase } => phase_text(f, *generation, phase),
            Self::Restarting { generation, because: None } => {
                write!(f, "generation {generation} is due: as requested")
            }
            Self::Restarting { generation, because: Some(batch) } => {
                let paths: Vec<_> = batch.changes.iter().map(|change| &*change.path).collect();
                write!(f, "generation {generation} is due: {}", list(&paths))
            }
            Self::Blocked { pid, command, waited } => {
                let waited = seconds(*waited);
                write!(f, "process {pid} (`{command}`) did not end within {waited}: killing it")
            }
            Self::Waiting { backoff: None } => f.write_str("waiting for a change"),
            Self::Waiting { backoff: Some(delay) } => write!(f, "restarting in {}", seconds(*delay)),
            Self::RestartLoop { path, directory, times } => {
                let what = if directory.is_some() { "new files in " } else { "" };
                let place = directory.as_ref().unwrap_or(path).display();
                write!(f, "{what}{place} changed right after each of the last {times} starts")
            }
            Self::ReloaderInside(reloader) => {
                write!(f, "the command has its own reloader ({}): {}", reloader.name, reloader.change)
            }
            Self::ListensElsewhere { generation, endpoint } => write!(
                f,
                "generation {generation} listens on {endpoint}, which only one generation can use: generations \
                 take turns from now on"
            ),
            Self::TakesTurns { generation, holder, address, words } => {
                let has = address.map(|address| format!(", which has {address}")).unwrap_or_default();
                write!(
                    f,
                    "generation {generation} cannot run beside generation {holder}{has} (`{words}`): generations \
                     take turns from now on"
                )
            }
            Self::Suspended => f.write_str("all processes are stopped until they are continued"),
            Self::Paused => f.write_str("paused: changes are remembered"),
            Self::Resumed => f.write_str("resumed"),
            Self::Halting => f.write_str("the command is stopping and will not be restarted"),
            Self::Halted => f.write_str("the command is stopped until a start is requested"),
            Self::Settled { id, outcome } => {
                write!(f, "request {} is settled: ", id.number())?;
                outcome_text(f, outcome)
            }
            Self::Warning { message, remedy } => with_remedy(f, message, remedy),
            Self::Ended(exit) => write!(f, "the supervisor has ended{}", reason(*exit)),
        }
    }
}

fn phase_text(f: &mut Formatter<'_>, generation: GenerationId, phase: &Phase) -> fmt::Result {
    match phase {
        Phase::Building => write!(f, "building generation {generation}"),
        Phase::BuildFailed(report) => end(f, format_args!("the build of generation {generation}"), report),
        Phase::Starting { pid } => write!(f, "started generation {generation} (pid {pid})"),
        Phase::Ready { address: Some(address) } => write!(f, "generation {generation} is ready at {address}"),
        Phase::Ready { address: None } => write!(f, "generation {generation} is ready"),
        Phase::Draining => write!(f, "generation {generation} finishes its requests"),
        Phase::Stopping => write!(f, "stopping generation {generation}"),
        Phase::Stopped => write!(f, "generation {generation} has ended"),
        Phase::Exited(report) | Phase::Failed(report) => {
            end(f, format_args!("generation {generation}"), report)
        }
    }
}

fn outcome_text(f: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    match outcome {
        Outcome::Ready { generation } => write!(f, "generation {generation} is ready"),
        Outcome::Failed { generation, report } | Outcome::Ended { generation, report } => {
            end(f, format_args!("generation {generation}"), report)
        }
        Outcome::Paused => f.write_str("restarts are paused"),
        Outcome::Halted => f.write_str("the command is stopped"),
        Outcome::NotStarted => f.write_str("nothing was started yet"),
        Outcome::Stopping => f.write_str("the supervisor stops"),
    }
}

#[cfg(feature = "proxy")]
impl Display for crate::proxy::Event {
    /// One sentence about the event: `listening on 127.0.0.1:8000`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { addresses } => {
                let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                write!(f, "listening on {}", addresses.join(" and "))
            }
            Self::InFlight { generation, responses, bytes, oldest, since } => {
                let (responses, since) = (count(*responses, "response", "responses"), seconds(*since));
                let rest = format_args!("{bytes} bytes sent, for {since}: {oldest}");
                write!(f, "waiting for {responses} of generation {generation}, {rest}")
            }
            Self::Drained { generation } => write!(f, "generation {generation} has no responses in flight"),
            Self::Held { requests } => {
                write!(f, "{} waiting for the server", count(*requests, "request", "requests"))
            }
            Self::Answered { status, request, detail, remedy } => {
                with_remedy(f, &format!("answered {request} with {status}: {detail}"), remedy)
            }
        }
    }
}

/// `generation 2 exited with status 1 after 2.0 s`, or the message of the report.
fn end(f: &mut Formatter<'_>, subject: fmt::Arguments<'_>, report: &ExitReport) -> fmt::Result {
    let sentence = match &report.message {
        Some(message) => format!("{subject}: {message}"),
        None => format!("{subject} {} after {}", report.ended, seconds(report.ran)),
    };
    with_remedy(f, &sentence, &report.remedy)
}

fn with_remedy(f: &mut Formatter<'_>, message: &str, remedy: &Remedy) -> fmt::Result {
    f.write_str(message)?;
    if *remedy == Remedy::None { Ok(()) } else { write!(f, "; {remedy}") }
}

/// The reason for the end of a session.
fn reason(exit: SupervisorExit) -> String {
    match exit {
        SupervisorExit::Asked => " as requested".to_owned(),
        SupervisorExit::Child(exit) => format!(": the command {exit}"),
        SupervisorExit::NotStarted(status) => format!(": the command {}", ProcessExit::NotStarted(status)),
    }
}

/// `3 files in 1 directory`
fn extent(summary: &Summary) -> String {
    let files = count(summary.files, "file", "files");
    format!("{files} in {}", count(summary.directories, "directory", "directories"))
}

fn count(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// Paths: `/a`, `/a and /b`, `/a, /b and /c`, or the first ones and the number of the others.
fn list(paths: &[&Path]) -> String {
    let mut names: Vec<String> =
        paths.iter().take(MAX_PATHS).map(|path| path.display().to_string()).collect();
    let others = paths.len() - names.len();
    let last = if others > 0 { Some(format!("{others} more")) } else { names.pop() };
    let last = last.unwrap_or_default();
    if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) }
}

/// `1.5 s`, `20.0 ms`
fn seconds(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1000.0),
        seconds => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::SyncId;
    use crate::change::{Batch, ChangeKind};
    use crate::supervise::{Endpoint, InnerReloader, ReloadEffect};
    use crate::watch::{RootReport, Why};

    fn batch(changes: &[(&str, ChangeKind)]) -> Batch {
        let changes =
            changes.iter().map(|(path, kind)| Change { path: (*path).into(), kind: *kind }).collect();
        Batch { changes, first_event_at: Instant::now(), compared_at: Instant::now() }
    }

    #[test]
    fn each_event_of_a_watch_is_a_sentence() {
        use watch::Event;
        let (root, took) = ("/srv".into(), Duration::from_millis(1500));
        let root = RootReport { path: root, mode: Mode::Stat, why: Why::Asked, files: 1, directories: 1 };
        let summary = Summary { files: 3, directories: 1, ..Summary::default() };
        let changes = [
            ("/srv/a", ChangeKind::Modified),
            ("/srv/b", ChangeKind::Modified),
            ("/srv/c", ChangeKind::Removed),
        ];
        let warning = Event::Warning { message: "m".into(), remedy: Remedy::Text("r".into()) };
        for (event, sentence) in [
            (Event::Changed(batch(&changes)), "/srv/a and /srv/b changed, /srv/c removed"),
            (
                Event::RulesReloaded { files: vec!["/srv/i".into()], defects: Vec::new(), summary },
                "/srv/i changed, rules reloaded: watching 3 files in 1 directory",
            ),
            (Event::ModeChanged(root), "/srv is now watched by scanning (asked)"),
            (
                Event::WaitingForGit { marker: "/srv/.git/index.lock".into() },
                "git is running (/srv/.git/index.lock): the restart waits for it",
            ),
            (
                Event::Rescanned { files: 1, took },
                "the kernel dropped events: compared 1 file again in 1.5 s, so that no change is lost",
            ),
            (Event::Synced(SyncId::new(9)), "all edits before request 9 are reported"),
            (warning, "m; r"),
        ] {
            assert_eq!(super::Event::Watch(event).to_string(), sentence);
        }
        let many: Vec<_> = (1..=7).map(|number| format!("/{number}")).collect();
        let many: Vec<_> = many.iter().map(|path| (path.as_str(), ChangeKind::Created)).collect();
        assert_eq!(Event::Changed(batch(&many)).to_string(), "/1, /2, /3, /4, /5 and 2 more created");
    }

    #[test]
    fn each_phase_and_each_outcome_is_a_sentence() {
        let report = |message: Option<&str>| ExitReport {
            ended: ProcessExit::Status(1),
            ran: Duration::from_millis(20),
            message: message.map(Into::into),
            remedy: Remedy::None,
            output: Vec::new(),
        };
        let generation = GenerationId::new(2);
        let address = Some(([127, 0, 0, 1], 4000).into());
        for (phase, sentence) in [
            (Phase::Building, "building generation 2"),
            (
                Phase::BuildFailed(report(None)),
                "the build of generation 2 exited with status 1 after 20.0 ms",
            ),
            (Phase::Starting { pid: 7 }, "started generation 2 (pid 7)"),
            (Phase::Ready { address }, "generation 2 is ready at 127.0.0.1:4000"),
            (Phase::Ready { address: None }, "generation 2 is ready"),
            (Phase::Draining, "generation 2 finishes its requests"),
            (Phase::Stopping, "stopping generation 2"),
            (Phase::Stopped, "generation 2 has ended"),
            (Phase::Exited(report(None)), "generation 2 exited with status 1 after 20.0 ms"),
            (Phase::Failed(report(Some("no such file"))), "generation 2: no such file"),
        ] {
            assert_eq!(supervise::Event::Phase { generation, phase }.to_string(), sentence);
        }
        for (outcome, sentence) in [
            (Outcome::Ready { generation }, "generation 2 is ready"),
            (Outcome::Failed { generation, report: report(Some("m")) }, "generation 2: m"),
            (Outcome::Ended { generation, report: report(Some("m")) }, "generation 2: m"),
            (Outcome::Paused, "restarts are paused"),
            (Outcome::Halted, "the command is stopped"),
            (Outcome::NotStarted, "nothing was started yet"),
            (Outcome::Stopping, "the supervisor stops"),
        ] {
            let event = supervise::Event::Settled { id: SyncId::new(9), outcome };
            assert_eq!(event.to_string(), format!("request 9 is settled: {sentence}"));
        }
    }

    #[test]
    fn each_event_of_a_supervisor_is_a_sentence() {
        use supervise::Event;
        let (generation, holder) = (GenerationId::new(2), GenerationId::FIRST);
        let endpoint = Endpoint::Tcp(([127, 0, 0, 1], 80).into());
        let because = Some(Arc::new(batch(&[("/a", ChangeKind::Modified)])));
        let reloader =
            InnerReloader { name: "werkzeug", effect: ReloadEffect::Cuts, change: "add --no-reload" };
        let looped = |directory: Option<&str>| Event::RestartLoop {
            path: "/d/a".into(),
            directory: directory.map(Into::into),
            times: 3,
        };
        let waited = Duration::from_secs(10);
        let turns = "(`in use`): generations take turns from now on";
        for (event, sentence) in [
            (Event::Restarting { generation, because }, "generation 2 is due: /a"),
            (Event::Restarting { generation, because: None }, "generation 2 is due: as requested"),
            (
                Event::Blocked { pid: 7, command: "sh".into(), waited },
                "process 7 (`sh`) did not end within 10.0 s: killing it",
            ),
            (Event::Waiting { backoff: None }, "waiting for a change"),
            (Event::Waiting { backoff: Some(waited) }, "restarting in 10.0 s"),
            (looped(None), "/d/a changed right after each of the last 3 starts"),
            (looped(Some("/d")), "new files in /d changed right after each of the last 3 starts"),
            (Event::ReloaderInside(reloader), "the command has its own reloader (werkzeug): add --no-reload"),
            (
                Event::ListensElsewhere { generation, endpoint },
                "generation 2 listens on 127.0.0.1:80, which only one generation can use: generations take turns \
                 from now on",
            ),
            (
                Event::TakesTurns { generation, holder, address: None, words: "in use".into() },
                &format!("generation 2 cannot run beside generation 1 {turns}"),
            ),
            (Event::Suspended, "all processes are stopped until they are continued"),
            (Event::Paused, "paused: changes are remembered"),
            (Event::Resumed, "resumed"),
            (Event::Halting, "the command is stopping and will not be restarted"),
            (Event::Halted, "the command is stopped until a start is requested"),
            (Event::Warning { message: "m".into(), remedy: Remedy::None }, "m"),
            (
                Event::Ended(SupervisorExit::Child(ProcessExit::Status(1))),
                "the supervisor has ended: the command exited with status 1",
            ),
        ] {
            assert_eq!(super::Event::Child(event).to_string(), sentence);
        }
        let ended = super::Event::Ended(SupervisorExit::NotStarted(127));
        assert_eq!(ended.to_string(), "the session has ended: the command could not be started (127)");
        let watching = Summary { files: 1, directories: 2, ..Summary::default() };
        assert_eq!(super::Event::Watching(watching).to_string(), "watching 1 file in 2 directories");
    }

    #[cfg(feature = "proxy")]
    #[test]
    fn each_event_of_a_proxy_is_a_sentence() {
        use crate::proxy::Event;
        let generation = GenerationId::FIRST;
        let (request, remedy) = ("GET /".to_owned(), Remedy::Text("r".into()));
        let since = Duration::from_secs(3);
        for (event, sentence) in [
            (
                Event::Listening {
                    addresses: vec![([127, 0, 0, 1], 80).into(), ([127, 0, 0, 2], 80).into()],
                },
                "listening on 127.0.0.1:80 and 127.0.0.2:80",
            ),
            (
                Event::InFlight { generation, responses: 1, bytes: 9, oldest: request.clone(), since },
                "waiting for 1 response of generation 1, 9 bytes sent, for 3.0 s: GET /",
            ),
            (Event::Drained { generation }, "generation 1 has no responses in flight"),
            (Event::Held { requests: 2 }, "2 requests waiting for the server"),
            (
                Event::Answered { status: 502, request, detail: "refused".into(), remedy },
                "answered GET / with 502: refused; r",
            ),
        ] {
            assert_eq!(super::Event::Proxy(event).to_string(), sentence);
        }
    }
}
