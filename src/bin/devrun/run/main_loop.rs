//! `devrun -- COMMAND`: a session, and the signals, keys and words around it.
//!
//! Everything runs on this thread: the kernel kills the child when the thread that started it ends, so it
//! must be one that lives as long as the process.

use std::time::{Duration, Instant};

use devrun::change::Batch;
use devrun::session::{Event, Handle, Session};
use devrun::supervise::{
    self, Capture, OrphanKiller, Phase, ProcessExit, Request, Signal, Stdin, SupervisorExit, terminal as tty,
};
use devrun::watch;

use super::keyboard::{self, Key, Keyboard, Typed};
use super::rlimit;
use super::signals::{Asked, Signals};
use super::start_error::start_error;
use crate::config::diff::{Reload, SettingsDiff};
use crate::config::resolved::settings::Settings;
use crate::report::{Reporter, log};
use crate::ui::byte_string::ByteString;
use crate::ui::error::{CliError, ExitCode};
use crate::ui::terminal::Terminal;

/// Two signals within this time are one press of a key.
const ONE_PRESS: Duration = Duration::from_millis(30);
/// How often the status line shows the time that has passed.
const STATUS_EVERY: Duration = Duration::from_millis(250);

/// Runs COMMAND until it is told to stop.
///
/// # Errors
/// [`CliError`] if a room cannot begin; then nothing was started.
pub(crate) fn run(settings: Settings, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let mut options = settings.session_options()?;
    // From here on nobody who traces waits for a reader.
    let streams =
        terminal.share().map_err(|error| CliError::failed_to("start the output threads", &error))?;
    options.supervise.streams = Some(streams);
    options.supervise.orphan_killer = start_orphan_killer(terminal);
    options.supervise.open_files = rlimit::raise_limit();
    capture(&mut options, terminal);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::failed_to("start the event loop", &error))?;
    let outcome = runtime.block_on(supervise(settings, options, terminal));
    // A thread that waits in the kernel for a slow file system must not hold up the end.
    runtime.shutdown_background();
    outcome
}

async fn supervise(
    settings: Settings,
    mut options: devrun::Options,
    terminal: &mut Terminal,
) -> Result<ExitCode, CliError> {
    let signals = Signals::listen().map_err(|error| CliError::failed_to("listen for signals", &error))?;
    let reporter = Reporter::new(&settings, &options, Instant::now());
    let mut run = Run {
        handle: None,
        signals,
        keyboard: Keyboard::none(),
        inherits: false,
        stats: options.watch.stats.clone(),
        doubt: settings.server.unfilled_placeholder(&options.supervise.command),
        settings,
        next: None,
        asked: None,
        stopping: None,
        suspending: false,
        paused: false,
        reporter,
        terminal,
    };
    let mut session = run.begun(&options).await?;
    loop {
        let Some(mut running) = session else { return Ok(run.code(SupervisorExit::Asked)) };
        run.adopt_session(&running, &options);
        let exit = run.through(&mut running).await;
        let Some(next) = run.next.take() else { return Ok(run.code(exit)) };
        run.keyboard = Keyboard::none();
        (session, options) = run.again(*next, options).await?;
    }
}

/// Starts the orphan killer. Warns if that fails: devrun goes on without it.
fn start_orphan_killer(terminal: &mut Terminal) -> Option<OrphanKiller> {
    OrphanKiller::start()
        .map_err(|error| {
            let message = "if devrun is killed by SIGKILL, COMMAND may go on running";
            terminal.warn(format_args!("{message}: {error}"), "");
        })
        .ok()
}

/// What goes on around a session.
struct Run<'a> {
    handle: Option<Handle>,
    signals: Signals,
    keyboard: Keyboard,
    settings: Settings,
    /// What the watch counts, over all sessions.
    stats: watch::Stats,
    /// What is odd about the settings, and its remedy: said once, after the first event.
    doubt: Option<(String, String)>,
    /// Settings that need a new session, once this one has ended.
    next: Option<Box<Settings>>,
    /// The signal that asked for the end.
    asked: Option<Signal>,
    /// Since when the end is asked for, in whatever way; asking again kills.
    stopping: Option<Instant>,
    /// Devrun itself was asked to stop for a while; otherwise only its child has noticed.
    suspending: bool,
    paused: bool,
    /// The child owns the terminal: Ctrl-C reaches only it, and its end by Ctrl-C is ours.
    inherits: bool,
    reporter: Reporter,
    terminal: &'a mut Terminal,
}

impl Run<'_> {
    /// A session that has begun, once it has started; `None` if a signal asks for the end first: the walk of a large tree
    /// takes its time.
    async fn begun(&mut self, options: &devrun::Options) -> Result<Option<Session>, CliError> {
        let starting = Session::start(options.clone());
        tokio::pin!(starting);
        self.reporter.scan_started(Instant::now(), self.terminal);
        loop {
            tokio::select! {
                biased;
                asked = self.signals.next() => match asked {
                    Asked::Stop(signal) => {
                        self.asked = Some(signal);
                        return Ok(None);
                    }
                    Asked::Suspend => tty::stop_self(),
                    Asked::Continue | Asked::Resized => {}
                },
                () = tick(self.reporter.needs_ticks()) => self.reporter.tick(Instant::now(), self.terminal),
                session = &mut starting => {
                    self.terminal.clear_status();
                    return session.map(Some).map_err(|error| start_error(&error));
                }
            }
        }
    }

    /// A session with new settings; the old ones once more if the new ones cannot be used.
    async fn again(
        &mut self,
        next: Settings,
        old: devrun::Options,
    ) -> Result<(Option<Session>, devrun::Options), CliError> {
        let terminal = &*self.terminal;
        let guarded = |mut options: devrun::Options| {
            options.supervise.orphan_killer.clone_from(&old.supervise.orphan_killer);
            options.supervise.open_files = old.supervise.open_files;
            options.supervise.streams.clone_from(&old.supervise.streams);
            options.watch.stats = old.watch.stats.clone();
            capture(&mut options, terminal);
            options
        };
        let failure = match next.session_options().map(guarded) {
            Ok(options) => match self.begun(&options).await {
                Ok(session) => {
                    self.adopt(next, true);
                    return Ok((session, options));
                }
                Err(failure) => failure,
            },
            Err(failure) => failure,
        };
        self.refuse(&failure);
        let session = self.begun(&old).await?;
        Ok((session, old))
    }

    fn adopt_session(&mut self, session: &Session, options: &devrun::Options) {
        self.inherits = options.supervise.command.stdin == Stdin::Inherit;
        self.keyboard = Keyboard::open(self.inherits);
        self.reporter.session_started(options, self.terminal);
        self.stopping = None;
        self.handle = Some(session.handle());
        if self.paused {
            self.send(Request::Pause);
        }
    }

    fn send(&self, request: Request) {
        if let Some(handle) = &self.handle {
            handle.send(request);
        }
    }

    /// One session, from its start to its end.
    async fn through(&mut self, session: &mut Session) -> SupervisorExit {
        loop {
            tokio::select! {
                biased;
                asked = self.signals.next() => self.signal(asked),
                event = session.next_event() => match event {
                    Some(Event::Ended(exit)) => {
                        if self.next.is_none() {
                            self.event(&Event::Ended(exit));
                        }
                        return exit;
                    }
                    Some(event) => self.heard(&event),
                    None => return SupervisorExit::Asked,
                },
                typed = self.keyboard.next() => self.typed(typed),
                () = tick(self.reporter.needs_ticks()) => self.reporter.tick(Instant::now(), self.terminal),
            }
        }
    }

    fn event(&mut self, event: &Event) {
        self.reporter.event(event, Instant::now(), self.terminal);
        if let Some((message, remedy)) = self.doubt.take() {
            self.reporter.warn(message, remedy, self.terminal);
        }
    }

    fn heard(&mut self, event: &Event) {
        self.keyboard.take();
        self.event(event);
        match event {
            Event::Watch(watch::Event::Changed(batch)) if self.is_configuration(batch) => self.reconfigure(),
            Event::Child(supervise::Event::Suspended) => self.suspend(),
            Event::Child(supervise::Event::Phase { phase: Phase::Exited(report), .. })
                if self.inherits && was_interrupted(report.ended) =>
            {
                self.stop(Signal::INT);
            }
            _ => {}
        }
    }

    fn is_configuration(&self, batch: &Batch) -> bool {
        let files = self.settings.config_files();
        batch.changes.iter().any(|change| files.contains(&change.path))
    }

    /// devrun.toml was edited: what can follow at once does; the rest needs a new session.
    fn reconfigure(&mut self) {
        let next = match self.settings.reload() {
            Ok(next) => next,
            Err(failure) => return self.refuse(&failure),
        };
        match SettingsDiff::between(&self.settings, &next).reload {
            Reload::None => {}
            Reload::Output => self.adopt(next, false),
            Reload::Watch => {
                if let Some(handle) = &self.handle {
                    let mut options = next.watch_options();
                    options.stats = self.stats.clone();
                    handle.rewatch(options);
                }
                self.adopt(next, false);
            }
            Reload::Child | Reload::Session => {
                // What cannot be used at all stops nothing.
                if let Err(failure) = next.session_options() {
                    return self.refuse(&failure);
                }
                self.next = Some(Box::new(next));
                self.send(Request::Stop);
            }
        }
    }

    fn adopt(&mut self, settings: Settings, restarted: bool) {
        self.reporter.configure(&settings);
        // The variable was good when devrun started.
        let _ = log::configure(settings.output);
        self.settings = settings;
        let file = self
            .settings
            .config
            .as_deref()
            .map(|file| ByteString::from_relative_path(file, &self.settings.directory));
        self.reporter.reconfigured(file.unwrap_or_else(|| ByteString::new("")), restarted, self.terminal);
    }

    /// Says what is wrong with an edit; what is in effect stays so.
    fn refuse(&mut self, failure: &CliError) {
        self.terminal.print_error(failure);
        self.reporter.inform("the old settings stay in effect", self.terminal);
    }

    fn signal(&mut self, asked: Asked) {
        match asked {
            Asked::Stop(signal) => self.stop(signal),
            // Nothing stops the first process of a container, so that nobody would let the child go on.
            Asked::Suspend if std::process::id() == 1 => {}
            // The child first: devrun stops itself when it hears that this is done.
            Asked::Suspend => {
                self.suspending = true;
                self.send(Request::Suspend);
            }
            Asked::Continue => {
                self.send(Request::Continue);
                self.keyboard.take();
            }
            Asked::Resized => self.send(Request::Resized),
        }
    }

    /// A signal asks for the end: devrun dies by it afterwards.
    fn stop(&mut self, signal: Signal) {
        self.asked.get_or_insert(signal);
        // The end of a terminal is told twice, by the kernel and by the shell: nobody has asked twice.
        if signal == Signal::HUP && self.stopping.is_some() {
            return;
        }
        self.end();
    }

    /// Gently the first time, at once the second.
    fn end(&mut self) {
        self.next = None;
        let now = Instant::now();
        match self.stopping {
            // One Ctrl-C comes twice from a wrapper that passes on what we have already got, such as `npm run`.
            Some(since) if now.saturating_duration_since(since) < ONE_PRESS => {}
            Some(_) => self.send(Request::Kill),
            None => {
                self.stopping = Some(now);
                self.reporter.inform("stopping; press again to kill", self.terminal);
                self.send(Request::Stop);
            }
        }
    }

    /// The shell gets the terminal as it was, and devrun stops here until it is continued.
    fn suspend(&mut self) {
        self.terminal.drain();
        self.keyboard.suspend();
        match std::mem::take(&mut self.suspending) {
            true => tty::stop_self(),
            false => tty::stop_group(),
        }
    }

    fn typed(&mut self, typed: Typed) {
        match typed {
            Typed::Key(key) => self.key(key),
            Typed::Gone if self.signals.heed_hangup() => self.stop(Signal::HUP),
            Typed::Gone => {}
        }
    }

    fn key(&mut self, key: Key) {
        match key {
            Key::Restart => self.send(Request::Restart),
            Key::Pause => {
                self.paused = !self.paused;
                if self.paused {
                    self.send(Request::Pause);
                    self.reporter.paused(self.terminal);
                } else {
                    self.send(Request::Resume);
                    self.reporter.resumed(self.terminal);
                }
            }
            Key::Why => self.reporter.explain_restarts(Instant::now(), self.terminal),
            // Not a signal: the exit status is 0.
            Key::Quit => self.end(),
            Key::Room => self.terminal.eprintln(""),
            Key::Help => self.reporter.inform(keyboard::HELP, self.terminal),
        }
    }

    fn code(&self, exit: SupervisorExit) -> ExitCode {
        match exit {
            SupervisorExit::NotStarted(2) => ExitCode::Failed,
            SupervisorExit::NotStarted(126) => ExitCode::NotExecutable,
            SupervisorExit::NotStarted(_) => ExitCode::NotFound,
            SupervisorExit::Child(ended) if self.asked.is_none() => child_code(ended),
            _ => self.asked.map_or(ExitCode::Success, ExitCode::Signal),
        }
    }
}

/// What appears on a terminal goes through devrun, so that its own lines and COMMAND's do not mix; but not if the terminal
/// is COMMAND's own.
fn capture(options: &mut devrun::Options, terminal: &Terminal) {
    let options = &mut options.supervise;
    if options.capture == Capture::No && options.command.stdin != Stdin::Inherit && terminal.supports_status()
    {
        options.capture = Capture::Terminal;
    }
}

fn child_code(ended: ProcessExit) -> ExitCode {
    match ended {
        ProcessExit::Signal(signal) => ExitCode::Signal(signal),
        ProcessExit::Status(status) => ExitCode::Child(u8::try_from(status & 0xff).unwrap_or(u8::MAX)),
        ProcessExit::NotStarted(2) => ExitCode::Failed,
        ProcessExit::NotStarted(126) => ExitCode::NotExecutable,
        _ => ExitCode::NotFound,
    }
}

/// Whether the child ended by a Ctrl-C that only it could see: by the signal, or with the shell's number for it.
fn was_interrupted(ended: ProcessExit) -> bool {
    ended == ProcessExit::Signal(Signal::INT) || ended == ProcessExit::Status(130)
}

/// Ticks only while something takes long: an idle devrun never wakes up.
async fn tick(waiting: bool) {
    match waiting {
        true => tokio::time::sleep(STATUS_EVERY).await,
        false => std::future::pending().await,
    }
}
