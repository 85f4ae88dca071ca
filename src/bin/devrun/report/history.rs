//! Turns the events of a session into records, with latencies and the totals of the summary. Pure: `now` is
//! an argument.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use devrun::change::Batch;
use devrun::rules::Defect;
use devrun::session::{Event, Options};
use devrun::supervise::{ExitReport, InnerReloader, Phase, Port, ProcessExit};
use devrun::watch::{Mode, Stats, Summary};
use devrun::{proxy, supervise, watch};

use super::command_name::CommandName;
use super::downtime::Downtime;
use super::paths::{enumerate, file_links};
use super::record::{
    Level, Record, end_sentence, event, extent, micros, mode, proxy_event, reloader_inside, takes_turns,
    url_links, urls,
};
use super::restarts::Restarts;
use crate::config::shown_endpoint;
use crate::ui::{ByteString, Object, count, escape_bytes, escape_relative_path, time, worded};

/// What happened so far in a run.
#[derive(Debug)]
pub(super) struct History {
    /// Paths are shown relative to this directory.
    base: PathBuf,
    /// Whether COMMAND is ready at some time after its start: it is a server, and devrun holds its port.
    has_server: bool,
    /// Where clients find the server; empty if devrun does not know it.
    address: String,
    /// COMMAND of the next generations.
    command: CommandName,
    begun: Instant,
    /// Time of the change or key that causes the next generation.
    cause_at: Option<Instant>,
    /// Start time of each generation that is not ready yet.
    started: HashMap<u64, Instant>,
    restarts: Restarts,
    downtime: Downtime,
    generations: u64,
    batches: u64,
    changes: u64,
    stats: Stats,
    /// The names of the reloaders inside COMMAND that were reported.
    reloaders: HashSet<&'static str>,
}

impl History {
    pub(super) fn new(base: PathBuf, stats: Stats, now: Instant) -> Self {
        Self {
            base,
            has_server: false,
            address: String::new(),
            command: CommandName::default(),
            begun: now,
            cause_at: None,
            started: HashMap::new(),
            restarts: Restarts::default(),
            downtime: Downtime::default(),
            generations: 0,
            batches: 0,
            changes: 0,
            stats,
            reloaders: HashSet::new(),
        }
    }

    /// A session with these options runs from now on.
    pub(super) fn session_started(&mut self, options: &Options) {
        let run = &options.supervise;
        self.command = CommandName::new(&run.command);
        self.has_server = run.port != Port::None || !run.listen.is_empty();
        let sockets = run.listen.iter().map(|listen| shown_endpoint(&listen.endpoint));
        self.address = sockets.collect::<Vec<_>>().join(" and ");
    }

    pub(super) fn has_server(&self) -> bool {
        self.has_server
    }

    /// The directory that paths are relative to.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// The name of COMMAND in messages.
    pub(super) fn command_name(&self) -> &str {
        self.command.short()
    }

    /// The last restarts with reason and outcome, one sentence for each.
    pub(super) fn restarts(&self, now: Instant) -> Vec<String> {
        let sentences = self.restarts.sentences(now);
        if sentences.is_empty() {
            vec![format!("{} has not been restarted", self.command.short())]
        } else {
            sentences
        }
    }

    /// The record of an event. `None` if the event is not reported.
    pub(super) fn record(&mut self, event: &Event, now: Instant) -> Option<Record> {
        match event {
            Event::Watching(summary) => Some(self.watching(summary)),
            // The answer to a client of the control socket.
            Event::Watch(watch::Event::Synced(_)) => None,
            Event::Watch(event) => Some(self.watch_event(event)),
            Event::Child(supervise::Event::Phase { generation, phase }) => {
                self.phase(generation.number(), phase, now)
            }
            Event::Child(event) => self.child_event(event, now),
            Event::Proxy(proxy::Event::Listening { addresses }) => Some(self.listening(addresses)),
            Event::Proxy(event) => Some(proxy_event(event)),
            Event::Ended(_) => Some(self.summary(now)),
            _ => None,
        }
    }

    fn watching(&self, summary: &Summary) -> Record {
        let modes = match &summary.roots[..] {
            [] => "nothing".to_owned(),
            [first, others @ ..] if others.iter().all(|root| root.mode == first.mode) => mode(first),
            // `.: event; /mnt/c: stat, no-events: 9p`
            roots => {
                let each = roots.iter().map(|root| format!("{}: {}", self.name(&root.path), mode(root)));
                each.collect::<Vec<_>>().join("; ")
            }
        };
        Record::new(Level::Info, format!("watching {} ({modes})", extent(summary)))
    }

    fn watch_event(&mut self, event_of_watch: &watch::Event) -> Record {
        match event_of_watch {
            watch::Event::Changed(batch) => self.changed(batch),
            watch::Event::RulesReloaded { files, defects, summary } => {
                self.rules_reloaded(files, defects, summary)
            }
            watch::Event::ModeChanged(root) => {
                let method = if root.mode == Mode::Stat { "scanning" } else { "events" };
                let line = format!("{} is now watched by {method} ({})", self.name(&root.path), root.why);
                Record::new(Level::Warning, line)
            }
            watch::Event::WaitingForGit { marker } => {
                let line = format!("git is running ({}): the restart waits for it", self.name(marker));
                Record::new(Level::Info, line)
            }
            watch::Event::Rescanned { files, took } => Record::new(
                Level::Info,
                format!(
                    "the kernel dropped events: compared {} again in {}, so that no change is lost",
                    count(*files, "file"),
                    time(*took)
                ),
            ),
            watch::Event::Warning { message, remedy } => Record::warning(message, &worded(remedy)),
            other => Record::warning(&other.to_string(), ""),
        }
    }

    fn changed(&mut self, batch: &Batch) -> Record {
        self.batches += 1;
        self.changes += batch.changes.len() as u64;
        // `a.py and b.py changed, c.py removed`
        let mut links = Vec::new();
        let parts = ["changed", "created", "removed"].into_iter().filter_map(|kind| {
            let changes = batch.changes.iter().filter(|change| change.kind.as_str() == kind);
            let paths: Vec<_> = changes.map(|change| self.relative(&change.path)).collect();
            links.extend(file_links(&paths, &self.base));
            (!paths.is_empty()).then(|| format!("{} {kind}", enumerate(&paths)))
        });
        let line = parts.collect::<Vec<_>>().join(", ");
        Record::new(Level::Info, line).with_links(links)
    }

    fn rules_reloaded(&self, files: &[PathBuf], defects: &[Defect], summary: &Summary) -> Record {
        let files: Vec<_> = files.iter().map(|file| self.relative(file)).collect();
        let line = format!("{} changed, rules reloaded: watching {}", enumerate(&files), extent(summary));
        // `.watchignore:3:1: [z-a]: this can never match: …`
        let warning = |defect: &Defect| {
            let file = defect.source.as_ref().map_or_else(|| "-i".to_owned(), |file| self.name(file));
            let (text, reason) = (escape_bytes(&defect.text), &defect.kind);
            format!("{file}:{}:{}: {text}: {reason}", defect.line, defect.column)
        };
        let record = Record::new(Level::Info, line).with_links(file_links(&files, &self.base));
        defects.iter().fold(record, |record, defect| record.and(Level::Warning, warning(defect)))
    }

    fn listening(&mut self, addresses: &[SocketAddr]) -> Record {
        self.address = urls(addresses);
        Record::new(Level::Info, format!("listening on {}", self.address))
            .with_links(url_links(&self.address))
    }

    fn child_event(&mut self, event_of_child: &supervise::Event, now: Instant) -> Option<Record> {
        Some(match event_of_child {
            supervise::Event::Restarting { generation, because } => {
                self.restarting(generation.number(), because.as_deref(), now)
            }
            supervise::Event::Blocked { pid, command, waited } => {
                let line =
                    format!("process {pid} (`{command}`) did not end within {}: killing it", time(*waited));
                Record::new(Level::Warning, line)
            }
            supervise::Event::Waiting { backoff } => Record::new(
                Level::Info,
                backoff.map_or("waiting for a change".to_owned(), |delay| {
                    format!("restarting in {}", time(delay))
                }),
            ),
            supervise::Event::RestartLoop { path, directory, times } => {
                self.restart_loop(path, directory.as_deref(), *times)
            }
            supervise::Event::ReloaderInside(reloader) => return self.reloader_inside(*reloader),
            supervise::Event::ListensElsewhere { endpoint, .. } => Record::new(
                Level::Warning,
                format!(
                    "the server listens on {}, which only one generation can use: generations take turns; \
                     to let them overlap, make it listen on $PORT or {{port}}",
                    shown_endpoint(endpoint)
                ),
            ),
            supervise::Event::TakesTurns { address, .. } => takes_turns(event_of_child, *address),
            supervise::Event::Halting => {
                self.downtime.halted(now);
                Record::new(Level::Detail, format!("stopping {} on request", self.command.short()))
            }
            supervise::Event::Warning { message, remedy } => Record::warning(message, &worded(remedy)),
            supervise::Event::Paused => Record::new(
                Level::Info,
                "paused: changes are remembered until p and Enter, or `devrun resume`",
            ),
            supervise::Event::Resumed => Record::new(Level::Info, "resumed"),
            supervise::Event::Halted => Record::new(
                Level::Info,
                "stopped on request: r and Enter, or `devrun start`, starts it again",
            ),
            _ => return None,
        })
    }

    /// `None` if a reloader of this name was reported before.
    pub(super) fn reloader_inside(&mut self, reloader: InnerReloader) -> Option<Record> {
        self.reloaders.insert(reloader.name).then(|| reloader_inside(reloader, self.command.short()))
    }

    fn restart_loop(&self, path: &Path, directory: Option<&Path>, times: u32) -> Record {
        let file_rule = self.relative(path).ignore_rule();
        let rule = match directory {
            None => file_rule,
            // No rule can name the directory of the rule file itself.
            Some(directory) if directory == self.base => {
                let extension = path.extension().and_then(|extension| extension.to_str());
                extension.map_or(file_rule, |extension| format!("/*.{extension}"))
            }
            Some(directory) => self.relative(directory).ignore_rule() + "/",
        };
        let what = if directory.is_some() { "new files in " } else { "" };
        let place = self.relative(directory.unwrap_or(path));
        let line = format!(
            "{what}{} changed right after each of the last {times} starts: if nothing else changes, \
             the restart is delayed (0.3 s, doubling up to 30 s)",
            place.escaped()
        );
        Record::new(Level::Warning, line)
            .and(Level::Warning, format!("to ignore it, add this line to .watchignore: {rule}"))
            .with_keys(Object::default().set("rule", rule))
    }

    fn restarting(&mut self, generation: u64, because: Option<&Batch>, now: Instant) -> Record {
        self.cause_at = Some(because.map_or(now, |batch| batch.first_event_at));
        let changes = because.map(|batch| batch.changes.as_slice()).unwrap_or_default();
        let paths: Vec<_> = changes.iter().map(|change| self.relative(&change.path)).collect();
        let cause = if paths.is_empty() { "as requested".to_owned() } else { enumerate(&paths) };
        self.restarts.begin(generation, cause.clone(), now);
        Record::new(Level::Detail, format!("generation {generation} is due: {cause}"))
    }

    fn phase(&mut self, generation: u64, phase: &Phase, now: Instant) -> Option<Record> {
        Some(match phase {
            Phase::Building => Record::new(Level::Info, "building"),
            Phase::BuildFailed(report) => {
                let serving = self.downtime.serving();
                let line = end_sentence(report, "the build", serving);
                self.restarts.outcome(generation, &end_sentence(report, "the build", None), true);
                Record::new(Level::Error, line).with_keys(Object::default().set("serving", serving))
            }
            Phase::Starting { pid } => self.starting(generation, *pid, now),
            Phase::Ready { address } => self.ready(generation, *address, now),
            Phase::Draining => {
                let line = format!("generation {generation} finishes its requests");
                Record::new(Level::Detail, line)
            }
            Phase::Stopping => {
                self.stopped(generation, now);
                Record::new(Level::Detail, format!("stopping generation {generation}"))
            }
            Phase::Stopped => {
                self.stopped(generation, now);
                let keys = Object::default().set("changed_to_stop_us", self.since_cause(now).map(micros));
                Record::new(Level::Detail, format!("generation {generation} has ended")).with_keys(keys)
            }
            Phase::Exited(report) => self.crashed(generation, report, true, now),
            Phase::Failed(report) => self.crashed(generation, report, false, now),
            _ => return None,
        })
    }

    fn starting(&mut self, generation: u64, pid: u32, now: Instant) -> Record {
        self.generations += 1;
        self.started.insert(generation, now);
        let (command, since_cause) = (self.command.line(), self.since_cause(now));
        let (level, line) = match since_cause.map(time) {
            None => (Level::Info, format!("started `{command}` (pid {pid})")),
            Some(since) => (
                Level::Detail,
                format!("started generation {generation} (pid {pid}) {since} after the change"),
            ),
        };
        let keys = Object::default().set("command", command);
        Record::new(level, line).with_keys(keys.set("changed_to_start_us", since_cause.map(micros)))
    }

    fn ready(&mut self, generation: u64, address: Option<SocketAddr>, now: Instant) -> Record {
        let start = self.started.remove(&generation).unwrap_or(now);
        let since_start = now.saturating_duration_since(start);
        let since_cause = self.since_cause(now);
        self.cause_at = None;
        self.downtime.ready(generation, now);
        let (level, mut line) = match since_cause {
            _ if self.has_server => {
                (Level::Success, format!("ready in {}", time(since_cause.unwrap_or(since_start))))
            }
            Some(since) => (Level::Success, format!("started in {}", time(since))),
            None => (Level::Detail, format!("generation {generation} is running")),
        };
        self.restarts.outcome(generation, &line, false);
        if self.has_server && !self.address.is_empty() {
            line = format!("{line}: {}", self.address);
        }
        let keys = Object::default()
            .set("start_to_ready_us", micros(since_start))
            .set("changed_to_ready_us", since_cause.map(micros));
        let upstream = address.map(|address| format!("upstream {address}")).unwrap_or_default();
        Record::new(Level::Detail, upstream)
            .and(level, line)
            .with_keys(keys)
            .with_links(url_links(&self.address))
    }

    fn stopped(&mut self, generation: u64, now: Instant) {
        if self.started.remove(&generation).is_some() {
            self.restarts.outcome(generation, "stopped before it was ready", false);
        }
        self.downtime.stopped(generation, now);
    }

    fn crashed(&mut self, generation: u64, report: &ExitReport, was_ready: bool, now: Instant) -> Record {
        self.started.remove(&generation);
        self.downtime.crashed(generation, now);
        let serving = self.downtime.serving();
        let subject = serving.map_or(self.command.short().to_owned(), |_| format!("generation {generation}"));
        let is_success = was_ready
            && matches!(report.ended, ProcessExit::Status(0) | ProcessExit::Interrupted(0))
            && report.message.is_none();
        // The restart of a server ends when it is ready, that of any other command when the command ends.
        let has_failed = !(is_success || was_ready && self.has_server);
        self.restarts.outcome(generation, &end_sentence(report, "", None), has_failed);
        let line = end_sentence(report, &subject, serving);
        Record::new(if is_success { Level::Info } else { Level::Error }, line)
            .with_keys(Object::default().set("serving", serving))
    }

    fn summary(&self, now: Instant) -> Record {
        let (restarts, failed) = (self.restarts.total(), self.restarts.failed());
        let ignored = self.stats.events_ignored();
        let (ran, down) = (now.saturating_duration_since(self.begun), self.downtime.total(now));
        let keys = event("summary")
            .set("generations", self.generations)
            .set("restarts", restarts)
            .set("failed", failed)
            .set("batches", self.batches)
            .set("changes", self.changes)
            .set("ignored", ignored)
            .set("ran_us", micros(ran))
            .set("down_us", micros(down));
        let count = |number, noun| count(usize::try_from(number).unwrap_or(usize::MAX), noun);
        let mut line = format!("ran {}: {}", time(ran), count(restarts, "restart"));
        if failed > 0 {
            line = format!("{line} ({failed} failed)");
        }
        line = format!("{line} for {}", count(self.changes, "changed file"));
        if ignored > 0 {
            line = format!("{line}, {} ignored", count(ignored, "event"));
        }
        if micros(down) > 0 {
            line = format!("{line}, down for {}", time(down));
        }
        Record::new(Level::Info, line).with_keys(keys)
    }

    fn since_cause(&self, now: Instant) -> Option<Duration> {
        self.cause_at.map(|since| now.saturating_duration_since(since))
    }

    fn relative(&self, path: &Path) -> ByteString {
        ByteString::from_relative_path(path, &self.base)
    }

    /// A path for people.
    fn name(&self, path: &Path) -> String {
        escape_relative_path(path, &self.base)
    }
}
