//! `devrun -- COMMAND`: a session, and the signals, keys and words around it.
//!
//! Everything runs on this thread: the kernel kills the child when the thread that started it ends, so it
//! must be one that lives as long as the process.

use std::time::{Duration, Instant};

use devrun::change::Batch;
use devrun::session::{Event, Handle, Session};
use devrun::supervise::{self, Ended, Exit, Guard, Phase, Request, Signal, Stdin, terminal as tty};
use devrun::watch;

use crate::descriptors;
use crate::difference::{Need, difference};
use crate::failure::{ExitCode, Failure};
use crate::keys::{self, Key, Keys};
use crate::report::Reporter;
use crate::settings::Settings;
use crate::signals::{Asked, Signals};
use crate::terminal::Terminal;
use crate::trace;

/// How often the status line shows the time that has passed.
const STATUS_EVERY: Duration = Duration::from_millis(250);

/// Runs COMMAND until it is told to stop.
///
/// # Errors
/// [`Failure`] if a room cannot begin; then nothing was started.
pub(crate) fn run(settings: Settings, terminal: &mut Terminal) -> Result<ExitCode, Failure> {
    // A fork: before anything that starts a thread.
    let guard = Guard::start();
    if let Err(error) = &guard {
        terminal
            .warn(format_args!("nothing watches over COMMAND if devrun is killed by SIGKILL: {error}"), "");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::to_do("start the event loop", &error))?;
    let outcome = runtime.block_on(supervise(settings, guard.ok(), terminal));
    // A thread that waits in the kernel for a slow file system must not hold up the end.
    runtime.shutdown_background();
    outcome
}

async fn supervise(
    settings: Settings,
    guard: Option<Guard>,
    terminal: &mut Terminal,
) -> Result<ExitCode, Failure> {
    let mut options = settings.session_options()?;
    options.supervise.guard = guard;
    options.supervise.open_files = descriptors::raise_limit();
    let mut signals = Signals::listen().map_err(|error| Failure::to_do("listen for signals", &error))?;
    let mut keys = None;
    let reporter = Reporter::new(&settings, &options, terminal.is_terminal(), Instant::now());
    let mut session = Session::start(options.clone()).await.map_err(|error| Failure::of(&error))?;
    let mut run = Run {
        handle: session.handle(),
        inherits: inherits(&options),
        doubt: settings.front.unfilled(&options.supervise.command),
        settings,
        next: None,
        asked: None,
        stopping: false,
        paused: false,
        reporter,
        terminal,
    };
    loop {
        keys = if run.inherits { None } else { keys.or_else(Keys::open) };
        let exit = run.through(&mut session, &mut signals, &mut keys).await;
        let Some(next) = run.next.take() else { return Ok(run.code(exit)) };
        (session, options) = again(&mut run, *next, options).await?;
        run.handle = session.handle();
        run.inherits = inherits(&options);
        run.stopping = false;
    }
}

/// A session with new settings; the old ones once more if the new ones cannot be used.
async fn again(
    run: &mut Run<'_>,
    next: Settings,
    old: devrun::Options,
) -> Result<(Session, devrun::Options), Failure> {
    let guarded = |mut options: devrun::Options| {
        options.supervise.guard.clone_from(&old.supervise.guard);
        options.supervise.open_files = old.supervise.open_files;
        options
    };
    let failure = match next.session_options().map(guarded) {
        Ok(options) => match Session::start(options.clone()).await {
            Ok(session) => {
                run.adopt(next, true);
                return Ok((session, options));
            }
            Err(error) => Failure::of(&error),
        },
        Err(failure) => failure,
    };
    run.refuse(&failure);
    let session = Session::start(old.clone()).await.map_err(|error| Failure::of(&error))?;
    Ok((session, old))
}

fn inherits(options: &devrun::Options) -> bool {
    options.supervise.command.stdin == Stdin::Inherit
}

/// What goes on around a session.
struct Run<'a> {
    handle: Handle,
    settings: Settings,
    /// What is odd about the settings, and its remedy: said once, after the first event.
    doubt: Option<(String, String)>,
    /// Settings that need a new session, once this one has ended.
    next: Option<Box<Settings>>,
    /// The signal that asked for the end.
    asked: Option<Signal>,
    /// The end was asked for, in whatever way; asking again kills.
    stopping: bool,
    paused: bool,
    /// The child owns the terminal: Ctrl-C reaches only it, and its end by Ctrl-C is ours.
    inherits: bool,
    reporter: Reporter,
    terminal: &'a mut Terminal,
}

impl Run<'_> {
    /// One session, from its start to its end.
    async fn through(
        &mut self,
        session: &mut Session,
        signals: &mut Signals,
        keys: &mut Option<Keys>,
    ) -> Exit {
        loop {
            tokio::select! {
                biased;
                asked = signals.next() => self.signal(asked, keys),
                event = session.next_event() => match event {
                    Some(Event::Ended(exit)) => {
                        if self.next.is_none() {
                            self.event(&Event::Ended(exit));
                        }
                        return exit;
                    }
                    Some(event) => self.heard(&event, keys),
                    None => return Exit::Asked,
                },
                key = next_key(keys) => self.key(key),
                () = tick(self.reporter.is_waiting()) => self.reporter.tick(Instant::now(), self.terminal),
            }
        }
    }

    fn event(&mut self, event: &Event) {
        self.reporter.event(event, Instant::now(), self.terminal);
        if let Some((message, remedy)) = self.doubt.take() {
            self.reporter.warn(message, remedy, self.terminal);
        }
    }

    fn heard(&mut self, event: &Event, keys: &mut Option<Keys>) {
        self.event(event);
        match event {
            Event::Watch(watch::Event::Changed(batch)) if self.is_configuration(batch) => self.reconfigure(),
            Event::Child(supervise::Event::Suspended) => self.suspend(keys),
            Event::Child(supervise::Event::Phase { phase: Phase::Exited(report), .. })
                if self.inherits && was_interrupted(report.ended) =>
            {
                self.stop(Signal::INT);
            }
            _ => {}
        }
    }

    fn is_configuration(&self, batch: &Batch) -> bool {
        let config = self.settings.config.as_ref();
        config.is_some_and(|config| batch.changes.iter().any(|change| change.path == *config))
    }

    /// devrun.toml was edited: what can follow at once does; the rest needs a new session.
    fn reconfigure(&mut self) {
        let next = match self.settings.again() {
            Ok(next) => next,
            Err(failure) => return self.refuse(&failure),
        };
        match difference(&self.settings, &next).need {
            Need::Nothing => {}
            Need::Report => self.adopt(next, false),
            Need::Watch => {
                self.handle.rewatch(next.watch_options());
                self.adopt(next, false);
            }
            Need::Child | Need::Session => {
                self.next = Some(Box::new(next));
                self.handle.send(Request::Stop);
            }
        }
    }

    fn adopt(&mut self, settings: Settings, restarted: bool) {
        self.reporter.adopt(&settings);
        // The variable was good when devrun started.
        let _ = trace::follow(settings.output);
        self.settings = settings;
        let file = self.settings.config.as_deref().map(|file| self.settings.shown(file));
        self.reporter.reconfigured(&file.unwrap_or_default(), restarted, self.terminal);
    }

    /// Says what is wrong with an edit; what is in effect stays so.
    fn refuse(&mut self, failure: &Failure) {
        self.terminal.fail(failure);
        self.reporter.say("the settings stay as they were", self.terminal);
    }

    fn signal(&mut self, asked: Asked, keys: &mut Option<Keys>) {
        match asked {
            Asked::Stop(signal) => self.stop(signal),
            // Nothing stops the first process of a container, so that nobody would let the child go on.
            Asked::Suspend if std::process::id() == 1 => {}
            // The child first: devrun stops itself when it hears that this is done.
            Asked::Suspend => self.handle.send(Request::Suspend),
            Asked::Continue => {
                self.handle.send(Request::Continue);
                if let Some(keys) = keys {
                    keys.resume();
                }
            }
        }
    }

    /// A signal asks for the end: devrun dies by it afterwards.
    fn stop(&mut self, signal: Signal) {
        self.asked.get_or_insert(signal);
        self.end();
    }

    /// Gently the first time, at once the second.
    fn end(&mut self) {
        self.next = None;
        if std::mem::replace(&mut self.stopping, true) {
            return self.handle.send(Request::Kill);
        }
        self.reporter.say("stopping; once more kills", self.terminal);
        self.handle.send(Request::Stop);
    }

    /// The shell gets the terminal as it was, and devrun stops here until it is continued.
    fn suspend(&mut self, keys: &mut Option<Keys>) {
        self.terminal.clear_status();
        if let Some(keys) = keys {
            keys.suspend();
        }
        tty::stop_self();
    }

    fn key(&mut self, key: Key) {
        match key {
            Key::Restart => self.handle.send(Request::Restart),
            Key::Pause => {
                self.paused = !self.paused;
                self.handle.send(if self.paused { Request::Pause } else { Request::Resume });
                self.reporter.paused(self.paused, self.terminal);
            }
            Key::Why => self.reporter.why(Instant::now(), self.terminal),
            // Not a signal: the exit status is 0.
            Key::Quit => self.end(),
            Key::Help => self.reporter.say(keys::HELP, self.terminal),
        }
    }

    fn code(&self, exit: Exit) -> ExitCode {
        match exit {
            Exit::NotStarted(2) => ExitCode::Failed,
            Exit::NotStarted(126) => ExitCode::NotExecutable,
            Exit::NotStarted(_) => ExitCode::NotFound,
            Exit::Child(ended) if self.asked.is_none() => child_code(ended),
            _ => self.asked.map_or(ExitCode::Success, ExitCode::Signal),
        }
    }
}

fn child_code(ended: Ended) -> ExitCode {
    match ended {
        Ended::Signal(signal) => ExitCode::Signal(signal),
        Ended::Status(status) => ExitCode::Child(u8::try_from(status & 0xff).unwrap_or(u8::MAX)),
        Ended::NotStarted(2) => ExitCode::Failed,
        Ended::NotStarted(126) => ExitCode::NotExecutable,
        _ => ExitCode::NotFound,
    }
}

/// Whether the child ended by a Ctrl-C that only it could see: by the signal, or with the shell's number for it.
fn was_interrupted(ended: Ended) -> bool {
    ended == Ended::Signal(Signal::INT) || ended == Ended::Status(130)
}

async fn next_key(keys: &mut Option<Keys>) -> Key {
    match keys {
        Some(keys) => keys.next().await,
        None => std::future::pending().await,
    }
}

/// Ticks only while something takes long: an idle devrun never wakes up.
async fn tick(waiting: bool) {
    match waiting {
        true => tokio::time::sleep(STATUS_EVERY).await,
        false => std::future::pending().await,
    }
}
