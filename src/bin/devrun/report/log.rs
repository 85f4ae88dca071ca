//! The log of the library on standard error: `-vv`, `-vvv` and DEVRUN_LOG. Without them no subscriber is
//! installed, so that a run pays nothing for the log.

use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

use crate::config::OutputSettings;
use crate::ui::{CliError, StderrWriter};

const VARIABLE: &str = "DEVRUN_LOG";
/// The filter that drops every line.
const OFF: &str = "off";

/// The filter of the installed subscriber. An edit of devrun.toml can replace it.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Sets which lines are logged from now on. DEVRUN_LOG overrides `-v`.
///
/// # Errors
/// [`CliError`] if DEVRUN_LOG is not a valid filter.
pub(crate) fn configure(output: OutputSettings) -> Result<(), CliError> {
    let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let directives = match (&variable, output.verbose) {
        (Some(value), _) => value.to_str().unwrap_or("\u{fffd}"),
        (None, 0 | 1) => OFF,
        (None, 2) => "devrun=debug",
        (None, _) => "devrun=trace",
    };
    if directives == OFF && FILTER.get().is_none() {
        return Ok(());
    }
    let filter = EnvFilter::builder().parse(directives).map_err(|error| {
        CliError::new(format!("the variable {VARIABLE} is not a valid filter: {error}"))
            .with_remedy("write a level such as debug, or devrun::watch=trace,devrun::supervise=debug")
    })?;
    match FILTER.get() {
        // `reload` fails only if the subscriber is gone; then there is no log to change.
        Some(installed) => _ = installed.reload(filter),
        None => install(filter, output),
    }
    Ok(())
}

fn install(filter: EnvFilter, output: OutputSettings) {
    let (filter, handle) = reload::Layer::new(filter);
    let has_color = StderrWriter::has_color(output.color);
    let lines = fmt::layer().with_writer(|| StderrWriter).with_ansi(has_color);
    // Log lines have no key `v`, so programs can tell them from the events of `--log-format json`.
    let lines = if output.json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
    if Registry::default().with(filter).with(lines).try_init().is_ok() {
        _ = FILTER.set(handle);
    }
}
