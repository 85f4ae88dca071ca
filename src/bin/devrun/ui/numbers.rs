//! Numbers, times and sizes as people read them.

use std::time::Duration;

/// A number with its noun: `1 file`, `2 files`, `1 directory`, `2 directories`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) if noun.ends_with("ch") => format!("{number} {noun}es"),
        (_, None) => format!("{number} {noun}s"),
    }
}

/// A measured time: `2.5 ms`, `340 ms`, `1.2 s`, `2 min 10 s`.
pub(crate) fn time(micros: u64) -> String {
    let duration = Duration::from_micros(micros);
    match micros {
        0..10_000 => format!("{:.1} ms", duration.as_secs_f64() * 1e3),
        10_000..1_000_000 => format!("{:.0} ms", duration.as_secs_f64() * 1e3),
        1_000_000..60_000_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ => minutes(duration),
    }
}

/// A time that still goes on: `0.5 s`, `13 s`, `2 min 10 s`.
pub(crate) fn running_time(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds} s"),
        _ => minutes(duration),
    }
}

/// A number of bytes: `12 bytes`, `340 kB`, `1.2 MB`.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

fn minutes(duration: Duration) -> String {
    format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60)
}
