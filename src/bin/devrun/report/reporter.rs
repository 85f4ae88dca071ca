//! What the run command says: records to the terminal or the log, in the chosen form.

use std::fmt::Display;
use std::time::{Duration, Instant, SystemTime};

use devrun::session::{Event, Options};
use devrun::supervise::{Capture, Stdin};
use devrun::watch::Stats;

use crate::config::settings::Settings;
use crate::ui::byte_string::ByteString;
use crate::ui::escape::escape_text;
use crate::ui::style::{self, styled};
use crate::ui::terminal::Terminal;

use super::history::History;
use super::human::{self, Line, Tone};
use super::json;
use super::record::Record;

/// How long something may take before the status line says so.
const PATIENCE: Duration = Duration::from_millis(500);

/// The least tone that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Quiet,
    Normal,
    Verbose,
}

/// Something that takes its time.
#[derive(Debug)]
struct Pending {
    /// Empty: the first walk.
    what: String,
    since: Instant,
}

/// Says what happens, as `--log-format`, `-v` and `-q` want it.
#[derive(Debug)]
pub(crate) struct Reporter {
    history: History,
    stats: Stats,
    json: bool,
    level: Level,
    clear: bool,
    /// A status line can be drawn, and taken away for everything that COMMAND writes.
    draws: bool,
    pending: Option<Pending>,
}

impl Reporter {
    pub(crate) fn new(settings: &Settings, options: &Options, draws: bool, now: Instant) -> Self {
        let base = &options.watch.rules.base;
        let base = base.canonicalize().unwrap_or_else(|_| base.clone());
        Self {
            history: History::new(base, options.watch.stats.clone(), now),
            stats: options.watch.stats.clone(),
            json: settings.output.json,
            level: level(settings),
            clear: settings.run.clear,
            draws,
            pending: None,
        }
    }

    /// Speaks as these settings want it from now on.
    pub(crate) fn adopt(&mut self, settings: &Settings) {
        self.json = settings.output.json;
        self.level = level(settings);
        self.clear = settings.run.clear;
    }

    /// A session with these options begins.
    pub(crate) fn begins(&mut self, options: &Options, draws: bool) {
        let command = &options.supervise.command;
        let words = std::iter::once(&command.program).chain(&command.args);
        self.history.runs(words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "));
        // What the child writes directly would stand in a status line, and so would what is typed for it.
        let lent = options.supervise.command.stdin == Stdin::Inherit;
        self.draws = draws && !lent && options.supervise.capture != Capture::No;
    }

    /// Tells that an edit of the configuration file is in effect.
    pub(crate) fn reconfigured(&mut self, file: ByteString, restarted: bool, terminal: &mut Terminal) {
        self.record(&Record::Reconfigured { file, restarted }, terminal);
    }

    /// Tells an event.
    pub(crate) fn event(&mut self, event: &Event, now: Instant, terminal: &mut Terminal) {
        if let Some(record) = self.history.record(event, now) {
            self.follow(&record, now, terminal);
            // Where it can be seen in the status line, it need not be said again and again.
            if !(matches!(record, Record::InFlight { .. }) && self.is_waiting()) {
                self.record(&record, terminal);
            }
        }
    }

    /// Tells that changes are not acted upon, or are again.
    pub(crate) fn paused(&mut self, paused: bool, terminal: &mut Terminal) {
        self.record(&if paused { Record::Paused } else { Record::Resumed }, terminal);
    }

    /// Tells of something the developer should know, and what to do about it.
    pub(crate) fn warn(&mut self, message: String, remedy: String, terminal: &mut Terminal) {
        self.record(&Record::Warning { message, remedy }, terminal);
    }

    /// Says a sentence to people; a log does not get it.
    pub(crate) fn say(&mut self, text: &str, terminal: &mut Terminal) {
        if !self.json {
            self.line(&Line { tone: Tone::Plain, text: text.to_owned() }, terminal);
        }
    }

    /// Answers "why did it restart": the last ten, with their paths.
    pub(crate) fn why(&mut self, now: Instant, terminal: &mut Terminal) {
        if self.history.causes().is_empty() {
            return self.say("it has not been restarted", terminal);
        }
        let causes: Vec<String> =
            self.history.causes().iter().map(|cause| human::cause(cause, now)).collect();
        for cause in causes {
            self.say(&cause, terminal);
        }
    }

    /// Whether something takes long, so that [`Reporter::tick`] has work.
    pub(crate) fn is_waiting(&self) -> bool {
        self.draws && !self.json && self.level > Level::Quiet && self.pending.is_some()
    }

    /// Shows on a terminal what is waited for, and for how long.
    pub(crate) fn tick(&mut self, now: Instant, terminal: &mut Terminal) {
        let Some(pending) = &self.pending else { return };
        let passed = now.saturating_duration_since(pending.since);
        if passed >= PATIENCE {
            let looking = || format!("looking at the files: {}", self.stats.files_found());
            let what = if pending.what.is_empty() { looking() } else { pending.what.clone() };
            let line = format!("devrun: {what} ({})", human::seconds(passed));
            terminal.set_status(&escape_text(&line));
        }
    }

    /// The first walk begins; nothing runs yet.
    pub(crate) fn looks(&mut self, draws: bool, now: Instant) {
        self.draws = draws;
        self.pending = Some(Pending { what: String::new(), since: now });
    }

    /// Keeps what the status line would show.
    fn follow(&mut self, record: &Record, now: Instant, terminal: &mut Terminal) {
        let what = match record {
            Record::Draining { .. } => "waiting for responses in flight".to_owned(),
            Record::InFlight { since_us, .. } => {
                let since = now.checked_sub(Duration::from_micros(*since_us)).unwrap_or(now);
                let since = self.pending.as_ref().map_or(since, |pending| pending.since);
                self.pending = Some(Pending { what: human::in_flight(record), since });
                return;
            }
            Record::Building { .. } => "building".to_owned(),
            Record::Stopping { generation } => format!("waiting for generation {generation} to end"),
            Record::Started { .. } => "waiting for the server to be ready".to_owned(),
            Record::Ready { .. }
            | Record::Stopped { .. }
            | Record::Crashed { .. }
            | Record::BuildFailed { .. }
            | Record::Watching { .. }
            | Record::Summary { .. } => {
                self.pending = None;
                terminal.clear_status();
                return;
            }
            _ => return,
        };
        self.pending = Some(Pending { what, since: now });
    }

    fn record(&mut self, record: &Record, terminal: &mut Terminal) {
        let left_out = terminal.take_dropped_lines();
        if left_out > 0 {
            let message = format!("{left_out} lines of devrun were left out here: nobody read them in time");
            self.write(&Record::Warning { message, remedy: String::new() }, terminal);
        }
        self.write(record, terminal);
    }

    fn write(&self, record: &Record, terminal: &mut Terminal) {
        if self.json {
            return terminal.eprintln(json::line(record, SystemTime::now()));
        }
        if self.clear && matches!(record, Record::Restarting { .. }) {
            terminal.clear_screen();
        }
        for line in human::lines(record) {
            self.line(&line, terminal);
        }
    }

    fn line(&self, line: &Line, terminal: &mut Terminal) {
        let shown = match line.tone {
            Tone::Detail => self.level >= Level::Verbose,
            Tone::Plain | Tone::Good => self.level >= Level::Normal,
            Tone::Warning | Tone::Bad => true,
        };
        if shown {
            let text = escape_text(&line.text);
            terminal.eprintln(format_args!("{} {}", styled(style::FAINT, "devrun:"), toned(line.tone, text)));
        }
    }
}

fn level(settings: &Settings) -> Level {
    match (settings.output.quiet, settings.output.verbose) {
        (true, _) => Level::Quiet,
        (false, 0) => Level::Normal,
        (false, _) => Level::Verbose,
    }
}

fn toned(tone: Tone, text: impl Display) -> impl Display {
    let style = match tone {
        Tone::Detail => style::FAINT,
        Tone::Plain => anstyle::Style::new(),
        Tone::Good => style::GOOD,
        Tone::Warning => style::WARNING,
        Tone::Bad => style::ERROR,
    };
    styled(style, text)
}
