//! The one place where event kinds are translated.
//!
//! A raw event has one of four kinds. On Linux [`of_inotify`] picks it from the kernel's flags. notify's
//! `Watcher` trait passes on notify events only, so [`as_notify`] wraps the kind for the way through it, and
//! [`of_notify`] unwraps it. On other systems [`of_notify`] translates the events of notify's own watcher.

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
#[cfg(target_os = "linux")]
use notify::event::{CreateKind, RemoveKind};
#[cfg(target_os = "linux")]
use rustix::fs::inotify::ReadFlags;

use crate::watch::queue::RawEventKind;

/// The kind of a kernel event. Its directory flag matters for the creation of a file only, which is followed
/// by a close.
#[cfg(target_os = "linux")]
pub(super) fn of_inotify(flags: ReadFlags) -> RawEventKind {
    let removed = ReadFlags::MOVED_FROM
        | ReadFlags::MOVE_SELF
        | ReadFlags::DELETE
        | ReadFlags::DELETE_SELF
        | ReadFlags::UNMOUNT;
    if flags.intersects(removed) {
        RawEventKind::Removed
    } else if flags.contains(ReadFlags::CREATE) && !flags.contains(ReadFlags::ISDIR) {
        RawEventKind::Created
    } else if flags.contains(ReadFlags::CLOSE_WRITE) {
        RawEventKind::Closed
    } else {
        RawEventKind::Written
    }
}

/// The notify kind that stands for a raw kind on Linux.
#[cfg(target_os = "linux")]
pub(super) fn as_notify(kind: RawEventKind) -> EventKind {
    match kind {
        RawEventKind::Created => EventKind::Create(CreateKind::File),
        RawEventKind::Written => EventKind::Modify(ModifyKind::Any),
        RawEventKind::Closed => EventKind::Access(AccessKind::Close(AccessMode::Write)),
        RawEventKind::Removed => EventKind::Remove(RemoveKind::Any),
    }
}

/// The raw kind of a notify event; `None` if the event says nothing new.
///
/// A rename counts as its two halves, because the event that joins them repeats both. Only Linux reports a
/// close after the creation of a file.
pub(super) fn of_notify(kind: &EventKind) -> Option<RawEventKind> {
    match kind {
        EventKind::Create(notify::event::CreateKind::File) if cfg!(target_os = "linux") => {
            Some(RawEventKind::Created)
        }
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(RawEventKind::Closed),
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => None,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
            Some(RawEventKind::Removed)
        }
        _ => Some(RawEventKind::Written),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn each_kernel_event_arrives_with_its_kind() {
        let cases = [
            (ReadFlags::CREATE, RawEventKind::Created),
            (ReadFlags::CREATE | ReadFlags::ISDIR, RawEventKind::Written),
            (ReadFlags::CLOSE_WRITE, RawEventKind::Closed),
            (ReadFlags::MOVED_TO, RawEventKind::Written),
            (ReadFlags::MOVED_FROM, RawEventKind::Removed),
            (ReadFlags::DELETE | ReadFlags::ISDIR, RawEventKind::Removed),
            (ReadFlags::DELETE_SELF, RawEventKind::Removed),
        ];
        for (flags, kind) in cases {
            assert_eq!(of_inotify(flags), kind, "{flags:?}");
            assert_eq!(of_notify(&as_notify(kind)), Some(kind), "{kind:?}");
        }
    }
}
