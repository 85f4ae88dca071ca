//! Reports the events of a run on standard error: as lines and a status line, or as JSON.

use std::time::{Duration, Instant, SystemTime};

use devrun::session::{Event, Options};
use devrun::supervise::{self, Capture, InnerReloader, Phase, Stdin};
use devrun::watch::Stats;
use devrun::{proxy, watch};

use super::history::History;
use super::record::{Level, Record, event, in_flight};
use super::rest::Rest;
use super::title::Title;
use crate::config::Settings;
use crate::ui::{ByteString, Terminal, escape_text, running_time, worded};

/// Delay before the status line shows that something takes long.
const STATUS_DELAY: Duration = Duration::from_millis(500);

/// Times since the beginning of a drain at which a line names its responses, where no status line does.
const IN_FLIGHT_LINES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(10), Duration::from_secs(30), Duration::from_secs(60)];

/// What devrun waits for.
#[derive(Debug)]
enum Wait {
    FirstScan,
    Other(String),
}

/// Reports events as `--log-format`, `-v` and `-q` select.
#[derive(Debug)]
pub(crate) struct Reporter {
    history: History,
    stats: Stats,
    json: bool,
    /// The least level of the lines that are shown.
    least_level: Level,
    clear: bool,
    title: Title,
    /// Whether the title, the progress and the bell of the terminal are used.
    has_title: bool,
    /// Whether a status line can be shown. COMMAND must not write to the terminal itself.
    has_status_line: bool,
    /// What devrun waits for, and since when.
    waiting: Option<(Wait, Instant)>,
    rest: Rest,
    /// Number of lines that named the responses of the current drain.
    in_flight_lines: usize,
}

impl Reporter {
    pub(crate) fn new(settings: &Settings, options: &Options, now: Instant) -> Self {
        let base = &options.watch.rules.base;
        let base = base.canonicalize().unwrap_or_else(|_| base.clone());
        Self {
            history: History::new(base, options.watch.stats.clone(), now),
            stats: options.watch.stats.clone(),
            json: settings.output.json,
            least_level: Level::least_shown(settings.output),
            clear: settings.output.clear,
            title: Title::new(settings.base.file_name().unwrap_or_default().to_string_lossy().into_owned()),
            has_title: settings.output.title && !settings.output.json,
            has_status_line: false,
            waiting: None,
            rest: Rest::default(),
            in_flight_lines: 0,
        }
    }

    /// The first scan of the files begins, before a session runs.
    pub(crate) fn scan_started(&mut self, now: Instant, terminal: &Terminal) {
        self.has_status_line = terminal.supports_status();
        self.waiting = Some((Wait::FirstScan, now));
    }

    /// A session with these options runs from now on.
    pub(crate) fn session_started(&mut self, options: &Options, terminal: &Terminal) {
        self.history.session_started(options);
        let supervise::Options { command, capture, .. } = &options.supervise;
        // COMMAND would overwrite the status line if it wrote to the terminal directly or read from it.
        let writes_directly = command.stdin == Stdin::Inherit || *capture == Capture::No;
        self.has_status_line = terminal.supports_status() && !writes_directly;
    }

    /// Reports an event of the session.
    pub(crate) fn event(&mut self, event: &Event, now: Instant, terminal: &mut Terminal) {
        if self.rest.update(event) {
            return;
        }
        let Some(mut record) = self.history.record(event, now) else { return };
        self.update_wait(event, now, terminal);
        self.title.update(event, self.history.has_server());
        self.show_title(terminal);
        if self.clear && !self.json && matches!(event, Event::Child(supervise::Event::Restarting { .. })) {
            terminal.clear_screen();
        }
        if let (Some((word, _)), Event::Watch(watch::Event::Changed(_))) = (self.rest.words(), event) {
            record.append(&format!(" ({word})"));
        }
        if !matches!(event, Event::Proxy(proxy::Event::InFlight { .. })) || self.reports_in_flight(now) {
            self.report(Some(event), record, terminal);
        }
    }

    /// Reports a reloader that COMMAND starts, unless that is known.
    pub(crate) fn reloader_inside(&mut self, reloader: InnerReloader, terminal: &mut Terminal) {
        if let Some(record) = self.history.reloader_inside(reloader) {
            let event = Event::Child(supervise::Event::ReloaderInside(reloader));
            self.report(Some(&event), record, terminal);
        }
    }

    /// Reports a warning; the remedy may be empty.
    pub(crate) fn warn(&self, message: &str, remedy: &str, terminal: &mut Terminal) {
        let keys = event("warning").set("message", message).set("remedy", remedy);
        self.report(None, Record::warning(message, remedy).with_keys(keys), terminal);
    }

    /// Whether restarts are paused, and whether COMMAND is stopped on request.
    pub(crate) fn rest(&self) -> Rest {
        self.rest
    }

    /// Shows the title and the status line, also after they were taken back for a while.
    pub(crate) fn refresh(&mut self, now: Instant, terminal: &mut Terminal) {
        self.show_title(terminal);
        self.tick(now, terminal);
    }

    /// Applies the settings of an edited devrun.toml, and reports them.
    pub(crate) fn reconfigure(&mut self, settings: &Settings, restarted: bool, terminal: &mut Terminal) {
        self.json = settings.output.json;
        self.least_level = Level::least_shown(settings.output);
        self.clear = settings.output.clear;
        self.has_title = settings.output.title && !self.json;
        self.show_title(terminal);
        let file = match &settings.config {
            Some(file) => ByteString::from_relative_path(file, &settings.directory),
            None => ByteString::new(""),
        };
        let with_restart = if restarted { ", with a restart" } else { "" };
        let line = format!("{} changed: in effect{with_restart}", file.escaped());
        let keys = event("reconfigured").bytes("file", file).set("restarted", restarted);
        self.report(None, Record::new(Level::Info, line).with_keys(keys), terminal);
    }

    fn show_title(&self, terminal: &mut Terminal) {
        if self.has_title {
            self.title.show(self.rest.words().map(|(word, _)| word), terminal);
        } else {
            terminal.restore_title();
        }
    }

    /// Prints a line for people. The JSON log does not get it.
    pub(crate) fn inform(&self, line: &str, terminal: &mut Terminal) {
        if !self.json && Level::Info >= self.least_level {
            Level::Info.print(line, &[], terminal);
        }
    }

    /// Prints the last restarts and their causes.
    pub(crate) fn explain_restarts(&self, now: Instant, terminal: &mut Terminal) {
        for sentence in self.history.restarts(now) {
            self.inform(&sentence, terminal);
        }
    }

    /// Whether the status line changes with time, so that [`Reporter::tick`] must be called.
    pub(crate) fn needs_ticks(&self) -> bool {
        self.shows_status() && self.waiting.is_some()
    }

    fn shows_status(&self) -> bool {
        self.has_status_line && !self.json && self.least_level <= Level::Success
    }

    /// Shows in the status line what devrun waits for, and for how long, and that it is paused or stopped.
    pub(crate) fn tick(&mut self, now: Instant, terminal: &mut Terminal) {
        let wait = self.waiting.as_ref().map(|(wait, since)| (wait, now.saturating_duration_since(*since)));
        let wait = wait.filter(|(_, passed)| *passed >= STATUS_DELAY);
        let wait = wait.map(|(wait, passed)| match wait {
            Wait::FirstScan => {
                format!("scanning files: {} ({})", self.stats.files_found(), running_time(passed))
            }
            Wait::Other(text) => format!("{text} ({})", running_time(passed)),
        });
        let rest = self.rest.words().map(|(_, status)| status.to_owned());
        let texts: Vec<_> = rest.into_iter().chain(wait).collect();
        if texts.is_empty() || !self.shows_status() {
            terminal.clear_status();
        } else {
            terminal.set_status(&escape_text(&format!("devrun: {}", texts.join("; "))));
        }
    }

    /// Whether responses in flight get a line. The status line shows them already, and a log for people names them at
    /// [`IN_FLIGHT_LINES`] only.
    fn reports_in_flight(&mut self, now: Instant) -> bool {
        if self.json || self.needs_ticks() {
            return self.json;
        }
        let passed = self.waiting.as_ref().map(|(_, since)| now.saturating_duration_since(*since));
        let is_due = IN_FLIGHT_LINES.get(self.in_flight_lines).is_some_and(|at| passed >= Some(*at));
        self.in_flight_lines += usize::from(is_due);
        is_due
    }

    fn drain_started(&mut self, now: Instant) {
        self.in_flight_lines = 0;
        self.waiting = Some((Wait::Other("waiting for responses in flight".to_owned()), now));
    }

    fn update_wait(&mut self, event: &Event, now: Instant, terminal: &mut Terminal) {
        let text = match event {
            Event::Proxy(proxy::Event::InFlight { responses, bytes, oldest: request, since, .. }) => {
                let oldest = now.checked_sub(*since).unwrap_or(now);
                let since = self.waiting.as_ref().map_or(oldest, |(_, since)| *since);
                self.waiting = Some((Wait::Other(in_flight(*responses, *bytes, request)), since));
                return;
            }
            Event::Child(supervise::Event::Phase { generation, phase }) => match phase {
                Phase::Draining => return self.drain_started(now),
                Phase::Building => Some("building".to_owned()),
                Phase::Stopping => Some(format!("waiting for generation {} to end", generation.number())),
                Phase::Starting { .. } => {
                    Some(format!("waiting for {} to be ready", self.history.command_name()))
                }
                _ => None,
            },
            Event::Watching(_) | Event::Ended(_) => None,
            Event::Child(supervise::Event::Paused | supervise::Event::Resumed | supervise::Event::Halted) => {
                return self.tick(now, terminal);
            }
            _ => return,
        };
        self.waiting = text.map(|text| (Wait::Other(text), now));
        self.tick(now, terminal);
    }

    /// Reports on an event of the session, or of the program itself, whose keys the record has.
    fn report(&self, event: Option<&Event>, record: Record, terminal: &mut Terminal) {
        let dropped = terminal.take_dropped_lines();
        if dropped > 0 {
            self.warn(
                &format!("{dropped} lines of devrun are missing here: they were not read in time"),
                "",
                terminal,
            );
        }
        if self.json {
            let event = event.filter(|event| !matches!(event, Event::Ended(_)));
            let json = event.map(|event| event.json().relative_to(self.history.base()).with_remedies(worded));
            return terminal.eprintln_data(record.into_json(json, SystemTime::now()));
        }
        if self.has_title && record.is_failure() {
            terminal.ring();
        }
        record.print(self.least_level, terminal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_status_line_is_a_drain_gets_a_line_at_its_beginning_and_after_10_30_and_60_s() {
        let (settings, begin) = (Settings::defaults().unwrap(), Instant::now());
        let mut reporter = Reporter::new(&settings, &settings.session, begin);
        for _ in 0..2 {
            reporter.drain_started(begin);
            let reports = |second: &u64| reporter.reports_in_flight(begin + Duration::from_secs(*second));
            assert_eq!((0..100).filter(reports).collect::<Vec<_>>(), [0, 10, 30, 60]);
        }
    }
}
