//! Records as one JSON object a line: `{"v":1,"time":"…","event":"changed",…}` (docs/reference/events.md).

use std::time::SystemTime;

use serde::Serialize;

use super::record::{Record, VERSION};

#[derive(Serialize)]
struct Stamped<'a> {
    v: u32,
    time: String,
    #[serde(flatten)]
    record: &'a Record,
}

/// One line, without its end. `time` is UTC, RFC 3339, in microseconds.
pub(crate) fn line(record: &Record, time: SystemTime) -> String {
    let time = humantime::format_rfc3339_micros(time).to_string();
    let stamped = Stamped { v: VERSION, time, record };
    serde_json::to_string(&stamped).unwrap_or_default()
}
