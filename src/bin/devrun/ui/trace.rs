//! The inner workings on standard error: `-vv`, `-vvv` and DEVRUN_LOG. Installs nothing while nobody asks, so that
//! a run that is not looked into pays nothing. Says nothing itself.

use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

use crate::config::resolve::Output;
use crate::ui::error::Failure;
use crate::ui::terminal::Beside;

const VARIABLE: &str = "DEVRUN_LOG";
/// The filter that lets nothing through.
const OFF: &str = "off";

/// What was installed, to change what it lets through when devrun.toml is edited.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Shows as much of the inner workings as is asked for from now on. DEVRUN_LOG says it exactly, and then decides.
///
/// # Errors
/// A [`Failure`] if DEVRUN_LOG is no filter.
pub(crate) fn follow(output: Output) -> Result<(), Failure> {
    let asked = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let directives = match (&asked, output.verbose) {
        (Some(value), _) => value.to_str().unwrap_or("\u{fffd}"),
        (None, 0 | 1) => OFF,
        (None, 2) => "devrun=debug",
        (None, _) => "devrun=trace",
    };
    if directives == OFF && FILTER.get().is_none() {
        return Ok(());
    }
    let filter = EnvFilter::builder().parse(directives).map_err(|error| {
        Failure::new(format!("the variable {VARIABLE} is set wrongly: {error}"))
            .remedy("write a level such as debug, or devrun::watch=trace,devrun::supervise=debug")
    })?;
    match FILTER.get() {
        // It fails only if what was installed is gone, and then there is nothing to change.
        Some(installed) => _ = installed.reload(filter),
        None => install(filter, output),
    }
    Ok(())
}

fn install(filter: EnvFilter, output: Output) {
    let (filter, handle) = reload::Layer::new(filter);
    let writer = fmt::layer().with_writer(|| Beside).with_ansi(Beside::has_color(output.color));
    // Readers of the log tell them by the key `v`, which these lines do not have.
    let writer = if output.json { writer.json().flatten_event(true).boxed() } else { writer.boxed() };
    if Registry::default().with(filter).with(writer).try_init().is_ok() {
        _ = FILTER.set(handle);
    }
}
