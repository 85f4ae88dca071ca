//! What the room's thread waits for: an unbounded queue that nobody who fills it ever waits at.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::watch::raw_event::RawEvent;

/// What arrives.
#[derive(Debug)]
pub(crate) enum Message {
    /// From the source.
    RawEvent(RawEvent),
    /// A generation of the child has just been started.
    GenerationStarted,
    /// Compare everything.
    Rescan,
    /// End.
    Stop,
}

/// The queue. Hints do not wake a reader that waits for a burst to end anyway: a storm of events then costs a
/// wakeup per quiet time and not one per event.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    queue: Mutex<Queue>,
    arrival: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    messages: Vec<(Message, Instant)>,
    asleep: bool,
}

impl EventQueue {
    /// Adds a message. Never blocks.
    pub(crate) fn push(&self, message: Message) {
        let mut queue = self.locked();
        let wakes = !matches!(message, Message::RawEvent(_)) || queue.asleep;
        queue.messages.push((message, Instant::now()));
        queue.asleep &= !wakes;
        drop(queue);
        if wakes {
            self.arrival.notify_one();
        }
    }

    /// What has arrived, with the time of its arrival. Waits for something if nothing has, until `deadline` at most.
    /// With `patient`, hints are left to gather until then.
    pub(crate) fn take(&self, deadline: Option<Instant>, patient: bool) -> Vec<(Message, Instant)> {
        let mut queue = self.locked();
        loop {
            let urgent = queue.messages.iter().any(|(message, _)| !matches!(message, Message::RawEvent(_)));
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let expired = left.is_some_and(|left| left.is_zero());
            if urgent || expired || (!patient && !queue.messages.is_empty()) {
                queue.asleep = false;
                return std::mem::take(&mut queue.messages);
            }
            queue.asleep = !patient;
            queue = match left {
                Some(left) => self
                    .arrival
                    .wait_timeout(queue, left)
                    .map_or_else(|gone| gone.into_inner().0, |woken| woken.0),
                None => self.arrival.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn locked(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
