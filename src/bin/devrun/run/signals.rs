//! The signals that devrun handles during a run. `main_loop.rs` decides what they do.

use std::io;

use devrun::supervise::{Signal, terminal};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

/// What a signal requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignalRequest {
    /// Stop COMMAND, and then end by this signal.
    Stop(Signal),
    /// SIGTSTP, as by Ctrl-Z: suspend COMMAND, and then devrun.
    Suspend,
    /// SIGCONT: continue after a suspension.
    Continue,
    /// SIGWINCH: the size of the terminal changed.
    Resize,
}

/// Streams of the signals that devrun handles.
pub(super) struct Signals {
    interrupt: SignalStream,
    terminate: SignalStream,
    quit: SignalStream,
    /// `None` if SIGHUP was ignored when devrun started, as under `nohup`. It then stays ignored.
    hangup: Option<SignalStream>,
    /// `None` if SIGTSTP was ignored when devrun started.
    suspend: Option<SignalStream>,
    resume: SignalStream,
    resize: SignalStream,
}

impl Signals {
    /// Installs the handlers. They stay for the life of the process.
    pub(super) fn listen() -> io::Result<Self> {
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
            resize: signal(SignalKind::window_change())?,
        })
    }

    /// Whether the end of the terminal ends devrun. Under `nohup` it does not.
    pub(super) fn handles_hangup(&self) -> bool {
        self.hangup.is_some()
    }

    /// Waits for the next signal. Cancel-safe.
    pub(super) async fn next(&mut self) -> SignalRequest {
        tokio::select! {
            _ = self.interrupt.recv() => SignalRequest::Stop(Signal::INT),
            _ = self.terminate.recv() => SignalRequest::Stop(Signal::TERM),
            _ = self.quit.recv() => SignalRequest::Stop(Signal::QUIT),
            () = recv(&mut self.hangup) => SignalRequest::Stop(Signal::HUP),
            () = recv(&mut self.suspend) => SignalRequest::Suspend,
            _ = self.resume.recv() => SignalRequest::Continue,
            _ = self.resize.recv() => SignalRequest::Resize,
        }
    }
}

async fn recv(stream: &mut Option<SignalStream>) {
    match stream {
        Some(stream) => {
            stream.recv().await;
        }
        None => std::future::pending().await,
    }
}
