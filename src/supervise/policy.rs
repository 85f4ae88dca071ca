//! Pure: what of the options the decisions depend on.

use std::time::Duration;

use super::command::Stdin;
use super::options::{OnBusy, OnExit, Options, Port};
use super::phase::ProcessExit;
use super::signal::Signal;
use super::sockets::PassSocket;

/// What of the options the decisions depend on.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) builds: bool,
    /// Something comes before each start that may fail: builds, or environment files to read.
    pub(super) prepares: bool,
    pub(super) on_busy: OnBusy,
    pub(super) on_exit: OnExit,
    pub(super) stop_signal: Signal,
    pub(super) stop_timeout: Duration,
    pub(super) ready_timeout: Duration,
    pub(super) drain_timeout: Option<Duration>,
    pub(super) overlap: bool,
    pub(super) postpone: bool,
    pub(super) own_terminal: bool,
    pub(super) werkzeug: bool,
}

impl Settings {
    pub(super) fn new(options: &Options) -> Self {
        let apart = match options.port {
            Port::Own | Port::Inherited => true,
            Port::Fixed(_) => false,
            Port::None => !options.listen.is_empty(),
        };
        Self {
            builds: !options.builds.is_empty(),
            prepares: !options.builds.is_empty() || !options.command.env_files.is_empty(),
            on_busy: options.on_busy,
            on_exit: options.on_exit,
            stop_signal: options.stop_signal,
            stop_timeout: options.stop_timeout,
            ready_timeout: options.ready.timeout,
            drain_timeout: options.drain_timeout,
            overlap: options.overlap && apart,
            postpone: options.postpone,
            own_terminal: options.command.stdin == Stdin::Inherit,
            werkzeug: options.pass_socket == PassSocket::Werkzeug
                && (options.port == Port::Inherited || !options.listen.is_empty()),
        }
    }
}

/// Whether it was ended by the terminal that it owned: by Ctrl-C (shells count 128 plus the signal as the same), by Ctrl-\,
/// or because it is gone.
pub(super) fn by_terminal(ended: ProcessExit) -> bool {
    match ended {
        ProcessExit::Signal(signal) => [Signal::INT, Signal::QUIT, Signal::HUP].contains(&signal),
        ProcessExit::Status(status) => status == 128 + Signal::INT.number(),
        _ => false,
    }
}
