//! Records as JSON, one object on each line: `{"v":1,"time":"…","event":"changed",…}`
//! (docs/reference/events.md).

use std::time::SystemTime;

use serde::Serialize;

use super::record::{Record, VERSION};

#[derive(Serialize)]
struct TimestampedRecord<'a> {
    v: u32,
    time: String,
    #[serde(flatten)]
    record: &'a Record,
}

/// The line of a record, without its end. The time is UTC in the form of RFC 3339, with microseconds.
pub(super) fn line(record: &Record, time: SystemTime) -> String {
    let time = humantime::format_rfc3339_micros(time).to_string();
    serde_json::to_string(&TimestampedRecord { v: VERSION, time, record }).unwrap_or_default()
}
