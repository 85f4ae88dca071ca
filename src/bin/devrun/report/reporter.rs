//! Reports the events of a run on standard error: as lines and a status line, or as JSON.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use devrun::session::{Event, Options};
use devrun::supervise::{Capture, Port, Stdin};
use devrun::watch::Stats;

use super::history::History;
use super::human;
use super::line::{Line, Verbosity};
use super::record::{Milestone, Record, Restarting};
use crate::config::Settings;
use crate::ui::{Terminal, escape_text, running_time};

/// Delay before the status line shows that something takes long.
const STATUS_DELAY: Duration = Duration::from_millis(500);

/// Maximum number of restarts that are kept.
const MAX_RESTARTS: usize = 10;

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
    restarts: RestartLog,
    stats: Stats,
    json: bool,
    verbosity: Verbosity,
    clear: bool,
    /// Whether a status line can be shown. COMMAND must not write to the terminal itself.
    has_status_line: bool,
    /// What devrun waits for, and since when.
    waiting: Option<(Wait, Instant)>,
}

impl Reporter {
    pub(crate) fn new(settings: &Settings, options: &Options, now: Instant) -> Self {
        let base = &options.watch.rules.base;
        let base = base.canonicalize().unwrap_or_else(|_| base.clone());
        let has_server = options.supervise.port != Port::None || !options.supervise.listen.is_empty();
        let milestone = if has_server { Milestone::Ready } else { Milestone::Started };
        Self {
            history: History::new(base, milestone, options.watch.stats.clone(), now),
            restarts: RestartLog::default(),
            stats: options.watch.stats.clone(),
            json: settings.output.json,
            verbosity: Verbosity::new(settings.output),
            clear: settings.output.clear,
            has_status_line: false,
            waiting: None,
        }
    }

    /// Applies the settings of an edited devrun.toml.
    pub(crate) fn configure(&mut self, settings: &Settings) {
        self.json = settings.output.json;
        self.verbosity = Verbosity::new(settings.output);
        self.clear = settings.output.clear;
    }

    /// The first scan of the files begins, before a session runs.
    pub(crate) fn scan_started(&mut self, now: Instant, terminal: &Terminal) {
        self.has_status_line = terminal.supports_status();
        self.waiting = Some((Wait::FirstScan, now));
    }

    /// A session with these options runs from now on.
    pub(crate) fn session_started(&mut self, options: &Options, terminal: &Terminal) {
        let command = &options.supervise.command;
        let words = std::iter::once(&command.program).chain(&command.args);
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        self.history.set_command(words.join(" "));
        // COMMAND would overwrite the status line if it wrote to the terminal directly or read from it.
        let writes_directly = command.stdin == Stdin::Inherit || options.supervise.capture == Capture::No;
        self.has_status_line = terminal.supports_status() && !writes_directly;
    }

    /// Reports an event of the session.
    pub(crate) fn event(&mut self, event: &Event, now: Instant, terminal: &mut Terminal) {
        let Some(record) = self.history.record(event, now) else { return };
        self.restarts.add(&record, now);
        self.update_wait(&record, now, terminal);
        // The status line shows responses in flight already.
        if !(matches!(record, Record::InFlight { .. }) && self.needs_ticks()) {
            self.report(&record, terminal);
        }
    }

    /// Reports a record that no event of the session is the cause of.
    pub(crate) fn report(&self, record: &Record, terminal: &mut Terminal) {
        let dropped = terminal.take_dropped_lines();
        if dropped > 0 {
            let message = format!("{dropped} lines of devrun are missing here: they were not read in time");
            self.write(&Record::Warning { message, remedy: String::new() }, terminal);
        }
        self.write(record, terminal);
    }

    /// Prints a line for people. The JSON log does not get it.
    pub(crate) fn inform(&mut self, text: &str, terminal: &mut Terminal) {
        if !self.json {
            Line::info(text).print(self.verbosity, terminal);
        }
    }

    /// Prints the last restarts and their causes.
    pub(crate) fn explain_restarts(&mut self, now: Instant, terminal: &mut Terminal) {
        for sentence in self.restarts.sentences(now) {
            self.inform(&sentence, terminal);
        }
    }

    /// Whether the status line changes with time, so that [`Reporter::tick`] must be called.
    pub(crate) fn needs_ticks(&self) -> bool {
        self.has_status_line && !self.json && !self.verbosity.is_quiet() && self.waiting.is_some()
    }

    /// Shows in the status line what devrun waits for, and for how long.
    pub(crate) fn tick(&mut self, now: Instant, terminal: &mut Terminal) {
        let Some((wait, since)) = &self.waiting else { return };
        let passed = now.saturating_duration_since(*since);
        if passed >= STATUS_DELAY {
            let wait = match wait {
                Wait::FirstScan => format!("scanning files: {}", self.stats.files_found()),
                Wait::Other(text) => text.clone(),
            };
            terminal.set_status(&escape_text(&format!("devrun: {wait} ({})", running_time(passed))));
        }
    }

    fn update_wait(&mut self, record: &Record, now: Instant, terminal: &mut Terminal) {
        let text = match record {
            Record::Draining { .. } => "waiting for responses in flight".to_owned(),
            Record::InFlight { since_us, responses, bytes, .. } => {
                let oldest = now.checked_sub(Duration::from_micros(*since_us)).unwrap_or(now);
                let since = self.waiting.as_ref().map_or(oldest, |(_, since)| *since);
                self.waiting = Some((Wait::Other(human::in_flight(*responses, *bytes)), since));
                return;
            }
            Record::Building { .. } => "building".to_owned(),
            Record::Stopping { generation } => format!("waiting for generation {generation} to end"),
            Record::Started { .. } => "waiting for the server to be ready".to_owned(),
            Record::Ready(_)
            | Record::Stopped { .. }
            | Record::Crashed { .. }
            | Record::BuildFailed { .. }
            | Record::Watching { .. }
            | Record::Summary(_) => {
                self.waiting = None;
                return terminal.clear_status();
            }
            _ => return,
        };
        self.waiting = Some((Wait::Other(text), now));
    }

    fn write(&self, record: &Record, terminal: &mut Terminal) {
        if self.json {
            return terminal.eprintln_data(record.to_json(SystemTime::now()));
        }
        if self.clear && matches!(record, Record::Restarting(_)) {
            terminal.clear_screen();
        }
        for line in human::lines(record) {
            line.print(self.verbosity, terminal);
        }
    }
}

/// The last restarts with their times, oldest first, for the key `w`.
#[derive(Debug, Default)]
struct RestartLog(VecDeque<(Restarting, Instant)>);

impl RestartLog {
    /// Keeps the record if it is a restart.
    fn add(&mut self, record: &Record, now: Instant) {
        if let Record::Restarting(restart) = record {
            if self.0.len() == MAX_RESTARTS {
                self.0.pop_front();
            }
            self.0.push_back((restart.clone(), now));
        }
    }

    /// One sentence for each restart.
    fn sentences(&self, now: Instant) -> Vec<String> {
        if self.0.is_empty() {
            return vec!["COMMAND has not been restarted".to_owned()];
        }
        let sentence =
            |(restart, at): &(_, Instant)| human::restart(restart, now.saturating_duration_since(*at));
        self.0.iter().map(sentence).collect()
    }
}
