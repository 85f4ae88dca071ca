//! The queue that the watch thread reads: raw events of the source, and requests of handles.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::{SyncId, sync};

/// An unproven statement about one path. It may be wrong, late or repeated; it only says where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawEvent {
    pub(crate) path: PathBuf,
    pub(crate) kind: RawEventKind,
}

/// What seems to have happened to a path. It decides when the path is compared, never the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RawEventKind {
    /// The path was created, and a program may still write to it.
    Created,
    /// The path was moved here, or its content is complete for another reason.
    Written,
    /// A program that had the path open for writing closed it, so it is no directory.
    Closed,
    /// The path was removed or moved away, maybe only between the two steps of a save.
    Removed,
}

impl RawEvent {
    pub(crate) fn new(path: PathBuf, kind: RawEventKind) -> Self {
        Self { path, kind }
    }
}

/// A message to the watch thread.
#[derive(Debug)]
pub(crate) enum Message {
    /// The source reports an event.
    Event(RawEvent),
    /// The source has lost events, and cannot say which.
    EventsLost,
    /// A handle asks for a comparison of everything.
    Rescan,
    /// A handle asks for a report of everything that was written before.
    Sync(SyncId),
    /// A generation of the child has just been started.
    GenerationStarted,
    /// The watch is to end.
    Stop,
}

impl Message {
    fn is_from_source(&self) -> bool {
        matches!(self, Self::Event(_) | Self::EventsLost)
    }
}

/// An unbounded queue. Pushing never blocks.
///
/// A reader that waits for the end of a burst is not woken by events, so a storm of events costs one wakeup
/// per burst instead of one per event.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    arrival: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    messages: Vec<(Message, Instant)>,
    /// The reader waits, and an event is to wake it.
    wake_on_event: bool,
}

/// When [`Queue::dequeue`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WakeOn {
    /// With the first message of any kind.
    AnyMessage,
    /// With the first request of a handle; events gather until the deadline.
    Request,
}

impl Queue {
    pub(crate) fn push(&self, message: Message) {
        let mut inner = sync::lock(&self.inner);
        let wakes = !message.is_from_source() || inner.wake_on_event;
        inner.messages.push((message, Instant::now()));
        inner.wake_on_event &= !wakes;
        drop(inner);
        if wakes {
            self.arrival.notify_one();
        }
    }

    /// Takes all messages with the time of their arrival. Waits for the first one, at most until `deadline`.
    pub(crate) fn dequeue(&self, deadline: Option<Instant>, wake_on: WakeOn) -> Vec<(Message, Instant)> {
        let mut inner = sync::lock(&self.inner);
        loop {
            let has_request = inner.messages.iter().any(|(message, _)| !message.is_from_source());
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let is_expired = left.is_some_and(|left| left.is_zero());
            let has_any = wake_on == WakeOn::AnyMessage && !inner.messages.is_empty();
            if has_request || is_expired || has_any {
                inner.wake_on_event = false;
                return std::mem::take(&mut inner.messages);
            }
            inner.wake_on_event = wake_on == WakeOn::AnyMessage;
            inner = match left {
                Some(left) => {
                    self.arrival.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => sync::wait(&self.arrival, inner),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn events_gather_until_the_deadline_and_a_request_ends_the_wait() {
        let queue = Queue::default();
        let event = || Message::Event(RawEvent::new("/a".into(), RawEventKind::Written));
        queue.push(event());
        queue.push(event());
        let now = Instant::now();
        assert_eq!(queue.dequeue(Some(now), WakeOn::Request).len(), 2);
        queue.push(event());
        queue.push(Message::Rescan);
        assert_eq!(queue.dequeue(None, WakeOn::Request).len(), 2);
        queue.push(Message::EventsLost);
        assert_eq!(queue.dequeue(Some(now + Duration::from_secs(60)), WakeOn::AnyMessage).len(), 1);
    }
}
