//! Why a root is watched by events or by polling, as text.

use devrun::watch::Why;

use crate::ui::escape::escape_text;

/// The reason for the mode of a root.
pub(crate) fn mode_reason(why: &Why) -> String {
    match why {
        Why::Asked => "as configured".into(),
        Why::Local => "a local file system".into(),
        Why::NoEvents(system) => format!("{} sends no events", escape_text(system)),
        Why::Limit(limit) => escape_text(limit).into_owned(),
        Why::Unreadable => "not readable".into(),
        Why::Missing => "does not exist yet".into(),
        _ => "for another reason".into(),
    }
}
