//! The main loop of a run: events of the session, signals, typed commands, and edits of devrun.toml.
//!
//! All of it runs on the main thread, because the kernel kills COMMAND when the thread that started it ends.

use std::time::{Duration, Instant};

use devrun::change::Batch;
use devrun::control::OwnerRequest;
use devrun::session::{Event, Handle, Session};
use devrun::supervise::{self, InnerReloader, Phase, Request, Signal, SupervisorExit, terminal as tty};
use devrun::{Options, watch};
use tokio::runtime::{Builder, Runtime};

use super::control::Control;
use super::input::{Input, TerminalInput};
use super::session_options::{child_owns_terminal, failed_to, first_options, next_options, start_error};
use super::signals::{Signals, StopSequence, was_interrupted};
use super::untracked::UntrackedFiles;
use crate::config::{Reload, Settings};
use crate::inner_reloader;
use crate::report::{Reporter, log};
use crate::ui::{CliError, ExitCode, Terminal};

/// Interval at which the status line is updated.
const STATUS_INTERVAL: Duration = Duration::from_millis(250);

/// The answer to the command `h`. Lines fit a terminal of 80 columns.
const COMMANDS_HELP: &str = "r restart, p pause or resume, w why did it restart, q quit; then Enter";
/// The line at the start on a terminal.
const COMMANDS_HINT: &str = "h and Enter lists the commands";
/// The answer to a line that is no command.
const OTHER_LINE: &str = "input goes to devrun (h for help), with `--stdin inherit` to COMMAND";

/// Runs COMMAND until devrun is asked to stop.
///
/// # Errors
/// [`CliError`] if the session cannot start. COMMAND was not started then.
pub(crate) fn run(settings: Settings, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let options = first_options(&settings, terminal)?;
    let runtime = event_loop()?;
    let result = runtime.block_on(async { MainLoop::new(settings, &options, terminal)?.run(options).await });
    // Do not wait for a thread that is blocked by a slow file system.
    runtime.shutdown_background();
    result
}

/// An event loop on this thread.
///
/// # Errors
/// [`CliError`] if the system has no descriptor left for it.
pub(crate) fn event_loop() -> Result<Runtime, CliError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| failed_to("start the event loop", &error))
}

/// A run of devrun, which consists of one session, or of several if devrun.toml is edited.
struct MainLoop<'a> {
    signals: Signals,
    input: TerminalInput,
    /// The running session.
    session: Option<Handle>,
    settings: Settings,
    /// Settings that need a new session. It starts when the current one has ended.
    next_settings: Option<Box<Settings>>,
    stop_sequence: StopSequence,
    /// Whether SIGTSTP asked to suspend COMMAND, and then devrun. Otherwise COMMAND was stopped from outside, for
    /// example by Ctrl-Z in a terminal that it owns.
    suspended_by_signal: bool,
    paused: bool,
    /// Whether COMMAND reads the terminal. Ctrl-C then reaches only COMMAND.
    child_owns_terminal: bool,
    /// A warning about the settings and its remedy, reported after the first event.
    warning: Option<(String, String)>,
    untracked_files: UntrackedFiles,
    /// The reloader that COMMAND starts, reported after the first event of its session.
    reloader: Option<InnerReloader>,
    /// Counters of the watch, which all sessions share.
    stats: watch::Stats,
    reporter: Reporter,
    control: Control,
    terminal: &'a mut Terminal,
}

impl<'a> MainLoop<'a> {
    fn new(settings: Settings, options: &Options, terminal: &'a mut Terminal) -> Result<Self, CliError> {
        let signals = Signals::listen().map_err(|error| failed_to("install signal handlers", &error))?;
        Ok(Self {
            signals,
            input: TerminalInput::Unused,
            session: None,
            next_settings: None,
            stop_sequence: StopSequence::default(),
            suspended_by_signal: false,
            paused: false,
            child_owns_terminal: false,
            warning: settings.unfilled_placeholder(),
            untracked_files: UntrackedFiles::default(),
            reloader: None,
            stats: options.watch.stats.clone(),
            reporter: Reporter::new(&settings, options, Instant::now()),
            control: Control::start(&settings),
            settings,
            terminal,
        })
    }

    /// Runs one session after the other.
    async fn run(mut self, mut options: Options) -> Result<ExitCode, CliError> {
        let mut session = self.start_session(&options).await?;
        loop {
            let Some(mut running) = session else {
                return Ok(self.stop_sequence.exit_code(SupervisorExit::Asked));
            };
            self.session_started(&running, &options);
            let exit = self.run_session(&mut running).await;
            let Some(settings) = self.next_settings.take() else {
                return Ok(self.stop_sequence.exit_code(exit));
            };
            self.input = TerminalInput::Unused;
            (session, options) = self.restart_session(*settings, options).await?;
        }
    }

    /// Starts a session. Returns `None` if a signal requests the stop first, because the scan of a large tree
    /// takes long.
    async fn start_session(&mut self, options: &Options) -> Result<Option<Session>, CliError> {
        let mut options = options.clone();
        // A command that was stopped on request stays so: `session_started` halts it.
        options.supervise.postpone |= self.reporter.rest().is_halted();
        let starting = Session::start(options);
        tokio::pin!(starting);
        self.reporter.scan_started(Instant::now(), self.terminal);
        loop {
            tokio::select! {
                biased;
                signal = self.signals.next() => match signal {
                    Signal::TSTP => tty::stop_self(),
                    Signal::CONT | Signal::WINCH => {}
                    signal => {
                        self.stop_sequence.request_by_signal(signal, Instant::now());
                        return Ok(None);
                    }
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
        let started = match next_options(&settings, &old, self.terminal) {
            Ok(options) => self.start_session(&options).await.map(|session| (session, options)),
            Err(error) => Err(error),
        };
        match started {
            Ok(started) => {
                self.adopt_settings(settings, true);
                Ok(started)
            }
            Err(error) => {
                self.reject_settings(&error);
                Ok((self.start_session(&old).await?, old))
            }
        }
    }

    fn session_started(&mut self, session: &Session, options: &Options) {
        self.child_owns_terminal = child_owns_terminal(options);
        self.input =
            if self.child_owns_terminal { TerminalInput::open_for_child() } else { TerminalInput::open() };
        self.reporter.session_started(options, self.terminal);
        if self.session.is_none() && self.input.takes_commands() && self.terminal.is_terminal() {
            self.reporter.inform(COMMANDS_HINT, self.terminal);
        }
        if self.session.is_none() && self.control.has_failed() && self.settings.output.verbose > 0 {
            self.reporter.inform(
                "no directory can hold a control socket: `devrun ps` and others find no devrun",
                self.terminal,
            );
        }
        self.stop_sequence.session_started();
        self.reloader = inner_reloader::in_command(&options.supervise.command);
        self.session = Some(session.handle());
        self.control.session_started(session, options);
        if self.paused {
            self.send(Request::Pause);
        }
        if self.reporter.rest().is_halted() {
            self.send(Request::Halt);
        }
    }

    fn send(&self, request: Request) {
        if let Some(session) = &self.session {
            session.send(request);
        }
    }

    /// Handles events, signals and typed commands until the session ends.
    async fn run_session(&mut self, session: &mut Session) -> SupervisorExit {
        loop {
            tokio::select! {
                biased;
                signal = self.signals.next() => self.handle_signal(signal),
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
                input = self.input.next() => self.handle_input(input),
                OwnerRequest::Down = self.control.next_request() => self.handle_input(Input::Quit),
                (message, remedy) = self.untracked_files.warning() => {
                    self.reporter.warn(&message, &remedy, self.terminal);
                }
                () = tick(self.reporter.needs_ticks()) => self.reporter.tick(Instant::now(), self.terminal),
            }
        }
    }

    fn report(&mut self, event: &Event) {
        self.reporter.event(event, Instant::now(), self.terminal);
        if let Some((message, remedy)) = self.warning.take() {
            self.reporter.warn(&message, &remedy, self.terminal);
        }
        if let Some(reloader) = self.reloader.take() {
            self.reporter.reloader_inside(reloader, self.terminal);
        }
    }

    fn handle_event(&mut self, event: &Event) {
        self.control.observe(event);
        self.report(event);
        match event {
            Event::Watch(watch::Event::Changed(batch)) if self.has_config_file(batch) => {
                self.reload_settings()
            }
            Event::Child(supervise::Event::Restarting { because: Some(batch), .. }) => {
                self.untracked_files.restarted_by(batch, &self.settings.base);
            }
            Event::Child(supervise::Event::Suspended) => self.child_suspended(),
            Event::Child(supervise::Event::Paused | supervise::Event::Resumed) => {
                self.paused = self.reporter.rest().is_paused();
            }
            Event::Child(supervise::Event::Phase { phase: Phase::Exited(report), .. })
                if self.child_owns_terminal
                    && was_interrupted(report.ended, self.settings.session.supervise.on_exit) =>
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
        // DEVRUN_LOG was valid when devrun started.
        let _ = log::configure(settings.output);
        self.reporter.reconfigure(&settings, restarted, self.terminal);
        self.settings = settings;
    }

    fn reject_settings(&mut self, error: &CliError) {
        self.terminal.print_error(error);
        self.reporter.inform("the old settings stay in effect", self.terminal);
    }

    fn handle_signal(&mut self, signal: Signal) {
        match signal {
            // As the first process of a container devrun is not suspended, because no process would continue it.
            Signal::TSTP if std::process::id() == 1 => {}
            // COMMAND first. When it has been suspended, `child_suspended` suspends devrun.
            Signal::TSTP => {
                self.suspended_by_signal = true;
                self.send(Request::Suspend);
            }
            Signal::CONT => self.send(Request::Continue),
            Signal::WINCH => self.send(Request::Resized),
            signal => self.stop_by_signal(signal),
        }
    }

    /// Stops this process until SIGCONT arrives.
    fn child_suspended(&mut self) {
        self.terminal.drain();
        if std::mem::take(&mut self.suspended_by_signal) {
            tty::stop_self()
        } else {
            tty::stop_group()
        }
        self.reporter.refresh(Instant::now(), self.terminal);
    }

    fn stop_by_signal(&mut self, signal: Signal) {
        let request = self.stop_sequence.request_by_signal(signal, Instant::now());
        self.stop(request);
    }

    fn stop(&mut self, request: Option<Request>) {
        self.next_settings = None;
        if let Some(request) = request {
            if matches!(request, Request::Stop) {
                self.reporter.inform("stopping; press again to kill", self.terminal);
            }
            self.send(request);
        }
    }

    fn handle_input(&mut self, input: Input) {
        match input {
            Input::Restart => self.send(Request::Restart),
            Input::TogglePause => self.toggle_pause(),
            Input::ExplainRestarts => self.reporter.explain_restarts(Instant::now(), self.terminal),
            Input::Quit => {
                let request = self.stop_sequence.request(Instant::now());
                self.stop(request);
            }
            Input::Help => self.reporter.inform(COMMANDS_HELP, self.terminal),
            Input::OtherLine => self.reporter.inform(OTHER_LINE, self.terminal),
            Input::Hangup if self.signals.handles_hangup() => self.stop_by_signal(Signal::HUP),
            Input::Hangup => {}
        }
    }

    fn toggle_pause(&mut self) {
        self.paused = !self.paused;
        self.send(if self.paused { Request::Pause } else { Request::Resume });
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
