//! Signals to devrun itself, as a shell user expects them. Decides nothing: `run` does.

use std::io;

use devrun::supervise::{Signal, terminal};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// End, and then die by this signal.
    Stop(Signal),
    /// Ctrl-Z: stop the child, then devrun.
    Suspend,
    /// Go on after that.
    Continue,
    /// The terminal has another size.
    Resized,
}

/// The signals devrun listens to while a session runs.
pub(crate) struct Signals {
    interrupt: Stream,
    terminate: Stream,
    quit: Stream,
    /// `None` under `nohup`: a hangup that was ignored from the start stays ignored.
    hangup: Option<Stream>,
    suspend: Option<Stream>,
    resume: Stream,
    resized: Stream,
}

impl Signals {
    /// Installs the handlers; they stay for the life of the process.
    pub(crate) fn listen() -> io::Result<Self> {
        let unless_ignored = |number: i32, kind: SignalKind| {
            let ignored = Signal::from_number(number).is_some_and(terminal::is_ignored);
            (!ignored).then(|| signal(kind)).transpose()
        };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hangup: unless_ignored(libc::SIGHUP, SignalKind::hangup())?,
            suspend: unless_ignored(libc::SIGTSTP, SignalKind::from_raw(libc::SIGTSTP))?,
            resume: signal(SignalKind::from_raw(libc::SIGCONT))?,
            resized: signal(SignalKind::window_change())?,
        })
    }

    /// Whether the end of the terminal ends devrun: not under `nohup`.
    pub(crate) fn heed_hangup(&self) -> bool {
        self.hangup.is_some()
    }

    /// Waits for the next one. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop(Signal::INT),
            _ = self.terminate.recv() => Asked::Stop(Signal::TERM),
            _ = self.quit.recv() => Asked::Stop(Signal::QUIT),
            () = received(&mut self.hangup) => Asked::Stop(Signal::HUP),
            () = received(&mut self.suspend) => Asked::Suspend,
            _ = self.resume.recv() => Asked::Continue,
            _ = self.resized.recv() => Asked::Resized,
        }
    }
}

/// Ends this process by a signal, so that the shell sees what happened. Returns if that is impossible.
pub(crate) fn die_by(signal: Signal) {
    terminal::die_by(signal);
}

async fn received(stream: &mut Option<Stream>) {
    match stream {
        Some(stream) => {
            stream.recv().await;
        }
        None => std::future::pending().await,
    }
}
