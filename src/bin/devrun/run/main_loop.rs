//! The main loop of a run: events of the session, signals, keys, and edits of devrun.toml.
//!
//! All of it runs on the main thread, because the kernel kills COMMAND when the thread that started it ends.

use std::time::{Duration, Instant};

use devrun::change::Batch;
use devrun::session::{Event, Handle, Session};
use devrun::supervise::{self, Phase, Request, Signal, SupervisorExit, terminal as tty};
use devrun::{Options, watch};

use super::job_control::JobControl;
use super::keyboard::{Input, Keyboard};
use super::keys::Key;
use super::session_options::{child_owns_terminal, first_options, next_options};
use super::signals::{SignalRequest, Signals};
use super::start_error::start_error;
use super::stop::{StopAction, StopSequence, was_interrupted};
use crate::config::{Reload, Settings};
use crate::report::{Reconfigured, Record, Reporter, log};
use crate::ui::{ByteString, CliError, ExitCode, Terminal};

/// Interval at which the status line is updated.
const STATUS_INTERVAL: Duration = Duration::from_millis(250);

/// Runs COMMAND until devrun is asked to stop.
///
/// # Errors
/// [`CliError`] if the session cannot start. COMMAND was not started then.
pub(crate) fn run(settings: Settings, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let options = first_options(&settings, terminal)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::failed_to("start the event loop", &error))?;
    let result = runtime.block_on(async { MainLoop::new(settings, &options, terminal)?.run(options).await });
    // Do not wait for a thread that is blocked by a slow file system.
    runtime.shutdown_background();
    result
}

/// A run of devrun, which consists of one session, or of several if devrun.toml is edited.
struct MainLoop<'a> {
    signals: Signals,
    keyboard: Keyboard,
    /// The running session.
    session: Option<Handle>,
    settings: Settings,
    /// Settings that need a new session. It starts when the current one has ended.
    next_settings: Option<Box<Settings>>,
    stop: StopSequence,
    job_control: JobControl,
    paused: bool,
    /// Whether COMMAND reads the terminal. Ctrl-C then reaches only COMMAND.
    child_owns_terminal: bool,
    /// A warning about the settings and its remedy, reported after the first event.
    warning: Option<(String, String)>,
    /// Counters of the watch, which all sessions share.
    stats: watch::Stats,
    reporter: Reporter,
    terminal: &'a mut Terminal,
}

impl<'a> MainLoop<'a> {
    fn new(settings: Settings, options: &Options, terminal: &'a mut Terminal) -> Result<Self, CliError> {
        let signals =
            Signals::listen().map_err(|error| CliError::failed_to("install signal handlers", &error))?;
        Ok(Self {
            signals,
            keyboard: Keyboard::Unused,
            session: None,
            next_settings: None,
            stop: StopSequence::default(),
            job_control: JobControl::default(),
            paused: false,
            child_owns_terminal: false,
            warning: settings.unfilled_placeholder(),
            stats: options.watch.stats.clone(),
            reporter: Reporter::new(&settings, options, Instant::now()),
            settings,
            terminal,
        })
    }

    /// Runs one session after the other.
    async fn run(mut self, mut options: Options) -> Result<ExitCode, CliError> {
        let mut session = self.start_session(&options).await?;
        loop {
            let Some(mut running) = session else { return Ok(self.stop.exit_code(SupervisorExit::Asked)) };
            self.session_started(&running, &options);
            let exit = self.run_session(&mut running).await;
            let Some(settings) = self.next_settings.take() else { return Ok(self.stop.exit_code(exit)) };
            self.keyboard = Keyboard::Unused;
            (session, options) = self.restart_session(*settings, options).await?;
        }
    }

    /// Starts a session. Returns `None` if a signal requests the stop first, because the scan of a large tree
    /// takes long.
    async fn start_session(&mut self, options: &Options) -> Result<Option<Session>, CliError> {
        let starting = Session::start(options.clone());
        tokio::pin!(starting);
        self.reporter.scan_started(Instant::now(), self.terminal);
        loop {
            tokio::select! {
                biased;
                request = self.signals.next() => match request {
                    SignalRequest::Stop(signal) => {
                        self.stop.request_by_signal(signal, Instant::now());
                        return Ok(None);
                    }
                    SignalRequest::Suspend => tty::stop_self(),
                    SignalRequest::Continue | SignalRequest::Resize => {}
                },
                () = tick(self.reporter.needs_ticks()) => self.reporter.tick(Instant::now(), self.terminal),
                session = &mut starting => {
                    self.terminal.clear_status();
                    return session.map(Some).map_err(|error| start_error(&error));
                }
            }
        }
    }

    /// Starts a session with new settings, or with the old ones if the new ones cannot be used.
    async fn restart_session(
        &mut self,
        settings: Settings,
        old: Options,
    ) -> Result<(Option<Session>, Options), CliError> {
        let error = match next_options(&settings, &old, self.terminal) {
            Ok(options) => match self.start_session(&options).await {
                Ok(session) => {
                    self.adopt_settings(settings, true);
                    return Ok((session, options));
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        self.reject_settings(&error);
        let session = self.start_session(&old).await?;
        Ok((session, old))
    }

    fn session_started(&mut self, session: &Session, options: &Options) {
        self.child_owns_terminal = child_owns_terminal(options);
        self.keyboard = if self.child_owns_terminal { Keyboard::open_for_child() } else { Keyboard::open() };
        self.reporter.session_started(options, self.terminal);
        self.stop.session_started();
        self.session = Some(session.handle());
        if self.paused {
            self.send(Request::Pause);
        }
    }

    fn send(&self, request: Request) {
        if let Some(session) = &self.session {
            session.send(request);
        }
    }

    /// Handles events, signals and keys until the session ends.
    async fn run_session(&mut self, session: &mut Session) -> SupervisorExit {
        loop {
            tokio::select! {
                biased;
                request = self.signals.next() => self.handle_signal(request),
                event = session.next_event() => match event {
                    Some(Event::Ended(exit)) => {
                        // The summary belongs to the end of the last session.
                        if self.next_settings.is_none() {
                            self.report(&Event::Ended(exit));
                        }
                        return exit;
                    }
                    Some(event) => self.handle_event(&event),
                    None => return SupervisorExit::Asked,
                },
                input = self.keyboard.next() => self.handle_input(input),
                () = tick(self.reporter.needs_ticks()) => self.reporter.tick(Instant::now(), self.terminal),
            }
        }
    }

    fn report(&mut self, event: &Event) {
        self.reporter.event(event, Instant::now(), self.terminal);
        if let Some((message, remedy)) = self.warning.take() {
            self.reporter.report(&Record::Warning { message, remedy }, self.terminal);
        }
    }

    fn handle_event(&mut self, event: &Event) {
        self.keyboard.resume();
        self.report(event);
        match event {
            Event::Watch(watch::Event::Changed(batch)) if self.has_config_file(batch) => {
                self.reload_settings()
            }
            Event::Child(supervise::Event::Suspended) => self.child_suspended(),
            Event::Child(supervise::Event::Phase { phase: Phase::Exited(report), .. })
                if self.child_owns_terminal && was_interrupted(report.ended) =>
            {
                self.stop_by_signal(Signal::INT);
            }
            _ => {}
        }
    }

    fn has_config_file(&self, batch: &Batch) -> bool {
        let files = self.settings.config_files();
        batch.changes.iter().any(|change| files.contains(&change.path))
    }

    /// Reads the edited devrun.toml. Applies at once what the running session can apply; the rest needs a new
    /// session.
    fn reload_settings(&mut self) {
        let settings = match self.settings.reload() {
            Ok(settings) => settings,
            Err(error) => return self.reject_settings(&error),
        };
        match Reload::between(&self.settings, &settings) {
            Reload::None => {}
            Reload::Output => self.adopt_settings(settings, false),
            Reload::Watch => {
                if let Some(session) = &self.session {
                    let mut options = settings.session.watch.clone();
                    options.stats = self.stats.clone();
                    session.rewatch(options);
                }
                self.adopt_settings(settings, false);
            }
            Reload::Session => {
                // Settings that cannot be used must not stop the session.
                if let Err(error) = settings.session_options() {
                    return self.reject_settings(&error);
                }
                self.next_settings = Some(Box::new(settings));
                self.send(Request::Stop);
            }
        }
    }

    fn adopt_settings(&mut self, settings: Settings, restarted: bool) {
        self.reporter.configure(&settings);
        // DEVRUN_LOG was valid when devrun started.
        let _ = log::configure(settings.output);
        self.settings = settings;
        let file = match &self.settings.config {
            Some(file) => ByteString::from_relative_path(file, &self.settings.directory),
            None => ByteString::new(""),
        };
        self.reporter.report(&Record::Reconfigured(Reconfigured { file, restarted }), self.terminal);
    }

    fn reject_settings(&mut self, error: &CliError) {
        self.terminal.print_error(error);
        self.reporter.inform("the old settings stay in effect", self.terminal);
    }

    fn handle_signal(&mut self, request: SignalRequest) {
        match request {
            SignalRequest::Stop(signal) => self.stop_by_signal(signal),
            // COMMAND first. When it has been suspended, `child_suspended` suspends devrun.
            SignalRequest::Suspend if JobControl::can_suspend() => {
                self.job_control = JobControl::BySignal;
                self.send(Request::Suspend);
            }
            SignalRequest::Suspend => {}
            SignalRequest::Continue => {
                self.send(Request::Continue);
                self.keyboard.resume();
            }
            SignalRequest::Resize => self.send(Request::Resized),
        }
    }

    fn child_suspended(&mut self) {
        self.terminal.drain();
        self.keyboard.suspend();
        self.job_control.child_suspended();
    }

    fn stop_by_signal(&mut self, signal: Signal) {
        let action = self.stop.request_by_signal(signal, Instant::now());
        self.perform(action);
    }

    fn perform(&mut self, action: StopAction) {
        self.next_settings = None;
        match action {
            StopAction::None => {}
            StopAction::Stop => {
                self.reporter.inform("stopping; press again to kill", self.terminal);
                self.send(Request::Stop);
            }
            StopAction::Kill => self.send(Request::Kill),
        }
    }

    fn handle_input(&mut self, input: Input) {
        match input {
            Input::Key(key) => self.handle_key(key),
            Input::Hangup if self.signals.handles_hangup() => self.stop_by_signal(Signal::HUP),
            Input::Hangup => {}
        }
    }

    fn handle_key(&mut self, key: Key) {
        match key {
            Key::Restart => self.send(Request::Restart),
            Key::Pause => self.toggle_pause(),
            Key::Why => self.reporter.explain_restarts(Instant::now(), self.terminal),
            Key::Quit => {
                let action = self.stop.request(Instant::now());
                self.perform(action);
            }
            Key::BlankLine => self.terminal.eprintln(""),
            Key::Help => self.reporter.inform(Key::HELP, self.terminal),
        }
    }

    fn toggle_pause(&mut self) {
        self.paused = !self.paused;
        if self.paused {
            self.send(Request::Pause);
            self.reporter.report(&Record::Paused, self.terminal);
        } else {
            self.send(Request::Resume);
            self.reporter.report(&Record::Resumed, self.terminal);
        }
    }
}

/// Waits for the next update of the status line. Without one, an idle devrun never wakes up.
async fn tick(needed: bool) {
    if needed {
        tokio::time::sleep(STATUS_INTERVAL).await;
    } else {
        std::future::pending::<()>().await;
    }
}
