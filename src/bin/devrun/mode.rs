//! How a root is watched, and why, in words.

use devrun::watch::Why;

use crate::ui::escape::escape_text;

/// Why a root is watched the way it is.
pub(crate) fn reason(why: &Why) -> String {
    match why {
        Why::Asked => "as asked".into(),
        Why::Local => "a local file system".into(),
        Why::NoEvents(system) => format!("{} sends no events", escape_text(system)),
        Why::Limit(limit) => escape_text(limit).into_owned(),
        Why::Unreadable => "it may not be read".into(),
        Why::Missing => "does not exist yet".into(),
        _ => "for a reason of its own".into(),
    }
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
